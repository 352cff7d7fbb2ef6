"""apply: builds what a spec says, verifies it, and keeps it under its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mountplan import api
from mountplan.cli.live_changes import add_change, apply_live, is_live, refuse_without_live
from mountplan.cli.progress import reporter_for
from mountplan.cli.shared_options import (
    SPEC_OR_PLAN,
    add_all,
    add_building,
    add_calls,
    add_set,
    settings_of,
    show_calls,
)
from mountplan.cli.sources import plan_from, planned_to_keep
from mountplan.cli.trial_notes import note_read_only
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import typed, visible
from mountplan.spec_digest import Planned

if TYPE_CHECKING:
    import argparse

    from mountplan import keeping
    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand
    from mountplan.planner.errors import Mistake
    from mountplan.planner.plan.plan import Plan


def add(command: NewCommand) -> None:
    parser = command(
        "build it, verify what stands there, and keep it under its name",
        "Build the mount tree in a namespace of its own, read it back from the kernel,\n"
        "compare it with the spec, and keep it: `mountplan enter NAME` goes there, `ls`\n"
        "lists what is kept, `rm` lets it go. If the name stands already, that is\n"
        "verified, and nothing is built. Exit status 1 if it is no longer what it was\n"
        "made to be, or if the spec has changed.",
        "  mountplan apply shop.toml\n"
        "  mountplan apply shop.toml --replace    # build anew, verify, and then swap\n"
        "  mountplan apply shop.toml --forget     # build, verify, and let it go again\n"
        "  mountplan apply shop.toml --live       # change what has the name\n"
        "  mountplan apply change.json            # as `plan --live -o` saved it\n"
        "  mountplan apply --json plan.json | jq .namespaces",
    )
    parser.add_argument("spec", metavar="SPEC", nargs="?", help=SPEC_OR_PLAN)
    add_set(parser)
    parser.add_argument("--name", metavar="NAME", help="the name to keep it under (the spec's)")
    parser.add_argument("--replace", action="store_true", help="swap a new, verified build in for what has the name")
    parser.add_argument("--forget", action="store_true", help="keep nothing")
    add_change(parser)
    add_building(parser)
    add_all(parser, "show every mount")
    add_calls(parser, ", and options that the kernel writes otherwise")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Build, verify, keep, show what stands there."""
    if is_live(args):
        show_calls(args)
        return apply_live(args, output)
    refuse_without_live(args, "pid", "continue", "undo")
    if args.spec is None:
        raise UsageError("SPEC is missing")
    from mountplan.cli.planning_timeout import PlanningTimeout
    from mountplan.cli.sign_of_life import sign_of_life

    with PlanningTimeout(args.timeout, output), sign_of_life("planning", output):
        settings, cache = settings_of(args), not args.no_cache
        if args.forget:
            planned = Planned(plan_from(args.spec, settings, cache=cache))
        else:
            planned = planned_to_keep(args.spec, settings, args.name, cache=cache, replace=args.replace)
        made = args.made = planned.plan
    show_calls(args)
    if not args.forget:
        return _keep(planned, args, output)
    if args.name is not None or args.replace:
        raise UsageError("--forget keeps nothing: leave out --name and --replace")
    api.check_mount_count(made, args.max_mounts)
    with reporter_for("building", output) as reporter:
        applied = api.build_and_forget(made, reporter, rootless=args.rootless, timeout=args.timeout or None)
    warnings = note_read_only(made, output)
    if output.as_json:
        output.data(_applied_data(made, applied, warnings) | {"outcome": "forgotten", "kept": None})
    elif not output.quiet:
        output.result(_applied_text(made, applied, args, output.room))
    return 0


def _keep(planned: Planned, args: argparse.Namespace, output: Output) -> int:
    from mountplan import keeping

    # Now: what is kept shall not be followed by a failure.
    from mountplan.cli.kept_output import kept_data, tell_since, tidy
    from mountplan.planner.render import aside_text, left_out_text, table_text  # noqa: F401

    made = planned.plan
    keeping.name_for(made, args.name)
    api.check_mount_count(made, args.max_mounts)
    tidy(output)
    with reporter_for("building", output) as reporter:
        done = keeping.keep(
            planned,
            args.name,
            replace=args.replace,
            reporter=reporter,
            rootless=args.rootless,
            timeout=args.timeout or None,
        )
    tell_since(output, done.since)
    made = done.plan
    warnings = note_read_only(made, output)
    if output.as_json:
        output.data(_applied_data(made, done, warnings) | {"outcome": done.outcome, "kept": kept_data(done.kept)})
    elif not output.quiet:
        output.result(_kept_text(made, done, args, output.room))
    return 0


