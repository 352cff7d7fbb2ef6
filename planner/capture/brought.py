"""Mounts of the host that no path leads to, since the host has covered them: a recursive bind brings them along.

The tree of a container that was made by moving its root upon the host's still has all of the host's mounts below, the
covered ones among them. Where what stands on a mount is just what the host has there, one recursive bind makes it all.
"""

from __future__ import annotations

from typing import Literal

from mountplan.planner.attributes import parse_shown
from mountplan.planner.capture.widest import HostMounts
from mountplan.planner.paths import TargetPath
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import DELETED, MountRow

Brings = Literal["", "slave", "peer"]  # what recursive_sharing says; "" for private


class Brought(NamedTuple):
    """Of a namespace, by index in its tree: the mounts bound recursively, what becomes of what they bring, and that."""

    tops: dict[int, Brings]
    rows: frozenset[int]


def find_brought(tree: MountTree, host: HostMounts) -> Brought:
    """As few as can be: they also bring what the host mounts later on, so they are written for what is covered only."""
    tops: dict[int, Brings] = {}
    rows: set[int] = set()
    tried: dict[int, tuple[Brings, frozenset[int]]] = {}
    for index, row in enumerate(tree.rows):
        if index in rows or not _is_covered(row, host):
            continue
        top = tree.parents[index]
        while top >= 0:
            if top not in tried:
                tried[top] = _brought_by(tree, top, host)
            brings, found = tried[top]
            if index in found:
                tops[top] = brings
                rows |= found
                break
            top = tree.parents[top]
    return Brought({top: brings for top, brings in tops.items() if top not in rows}, frozenset(rows))


def _is_covered(row: MountRow, host: HostMounts) -> bool:
    return row.device in host.devices and not row.root.endswith(DELETED) and host.showing(row.device, row.root) is None


def _brought_by(tree: MountTree, top: int, host: HostMounts) -> tuple[Brings, frozenset[int]]:
    """What a recursive bind in the place of mount `top` would bring, if all of that stands there; else nothing."""
    row = tree.rows[top]
    shown = host.showing(row.device, row.root)
    if host.tree is None or shown is None or row.source != shown[1].source or "idmapped" in row.attributes:
        return "", frozenset()
    path, there = shown
    brings: Brings = ""
    if there.peer_group and (row.peer_group, row.master) == (there.peer_group, there.master):
        brings = "peer"
    elif there.peer_group and (row.peer_group, row.master) == (0, there.peer_group):
        brings = "slave"
    for one in dict.fromkeys((brings, "")):
        if found := _brought_as(one, tree, top, host, path, there):
            return one, found
    return "", frozenset()


def _brought_as(
    brings: Brings, tree: MountTree, top: int, host: HostMounts, path: str, there: MountRow
) -> frozenset[int]:
    assert host.tree is not None
    begin = TargetPath("/").joined(TargetPath(path).relative_to(there.mountpoint))
    found: set[int] = set()
    waiting = [(top, host.index_of[there.mount_id], begin)]
    while waiting:
        ours, theirs, base = waiting.pop()
        for place, child in host.tree.below[theirs].items():
            if not TargetPath(place).is_under(base):
                continue
            at = TargetPath("/").joined(TargetPath(place).relative_to(base))
            mine = tree.below[ours].get(at)
            if mine is None or not _is_copy(tree.rows[mine], host.tree.rows[child], brings):
                return frozenset()
            found.add(mine)
            waiting.append((mine, child, TargetPath("/")))
    for index in found:  # what else stands on them is found by its target, since they have no names
        if not all(child in found or tree.reached[child] for child in tree.below[index].values()):
            return frozenset()
    return frozenset(found)


def _is_copy(row: MountRow, there: MountRow, brings: Brings) -> bool:
    """Whether it is what comes of the host's mount in a recursive bind."""
    if brings == "peer" and not there.peer_group:  # a group of its own, of which nobody knows who is in it as well
        return False
    groups = {"": (0, 0), "slave": (0, there.peer_group or there.master), "peer": (there.peer_group, there.master)}
    return (
        (row.device, row.root, row.fstype, row.source) == (there.device, there.root, there.fstype, there.source)
        and (row.peer_group, row.master) == groups[brings]
        and not row.unbindable
        and ("idmapped" in row.attributes) == ("idmapped" in there.attributes)
        and parse_shown(row.attributes) == parse_shown(there.attributes)
    )
