"""What `explain` and `simulate --from` may name -> the tables of all namespaces: a spec, a saved plan, a kept name, or
a process. And as which kernel the model answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mountplan import api
from mountplan.cli.sources import plan_from
from mountplan.planner.errors import NotKept
from mountplan.planner.table import MountRow, MountTable

if TYPE_CHECKING:
    from mountplan.applier.everyone import Inhabited
    from mountplan.cli.output import Output
    from mountplan.planner.propagation import Rules

Tables = tuple[tuple[str, MountTable], ...]


def tables_of(what: str) -> Tables:
    """(name, table) of each namespace; first those that were asked for, then what else there is around them.

    Whatever is a file or ends as one is a spec or a plan. Of a kept name with several namespaces, NAME/NAMESPACE comes
    first. Raises SpecError, PlanFileError, PlanRefused, NotKept, KeepRefused or TableError.
    """
    from mountplan.applier.everyone import everyone_else, of_process

    if what == "-" or what.endswith((".toml", ".json")) or os.path.exists(what):
        ours = of_process(os.getpid())
        return (*_of_plan(what), *_tables((ours, *everyone_else({ours.inode}))))
    asked = (of_process(int(what)),) if what.isdecimal() else _of_kept(what)
    return (*((one.name, one.table) for one in asked), *_tables(everyone_else({one.inode for one in asked})))


def rules_for(version: str | None, output: Output) -> Rules:
    """The model's rules for a kernel that the user names, otherwise for the one at hand: if need be, the nearest."""
    from mountplan.planner.propagation import KNOWN, is_known, rules_of

    release = version or os.uname().release
    if not is_known(release):
        output.note(f"Linux {release} is not known to the model, which answers as the nearest of {KNOWN} would.\n")
    return rules_of(release)


def _of_kept(what: str) -> tuple[Inhabited, ...]:
    from mountplan.applier.everyone import of_kept

    name, _, namespace = what.partition("/")
    try:
        found = of_kept(name)
    except NotKept as error:
        remedy = "name a spec, a saved plan, a kept name (`mountplan ls` lists them) or a process"
        raise NotKept(error.what, remedy) from None
    if namespace and what not in [one.name for one in found]:
        names = ", ".join(one.name for one in found)
        raise NotKept(f"no namespace {namespace!r} is kept as {name}", f"there are: {names}")
    return tuple(sorted(found, key=lambda one: one.name != what)) if namespace else found


def _tables(others: Iterable[Inhabited]) -> list[tuple[str, MountTable]]:
    """Those that can be understood: who is confined to a plain directory sees no root mount."""
    return [(one.name, one.table) for one in others if _has_root(one.table)]


def _has_root(table: MountTable) -> bool:
    by_id = table.by_id()
    return 1 == sum(row.parent_id not in by_id or row.parent_id == row.mount_id for row in table.rows)


def _of_plan(what: str) -> Tables:
    plan = plan_from(what)
    return tuple(
        (name or plan.name, MountTable(tuple(map(_with_own_groups, table.rows)))) for name, table in api.predict(plan)
    )


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
