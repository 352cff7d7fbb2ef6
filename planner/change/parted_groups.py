"""What a change does to groups that others outside are in, though no table outside shows it.

Nothing propagates while a tree is changed. So what is put on a shared mount is there only, and a mount that takes the
place of a shared one is in another group: those outside keep what they have, and what is mounted later no longer goes
from the one to the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow, MountTable


class Parted(NamedTuple):
    """A mount and the group that it leaves; `replaced` if it is in a new one then, in which nobody outside is."""

    mountpoint: str
    words: str
    replaced: bool


class GroupsOutside:
    """Who is in which group, or receives from it, by the words for it."""

    def __init__(self, tables: Iterable[tuple[str, MountTable]]) -> None:
        self._peers: dict[int, list[str]] = {}
        self._slaves: dict[int, list[str]] = {}
        for name, table in tables:
            for row in table.rows:
                words = f"{row.mountpoint} of {name}"
                for number, found in ((row.peer_group, self._peers), (row.master, self._slaves)):
                    if number:
                        found.setdefault(number, []).append(words)

    def peers(self, group: int) -> str:
        return _first(self._peers.get(group, []))

    def receivers(self, group: int) -> str:
        return _first(self._peers.get(group, []) + self._slaves.get(group, []))


def _first(words: list[str]) -> str:
    return words[0] + (f" and {len(words) - 1} more" if len(words) > 1 else "") if words else ""


def parted(before: MountTable, after: MountTable, outside: GroupsOutside) -> list[Parted]:
    """Of mounts at one place before and after: those that part from others outside."""
    peers = {(row.mountpoint, row.peer_group) for row in after.rows if row.peer_group}
    masters = {(row.mountpoint, row.master) for row in after.rows if row.master}
    new = {row.mountpoint for row in after.rows if row.peer_group < 0}
    places = {row.mountpoint for row in after.rows}
    found = []
    for row in before.rows:
        where = row.mountpoint
        if where not in places:
            continue
        if row.peer_group and (where, row.peer_group) not in peers and (others := outside.receivers(row.peer_group)):
            words = f"{where} leaves the group of {others}: what is mounted on it does not arrive there any more"
            if (where, row.peer_group) in masters:
                words = f"{where} only receives from {others}: what is mounted on it does not arrive there any more"
            elif outside.peers(row.peer_group):
                words = f"{where} leaves the group of {others}: what is mounted on the one does not reach the other"
            found.append(Parted(where, words, where in new))
        if row.master and (where, row.master) not in masters and (others := outside.peers(row.master)):
            words = f"{where} no longer receives what is mounted on {others}"
            if (where, row.master) in peers:
                words = f"{where} joins the group of {others}: what is mounted on it arrives there as well"
            found.append(Parted(where, words, False))
    return found


def only_here(before: MountTable, after: MountTable, outside: GroupsOutside) -> list[str]:
    """Of shared mounts that stay: those on which something changes, without those outside."""
    earlier, later = _shared(before), _shared(after)
    return [
        f"what changes on {where} changes here only: {others} has what it had"
        for (where, group), rows in earlier.items()
        if (others := outside.receivers(group)) and (where, group) in later and rows != later[where, group]
    ]


def _shared(table: MountTable) -> dict[tuple[str, int], Counter[tuple[str, str, str]]]:
    """What is mounted on each shared mount."""
    shared: dict[int, MountRow] = {row.mount_id: row for row in table.rows if row.peer_group}
    found: dict[tuple[str, int], Counter[tuple[str, str, str]]] = {
        (row.mountpoint, row.peer_group): Counter() for row in shared.values()
    }
    for row in table.rows:
        upon = shared.get(row.parent_id)
        if upon is not None:
            found[upon.mountpoint, upon.peer_group][row.mountpoint, row.device, row.root] += 1
    return found
