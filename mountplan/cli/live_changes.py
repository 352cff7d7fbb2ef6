"""What `plan --live` and `apply --live` share: their options, and the preview."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.planner.change.standing import Allowed
    from mountplan.planner.plan.plan import Plan

_ALLOW = (
    ("move", "processes whose root is on what is taken away may keep the old one"),
    ("gap", "a mount may be missing for a moment, where there is no other way"),
    ("propagation", "what is done may be seen in namespaces outside"),
)


def add_preview(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--live", metavar="NAME|pid:N", help="plan the change of a tree that stands: what is kept, or a process's own"
    )
    parser.add_argument(
        "--exit-code", action="store_true", help="with --live: exit status 1 if there is something to do"
    )
    add_allowances(parser)


def add_allowances(parser: argparse.ArgumentParser) -> None:
    for name, what in _ALLOW:
        parser.add_argument(f"--allow-{name}", action="store_true", help=f"with --live: {what}")


def allowed_by(args: argparse.Namespace) -> Allowed:
    from mountplan.planner.change.standing import Allowed

    return Allowed(args.allow_move, args.allow_gap, args.allow_propagation)


def refuse_without_live(args: argparse.Namespace, *others: str) -> None:
    """Raise UsageError for an option that goes with --live only."""
    names = [f"allow-{name}" for name, _ in _ALLOW] + list(others)
    for name in names:
        if getattr(args, name.replace("-", "_").replace("continue", "go_on")):
            raise UsageError(f"--{name} goes with --live")


def preview(made: Plan, args: argparse.Namespace, output: Output) -> int:
    """What would change in the tree that --live names; 1 if that is refused, or, with --exit-code, if there is any."""
    from mountplan import changing
    from mountplan.planner.render.change_text import change_data, change_text

    if args.classic or args.after_step is not None or args.why is not None or args.format or args.steps:
        raise UsageError("--live has a preview of its own: leave out --why, --after, --classic, --steps and --format")
    target = changing.look(changing.target_of(args.live))
    allowed = allowed_by(args)
    found = changing.preview(made, target, allowed)
    if args.output is not None and not found.obstacles:
        from mountplan.cli.sources import save

        text = changing.dump(made, target, allowed, found)
        if args.output == "-":
            output.raw(text)
            return 1 if args.exit_code and found.changes else 0
        save(args.output, text)
    if output.as_json:
        output.data(change_data(made, found))
    elif not output.quiet:
        output.result(change_text(made, found, everything=args.all))
    if args.output is not None and not found.obstacles:
        file = visible(args.output)
        output.note(f"Saved to {file}; carry it out with: mountplan apply {file}\n")
    return 1 if found.obstacles or (args.exit_code and found.changes) else 0
