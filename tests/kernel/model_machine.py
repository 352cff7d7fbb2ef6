"""The kernel's side of the differential test: the calls of a sequence made for real, in throw-away namespaces.

One process plays all parts. It goes from one mount namespace to the other with setns(2), and goes back to the root that
it had there by fchdir(2) and chroot(2) through a descriptor. The system calls are made here, by means of their own, so
that the test does not go by the code under test.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountRow
from tests.kernel.model_layout import DIRECTORIES, FILES
from tests.mountflags import MNT_DETACH, MS_BIND, MS_MOVE, MS_REC, MS_REMOUNT

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
CLONE_NEWNS = 0x20000
CLONE_NEWUSER = 0x10000000
KINDS = {"unbindable": 1 << 17, "private": 1 << 18, "slave": 1 << 19, "shared": 1 << 20}
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x04, 0x40
MOVE_MOUNT_SET_GROUP, MOVE_MOUNT_BENEATH = 0x100, 0x200
FSCONFIG_CMD_CREATE = 6
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT, SYS_MOUNT_SETATTR = 428, 429, 430, 431, 432, 442
O_PATH = os.O_PATH | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *types: Any) -> Any:
    result = ctypes.c_long if name == "syscall" else ctypes.c_int
    return ctypes.CFUNCTYPE(result, *types, use_errno=True)((name, _libc))


_long, _int, _text = ctypes.c_long, ctypes.c_int, ctypes.c_char_p
_mount = _call("mount", _text, _text, _text, ctypes.c_ulong, _text)
_umount2 = _call("umount2", _text, _int)
_pivot_root = _call("pivot_root", _text, _text)
_unshare = _call("unshare", _int)
_setns = _call("setns", _int, _int)
_open_tree = _call("syscall", _long, _int, _text, ctypes.c_uint)
_move_mount = _call("syscall", _long, _int, _text, _int, _text, ctypes.c_uint)
_fsopen = _call("syscall", _long, _text, ctypes.c_uint)
_fsconfig = _call("syscall", _long, _int, ctypes.c_uint, _text, _text, _int)
_fsmount = _call("syscall", _long, _int, ctypes.c_uint, ctypes.c_uint)
_mount_setattr = _call("syscall", _long, _int, _text, ctypes.c_uint, _text, ctypes.c_size_t)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Session(NamedTuple):
    """A namespace and the root of the one process that is thought to be in it, as descriptors."""

    namespace: int
    root: int


class Machine:
    """Makes the calls. `enter` first; then one `begin` ... `end` for each sequence."""

    def __init__(self) -> None:
        self.proc = os.open("/proc", O_PATH)
        _checked(_unshare(CLONE_NEWNS))
        self._mount(None, b"/", None, MS_REC | KINDS["private"])
        self._mount(b"none", b"/tmp", b"tmpfs", 0)
        os.chdir("/tmp")
        directory = os.open(".", O_PATH)
        fill(directory)
        os.close(directory)
        _checked(_pivot_root(b".", b"."))
        _checked(_umount2(b".", MNT_DETACH))
        os.chdir("/")
        self.base = self._session()
        self.sessions: dict[int, Session] = {}
        self.handles: dict[int, int] = {}
        self.current = -1
        self.changed = False  # directories were made, removed or renamed, maybe in the filesystem that stays
        self.parsed: dict[bytes, MountRow] = {}

    def close(self) -> None:
        for fd in (*self.base, self.proc):
            os.close(fd)

    def begin(self) -> None:
        self._enter(self.base)
        _checked(_unshare(CLONE_NEWNS))
        self.sessions = {0: self._session()}
        self.current = 0

    def end(self) -> None:
        for fd in self.handles.values():
            os.close(fd)
        self.handles = {}
        self._enter(self.base)
        for session in self.sessions.values():
            os.close(session.namespace)
            os.close(session.root)
        self.sessions = {}
        self.current = -1
        if self.changed:
            empty(self.base.root)
            fill(self.base.root)
            self.changed = False

    def _session(self) -> Session:
        namespace = os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)
        return Session(namespace, os.open("/", O_PATH))

    def _enter(self, session: Session) -> None:
        _checked(_setns(session.namespace, CLONE_NEWNS))
        os.fchdir(session.root)
        os.chroot(".")

    def go(self, number: int) -> None:
        if number != self.current:
            self._enter(self.sessions[number])
            self.current = number

    def text(self, number: int) -> bytes:
        """The mount table of a session as the kernel gives it."""
        self.go(number)
        fd = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)
        try:
            text = b""
            while piece := os.read(fd, 1 << 16):
                text += piece
        finally:
            os.close(fd)
        return text

    def rows(self, text: bytes) -> list[MountRow]:
        """Such a text, read; most of its lines have been read before."""
        parsed = self.parsed
        if len(parsed) > 200_000:
            parsed.clear()
        rows = []
        for line in text.splitlines(keepends=True):
            row = parsed.get(line)
            if row is None:
                row = parsed[line] = parse_mountinfo(line).rows[0]
            rows.append(row)
        return rows

    # --- the calls: each gives an errno, 0 for success

    def _mount(self, source: bytes | None, target: bytes, fstype: bytes | None, flags: int) -> int:
        return ctypes.get_errno() if _mount(source, target, fstype, flags, None) < 0 else 0

    def new(self, target: str, source: str, flags: int) -> int:
        # What is mounted may cover the way to itself, by propagation; so hold the directory that the way leads through.
        above, _, name = target.rpartition("/")
        try:
            directory = os.open(above or "/", O_PATH)
        except OSError:
            directory = -1
        number = self._mount(source.encode(), target.encode(), b"tmpfs", flags)
        if directory >= 0:
            if not number:
                mounted = os.open(name or "..", O_PATH, dir_fd=directory)  # "/.." is what covers the root
                fill(mounted)
                os.close(mounted)
            os.close(directory)
        return number

    def bind(self, source: str, target: str, recursive: bool) -> int:
        return self._mount(source.encode(), target.encode(), None, MS_BIND | (MS_REC if recursive else 0))

    def move(self, source: str, target: str) -> int:
        return self._mount(source.encode(), target.encode(), None, MS_MOVE)

    def change(self, target: str, kind: str, recursive: bool) -> int:
        return self._mount(None, target.encode(), None, KINDS[kind] | (MS_REC if recursive else 0))

    def change_handle(self, handle: int, kind: str, recursive: bool) -> int:
        """The same for a mount in whatever namespace, or in none: mount(2) takes only paths, so go there."""
        try:
            os.fchdir(self.handles[handle])
        except NotADirectoryError as error:
            return error.errno or 0
        result = self.change(".", kind, recursive)
        os.fchdir(self.sessions[self.current].root)
        return result

    def remount(self, target: str, flags: int) -> int:
        return self._mount(None, target.encode(), None, MS_REMOUNT | MS_BIND | flags)

    def umount(self, target: str, lazy: bool) -> int:
        return ctypes.get_errno() if _umount2(target.encode(), MNT_DETACH if lazy else 0) < 0 else 0

    def pivot(self, new: str, old: str) -> int:
        if _pivot_root(new.encode(), old.encode()) < 0:
            return ctypes.get_errno()
        session = self.sessions[self.current]
        os.close(session.root)
        self.sessions[self.current] = Session(session.namespace, os.open("/", O_PATH))
        return 0

    def mkdir(self, path: str) -> int:
        return self._changing(lambda: os.mkdir(path))

    def remove(self, path: str, directory: bool) -> int:
        return self._changing(lambda: os.rmdir(path) if directory else os.unlink(path))

    def rename(self, old: str, new: str) -> int:
        return self._changing(lambda: os.rename(old, new))

    def _changing(self, change: Callable[[], None]) -> int:
        try:
            change()
        except OSError as error:
            return error.errno or 0
        self.changed = True
        return 0

    def clone(self, number: int) -> int:
        """A new session in a copy of the current namespace, which becomes the current one."""
        if _unshare(CLONE_NEWNS) < 0:
            return ctypes.get_errno()
        self.sessions[number] = self._session()
        self.current = number
        return 0

    def clone_user(self, number: int) -> int:
        """The same in a new user namespace: a child makes it, and lives for as long as it takes to get hold of it."""
        ready, is_ready = os.pipe()
        go_on, may_go_on = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                result = _unshare(CLONE_NEWUSER | CLONE_NEWNS)
                os.write(is_ready, struct.pack("=i", ctypes.get_errno() if result < 0 else 0))
                os.close(may_go_on)
                os.read(go_on, 1)
            finally:
                os._exit(0)
        os.close(is_ready)
        os.close(go_on)
        try:
            (number_of_error,) = struct.unpack("=i", os.read(ready, 4))
            if not number_of_error:
                namespace = os.open(f"{child}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)
                self.sessions[number] = Session(namespace, os.open(f"{child}/root", O_PATH, dir_fd=self.proc))
        finally:
            os.close(ready)
            os.close(may_go_on)
            os.waitpid(child, 0)
        return int(number_of_error)

    def leave(self, number: int) -> int:
        if self.current == number:
            self.go(next(one for one in self.sessions if one != number))
        session = self.sessions.pop(number)
        os.close(session.root)
        os.close(session.namespace)
        return 0

    # --- with descriptors

    def open(self, handle: int, path: str, clone: bool, recursive: bool) -> int:
        flags = os.O_CLOEXEC | (OPEN_TREE_CLONE if clone else 0) | (AT_RECURSIVE if recursive else 0)
        fd = _open_tree(SYS_OPEN_TREE, AT_FDCWD, path.encode(), flags)
        if fd < 0:
            return ctypes.get_errno()
        self.handles[handle] = fd
        return 0

    def clone_handle(self, handle: int, source: int, recursive: bool) -> int:
        flags = os.O_CLOEXEC | OPEN_TREE_CLONE | AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
        fd = _open_tree(SYS_OPEN_TREE, self.handles[source], b"", flags)
        if fd < 0:
            return ctypes.get_errno()
        self.handles[handle] = fd
        return 0

    def fsmount(self, handle: int, attributes: int) -> int:
        context = _checked(_fsopen(SYS_FSOPEN, b"tmpfs", 1))
        try:
            _checked(_fsconfig(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0))
            fd = _fsmount(SYS_FSMOUNT, context, 1, attributes)
            if fd < 0:
                return ctypes.get_errno()
        finally:
            os.close(context)
        fill(fd)
        self.handles[handle] = fd
        return 0

    def close_handle(self, handle: int) -> int:
        os.close(self.handles.pop(handle))
        return 0

    def move_mount(self, source: int | str, target: int | str, extra: int) -> int:
        """A descriptor is given by its number, a path as text; MOVE_MOUNT_SET_GROUP and _BENEATH in `extra`."""
        arguments: list[object] = []
        for one, flag in ((source, MOVE_MOUNT_F_EMPTY_PATH), (target, MOVE_MOUNT_T_EMPTY_PATH)):
            if isinstance(one, str):
                arguments += [AT_FDCWD, one.encode()]
            else:
                arguments += [self.handles[one], b""]
                extra |= flag
        return ctypes.get_errno() if _move_mount(SYS_MOVE_MOUNT, *arguments, extra) < 0 else 0

    def set_attributes(self, where: int | str, bits: int, clear: int, kind: str | None, recursive: bool) -> int:
        packed = struct.pack("=QQQQ", bits, clear, KINDS[kind] if kind else 0, 0)
        flags = AT_RECURSIVE if recursive else 0
        if isinstance(where, str):
            result = _mount_setattr(SYS_MOUNT_SETATTR, AT_FDCWD, where.encode(), flags, packed, 32)
        else:
            flags |= AT_EMPTY_PATH
            result = _mount_setattr(SYS_MOUNT_SETATTR, self.handles[where], b"", flags, packed, 32)
        return ctypes.get_errno() if result < 0 else 0


def empty(directory: int) -> None:
    """Remove all that is in the filesystem with this root."""
    for path, directories, files, fd in os.fwalk(".", topdown=False, dir_fd=directory):
        del path
        for name in files:
            os.unlink(name, dir_fd=fd)
        for name in directories:
            os.rmdir(name, dir_fd=fd)


def fill(directory: int) -> None:
    """Put the directories and files that every filesystem of the test has into the one with this root."""
    for name in DIRECTORIES:
        os.mkdir(name[1:], dir_fd=directory)
    for name in FILES:
        os.close(os.open(name[1:], os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory))
