"""Where the sharing of a spec stops at the top: a recursive bind is shared, and what it brings along is not.

That is no mistake, and seldom what is meant: events below the host's sub-mounts come to nobody. `recursive_sharing`
says what is meant, "private" as well.
"""

from __future__ import annotations

from mountplan.planner.errors import Mistake
from mountplan.planner.plan.plan import ExpectedMount, Plan
from mountplan.planner.tables.table import MountRow, MountTable, Walks, copied

_MOST_NAMED = 3


def sharing_stops(plan: Plan, host: MountTable) -> tuple[Mistake, ...]:
    """A warning for each such bind, in the order of the spec, with what comes private though it could be shared."""
    hosts = {group.name for group in plan.expected.groups if group.host}
    found = []
    rows: tuple[MountRow, ...] | None = None
    for space in plan.expected.namespaces:
        by_name = {mount.name: mount for mount in space.mounts}
        copies: dict[str, list[str]] | None = None
        for mount in space.mounts:
            if mount.brings or not (mount.group or mount.master):
                continue
            if mount.recursive and hosts & {mount.group, mount.master}:
                rows = rows or copied(host).rows
                private = _shared_below(mount, rows)
            elif mount.filesystem:
                copies = _private_copies(by_name) if copies is None else copies
                private = [one for one in copies.get(mount.name, ()) if by_name[one].group]
            else:
                continue
            if private:
                found.append(_warning(plan, mount, private))
    return tuple(found)


def _shared_below(mount: ExpectedMount, rows: tuple[MountRow, ...]) -> list[str]:
    top = Walks(MountTable(rows)).end_of(mount.root)
    base = mount.root.rstrip("/") + "/"
    return [row.mountpoint for row in rows if row.peer_group and row is not top and row.mountpoint.startswith(base)]


def _private_copies(by_name: dict[str, ExpectedMount]) -> dict[str, list[str]]:
    """Of each recursive bind of a mount of the spec: the originals of what it brings along that is private.

    Copies are named after both (planner/resolve/bound_trees.py).
    """
    found: dict[str, list[str]] = {}
    for name, one in by_name.items():
        at = name.find("+")
        while at > 0:
            bind, original = name[:at], name[at + 1 :]
            if bind in by_name and original in by_name and not (one.group or one.master):
                found.setdefault(bind, []).append(original)
            at = name.find("+", at + 1)
    return found


def _warning(plan: Plan, mount: ExpectedMount, private: list[str]) -> Mistake:
    named = ", ".join(private[:_MOST_NAMED])
    more = f" and {len(private) - _MOST_NAMED:,} more" if len(private) > _MOST_NAMED else ""
    word = "peer" if mount.group else "slave"
    return Mistake(
        plan.ref(mount.origin),
        f"{mount.name} is a {word}, but what it brings along is private, though it is shared where it comes from: "
        f"{named}{more}",
        f'write recursive_sharing = "{word}", or "private" if that is meant',
    )
