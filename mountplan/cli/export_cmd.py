"""export: what a spec says in the words of another program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mountplan.cli.shared_options import SPEC_OR_PLAN, add_set, settings_of
from mountplan.cli.sources import note_saved, plan_from, save
from mountplan.cli.trial_notes import note_left_out
from mountplan.planner.characters import in_shell, visible

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand
    from mountplan.planner.plan.plan import Plan

FORMATS = ("sh", "oci", "bwrap")


def add(command: NewCommand) -> None:
    parser = command(
        "write what a spec says in the words of another program",
        "Write what a spec says in the words of another program:\n\n"
        "  sh       a shell script of mount(8) commands\n"
        "  oci      a config.json for runc and crun: root, mounts, [run]\n"
        "  bwrap    a command line of bubblewrap\n\n"
        "The script is carried out in the model first: it is printed only if it comes to\n"
        "what the spec says. What cannot be said is told with the reasons, and nothing\n"
        "is written then; the exit status is 1. Sharing that no order of mount commands\n"
        "makes is what mountplan is for.",
        "  mountplan export sh shop.toml -o shop.sh\n  unshare --mount --propagation private sh shop.sh COMMAND",
    )
    parser.add_argument("form", metavar="FORMAT", choices=FORMATS, help="in whose words")
    parser.add_argument("spec", metavar="SPEC", help=SPEC_OR_PLAN)
    add_set(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="save it there (standard output)")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Exit status 1 if it cannot be said."""
    from mountplan.planner.render.left_out_text import left_out_data

    plan = plan_from(args.spec, settings_of(args))
    text, reasons, notes = _exported(plan, args.form)
    file: str = args.output or "-"
    if text and file != "-":
        save(file, text)
    if output.as_json:
        data = {"exported": bool(text), "reasons": list(reasons), "notes": list(notes), "text": text or None}
        output.data(data | {"left_out": left_out_data(plan.expected.left_out)})
        return 0 if text else 1
    if text and file == "-":
        output.raw(text)
    elif text:
        note_saved(output, file)
    else:
        lines = "".join(f"  {visible(reason)}\n" for reason in reasons)
        output.result(f"{_NONE[args.form]} {visible(plan.file)}:\n{lines}")
    note_left_out(plan.expected.left_out, output)
    for note in notes:
        output.note(f"mountplan: {visible(note)}\n")
    return 0 if text else 1


_NONE = {
    "sh": "No script of mount commands was found that comes to",
    "oci": "No config.json says what is in",
    "bwrap": "No command line of bubblewrap says what is in",
}


def _exported(plan: Plan, form: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The text, or "" and the reasons; and what the other program does besides."""
    if form == "sh":
        from mountplan.applier.observe.observe import observe
        from mountplan.planner.ask.mount_commands import mount_script
        from mountplan.planner.plan.predict import predict
        from mountplan.planner.run_settings import RunSettings

        host = observe()
        script = mount_script(plan, predict(plan, host), host)
        beyond = "what [run] says is not in the script" if plan.run != RunSettings() else ""
        return script.text, script.reasons, (beyond,) if beyond and script.text else ()
    if form == "oci":
        import json

        from mountplan.applier.observe.observe import observe
        from mountplan.planner.foreign.to_oci import to_oci

        found = to_oci(plan, observe())
        text = json.dumps(found.value, indent=2) + "\n" if found.value is not None else ""
    else:
        import shlex

        from mountplan.planner.foreign.to_bubblewrap import to_bubblewrap

        found = to_bubblewrap(plan)
        text = in_shell(f"bwrap {shlex.join(found.value)}\n") if found.value is not None else ""
    return text, found.reasons, found.notes
