"""Carries out what a script was simulated to do, for real, in throw-away namespaces: is the model right?

Every process of the script is a real one, forked from the one that forks it there. They share nothing with the host but
/proc, of which each holds a descriptor to read its own mount table; the first one makes a namespace whose root is an
empty tmpfs, and all of it goes when the last one ends.
"""

from __future__ import annotations

import errno
import marshal
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

from mountplan.applier import abi, syscalls
from mountplan.applier.refusal import KernelRefusal
from mountplan.applier.userns import enter_alone
from mountplan.planner.actions import (
    Action,
    BindMount,
    ChangeDirectory,
    ChangeKind,
    ChangeRoot,
    End,
    Enter,
    Fork,
    MakeDirectory,
    MakeFile,
    MountNew,
    MoveMount,
    PivotRoot,
    Remount,
    RemoveDirectory,
    SetAttributes,
    Unmount,
    Unshare,
)
from mountplan.planner.attributes import ATIME_MASK, NOATIME, NODIRATIME, NOSYMFOLLOW, STRICTATIME
from mountplan.planner.errors import NamespaceRefused
from mountplan.planner.mountinfo import parse_mountinfo
from mountplan.planner.table import MountTable

_KINDS = {
    "shared": abi.MS_SHARED,
    "slave": abi.MS_SLAVE,
    "private": abi.MS_PRIVATE,
    "unbindable": abi.MS_UNBINDABLE,
}
_SAME_BITS = 0xF  # ro, nosuid, nodev and noexec are the same bits in mount(2) and in mount_setattr(2)
_TABLE, _ACTION, _PID = 0, 1, 2  # what a process is asked for


class Look(NamedTuple):
    """A table to be read by `process` after so many calls."""

    after: int
    process: int


def rehearse(
    calls: tuple[tuple[int, Action], ...], looks: tuple[Look, ...]
) -> tuple[tuple[int, ...], tuple[MountTable, ...]]:
    """Make the calls (process, action) in order; the errno of each (0: done), and the tables that were asked for.

    Raises NamespaceRefused if no throw-away namespace can be made here.
    """
    count = 1 + max([1, *(action.child for _, action in calls if isinstance(action, Fork))])
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(count)]
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    child = os.fork()
    if child == 0:
        try:
            for one in ours:
                one.close()
            _first(theirs)
        finally:
            os._exit(1)
    try:
        for other in theirs:
            other.close()
        return _direct(ours, calls, looks)
    finally:
        for one in ours:
            one.close()  # the processes read the end of it, and end
        os.waitpid(child, 0)


def _direct(
    sockets: list[socket.socket], calls: tuple[tuple[int, Action], ...], looks: tuple[Look, ...]
) -> tuple[tuple[int, ...], tuple[MountTable, ...]]:
    ready = sockets[1].recv(1 << 16)
    if ready != b"ready":
        raise _refused(ready.decode(errors="replace") or "the process that was to make it has died")
    results: list[int] = []
    tables: list[MountTable] = []
    pids = {1: _ask(sockets[1], _PID)}
    waiting = list(looks)
    for number in range(len(calls) + 1):
        while waiting and waiting[0].after == number:
            tables.append(_table_of(sockets[waiting.pop(0).process]))
        if number < len(calls):
            process, action = calls[number]
            other = pids[action.other] if isinstance(action, Enter) else 0
            results.append(_ask(sockets[process], _ACTION, other, type(action).__name__, _plain(action)))
            if isinstance(action, Fork):
                pids[action.child] = _ask(sockets[action.child], _PID)
    return tuple(results), tuple(tables)


def _refused(why: str) -> NamespaceRefused:
    return NamespaceRefused("the throw-away namespace for the comparison", why, "run mountplan as root")


def _ask(connection: socket.socket, sort: int, *values: Any) -> int:
    """Send a request; the number that comes back."""
    connection.send(marshal.dumps((sort, *values)))
    answer = connection.recv(8)
    if not answer:
        raise _refused("a process of the script has died")
    return int.from_bytes(answer, "little")


def _table_of(connection: socket.socket) -> MountTable:
    size = _ask(connection, _TABLE)
    text = b""
    while len(text) < size:
        text += connection.recv(1 << 16)
    return parse_mountinfo(text)


