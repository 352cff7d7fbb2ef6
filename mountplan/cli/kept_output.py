"""What several commands print of kept names: notes on what a crash has left, ages, values for JSON."""

from __future__ import annotations

from mountplan.applier.keep.kept import path_of
from mountplan.applier.keep.kept_changes import tidy as clean_up
from mountplan.planner.characters import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mountplan.applier.keep.kept_record import Kept
    from mountplan.cli.output import Output
    from mountplan.keeping import Standing, Tables, Unreadable
    from mountplan.planner.plan.plan import Plan


def tidy(output: Output) -> None:
    """Clean up after crashes, and say what was forgotten."""
    for note in clean_up():
        output.note(f"mountplan: {visible(note)}\n")


def tell_since(output: Output, since: str) -> None:
    """Note what has become of the host since a name was made."""
    if since:
        told = "this is held against the host as it was when the name was made"
        output.note(f"mountplan: {told}: {visible(since)}\n")


def kept_data(kept: Kept) -> dict[str, Any]:
    """What is kept, without a look at it, as values for JSON."""
    return {
        "name": kept.name,
        "spec": kept.spec,
        "digest": kept.digest,
        "created": kept.created,
        "made_by": kept.made_by,
        "keeper": kept.keeper.pid if kept.keeper else None,
        "namespaces": [
            {"kind": one.kind, "name": one.name, "inode": one.inode, "file": path_of(kept, one)}
            for one in kept.namespaces
        ],
    }


def unreadable_data(one: Unreadable) -> dict[str, Any]:
    """What standing_data() has, of a name of which nothing can be read."""
    data: dict[str, Any] = dict.fromkeys(("name", "spec", "digest", "created", "made_by", "keeper"))
    return data | {
        "name": one.name,
        "namespaces": [],
        "age": None,
        "mounts": None,
        "health": "unknown",
        "problem": one.problem,
        "arrivals": [],
        "left_out": [],
    }


def standing_data(one: Standing, plan: Plan | None = None) -> dict[str, Any]:
    """What is kept and how it is; with `plan` its mounts as well, with the names of the plan's groups."""
    from mountplan.planner.render.left_out_text import left_out_data
    from mountplan.planner.render.problems import drift_data

    data = kept_data(one.kept) | {
        "age": round(one.age, 3),
        "mounts": one.mounts,
        "health": one.health,
        "problem": one.problem,
        "arrivals": drift_data(one.arrivals, plan),
        "left_out": left_out_data(one.kept.left_out),
    }
    return data if plan is None else data | {"tables": tables_data(plan, one.tables)}


def tables_data(plan: Plan, tables: Tables) -> list[dict[str, Any]]:
    """The mounts of each namespace as values for JSON, with the names of the plan's groups."""
    from mountplan.planner.render.table_text import group_names, rows_data

    return [{"name": name, "mounts": rows_data(table, group_names(plan, name, table))} for name, table in tables]


def age_text(seconds: float) -> str:
    """Roughly: two units at most."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    for amounts in (((days, "d"), (hours, "h")), ((hours, "h"), (minutes, "m")), ((minutes, "m"), (rest, "s"))):
        if amounts[0][0]:
            return " ".join(f"{number}{unit}" for number, unit in amounts if number)
    return f"{rest}s"
