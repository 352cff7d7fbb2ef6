"""Namespaces kept by name: keep, look up, list, open, remove.

Root's are kept by mounting their files (nsfs) in the store, an ordinary user's by a process that holds them
(keeper.py). Beside them is what is needed later: the state, the plan, the host's mount table that the plan met, and
each namespace's table as it was when it was kept.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from mountplan.applier.keep.keeper import (
    ELSEWHERE,
    FIRST,
    check_reach,
    describe,
    end_keeper,
    open_keeper,
    start_keeper,
)
from mountplan.applier.keep.kept_record import (
    Kept,
    KeptNamespace,
    check_name,
    dump_ids,
    dump_state,
    dump_table,
    file_of,
    load_ids,
    load_state,
    load_table,
)
from mountplan.applier.keep.store import ODD, READERS, Store, find_place, let_go, reading, writing
from mountplan.applier.process.record_watch import watch_record
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.refusal import OF_THE_SYSTEM, explain, function_of
from mountplan.planner.errors import KeepRefused, NameTaken, NotKept, TableError
from mountplan.planner.fstypes import SHOWN_KINDS
from mountplan.planner.tables.table import MountTable

if TYPE_CHECKING:
    from mountplan.applier.build.build import Built
    from mountplan.applier.observe.inspect import Whole
    from mountplan.applier.observe.subjects import Subject
    from mountplan.applier.sys.userns import IdMap

_STATE, _PLAN, _HOST, _SEEN, _IDS = ".state.json", ".plan.json", ".host.json", ".seen-", ".ids-"
_NOT_THERE = (errno.ENOENT, errno.ESRCH, errno.ENOTDIR, errno.ELOOP)
_SEE = "`mountplan ls` shows what is"
_LARGEST = 1 << 30  # bytes of a file: of 100,000 mounts there are some 40 million


class Opened:
    """A kept name, lent by a context manager (opened()): if it goes or is replaced, this stays until let_go()."""

    def __init__(self, kept: Kept, directory: int, process: int | None) -> None:
        self.kept = kept
        self._directory = directory
        self._process = process  # the keeper's directory in /proc

    @property
    def directory(self) -> int:
        """The directory of the name; it is lent."""
        return self._directory

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
        let_go(self._directory)

    def open(self, one: KeptNamespace) -> int:
        """A descriptor of a namespace. Raises NotKept if it is gone, and KeepRefused if that cannot be told."""
        base, flags = self._directory, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        if self._process is not None and "/" in one.source:
            # A link of /proc to the namespace itself, which is what it must be followed to.
            base, flags = self._process, os.O_RDONLY | os.O_CLOEXEC
        try:
            fd = os.open(one.source, flags, dir_fd=base)
        except OSError as error:
            if error.errno in _NOT_THERE:
                raise _gone(self.kept, one, error.strerror or "") from None
            # Such as EACCES, for a process in a user namespace that was made since.
            which = f"{one.kind} namespace{one.name and ' '}{one.name} of {self.kept.name}"
            if error.errno in OF_THE_SYSTEM:
                raise _unreadable(self.kept.name, which, error) from None
            why = (error.strerror or "").lower()
            raise KeepRefused(f"the {which} cannot be opened from here: {why}", ELSEWHERE) from None
        if not _is_namespace(fd, one.inode):
            os.close(fd)
            raise _gone(self.kept, one, "its file is no longer mounted")
        return fd

    @contextmanager
    def entrances(self, one: KeptNamespace) -> Iterator[list[int]]:
        """Lend descriptors of all namespaces to enter, in this order: what gives the rights first, `one` last.

        Of a pid namespace it takes a child to be in it.
        """
        with ExitStack() as stack:
            others = [other for other in self.kept.namespaces if other.kind != "mnt"]
            fds = []
            for other in (*sorted(others, key=lambda other: other.kind != "user"), one):
                fds.append(self.open(other))
                stack.callback(os.close, fds[-1])
            yield fds

    def look(self, one: KeptNamespace) -> Whole:
        """All mounts of a mount namespace as they are now. Raises TableError."""
        label = f"{self.kept.name}/{one.name}" if one.name else self.kept.name
        fd = self.open(one)
        try:
            return _look(label, fd)
        finally:
            os.close(fd)

    def ids(self, one: KeptNamespace) -> tuple[IdMap, IdMap] | None:
        """The ids of the user namespace that it was built in (View.ids)."""
        from mountplan.applier.observe.subjects import ids_inside

        fd = self.open(one)
        try:
            return ids_inside(fd)
        finally:
            os.close(fd)

    def seen(self, one: KeptNamespace) -> MountTable:
        """What look() gave when it was kept."""
        return self._table(_SEEN + file_of("mnt", one.name))

    def mounted_since(self, one: KeptNamespace, now: Whole) -> frozenset[int]:
        """The ids, in `now`, of mounts that have come since it was kept; empty if none of those from then is gone.

        Where the kernel does not tell unique ids (before Linux 6.11), a mount that has got the id of one that is gone
        is taken for that.
        """
        file = _IDS + file_of("mnt", one.name)
        try:
            before = load_ids(_read(self._directory, file))
        except FileNotFoundError:  # kept by an earlier version
            before = frozenset()
        except (OSError, ValueError) as error:
            raise _unreadable(self.kept.name, file, error) from None
        if before and now.unique:
            from mountplan.applier.observe.inspect import ids_in_mountinfo

            fresh = frozenset(now.unique) - before
            if not fresh or before <= frozenset(now.unique):
                return frozenset()
            fd = self.open(one)
            try:
                return ids_in_mountinfo(fd, fresh)
            finally:
                os.close(fd)
        before, after = (frozenset(row.mount_id for row in table.rows) for table in (self.seen(one), now.table))
        return frozenset() if before <= after else after - before

    def plan_text(self) -> bytes:
        """The plan, as planner/plan/planfile.py wrote it."""
        return self._read(_PLAN)

    def host(self) -> MountTable:
        """The host's mount table as the plan met it."""
        return self._table(_HOST)

    def _table(self, file: str) -> MountTable:
        try:
            return load_table(self._read(file))
        except ValueError as error:
            raise _unreadable(self.kept.name, file, error) from None

    def _read(self, file: str) -> bytes:
        try:
            return _read(self._directory, file)
        except OSError as error:
            raise _unreadable(self.kept.name, file, error) from None


