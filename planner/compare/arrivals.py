"""Whether a mount that nothing wanted was mounted where it is, or has arrived there by propagation.

What arrives in a slave is a slave of the group of what was mounted at the master: the kernel marks it, and anything
else was mounted here. Among peers it marks nothing: all copies are peers of each other, and the oldest, which has the
smallest unique id, is the one that was mounted.
"""

from __future__ import annotations

from mountplan.planner.light import Literal
from mountplan.planner.paths import TargetPath
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow, MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

Whence: TypeAlias = Literal["here", "elsewhere", "unknown"]


class Surroundings(NamedTuple):
    """The mounts of all namespaces of the machine, as far as they can be seen, and unique ids by ids of mountinfo."""

    tables: tuple[MountTable, ...] = ()
    ages: Mapping[int, int] = {}


class Arrivals:
    """Tells, of mounts in the tables `own`, whether they arrived there. `ask` is asked once, when it is needed.

    In what is `untouched` no process has been yet but the one that built it, which shares nothing before all stands:
    there propagation alone makes what is shared. Where that came from may be unmounted again when it is asked for.
    """

    def __init__(
        self, own: Iterable[MountTable], ask: Callable[[], Surroundings] | None, *, untouched: bool = False
    ) -> None:
        self._untouched = untouched
        self._own_tables = tuple(own)
        self._ask = ask
        self._rows: dict[int, MountRow] = {}  # no two mounts of a machine have one id at a time
        self._members: dict[int, list[MountRow]] = {}
        self._own: frozenset[int] = frozenset()
        self._ages: Mapping[int, int] = {}

    def whence(self, mount: MountRow, parent: MountRow) -> Whence:
        """Where a mount that stands on `parent` comes from."""
        if self._untouched and (parent.master or parent.peer_group):
            return "elsewhere" if mount.master or mount.peer_group else "here"
        may_be_shared = parent.peer_group or not mount.peer_group  # a slave that is not shared receives no other
        if parent.master and mount.master and may_be_shared and self._has_come_down(mount, parent):
            return "elsewhere"
        if parent.peer_group and mount.peer_group:
            return self._among_peers(mount, parent)
        return "here"

    def is_from_within(self, mount: MountRow) -> bool:
        """Of what has arrived in a slave: whether it was mounted in one of our own tables, as far as is seen."""
        self._look_around()
        group = mount.master
        while group:
            members = self._members.get(group, ())
            if not members or not self._own.issuperset(one.mount_id for one in members):
                return False
            group = members[0].master
        return bool(mount.master)

    def _look_around(self) -> None:
        if self._rows:
            return
        around = self._ask() if self._ask is not None else Surroundings()
        self._ages = around.ages
        self._rows = {row.mount_id: row for table in (*around.tables, *self._own_tables) for row in table.rows}
        self._own = frozenset(row.mount_id for table in self._own_tables for row in table.rows)
        for row in self._rows.values():
            if row.peer_group:
                self._members.setdefault(row.peer_group, []).append(row)

    def _has_come_down(self, mount: MountRow, parent: MountRow) -> bool:
        """Is it a slave of what was mounted at its place in the master of its parent, or in the master of that?

        A copy of what has arrived, or what was moved, is a slave of the same, and nothing is at its place there, or
        something else: what arrives shows what was mounted.
        """
        self._look_around()
        above: dict[int, None] = {}
        group = parent.master
        while group and group not in above:
            above[group] = None
            group = next((one.master for one in self._members.get(group, ())), 0)
        place = _place_in(mount, parent)
        sources = self._members.get(mount.master, ())
        if sources:
            bases = [(one, self._rows.get(one.parent_id)) for one in sources]
            return any(
                _shows_the_same(one, mount)
                and (base is None or (base.peer_group in above and _place_in(one, base) in (None, place)))
                for one, base in bases
            )
        # Nobody sees what it is a slave of: it is not where it would be, if a place where it would be can be seen.
        if place is None:
            return True
        return not any(place.is_under(one.root) for group in above for one in self._members.get(group, ()))

    def _among_peers(self, mount: MountRow, parent: MountRow) -> Whence:
        self._look_around()
        copies = [mount.mount_id]
        place = _place_in(mount, parent)
        for one in self._members.get(mount.peer_group, ()):
            base = self._rows.get(one.parent_id)
            if one.mount_id == mount.mount_id or base is None or base.peer_group != parent.peer_group:
                continue
            if _shows_the_same(one, mount) and (place is None or _place_in(one, base) in (None, place)):
                copies.append(one.mount_id)
        if self._own.issuperset(copies):
            return "here"
        try:
            oldest = min(copies, key=self._ages.__getitem__)
        except KeyError:
            return "unknown"
        return "here" if oldest in self._own else "elsewhere"


def _shows_the_same(one: MountRow, other: MountRow) -> bool:
    return (one.device, one.root) == (other.device, other.root)


def _place_in(mount: MountRow, parent: MountRow) -> TargetPath | None:
    """Where in the filesystem of its parent a mount stands; None if the two are not seen from one root."""
    if not TargetPath(mount.mountpoint).is_under(parent.mountpoint):
        return None
    return TargetPath(parent.root).joined(TargetPath(mount.mountpoint).relative_to(parent.mountpoint))