def _kept_text(made: Plan, done: keeping.Keeping, args: argparse.Namespace, room: int | None) -> str:
    from mountplan.keeping import lacks_shell
    from mountplan.planner.render.fitting import wrapped_text
    from mountplan.planner.render.left_out_text import left_out_text

    left_out = made.expected.left_out
    name = visible(done.kept.name)
    can_be_entered = _has_programs(made) and not lacks_shell(done.kept.name)
    then = f"Enter it: mountplan enter {name}\n" if can_be_entered else f"Look at it: mountplan show {name}\n"
    if done.outcome == "stands":
        again = "compared" if left_out else "verified"
        told = f'"{name}" stands already, and was {again} again: {_size_text(made, done)}\n'
        return told + wrapped_text(left_out_text(left_out), room) + then
    what = "Built and kept" if done.outcome == "kept" else "Built anew, and put in the place of"
    return f'{what} "{name}": {_built_text(made, done, args, room)}{then}'


def _size_text(made: Plan, done: api.Applied | keeping.Keeping) -> str:
    from mountplan.planner.render.left_out_text import left_out_words
    from mountplan.planner.render.words import count

    mounts = sum(len(table.rows) for _, table in done.tables)
    return f"{count(mounts, 'mount')}{left_out_words(made.expected.left_out)}"


def _built_text(made: Plan, done: api.Applied | keeping.Keeping, args: argparse.Namespace, room: int | None) -> str:
    """How much it is, all mounts, and that they were verified."""
    from mountplan.planner.render.aside_text import notices_text
    from mountplan.planner.render.fitting import wrapped_text
    from mountplan.planner.render.left_out_text import verified_text
    from mountplan.planner.render.table_text import table_text
    from mountplan.planner.render.words import count

    counts = f"{_size_text(made, done)}, {count(done.steps, 'step')}, {done.seconds:.2f} s"
    tables = table_text(made, done.tables, everything=args.all, room=room)
    notices = notices_text(done.notices) if args.verbose else ""
    return f"{counts}\n\n{tables}\n" + wrapped_text(f"{verified_text(made.expected.left_out)}{notices}", room)


def _has_programs(made: Plan) -> bool:
    """False if all is new and comes from nowhere: then there is no shell in it, and to enter it is bound to fail."""
    from mountplan.planner.fstypes import of
    from mountplan.planner.plan import steps

    sources = (steps.AttachImage, steps.MakeOverlay, steps.CloneHost, steps.CloneHostWorkbench, steps.CopyContents)
    return any(
        isinstance(step, sources)
        or (isinstance(step, steps.MakeFilesystem) and of(step.fstype).begins == "unknown")
        or (isinstance(step, steps.MakeNode) and step.source)
        for step in made.steps
    )


def _applied_text(made: Plan, applied: api.Applied, args: argparse.Namespace, room: int | None) -> str:
    name = f'"{visible(made.name)}"' if made.name else visible(made.file)
    then = "It was let go again."
    if args.spec != "-" and _has_programs(made):
        then = f"It was let go again; to work in it: mountplan run {typed(args.spec)} -- COMMAND"
    return f"Built {name}: {_built_text(made, applied, args, room)}{then}\n"


def _applied_data(made: Plan, applied: api.Applied | keeping.Keeping, warnings: tuple[Mistake, ...]) -> dict[str, Any]:
    from mountplan import keeping
    from mountplan.cli.kept_output import tables_data
    from mountplan.planner.render.left_out_text import left_out_data
    from mountplan.planner.render.problems import drift_data, mistake_data

    return {
        "name": made.name,
        "file": made.file,
        "verified": not made.expected.left_out,  # of a whole
        "left_out": left_out_data(made.expected.left_out),
        "notices": drift_data(applied.notices, made),
        "warnings": [mistake_data(warning) for warning in warnings],
        "since": applied.since if isinstance(applied, keeping.Keeping) else "",
        "steps": applied.steps,
        "seconds": round(applied.seconds, 6),
        "namespaces": tables_data(made, applied.tables),
    }
