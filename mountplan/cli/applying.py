"""apply and run: what talks to the kernel."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mountplan import api
from mountplan.cli.output import Output
from mountplan.cli.planning_timeout import Patience
from mountplan.cli.progress import reporter_for
from mountplan.cli.sources import plan_from
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible_lines
from mountplan.planner.errors import CommandNotStarted

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from mountplan import keeping
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.tables.table import MountTable

_VERIFIED = """\
Verified: it was read back from the kernel and compared with the spec: the tree,
filesystems and their options, roots, attributes, peer groups and masters are as
written.
"""


def apply(args: argparse.Namespace, output: Output) -> int:
    """Build, verify, keep, show what stands there."""
    with Patience(args.timeout):
        made = args.made = plan_from(args.spec, cache=not args.no_cache)
    if not args.forget:
        return _keep(made, args, output)
    if args.name is not None or args.replace:
        raise UsageError("--forget keeps nothing: leave out --name and --replace", "apply")
    api.check_mount_count(made, args.max_mounts)
    with reporter_for("building", output) as reporter:
        applied = api.apply(made, reporter, rootless=args.rootless, timeout=args.timeout or None)
    if output.as_json:
        output.data(_applied_data(made, applied) | {"outcome": "forgotten", "kept": None})
        return 0
    if not output.quiet:
        output.result(_applied_text(made, applied, args))
    return 0


def _keep(made: Plan, args: argparse.Namespace, output: Output) -> int:
    from mountplan import keeping
    from mountplan.cli.living import kept_data, tidy
    from mountplan.planner.render import table_text as tables  # noqa: F401 - now: what is kept shall not be followed by a failure

    keeping.name_for(made, args.name)
    api.check_mount_count(made, args.max_mounts)
    tidy(output)
    with reporter_for("building", output) as reporter:
        done = keeping.keep(
            made,
            args.name,
            replace=args.replace,
            reporter=reporter,
            rootless=args.rootless,
            timeout=args.timeout or None,
        )
    if output.as_json:
        output.data(_applied_data(made, done) | {"outcome": done.outcome, "kept": kept_data(done.kept)})
    elif not output.quiet:
        output.result(_kept_text(made, done, args))
    return 0


def _kept_text(made: Plan, done: keeping.Keeping, args: argparse.Namespace) -> str:
    from mountplan.planner.render.table_text import table_text
    from mountplan.planner.render.words import count, visible

    mounts = count(sum(len(table.rows) for _, table in done.tables), "mount")
    name = visible(done.kept.name)
    then = f"Enter it: mountplan enter {name}\n" if _has_programs(made) else f"Look at it: mountplan show {name}\n"
    if done.outcome == "stands":
        return f'"{name}" stands already, and was verified again: {mounts}\n{then}'
    what = "Built and kept" if done.outcome == "kept" else "Built anew, and put in the place of"
    counts = f"{mounts}, {count(done.steps, 'step')}, {done.seconds:.2f} s"
    tables = table_text(made, done.tables, everything=args.all)
    return f'{what} "{name}": {counts}\n\n{tables}\n{_VERIFIED}{then}'


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


def _applied_text(made: Plan, applied: api.Applied, args: argparse.Namespace) -> str:
    from mountplan.planner.render.table_text import table_text
    from mountplan.planner.render.words import count, visible

    mounts = sum(len(table.rows) for _, table in applied.tables)
    name = f'"{visible(made.name)}"' if made.name else visible(made.file)
    counts = f"{count(mounts, 'mount')}, {count(applied.steps, 'step')}, {applied.seconds:.2f} s"
    tables = table_text(made, applied.tables, everything=args.all)
    then = "It was let go again."
    if args.spec != "-" and _has_programs(made):
        then = f"It was let go again; to work in it: mountplan run {visible(args.spec)} -- COMMAND"
    return f"Built {name}: {counts}\n\n{tables}\n{_VERIFIED}{then}\n"


def _applied_data(made: Plan, applied: api.Applied | keeping.Keeping) -> dict[str, Any]:
    return {
        "name": made.name,
        "file": made.file,
        "verified": True,
        "steps": applied.steps,
        "seconds": round(applied.seconds, 6),
        "namespaces": tables_data(made, applied.tables),
    }


def tables_data(made: Plan, tables: keeping.Tables) -> list[dict[str, Any]]:
    """The mounts of each namespace as values for JSON, with the names of the plan's groups."""
    from mountplan.planner.render.table_text import group_names

    return [{"name": name, "mounts": _rows(table, group_names(made, name, table))} for name, table in tables]


def _rows(table: MountTable, names: dict[int, str]) -> list[dict[str, Any]]:
    from mountplan.planner.render.table_text import sharing_of

    return [row._asdict() | {"sharing": sharing_of(row, names) or "private"} for row in table.rows]


def run(args: argparse.Namespace, output: Output) -> int:
    """Build, verify, and end as a command in it; the status is the command's."""
    if args.extra:
        words = " ".join(args.extra)
        raise UsageError(f"write -- before the command: mountplan run {args.spec} -- {words}", "run")
    if args.after == ():
        raise UsageError("there is no command after --", "run")
    with Patience(args.timeout):
        made = args.made = plan_from(args.spec, cache=not args.no_cache)
    names = [namespace.name for namespace in made.expected.namespaces]
    if args.namespace and args.namespace not in names:
        from mountplan.planner.render.words import visible

        known = f"there are: {', '.join(map(visible, names))}" if names != [""] else "the spec has one, without a name"
        raise UsageError(f"no namespace is called {visible(args.namespace)!r}; {known}", "run")
    api.check_mount_count(made, args.max_mounts)
    command: tuple[str, ...] = args.after or made.run.command or (api.shell(),)
    tell = _telling_json(made, output) if output.as_json else None
    with reporter_for("building", output) as reporter:
        try:
            api.execute(
                made,
                command,
                reporter,
                namespace=args.namespace,
                status_fd=args.json_status_fd,
                rootless=args.rootless,
                timeout=args.timeout or None,
                tell=tell,
            )
        except CommandNotStarted as error:
            if output.as_json:
                raise
            sys.stderr.write(visible_lines(f"mountplan: {error}\n"))
            return error.exit_status
        except SystemExit as ended:  # a process had to wait for the command
            return int(ended.code or 0)


def _telling_json(made: Plan, output: Output) -> Callable[[CommandNotStarted], bytes]:
    """How to tell an error as JSON. What that takes is loaded now: it is asked inside the new root."""
    import json  # noqa: F401

    from mountplan.planner.render.problems import error_data

    return lambda error: output.json_of_error(error_data(error, made))
