"""All mount namespaces that processes are in, or that are kept, as far as this user may see them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set

from mountplan.applier.keep import kept
from mountplan.applier.observe.inspect import ages
from mountplan.applier.observe.locks import seen_locks
from mountplan.applier.observe.observe import not_read, observe
from mountplan.applier.observe.subjects import command_of
from mountplan.applier.observe.subjects import of_process as subject_of
from mountplan.applier.observe.table_reader import TableReader
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.inside import ChildKilled
from mountplan.applier.sys.refusal import OF_WANT
from mountplan.planner.errors import MountplanError, TableError
from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mount_facts import SeenLocks
from mountplan.planner.tables.table import MountTable

HOST = "host"


def apart(name: str) -> str:
    """What a kept name or the host is called beside a namespace of a plan that has the same name."""
    return "pid:1" if name == HOST else f"name:{name}"


class Inhabited(NamedTuple):
    """A namespace: what it is called, its number (of its file's inode), and what is seen in it.

    `ages` has a number for each mount, by its id; those of younger mounts are greater, in all namespaces. It is empty
    if they were not asked for, or are not known. `locks` is None if they were not asked for.
    """

    name: str
    inode: int
    table: MountTable
    ages: dict[int, int]
    locks: SeenLocks | None = None


def of_process(pid: int, *, aged: bool = False, locked: bool = False) -> Inhabited:
    """The namespace of a process, as that sees it. Raises TableError."""
    table = observe(pid)
    inode = _namespace(pid)
    if not inode:  # without it nothing is known to be the same as another, or not
        with subject_of(pid) as subject:
            inode = os.fstat(subject.fd).st_ino
    name = HOST if inode == _namespace(1) else f"process {pid} ({command_of(pid)})"
    known, locks = _ages_of_process(pid) if aged else {}, _locks_of_process(pid) if locked else None
    return Inhabited(name, inode, table, known, locks)


def _ages_of_process(pid: int) -> dict[int, int]:
    try:
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in OF_WANT:
            raise not_read(error, pid) from None
        return {}
    with closing_fd(namespace):
        return ages(namespace)


def _locks_of_process(pid: int) -> SeenLocks:
    try:
        with subject_of(pid) as subject:
            return seen_locks(subject)
    except TableError as error:
        return SeenLocks({}, str(error))


def of_kept(
    name: str,
    *,
    aged: bool = False,
    locked: bool = False,
    reader: TableReader | None = None,
    known: Set[int] = frozenset(),
) -> tuple[Inhabited, ...]:
    """The namespaces that are kept under a name, each from the root of its tree, but for those with `known` numbers.
    Raises NotKept or TableError.
    """
    found = []
    subjects = kept.subjects(name)
    try:
        for subject in subjects:
            inode = os.fstat(subject.fd).st_ino
            if inode in known:
                continue
            table, _ = without_base(subject.read(reader).table)
            age = ages(subject.fd) if aged else {}
            locks = seen_locks(subject) if locked else None
            label = subject.label if subject.label != HOST else f"name:{HOST}"
            found.append(Inhabited(label, inode, table, age, locks))
    finally:
        for subject in subjects:
            subject.close()
    return tuple(found)


def everyone_else(known: set[int], *, aged: bool = False, locked: bool = False) -> Iterator[Inhabited]:
    """All other namespaces than those with the numbers `known`, each once: kept ones, then by the lowest pid in them.

    What may not be read, and what ends meanwhile, is left out. Raises ChildKilled, and what says that a look takes more
    descriptors or memory than there are: that says nothing of a namespace.
    """
    known = set(known)
    for one in _of_all_kept(known, aged, locked):
        known.add(one.inode)
        yield one
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        inode = _namespace(pid)
        if not inode or inode in known:
            continue
        known.add(inode)
        try:
            yield of_process(pid, aged=aged, locked=locked)
        except TableError as error:
            if _is_of_want(error):
                raise
            known.discard(inode)


def _of_all_kept(known: Set[int], aged: bool, locked: bool) -> Iterator[Inhabited]:
    with TableReader() as reader:
        for name in _kept_names():
            try:
                yield from of_kept(name, aged=aged, locked=locked, reader=reader, known=known)
            except ChildKilled:
                raise
            except (MountplanError, OSError) as error:
                if _is_of_want(error):
                    raise


def _kept_names() -> tuple[str, ...]:
    try:
        return kept.names()
    except MountplanError as error:
        if _is_of_want(error):
            raise
        return ()


def _is_of_want(error: BaseException | None) -> bool:
    """Whether this, or what it tells of, is want of descriptors or of memory."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in OF_WANT:
            return True
        error = error.__context__
    return False


def _namespace(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError as error:
        if error.errno in OF_WANT:
            raise not_read(error, pid) from None
        return 0
