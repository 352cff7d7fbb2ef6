"""What there is to see of directories that may be layers of overlays, and of the overlays themselves.

In an overlay, the file handle of whatever comes from a layer holds the handle that the layer's filesystem has for it
(struct ovl_fh in fs/overlayfs/overlayfs.h). So a handle tells two things apart that have one name, and leads to what
has another name by now. All of these run in child processes that have entered a namespace: each gets the path of a
mount, and the id that the mount there must have (applier/observe/roots.py, look).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.inside import in_child
from mountplan.applier.sys.overlay import is_in_use_here
from mountplan.planner.record import NamedTuple

_OVERLAY_HANDLE = 0xF8  # OVL_FILEID_V1
_MOST = 128  # entries of a directory that are looked at, from its top down
# From a path, the id of the mount that must be there, and the id by which it is known (applier/observe/roots.py).
See = Callable[[bytes, int, int], Any]
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOATIME
_RESOLVE = abi.RESOLVE_BENEATH | abi.RESOLVE_NO_XDEV | abi.RESOLVE_NO_SYMLINKS


class Handle(NamedTuple):
    """A file handle; that of what is behind an overlay with the UUID of its filesystem (b"" if that is not known)."""

    uuid: bytes
    type: int
    data: bytes

    def is_same(self, other: Handle) -> bool:
        return self[1:] == other[1:] and (b"" in (self.uuid, other.uuid) or self.uuid == other.uuid)


class Status(NamedTuple):
    """Of anything but a directory: its type and length, and when it was changed, in nanoseconds since 1970."""

    type: int
    size: int
    modified: int

    @classmethod
    def of(cls, found: os.stat_result) -> Status | None:
        kind = stat.S_IFMT(found.st_mode)
        return cls(kind, found.st_size, found.st_mtime_ns) if kind != stat.S_IFDIR else None


class LayerEntry(NamedTuple):
    """Something in a directory, by its path there; `handle` is None where the filesystem has none. `merges` if it is a
    directory of which an overlay shows what layers below have in theirs too, and all that is in it is known. Of
    anything else, an overlay shows the `status` as the layer has it.
    """

    path: str
    handle: Handle | None
    whiteout: bool
    status: Status | None = None
    merges: bool = False


class SeenDirectory(NamedTuple):
    """A directory that was looked at; `whole` if all that is directly in it is among the entries."""

    handle: Handle | None
    entries: tuple[LayerEntry, ...]
    whole: bool

    @classmethod
    def of(cls, seen: tuple[Any, ...]) -> SeenDirectory:
        """From what comes out of a child process."""
        handle, entries, whole = seen
        made = tuple(
            LayerEntry(path, as_handle(one), whiteout, as_status(status), merges)
            for path, one, whiteout, status, merges in entries
        )
        return cls(as_handle(handle), made, whole)


def as_handle(value: tuple[Any, ...] | None) -> Handle | None:
    return Handle(*value) if value is not None else None


def as_status(value: tuple[int, int, int] | None) -> Status | None:
    return Status(*value) if value is not None else None


def behind(handle: Handle | None) -> Handle | None:
    """The handle of the layer's own filesystem that is in one of an overlay; None if this kernel tells none.

    The kernel has none for what is in an overlay that another overlay is made of.
    """
    if handle is None or handle.type != _OVERLAY_HANDLE or len(handle.data) < 24:
        return None
    inner = handle.data[3 : 3 + handle.data[5]]  # version, magic, length, flags, type, uuid
    uuid = inner[5:21]
    return Handle(uuid if any(uuid) else b"", inner[4], inner[21:])


def describe(fd: int, most: int = _MOST) -> SeenDirectory:
    """Look at a directory and what is in it, without a trace of that. Raises OSError."""
    uuid = _uuid(fd)
    own = _handle_at(fd, "", uuid)
    found: list[LayerEntry] = []
    waiting = [""]
    merging: set[str] = set()
    whole = True
    while waiting and len(found) < most:
        here = waiting.pop(0)
        try:
            inner = os.open(here or ".", _READ, dir_fd=fd)
        except OSError:
            whole = whole and bool(here)
            continue
        with closing_fd(inner):
            with os.scandir(inner) as entries:
                for one in entries:
                    if len(found) >= most:
                        whole = whole and bool(here)
                        break
                    path = f"{here}/{one.name}" if here else one.name
                    is_directory = one.is_dir(follow_symlinks=False)
                    odd = not (is_directory or one.is_file(follow_symlinks=False) or one.is_symlink())
                    handle = _handle_at(fd, path, uuid)
                    if handle is not None and handle[1] != (own[1] if own else handle[1]):
                        continue  # something is mounted there
                    status = _status(one)
                    whiteout = odd and status is not None and status.st_rdev == 0
                    found.append(LayerEntry(path, handle and handle[0], whiteout, status and Status.of(status)))
                    if is_directory:
                        waiting.append(path)
                else:
                    if _merges(inner):
                        merging.add(here)
    made = tuple(one._replace(merges=one.path in merging) for one in found)
    return SeenDirectory(own[0] if own else None, made, whole)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None of what an overlay has and does not show, a directory that is itself one of its layers (ELOOP)."""
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _merges(directory: int) -> bool:
    """Whether an overlay shows what layers below have in a directory of that name: it is not opaque, nor renamed."""
    try:
        names = os.listxattr(directory)
    except OSError:
        return False
    return not any(name.endswith((".overlay.opaque", ".overlay.redirect")) for name in names)


