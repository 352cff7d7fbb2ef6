"""Tells apart what has been removed and shows a name that something else has: the kernel says the name it once had.

So it is captured under a name of its own. Otherwise the copy would show one for the other.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import count

from mountplan.applier.observe.layer_looks import presence
from mountplan.applier.observe.roots import look
from mountplan.applier.observe.subjects import Subject
from mountplan.applier.sys import abi, syscalls
from mountplan.planner.paths import TargetPath
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import DELETED, MountRow, MountTable

_Place = tuple[str, str]  # device, path in its filesystem
_INSIDE = "/."  # of a path, if it is a directory's


class OwnNames(NamedTuple):
    """Tables in which no two things have one name; which directories a copy makes for these names and has again; and
    which mounts (number of the namespace, id) show what was removed and has other names.
    """

    tables: list[MountTable]
    again: list[ThereAgain]
    linked: list[tuple[int, int]]


class ThereAgain(NamedTuple):
    """A directory that was removed with what a mount (number of its namespace, id) still shows, and comes back."""

    space: int
    mount: int
    path: str


def with_own_names(subjects: Sequence[Subject], tables: Sequence[MountTable], devices: Collection[str]) -> OwnNames:
    """`devices` are of filesystems that matter not."""
    if not any(row.root.endswith(DELETED) and row.device not in devices for table in tables for row in table.rows):
        return OwnNames(list(tables), [], [])
    # The order of the tree is the same in a copy, and so are the names.
    removed = [
        [row for row in MountTree(table).rows if row.root.endswith(DELETED) and row.device not in devices]
        for table in tables
    ]
    things: dict[_Place, dict[int, str]] = {}  # by inode, what to call them
    taken = {place for table in tables for place in _alive(table)}
    inodes: dict[tuple[int, int], int] = {}
    linked: list[tuple[int, int]] = []
    first_of: dict[tuple[str, int], _Place] = {}  # by device and inode
    for space, rows in enumerate(removed):
        answers = look(subjects[space], tables[space], [row.mount_id for row in rows], _inode)
        for row, answer in zip(rows, answers, strict=True):
            inode, has_names = answer or (0, False)  # what cannot be seen is taken for one and the same
            place = row.device, row.root.removesuffix(DELETED)
            inodes[space, row.mount_id] = inode
            things.setdefault(place, {}).setdefault(inode, place[1])
            if has_names or (inode and first_of.setdefault((row.device, inode), place) != place):
                linked.append((space, row.mount_id))
    above = {(device, one) for device, path in things for one in TargetPath(path).ancestors() if one != "/"}
    there = set(_found(subjects, tables, {*things, *above, *((device, path + _INSIDE) for device, path in above)}))
    taken |= there
    for (device, path), those in things.items():
        files = [
            one
            for one in TargetPath(path).ancestors()
            if (device, one) in there and (device, one + _INSIDE) not in there
        ]
        for inode in those:
            those[inode] = next(name for name in _names(path, files[:1]) if (device, name) not in taken)
            taken.add((device, those[inode]))
    renamed = [
        MountTable(tuple(_renamed(row, things, inodes.get((space, row.mount_id))) for row in table.rows))
        for space, table in enumerate(tables)
    ]
    return OwnNames(renamed, list(_there_again(renamed, things, there)), linked)


def _there_again(
    tables: Sequence[MountTable], things: Mapping[_Place, Mapping[int, str]], there: Collection[_Place]
) -> Iterator[ThereAgain]:
    """The topmost directory that is missing on the way to each thing, if a mount would show it and it is not removed
    again as a thing of its own.
    """
    known = {(device, name) for (device, _), those in things.items() for name in those.values()} | {*there}
    for space, table in enumerate(tables):
        for row in table.rows:
            name = row.root.removesuffix(DELETED)
            if name == row.root or (row.device, name) not in known:
                continue
            ways = [(row.device, str(one)) for one in TargetPath(name).ancestors() if one != "/"]
            missing = [one for one in ways if one not in known and _is_shown(tables, *one)]
            if missing:
                known |= {*missing}
                yield ThereAgain(space, row.mount_id, min(path for _, path in missing))


def _is_shown(tables: Sequence[MountTable], device: str, path: str) -> bool:
    return any(row.device == device and _shows(row, path) for table in tables for row in table.rows)


def _renamed(row: MountRow, things: dict[_Place, dict[int, str]], inode: int | None) -> MountRow:
    if inode is None:
        return row
    return row._replace(root=things[row.device, row.root.removesuffix(DELETED)][inode] + DELETED)


def _names(path: str, file: Sequence[TargetPath]) -> Iterator[str]:
    """What to call it; beside `file` if there is one by now where a directory was that it lay in."""
    if file:
        path = next(file[0].ancestors()).joined(path.rpartition("/")[2])
    else:
        yield path
    yield f"{path}.removed"
    yield from (f"{path}.removed-{number}" for number in count(2))


def _alive(table: MountTable) -> Iterator[_Place]:
    """What is known to have a name, since it is shown, or stood upon."""
    tree = MountTree(table)
    for index, row in enumerate(tree.rows):
        if row.root.endswith(DELETED):
            continue
        for place in ("/", *tree.below[index]):
            path = TargetPath(TargetPath(row.root).joined(place))
            yield from ((row.device, str(one)) for one in (path, *path.ancestors()))


def _found(subjects: Sequence[Subject], tables: Sequence[MountTable], places: Collection[_Place]) -> Iterator[_Place]:
    """Those of the places at which there is something again, as far as a mount shows it."""
    for subject, table in zip(subjects, tables, strict=True):
        wanted: dict[int, list[_Place]] = {}
        for device, path in places:
            row = next((one for one in table.rows if one.device == device and _shows(one, path)), None)
            if row is not None:
                wanted.setdefault(row.mount_id, []).append((device, path))
        roots = {row.mount_id: row.root for row in table.rows}
        inner = {
            mount: [TargetPath(path).relative_to(roots[mount]).lstrip("/") for _, path in those]
            for mount, those in wanted.items()
        }
        for those, answer in zip(wanted.values(), look(subject, table, list(wanted), presence(inner)), strict=True):
            yield from (place for place, there in zip(those, answer or (), strict=False) if there)


def _shows(row: MountRow, path: str) -> bool:
    return not row.root.endswith(DELETED) and path != row.root and TargetPath(path).is_under(row.root)


def _inode(path: bytes, mount: int, _: int) -> tuple[int, bool] | None:
    """The inode, and whether it has names; a directory has none but that which is removed."""
    try:
        found, _, _, _, is_root = syscalls.stat_root(abi.AT_FDCWD, path)
        status = os.lstat(path)
    except OSError:
        return None
    has_names = status.st_nlink > 0 and not stat.S_ISDIR(status.st_mode)
    return (status.st_ino, has_names) if found == mount and is_root else None
