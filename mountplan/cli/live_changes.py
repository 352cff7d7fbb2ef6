"""What `plan --live` and `apply --live` share: their options, and the preview."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mountplan.applier.sys.report import TIMEOUT
from mountplan.cli.shared_options import settings_of
from mountplan.cli.sources import note_saved, plan_from, refuse_parameters_of_plan, save
from mountplan.cli.usage import UsageError

if TYPE_CHECKING:
    import argparse

    from mountplan.changing import Changed
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


def add_change(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--live", action="store_true", help="change what stands, under running processes: see `mountplan plan --live`"
    )
    parser.add_argument("--pid", metavar="N", help="with --live: change the mount namespace of a process")
    parser.add_argument(
        "--continue", dest="go_on", action="store_true", help="with --live: finish a change that was interrupted"
    )
    parser.add_argument("--undo", action="store_true", help="with --live: take back a change that was interrupted")
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


def _refuse_what_builds(args: argparse.Namespace) -> None:
    """Raise UsageError for options of a build, which a change has no use for."""
    given = {
        "--rootless": args.rootless != "auto",
        "--max-mounts": args.max_mounts is not None,
        "--timeout": getattr(args, "timeout", TIMEOUT) != TIMEOUT,
        "--no-cache": getattr(args, "no_cache", False),
    }
    for name in (name for name, is_given in given.items() if is_given):
        raise UsageError(f"{name} is for what is built anew: leave it out with --live")


def preview(made: Plan, args: argparse.Namespace, output: Output) -> int:
    """What would change in the tree that --live names; 1 if that is refused, or, with --exit-code, if there is any."""
    from mountplan import changing, live_target
    from mountplan.planner.render.change_text import change_data, change_text

    if args.classic or args.after_step is not None or args.why is not None or args.format or args.steps:
        raise UsageError("--live has a preview of its own: leave out --why, --after, --classic, --steps and --format")
    _refuse_what_builds(args)
    target = live_target.look(live_target.target_of(args.live))
    allowed = allowed_by(args)
    found = changing.preview(made, target, allowed)
    if args.output is not None and not found.obstacles:
        text = changing.dump(made, target, allowed, found)
        if args.output == "-":
            output.raw(text)
            return 1 if args.exit_code and found.changes else 0
        save(args.output, text)
    if output.as_json:
        output.data(change_data(made, found))
    elif not output.quiet:
        output.result(change_text(made, found, everything=args.all, room=output.room))
    if args.output is not None and not found.obstacles:
        note_saved(output, args.output, "carry it out with: mountplan apply")
    return 1 if found.obstacles or (args.exit_code and found.changes) else 0


def is_live(args: argparse.Namespace) -> bool:
    """Whether `apply` is to change what stands: it was asked to, or the file is a plan of changes."""
    return args.live or (args.spec is not None and _saved(args.spec) is not None)


def _saved(name: str) -> bytes | None:
    """What is in a file that is a plan of changes."""
    from mountplan.planner.change.change_file import is_change

    if not name.endswith(".json") or not os.path.isfile(name):  # a pipe can be read once
        return None
    try:
        with open(name, "rb") as file:
            data = file.read()
    except OSError:
        return None  # the next reader of it says why
    return data if is_change(data) else None


def apply_live(args: argparse.Namespace, output: Output) -> int:
    """Change what stands, and show what was changed."""
    from contextlib import nullcontext

    from mountplan import changing, live_target
    from mountplan.operands import looked_up_by_own_name

    if args.forget or args.replace:
        raise UsageError("--live changes what stands: leave out --forget and --replace")
    _refuse_what_builds(args)
    if args.pid is not None and args.name is not None:
        raise UsageError("--name and --pid name two different things: leave one out")
    if args.go_on and args.undo:
        raise UsageError("--continue finishes the change, --undo takes it back: leave one out")
    allowed = allowed_by(args)
    data = _saved(args.spec) if args.spec is not None else None
    if data is not None:
        return _apply_saved(data, args, output)
    made = plan_from(args.spec, settings_of(args)) if args.spec is not None else None
    args.made = made
    subject = f"pid:{args.pid}" if args.pid is not None else args.name or (made.name if made is not None else "")
    if not subject:
        raise UsageError("say what to change: --name NAME or --pid N")
    operand = live_target.target_of(subject)
    if args.go_on or args.undo:
        done = changing.finish(made, operand, allowed, undo=args.undo)
    elif made is None:
        raise UsageError("say what it shall be: mountplan apply SPEC --live")
    else:
        named = args.pid is not None or args.name is not None
        with nullcontext() if named else looked_up_by_own_name("say what to change: --name NAME or --pid N"):
            done = changing.change(made, operand, allowed)
    return _tell(done, args, output)


def _apply_saved(data: bytes, args: argparse.Namespace, output: Output) -> int:
    from mountplan import changing, live_target
    from mountplan.planner.change.change_file import load_change

    if args.name is not None or args.pid is not None or args.go_on or args.undo:
        raise UsageError("a plan of changes says what it is for: leave out --name, --pid, --continue and --undo")
    if args.allow_move or args.allow_gap or args.allow_propagation:
        remedy = "say it to `mountplan plan --live`, and leave out --allow-move, --allow-gap and --allow-propagation"
        raise UsageError(f"a plan of changes says what is allowed: {remedy}")
    refuse_parameters_of_plan(args.spec, settings_of(args))
    saved = load_change(data, args.spec)
    args.made = saved.plan
    return _tell(changing.change(saved.plan, live_target.target_of(saved.subject), saved.allowed, saved), args, output)


def _tell(done: Changed, args: argparse.Namespace, output: Output) -> int:
    from mountplan.cli.trial_notes import note_read_only
    from mountplan.planner.render.aside_text import notices_text
    from mountplan.planner.render.change_text import change_data, changed_text
    from mountplan.planner.render.fitting import wrapped_text
    from mountplan.planner.render.problems import drift_data, mistake_data

    warnings = note_read_only(done.plan, output)
    if output.as_json:
        data = change_data(done.plan, done.change) | {
            "outcome": done.outcome,
            "verified": not done.plan.expected.left_out,  # of a whole
            "notices": drift_data(done.notices, done.plan),
            "warnings": [mistake_data(warning) for warning in warnings],
            "seconds": round(done.seconds, 6),
            "changed_outside": list(done.outside),
        }
        output.data(data)
    elif not output.quiet:
        mounts = sum(len(table.rows) for _, table in done.tables)
        left_out = done.plan.expected.left_out
        told = (done.change, done.outcome, mounts, done.seconds, done.outside, left_out)
        text = changed_text(*told, everything=args.all) + (notices_text(done.notices) if args.verbose else "")
        output.result(wrapped_text(text, output.room))
    return 0
