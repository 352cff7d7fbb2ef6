"""What questions about propagation are asked of: tables of a plan, kept name, process or tree, and all around them."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from mountplan.planner.errors import NotKept, SubjectError
from mountplan.planner.names import LeftOut, Lock
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mount_facts import SeenLocks
from mountplan.planner.tables.table import MountRow, MountTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mountplan.applier.keep.inhabited import Inhabited
    from mountplan.planner.ask.explain import Explainer
    from mountplan.planner.ask.trial import Trial
    from mountplan.planner.commands.actions import Stage
    from mountplan.planner.model import Process, Rules
    from mountplan.planner.plan.plan import ExpectedNamespace, Plan
    from mountplan.planner.plan.predict import Prediction

Tables = tuple[tuple[str, MountTable], ...]

_WAYS = "name a spec, a saved plan, a kept name (`mountplan ls` lists them) or a process"


class Known(NamedTuple):
    """Namespaces that something is asked about, how old their mounts are, and what is locked (see Inhabited), by name.

    `other` is what a second namespace that was asked for is called there. `left_out` are mounts of the spec.
    """

    tables: Tables
    ages: dict[str, dict[int, int]]
    locks: dict[str, SeenLocks]
    other: str = ""
    left_out: tuple[LeftOut, ...] = ()
    plan: Plan | None = None
    standing: Mapping[str, int] = {}  # those that stand on this machine, with the numbers of their files


def known_of(
    what: str | Plan | MountTable,
    *,
    first: str = "",
    aged: bool = False,
    locked: bool = False,
    other: str | None = None,
) -> Known:
    """(name, table) of each namespace; first those that were asked for, then what else there is around them.

    `what` is a plan, a table by itself, a process by its number (`12` or `pid:12`), or a kept name; of one with several
    namespaces, NAME/NAMESPACE comes first; of a plan, `first`. With `aged` the ages of mounts come along, with `locked`
    what is locked, as far as that is known. `other` is a kept name or process, or one of the names in a plan, to be
    there as well. Raises NotKept, KeepRefused, SubjectError or TableError.
    """
    from mountplan.applier.keep.inhabited import apart, everyone_else, of_process
    from mountplan.applier.observe.observe import own_number
    from mountplan.planner.plan.plan import Plan

    if isinstance(what, MountTable):
        return Known((("the table", what),), {}, {}, other or "")
    planned: Tables = ()
    locks: dict[str, SeenLocks] = {}
    if isinstance(what, Plan):
        planned, locks = _of_plan(what)
        planned = _with_first(planned, first) if first else planned
        asked: tuple[Inhabited, ...] = (of_process(own_number(), aged=aged, locked=locked),)
    else:
        asked = _standing(what, aged, locked)
    second = "" if other is None or other in [name for name, _ in planned] else other
    if second:
        live_other = _standing(second, aged, locked)[0]
        known_already = next((one for one in asked if one.inode == live_other.inode), None)
        if known_already is None:
            asked = (*asked, live_other)
        other = (known_already or live_other).name
        other = apart(other) if other in [name for name, _ in planned] else other
    others = [
        one for one in everyone_else({one.inode for one in asked}, aged=aged, locked=locked) if _has_root(one.table)
    ]
    if planned:  # then ours is one of the others
        others, asked = [*(one for one in asked if _has_root(one.table)), *others], ()
    # A plan's namespaces, and trees that stand, may have the same names, and be two things.
    mine = {name for name, _ in planned}
    live = tuple(one._replace(name=apart(one.name)) if one.name in mine else one for one in (*asked, *others))
    tables = (*planned, *((one.name, one.table) for one in live))
    locks |= {one.name: one.locks for one in live if one.locks is not None}
    left_out = what.expected.left_out if isinstance(what, Plan) else ()
    ages = {one.name: one.ages for one in live if one.ages}
    plan = what if isinstance(what, Plan) else None
    return Known(tables, ages, locks, other or "", left_out, plan, {one.name: one.inode for one in live})


def absent_in(known: Known) -> Callable[[str], str]:
    """Why a path is not there in the first namespace of a plan, as far as the plan makes what is there; or ""."""

    def absent(path: str) -> str:
        from mountplan.planner.model import WouldRefuse
        from mountplan.planner.model.walking import walk

        carried_out = carry_out(known)
        if carried_out is None:
            return ""
        try:
            walk(carried_out[1], path)
        except WouldRefuse as refusal:
            return str(refusal) if refusal.errno in (errno.ENOENT, errno.ENOTDIR) else ""
        return ""

    return absent


def carry_out(known: Known) -> tuple[Trial, Process] | None:
    """A plan carried out in the model, and a process in its first namespace; None without a plan.

    Tables tell no files: here those are there that the plan makes, and in its filesystems no others.
    """
    if known.plan is None:
        return None
    from mountplan.applier.observe.observe import observe
    from mountplan.planner.ask.trial import Trial

    own = os.stat("/proc/self/ns/mnt").st_ino
    others = tuple((name, table) for name, table in known.tables if known.standing.get(name, own) != own)
    trial = Trial(known.plan.steps, observe(), others=others)
    trial.run()
    first = known.tables[0][0]
    process = next((one for name, one in trial.finished if (name or _called(known.plan)) == first), None)
    return None if process is None else (trial, process)


def stage_of(known: Known, rules: Rules) -> Stage:
    """Where a script begins that begins with what is known: its process 1 sees the first namespace."""
    from mountplan.planner.commands.actions import Stage
    from mountplan.planner.model import World
    from mountplan.planner.model.from_tables import world_of

    carried_out = carry_out(known)
    if carried_out is not None:
        trial, process = carried_out
        trial.world.rules = rules
        beside = {name: one for name, one in trial.finished if one is not process}
        return Stage(trial.world, {1: process}, beside | trial.around)
    seen = world_of(known.tables, World(rules))
    names = [name for name, _ in known.tables]
    return Stage(seen.world, {1: seen.processes[0]}, dict(zip(names[1:], seen.processes[1:], strict=True)))


def users_known_of(known: Known) -> dict[tuple[str, int], str]:
    """Who has something of the mounts that stand, by namespace and id, as far as this user may look."""
    from mountplan.applier.observe.mount_users import users_of
    from mountplan.applier.observe.observe import own_number

    users, own = (users_of(None), own_number()) if known.standing else ({}, 0)
    found = {}
    for name, table in known.tables:
        for row in table.rows if name in known.standing else ():
            others = [one for one in users.get(row.mount_id, ()) if one.pid != own]
            if others:
                more = f" and {len(others) - 1} more" if len(others) > 1 else ""
                found[name, row.mount_id] = f"{others[0].command} ({others[0].pid}){more}"
    return found


def users_unseen_of(known: Known) -> str:
    """Which processes there may be that users_known_of() cannot look into, in words; "" if there are none."""
    from mountplan.applier.observe.mount_users import unseen

    return unseen() if known.standing else ""


def process_number(what: str) -> int | None:
    """The process that an argument names, `12`, `pid:12` or `pid:self`; None if it names something else.

    A bare number under which something is kept is that name. Raises SubjectError for `pid:` with what is no number.
    """
    from mountplan.operands import is_kept, recognise

    if what.startswith("pid:"):
        return int(recognise(what).value)
    return int(what) if what.isascii() and what.isdecimal() and not is_kept(what) else None


def explainer_of(what: str | Plan | MountTable, *, reaches: str | None = None, kernel: str | None = None) -> Explainer:
    """An Explainer of that; `kernel` is the release of another one than this machine's, as in "6.1"."""
    from mountplan.planner.ask.explain import Explainer
    from mountplan.planner.model import is_known, rules_of
    from mountplan.planner.model.rules import KNOWN

    if kernel is not None and not is_known(kernel):
        raise SubjectError(f"it is not known what Linux {kernel} would do", f"known are {KNOWN}")
    known = known_of(what, aged=True, locked=True, other=reaches)
    rules = rules_of(kernel or os.uname().release)
    return Explainer(known.tables, known.tables[0][0], rules, known.ages, known.locks, known.other)


