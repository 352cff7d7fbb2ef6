"""A process in a chroot: its "/" is not the root of its mount namespace, and perhaps no mountpoint at all.

Then its mount table has no line for "/", nothing can be made private from there on, and pivot_root(2) is refused; from
any chroot it would leave the namespace its old root, and no user namespace can be made. Root may leave it: setns(2)
with the mount namespace that a process is in anyway makes the root of that namespace its own.
"""

from __future__ import annotations

import errno
import os

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.refusal import KernelRefusal

REFUSED = '"/" is no mountpoint here, as in a chroot, which this user may not leave'
UNSEEN = '"/" is no mountpoint here, as in a chroot, and which mount it is in cannot be seen'
REMEDY = "run it as root, or outside of the chroot"
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def has_no_mount() -> bool:
    """True if "/" is no mountpoint. A chroot may be one all the same."""
    return not syscalls.stat_root(abi.AT_FDCWD, b"/")[-1]


def leave(proc: int) -> int:
    """Leave a chroot: "/" is the root of the mount namespace then. Returns a descriptor of what it was before.

    -1 if this is no chroot: nothing is changed then, also if other mounts cover the root. `proc` is a descriptor of
    /proc. Raises OSError if this process may not leave it.
    """
    here, cwd = os.open("/", _DIRECTORY), os.open(".", _DIRECTORY)
    namespace = os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    left = False
    try:
        try:
            syscalls.setns(namespace, abi.CLONE_NEWNS)
        except KernelRefusal as refusal:
            if refusal.errno != errno.EPERM or has_no_mount():
                raise
            return -1  # this process may not even change its root, so it is supposed to be where it was put
        left = os.readlink(f"self/fd/{here}", dir_fd=proc) != "/"
        if not left:
            _go_back(here, cwd)
        return here if left else -1
    finally:
        for fd in (namespace, cwd) if left else (namespace, cwd, here):
            os.close(fd)


def _go_back(root: int, cwd: int) -> None:
    os.fchdir(root)
    os.chroot(".")
    os.fchdir(cwd)


def unshare_user() -> None:
    """unshare(2) a user namespace; from a chroot, in which the kernel makes none, if this process may leave it."""
    try:
        syscalls.unshare(abi.CLONE_NEWUSER)
    except KernelRefusal as refusal:
        if refusal.errno != errno.EPERM:
            raise
        proc, cwd = os.open("/proc", _DIRECTORY), os.open(".", _DIRECTORY)
        here = -1
        try:
            try:
                here = leave(proc)
            except OSError:
                raise refusal from None
            if here < 0:
                raise
            try:
                syscalls.unshare(abi.CLONE_NEWUSER)
            finally:
                _go_back(here, cwd)
        finally:
            for fd in {proc, cwd, here} - {-1}:
                os.close(fd)


def line_of_root() -> bytes:
    """The line that /proc/self/mountinfo lacks for "/"; b"" if it has one.

    It has the id, parent, device and group of the mount that "/" is in, as if it were a mount from there on. Raises
    OSError if that cannot be seen: it takes the right to leave the chroot.
    """
    mount, *_, is_mountpoint = syscalls.stat_root(abi.AT_FDCWD, b"/")
    if is_mountpoint:
        return b""
    from mountplan.applier.sys.inside import ChildFailed, in_child

    try:
        return in_child(lambda: _line_of_root(mount))
    except ChildFailed as failed:
        raise OSError(str(failed)) from None


def _line_of_root(mount: int) -> bytes:
    proc = os.open("/proc", _DIRECTORY)
    here = leave(proc)
    name = os.readlink(f"self/fd/{here}", dir_fd=proc)
    if not os.path.samestat(os.fstat(here), os.lstat(name)):
        raise FileNotFoundError(name)
    lines = syscalls.own_mountinfo(proc).splitlines(keepends=True)
    line = next((one for one in lines if one.startswith(b"%d " % mount)), None)
    if line is None:
        raise FileNotFoundError(name)
    fields = line.split(b" ", 5)
    path, mountpoint, root = _escaped(name), fields[4].rstrip(b"/"), fields[3].rstrip(b"/")
    fields[3:5] = [root + path[len(mountpoint) :] or b"/", b"/"]
    return b" ".join(fields)


def _escaped(path: str) -> bytes:
    """As the kernel writes a path into mountinfo."""
    text = os.fsencode(path).replace(b"\\", b"\\134")
    return text.replace(b" ", b"\\040").replace(b"\t", b"\\011").replace(b"\n", b"\\012")
