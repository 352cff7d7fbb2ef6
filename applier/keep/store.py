"""Where kept namespaces have their names: a directory with one directory for each name.

Root's is a private, unbindable tmpfs on /run/mountplan, made when the first name is kept and gone with the last. The
directory that it is mounted on stays: other mount namespaces see it too, may have a store of their own there, and the
kernel would take that away with the directory. An ordinary user's is the directory `mountplan` in the runtime
directory, where nothing is mounted, and which is there from the first name to the last.

Names are written under a lock on the directory itself (flock(2)), and in one rename each: a reader sees a name
whole or not at all. What begins with ".new-" or ".old-" is on its way in or out; found under the lock, it is what a
crash has left. The lock is held for milliseconds, never while something is built.

A reader of a name holds a shared lock on the name's directory, and what is on its way out goes when no reader is left.

A directory is used if it is this user's and no other user may change or lock it. What is odd in it is passed over.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from time import monotonic, sleep

from mountplan.applier.keep.kept_record import is_name
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.private import new_directory, opened_file
from mountplan.applier.sys.privilege import for_this_user, may_mount
from mountplan.applier.sys.refusal import KernelRefusal, explain, function_of
from mountplan.planner.errors import KeepRefused
from mountplan.planner.light import contextmanager
from mountplan.planner.record import NamedTuple

RUN = "/run"
MOUNTED = f"{RUN}/mountplan"  # of a user who may mount it
_OWNER = ".owner"
_COMING, _GOING = ".new-", ".old-"
_PATIENCE = 300.0  # seconds to wait for the lock: it is free soon, but many may want it at once
_SHORT_PATIENCE = 30.0  # seldom contended: one process makes a store
READERS = 2.0  # seconds until those who look at a name that is on its way out are left to it
_TRIES = 10_000  # to get hold of a store: others let theirs go meanwhile, and cleaners take one that is just made

# Errors with which what is called like the owner's file is none that mountplan has written.
_NO_OWNER = (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.EAGAIN)

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
ODD = "look at it, and remove it"

Discard = Callable[[str, int, str], None]


class NoPlace(KeepRefused):
    """This user has no directory in which names could be kept: so there are none."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy, exit_status=2)  # it was not the kernel that said no


class StorePlace(NamedTuple):
    """The path of a store, and whether it is a mount of our own, in which namespace files can be mounted."""

    path: str
    is_mount: bool


def find_place() -> StorePlace:
    """Where this user's names are. Raises KeepRefused if there is no place for them."""
    if _may_mount():
        try:
            run = os.stat(RUN)
            if run.st_uid == os.geteuid():
                if run.st_mode & 0o022 and not run.st_mode & stat.S_ISVTX:
                    raise KeepRefused(f"cannot keep namespaces: others may replace what is in {RUN}", f"chmod +t {RUN}")
                return StorePlace(MOUNTED, True)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise refused_to_keep("cannot keep namespaces", error) from None
            if os.geteuid() == 0 and "XDG_RUNTIME_DIR" not in os.environ:
                raise KeepRefused(f"cannot keep namespaces: {RUN}: {error.strerror}", f"create {RUN}") from None
    return StorePlace(f"{_runtime_directory()}/mountplan", False)


def runtime_place() -> str:
    """A directory that outlives a command, and in which no other user may replace what is ours. Raises KeepRefused."""
    return os.path.dirname(find_place().path)


def _may_mount() -> bool:
    """True if this process may change its mount namespace; in a user namespace of its own it may not always.

    Raises KeepRefused if something else than the kernel's own rule refuses it: another store would be taken for its.
    """
    try:
        os.close(syscalls.fsopen(b"tmpfs"))
    except KernelRefusal as refusal:
        if refusal.errno == errno.EPERM and not may_mount():
            return False
        raise refused_to_keep("cannot tell where namespaces are kept", refusal) from None
    return True


_NO_SESSION = (
    "log in for a session of your own, which su(1) does not give (`loginctl enable-linger` makes the directory without "
    "one), set XDG_RUNTIME_DIR to a directory of yours that no other user can write to, or run it as root"
)