def subjects(name: str) -> list[Subject]:
    """The mount namespaces kept under a name, to look at; the caller closes them. Raises NotKept."""
    from mountplan.applier.observe.subjects import Subject

    with opened(name) as found:
        mounts = found.kept.mounts
        kinds = tuple(one.kind for one in found.kept.namespaces if one.kind in SHOWN_KINDS)
        return [
            Subject(one.name or name, f"{name}/{one.name}".rstrip("/"), found.open(one), kinds=kinds) for one in mounts
        ]


class NewName(NamedTuple):
    """What is to be kept, but for the namespaces themselves. `replaces` is the id of what has the name now, "" for
    nothing: if that has changed, another process has won.
    """

    state: Kept
    replaces: str
    plan: bytes


def can_keep(built: Built) -> bool:
    """False if the kernel would not mount the files of these namespaces here; see giving_younger() for others."""
    from mountplan.applier.observe.namespace_age import is_younger

    if not find_place().is_mount:
        return True
    for held in built.namespaces:
        fd = built.open_mounts(held.name)
        try:
            if not is_younger(fd):
                return False
        finally:
            os.close(fd)
    return True


def keep(new: NewName, built: Built) -> Kept:
    """Keep the namespaces of `built`, which have been verified. The caller still lets `built` go.

    Raises NameTaken if something else has got the name meanwhile, and KeepRefused.
    """
    name = check_name(new.state.name)
    kinds = [kind for kind in built.kinds if kind != "user"]
    if _has_user_namespace(built):
        kinds.insert(0, "user")
    with ExitStack() as stack, _writing(create=True) as changing:
        assert changing is not None
        store = changing.store
        current = _state_in(store, name)
        if (current.id if current else "") != new.replaces:
            what = f"{name}: another mountplan has " + ("kept something under that name" if current else "removed it")
            raise NameTaken(f"{what} meanwhile; what was built here is let go", "look at it, and try again")
        _check_reach(store, name)
        wanted = [("mnt", held.name, built.open_mounts(held.name)) for held in built.namespaces]
        wanted += [(kind, "", built.open_namespace(kind)) for kind in kinds]
        for _, _, fd in wanted:
            stack.callback(syscalls.close, fd)
        try:
            seen = {held: _look(name, fd) for kind, held, fd in wanted if kind == "mnt"}
        except TableError as error:
            raise KeepRefused(f"cannot keep namespaces that cannot be looked at: {error}", "try again") from None
        with store.coming(name) as directory:
            _write(directory, _PLAN, new.plan)
            _write(directory, _HOST, dump_table(built.host))
            for held, whole in seen.items():
                _write(directory, _SEEN + file_of("mnt", held), dump_table(whole.table))
                _write(directory, _IDS + file_of("mnt", held), dump_ids(whole.unique))
            kept = _hold(store, directory, new.state, wanted, built)
        return kept  # noqa: RET504 - not before the block has ended


