"""Mounts of what there is only one of, under another source than the host's mounts of it have: `cgroup`, `none`, ...

A bind has the source of what it is bound from, so these are made anew. That gives one more mount of the superblock
that is there, with a source of its own, and what shows a part of it is bound from that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mountplan.planner.capture.groups import Mount, Sharing
from mountplan.planner.capture.widest import HostMounts
from mountplan.planner.fstypes import of
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import UNTOLD, MountRow


class Renamed(NamedTuple):
    """Mounts of one superblock with one source: the one that makes it, or None if none of them shows the whole."""

    maker: Mount | None
    mounts: tuple[Mount, ...]


class Sources(NamedTuple):
    """Which mounts are made under a source of their own, and those that cannot be, with the source that they get."""

    renamed: dict[Mount, Renamed]
    lost: dict[Mount, str]


def find_sources(
    trees: Sequence[MountTree], host: HostMounts, makers: Mapping[str, Mount], sharing: Sharing
) -> Sources:
    """`makers` are the mounts that make superblocks, by device; the others are taken from the host.

    Members, masters and slaves of a group are of one filesystem in a spec, so either all of them get the other source,
    or none does.
    """
    sets: dict[tuple[str, str], list[Mount]] = {}
    lost: dict[Mount, str] = {}
    for space, tree in enumerate(trees):
        for index, row in enumerate(tree.rows):
            if row.source != UNTOLD:
                otherwise = _otherwise(row, trees, host, makers)
                if row.source != otherwise != UNTOLD:
                    lost[space, index] = otherwise
                    if of(row.fstype).is_shared:  # one more mount of it is the same superblock
                        sets.setdefault((row.device, row.source), []).append((space, index))
    if not sets:
        return Sources({}, lost)
    circles = _circles(sharing)
    whole = _whole_circles(sets, circles, sharing)
    renamed = {}
    for mounts in sets.values():
        able = tuple(mount for mount in mounts if circles.get(mount, "") in whole)
        maker = next((mount for mount in able if trees[mount[0]].rows[mount[1]].root == "/"), None)
        for mount in able:
            renamed[mount] = Renamed(maker, able)
            del lost[mount]
    return Sources(renamed, lost)


def _otherwise(row: MountRow, trees: Sequence[MountTree], host: HostMounts, makers: Mapping[str, Mount]) -> str:
    """The source that it would have as a bind."""
    if row.device in makers:
        space, index = makers[row.device]
        return trees[space].rows[index].source
    found = host.showing(row.device, row.root)
    return found[1].source if found is not None else UNTOLD


def _circles(sharing: Sharing) -> dict[Mount, str]:
    """For each mount that is not private, the group that all its events come from in the end."""
    masters = {one.name: one.master for one in sharing.groups}
    tops: dict[str, str] = {}
    for name in masters:
        trail = []
        while name not in tops and masters.get(name):
            trail.append(name)
            name = masters[name]
        tops |= dict.fromkeys((*trail, name), tops.get(name, name))
    return {mount: tops[name] for mount, name in (*sharing.group_of.items(), *sharing.master_of.items())}


def _whole_circles(
    sets: dict[tuple[str, str], list[Mount]], circles: dict[Mount, str], sharing: Sharing
) -> frozenset[str]:
    """The circles all mounts of which are in the same set, and none is the host's; "" for those that are private."""
    set_of = {mount: key for key, mounts in sets.items() for mount in mounts}
    found: dict[str, set[tuple[str, str] | None]] = {}
    for mount, circle in circles.items():
        found.setdefault(circle, set()).add(set_of.get(mount))
    hosts = {one.name for one in sharing.groups if one.host}
    own = (one for one, keys in found.items() if len(keys) == 1 and None not in keys and one not in hosts)
    return frozenset(("", *own))
