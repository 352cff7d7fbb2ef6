"""What the host has mounted or unmounted while a tree was built that follows it, and that tree has not heard of.

A clone that is attached nowhere receives no events, and one that has not joined its group yet neither. So where a bind
brings along peers or slaves of the host's mounts, or a root is slave of the host's, the host's table is read again when
all stands, and compared. From then on the kernel sees to it.
"""

from __future__ import annotations

from mountplan.applier.observe.observe import observe
from mountplan.planner.compare.difference import Difference, Drift
from mountplan.planner.plan.of_others import FOLLOWING
from mountplan.planner.plan.plan import ExpectedMount
from mountplan.planner.plan.predict import predict
from mountplan.planner.tables.table import MountRow, MountTable, Walks, copied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.applier.build.build import Built
    from mountplan.planner.plan.plan import Plan

_Place = tuple[str, str, str]  # mountpoint below the bind's, device, root
_REMEDY = "run it again: the host mounted or unmounted something there each time that it was built"


def _follows(mount: ExpectedMount) -> bool:
    return bool(mount.inherits) or mount.brings in FOLLOWING


def has_changed(plan: Plan, built: Built) -> bool:
    """True if the host is not what it was when the build began, where the plan follows it."""
    before, now = copied(built.host), copied(observe())
    followed = [mount for space in plan.expected.namespaces for mount in space.mounts if _follows(mount)]
    return any(change for mount in followed for change in _changes(mount, before, now))


def missed(plan: Plan, built: Built) -> Drift:
    """What has come or gone on the host, and not in the tree; () if the tree has all of it."""
    now = copied(observe())
    before = copied(built.host)
    if set(now.rows) == set(before.rows):
        return ()
    told: list[Difference] = []
    tables: list[MountTable] = []
    for number, (space, prediction) in enumerate(zip(plan.expected.namespaces, predict(plan, built.host), strict=True)):
        places = dict(zip(prediction.names, prediction.table.rows, strict=True))
        for mount in filter(_follows, space.mounts):
            came, went = _changes(mount, before, now)
            if not (came or went):
                continue
            tables = tables or _tables(built)
            where = places[mount.name].mountpoint.rstrip("/")
            there = {_place(row, where) for row in tables[number].rows}
            lacking = [(at, f"{row.fstype}, as on the host", "no mount") for at, row in came.items() if at not in there]
            stale = [(at, "no mount, as on the host", row.fstype) for at, row in went.items() if at in there]
            told += [
                Difference(where + below or "/", "mount", wanted, found, mount.origin, _REMEDY, space.name)
                for (below, _, _), wanted, found in (*lacking, *stale)
            ]
    return tuple(told)


def _changes(
    mount: ExpectedMount, before: MountTable, now: MountTable
) -> tuple[dict[_Place, MountRow], dict[_Place, MountRow]]:
    """What has come and what has gone below the host's path, where events come through."""
    old, new = (_below(mount, table) for table in (before, now))
    return (
        {place: row for place, row in new.items() if place not in old},
        {place: row for place, row in old.items() if place not in new},
    )


def _below(mount: ExpectedMount, table: MountTable) -> dict[_Place, MountRow]:
    """The mounts of the host at and below a path that stand on what passes events on, by place."""
    by_id = table.by_id()
    top = Walks(table).end_of(mount.root)
    base = mount.root.rstrip("/")
    found = {}
    for row in table.rows:
        if row is top or not row.mountpoint.startswith(f"{base}/"):
            continue
        parent = by_id.get(row.parent_id)
        hears = bool(mount.group or mount.master or mount.inherits) if parent is top else True
        if parent is not None and hears and (parent.peer_group or parent.master):
            found[_place(row, base)] = row
    return found


def _place(row: MountRow, base: str) -> _Place:
    return row.mountpoint[len(base) :] if row.mountpoint.startswith(base) else "", row.device, row.root


def _tables(built: Built) -> list[MountTable]:
    """The tables of all namespaces as they are now."""
    from mountplan.applier.build.build_subjects import of_built

    subjects = of_built(built)
    try:
        return [one.read().table for one in subjects]
    finally:
        for one in subjects:
            one.close()
