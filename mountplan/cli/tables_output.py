"""Mount tables of a plan's namespaces as values for JSON, as several commands print them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mountplan.planner.render.table_text import group_names, sharing_of

if TYPE_CHECKING:
    from mountplan import keeping
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.tables.table import MountTable


def tables_data(plan: Plan, tables: keeping.Tables) -> list[dict[str, Any]]:
    """The mounts of each namespace as values for JSON, with the names of the plan's groups."""
    return [{"name": name, "mounts": rows_data(table, group_names(plan, name, table))} for name, table in tables]


def rows_data(table: MountTable, names: dict[int, str]) -> list[dict[str, Any]]:
    """The mounts of one table, with names for group ids where there are some."""
    return [row._asdict() | {"sharing": sharing_of(row, names) or "private"} for row in table.rows]
