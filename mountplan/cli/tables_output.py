"""Mount tables of a plan's namespaces as values for JSON, as several commands print them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mountplan.planner.render.table_text import group_names, rows_data

if TYPE_CHECKING:
    from mountplan import keeping
    from mountplan.planner.plan.plan import Plan


def tables_data(plan: Plan, tables: keeping.Tables) -> list[dict[str, Any]]:
    """The mounts of each namespace as values for JSON, with the names of the plan's groups."""
    return [{"name": name, "mounts": rows_data(table, group_names(plan, name, table))} for name, table in tables]
