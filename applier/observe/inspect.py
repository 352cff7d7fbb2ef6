"""All mounts of live namespaces, wherever they are seen from -> MountTables.

mountinfo shows what a process can reach from its root. statmount(2) and listmount(2) tell of all mounts of a namespace
(Linux 6.11 for other namespaces than our own), so they say whether anything is missing, and what.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Iterable

from mountplan.applier.observe.observe import NEVER_STILL, refused_table, tries
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.inside import enter, in_child
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.applier.sys.syscalls import namespace_id
from mountplan.planner.attributes import show
from mountplan.planner.errors import TableError
from mountplan.planner.light import TypeVar
from mountplan.planner.names import IdLines, IdMapping
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import UNTOLD, MountRow, MountTable

Result = TypeVar("Result")

_MANY = 20000  # ids that listmount(2) is asked for in one call
# Of a kernel without it, or one that tells of its own namespace only (before Linux 6.11); and of who may not ask.
_NOT_TO_BE_HAD = (errno.ENOSYS, errno.EINVAL, errno.E2BIG, errno.EPERM)
_ALL = (
    abi.STATMOUNT_SB_BASIC | abi.STATMOUNT_MNT_BASIC | abi.STATMOUNT_MNT_ROOT | abi.STATMOUNT_MNT_POINT
    | abi.STATMOUNT_FS_TYPE | abi.STATMOUNT_MNT_OPTS | abi.STATMOUNT_FS_SUBTYPE | abi.STATMOUNT_SB_SOURCE
)  # fmt: skip
_MAPS = abi.STATMOUNT_MNT_UIDMAP | abi.STATMOUNT_MNT_GIDMAP
_STATMOUNT = struct.Struct(abi.STATMOUNT)
_SB_WORDS = (
    (abi.SB_SYNCHRONOUS, ",sync"), (abi.SB_DIRSYNC, ",dirsync"), (abi.SB_MANDLOCK, ",mand"),
    (abi.SB_LAZYTIME, ",lazytime"),
)  # fmt: skip


class Whole(NamedTuple):
    """One namespace: all its mounts as far as they can be seen; the id-mapping of each mount that has one, by its id.

    `complete` is False if the kernel could not say whether there are more mounts than the reader's root shows. `unique`
    are the ids of all mounts that no other mount ever gets, where the kernel tells them.
    """

    table: MountTable
    idmaps: dict[int, IdMapping]
    complete: bool
    unique: tuple[int, ...] = ()


def read_whole(namespace: int, mountinfo: Callable[[], bytes]) -> Whole:
    """Read the namespace behind the descriptor `namespace`. `mountinfo` reads it as seen from some root inside.

    Both are read until nothing has changed while all of it was asked for. Raises TableError if that never happens.
    """
    before = (mountinfo(), all_ids(namespace))
    for _ in tries():
        whole = _whole(namespace, *before)
        now = (mountinfo(), all_ids(namespace))
        if whole is not None and now == before:
            return whole
        before = now
    raise TableError(NEVER_STILL)


def read_below(namespace: int, text: bytes) -> Whole:
    """What is seen from a root inside, `text` as mountinfo has it from there; what is not below that is left out."""
    table = parse_mountinfo(text)
    if not table.rows:
        raise TableError("it is no mount, and has none below, as the root that a runtime has made would")
    idmaps: dict[int, IdMapping] = {}
    if b"idmapped" in text and (ids := all_ids(namespace)) is not None:
        known = {row.mount_id for row in table.rows}
        found = _asked(namespace, lambda: Mounts(namespace_id(namespace)).idmaps(ids))
        idmaps = {number: maps for number, maps in found.items() if number in known}
    return Whole(table, idmaps, complete=True)


def _whole(namespace: int, text: bytes, ids: tuple[int, ...] | None) -> Whole | None:
    """What a reading comes to, with the rest asked for each mount; None if one of them has gone meanwhile."""
    table = parse_mountinfo(text)
    if ids is None:
        return Whole(table, {}, complete=False)

    def ask() -> tuple[list[tuple[object, ...]], dict[int, IdMapping]]:
        mounts = Mounts(namespace_id(namespace))
        rows = mounts.table(ids, table).rows if len(ids) != len(table.rows) else table.rows
        idmapped = b"idmapped" in text or any("idmapped" in row.attributes for row in rows)
        return [(*row,) for row in rows] if rows is not table.rows else [], mounts.idmaps(ids) if idmapped else {}

    try:
        rows, idmaps = _asked(namespace, ask)
        if any(not mountpoint for _, _, _, _, mountpoint, *_ in rows):
            rows, idmaps = _inside(namespace, ask)
    except KernelRefusal as refusal:
        if refusal.errno != errno.ENOENT:
            raise refused_table("cannot read the mounts one by one", refusal) from None
        return None
    return Whole(
        MountTable(tuple(MountRow._make(row) for row in rows)) if rows else table, idmaps, complete=True, unique=ids
    )


def all_ids(namespace: int) -> tuple[int, ...] | None:
    """The unique ids of all mounts of a namespace but the one that all others stand on; None if they cannot be had."""
    try:
        number = namespace_id(namespace)
    except OSError as error:
        if error.errno != errno.ENOTTY:  # before Linux 6.11
            raise refused_table("cannot list the mounts", error) from None
        return None
    try:
        return _asked(namespace, lambda: _ids(number))
    except KernelRefusal as refusal:
        if refusal.errno in _NOT_TO_BE_HAD:
            return None
        raise refused_table("cannot list the mounts", refusal) from None


def _ids(number: int) -> tuple[int, ...]:
    first = syscalls.listmount(abi.LSMT_ROOT, number, 0, 1)
    if not first:
        return ()
    base = Mounts(number).base(*first)
    found: list[int] = []
    while True:
        more = syscalls.listmount(base, number, found[-1] if found else 0, _MANY)
        found += more
        if len(more) < _MANY:
            return tuple(found)


def _asked(namespace: int, ask: Callable[[], Result]) -> Result:
    """What `ask` has of listmount(2) and statmount(2), called by a process in the namespace if it takes that.

    From outside the kernel finds where a namespace begins by the ids of its mounts, and answers ENOENT where the oldest
    of them is not the one that all stand on: so it is of what was built in a user namespace. `ask` then gives what
    marshal can write.
    """
    try:
        return ask()
    except KernelRefusal as refusal:
        if refusal.errno != errno.ENOENT:
            raise
    return _inside(namespace, ask)


def _inside(namespace: int, ask: Callable[[], Result]) -> Result:
    """What `ask` has at the root of the namespace: in a chroot that is in it, what is outside has no path."""

    def inside() -> Result:
        enter(namespace)
        return ask()

    return in_child(inside)


def ages(namespace: int) -> dict[int, int]:
    """For each mount of the namespace behind a descriptor: the id of mountinfo, and the unique one.

    Unique ids only grow, machine-wide: the lesser is that of the older mount. Empty where they cannot be had.
    """
    ids = all_ids(namespace)
    return ids_in_mountinfo(namespace, ids) if ids else {}


def ids_in_mountinfo(namespace: int, unique: Iterable[int]) -> dict[int, int]:
    """By the id that mountinfo has, the unique ones of those mounts that are still there, of the namespace behind a
    descriptor.
    """

    def ask() -> dict[int, int]:
        mounts = Mounts(namespace_id(namespace))
        found = {}
        refused: KernelRefusal | None = None
        for number in unique:
            try:
                found[mounts.id_in_mountinfo(number)] = number
            except KernelRefusal as refusal:
                if refusal.errno != errno.ENOENT:
                    raise
                refused = refusal
        if not found and refused is not None:
            raise refused
        return found

    try:
        return _asked(namespace, ask)
    except KernelRefusal as refusal:
        if refusal.errno != errno.ENOENT:  # all have gone
            raise
        return {}


class Mounts:
    """statmount(2) on the mounts of one namespace."""

    def __init__(self, number: int) -> None:
        self._namespace = number
        self._buffer = bytearray(8192)

    def _stat(self, mount: int, mask: int) -> tuple[int, ...]:
        while True:
            try:
                syscalls.statmount(mount, self._namespace, mask, self._buffer)
                return _STATMOUNT.unpack_from(self._buffer)
            except KernelRefusal as refusal:
                if refusal.errno != errno.EOVERFLOW or len(self._buffer) > 1 << 24:
                    raise
                self._buffer = bytearray(4 * len(self._buffer))

    def _text(self, offset: int) -> str:
        begin = abi.STATMOUNT_TEXTS + offset
        return self._buffer[begin : self._buffer.index(0, begin)].decode("utf-8", "surrogateescape")

    def id_in_mountinfo(self, mount: int) -> int:
        return self._stat(mount, abi.STATMOUNT_MNT_BASIC)[10]

    def base(self, mount: int) -> int:
        """The mount that all mounts of the namespace stand on in the end."""
        while True:
            _, _, _, _, _, _, _, _, own, parent, *_ = self._stat(mount, abi.STATMOUNT_MNT_BASIC)
            if own == parent:
                return own
            mount = parent

    def table(self, ids: tuple[int, ...], seen: MountTable) -> MountTable:
        """All mounts. `seen` has those that who is inside can see, and of them more than statmount(2) tells: where they
        get their events from and, before Linux 6.13, their sources. A mount whose source nothing tells has that of one
        of the same filesystem, as a bind would have.
        """
        known = seen.by_id()
        rows = [self._row(number, known) for number in ids]
        if not self._tells_sources(ids, rows):
            sources = {row.device: row.source for row in seen.rows}
            rows = [
                row if row.mount_id in known else row._replace(source=sources.get(row.device, UNTOLD)) for row in rows
            ]
        return MountTable(tuple(rows))

    def _tells_sources(self, ids: tuple[int, ...], rows: list[MountRow]) -> bool:
        """An empty source is told by leaving it out. So of a mount that has another, does statmount(2) tell that?"""
        number = next((number for number, row in zip(ids, rows, strict=True) if row.source), None)
        return number is not None and bool(self._stat(number, abi.STATMOUNT_SB_SOURCE)[2] & abi.STATMOUNT_SB_SOURCE)

    def _row(self, number: int, known: dict[int, MountRow]) -> MountRow:
        """A row without source if statmount(2) tells none, and `known` neither."""
        (
            _, opts, mask, major, minor, _, sb_flags, fstype, _, _, mount_id, parent_id, attributes, propagation, group,
            master, _, root, point, _, subtype, source, *_,
        ) = self._stat(number, _ALL)  # fmt: skip
        text, seen, device = self._text, known.get(mount_id), f"{major}:{minor}"
        name = text(fstype) if mask & abi.STATMOUNT_FS_TYPE else "none"
        if mask & abi.STATMOUNT_FS_SUBTYPE:
            name = f"{name}.{text(subtype)}"
        options = "ro" if sb_flags & abi.SB_RDONLY else "rw"
        for bit, word in _SB_WORDS:
            if sb_flags & bit:
                options += word
        if mask & abi.STATMOUNT_MNT_OPTS and (more := text(opts)):
            options = f"{options},{more}"  # with escapes, as mountinfo has it
        return MountRow(
            mount_id=mount_id,
            parent_id=parent_id,
            device=device,
            root=text(root) if mask & abi.STATMOUNT_MNT_ROOT else "/",
            mountpoint=text(point) if mask & abi.STATMOUNT_MNT_POINT else "",
            attributes=show(attributes),
            peer_group=group if propagation & abi.MS_SHARED else 0,
            master=master if propagation & abi.MS_SLAVE else 0,
            propagate_from=seen.propagate_from if seen else 0,
            unbindable=bool(propagation & abi.MS_UNBINDABLE),
            fstype=name,
            source=seen.source if seen else text(source) if mask & abi.STATMOUNT_SB_SOURCE else "",
            options=options,
        )

    def idmaps(self, ids: tuple[int, ...]) -> dict[int, IdMapping]:
        """The id-mappings of id-mapped mounts (Linux 6.15), by the id that mountinfo has."""
        found = {}
        for number in ids:
            values = self._stat(number, abi.STATMOUNT_MNT_BASIC | _MAPS)
            uid_count, uids, gid_count, gids = values[-4:]
            if values[2] & _MAPS and (uid_count or gid_count):
                found[values[10]] = (self._lines(uid_count, uids), self._lines(gid_count, gids))
        return found

    def _lines(self, count: int, offset: int) -> IdLines:
        lines = []
        for _ in range(count):
            text = self._text(offset)
            offset += len(text) + 1
            first, seen, length = map(int, text.split())
            lines.append((first, seen, length))
        return tuple(lines)
