"""Namespaces kept by name: look up, list, open; kept_changes.py keeps and removes them, and says how."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from mountplan.applier.keep.keeper import ELSEWHERE, open_keeper
from mountplan.applier.keep.kept_record import (
    Kept,
    KeptNamespace,
    check_name,
    file_of,
    load_ids,
    load_state,
    load_table,
)
from mountplan.applier.keep.store import ODD, Store, find_place, let_go, reading, refused_to_keep
from mountplan.applier.sys import syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.refusal import OF_THE_SYSTEM
from mountplan.planner.errors import KeepRefused, NotKept, TableError
from mountplan.planner.fstypes import SHOWN_KINDS
from mountplan.planner.light import contextmanager
from mountplan.planner.names import IdMapping
from mountplan.planner.tables.table import MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.applier.observe.inspect import Whole
    from mountplan.applier.observe.subjects import Subject
    from mountplan.applier.observe.table_reader import TableReader

STATE, PLAN, HOST, SEEN, IDS = ".state.json", ".plan.json", ".host.json", ".seen-", ".ids-"
_NOT_THERE = (errno.ENOENT, errno.ESRCH, errno.ENOTDIR, errno.ELOOP)
_SEE = "`mountplan ls` shows what is"
_LARGEST = 1 << 30  # bytes of a file: of 100,000 mounts there are some 40 million


class Opened:
    """A kept name, lent by a context manager (opened()): if it goes or is replaced, this stays until let_go()."""

    def __init__(self, kept: Kept, directory: int, process: int | None) -> None:
        self.kept = kept
        self.directory = directory  # of the name; it is lent
        self._process = process  # the keeper's directory in /proc

    def namespace(self, name: str = "") -> KeptNamespace:
        """The mount namespace `name`, or the first. Raises NotKept."""
        for one in self.kept.mounts:
            if name in ("", one.name):
                return one
        names = ", ".join(one.name for one in self.kept.mounts if one.name)
        what = f"{self.kept.name} has no mount namespace {name!r}"
        raise NotKept(what, f"it has: {names}" if names else f"it has a single one: leave out /{name}")

    def let_go(self) -> None:
        """For who looks no more, and does not come back: opened() has no end then."""
        let_go(self.directory)

    def open(self, one: KeptNamespace) -> int:
        """A descriptor of a namespace. Raises NotKept if it is gone, and KeepRefused if that cannot be told."""
        base, flags = self.directory, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        if self._process is not None and "/" in one.source:
            # A link of /proc to the namespace itself, which is what it must be followed to.
            base, flags = self._process, os.O_RDONLY | os.O_CLOEXEC
        which = f"{one.kind} namespace{one.name and ' '}{one.name} of {self.kept.name}"
        try:
            fd = os.open(one.source, flags, dir_fd=base)
        except OSError as error:
            if error.errno in _NOT_THERE:
                raise _gone(self.kept, one, error.strerror or "") from None
            # Such as EACCES, for a process in a user namespace that was made since.
            if error.errno in OF_THE_SYSTEM:
                raise _unreadable(self.kept.name, which, error) from None
            why = (error.strerror or "").lower()
            raise KeepRefused(f"the {which} cannot be opened from here: {why}", ELSEWHERE) from None
        if not _is_namespace(fd, one.inode):
            covered = "/" not in one.source and os.fstat(fd).st_dev != os.fstat(base).st_dev
            os.close(fd)
            if covered:
                what = f"something else is mounted on the file of the {which}"
                raise KeepRefused(what, f"unmount that: umount {path_of(self.kept, one)}")
            raise _gone(self.kept, one, "its file is no longer mounted")
        return fd

    @contextmanager
    def entrances(self, one: KeptNamespace) -> Iterator[list[int]]:
        """Lend descriptors of all namespaces to enter, in this order: what gives the rights first, `one` last.

        Of a pid namespace it takes a child to be in it.
        """
        from contextlib import ExitStack

        with ExitStack() as stack:
            others = [other for other in self.kept.namespaces if other.kind != "mnt"]
            fds = []
            for other in (*sorted(others, key=lambda other: other.kind != "user"), one):
                fds.append(self.open(other))
                stack.callback(os.close, fds[-1])
            yield fds

    def look(self, reader: TableReader | None = None) -> list[Whole]:
        """All mounts of each mount namespace as they are now. Raises TableError."""
        found = []
        for one in self.kept.mounts:
            label = f"{self.kept.name}/{one.name}" if one.name else self.kept.name
            with closing_fd(self.open(one)) as fd:
                found.append(read_whole(label, fd, reader))
        return found

    def ids(self, one: KeptNamespace) -> IdMapping | None:
        """The ids of the user namespace that it was built in (View.ids)."""
        from mountplan.applier.observe.subjects import ids_inside

        with closing_fd(self.open(one)) as fd:
            return ids_inside(fd)

    def seen(self, one: KeptNamespace) -> MountTable:
        """What look() gave when it was kept."""
        return self._table(SEEN + file_of("mnt", one.name))

    def mounted_since(self, one: KeptNamespace, now: Whole) -> frozenset[int]:
        """The ids, in `now`, of mounts that have come since it was kept; empty if none of those from then is gone.

        Where the kernel does not tell unique ids (before Linux 6.11), a mount that has got the id of one that is gone
        is taken for that.
        """
        file = IDS + file_of("mnt", one.name)
        try:
            before = load_ids(read_file(self.directory, file))
        except FileNotFoundError:  # kept by an earlier version
            before = frozenset()
        except (OSError, ValueError) as error:
            raise _unreadable(self.kept.name, file, error) from None
        if before and now.unique:
            from mountplan.applier.observe.inspect import ids_in_mountinfo

            fresh = frozenset(now.unique) - before
            if not fresh or before <= frozenset(now.unique):
                return frozenset()
            with closing_fd(self.open(one)) as fd:
                return frozenset(ids_in_mountinfo(fd, fresh))
        before, after = (frozenset(row.mount_id for row in table.rows) for table in (self.seen(one), now.table))
        return frozenset() if before <= after else after - before

    def check_record(self) -> None:
        """Raise KeepRefused if a file is gone without which nothing can tell whether it still is what it was."""
        for file in (PLAN, HOST):
            try:
                os.stat(file, dir_fd=self.directory, follow_symlinks=False)
            except OSError as error:
                raise _unreadable(self.kept.name, file, error) from None

    def plan_text(self) -> bytes:
        """The plan, as planner/plan/planfile.py wrote it."""
        return self._read(PLAN)

    def host(self) -> MountTable:
        """The host's mount table as the plan met it."""
        return self._table(HOST)

    def _table(self, file: str) -> MountTable:
        try:
            return load_table(self._read(file))
        except ValueError as error:
            raise _unreadable(self.kept.name, file, error) from None

    def _read(self, file: str) -> bytes:
        try:
            return read_file(self.directory, file)
        except OSError as error:
            raise _unreadable(self.kept.name, file, error) from None