def _standing(what: str, aged: bool, locked: bool) -> tuple[Inhabited, ...]:
    from mountplan.applier.keep.inhabited import of_process

    number = process_number(what)
    if number is not None:
        return (of_process(number, aged=aged, locked=locked),)
    return _of_kept(what.removeprefix("name:"), aged, locked)


def _of_kept(what: str, aged: bool, locked: bool) -> tuple[Inhabited, ...]:
    from mountplan.applier.keep.inhabited import of_kept
    from mountplan.applier.keep.kept_record import is_name
    from mountplan.operands import near_miss

    name, _, namespace = what.partition("/")
    if not is_name(name):
        path = "; a path in one is asked about by --mount, --unmount or --why" if what.startswith("/") else ""
        raise NotKept(f"{what!r} is no spec, no kept name and no process", f"{_WAYS}{path}")
    try:
        found = of_kept(name, aged=aged, locked=locked)
    except NotKept as error:
        near = "did you mean pid:self? or " if name == "self" else near_miss(name)
        raise NotKept(error.what, near + _WAYS) from None
    if namespace and what not in [one.name for one in found]:
        names = ", ".join(one.name for one in found)
        raise NotKept(f"no namespace {namespace!r} is kept as {name}", f"there are: {names}")
    return tuple(sorted(found, key=lambda one: one.name != what)) if namespace else found


def _has_root(table: MountTable) -> bool:
    """Whether it can be understood: a process that is confined to a plain directory sees no root mount."""
    by_id = table.by_id()
    return 1 == sum(row.parent_id not in by_id or row.parent_id == row.mount_id for row in table.rows)


def _called(plan: Plan) -> str:
    return plan.name or plan.file or "the tree"


def _of_plan(plan: Plan) -> tuple[Tables, dict[str, SeenLocks]]:
    from mountplan.applier.observe.observe import observe
    from mountplan.planner.plan.predict import predict

    tables: Tables = ()
    locks = {}
    for expected, one in zip(plan.expected.namespaces, predict(plan, observe()), strict=True):
        name = one.namespace or _called(plan)
        tables += ((name, MountTable(tuple(map(_with_own_groups, one.table.rows)))),)
        locks[name] = _planned_locks(expected, one)
    return tables, locks


def _with_first(planned: Tables, first: str) -> Tables:
    names = [name for name, _ in planned]
    if first not in names:
        raise SubjectError(f"there is no mount namespace {first!r} in the plan", f"it has: {', '.join(names)}")
    return tuple(sorted(planned, key=lambda one: one[0] != first))


def _planned_locks(expected: ExpectedNamespace, prediction: Prediction) -> SeenLocks:
    from mountplan.planner.plan.predict import lock_of, mounts_behind

    behind = mounts_behind(expected, prediction)
    found: dict[int, Lock] = {
        row.mount_id: lock_of(mount, is_one) for row, (mount, is_one) in zip(prediction.table.rows, behind, strict=True)
    }
    return SeenLocks(found if expected.user else {})


def _with_own_groups(row: MountRow) -> MountRow:
    """The groups that the plan makes get numbers that the kernel has for none; those of the host get the host's."""
    from mountplan.planner.plan.predict import HOST_GROUPS

    three = (row.peer_group, row.master, row.propagate_from)
    group, master, source = (one - HOST_GROUPS if one >= HOST_GROUPS else -one for one in three)
    return row._replace(peer_group=group, master=master, propagate_from=source)
