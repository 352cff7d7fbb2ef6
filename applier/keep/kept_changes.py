"""Namespaces kept by name: keep, record anew, remove, tidy; kept.py looks them up.

Root's are kept by mounting their files (nsfs) in the store, an ordinary user's by a process that holds them
(keeper.py). Beside them is what is needed later: the state, the plan, the host's mount table that the plan met, and
each namespace's table as it was when it was kept.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from mountplan.applier.keep.keeper import FIRST, check_reach, describe, end_keeper, start_keeper
from mountplan.applier.keep.kept import (
    HOST,
    IDS,
    PLAN,
    SEEN,
    STATE,
    Opened,
    nothing_kept,
    opened,
    read_whole,
    state_in,
    state_of,
)
from mountplan.applier.keep.kept_record import (
    Kept,
    KeptNamespace,
    check_name,
    dump_ids,
    dump_state,
    dump_table,
    file_of,
)
from mountplan.applier.keep.store import ODD, READERS, Store, find_place, reading, refused_to_keep, writing
from mountplan.applier.process.record_watch import watch_record
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.private import opened_file
from mountplan.planner.errors import KeepRefused, NameTaken, NotKept, TableError
from mountplan.planner.light import contextmanager
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.applier.build.build import Built


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
        with closing_fd(built.open_mounts(held.name)) as fd:
            if not is_younger(fd):
                return False
    return True


def keep(new: NewName, built: Built) -> Kept:
    """Keep the namespaces of `built`, which have been verified. The caller still lets `built` go.

    Raises NameTaken if something else has got the name meanwhile, and KeepRefused.
    """
    name = check_name(new.state.name)
    kinds = [kind for kind in built.kinds if kind != "user"]
    if os.stat(f"/proc/{built.pid}/ns/user").st_ino != os.stat("/proc/self/ns/user").st_ino:
        kinds.insert(0, "user")
    from contextlib import ExitStack

    with ExitStack() as stack, _writing(create=True) as changing:
        assert changing is not None
        store = changing.store
        current = state_in(store, name)
        if (current.id if current else "") != new.replaces:
            what = f"{name}: another mountplan has " + ("kept something under that name" if current else "removed it")
            raise NameTaken(f"{what} meanwhile; what was built here is let go", "look at it, and try again")
        _check_reach(store, name)
        wanted = [("mnt", held.name, built.open_mounts(held.name)) for held in built.namespaces]
        wanted += [(kind, "", built.open_namespace(kind)) for kind in kinds]
        for _, _, fd in wanted:
            stack.callback(syscalls.close, fd)
        try:
            seen = {held: read_whole(name, fd) for kind, held, fd in wanted if kind == "mnt"}
        except TableError as error:
            why, _, remedy = str(error).partition("\n  remedy: ")
            what = f"cannot keep namespaces that cannot be looked at: {why}"
            raise KeepRefused(what, remedy or "try again") from None
        with store.coming(name) as directory:
            _write(directory, PLAN, new.plan)
            _write(directory, HOST, dump_table(built.host))
            for held, whole in seen.items():
                _write(directory, SEEN + file_of("mnt", held), dump_table(whole.table))
                _write(directory, IDS + file_of("mnt", held), dump_ids(whole.unique))
            kept = _hold(store, directory, new.state, wanted, built)
        return kept  # noqa: RET504 - not before the block has ended


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
        _write(directory, STATE, dump_state(state))
        watch_record(built.watch, directory, STATE)
        built.release()
    elif store.place.is_mount:
        _write(directory, STATE, dump_state(state))
    else:
        started = start_keeper(tuple(fd for _, _, fd in wanted), f"{store.place.path}/{state.name}")
        try:
            state = state._replace(keeper=started.keeper)
            _write(directory, STATE, dump_state(state))
        except BaseException:
            started.close()
            raise
        started.let_live(directory, STATE)
    return state


def _pin(namespace: int, directory: int, file: str) -> None:
    """Mount a namespace on a new file."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0, dir_fd=directory))
    flags = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_EMPTY_PATH
    with closing_fd(syscalls.open_tree(namespace, b"", flags)) as tree:
        with closing_fd(os.open(file, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)) as where:
            syscalls.move_mount(tree, where, b"", abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH)


def record_anew(
    found: Opened, state: Kept, plan: bytes, host: MountTable, own: Callable[[str, MountTable], MountTable]
) -> Kept:
    """Have the record of a name say what it has been changed into. Its namespaces are what they were.

    `own` is what of the table of a namespace belongs to the name.
    Every file is written over, not replaced: the process that keeps an ordinary user's namespaces ends when it goes.
    """
    directory = found.directory
    try:
        _write_over(directory, PLAN, plan)
        _write_over(directory, HOST, dump_table(host))
        for one, whole in zip(state.mounts, found.look(), strict=True):
            _write_over(directory, SEEN + file_of("mnt", one.name), dump_table(own(one.name, whole.table)))
            _write_over(directory, IDS + file_of("mnt", one.name), dump_ids(whole.unique))
        _write_over(directory, STATE, dump_state(state))
    except OSError as error:
        raise refused_to_keep(f"cannot write the record of {state.name}", error) from None
    return state


def _write_over(directory: int, file: str, data: bytes) -> None:
    with closing_fd(opened_file(file, directory, flags=0)) as fd:
        at = 0
        while at < len(data):
            at += os.pwrite(fd, data[at:], at)
        os.ftruncate(fd, len(data))


def remove(name: str) -> None:
    """Let a name go, and with it its namespaces, unless processes are still in them. Raises NotKept or KeepRefused."""
    check_name(name)
    with _writing(create=False) as changing:
        if changing is None or name not in changing.store.names():
            raise nothing_kept(name, changing.store if changing is not None else None)
        if foreign := changing.store.foreign(name):
            what = f"{changing.store.place.path}/{name}/{foreign[0]}: a directory that mountplan has not made"
            raise KeepRefused(what, f"{ODD}; then `mountplan rm {name}` removes the rest")
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
            return "" if store.foreign(name) else error.what
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
        raise refused_to_keep("cannot keep or remove namespaces", error) from None


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
    if file != STATE:
        return
    try:
        keeper = state_of(directory, name).keeper
    except (OSError, ValueError):
        return
    if keeper is not None:
        end_keeper(keeper)


def _check_reach(store: Store, name: str) -> None:
    """Raise KeepRefused if the process that keeps a name could not be ended: then the name must stay."""
    directory = store.open(name)
    if directory is None:
        return
    try:
        check_reach(state_of(directory, name).keeper)
    except (OSError, ValueError):
        pass  # its process sees that its record goes
    finally:
        os.close(directory)


def _write(directory: int, file: str, data: bytes) -> None:
    with closing_fd(opened_file(file, directory)) as fd:
        syscalls.write_all(fd, data)
