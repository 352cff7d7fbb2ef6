"""MountTable: what stands in one mount namespace, observed or predicted."""

from __future__ import annotations

from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.columns import AlikeColumn, RecordColumns, columns_of, joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from mountplan.planner.tables.columns import Column, Columns

_FEW = 4  # rows, after which it pays to make an index

# The source of a mount of which the kernel tells none: one that only statmount(2) shows, before Linux 6.13; and of one
# that will be whichever loop device is free. No source that a mount has is this, but any other text may be one, "" too.
UNTOLD = "\0"
# What the kernel puts after the root of a mount that has been removed from its filesystem. No path has two slashes.
DELETED = "//deleted"


class MountRow(NamedTuple):
    """One mount, as one line of mountinfo gives it (proc_pid_mountinfo(5)), with escapes undone except in `options`.

    `mount_id` may be reused by the kernel after an unmount. `device` is "major:minor"; a predicted table writes
    "=NAME" for a superblock that does not exist yet. `root` is the path inside the filesystem, `mountpoint` the path as
    seen from the reader's root. `attributes` is mountinfo's sixth field, `options` its last one. A group id of 0
    means none.
    """

    mount_id: int
    parent_id: int
    device: str
    root: str
    mountpoint: str
    attributes: str
    peer_group: int
    master: int
    propagate_from: int
    unbindable: bool
    fstype: str
    source: str
    options: str


def is_read_only(row: MountRow) -> bool:
    """True if nothing can be written by way of this mount: it, or its superblock, is read-only."""
    return "ro" in row.attributes.split(",") or "ro" in row.options.split(",")


def row_in_words(row: MountRow, source: str) -> str:
    """What is mounted, in a few words: `ext4 /dev/vda[/srv] rw,relatime`. `source` is what its source is called."""
    source = f" {source}" if source not in ("", row.fstype, "none", UNTOLD) else ""
    root = f"[{row.root}]" if row.root != "/" else ""
    return f"{row.fstype}{source}{root} {row.attributes}"


class MountTable(NamedTuple):
    """The mounts of one namespace, in the order in which the kernel tells them: a parent may come after its child.

    `rows` is a tuple, or of a large table what is equal to one (planner/tables/columns.py).
    """

    rows: tuple[MountRow, ...]

    def by_id(self) -> dict[int, MountRow]:
        return {row.mount_id: row for row in self.rows}

    def at(self) -> dict[tuple[int, str], MountRow]:
        """(parent id, mountpoint) -> mount. The kernel never has two mounts on one place of one parent."""
        return {(row.parent_id, row.mountpoint): row for row in self.rows}

    def by_parent(self) -> dict[int, list[MountRow]]:
        """Parent id -> the mounts on it, in the order of the rows."""
        found: dict[int, list[MountRow]] = {}
        for row in self.rows:
            found.setdefault(row.parent_id, []).append(row)
        return found

    def root(self) -> MountRow:
        """The mount that is seen at "/" and whose parent is not in the table. Raises LookupError if there is none."""
        return self.rows[root_place(columns_of(self.rows, MountRow))]


def root_place(columns: Columns) -> int:
    """Which of the rows MountTable.root() is."""
    ids: Collection[int] = columns["mount_id"]
    for place, (mount_id, parent_id) in enumerate(zip(columns["mount_id"], columns["parent_id"], strict=True)):
        if place == _FEW:
            ids = set(ids)
        if parent_id not in ids or parent_id == mount_id:
            return place
    raise LookupError("the table has no root mount")


def is_mount_namespace_file(row: MountRow) -> bool:
    """True for a mount that keeps a mount namespace; files of other namespaces (`net:[...]`) have another root."""
    return row.fstype == "nsfs" and row.root.startswith("mnt:[")


def left_behind(table: MountTable) -> frozenset[int]:
    """The ids of what a copy of this mount namespace would not have: the kernel copies the file of a mount namespace
    into no other one (copy_tree in fs/namespace.c), and then nothing that stands on it either.
    """
    found = {row.mount_id for row in table.rows if is_mount_namespace_file(row)}
    before = 0
    while before < len(found):  # what stands on a file are files: seldom anything, and hardly ever more than one
        before = len(found)
        found |= {row.mount_id for row in table.rows if row.parent_id in found}
    return frozenset(found)


def copied(table: MountTable) -> MountTable:
    """What a copy of this mount namespace has of its mounts."""
    gone = left_behind(table)
    return MountTable(tuple(row for row in table.rows if row.mount_id not in gone)) if gone else table


