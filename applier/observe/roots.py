"""What the roots of mounts are, files or directories, even of those that other mounts cover.

A walk to a mountpoint ends on the topmost mount there; whether that is the one that was meant, its id tells. What lies
below others is laid open in a private copy of the namespace that no other process sees: there the covers are unmounted.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mountplan.applier.observe.observe import open_proc
from mountplan.applier.observe.subjects import Subject
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.inside import enter, in_child
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.mounttree import MountTree, path_to
from mountplan.planner.tables.table import MountTable

# From a path, the id that the mount there must have, and the id that it is known by: in a copy of the namespace, they
# differ. None if another mount is there.
See = Callable[[bytes, int, int], Any]


def look(subject: Subject, table: MountTable, mounts: Sequence[int], see: See) -> list[Any]:
    """What `see` says of the roots of these mounts (by id), in a child process; None for what cannot be seen."""
    tree = MountTree(table)
    indices = {row.mount_id: index for index, row in enumerate(tree.rows)}
    paths = {mount: os.fsencode(path_to(tree, 0, indices[mount])) for mount in mounts if mount in indices}
    proc = open_proc()
    root = subject.root()
    try:

        def visible() -> list[Any]:
            enter(subject.fd)
            if root >= 0 and tree.rows and _is_root(root, tree.rows[0].mount_id):
                os.fchdir(root)
                os.chroot(".")
            return [see(paths.get(mount, b""), mount, mount) for mount in mounts]

        def covered() -> list[Any]:
            enter(subject.fd)
            if root >= 0 and _is_root(root, tree.rows[0].mount_id):
                os.fchdir(root)
                os.chroot(".")
            return _lay_open(proc, tree, [indices.get(mount, -1) for mount in missing], see)

        try:
            found = in_child(visible)
        except OSError:
            return [None] * len(mounts)
        missing = [mount for mount, one in zip(mounts, found, strict=True) if one is None]
        if missing:
            try:
                more = dict(zip(missing, in_child(covered), strict=True))
            except OSError:
                more = {}
            found = [one or more.get(mount) for mount, one in zip(mounts, found, strict=True)]
        return found
    finally:
        os.close(proc)
        if root >= 0:
            os.close(root)


def _is_root(fd: int, mount: int) -> bool:
    try:
        found = syscalls.stat_root(fd, b"")
    except OSError:
        return False
    return found[0] == mount and found[4]


def _lay_open(proc: int, tree: MountTree, indices: list[int], see: See) -> list[Any]:
    """Look at mounts (by index) that are covered, in a copy of the namespace from which the covers are taken away."""
    here = syscalls.mount_id(abi.AT_FDCWD, b"/")
    start = next((index for index, row in enumerate(tree.rows) if row.mount_id == here), -1)
    if start < 0:
        raise OSError("what is at / is not in the tree")  # it covers the root of a process that is below it
    syscalls.unshare(abi.CLONE_NEWNS)
    copy = os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    wanted = sorted(index for index in indices if index >= 0)
    done: dict[int, Any] = {}
    gone: set[int] = set()
    while True:
        end = tree.end_of(start)
        _uncover(proc, tree, start, [index for index in wanted if start <= index < end], done, gone, see)
        below = tree.parents[start]
        if all(start <= index < end for index in wanted) or below < 0 or tree.rows[below].peer_group:
            return [done.get(index) for index in indices]
        # Our root is itself a cover; what it stands on has no peers elsewhere that would lose theirs with it.
        syscalls.umount2(b"/", abi.MNT_DETACH)
        gone.update(range(start, end))
        syscalls.setns(copy, abi.CLONE_NEWNS)
        start = below


def _uncover(
    proc: int, tree: MountTree, start: int, wanted: list[int], done: dict[int, Any], gone: set[int], see: See
) -> None:
    """Look at mounts that stand on mount `start`, which is our root in the copy; enters them in `done`."""
    syscalls.mount(b"/", abi.MS_REC | abi.MS_PRIVATE)
    copy = own_tree(proc)
    if any(row.peer_group or row.master for row in copy.rows):
        raise OSError("the copy is not private")  # an unmount would be seen elsewhere
    same = copy_of_tree(tree, start, copy)
    for index in wanted:
        stack = [index]
        while stack:
            one = stack[-1]
            if one in done or one in gone:
                stack.pop()
                continue
            first = _first_needed(tree, one, wanted, done, gone)
            if first is not None:  # it would go with a cover
                stack.append(first)
                continue
            for cover in _stacks(tree, one):
                if cover not in gone and cover in same:
                    syscalls.umount2(os.fsencode(path_to(tree, start, cover)), abi.MNT_DETACH | abi.UMOUNT_NOFOLLOW)
                    gone.update(range(cover, tree.end_of(cover)))
            stack.pop()
            if one in same:
                done[one] = see(os.fsencode(path_to(tree, start, one)), same[one], tree.rows[one].mount_id)
            else:
                done[one] = None


def _stacks(tree: MountTree, index: int) -> Iterable[int]:
    """The covers of a mount, each after what is stacked on it, so that a walk to the mountpoint ends on it."""
    for cover in tree.covers(index):
        stack = [cover]
        while (above := tree.below[stack[-1]].get("/")) is not None:
            stack.append(above)
        yield from reversed(stack)


def _first_needed(tree: MountTree, index: int, wanted: list[int], done: dict[int, Any], gone: set[int]) -> int | None:
    """A mount of interest that would go if the covers of mount `index` were taken away."""
    for cover in tree.covers(index):
        if cover not in gone:
            for one in wanted[bisect_left(wanted, cover) : bisect_left(wanted, tree.end_of(cover))]:
                if one not in done and one not in gone:
                    return one
    return None


def own_tree(proc: int) -> MountTree:
    return MountTree(parse_mountinfo(syscalls.own_mountinfo(proc)))


def copy_of_tree(tree: MountTree, start: int, copy: MountTree) -> dict[int, int]:
    """Index of a mount in the tree -> the id of its copy, for all that stands on `start`, the root of the copy."""
    places = {(copy.parents[index], copy.places[index]): index for index in range(len(copy.rows))}
    same = {start: 0}
    for index in range(start + 1, tree.end_of(start)):
        there = places.get((same.get(tree.parents[index], -2), tree.places[index]))
        if there is not None:
            same[index] = there
    return {index: copy.rows[there].mount_id for index, there in same.items()}
