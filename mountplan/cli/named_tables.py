"""The mount tables behind what `explain` and `simulate --from` may name: a spec, a saved plan, a kept name, a process.
And as which kernel the model answers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from mountplan.cli.sources import plan_from
from mountplan.cli.usage import UsageError
from mountplan.planner.errors import NotKept
from mountplan.planner.names import LeftOut
from mountplan.planner.tables.mount_facts import Lock, SeenLocks
from mountplan.planner.tables.table import MountRow, MountTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mountplan.applier.keep.inhabited import Inhabited
    from mountplan.cli.output import Output
    from mountplan.planner.model import Rules
    from mountplan.planner.plan.plan import ExpectedNamespace
    from mountplan.planner.plan.predict import Prediction

Tables = tuple[tuple[str, MountTable], ...]


class Known(NamedTuple):
    """Namespaces that something is asked about, how old their mounts are, and what is locked (see Inhabited), by name.

    `other` is what a second namespace that was asked for is called there. `left_out` are mounts of the spec.
    """

    tables: Tables
    ages: dict[str, dict[int, int]]
    locks: dict[str, SeenLocks]
    other: str = ""
    left_out: tuple[LeftOut, ...] = ()


def tables_of(what: str, parameters: Mapping[str, str] | None = None) -> Tables:
    """(name, table) of each namespace; first those that were asked for, then what else there is around them.

    What is a file or ends as one is a spec or a plan. Of a kept name with several namespaces, NAME/NAMESPACE comes
    first. Raises SpecError, PlanFileError, PlanRefused, NotKept, KeepRefused or TableError.
    """
    return known_of(what, parameters).tables


def known_of(
    what: str,
    parameters: Mapping[str, str] | None = None,
    *,
    aged: bool = False,
    locked: bool = False,
    other: str | None = None,
) -> Known:
    """The same; with `aged` the ages of mounts as well, with `locked` what is locked, as far as that is known.

    `other` is a kept name or process, or one of the names in a spec, that is to be there too. `parameters` are
    the spec's.
    """
    from mountplan.applier.keep.inhabited import everyone_else, of_process

    planned: Tables = ()
    locks: dict[str, SeenLocks] = {}
    left_out: tuple[LeftOut, ...] = ()
    if what == "-" or what.endswith((".toml", ".json")) or os.path.exists(what):
        planned, locks, left_out = _of_plan(what, parameters)
        asked: tuple[Inhabited, ...] = (of_process(os.getpid(), aged=aged, locked=locked),)
    else:
        if parameters:
            raise UsageError(f"--set: {what} is no spec, and has no parameters")
        asked = (of_process(int(what), aged=aged, locked=locked),) if what.isdecimal() else _of_kept(what, aged, locked)
    second = "" if other is None or other in [name for name, _ in planned] else other
    if second:
        live_other = (
            of_process(int(second), aged=aged, locked=locked)
            if second.isdecimal()
            else _of_kept(second, aged, locked)[0]
        )
        known_already = next((one for one in asked if one.inode == live_other.inode), None)
        if known_already is None:
            asked = (*asked, live_other)
        other = (known_already or live_other).name
    others = [
        one for one in everyone_else({one.inode for one in asked}, aged=aged, locked=locked) if _has_root(one.table)
    ]
    if planned:  # then ours is one of the others
        others, asked = [*(one for one in asked if _has_root(one.table)), *others], ()
    live = (*asked, *others)
    tables = (*planned, *((one.name, one.table) for one in live))
    locks |= {one.name: one.locks for one in live if one.locks is not None}
    return Known(tables, {one.name: one.ages for one in live if one.ages}, locks, other or "", left_out)


def rules_for(version: str | None, output: Output) -> Rules:
    """The model's rules for a kernel that the user names, otherwise for the one at hand: if need be, the nearest."""
    from mountplan.planner.model import KNOWN, is_known, rules_of

    release = version or os.uname().release
    if not is_known(release):
        output.note(f"Linux {release} is not known to the model, which answers as the nearest of {KNOWN} would.\n")
    return rules_of(release)


def _of_kept(what: str, aged: bool, locked: bool) -> tuple[Inhabited, ...]:
    from mountplan.applier.keep.inhabited import of_kept

    name, _, namespace = what.partition("/")
    try:
        found = of_kept(name, aged=aged, locked=locked)
    except NotKept as error:
        remedy = "name a spec, a saved plan, a kept name (`mountplan ls` lists them) or a process"
        raise NotKept(error.what, remedy) from None
    if namespace and what not in [one.name for one in found]:
        names = ", ".join(one.name for one in found)
        raise NotKept(f"no namespace {namespace!r} is kept as {name}", f"there are: {names}")
    return tuple(sorted(found, key=lambda one: one.name != what)) if namespace else found


def _has_root(table: MountTable) -> bool:
    """Whether it can be understood: a process that is confined to a plain directory sees no root mount."""
    by_id = table.by_id()
    return 1 == sum(row.parent_id not in by_id or row.parent_id == row.mount_id for row in table.rows)


def _of_plan(
    what: str, parameters: Mapping[str, str] | None
) -> tuple[Tables, dict[str, SeenLocks], tuple[LeftOut, ...]]:
    from mountplan.applier.observe.observe import observe
    from mountplan.planner.plan.predict import predict

    plan = plan_from(what, parameters)
    tables: Tables = ()
    locks = {}
    for expected, one in zip(plan.expected.namespaces, predict(plan, observe()), strict=True):
        name = one.namespace or plan.name
        tables += ((name, MountTable(tuple(map(_with_own_groups, one.table.rows)))),)
        locks[name] = _planned_locks(expected, one)
    return tables, locks, plan.expected.left_out


def _planned_locks(expected: ExpectedNamespace, prediction: Prediction) -> SeenLocks:
    from mountplan.planner.plan.predict import lock_of, mounts_behind

    behind = mounts_behind(expected, prediction)
    found: dict[int, Lock] = {
        row.mount_id: lock_of(mount, is_one) for row, (mount, is_one) in zip(prediction.table.rows, behind, strict=True)
    }
    return SeenLocks(found if expected.user else {})


def _with_own_groups(row: MountRow) -> MountRow:
    """The groups that the plan makes get numbers that the kernel has for none; those of the host get the host's."""
    return row._replace(
        peer_group=_own_group(row.peer_group),
        master=_own_group(row.master),
        propagate_from=_own_group(row.propagate_from),
    )


def _own_group(number: int) -> int:
    from mountplan.planner.plan.predict import HOST_GROUPS

    return number - HOST_GROUPS if number >= HOST_GROUPS else -number
