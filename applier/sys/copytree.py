"""Copies a directory tree with all that belongs to it: owners, modes, times, extended attributes, hard links, holes.

All goes by descriptors. Each name is looked up once, never through a symlink, and what is copied is what that found;
fifos, sockets and devices are made, never opened.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mountplan.applier.sys import syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.private import new_directory
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.planner.record import NamedTuple

# What could not be copied: its path, what was tried, why not. Raising from it ends the copy, otherwise it goes on.
Refused = Callable[[str, str, OSError], None]
# Device and inode of what has several names -> the path of the first one that was copied.
Links = dict[tuple[int, int], str]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NODE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SET_ID = stat.S_ISUID | stat.S_ISGID
# Labels by which the machine protects its own files: it gives new files those that they should have.
_LABELS = ("security.selinux", "security.SMACK64", "security.ima", "security.evm", "security.apparmor")
_ACL = "system.posix_acl_"
_BLOCK = 1 << 20  # bytes that are read at once
_LONGEST = 4000  # bytes of a path that one call takes (PATH_MAX)


def copy_tree(source: int, target: int, refused: Refused, links: Links | None = None) -> None:
    """Make the empty directory `target` what the directory `source` is. Both are descriptors, of any kind.

    `links` are those of what was copied to `target` before, if it is not empty; they come to have what is now.
    """
    with _many_files():
        _Copy(target, refused, links).tree(source)


def copy_into(source: int, target: int, path: str, directory: int, refused: Refused, links: Links) -> None:
    """Make a copy of `source`, which may be anything, at `path` of `target`; in `directory`, which is there already."""
    with _many_files():
        _Copy(target, refused, links).one(source, path, directory)


@contextmanager
def _many_files() -> Iterator[None]:
    """For a while, let this process have as many files open as it may: a copy takes two for each level of the tree."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def refuse(path: str, what: str, error: OSError) -> None:
    """A Refused that ends the copy."""
    raise KernelRefusal(error.errno or 0, getattr(error, "syscall", what), (f"/{path}: {what}",)) from None


class _Level(NamedTuple):
    """A directory that is being copied: `names` are those that are left, the next one last."""

    path: str
    source: int
    target: int
    status: os.stat_result
    names: list[str]


