"""The machine as planning asks for it: planner/host.py's port, with real look-ups."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from mountplan.applier.observe import observe
from mountplan.planner.fstypes import of
from mountplan.planner.host import MOUNT_MAX, HostPath, PathKind
from mountplan.planner.instances import shown
from mountplan.planner.table import MountTable, Walks

_KINDS: dict[int, PathKind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFSOCK: "socket",
}


_asked: list[str] = []


@contextmanager
def asking(what: str) -> Iterator[None]:
    """In this block, waited_for() is `what`: somebody else may have to answer before it is left."""
    _asked.append(what)
    try:
        yield
    finally:
        _asked.pop()


def waited_for() -> str:
    """What planning is waiting for at this moment, in words; "" if it only waits for the machine to do its work."""
    return _asked[-1] if _asked else ""


def knows_set_group() -> bool:
    """False if this kernel says that it has no MOVE_MOUNT_SET_GROUP: one call, of no effect, as it names no mounts.

    Who may not mount at all is answered EPERM before the flag is looked at, and learns it when something is built.
    """
    from mountplan.applier import abi, syscalls

    flags = abi.MOVE_MOUNT_SET_GROUP | abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH
    try:
        syscalls.move_mount(-1, -1, b"", flags)
    except OSError as error:
        return error.errno != errno.EINVAL  # EBADF if it does
    return True


class LiveHost:
    """The host that this process runs on. Its mount table is read once, when it is first asked for."""

    def __init__(self) -> None:
        self._table: MountTable | None = None
        self._walks: Walks | None = None
        self._seen: dict[str, HostPath] = {}

    @property
    def table(self) -> MountTable:
        if self._table is None:
            self._table = observe()
        return self._table

    @property
    def mount_max(self) -> int:
        try:
            with open("/proc/sys/fs/mount-max", "rb") as file:
                return int(file.read())
        except (OSError, ValueError):  # no /proc, or a masked one
            return MOUNT_MAX

    def look(self, path: str) -> HostPath:
        found = self._seen.get(path)
        if found is None:
            try:
                with asking(f"the host path {path!r}"):
                    canonical = os.path.realpath(path, strict=True)
                    mode = os.lstat(canonical).st_mode
            except OSError as error:
                raise LookupError((error.strerror or "cannot be looked up").lower()) from None
            if self._walks is None:
                self._walks = Walks(self.table)
            mount = self._walks.end_of(canonical)
            found = self._seen[path] = HostPath(canonical, _KINDS[stat.S_IFMT(mode)], mount)
        return found

    def link(self, path: str) -> str | None:
        try:
            with asking(f"the host path {path!r}"):
                return os.readlink(path)
        except OSError:
            return None

    def instance(self, fstype: str) -> str | None:
        there = shown(self.table.rows, fstype)
        if there is None and of(fstype).instances == "machine":
            from mountplan.applier.instances import shown_here

            there = shown_here(fstype)
        return there

    def glob(self, base: str, pattern: str) -> tuple[str, ...]:
        from glob import glob

        with asking(f"the host path {base!r}"):
            return tuple(sorted(glob(pattern.lstrip("/"), root_dir=base, include_hidden=True)))
