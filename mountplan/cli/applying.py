"""apply and run: what talks to the kernel."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from mountplan import api
from mountplan.cli.output import Output
from mountplan.cli.parser import UsageError
from mountplan.cli.progress import reporter_for
from mountplan.cli.sources import plan_from

if TYPE_CHECKING:
    from mountplan.planner.plan import Plan
    from mountplan.planner.table import MountTable

_VERIFIED = """\
Verified: it was read back from the kernel and compared with the spec: the tree,
filesystems and their options, roots, attributes, peer groups and masters are as
written.
"""


def apply(args: argparse.Namespace, output: Output) -> int:
    """Build, verify, show what stood there."""
    made = args.made = plan_from(args.spec)
    with reporter_for("building", quiet=output.quiet, color=output.wants_color(sys.stderr)) as reporter:
        applied = api.apply(made, reporter)
    if output.as_json:
        output.data(_applied_data(made, applied))
        return 0
    if not output.quiet:
        output.result(_applied_text(made, applied, args))
    return 0


def _applied_text(made: Plan, applied: api.Applied, args: argparse.Namespace) -> str:
    from mountplan.planner.render.tables import table_text
    from mountplan.planner.render.words import count, visible

    mounts = sum(len(table.rows) for _, table in applied.tables)
    name = f'"{visible(made.name)}"' if made.name else visible(made.file)
    counts = f"{count(mounts, 'mount')}, {count(applied.steps, 'step')}, {applied.seconds:.2f} s"
    tables = table_text(made, applied.tables, everything=args.all)
    then = (
        f"It is gone again; to work in it: mountplan run {visible(args.spec)} -- COMMAND\n" if args.spec != "-" else ""
    )
    return f"Built {name}: {counts}\n\n{tables}\n{_VERIFIED}{then}"


def _applied_data(made: Plan, applied: api.Applied) -> dict[str, Any]:
    from mountplan.planner.render.tables import group_names

    namespaces = []
    for name, table in applied.tables:
        names = group_names(made, name, table)
        namespaces.append({"name": name, "mounts": _rows(table, names)})
    return {
        "name": made.name,
        "file": made.file,
        "verified": True,
        "steps": applied.steps,
        "seconds": round(applied.seconds, 6),
        "namespaces": namespaces,
    }


def _rows(table: MountTable, names: dict[int, str]) -> list[dict[str, Any]]:
    from mountplan.planner.render.tables import sharing_of

    return [row._asdict() | {"sharing": sharing_of(row, names) or "private"} for row in table.rows]


def run(args: argparse.Namespace, output: Output) -> int:
    """Build, verify, run a command in it; the status is the command's."""
    if args.extra:
        words = " ".join(args.extra)
        raise UsageError(f"write -- before the command: mountplan run {args.spec} -- {words}", "run")
    if args.after == ():
        raise UsageError("there is no command after --", "run")
    made = args.made = plan_from(args.spec)
    command: tuple[str, ...] = args.after or made.run.command or (api.shell(),)
    with reporter_for("building", quiet=output.quiet, color=output.wants_color(sys.stderr)) as reporter:
        return api.run(made, command, reporter)