class _Copy:
    def __init__(self, target: int, refused: Refused, links: Links | None = None) -> None:
        self._top = target
        self._refused = refused
        self._levels: list[_Level] = []
        self._links = {} if links is None else links

    def tree(self, source: int) -> None:
        self._enter("", source, self._top, ".")
        self._go_on()

    def one(self, source: int, path: str, directory: int) -> None:
        self._copy(path, source, path.rpartition("/")[2], directory)
        self._go_on()

    def _go_on(self) -> None:
        """Copy all that is left in the directories which were entered, and in those below."""
        try:
            while self._levels:
                level = self._levels[-1]
                if level.names:
                    self._next(level)
                    continue
                # Times are set when nothing more is put in, and default ACLs would go to what is.
                self._dress(level.path, level.source, level.target, level.status)
                self._levels.pop()
                os.close(level.source)
                os.close(level.target)
        finally:
            for level in self._levels:
                os.close(level.source)
                os.close(level.target)

    def _next(self, level: _Level) -> None:
        name = level.names.pop()
        path = f"{level.path}/{name}" if level.path else name
        try:
            source = os.open(name, _NODE, dir_fd=level.source)
        except OSError as error:
            self._refused(path, "cannot look at it", error)
            return
        with closing_fd(source):
            self._copy(path, source, name, level.target)

    def _enter(self, path: str, source: int, directory: int, name: str) -> None:
        """Go into a directory, whose copy is there by now under this name."""
        opened: list[int] = []
        try:
            opened.append(os.open(".", _DIRECTORY, dir_fd=source))
            opened.append(os.open(name, _DIRECTORY, dir_fd=directory))
            names = sorted(os.listdir(opened[0]), reverse=True)
            self._levels.append(_Level(path, opened[0], opened[1], os.fstat(opened[0]), names))
        except OSError as error:
            for fd in opened:
                os.close(fd)
            self._refused(path, "cannot read the directory", error)

    def _copy(self, path: str, source: int, name: str, directory: int) -> None:
        status = os.fstat(source)
        if stat.S_ISDIR(status.st_mode):
            self._directory(path, source, name, directory)
            return
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and key in self._links:
            self._link(path, self._links[key], name, directory)
            return
        target = self._make(path, source, status, name, directory)
        if target < 0:
            return
        with closing_fd(target):
            self._dress(path, source, target, status)
        if status.st_nlink > 1:
            self._links[key] = path

    def _directory(self, path: str, source: int, name: str, directory: int) -> None:
        try:
            new_directory(name, directory)
        except OSError as error:
            self._refused(path, "cannot make the directory", error)
            return
        self._enter(path, source, directory, name)

    def _link(self, path: str, first: str, name: str, directory: int) -> None:
        opened = -1
        try:
            opened, rest = _open_far(self._top, first)
            os.link(rest, name, src_dir_fd=opened, dst_dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            self._refused(path, f"cannot make it a second name of /{first}", error)
        finally:
            if opened >= 0:
                os.close(opened)

    def _make(self, path: str, source: int, status: os.stat_result, name: str, directory: int) -> int:
        """Anything but a directory, with what is in it; a descriptor of it, or -1."""
        kind = stat.S_IFMT(status.st_mode)
        try:
            if kind == stat.S_IFREG:
                return _make_file(source, status, name, directory)
            if kind == stat.S_IFLNK:
                os.symlink(os.readlink("", dir_fd=source), name, dir_fd=directory)
            else:
                os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=directory)
            return os.open(name, _NODE, dir_fd=directory)
        except OSError as error:
            self._refused(path, f"cannot copy the {_KINDS[kind]}", error)
            return -1

    def _dress(self, path: str, source: int, target: int, status: os.stat_result) -> None:
        """Owner, extended attributes, mode and times, in an order in which none undoes another."""
        here, mode = f"/proc/self/fd/{target}", stat.S_IMODE(status.st_mode)
        try:
            was = os.fstat(target)
            if (was.st_uid, was.st_gid) != (status.st_uid, status.st_gid):
                os.chown(here, status.st_uid, status.st_gid)
        except OSError as error:
            mode &= ~_SET_ID  # they would give the rights of another user
            self._refused(path, f"cannot give it to user {status.st_uid} and group {status.st_gid}", error)
        acls = self._attributes(path, source, here)
        try:
            if not stat.S_ISLNK(status.st_mode):
                os.chmod(here, mode)
        except OSError as error:
            self._refused(path, f"cannot give it the mode {mode:04o}", error)
        for name, value in acls:
            self._set_attribute(path, here, name, value)
        try:
            os.utime(here, ns=(status.st_atime_ns, status.st_mtime_ns))
        except OSError as error:
            self._refused(path, "cannot set its times", error)

    def _attributes(self, path: str, source: int, target: str) -> list[tuple[str, bytes]]:
        """Set the extended attributes; those that have to wait for the mode are returned."""
        origin = f"/proc/self/fd/{source}"
        later = []
        try:
            for name in sorted(os.listxattr(origin)):
                if name.startswith(_LABELS):
                    continue
                value = os.getxattr(origin, name)
                if name.startswith(_ACL):
                    later.append((name, value))
                else:
                    self._set_attribute(path, target, name, value)
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                self._refused(path, "cannot read its extended attributes", error)
        return later

    def _set_attribute(self, path: str, target: str, name: str, value: bytes) -> None:
        try:
            os.setxattr(target, name, value)
        except OSError as error:
            self._refused(path, f"cannot give it the extended attribute {name}", error)


_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device node",
    stat.S_IFBLK: "device node",
}


def _make_file(source: int, status: os.stat_result, name: str, directory: int) -> int:
    with closing_fd(os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)) as reader:
        writer = os.open(name, _NEW, 0o600, dir_fd=directory)
        try:
            _copy_data(reader, writer, status.st_size)
        except BaseException:
            os.close(writer)
            raise
        return writer


def _copy_data(source: int, target: int, size: int) -> None:
    """What is in a file whose size is told as `size`, but for its holes. What is appended meanwhile is left out.

    Files of /proc and /sys are said to have no size, or that of a page: what there is to be read is what is in them.
    """
    if not size:
        _read_on(source, target)
        return
    os.ftruncate(target, size)
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # there is but a hole left
                return
            raise
        end = min(os.lseek(source, at, os.SEEK_HOLE), size)
        os.lseek(target, at, os.SEEK_SET)
        while at < end:
            try:
                sent = os.sendfile(target, source, at, end - at)
            except OSError as error:
                if error.errno != errno.EINVAL:  # of files of /proc that can only be read
                    raise
                os.lseek(source, at, os.SEEK_SET)
                sent = _read_on(source, target, end - at)
            if not sent:  # it is shorter than was told, or was cut meanwhile
                os.ftruncate(target, at)
                return
            at += sent


def _read_on(source: int, target: int, most: int = sys.maxsize) -> int:
    """Copy by read(2) and write(2) from where both are, up to `most` bytes; how many there were."""
    done = 0
    while done < most and (block := os.read(source, min(_BLOCK, most - done))):
        done += len(block)
        syscalls.write_all(target, block)
    return done


def _open_far(directory: int, path: str) -> tuple[int, str]:
    """A descriptor and the rest of `path` below it, which is short enough for one call."""
    here = os.dup(directory)
    while len(os.fsencode(path)) > _LONGEST:
        parts = path.split("/")
        some = _LONGEST // 256  # no name is longer than 255 bytes
        with closing_fd(here) as above:
            here = os.open("/".join(parts[:some]), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=above)
        path = "/".join(parts[some:])
    return here, path
