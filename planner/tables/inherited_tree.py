"""Changes to a tree that is inherited from the host: which of its mounts a step reaches, and what stands there then.

The rows are those of one tree, in the coordinates of its root: as a process would see them whose "/" that is.
"""

from __future__ import annotations

from mountplan.planner.attributes import Change, applied, parse_shown, show
from mountplan.planner.paths import TargetPath
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow, MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Reached(NamedTuple):
    """A mount that is changed, by its path and its id; `recursive` if all that stands on it is changed as well."""

    path: str
    mount_id: int
    recursive: bool


class InheritedTree:
    """The mounts of an inherited tree, each of which may go, or be bound over itself."""

    def __init__(self, table: MountTable) -> None:
        self.rows: dict[int, MountRow] = {row.mount_id: row for row in table.rows}
        self._root = table.root().mount_id
        self._at: dict[tuple[int, str], int] = {}
        self._children: dict[int, dict[int, None]] = {}
        self._next = 1 + max(self.rows)
        for row in table.rows:
            if row.mount_id != self._root:
                self._add(row)

    def _add(self, row: MountRow) -> None:
        self.rows[row.mount_id] = row
        self._at[row.parent_id, row.mountpoint] = row.mount_id
        self._children.setdefault(row.parent_id, {})[row.mount_id] = None

    def end_of(self, path: str) -> MountRow:
        """The mount on which a walk to a canonical path ends: at each step the topmost mount there."""
        here = self._root  # as a walk begins there, even if another mount covers it
        end = 0
        while end < len(path) and path != "/":
            end = path.find("/", end + 1)
            end = len(path) if end < 0 else end
            here = self._top(here, path[:end])
        return self.rows[here]

    def _top(self, here: int, path: str) -> int:
        while (above := self._at.get((here, path))) is not None:
            here = above
        return here

    def children(self, mount_id: int) -> list[MountRow]:
        return [self.rows[one] for one in self._children.get(mount_id, ())]

    def below(self, mount_id: int) -> list[MountRow]:
        """A mount, and all that stands on it, directly or not; each after what it stands on."""
        found = [self.rows[mount_id]]
        for row in found:
            found += self.children(row.mount_id)
        return found

    def remove(self, path: str) -> None:
        """Unmount what is seen at `path`, with all that stands on it."""
        for row in self.below(self.end_of(path).mount_id):
            del self.rows[row.mount_id], self._at[row.parent_id, row.mountpoint]
            del self._children[row.parent_id][row.mount_id]

    def bind_over(self, path: str) -> None:
        """Bind `path`, which is no mountpoint, over itself, with all that is mounted below it."""
        top = self.end_of(path)
        root = TargetPath(top.root).joined(TargetPath(path).relative_to(top.mountpoint))
        new = self._copy(top, top.mount_id, path)._replace(root=root)
        pairs = [(new, row) for row in self.children(top.mount_id) if TargetPath(row.mountpoint).is_under(path)]
        self._add(new)
        for parent, row in pairs:
            copy = self._copy(row, parent.mount_id, row.mountpoint)
            self._add(copy)
            pairs += [(copy, child) for child in self.children(row.mount_id)]

    def _copy(self, row: MountRow, parent: int, mountpoint: str) -> MountRow:
        number, self._next = self._next, self._next + 1
        return row._replace(mount_id=number, parent_id=parent, mountpoint=mountpoint)

    def reach(self, path: str, spared: Iterable[str], *, recursive: bool, but_root: bool = False) -> list[Reached]:
        """What a change of `path` is made to: the mount there; if `recursive`, all that stands on it, but for what is
        seen at the paths `spared` and what stands on that. With `but_root` the root of the tree is not changed by
        itself; it is together with all that stands on it.

        Mounts that have what is spared above them are changed one by one, where a path leads to them: what is covered
        by another mount is left as it is then.
        """
        top = self.end_of(path).mount_id
        if not recursive:
            return [] if but_root and top == self._root else [Reached(path, top, False)]
        kept = {self.end_of(one).mount_id for one in spared}
        above = set()  # those that have something spared above them
        for one in kept:
            parent = self.rows[one].parent_id
            while parent in self.rows and parent not in above:
                above.add(parent)
                parent = self.rows[parent].parent_id
        if top not in above:
            return [Reached(path, top, True)]
        found: list[Reached] = []
        waiting = [top]
        while waiting:
            here = waiting.pop()
            if not (but_root and here == self._root):
                found.append(Reached(self.rows[here].mountpoint, here, False))
            for child in self.children(here):
                seen = self._top(child.mount_id, child.mountpoint)
                if seen in kept or self.end_of(child.mountpoint).mount_id != seen:
                    continue
                if seen in above:
                    waiting.append(seen)
                else:
                    found.append(Reached(child.mountpoint, seen, True))
        return found

    def changed(self, reached: Iterable[Reached]) -> Iterator[int]:
        """The ids of all that is changed."""
        for one in reached:
            if one.recursive:
                yield from (row.mount_id for row in self.below(one.mount_id))
            else:
                yield one.mount_id

    def change(self, reached: Iterable[Reached], change: Change) -> None:
        for number in self.changed(reached):
            row = self.rows[number]
            bits = applied(parse_shown(row.attributes), change)
            self.rows[number] = row._replace(attributes=show(bits))

    def table(self) -> MountTable:
        return MountTable(tuple(self.rows.values()))
