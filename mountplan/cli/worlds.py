"""What `explain` and `simulate --from` may name: a spec, a saved plan, or a process -> the tables of all namespaces."""

from __future__ import annotations

from mountplan import api
from mountplan.cli.sources import plan_from
from mountplan.planner.table import MountRow, MountTable

Tables = tuple[tuple[str, MountTable], ...]
HOST = "host"


def tables_of(what: str) -> Tables:
    """(name, table) of each namespace; first those that were asked for, then what else there is around them.

    Raises SpecError, PlanFileError, PlanRefused or TableError.
    """
    return _of_process(int(what)) if what.isdecimal() else _of_plan(what)


def _of_process(pid: int) -> Tables:
    from mountplan.applier.everyone import every_namespace

    tables: list[tuple[str, MountTable]] = []
    for one in every_namespace(pid):
        tables.append((HOST if one.pid == 1 else f"process {one.pid} ({one.command})", one.table))
    return tuple(tables)


def _of_plan(what: str) -> Tables:
    """What the plan predicts, and the host's table beside it: the plan may join the host's peer groups."""
    from mountplan.applier.observe import observe

    plan = plan_from(what)
    tables = [
        (name or plan.name, MountTable(tuple(map(_with_own_groups, table.rows)))) for name, table in api.predict(plan)
    ]
    return (*tables, (HOST, observe()))


def _with_own_groups(row: MountRow) -> MountRow:
    """The groups that the plan makes get numbers that the kernel has for none; those of the host get the host's."""
    return row._replace(
        peer_group=_own_group(row.peer_group),
        master=_own_group(row.master),
        propagate_from=_own_group(row.propagate_from),
    )


def _own_group(number: int) -> int:
    from mountplan.planner.predict import HOST_GROUPS

    return number - HOST_GROUPS if number >= HOST_GROUPS else -number
