"""What a capture asks about live namespaces beside their tables, with real look-ups."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from functools import partial
from typing import Any

from mountplan.applier.observe.layer_looks import looking
from mountplan.applier.observe.layers import find_layers, layers_at
from mountplan.applier.observe.loop_files import loop_file
from mountplan.applier.observe.observe import own_number
from mountplan.applier.observe.roots import See, look
from mountplan.applier.observe.subjects import Subject, of_process
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.held_namespaces import shows
from mountplan.applier.sys.inside import in_child
from mountplan.applier.sys.kernel import LinuxKernel
from mountplan.planner.fstypes import of
from mountplan.planner.names import NODE_KINDS
from mountplan.planner.paths import TargetPath
from mountplan.planner.tables.mount_facts import FoundLayer, LiveImage, LiveOverlay, MountRoot, OverlayLayer
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.namespace_file import identity
from mountplan.planner.tables.table import MountRow, MountTable

_LOOK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME | os.O_CLOEXEC
_Seen = tuple[int, int, int, str] | None  # mode, major and minor, link


class LiveFacts:
    """The port of planner/capture/mounts.py, with real look-ups."""

    def __init__(self, subjects: Sequence[Subject], tables: Sequence[MountTable], host: MountTable) -> None:
        self._subjects = subjects
        self._tables = tables
        self._host = host

    def image(self, device: str) -> LiveImage | None:
        """See Facts. Whether a path leads to the file the loop device tells, by its inode.

        Of a file that was opened through a mount which is gone since, sysfs shows the path within that mount only.
        """
        behind = loop_file(device)
        if behind is None:
            return None
        shown, of_device, inode, offset, size = behind
        number = f"{os.major(of_device)}:{os.minor(of_device)}"
        mountpoints = [TargetPath(row.mountpoint) for row in self._host.rows if row.device == number]
        for path in (shown, *(mountpoint.joined(shown) for mountpoint in mountpoints)):
            try:
                found = os.stat(path)
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) == (of_device, inode):
                return LiveImage(path, offset, size)
        return LiveImage("", offset, size)

    def namespace(self, device: str, root: str) -> str:
        """See Facts."""
        kind = root.partition(":")[0]
        for subject in self._subjects:
            try:
                found = os.stat(f"/proc/{subject.pid}/ns/{kind}") if subject.pid else None
            except OSError:
                continue
            if found is not None and shows(found, identity(device, root)):
                return f"{kind}:{subject.pid}"
        return ""

    def files_in_root(self, space: int) -> list[str]:
        """The names in a namespace's root with files or symlinks behind them: those, and directories that have some."""
        root = MountTree(self._tables[space]).rows[0]
        (names,) = look(self._subjects[space], self._tables[space], [root.mount_id], _with_files)
        return sorted(names or ())

    def layers(self, wanted: Sequence[LiveOverlay]) -> list[tuple[FoundLayer, ...]]:
        with of_process(own_number(), "host") as host:
            return find_layers(self._subjects, self._tables, (host, self._host), wanted)

    def host_layers(self, paths: Sequence[str]) -> dict[str, OverlayLayer]:
        """Where paths of the host lead that lead to a directory."""
        with of_process(own_number(), "host") as host:
            return layers_at((host, self._host), paths)

    def roots(self, wanted: Sequence[tuple[int, int]]) -> list[MountRoot | None]:
        return [
            MountRoot(NODE_KINDS[stat.S_IFMT(one[0])], one[1:3], one[3]) if one is not None else None
            for one in self._look(wanted, _stat)
        ]

    def differing(self, wanted: Sequence[tuple[int, int, str]]) -> list[bool]:
        seen = self._look([(space, mount) for space, mount, _ in wanted], _identity_of_root)
        return [one is not None and one != _named(path) for one, (_, _, path) in zip(seen, wanted, strict=True)]

    def are_alike(self, wanted: Sequence[tuple[int, MountRow]], unshared: Sequence[str]) -> list[bool | None]:
        """Whether each proc, sysfs or mqueue (with the number of its mount namespace) shows the namespace of its kind
        that we are in, or, of those that are `unshared`, the first subject's. None where that cannot be seen.
        """
        homes = {kind: f"/proc/{self._subjects[0].pid}/ns/{kind}" for kind in unshared}
        devices = {
            one: _device_in(one, homes.get(of(one).shows, "")) for one in {row.fstype for _, row in wanted} - {"proc"}
        }
        whose = partial(_shows_pids_of, home=homes.get("pid", ""))
        procs = iter(self._look([(space, row.mount_id) for space, row in wanted if row.fstype == "proc"], whose))
        found = [
            (next(procs), "yes") if row.fstype == "proc" else (devices[row.fstype], row.device) for _, row in wanted
        ]
        return [None if one is None else one == other for one, other in found]

    def _look(self, wanted: Sequence[tuple[int, int]], see: See) -> list[Any]:
        """What `see` says of the roots of these mounts; None of those that cannot be seen."""
        by_space: dict[int, list[int]] = {}
        for number, (space, _) in enumerate(wanted):
            by_space.setdefault(space, []).append(number)
        found: list[Any] = [None] * len(wanted)
        for space, numbers in by_space.items():
            mounts = [wanted[number][1] for number in numbers]
            answer = look(self._subjects[space], self._tables[space], mounts, see)
            for number, one in zip(numbers, answer, strict=True):
                found[number] = one
        return found


