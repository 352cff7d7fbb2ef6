"""Where on the host a part of a filesystem can be seen."""

from __future__ import annotations

from functools import cached_property

from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import DELETED, MountRow, MountTable, Walks, copied


class HostMounts:
    """The host's mounts by device and root; only those that a path walk ends on are of use."""

    def __init__(self, table: MountTable) -> None:
        self.table = table = copied(table)  # what is built begins as a copy of the host's namespace
        self.devices = frozenset(row.device for row in table.rows)
        self._walks = Walks(table)
        self._by_root: dict[tuple[str, str], list[MountRow]] = {}
        self._groups: dict[int, dict[str, list[MountRow]]] = {}
        self._found: dict[tuple[str, str], tuple[str, MountRow] | None] = {}
        for row in table.rows:
            self._by_root.setdefault((row.device, row.root), []).append(row)
            if row.peer_group:
                self._groups.setdefault(row.peer_group, {}).setdefault(row.root, []).append(row)

    @cached_property
    def tree(self) -> MountTree | None:
        """All of them as a tree; None if the table has no root, as in a chroot."""
        try:
            return MountTree(self.table)
        except LookupError:
            return None

    @cached_property
    def index_of(self) -> dict[int, int]:
        """Mount id -> index in the tree."""
        return {row.mount_id: index for index, row in enumerate(self.tree.rows)} if self.tree is not None else {}

    def shows_all_of(self, fstype: str) -> bool:
        """Whether a path leads to the root of some filesystem of this type."""
        rows = (row for row in self.table.rows if row.fstype == fstype and row.root == "/")
        return any(self._walks.end_of(row.mountpoint).mount_id == row.mount_id for row in rows)

    def showing(self, device: str, root: str) -> tuple[str, MountRow] | None:
        """A host path that shows `root` of the filesystem, and the mount it is on: the widest that does. Else None.

        One that is id-mapped only if there is no other, as a bind of it would be so too.
        Nothing surely shows what has been removed: of that the kernel tells the name which it had, as others may have.
        """
        key = (device, root)
        if key not in self._found:
            self._found[key] = self._show(device, root)
        return self._found[key]

    def _show(self, device: str, root: str) -> tuple[str, MountRow] | None:
        if root.endswith(DELETED):
            return None
        mapped = None
        for wide in _from_the_top(root):
            for row in self._by_root.get((device, wide), ()):
                path = _joined(row.mountpoint, root if wide == "/" else root[len(wide) :])
                if self._walks.end_of(path).mount_id == row.mount_id:
                    if "idmapped" not in row.attributes:
                        return path, row
                    mapped = mapped or (path, row)
        return mapped

    def has_group(self, number: int) -> bool:
        return number in self._groups

    def in_group(self, number: int, root: str) -> MountRow | None:
        """The widest host mount of a peer group that shows `root`, and that a walk to its mountpoint ends on."""
        by_root = self._groups.get(number, {})
        for wide in _from_the_top(root):
            for row in by_root.get(wide, ()):
                if self._walks.end_of(row.mountpoint).mount_id == row.mount_id:
                    return row
        return None


def _from_the_top(path: str) -> list[str]:
    """`/a/b` -> `/`, `/a`, `/a/b`."""
    if path == "/" or not path.startswith("/"):
        return [path]
    return ["/", *(path[:end] for end in range(1, len(path)) if path[end] == "/"), path]


def _joined(base: str, rest: str) -> str:
    if rest in ("", "/"):
        return base
    return rest if base == "/" else base + rest
