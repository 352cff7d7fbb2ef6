"""The mounts of one namespace as a tree, in an order that does not depend on the ids that the kernel gave out."""

from __future__ import annotations

from collections.abc import Callable

from mountplan.planner.tables.table import MountRow, MountTable


class MountTree:
    """A mount table arranged: a mount always after its parent, siblings in the order of their places.

    All lists go by the same index. `parents` holds the index of a mount's parent, -1 for the root. `places` holds the
    mountpoint within the parent's mount ("/" for on top of it). `reached` tells whether a walk to the mountpoint
    passes this mount, so that no other mount hides it but such as are stacked on it. `adrift` are rows that do not
    hang together with the root: the reader could not see what they stand on.
    """

    __slots__ = ("adrift", "below", "parents", "places", "reached", "rows")

    def __init__(self, table: MountTable) -> None:
        """Raises LookupError if the table has no root."""
        self.rows: list[MountRow] = []
        self.parents: list[int] = []
        self.places: list[str] = []
        self.reached: list[bool] = []
        self.below: list[dict[str, int]] = []  # place -> index of the mount there
        lost: list[MountRow] = []
        self._arrange(_root_of(table), table.by_parent(), lost)
        if len(self.rows) + len(lost) < len(table.rows):
            known = {row.mount_id for row in self.rows}
            self.adrift = tuple(row for row in table.rows if row.mount_id not in known)
        else:
            self.adrift = tuple(lost)

    def _arrange(self, root: MountRow, children: dict[int, list[MountRow]], lost: list[MountRow]) -> None:
        rows, parents, places, reached, below = self.rows, self.parents, self.places, self.reached, self.below
        waiting: list[tuple[MountRow, int, str]] = [(root, -1, "/")]
        while waiting:
            row, parent, place = waiting.pop()
            index = len(rows)
            rows.append(row)
            parents.append(parent)
            places.append(place)
            below.append({})
            reached.append(parent < 0 or (reached[parent] and not _is_hidden(below[parent], place)))
            found = children.get(row.mount_id)
            if not found:
                continue
            base = row.mountpoint
            length = 0 if base == "/" else len(base)
            mine = below[index]
            placed = []
            for child in found:
                if child is row:
                    continue
                path = child.mountpoint
                if length and path[:length] != base:
                    lost.append(child)  # its mountpoint was moved out of what its parent shows
                    continue
                at = path[length:] or "/"
                mine[at] = -1
                placed.append((child, index, at))
            if len(placed) > 1:
                placed.sort(key=_by_components, reverse=True)
            waiting += placed
        for index in range(1, len(rows)):
            below[parents[index]][places[index]] = index

    def covers(self, index: int) -> list[int]:
        """The mounts that keep a walk from passing mount `index`, or from ending on it; each after what hides it."""
        levels = []
        if "/" in self.below[index]:
            levels.append([self.below[index]["/"]])
        while (parent := self.parents[index]) >= 0:
            levels.append(hiders(self.below[parent], self.places[index]))
            index = parent
        return [cover for level in reversed(levels) for cover in level]

    def end_of(self, index: int) -> int:
        """The index after the last mount of the tree that stands on mount `index`: what is between stands on it."""
        end = index + 1
        parents = self.parents
        while end < len(parents) and parents[end] >= index:
            end += 1
        return end


def hiders(siblings: dict[str, int], place: str) -> list[int]:
    """Of the mounts that stand on one mount, those that hide `place` of it; without what stands on the place itself."""
    if place == "/" or not siblings:
        return []
    found = []
    if "/" in siblings:
        found.append(siblings["/"])
    end = place.find("/", 1)
    while end > 0:
        if (cover := siblings.get(place[:end])) is not None:
            found.append(cover)
        end = place.find("/", end + 1)
    return found


def _is_hidden(siblings: dict[str, int], place: str) -> bool:
    return len(siblings) > 1 and bool(hiders(siblings, place))


def _root_of(table: MountTable) -> MountRow:
    """The row with which the tree begins; where a reader's root is no mount, several have no parent in the table."""
    ids = {row.mount_id for row in table.rows}
    first = None
    for row in table.rows:
        if row.parent_id not in ids or row.parent_id == row.mount_id:
            if row.mountpoint == "/":
                return row
            first = first or row
    if first is None:
        raise LookupError("the table has no root mount")
    return first


def _by_components(placed: tuple[MountRow, int, str]) -> str:
    """A key by which "/a/b" comes before "/a-b"."""
    return placed[2].replace("/", "\0")


def walk(
    tree: MountTree, path: str, *, without: Callable[[MountRow], bool] = lambda _: False, from_top: bool = False
) -> tuple[int, str]:
    """(index of the mount, path within it) on which a walk to `path` ends.

    It passes over mounts `without` which it is to be, as if they were not there. It begins on the root of the tree, or,
    with `from_top`, on what is mounted upon that.
    """
    index, place = 0, ""

    def top(index: int) -> int:
        while (above := tree.below[index].get("/")) is not None and not without(tree.rows[above]):
            index = above
        return index

    if from_top:
        index = top(index)
    for part in path.strip("/").split("/"):
        place += f"/{part}" if part else ""
        child = tree.below[index].get(place) if place else None
        if child is not None and not without(tree.rows[child]):
            index, place = top(child), ""
    return index, place or "/"


def path_to(tree: MountTree, start: int, index: int) -> str:
    """A path that leads from a root that is mount `start` to another mount, if nothing covers that.

    A walk begins on the root itself; what is mounted upon that is reached by "/..", which is its topmost mount.
    """
    path = tree.rows[index].mountpoint
    while index > start and tree.rows[index].mountpoint != "/":
        index = tree.parents[index]
    return f"/..{path}" if index > start else path