class GrowingTable:
    """The rows of a table to be: in columns, and of those that came one by one at last, as they are."""

    __slots__ = ("_count", "_parts", "last")

    def __init__(self) -> None:
        self._parts: list[list[Column]] = []  # columns in the order of the fields
        self._count = 0  # of the rows in these
        self.last: list[MountRow] = []

    def __len__(self) -> int:
        return self._count + len(self.last)

    def add_columns(self, columns: Columns) -> None:
        self._settle()
        self._add([columns[field] for field in MountRow._fields])

    def _settle(self) -> None:
        if self.last:
            self._add(list(map(list, zip(*self.last, strict=True))))
            self.last = []

    def _add(self, columns: list[Column]) -> None:
        self._parts.append(columns)
        self._count += len(columns[0])

    def mountpoint(self, place: int) -> str:
        for part in self._parts:
            if place < len(part[4]):
                found: str = part[4][place]
                return found
            place -= len(part[4])
        return self.last[place].mountpoint

    def since(self, place: int) -> list[MountRow]:
        """The row at this place and those after it, all of which came one by one."""
        return self.last[place - self._count :]

    def table(self) -> MountTable:
        if not self._parts:
            return MountTable(tuple(self.last))
        self._settle()
        rows: Any = RecordColumns(MountRow, list(map(joined, zip(*self._parts, strict=True))))
        return MountTable(rows)


class Walks:
    """Path walks in one table: its index is made once, and where a walk to a directory ends is kept for the next."""

    __slots__ = ("_above", "_at", "_ends", "_root")

    def __init__(self, table: MountTable) -> None:
        self._at = table.at()
        self._above: set[str] = set()  # the directories in which something is mounted, once it is known
        self._root = table.root() if table.rows else None
        self._ends: dict[str, MountRow] = {} if self._root is None else {"": self._root}

    @classmethod
    def upon(cls, row: MountRow, at: dict[tuple[int, str], MountRow]) -> Walks:
        """Walks that begin on `row`, or on what covers it at "/"; `at` is MountTable.at() of what stands on it."""
        walks = cls(MountTable(()))
        walks._at = at
        while (above := at.get((row.mount_id, "/"))) is not None:
            row = above
        walks._root = walks._ends[""] = row
        return walks

    def end_of(self, path: str) -> MountRow:
        """The mount on which a walk to the absolute, canonical `path` ends: at each step the topmost mount there.

        A walk begins on the reader's root itself, even if another mount covers that. Raises LookupError for an empty
        table.
        """
        row = self._root
        if row is None:
            raise LookupError("the mount table is empty")
        if path == "/":
            return row
        ends, at = self._ends, self._at
        directory = path.rpartition("/")[0]
        known = ends.get(directory)
        if known is not None and at:  # as of most: many paths of a plan lie beside one another
            above = self._above = self._above or {mountpoint.rpartition("/")[0] for _, mountpoint in at}
            if directory not in above:
                return known
        end = len(directory)
        while (found := ends.get(directory[:end])) is None:
            end = directory.rfind("/", 0, end)
        row = found
        while end < len(directory):
            end = directory.find("/", end + 1)
            end = len(directory) if end < 0 else end
            step = directory[:end]
            while (upon := at.get((row.mount_id, step))) is not None:
                row = upon
            ends[step] = row
        while (upon := at.get((row.mount_id, path))) is not None:
            row = upon
        return row

    def ends_of(self, paths: Column, extent: tuple[str, str]) -> Column:
        """end_of() of each; with extent_of() them."""
        at = self._at
        common = _common_directory(*extent)
        if not any(mountpoint.startswith(f"{common}/") for _, mountpoint in at):  # nothing is mounted in there
            return AlikeColumn(self.end_of(common or "/"), len(paths))
        above = self._above = self._above or {mountpoint.rpartition("/")[0] for _, mountpoint in at}
        directories = [path.rpartition("/")[0] for path in paths]
        ends = {  # of those in which nothing is mounted
            directory: self.end_of(path)
            for directory, path in dict(zip(directories, paths, strict=True)).items()
            if directory not in above
        }
        return [
            ends[directory] if directory in ends else self.end_of(path)
            for directory, path in zip(directories, paths, strict=True)
        ]

    def is_covered(self, row: MountRow, path: str) -> bool:
        """Whether something is mounted at `path` of this mount."""
        return (row.mount_id, path) in self._at


def _common_directory(path: str, other: str) -> str:
    """The directory that both absolute paths are in, "" for the topmost."""
    same = next((at for at, (one, two) in enumerate(zip(path, other, strict=False)) if one != two), len(path))
    return path[:same].rpartition("/")[0]