def _device_in(fstype: str, home: str) -> str | None:
    """The device of the one that a namespace has, or ours if that is "": by a mount of it that stands nowhere."""

    def inside() -> str:
        if home:
            with closing_fd(os.open(home, os.O_RDONLY | os.O_CLOEXEC)) as fd:
                syscalls.setns(fd, 0)
        with closing_fd(LinuxKernel().new_filesystem(fstype, fstype, ())) as mount:
            device = os.fstat(mount).st_dev
            return f"{os.major(device)}:{os.minor(device)}"

    try:
        return in_child(inside)
    except OSError:
        return None


def _shows_pids_of(path: bytes, mount: int, _: int, home: str) -> str | None:
    """Whether a proc shows the processes of a pid namespace, as its first process is in that; or, if that is "", of
    ours: in that of others we are nobody, or have another number.
    """
    try:
        with closing_fd(os.open(path, _LOOK)) as fd:
            if syscalls.mount_id(fd, b"") != mount:
                return None
            wanted = os.stat(home).st_ino if home else os.getpid()
            try:
                found = os.stat("1/ns/pid", dir_fd=fd).st_ino if home else int(os.readlink("self", dir_fd=fd))
            except FileNotFoundError:
                return "no"
            return "yes" if found == wanted else "no"
    except OSError:
        return None


def _with_files(path: bytes, mount: int, _: int) -> list[str] | None:
    try:
        fd = os.open(path, _LOOK)
    except OSError:
        return None
    try:
        if syscalls.mount_id(fd, b"") != mount:
            return None
        return [name for name in os.listdir(fd) if _has_files(fd, name, mount)]
    except OSError:
        return []
    finally:
        os.close(fd)


def _has_files(directory: int, name: str, mount: int) -> bool:
    """Whether it is a file or symlink on that mount, or a directory in which there is one."""
    found, mode, _, _, _ = syscalls.stat_root(directory, os.fsencode(name))
    if found != mount or not stat.S_ISDIR(mode):
        return found == mount and (stat.S_ISREG(mode) or stat.S_ISLNK(mode))
    try:
        fd = os.open(name, _LOOK, dir_fd=directory)
    except OSError:
        return False
    with closing_fd(fd):
        with os.scandir(fd) as entries:
            return any(one.is_symlink() or one.is_file(follow_symlinks=False) for one in entries)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


# Also of what can only be named any more: of a process that has ended, /proc shows nothing.
_identity_of_root = looking(lambda root, _: _identity(os.fstat(root)))


def _named(path: str) -> tuple[int, int] | None:
    """Of what has that name on the host; None of nothing."""
    try:
        return _identity(os.lstat(path))
    except OSError:
        return None


def _stat(path: bytes, mount: int, _: int) -> _Seen:
    try:
        found, mode, major, minor, is_root = syscalls.stat_root(abi.AT_FDCWD, path)
        if found != mount or not is_root:
            return None
        return mode, major, minor, os.fsdecode(os.readlink(path)) if stat.S_ISLNK(mode) else ""
    except OSError:
        return None
