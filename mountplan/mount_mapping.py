"""MountsByPath: a mount table by mountpoint, as tests and programs ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from mountplan.planner.tables.table import MountRow, MountTable

if TYPE_CHECKING:
    from mountplan.planner.compare.difference import Drift


class NothingMounted(KeyError):
    """There is no mount on a path; says what there is."""

    def __str__(self) -> str:
        return str(self.args[0])


class MountsByPath(Mapping[str, MountRow]):
    """The mounts of a namespace by their mountpoints; of several on one, the topmost. `table` has them all.

    Two are equal if they show the same mounts: roots, attributes, filesystems and sharing, whatever the kernel's
    numbers are.

    >>> row = MountRow(1, 0, "0:40", "/", "/b", "ro,relatime", 7, 0, 0, False, "tmpfs", "tmpfs", "rw")
    >>> mounts = MountsByPath(MountTable((row,)))
    >>> mounts["/b"].attributes
    'ro,relatime'
    >>> "/c" in mounts
    False
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, table: MountTable) -> None:
        self.table = table
        by_id = table.by_id()
        covered = {
            row.parent_id
            for row in table.rows
            if row.parent_id in by_id and by_id[row.parent_id].mountpoint == row.mountpoint
        } - {row.mount_id for row in table.rows if row.mount_id == row.parent_id}
        self._rows = {row.mountpoint: row for row in table.rows if row.mount_id not in covered}

    def __getitem__(self, path: str) -> MountRow:
        try:
            return self._rows[path]
        except KeyError:
            near = get_close_matches(path, self._rows, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise NothingMounted(f"nothing is mounted on {path}{hint}\n{self!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, path: object) -> bool:
        return path in self._rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MountsByPath) and not self.differences(other)

    def differences(self, other: MountsByPath) -> Drift:
        """How `other` differs from these."""
        from mountplan.planner.compare.compare import differences
        from mountplan.planner.compare.view import View

        return differences((View("", self.table),), (View("", other.table),), None)

    def __repr__(self) -> str:
        from mountplan.planner.render.table_text import table_lines

        return "\n".join(table_lines(self.table, {}, fold=True))
