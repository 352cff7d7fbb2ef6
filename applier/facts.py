"""The machine as planning asks for it: planner/host.py's port, with real look-ups."""

from __future__ import annotations

import os
import stat

from mountplan.applier.observe import observe
from mountplan.planner.host import MOUNT_MAX, HostPath, PathKind
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
            return os.readlink(path)
        except OSError:
            return None

    def glob(self, base: str, pattern: str) -> tuple[str, ...]:
        from glob import glob

        return tuple(sorted(glob(pattern.lstrip("/"), root_dir=base, include_hidden=True)))