def _handle_at(fd: int, path: str, uuid: bytes) -> tuple[Handle, int] | None:
    """A handle, and the id of the mount that it was met on."""
    try:
        kind, data, mount = syscalls.handle_at(fd, os.fsencode(path))
    except OSError:
        return None
    return Handle(uuid, kind, data), mount


def _uuid(fd: int) -> bytes:
    buffer = bytearray(17)
    try:
        fcntl.ioctl(fd, abi.FS_IOC_GETFSUUID, buffer)
    except OSError:
        return b""
    return bytes(buffer[1 : 1 + buffer[0]]) if any(buffer[1:]) else b""


def plain(seen: SeenDirectory) -> tuple[object, ...]:
    """As marshal takes it."""
    entries = [
        (path, tuple(handle) if handle else None, whiteout, tuple(status) if status else None, merges)
        for path, handle, whiteout, status, merges in seen.entries
    ]
    return tuple(seen.handle) if seen.handle else None, entries, seen.whole


def looking(look: Callable[[int, int], Any], flags: int = os.O_PATH) -> See:
    """What `look` says of the root of a mount, by a descriptor, and of its id; None if that cannot be opened."""

    def see(path: bytes, here: int, mount: int) -> Any:
        try:
            root = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with closing_fd(root):
            try:
                is_it = syscalls.mount_id(root, b"") == here
            except OSError:
                return None
            return look(root, mount) if is_it else None

    return see


def directories(wanted: Mapping[int, Sequence[str]]) -> See:
    """What is at paths in mounts: what SeenDirectory.of takes, None if nothing is there, False if it is not known."""
    return looking(lambda root, mount: [_inner(root, place) for place in wanted[mount]])


def _inner(root: int, place: str) -> tuple[object, ...] | bool | None:
    try:
        with closing_fd(_open_in(root, place)) as fd:
            return plain(describe(fd))
    except OSError as error:
        return None if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP) else False


def _open_in(root: int, place: str, flags: int = os.O_RDONLY | os.O_DIRECTORY) -> int:
    """A directory of a mount, or what `flags` open; also below another mount, by a clone. Raises OSError."""
    path = os.fsencode(place.strip("/")) or b"."
    try:
        return syscalls.openat2(root, path, flags, _RESOLVE)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    clone = syscalls.open_tree(root, b"", abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_EMPTY_PATH)
    with closing_fd(clone):
        return syscalls.openat2(clone, path, flags, _RESOLVE)


def presence(wanted: Mapping[int, Sequence[str]]) -> See:
    """Whether something is at paths in mounts, that is no whiteout."""
    return looking(lambda root, mount: [_is_there(root, place) for place in wanted[mount]])


