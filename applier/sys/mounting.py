"""One mount made or taken away in the namespace that the process is in, by paths: what a test does in a tree."""

from __future__ import annotations

import errno
import os
import stat

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.kernel import LinuxKernel
from mountplan.applier.sys.refusal import KernelRefusal, explain
from mountplan.planner import attributes as words
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mountinfo import parse_mountinfo


class MountOrder(NamedTuple):
    """What to mount: a new filesystem of a type, or what is at the path `bind`. `options` are the superblock's, True
    for one without a value; with `create`, a mountpoint that is missing is made.
    """

    target: str
    fstype: str
    source: str
    bind: str
    recursive: bool
    options: tuple[tuple[str, str | bool], ...]
    attributes: tuple[str, ...]
    create: bool


def carry_out_mount(order: MountOrder) -> None:
    """Raises OSError, with the path that it is about and what the kernel means by it."""
    kernel = LinuxKernel()
    fd = -1
    try:
        if order.bind:
            flags = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | (abi.AT_RECURSIVE if order.recursive else 0)
            fd = syscalls.open_tree(abi.AT_FDCWD, os.fsencode(order.bind), flags)
        else:
            fd = kernel.new_filesystem(order.fstype, order.source or order.fstype, order.options)
        wanted = words.change(order.attributes)
        if order.attributes:
            kernel.set_attributes(fd, set=wanted.set, clear=wanted.clear, recursive=order.recursive)
        if order.create:
            _make_mountpoint(order.target, directory=stat.S_ISDIR(os.fstat(fd).st_mode))
        syscalls.move_mount(fd, abi.AT_FDCWD, os.fsencode(order.target), abi.MOVE_MOUNT_F_EMPTY_PATH)
    except KernelRefusal as refusal:
        if fd >= 0:
            raise _told(refusal, order.target, "; create=True makes it") from None
        named = order.bind or (refusal.syscall != "fsopen" and order.source) or order.fstype
        raise _told(refusal, named, " in the tree") from None
    finally:
        if fd >= 0:
            os.close(fd)


def carry_out_unmount(target: str, lazy: bool, proc: int) -> None:
    """The topmost mount on a path; first what stands on it, if `proc` is a descriptor of /proc, which may not be there.

    Raises as carry_out_mount().
    """
    flags = abi.MNT_DETACH if lazy else 0
    below: list[str] = []
    if proc >= 0:
        rows = parse_mountinfo(syscalls.own_mountinfo(proc)).rows
        below = [row.mountpoint for row in rows if row.mountpoint.startswith(target.rstrip("/") + "/")]
    try:
        for path in (*reversed(below), target):
            syscalls.umount2(os.fsencode(path), flags)
    except KernelRefusal as refusal:
        raise _told(refusal, path) from None


def _make_mountpoint(path: str, *, directory: bool) -> None:
    if directory:
        os.makedirs(path, exist_ok=True)
    elif not os.path.lexists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _told(refusal: KernelRefusal, path: str, way_out: str = "") -> OSError:
    number = refusal.errno or 0
    meaning = os.strerror(number) if number == errno.ENOENT else explain("", number, refusal.syscall)[0]
    said = "".join(f"; the filesystem says: {line}" for line in refusal.log)
    return OSError(number, f"{refusal.syscall}: {meaning}{way_out if number == errno.ENOENT else ''}{said}", path)
