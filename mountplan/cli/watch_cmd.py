"""watch: each change of the mounts of a tree that stands, as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mountplan.cli.shared_options import add_set, settings_of
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


def add(command: NewCommand) -> None:
    parser = command(
        "print each change of a tree that stands as it happens",
        "Print what is mounted (+), unmounted (-) and changed (~) in what is kept under a\n"
        "name, or in the mount namespace of a process, until it is interrupted or the\n"
        "process ends. With a spec, how what then stands differs from it. Changes of\n"
        "attributes and sharing are seen within a second.",
        "  mountplan watch shop\n"
        "  mountplan watch shop shop.toml     # with the drift from the spec\n"
        "  mountplan watch pid:1234 --for 60  # for a minute",
    )
    parser.add_argument("subject", metavar="NAME|pid:N", help="a kept name, or a process")
    parser.add_argument("spec", metavar="SPEC", nargs="?", help="a spec (TOML), or a saved plan (NAME.json)")
    parser.add_argument("--for", dest="seconds", metavar="SECONDS", type=float, help="end after that many seconds")
    add_set(parser)


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Print until there is nothing more to watch."""
    from mountplan import live_target, watching
    from mountplan.cli.kept_output import tell_since
    from mountplan.cli.sources import planned_to_keep
    from mountplan.planner.render.left_out_text import left_out_data, left_out_text, left_out_words
    from mountplan.planner.render.problems import drift_data
    from mountplan.planner.render.words import count

    if output.as_json and args.seconds is None:
        raise UsageError("--json prints one document at the end: say when that is, with --for SECONDS")
    if args.seconds is not None and not 0 <= args.seconds < 1e9:
        raise UsageError("--for takes a number of seconds")
    if args.settings and args.spec is None:
        raise UsageError("--set gives values to the parameters of a spec: name one")
    operand = live_target.target_of(args.subject)
    planned = plan = None
    if args.spec is not None:
        other = operand.kind != "name"  # a process has no record of what it was made of
        planned = planned_to_keep(args.spec, settings_of(args), operand.value, cache=False, replace=other)
        plan = planned.plan
        tell_since(output, planned.since)
    told, drift = [], None
    left_out = plan.expected.left_out if plan is not None else ()
    output.note(left_out_text(left_out))
    for seen in watching.watch(operand, planned, args.seconds):
        for event in seen.events:
            where = f"{event.namespace}:{event.mount}" if event.namespace else event.mount
            told.append({"change": event.sign, "namespace": event.namespace, "mount": event.mount, "what": event.what})
            if not output.as_json:
                output.result(
                    f"{event.sign} {visible(where)}  {visible(event.what)}\n" if where else f"? {event.what}\n"
                )
        if seen.end:
            output.note(f"mountplan: {visible(seen.end)}\n")
        if seen.drift is None:
            continue
        drift = drift_data(seen.drift, plan)
        if not output.as_json:
            number = len(seen.drift)
            words = f"{count(number, 'difference')} from the spec" if number else "as the spec says"
            output.result(f"= {words}{left_out_words(left_out)}\n")
            for one in seen.drift[:10]:
                words = f"{one.mount}: {one.prop}: wanted {one.wanted}, found {one.found}"
                output.result(f"    {visible(words)}\n")
            if number > 10:
                output.result(f"    ... and {number - 10:,} more: mountplan verify shows them\n")
    if output.as_json:
        data: dict[str, object] = {"events": told}
        output.data(data if plan is None else data | {"differences": drift, "left_out": left_out_data(left_out)})
    return 0