def subjects(name: str) -> list[Subject]:
    """The mount namespaces kept under a name, to look at; the caller closes them. Raises NotKept."""
    from mountplan.applier.observe.subjects import Subject

    with opened(name) as found:
        kinds = tuple(one.kind for one in found.kept.namespaces if one.kind in SHOWN_KINDS)
        labels = ((one, f"{name}/{one.name}" if one.name else name) for one in found.kept.mounts)
        return [Subject(one.name or name, label, found.open(one), kinds=kinds) for one, label in labels]


def read_whole(label: str, namespace: int, reader: TableReader | None = None) -> Whole:
    """All mounts of the mount namespace behind a descriptor. Raises TableError."""
    from mountplan.applier.observe.subjects import Subject
    from mountplan.applier.sys.inside import ChildFailed

    try:
        return Subject("", label, namespace, 0).read(reader)
    except ChildFailed as error:
        raise TableError(f"{label}: {error}") from None


def find(name: str) -> Kept | None:
    """What is kept under a name, or None. Does not look whether it is still there."""
    check_name(name)
    with reading() as store:
        return state_in(store, name) if store is not None else None


def plan_text(name: str) -> bytes:
    """The plan of what is kept under a name. Raises NotKept or KeepRefused."""
    with _lent(name) as directory:
        try:
            return read_file(directory, PLAN)
        except OSError as error:
            raise _unreadable(name, PLAN, error) from None


@contextmanager
def _lent(name: str) -> Iterator[int]:
    """Lend the directory of a name. Raises NotKept or KeepRefused."""
    check_name(name)
    with reading() as store:
        directory = store.lend(name) if store is not None else None
        if directory is None:
            raise nothing_kept(name, store)
    try:
        yield directory
    finally:
        syscalls.close(directory)  # all may be done by then: what it answers says nothing