def _is_there(root: int, place: str) -> bool:
    try:
        fd = _open_in(root, place, os.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return False
    with closing_fd(fd):
        found = os.fstat(fd)
        return not (stat.S_ISCHR(found.st_mode) and found.st_rdev == 0)


def behind_overlays(wanted: Mapping[int, Iterable[str]]) -> See:
    """The handles behind the roots of overlays, and those and the status of paths in them that are there.

    The status is False where something is mounted.
    """

    def look(root: int, mount: int) -> tuple[object, dict[str, tuple[object, object]]]:
        here = syscalls.mount_id(root, b"")
        found: dict[str, tuple[object, object]] = {}
        for one in wanted[mount]:
            try:
                mount_there = syscalls.stat_root(root, os.fsencode(one))[0]
                status = Status.of(os.stat(one, dir_fd=root, follow_symlinks=False) if one else os.fstat(root))
            except OSError:
                continue
            found[one] = _behind(root, one), mount_there == here and (tuple(status) if status else None)
        return _behind(root, ""), found

    return looking(look)


def _behind(root: int, path: str) -> tuple[object, ...] | None:
    met = _handle_at(root, path, b"")
    inner = behind(met[0]) if met else None
    return tuple(inner) if inner else None


def listings() -> See:
    """What is in overlays, with the handles behind it."""

    def look(root: int, _: int) -> list[tuple[str, object]]:
        seen = describe(root, 4 * _MOST)
        return [(one.path, tuple(inner)) for one in seen.entries if (inner := behind(one.handle)) is not None]

    return looking(look, os.O_RDONLY | os.O_DIRECTORY)


def names() -> See:
    """What is directly in directories, by name."""
    return looking(lambda root, _: os.listdir(root), os.O_RDONLY | os.O_DIRECTORY)


def decoded(proc: int, handles: Sequence[Handle]) -> See:
    """Where handles lead to on a mount: the path in it, False if that is beside what the mount shows, None if nowhere.

    It takes the right to open by handle on that filesystem. `proc` is /proc.
    """

    def look(root: int, _: int) -> list[str | bool | None]:
        uuid = _uuid(root)
        base = os.readlink(f"self/fd/{root}", dir_fd=proc)
        return [
            None if uuid and handle.uuid and uuid != handle.uuid else _lead(proc, root, base, handle)
            for handle in handles
        ]

    return looking(look, os.O_RDONLY | os.O_DIRECTORY)


def _lead(proc: int, root: int, base: str, handle: Handle) -> str | bool | None:
    try:
        fd = syscalls.open_by_handle(root, handle.type, handle.data)
    except OSError:
        return None
    with closing_fd(fd):
        path = os.readlink(f"self/fd/{fd}", dir_fd=proc)
        if os.fstat(fd).st_nlink == 0 or path.endswith(" (deleted)"):
            return None
        if os.path.samestat(os.fstat(fd), os.fstat(root)):
            return "/"
        if path.startswith(base if base == "/" else base + "/") and path != "/":
            return path if base == "/" else path[len(base) :]
        return False


def uses(wanted: Mapping[int, Sequence[str]]) -> See:
    """Whether directories, by their paths in mounts, are upper or work directories of an overlay that is mounted."""
    return looking(lambda root, mount: [_use(root, place) for place in wanted[mount]])


def _use(root: int, place: str) -> bool | None:
    try:
        return _use_at(root, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            return None
    try:
        return bool(in_child(lambda: _use_below(root, place)))
    except OSError:
        return None


def _use_at(root: int, place: str) -> bool:
    path = os.fsencode(place.strip("/")) or b"."
    with closing_fd(syscalls.openat2(root, path, os.O_RDONLY | os.O_DIRECTORY, _RESOLVE)) as fd:
        os.fchdir(fd)
        return is_in_use_here()


def _use_below(root: int, place: str) -> bool:
    """The same of what lies below another mount, for a process that goes: overlays are made of what is mounted in the
    namespace of who makes them (clone_private_mount()), so a clone must stand there, in a copy of the namespace. It
    comes to stand on what covers the mount, so that is made private too, or it would stand in the original as well.
    """
    os.fchdir(root)
    syscalls.unshare(abi.CLONE_NEWNS)
    syscalls.mount(b".", abi.MS_REC | abi.MS_PRIVATE)
    clone = syscalls.open_tree(abi.AT_FDCWD, b".", abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC)
    syscalls.move_mount(clone, abi.AT_FDCWD, b".", abi.MOVE_MOUNT_F_EMPTY_PATH)
    return _use_at(clone, place)
