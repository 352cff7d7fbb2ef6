"""Takes the files of live filesystems into directories: of mounts that may be covered, and are left as they are."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import socket
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from mountplan.applier.observe.roots import look
from mountplan.applier.observe.subjects import Subject
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.copytree import Links, copy_into, copy_tree
from mountplan.applier.sys.private import new_directory, opened_file
from mountplan.planner.paths import TargetPath
from mountplan.planner.tables.mount_facts import Fillable, Visible
from mountplan.planner.tables.table import MountTable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CLONE = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_EMPTY_PATH
_ORIGINS = frozenset({"trusted.overlay.origin", "user.overlay.origin"})
_MOST_TOLD = 10  # things of one filesystem that could not be stored; the others are counted


class Stored:
    """What became of one filling: whether it has a directory, and which of its declared files are in that."""

    def __init__(self, filling: Fillable) -> None:
        self.filling = filling
        self.is_there = False
        self.there: tuple[str, ...] = ()
        self.told: list[str] = []
        self.untold = 0
        self.links: Links = {}

    def refused(self, path: str, what: str, error: OSError) -> None:
        if len(self.told) < _MOST_TOLD:
            self.told.append(f"/{path}: {what}: {(error.strerror or '').lower()}")
        else:
            self.untold += 1


class Made:
    """What is removed if this process ends before it is of use: directories whose spec is to be saved as `spec`."""

    def __init__(self, spec: str | None = None) -> None:
        self.spec = spec
        self.paths: list[str] = []
        self.markers: list[tuple[str, int]] = []  # one beside each that is whole, with the lock on it


def store(
    fillings: Sequence[Fillable], subjects: Sequence[Subject], tables: Sequence[MountTable], path: str,
    made: Made | None = None,
) -> list[Stored]:  # fmt: skip
    """Make the directory `path`, which must not exist, with one directory in it for each filling that has something in
    it which a spec does not make by itself. Raises OSError if nothing can be stored there at all.

    `made` is removed_if_ended()'s, of a caller who has more to do before the directory is of use.
    """
    if made is None:
        with removed_if_ended() as made:
            return store(fillings, subjects, tables, path, made)
    # Whole or not at all: what a killed process leaves has another name, or a marker, and goes when the same is wanted
    # again.
    above, name = os.path.split(os.path.abspath(path))
    coming = os.path.join(above, f".{name}.mountplan-new")
    marker = os.path.join(above, f".{name}.mountplan-unsaved")
    _clear_unsaved(path, marker, made.spec)
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    try:
        top = _make_anew(coming)
    except OSError as error:
        error.filename = path
        raise
    made.paths.append(coming)
    with closing_fd(top):
        stored = _store(fillings, subjects, tables, top)
        if os.listdir(coming):
            made.markers.append((marker, _mark(marker, os.fstat(top).st_ino)))
            os.rename(coming, path)
            made.paths.append(path)
        else:
            os.rmdir(coming)
        return stored


def _make_anew(path: str) -> int:
    """Make a directory, in the place of one that a killed process has left; a descriptor that has it locked."""
    try:
        new_directory(path)
    except FileExistsError:
        with closing_fd(_locked(path)):
            shutil.rmtree(path)
        new_directory(path)
    return _locked(path)


def _mark(marker: str, inode: int) -> int:
    """Say beside a directory that its spec is not saved yet; a descriptor that has the marker locked."""
    fd = opened_file(marker)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(fd, str(inode).encode())
    return fd


def _clear_unsaved(path: str, marker: str, spec: str | None) -> None:
    """Remove the directory of a process that was killed before its spec was saved. Raises OSError if one is at it."""
    try:
        fd = os.open(marker, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    with closing_fd(fd):
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(errno.EBUSY, "another process is storing files there", path) from None
        inode = os.read(fd, 20)
        if not _is_later(spec, status) and _inode(path) == inode:
            shutil.rmtree(path)
        os.unlink(marker)


def _is_later(spec: str | None, status: os.stat_result) -> bool:
    """True if the spec has been saved since then, so that the directory is of use."""
    try:
        return spec is not None and os.stat(spec).st_mtime_ns >= status.st_mtime_ns
    except OSError:
        return False


def _inode(path: str) -> bytes:
    try:
        return str(os.lstat(path).st_ino).encode()
    except OSError:
        return b""


def _locked(path: str) -> int:
    """A descriptor of a directory of ours that no other process has locked. Raises OSError."""
    fd = os.open(path, _DIRECTORY)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, BlockingIOError):
            raise OSError(errno.EBUSY, "another process is storing files there", path) from None
        raise
    return fd


@contextmanager
def removed_if_ended(spec: str | None = None) -> Iterator[Made]:
    """In this block, an exception, or a SIGTERM or SIGHUP that ends this process, removes the directories that were
    made by then. What SIGKILL leaves, the next attempt removes, unless `spec` was saved.

    What is ignored (nohup), or handled by a program that uses this as a library, stays so.
    """
    here = os.getpid()
    made = Made(spec)

    def remove() -> None:
        for path in made.paths:
            shutil.rmtree(path, ignore_errors=True)
        unmark()

    def unmark() -> None:
        for marker, fd in made.markers:
            with suppress(OSError):
                os.unlink(marker)
            os.close(fd)
        made.markers.clear()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() == here:  # and no child that has inherited this
            remove()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    is_main = threading.current_thread() is threading.main_thread()
    numbers = [one for one in (signal.SIGTERM, signal.SIGHUP) if is_main and signal.getsignal(one) is signal.SIG_DFL]
    try:
        for one in numbers:
            signal.signal(one, end)
        yield made
        unmark()
    except BaseException:
        remove()
        raise
    finally:
        for one in numbers:
            signal.signal(one, signal.SIG_DFL)


def _store(
    fillings: Sequence[Fillable], subjects: Sequence[Subject], tables: Sequence[MountTable], top: int
) -> list[Stored]:
    stored = [Stored(filling) for filling in fillings]
    # What is whole comes first: the parts that have lost their names go into it.
    whole = [(one, view) for one in stored for view in one.filling.views if view.path == "/"]
    parts = [(one, view) for one in stored for view in one.filling.views if view.path != "/"]
    for jobs in (whole, parts):
        for space, subject in enumerate(subjects):
            by_mount = {view.mount: (one, view) for one, view in jobs if view.space == space}
            for mount, source in _views(subject, tables[space], list(by_mount)):
                one, view = by_mount.pop(mount)
                _take(one, view, source, top)
            for one, view in by_mount.values():
                one.told.append(f"{view.path}: it cannot be looked into")
    for one in stored:
        _make_fresh(top, one.filling)
        one.there = tuple(path for path in one.filling.files if _is_there(top, one.filling.name + path))
        one.is_there = _is_there(top, one.filling.name)
    return stored


def _make_fresh(top: int, filling: Fillable) -> None:
    """Take out of the copies of overlays' directories what is of the one overlay, and would keep the next one out: what
    is in the work directory, and, with index=on, the handle of the lower layer that upper one has.
    """
    resolve = abi.RESOLVE_BENEATH | abi.RESOLVE_NO_SYMLINKS
    for path in (*filling.work, *filling.upper):
        try:
            fd = syscalls.openat2(top, os.fsencode(filling.name + path), os.O_RDONLY | os.O_DIRECTORY, resolve)
        except OSError:
            continue  # there is no copy
        with closing_fd(fd):
            for name in os.listdir(fd) if path in filling.work else ():
                shutil.rmtree(name, dir_fd=fd)
            for name in _ORIGINS.intersection(os.listxattr(fd)):
                os.removexattr(fd, name)


def _is_there(top: int, path: str) -> bool:
    try:
        os.lstat(path, dir_fd=top)
    except OSError:
        return False
    return True


def _take(one: Stored, view: Visible, source: int, top: int) -> None:
    filling = one.filling
    if _is_plain(source, TargetPath(view.path), filling):
        return
    try:
        directory = _directory(top, filling)
    except OSError as error:
        one.refused("", "cannot make a directory for it", error)
        return
    try:
        if view.path == "/":
            copy_tree(source, directory, one.refused, one.links)
            return
        with ExitStack() as stack:
            here = directory
            for part in TargetPath(view.path).parts[:-1]:
                here = _below(here, part)
                stack.callback(os.close, here)
            # What was removed is made anew, and removed again: of other names that it may have, nothing is told.
            copy_into(source, directory, view.path[1:], here, one.refused, {} if view.removed else one.links)
    except OSError as error:
        one.refused(view.path[1:], "cannot store it", error)
    finally:
        os.close(directory)


def _directory(top: int, filling: Fillable) -> int:
    """The directory of a filling: made as its root is, if it is not there yet."""
    is_there = _is_there(top, filling.name)
    mode, uid, gid = filling.root
    fd = _below(top, filling.name, mode)
    if not is_there and (uid, gid) != (os.fstat(fd).st_uid, os.fstat(fd).st_gid):
        try:
            os.fchown(fd, uid, gid)
        except OSError:
            pass  # what is copied into it belongs to the same, and tells that it could not be done
    return fd


def _below(directory: int, name: str, mode: int = 0o755) -> int:
    """A directory in a directory: made if it is not there yet."""
    try:
        new_directory(name, directory)
    except FileExistsError:
        return os.open(name, _DIRECTORY, dir_fd=directory)
    fd = os.open(name, _DIRECTORY, dir_fd=directory)
    os.fchmod(fd, mode)
    return fd


def _is_plain(source: int, path: TargetPath, filling: Fillable) -> bool:
    """True if all that is there is what the spec makes anyway, and as it makes it."""
    made = {above for one in filling.made for above in TargetPath(one).ancestors()} | filling.made
    if not _is_default(source, filling.root if path == "/" else None):
        return False
    if not stat.S_ISDIR(os.fstat(source).st_mode):
        return True
    try:
        for folder, directories, files, fd in os.fwalk(".", dir_fd=source):
            here = path.joined(folder[2:])
            for name in (*directories, *files):
                if here.joined(name) not in made:
                    return False
                with closing_fd(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)) as node:
                    if not _is_default(node, None):
                        return False
    except (OSError, RecursionError):
        return False  # the copy will say what is wrong
    return True


def _is_default(fd: int, root: tuple[int, int, int] | None) -> bool:
    """True if it has the owner and mode of what is made without saying, or of such a `root`, and nothing in it."""
    status = os.fstat(fd)
    kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
    wanted = root or ({stat.S_IFDIR: 0o755, stat.S_IFLNK: 0o777}.get(kind, 0o644), 0, 0)
    if (mode, status.st_uid, status.st_gid) != wanted:
        return False
    if kind != stat.S_IFDIR and (status.st_nlink > 1 or (kind == stat.S_IFREG and status.st_size)):
        return False
    return not [name for name in os.listxattr(f"/proc/self/fd/{fd}") if not name.startswith("security.")]


def _views(subject: Subject, table: MountTable, mounts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Detached clones of mounts, one after the other: (mount id, descriptor, which is closed when the next is wanted).

    They show what no cover hides. A mount that cannot be had is left out.
    """
    if not mounts:
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = syscalls.fork()
    if child == 0:
        try:
            syscalls.prctl(abi.PR_SET_PDEATHSIG, 9)
            ours.close()
            look(subject, table, mounts, lambda path, here, mount: _hand_out(theirs, path, here, mount))
        finally:
            os._exit(0)
    theirs.close()
    try:
        while True:
            message, fds, _, _ = socket.recv_fds(ours, 64, 1, socket.MSG_CMSG_CLOEXEC)
            if not message:
                return
            try:
                yield int(message), fds[0]
            finally:
                os.close(fds[0])
            ours.send(b"next")
    finally:
        ours.close()
        os.waitpid(child, 0)


def _hand_out(to: socket.socket, path: bytes, here: int, mount: int) -> bool | None:
    """Send a clone of the mount at `path`, whose id is `here`; read-only, so that to look at it changes no times."""
    opened: list[int] = []
    try:
        opened.append(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC))
        found = syscalls.stat_root(opened[0], b"")
        if found[0] != here or not found[4]:
            return None
        opened.append(syscalls.open_tree(opened[0], b"", _CLONE))
        syscalls.mount_setattr(opened[1], 0, syscalls.mount_attr(set=abi.MS_RDONLY))
        socket.send_fds(to, [str(mount).encode()], [opened[1]])
        return to.recv(16) == b"next" or None
    except OSError:
        return None
    finally:
        for fd in opened:
            os.close(fd)