def nothing_kept(name: str, store: Store | None) -> NotKept:
    """The error for a name that nothing is kept under; the name that was perhaps meant is the remedy."""
    from difflib import get_close_matches

    close = get_close_matches(name, store.names(), 1) if store is not None else []
    return NotKept(f"nothing is kept under the name {name!r}", f"did you mean {close[0]!r}? {_SEE}" if close else _SEE)


def path_of(kept: Kept, one: KeptNamespace) -> str:
    """Where other programs find the file of a namespace."""
    if kept.keeper is not None and "/" in one.source:
        return f"/proc/{kept.keeper.pid}/{one.source}"
    return f"{find_place().path}/{kept.name}/{one.source}"


def names() -> tuple[str, ...]:
    """All names, sorted."""
    with reading() as store:
        return tuple(store.names()) if store is not None else ()


def odd() -> tuple[str, ...]:
    """The paths of what is among the names, or within them, and mountplan has not made; sorted."""
    with reading() as store:
        return tuple(f"{store.place.path}/{entry}" for entry in store.odd()) if store is not None else ()


@contextmanager
def opened(name: str) -> Iterator[Opened]:
    """Lend what is kept under a name. Raises NotKept, or KeepRefused if that cannot be read."""
    with _lent(name) as directory:
        try:
            kept = state_of(directory, name)
        except (FileNotFoundError, ValueError) as error:
            why = "there is no record of it" if isinstance(error, OSError) else f"its record is none: {error}"
            raise NotKept(f"nothing is kept under the name {name!r} any more: {why}", _SEE) from None
        except OSError as error:
            raise _unreadable(name, STATE, error) from None
        process = None
        if kept.keeper is not None:
            process = open_keeper(kept.keeper)
            if process is None:
                what = f"{name}: the process that kept the namespaces, {kept.keeper.pid}, has ended, and they with it"
                raise NotKept(what, f"`mountplan apply {kept.spec}` makes them anew")
        try:
            yield Opened(kept, directory, process)
        finally:
            if process is not None:
                syscalls.close(process)


def state_of(directory: int, name: str) -> Kept:
    """The state in the directory of a name. Raises OSError, KeepRefused for another version's, or ValueError."""
    try:
        state = load_state(read_file(directory, STATE))
    except KeepRefused as error:
        raise KeepRefused(f"{name}: {error.what}", error.remedy) from None
    if state.name != name:  # as in a copy of the directory: who removes that must not end the other's keeper
        raise ValueError(f"it is the state of {state.name!r}")
    return state


def state_in(store: Store, name: str) -> Kept | None:
    """Raises KeepRefused if there is something that cannot be read."""
    directory = store.open(name)
    if directory is None:
        return None
    try:
        return state_of(directory, name)
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise _unreadable(name, STATE, error) from None
    finally:
        os.close(directory)


def _is_namespace(fd: int, inode: int) -> bool:
    """True for the file of the namespace with this number: numbers of files elsewhere may be the same."""
    found, own = os.fstat(fd), os.stat("/proc/self/ns/mnt")
    return (found.st_dev, found.st_ino) == (own.st_dev, inode)


def _unreadable(name: str, file: str, error: OSError | ValueError) -> KeepRefused:
    if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM and error.strerror == os.strerror(error.errno):
        return refused_to_keep(f"{name}: cannot read its {file}", error, "")
    why = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
    return KeepRefused(f"{name}: cannot read its {file}: {why}", f"{ODD}: mountplan rm {name}")


def _gone(kept: Kept, one: KeptNamespace, why: str) -> NotKept:
    what = f"{kept.name}: its {one.kind} namespace{one.name and ' '}{one.name} is gone: {why}"
    return NotKept(what, f"`mountplan apply {kept.spec}` makes it anew")


def read_file(directory: int, file: str) -> bytes:
    """All of a regular file of a bounded size; whatever else it may be is not waited for. Raises OSError."""
    with closing_fd(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)) as fd:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if found.st_uid != os.geteuid():
            raise OSError(errno.EPERM, f"it belongs to user {found.st_uid}")
        if found.st_size > _LARGEST:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return b"".join(iter(lambda: os.read(fd, 1 << 20), b""))