def _runtime_directory() -> str:
    path = os.environ.get("XDG_RUNTIME_DIR", "")
    origin = "XDG_RUNTIME_DIR"
    if not path:
        path = origin = f"/run/user/{os.geteuid()}"
    own = "set XDG_RUNTIME_DIR to a directory of yours that no other user can write to, or run it as root"
    remedy = for_this_user(own)
    what = f"there is no place to keep namespaces in: {origin}"
    if not os.path.isabs(path):
        raise NoPlace(f"{what} is {path!r}, which is no absolute path", remedy)
    try:
        found = os.stat(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            raise refused_to_keep(what, error) from None
        if path == origin and error.errno == errno.ENOENT:  # a user who comes by su(1) has no session
            remedy = for_this_user(_NO_SESSION)
        raise NoPlace(f"{what}: {'' if path == origin else f'{path}: '}{error.strerror}", remedy) from None
    if not stat.S_ISDIR(found.st_mode):
        raise NoPlace(f"{what}: {path} is no directory", remedy)
    if found.st_uid != os.geteuid():
        raise NoPlace(f"{what}: {path} belongs to user {found.st_uid}", remedy)
    if found.st_mode & 0o022:
        raise NoPlace(f"{what}: others may write to {path}", remedy)
    return path


class Store:
    """An open store. `fd` is its directory."""

    def __init__(self, place: StorePlace, fd: int) -> None:
        self.place = place
        self.fd = fd

    def names(self) -> list[str]:
        """The names in it, sorted."""
        return [entry for entry in self._visible() if is_name(entry) and self._is_directory(entry)]

    def odd(self) -> list[str]:
        """What is in it and mountplan has not made: what is no name, and directories within names. Sorted."""
        names = set(self.names())
        within = [f"{name}/{one}" for name in names for one in self.foreign(name)]
        return sorted([*(entry for entry in self._visible() if entry not in names), *within])

    def _visible(self) -> list[str]:
        return sorted(entry for entry in os.listdir(self.fd) if entry[0] != ".")

    def _is_directory(self, entry: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(entry, dir_fd=self.fd, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def open(self, name: str) -> int | None:
        """A descriptor of the directory of a name, or None if there is no such name. Raises KeepRefused."""
        try:
            fd = os.open(name, _DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            what = f"{self.place.path}/{name} cannot be read"
            if error.errno not in (errno.ENOTDIR, errno.ELOOP, errno.EACCES):
                raise refused_to_keep(what, error) from None
            why = "permission denied" if error.errno == errno.EACCES else "it is no directory"
            raise KeepRefused(f"{what}: {why}", ODD) from None
        owner = os.fstat(fd).st_uid
        if owner != os.geteuid():
            os.close(fd)
            raise KeepRefused(f"{self.place.path}/{name} belongs to user {owner}", ODD)
        return fd

    def lend(self, name: str) -> int | None:
        """As open(), and what is in it stays, even if the name goes or is replaced, until let_go() or close(2)."""
        for _ in range(_TRIES):
            fd = self.open(name)
            if fd is None:
                return None
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                found = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
                if os.path.samestat(os.fstat(fd), found):
                    return fd
            except (BlockingIOError, FileNotFoundError):
                pass  # it is on its way out
            os.close(fd)
            sleep(0.002)
        raise KeepRefused(f"{self.place.path}/{name}: it is replaced again and again", "look for who else does that")

    @contextmanager
    def coming(self, name: str) -> Iterator[int]:
        """Lend a new directory that becomes `name` when the block has ended. Only under the lock.

        What had the name before changes places with it at the same moment, and goes. If the block raises, nothing
        has changed; what is in the new directory then is for the next sweep().
        """
        new = _passing(_COMING, name)
        new_directory(new, self.fd)
        with closing_fd(os.open(new, _DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)) as directory:
            yield directory
        if self._has(name):
            syscalls.exchange(self.fd, os.fsencode(new), os.fsencode(name))
        else:
            os.rename(new, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def drop(self, name: str) -> str:
        """Let a name be gone at once; sweep() does the rest. Only under the lock. Returns what it is called now."""
        old = _passing(_GOING, name)
        os.rename(name, old, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        return old

    def sweep(self, discard: Discard, patience: float = 0.0) -> dict[str, OSError | KeepRefused]:
        """Remove what is on its way in or out with `discard(name, directory, file)` for each file. Only under the lock.

        What had to be left there, and why: with names that are looked at for longer than `patience` seconds, a
        BlockingIOError.
        """
        left: dict[str, OSError | KeepRefused] = {}
        deadline = monotonic() + patience
        for entry in sorted(os.listdir(self.fd)):
            if entry.startswith((_COMING, _GOING)):
                try:
                    self._clear(entry, discard, deadline)
                except (OSError, KeepRefused) as error:
                    left[entry] = error
        return left

    def _clear(self, entry: str, discard: Discard, deadline: float) -> None:
        if not self._is_directory(entry):
            os.unlink(entry, dir_fd=self.fd)
            return
        directory = self.open(entry)
        if directory is None:
            return
        with closing_fd(directory):
            _lock(directory, deadline - monotonic())
            name = entry[len(_COMING) :].partition("~")[0]
            # The state is removed last: it tells what else there is to be ended.
            for file in sorted(os.listdir(directory), key=lambda file: (file.startswith("."), file)):
                discard(name, directory, file)
                os.unlink(file, dir_fd=directory)
        os.rmdir(entry, dir_fd=self.fd)

    def foreign(self, name: str) -> list[str]:
        """Directories in that of a name, which mountplan has not made, and so does not remove. Sorted.

        None of what cannot be read.
        """
        try:
            directory = self.open(name)
        except KeepRefused:
            return []
        if directory is None:
            return []
        with closing_fd(directory):
            with os.scandir(directory) as entries:
                return sorted(one.name for one in entries if one.is_dir(follow_symlinks=False))

    def has_leftovers(self) -> bool:
        entries = os.listdir(self.fd)
        return any(one.startswith((_COMING, _GOING)) for one in entries) or not any(one[0] != "." for one in entries)

    def _has(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def close(self) -> None:
        syscalls.close(self.fd)


def let_go(directory: int) -> None:
    """Let what lend() gave be removed, though the descriptor of it may still be open, here or in a child."""
    fcntl.flock(directory, fcntl.LOCK_UN)


def _passing(kind: str, name: str) -> str:
    """What a name is called on its way: another one each time, since something may have been left on the way."""
    return f"{kind}{name}~{os.urandom(4).hex()}"


@contextmanager
def reading() -> Iterator[Store | None]:
    """Lend this user's store, or None if nothing is kept. What a crash left in it may still be there."""
    place = find_place()
    fd = _open_ours(place)
    if fd is None:
        yield None
        return
    with closing_fd(fd):
        yield Store(place, fd)


@contextmanager
def writing(*, create: bool) -> Iterator[Store | None]:
    """Lend this user's store with its lock held; without `create`, None if there is none.

    A store that is empty at the end of the block goes away, also if the block raises. Raises KeepRefused.
    """
    place = find_place()
    store = _lock_one(place, create=create)
    if store is None:
        yield None
        return
    try:
        yield store
    finally:
        try:
            if not any(name[0] != "." or name.startswith((_COMING, _GOING)) for name in os.listdir(store.fd)):
                _remove(store)
        except OSError:
            pass  # the next command does it
        finally:
            store.close()


def _lock_one(place: StorePlace, *, create: bool) -> Store | None:
    """The store, locked, and still the one that is in its place."""
    for _ in range(_TRIES):
        fd = _open_ours(place)
        if fd is None:
            if not create:
                return None
            _make(place)
            continue
        try:
            _lock_store(fd, place, _PATIENCE)
            if _is_in_place(fd, place):
                if place.is_mount:
                    # If its maker was killed between the two calls, and /run is shared, so is the store.
                    syscalls.mount_setattr(fd, 0, syscalls.mount_attr(propagation=abi.MS_UNBINDABLE))
                store = Store(place, fd)
                fd = -1
                return store
        finally:
            if fd >= 0:
                os.close(fd)
    raise KeepRefused(f"{place.path}: it is replaced again and again", "look for who else mounts there")


def _lock_store(fd: int, place: StorePlace, patience: float) -> None:
    try:
        _lock(fd, patience)
    except BlockingIOError:
        what = f"{place.path}: other processes have had it locked for {patience:.0f} seconds"
        raise KeepRefused(what, f"find out who it is (fuser -v {place.path}), and end it") from None


def _lock(fd: int, patience: float) -> None:
    """Lock for this process alone. Raises BlockingIOError if another has had it for `patience` seconds."""
    deadline = monotonic() + patience
    pause = 0.002
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if monotonic() >= deadline:
                raise
        sleep(pause)
        pause = min(2 * pause, 0.1)  # hundreds that look all the time would leave no time to its holder


def _open_top(place: StorePlace) -> int | None:
    """A descriptor of the directory that is at the path now, or None. No symlink is followed, in root's place."""
    resolve = abi.RESOLVE_NO_SYMLINKS if place.is_mount else 0
    try:
        return syscalls.openat2(abi.AT_FDCWD, os.fsencode(place.path), _DIRECTORY, resolve)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise KeepRefused(f"{place.path}: it is no directory, or a symlink leads there", "remove it") from None
        raise refused_to_keep(place.path, error) from None


def refused_to_keep(what: str, error: OSError, kind: str = "keep") -> KeepRefused:
    """What to raise if the system does not let this be done: which call, why, and what to do."""
    call = function_of(error)
    meaning, remedy = explain(kind, error.errno or 0, call)
    return KeepRefused(f"{what}: {call}{call and ': '}{meaning}", remedy)


def _open_ours(place: StorePlace) -> int | None:
    fd = _open_top(place)
    if fd is None:
        return None
    ours = False
    try:
        ours = _is_ours(fd, place)
    finally:
        if not ours:
            os.close(fd)
    return fd if ours else None


def _is_ours(fd: int, place: StorePlace) -> bool:
    """False for what is no store, and for a copy of a store that has come with a copy of its mount namespace.

    Such a copy shows the files of another namespace's store without what is mounted on them: they look like what a
    crash has left, and to remove one of them would take the mount from the store itself.
    """
    _check_directory(fd, place)
    if not place.is_mount:
        return True
    try:
        written = _read_owner(fd)
        return written is not None and written == _identity(fd)
    except OSError as error:
        raise refused_to_keep(f"cannot tell whose {place.path} is", error) from None


def _read_owner(fd: int) -> bytes | None:
    """What the owner's file says, None if there is none. Raises OSError."""
    try:
        owner = os.open(_OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
        with closing_fd(owner):
            return os.read(owner, 100)
    except OSError as error:
        if error.errno in _NO_OWNER:
            return None
        raise


def _check_directory(fd: int, place: StorePlace) -> None:
    """Raise KeepRefused for a directory that others have made, or may change; a user's must be closed to them."""
    found = os.fstat(fd)
    if found.st_uid != os.geteuid():
        raise KeepRefused(f"{place.path}: it belongs to user {found.st_uid}", "remove it")
    if found.st_mode & 0o022 or (not place.is_mount and found.st_mode & 0o077):
        remedy = f"look at what is in it, and close it: chmod go= {place.path} (to remove it ends what is kept there)"
        raise KeepRefused(f"{place.path}: others may {'write to' if found.st_mode & 0o022 else 'read'} it", remedy)


def _identity(mount: int) -> bytes:
    """What tells a store's mount from copies of it: copies have another id, and are mostly in another namespace."""
    return b"%d %d\n" % (os.stat("/proc/self/ns/mnt").st_ino, syscalls.mount_id(mount, b""))


def _is_in_place(fd: int, place: StorePlace) -> bool:
    top = _open_top(place)
    if top is None:
        return False
    with closing_fd(top):
        return _same(fd, top)


def _same(one: int, other: int) -> bool:
    ids = [syscalls.mount_id(fd, b"") for fd in (one, other)]
    return os.path.samestat(os.fstat(one), os.fstat(other)) and ids[0] == ids[1]


def _make(place: StorePlace) -> None:
    """Make the store, unless another process is faster."""
    try:
        new_directory(place.path)
    except FileExistsError:
        pass
    except OSError as error:
        raise refused_to_keep(f"cannot keep namespaces: {place.path}", error) from None
    if not place.is_mount:
        return
    below = _open_top(place)
    if below is None:
        return
    with closing_fd(below):
        _check_directory(below, place)
        os.fchmod(below, 0o700)  # who can open it can lock it, and for ever
        _lock_store(below, place, _SHORT_PATIENCE)
        top = _open_top(place)
        if top is None:
            return
        with closing_fd(top):
            if _same(below, top) and not _is_ours(top, place):
                _mount_on(below)


def _mount_on(directory: int) -> None:
    """A tmpfs of our own on a directory, which is locked.

    It cannot be unbindable from the start: where /run is shared, the kernel mounts no such thing there. There it also
    puts a copy upon each peer and slave of /run, and makes ours a peer of those; the second call takes ours out again,
    before anything is in it. The copies are told from a store by its owner, and go when it goes.
    """
    try:
        with closing_fd(syscalls.fsopen(b"tmpfs")) as context:
            syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, b"source", b"mountplan", 0)
            syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, b"mode", b"0700", 0)
            syscalls.fsconfig(context, abi.FSCONFIG_CMD_CREATE, None, None, 0)
            mount = syscalls.fsmount(context, abi.MOUNT_ATTR_NOSUID | abi.MOUNT_ATTR_NODEV | abi.MOUNT_ATTR_NOEXEC)
        with closing_fd(mount):
            with closing_fd(opened_file(_OWNER, mount)) as owner:
                os.write(owner, _identity(mount))
            syscalls.move_mount(mount, directory, b"", abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH)
            syscalls.mount_setattr(mount, 0, syscalls.mount_attr(propagation=abi.MS_UNBINDABLE))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return  # the directory was removed meanwhile
        raise refused_to_keep(f"cannot mount a tmpfs on {RUN}/mountplan", error) from None


def _remove(store: Store) -> None:
    """Let an empty store go. Only under its lock."""
    if store.place.is_mount:
        # Lazily, since we have it open ourselves; others that have will find that it is no longer in its place.
        syscalls.umount2(b"/proc/self/fd/%d" % store.fd, abi.MNT_DETACH)
        return  # the directory stays
    try:
        os.rmdir(store.place.path)
    except OSError:
        pass  # something has been put into it