def _look(label: str, namespace: int) -> Whole:
    """All mounts of the mount namespace behind a descriptor. Raises TableError."""
    from mountplan.applier.observe.subjects import Subject
    from mountplan.applier.sys.inside import ChildFailed

    try:
        return Subject("", label, namespace, 0).read()
    except ChildFailed as error:
        raise TableError(f"{label}: {error}") from None


def _has_user_namespace(built: Built) -> bool:
    return os.stat(f"/proc/{built.pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino


def _hold(store: Store, directory: int, state: Kept, wanted: list[tuple[str, str, int]], built: Built) -> Kept:
    """Have the namespaces outlive this process, and write the state: the last file, and whole.

    A process that stays is released only then: a command that finds this directory must be able to end it.
    """
    sources = []
    if store.place.is_mount:
        for kind, name, fd in wanted:
            sources.append(file_of(kind, name))
            _pin(fd, directory, sources[-1])
    elif "pid" in built.kinds:
        sources = [f"fd/{built.held(name).fd}" if kind == "mnt" else f"ns/{kind}" for kind, name, _ in wanted]
    else:
        sources = [f"fd/{number}" for number in range(FIRST, FIRST + len(wanted))]
    namespaces = tuple(
        KeptNamespace(kind, name, os.fstat(fd).st_ino, source)
        for (kind, name, fd), source in zip(wanted, sources, strict=True)
    )
    state = state._replace(namespaces=namespaces)
    if "pid" in built.kinds:
        # The pid namespace lives as long as its process 1, which is there already.
        built.stay(() if store.place.is_mount else tuple(one.fd for one in built.namespaces))
        state = state._replace(keeper=describe(built.pid))
        _write(directory, _STATE, dump_state(state))
        watch_record(built.watch, directory, _STATE)
        built.release()
    elif store.place.is_mount:
        _write(directory, _STATE, dump_state(state))
    else:
        started = start_keeper(tuple(fd for _, _, fd in wanted), f"{store.place.path}/{state.name}")
        try:
            state = state._replace(keeper=started.keeper)
            _write(directory, _STATE, dump_state(state))
        except BaseException:
            started.close()
            raise
        started.let_live(directory, _STATE)
    return state


def _pin(namespace: int, directory: int, file: str) -> None:
    """Mount a namespace on a new file."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0, dir_fd=directory))
    flags = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_EMPTY_PATH
    tree = syscalls.open_tree(namespace, b"", flags)
    try:
        where = os.open(file, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            syscalls.move_mount(tree, where, b"", abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH)
        finally:
            os.close(where)
    finally:
        os.close(tree)


def record_anew(found: Opened, state: Kept, plan: bytes, host: MountTable) -> Kept:
    """Have the record of a name say what it has been changed into. Its namespaces are what they were.

    Every file is written over, not replaced: the process that keeps an ordinary user's namespaces ends when it goes.
    """
    directory = found.directory
    try:
        _write_over(directory, _PLAN, plan)
        _write_over(directory, _HOST, dump_table(host))
        for one in state.mounts:
            whole = found.look(one)
            _write_over(directory, _SEEN + file_of("mnt", one.name), dump_table(whole.table))
            _write_over(directory, _IDS + file_of("mnt", one.name), dump_ids(whole.unique))
        _write_over(directory, _STATE, dump_state(state))
    except OSError as error:
        call = function_of(error)
        meaning, remedy = explain("keep", error.errno or 0, call)
        raise KeepRefused(f"cannot write the record of {state.name}: {call}{call and ': '}{meaning}", remedy) from None
    return state


def _write_over(directory: int, file: str, data: bytes) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        at = 0
        while at < len(data):
            at += os.pwrite(fd, data[at:], at)
        os.ftruncate(fd, len(data))
    finally:
        os.close(fd)


def find(name: str) -> Kept | None:
    """What is kept under a name, or None. Does not look whether it is still there."""
    check_name(name)
    with reading() as store:
        return _state_in(store, name) if store is not None else None


def plan_text(name: str) -> bytes:
    """The plan of what is kept under a name. Raises NotKept or KeepRefused."""
    with _lent(name) as directory:
        try:
            return _read(directory, _PLAN)
        except OSError as error:
            raise _unreadable(name, _PLAN, error) from None


@contextmanager
def _lent(name: str) -> Iterator[int]:
    """Lend the directory of a name. Raises NotKept or KeepRefused."""
    check_name(name)
    with reading() as store:
        directory = store.lend(name) if store is not None else None
        if directory is None:
            raise _nothing(name, store)
    try:
        yield directory
    finally:
        os.close(directory)


def _nothing(name: str, store: Store | None) -> NotKept:
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
    """The paths of what is among the names and is none, sorted."""
    with reading() as store:
        return tuple(f"{store.place.path}/{entry}" for entry in store.odd()) if store is not None else ()


@contextmanager
def opened(name: str) -> Iterator[Opened]:
    """Lend what is kept under a name. Raises NotKept, or KeepRefused if that cannot be read."""
    with ExitStack() as stack:
        directory = stack.enter_context(_lent(name))
        try:
            kept = _state_of(directory, name)
        except (FileNotFoundError, ValueError) as error:
            why = "there is no record of it" if isinstance(error, OSError) else f"its record is none: {error}"
            raise NotKept(f"nothing is kept under the name {name!r} any more: {why}", _SEE) from None
        except OSError as error:
            raise _unreadable(name, _STATE, error) from None
        process = None
        if kept.keeper is not None:
            process = open_keeper(kept.keeper)
            if process is None:
                raise NotKept(
                    f"{name}: the process that kept the namespaces, {kept.keeper.pid}, has ended, and they with it",
                    f"`mountplan apply {kept.spec}` makes them anew",
                )
            stack.callback(os.close, process)
        yield Opened(kept, directory, process)


def remove(name: str) -> None:
    """Let a name go, and with it its namespaces, unless processes are still in them. Raises NotKept or KeepRefused."""
    check_name(name)
    with _writing(create=False) as changing:
        if changing is None or name not in changing.store.names():
            raise _nothing(name, changing.store if changing is not None else None)
        if not changing.store.is_plain(name):
            what = f"{changing.store.place.path}/{name}: there are directories in it, which mountplan has not made"
            raise KeepRefused(what, ODD)
        _check_reach(changing.store, name)
        changing.drop(name)


def tidy() -> tuple[str, ...]:
    """Remove what crashes have left, and names whose namespaces are gone; says what it was, one line each."""
    with reading() as store:
        if store is None or not (store.has_leftovers() or any(_is_dead(store, name) for name in store.names())):
            return ()
    notes = []
    with _writing(create=False) as changing:
        if changing is None:
            return ()
        for name in changing.store.names():
            if reason := _is_dead(changing.store, name):
                changing.drop(name)
                notes.append(f"{name} is forgotten: {reason.removeprefix(f'{name}: ')}")
    return tuple(notes)


def _is_dead(store: Store, name: str) -> str:
    """Why nothing is left of a name; "" if it is alive, or cannot be judged from here."""
    try:
        try:
            with opened(name) as found:
                for one in found.kept.namespaces:
                    os.close(found.open(one))
        except NotKept as error:
            return error.what if store.is_plain(name) else ""
    except (KeepRefused, OSError):
        pass
    return ""


class Changing:
    """A store that is written to, and what is on its way out."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.dropped: set[str] = set()

    def drop(self, name: str) -> None:
        self.dropped.add(self.store.drop(name))


@contextmanager
def _writing(*, create: bool) -> Iterator[Changing | None]:
    """store.writing(), with what a crash has left gone before, and what the block has put aside gone after it.

    Raises KeepRefused if what was dropped has not gone. Other things that stay are no error: the next command tries.
    """
    try:
        with writing(create=create) as store:
            if store is None:
                yield None
                return
            discard = _unmount_or_end if store.place.is_mount else _end
            store.sweep(discard)
            changing = Changing(store)
            try:
                yield changing
            finally:
                left = store.sweep(discard, READERS)
            for entry in changing.dropped & left.keys():
                if isinstance(left[entry], BlockingIOError):
                    what = "it is no name any more, but another process still looks at what was kept under it"
                    raise KeepRefused(what, "the next command removes what is left of it")
                raise left[entry]
    except OSError as error:
        call = function_of(error)
        meaning, remedy = explain("keep", error.errno or 0, call)
        raise KeepRefused(f"cannot keep or remove namespaces: {call}{call and ': '}{meaning}", remedy) from None


def _unmount_or_end(name: str, directory: int, file: str) -> None:
    _end(name, directory, file)
    while True:
        try:
            syscalls.umount2(f"/proc/self/fd/{directory}/{file}".encode(), abi.MNT_DETACH | abi.UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return  # nothing is mounted there (any more)
            raise


def _end(name: str, directory: int, file: str) -> None:
    """End the keeper that the state of a name tells of.

    One without a state ends by itself: it was never released, or sees that its record goes.
    """
    if file != _STATE:
        return
    try:
        keeper = _state_of(directory, name).keeper
    except (OSError, ValueError):
        return
    if keeper is not None:
        end_keeper(keeper)


def _state_of(directory: int, name: str) -> Kept:
    """The state in the directory of a name. Raises OSError, KeepRefused for another version's, or ValueError."""
    try:
        state = load_state(_read(directory, _STATE))
    except KeepRefused as error:
        raise KeepRefused(f"{name}: {error.what}", error.remedy) from None
    if state.name != name:  # as in a copy of the directory: who removes that must not end the other's keeper
        raise ValueError(f"it is the state of {state.name!r}")
    return state


def _state_in(store: Store, name: str) -> Kept | None:
    """Raises KeepRefused if there is something that cannot be read."""
    directory = store.open(name)
    if directory is None:
        return None
    try:
        return _state_of(directory, name)
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise _unreadable(name, _STATE, error) from None
    finally:
        os.close(directory)


def _check_reach(store: Store, name: str) -> None:
    """Raise KeepRefused if the process that keeps a name could not be ended: then the name must stay."""
    directory = store.open(name)
    if directory is None:
        return
    try:
        check_reach(_state_of(directory, name).keeper)
    except (OSError, ValueError):
        pass  # its process sees that its record goes
    finally:
        os.close(directory)


def _is_namespace(fd: int, inode: int) -> bool:
    """True for the file of the namespace with this number: numbers of files elsewhere may be the same."""
    found, own = os.fstat(fd), os.stat("/proc/self/ns/mnt")
    return (found.st_dev, found.st_ino) == (own.st_dev, inode)


def _unreadable(name: str, file: str, error: OSError | ValueError) -> KeepRefused:
    if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM and error.strerror == os.strerror(error.errno):
        call = function_of(error)
        meaning, remedy = explain("", error.errno or 0, call)
        return KeepRefused(f"{name}: cannot read its {file}: {call}{call and ': '}{meaning}", remedy)
    why = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
    return KeepRefused(f"{name}: cannot read its {file}: {why}", f"{ODD}: mountplan rm {name}")


def _gone(kept: Kept, one: KeptNamespace, why: str) -> NotKept:
    what = f"{kept.name}: its {one.kind} namespace{one.name and ' '}{one.name} is gone: {why}"
    return NotKept(what, f"`mountplan apply {kept.spec}` makes it anew")


def _write(directory: int, file: str, data: bytes) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def read_file(directory: int, file: str) -> bytes:
    """All of a file of ours. Raises OSError."""
    return _read(directory, file)


def _read(directory: int, file: str) -> bytes:
    """All of a regular file of a bounded size; whatever else it may be is not waited for. Raises OSError."""
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if found.st_uid != os.geteuid():
            raise OSError(errno.EPERM, f"it belongs to user {found.st_uid}")
        if found.st_size > _LARGEST:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return b"".join(iter(lambda: os.read(fd, 1 << 20), b""))
    finally:
        os.close(fd)
