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
        "  mountplan watch shop shop.toml     with the drift from the spec\n"
        "  mountplan watch pid:1234 --for 60  for a minute",
    )
    parser.add_argument("subject", metavar="NAME|pid:N", help="a kept name, or a process")
    parser.add_argument("spec", metavar="SPEC", nargs="?", help="a spec (TOML), or a saved plan (NAME.json)")
    parser.add_argument("--for", dest="seconds", metavar="SECONDS", type=float, help="end after that many seconds")
    add_set(parser)


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Print until there is nothing more to watch."""
    from mountplan import changing, watching
    from mountplan.cli.sources import plan_from

    if output.as_json and args.seconds is None:
        raise UsageError("--json prints one document at the end: say when that is, with --for SECONDS")
    if args.settings and args.spec is None:
        raise UsageError("--set gives values to the parameters of a spec: name one")
    operand = changing.target_of(args.subject)
    plan = plan_from(args.spec, settings_of(args)) if args.spec is not None else None
    told = []
    for seen in watching.watch(operand, plan, args.seconds):
        for event in seen.events:
            where = f"{event.namespace}:{event.mount}" if event.namespace else event.mount
            told.append({"change": event.sign, "namespace": event.namespace, "mount": event.mount, "what": event.what})
            if not output.as_json:
                output.result(f"{event.sign} {visible(where)}  {visible(event.what)}\n")
        if seen.drift is not None and not output.as_json:
            number = len(seen.drift)
            words = "as the spec says" if not number else f"{number} difference{'s' * (number > 1)} from the spec"
            output.result(f"= {words}\n")
            for one in seen.drift[:10]:
                words = f"{one.mount}: {one.prop}: wanted {one.wanted}, found {one.found}"
                output.result(f"    {visible(words)}\n")
    if output.as_json:
        output.data({"events": told})
    return 0
