"""export: what a spec says in the words of another program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mountplan.cli.shared_options import SPEC_OR_PLAN
from mountplan.cli.sources import plan_from, save
from mountplan.planner.characters import visible

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand

FORMATS = ("sh",)


def add(command: NewCommand) -> None:
    parser = command(
        "write mount commands that come to the same",
        "Write what a spec says in the words of another program:\n\n"
        "  sh       a shell script of mount(8) commands\n\n"
        "The script is carried out in the model first: it is printed only if it comes to\n"
        "what the spec says. Otherwise the reasons are, and the exit status is 1: sharing\n"
        "that no order of such commands makes is what mountplan is for.",
        "  mountplan export sh shop.toml -o shop.sh\n  unshare --mount --propagation private sh shop.sh COMMAND",
    )
    parser.add_argument("form", metavar="FORMAT", choices=FORMATS, help="in whose words")
    parser.add_argument("spec", metavar="SPEC", help=SPEC_OR_PLAN)
    parser.add_argument("-o", "--output", metavar="FILE", help="save it there (standard output)")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Exit status 1 if it cannot be said."""
    from mountplan.applier.observe.observe import observe
    from mountplan.planner.ask.mount_commands import mount_script
    from mountplan.planner.plan.predict import predict

    plan = plan_from(args.spec)
    host = observe()
    found = mount_script(plan, predict(plan, host), host)
    if found.text and args.output not in (None, "-"):
        save(args.output, found.text)
    if output.as_json:
        output.data({"exported": bool(found.text), "reasons": list(found.reasons), "text": found.text or None})
    elif found.text and args.output in (None, "-"):
        output.raw(found.text)
    elif found.text:
        output.note(f"Saved to {visible(args.output)}\n")
    else:
        lines = "".join(f"  {visible(reason)}\n" for reason in found.reasons)
        output.result(f"No script of mount commands was found that comes to {visible(plan.file)}:\n{lines}")
    return 0 if found.text else 1