def _plain(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tuples of marshal's own types: named ones lose their name."""
    return tuple(_plain(one) if isinstance(one, tuple) else one for one in value)


_CLASSES: dict[str, Callable[..., Action]] = {
    one.__name__: one
    for one in (
        BindMount, ChangeDirectory, ChangeKind, ChangeRoot, End, Enter, Fork, MakeDirectory, MakeFile, MountNew,
        MoveMount, PivotRoot, RemoveDirectory, Remount, SetAttributes, Unmount, Unshare,
    )
}  # fmt: skip


# --- in the processes


def _first(sockets: list[socket.socket]) -> None:
    """Process 1: make the empty namespace, then obey."""
    try:
        proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
        _make_empty_root()
    except OSError as error:
        sockets[1].send((error.strerror or str(error)).encode())
        return
    sockets[1].send(b"ready")
    _Actor(1, sockets, proc).obey()


def _make_empty_root() -> None:
    try:
        syscalls.unshare(abi.CLONE_NEWNS)
    except KernelRefusal:
        enter_alone()
        syscalls.unshare(abi.CLONE_NEWNS)
    syscalls.mount(b"/", abi.MS_REC | abi.MS_PRIVATE)
    try:
        _protect_bottom()
    except KernelRefusal:
        # In a user namespace the mounts are locked together; but then the bottom is somebody else's, and protected so.
        syscalls.mount_classic(b"none", b"/proc", b"tmpfs", 0, b"mode=755")
        os.chdir("/proc")
        syscalls.pivot_root(b".", b".")
        syscalls.umount2(b".", abi.MNT_DETACH)
        os.chdir("/")
        return
    syscalls.mount_classic(b"none", b"/", b"tmpfs", 0, b"mode=755")
    os.chdir("/..")  # what covers the root
    os.chroot(".")


def _protect_bottom() -> None:
    """Take all mounts away but the lowest, and go there; it cannot be written by way of this namespace any more.

    The lowest mount is the machine's own initial file system, of which there is only one, and nobody can get rid of it.
    A script that unmounts its root and enters its namespace again comes there, and might leave directories behind.
    """
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.umount2(b"/", abi.MNT_DETACH)
        syscalls.setns(namespace, abi.CLONE_NEWNS)
    finally:
        os.close(namespace)
    syscalls.mount_classic(None, b"/", None, abi.MS_REMOUNT | abi.MS_BIND | abi.MS_RDONLY, None)


class _Actor:
    """One process of the script."""

    def __init__(self, number: int, sockets: list[socket.socket], proc: int) -> None:
        self.number = number
        self.sockets = sockets
        self.proc = proc

    @property
    def connection(self) -> socket.socket:
        return self.sockets[self.number]

    def obey(self) -> None:
        """Do what comes over the socket until it ends."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while message := self.connection.recv(1 << 16):
            sort, *values = marshal.loads(message)
            if sort == _TABLE:
                self._tell_table()
            elif sort == _PID:
                self._answer(int(os.readlink("self", dir_fd=self.proc)))
            else:
                other, name, fields = values
                action = _CLASSES[name](*fields)
                result = 0
                try:
                    self._do(action, other)
                except OSError as error:
                    result = error.errno or errno.EIO
                self._answer(result)
                if isinstance(action, End):
                    break
        os._exit(0)

    def _answer(self, number: int) -> None:
        self.connection.send(number.to_bytes(8, "little"))

    def _tell_table(self) -> None:
        fd = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)
        with os.fdopen(fd, "rb") as file:
            text = file.read()
        self._answer(len(text))
        for at in range(0, len(text), 1 << 15):
            self.connection.send(text[at : at + (1 << 15)])

    def _do(self, action: Action, other: int) -> None:
        match action:
            case MountNew():
                flags = _flags(action.attributes, named=bool(action.attributes & (ATIME_MASK | NODIRATIME)))
                data = os.fsencode(action.options) if action.options else None
                source, target = os.fsencode(action.source), os.fsencode(action.target)
                syscalls.mount_classic(source, target, action.fstype.encode(), flags, data)
            case BindMount():
                self._mount(action.source, action.target, abi.MS_BIND | (abi.MS_REC if action.recursive else 0))
            case MoveMount():
                self._mount(action.source, action.target, abi.MS_MOVE)
            case ChangeKind():
                self._mount("", action.target, _KINDS[action.kind] | (abi.MS_REC if action.recursive else 0))
            case Remount():
                flags = abi.MS_REMOUNT | (abi.MS_BIND if action.bind else 0)
                self._mount("", action.target, flags | _flags(action.attributes, named=not action.keep_times))
            case SetAttributes():
                self._set_attributes(action)
            case Unmount():
                syscalls.umount2(os.fsencode(action.target), abi.MNT_DETACH if action.lazy else 0)
            case PivotRoot():
                syscalls.pivot_root(os.fsencode(action.new), os.fsencode(action.old))
            case MakeDirectory():
                if action.parents:
                    os.makedirs(action.path, exist_ok=True)
                else:
                    os.mkdir(action.path)
            case MakeFile():
                os.close(os.open(action.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
            case RemoveDirectory():
                os.rmdir(action.path)
            case ChangeDirectory():
                os.chdir(action.path)
            case ChangeRoot():
                os.chroot(action.path)
                os.chdir("/")
            case Fork():
                self._fork(action.child)
            case Unshare():
                self._unshare(action.user)
            case Enter():
                self._enter(other)
            case End():
                pass

    def _mount(self, source: str, target: str, flags: int) -> None:
        syscalls.mount_classic(os.fsencode(source) if source else None, os.fsencode(target), None, flags, None)

    def _set_attributes(self, action: SetAttributes) -> None:
        fd = os.open(action.target, os.O_PATH | os.O_CLOEXEC)
        try:
            attr = syscalls.mount_attr(set=action.change[0], clear=action.change[1])
            syscalls.mount_setattr(fd, abi.AT_RECURSIVE, attr)
        finally:
            os.close(fd)

    def _fork(self, child: int) -> None:
        if os.fork() == 0:
            self.number = child
            self.obey()

    def _unshare(self, user: bool) -> None:
        if not user:
            syscalls.unshare(abi.CLONE_NEWNS)
            return
        uid, gid = os.geteuid(), os.getegid()
        syscalls.unshare(abi.CLONE_NEWUSER | abi.CLONE_NEWNS)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            fd = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self.proc)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)

    def _enter(self, pid: int) -> None:
        fd = os.open(f"{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)
        try:
            syscalls.setns(fd, abi.CLONE_NEWNS)
        finally:
            os.close(fd)


def _flags(attributes: int, *, named: bool) -> int:
    """Attribute bits as MS_* flags; with `named`, those for access times as well, whatever they are."""
    flags = attributes & _SAME_BITS
    if attributes & NOSYMFOLLOW:
        flags |= abi.MS_NOSYMFOLLOW
    if named:
        times = attributes & ATIME_MASK
        flags |= {NOATIME: abi.MS_NOATIME, STRICTATIME: abi.MS_STRICTATIME}.get(times, abi.MS_RELATIME)
        if attributes & NODIRATIME:
            flags |= abi.MS_NODIRATIME
    return flags
