"""Who owns a mount namespace, and what its owner cannot undo: found by trying, in a copy that no other process sees."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence

from mountplan.applier.observe.observe import open_proc
from mountplan.applier.observe.roots import copy_of_tree, own_tree
from mountplan.applier.observe.subjects import Subject
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.inside import ChildFailed, in_child
from mountplan.applier.sys.refusal import KernelRefusal, in_words
from mountplan.applier.sys.userns import initial_ids, waiting_in
from mountplan.planner.attributes import ATIME_MASK, NOATIME, parse_shown
from mountplan.planner.errors import TableError
from mountplan.planner.names import IdLines, Lock
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mount_facts import SeenLocks
from mountplan.planner.tables.mounttree import MountTree, path_to
from mountplan.planner.tables.table import MountTable


class LiveOwner(NamedTuple):
    """The user namespace behind `fd`, which the caller closes: its maps in ids of ours, and those that it descends
    from, as far as they are not ours, by inode.
    """

    fd: int
    inode: int
    above: tuple[int, ...]
    uids: IdLines
    gids: IdLines


def owner_of(namespace: int) -> LiveOwner | None:
    """Who owns the mount namespace behind a descriptor; None if that is our user namespace, or one above it."""
    ours = os.stat("/proc/self/ns/user").st_ino
    try:
        fd = fcntl.ioctl(namespace, abi.NS_GET_USERNS)
    except OSError:
        return None
    inode = os.fstat(fd).st_ino
    if inode == ours:
        os.close(fd)
        return None
    above = []
    one = os.dup(fd)
    try:
        while True:
            parent = fcntl.ioctl(one, abi.NS_GET_PARENT)
            os.close(one)
            one = parent
            if os.fstat(one).st_ino == ours:
                break
            above.append(os.fstat(one).st_ino)
        with waiting_in(lambda: _enter(fd)) as pid:
            uids, gids = initial_ids(pid)
    except OSError:
        os.close(fd)
        return None
    finally:
        os.close(one)
    return LiveOwner(fd, inode, tuple(above), uids, gids)


def _enter(user: int) -> None:
    syscalls.hide()  # from those who live in there
    if not os.path.samestat(os.fstat(user), os.stat("/proc/self/ns/user")):  # one's own cannot be entered
        syscalls.setns(user, abi.CLONE_NEWUSER)


def seen_locks(subject: Subject) -> SeenLocks:
    """What is locked in a namespace, of any owner. Of the machine's first user namespace's, what is a copy of another
    owner's has locks too (copy_mnt_ns); who may not look takes it to have none.
    """
    owner = -1
    try:
        owner = fcntl.ioctl(subject.fd, abi.NS_GET_USERNS)
        table = subject.read().table
        if os.fstat(owner).st_ino == abi.USER_NS_INIT_INO and not _has_locks(subject.fd, table):
            return SeenLocks()
        return SeenLocks(find_locks(subject.fd, owner, table))
    except OSError as error:
        return SeenLocks({}, in_words(error))
    except (TableError, ChildFailed) as error:
        return SeenLocks({}, str(error))
    finally:
        if owner >= 0:
            os.close(owner)


def _has_locks(namespace: int, table: MountTable) -> bool:
    """Whether something that stands on what a walk reaches is locked: its parent is not cloned then without it."""
    tree = MountTree(table)

    def look() -> bool:
        syscalls.setns(namespace, abi.CLONE_NEWNS)
        begins = syscalls.mount_id(abi.AT_FDCWD, b"/")
        start = next((index for index, row in enumerate(tree.rows) if row.mount_id == begins), -1)
        if start < 0:  # the root of the process is below that of its namespace
            return False
        parents = {*tree.parents[start + 1 : tree.end_of(start)]}
        return any(_holds_locked(os.fsencode(path_to(tree, start, one))) for one in parents if tree.reached[one])

    try:
        return in_child(look)
    except OSError as error:
        if error.errno == errno.EPERM:
            return False
        raise


def _holds_locked(path: bytes) -> bool:
    try:
        os.close(syscalls.open_tree(abi.AT_FDCWD, path, abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EINVAL
    return False


def find_locks(namespace: int, owner: int, table: MountTable) -> dict[int, Lock]:
    """What the owner cannot undo, by mount id, as far as its own walks reach the mounts. Raises OSError."""
    tree = MountTree(table)
    with closing_fd(open_proc()) as proc:

        def look() -> list[tuple[int, Lock]]:
            _enter(owner)
            syscalls.setns(namespace, abi.CLONE_NEWNS)
            start = {row.mount_id: index for index, row in enumerate(tree.rows)}[syscalls.mount_id(abi.AT_FDCWD, b"/")]
            syscalls.unshare(abi.CLONE_NEWNS)
            syscalls.mount(b"/", abi.MS_REC | abi.MS_PRIVATE)
            copy = own_tree(proc)
            if any(row.peer_group or row.master for row in copy.rows):
                raise OSError("the copy is not private")  # an unmount would be seen elsewhere
            return _try_all(tree, start, copy_of_tree(tree, start, copy))

        found = dict(in_child(look))
    return {tree.rows[index].mount_id: lock for index, lock in found.items()}


def _try_all(tree: MountTree, start: int, ids: dict[int, int]) -> list[tuple[int, Lock]]:
    """Unmount one after the other in the copy, what stands on a mount before it; what cannot be is locked.

    What is locked may cover others; what is not, goes, and then there is more to see.
    """
    found: dict[int, Lock] = {}
    waiting: Sequence[int] = range(start, tree.end_of(start))
    while True:
        left = []
        for index in reversed(waiting):
            path = os.fsencode(path_to(tree, start, index))
            try:
                seen, _, _, _, is_root = syscalls.stat_root(abi.AT_FDCWD, path)
            except OSError:
                seen, is_root = -1, False
            if index not in ids or seen != ids[index] or not is_root:
                left.append(index)
                continue
            keeps: Lock = "attributes" if _keeps_attributes(path, tree.rows[index].attributes) else ""
            if index == start:
                found[index] = keeps
                continue
            try:
                syscalls.umount2(path, abi.MNT_DETACH | abi.UMOUNT_NOFOLLOW)
                found[index] = keeps
            except KernelRefusal:
                found[index] = "locked"
        if len(left) == len(waiting):
            return list(found.items())
        waiting = left[::-1]


def _keeps_attributes(path: bytes, shown: str) -> bool:
    """Whether the time of access cannot be set to something else: all attributes are locked together."""
    other = NOATIME if not parse_shown(shown) & ATIME_MASK else 0
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        syscalls.mount_setattr(fd, 0, syscalls.mount_attr(set=other, clear=ATIME_MASK, propagation=0, userns=0))
        return False
    except KernelRefusal:
        return True
    finally:
        os.close(fd)
