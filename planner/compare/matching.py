"""Which mount of one table is which of another, when some were added, removed, changed or put between others.

What a mount is known by is its place: its parent, and where it stands on that. So matching goes down from the roots.
Where several are stacked on one place, and where a parent has no counterpart, mounts are told apart by what they show.
Every step is a look-up, so that all of it takes time linear in the number of mounts (n log n in a stack).
"""

from __future__ import annotations

from bisect import bisect_left

from mountplan.planner.attributes import parse_shown
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Hashable
    from typing import TypeAlias

OUTSIDE = -1  # the parent of mounts that have none in their table

Key: TypeAlias = "Callable[[Forest, int], Hashable]"
Pairs: TypeAlias = list[tuple[int, int]]


class Forest:
    """A table as trees. Mounts are known by their position in it."""

    def __init__(self, table: MountTable) -> None:
        self.rows = rows = table.rows
        positions = {row[0]: at for at, row in enumerate(rows)}
        self.parents: list[int] = []
        self.children: dict[int, list[int]] = {}
        self.tops: dict[int, int] = {}  # what is mounted upon the very root of a mount
        for at, row in enumerate(rows):
            parent = positions.get(row[1], OUTSIDE)
            if parent == at:
                parent = OUTSIDE
            self.parents.append(parent)
            self.children.setdefault(parent, []).append(at)
            if parent != OUTSIDE and rows[parent].mountpoint == row.mountpoint:
                self.tops.setdefault(parent, at)
        if len(self.order()) != len(rows):
            self._cut_circles()

    def _cut_circles(self) -> None:
        """No kernel makes any; but a walk from the roots would miss them."""
        reached = set(self.order())
        for at, parent in enumerate(self.parents):
            if at not in reached:
                self.parents[at] = OUTSIDE
                self.children[parent].remove(at)
                self.children.setdefault(OUTSIDE, []).append(at)
                self.tops.pop(parent, None)

    def order(self) -> list[int]:
        """All mounts, parents first."""
        return self.below(OUTSIDE)[1:]

    def below(self, at: int) -> list[int]:
        """The mount and all that stands on it, parents first."""
        found = [at]
        for one in found:
            found += self.children.get(one, ())
        return found

    def is_bare(self, at: int) -> bool:
        """Whether nothing stands on a mount but what is stacked upon it."""
        return all(child == self.tops.get(at) for child in self.children.get(at, ()))

    def stack(self, at: int) -> list[int]:
        """The mount and all that is stacked on it, upwards."""
        stack = [at]
        while (top := self.tops.get(stack[-1])) is not None:
            stack.append(top)
        return stack

    def places(self, parent: int, gone: Container[int]) -> dict[str, list[int]]:
        """What stands on a mount, by mountpoint; without what is stacked on it, which comes with the stack.

        There is more than one at a place only if they hang on different parents, none of which is in the table.
        """
        top = self.tops.get(parent)
        places: dict[str, list[int]] = {}
        for at in self.children.get(parent, ()):
            if at != top and at not in gone:
                places.setdefault(self.rows[at].mountpoint, []).append(at)
        return places


def _kind(forest: Forest, at: int) -> Hashable:
    """What a mount has in common with itself, whatever was changed."""
    row = forest.rows[at]
    return row.fstype, row.root


def _superblock(forest: Forest, at: int) -> Hashable:
    """What it is a mount of."""
    row = forest.rows[at]
    return row.device, row.root


def _looks(forest: Forest, at: int) -> Hashable:
    """What a mount shows, whatever its ids are."""
    row = forest.rows[at]
    return row.fstype, row.root, parse_shown(row.attributes), bool(row.peer_group), bool(row.master), row.unbindable


def _looks_with_children(forest: Forest, at: int) -> Hashable:
    """The same, and of what stands on it; but not of what is stacked on it, which may be new."""
    top = forest.tops.get(at)
    children = ((forest.rows[one].mountpoint, _looks(forest, one)) for one in forest.children.get(at, ()) if one != top)
    return _looks(forest, at), frozenset(children)


def _sourced_looks(forest: Forest, at: int) -> Hashable:
    return forest.rows[at].source, _looks_with_children(forest, at)


def _sourced_kind(forest: Forest, at: int) -> Hashable:
    return forest.rows[at].source, _kind(forest, at)


class Match(NamedTuple):
    """`pairs`: position in the first table -> position in the second; each is in it once at most."""

    first: Forest
    second: Forest
    pairs: dict[int, int]


_LOOKS = (_sourced_looks, _sourced_kind, _looks_with_children, _looks, _kind)


def match(first: MountTable, second: MountTable, *, devices: bool = False) -> Match:
    """The mounts of two tables that are each other's counterparts. With `devices`, both call a device the same, and in
    a stack the mounts of one directory of a filesystem are told by that first.
    """
    matcher = _Matcher(Forest(first), Forest(second), (_superblock, *_LOOKS) if devices else _LOOKS)
    matcher.descend([(OUTSIDE, OUTSIDE)])
    if len(matcher.pairs) < min(len(first.rows), len(second.rows)):
        matcher.find_elsewhere(_looks_with_children)
        matcher.find_elsewhere(_kind)
    return Match(matcher.first, matcher.second, matcher.pairs)


class _Matcher:
    def __init__(self, first: Forest, second: Forest, keys: tuple[Key, ...]) -> None:
        self.first = first
        self.second = second
        self.keys = keys  # by which the mounts of a stack are told apart, the first before the others
        self.pairs: dict[int, int] = {}
        self.taken: set[int] = set()  # the values of `pairs`

    def descend(self, waiting: Pairs) -> None:
        """Match what stands on these pairs and is not matched yet, place by place, and what stands on that."""
        for one, other in waiting:
            there = self.second.places(other, self.taken)
            if not there:
                continue
            for mountpoint, mounts in self.first.places(one, self.pairs).items():
                found = there.get(mountpoint)
                if found is None:
                    continue
                if (
                    len(mounts) == len(found) == 1
                    and mounts[0] not in self.first.tops
                    and found[0] not in self.second.tops
                ):
                    new = [(mounts[0], found[0])]
                else:
                    new = self._stacks(mounts, found)
                self._add(new)
                waiting += new

    def find_elsewhere(self, key: Key) -> None:
        """Match mounts with equal keys at one mountpoint, though their parents are not each other's counterparts.

        That is how the mounts above one that was put between, or taken away, are found again.
        """
        left: dict[Hashable, list[int]] = {}
        for at in reversed(self.second.order()):
            if at not in self.taken:
                left.setdefault((self.second.rows[at].mountpoint, key(self.second, at)), []).append(at)
        if not left:
            return
        for at in self.first.order():
            if at in self.pairs:
                continue
            candidates = left.get((self.first.rows[at].mountpoint, key(self.first, at)), [])
            while candidates:
                found = candidates.pop()
                if found not in self.taken:
                    new = self._stacks([at], [found])
                    self._add(new)
                    self.descend(new)
                    break

    def _add(self, new: Pairs) -> None:
        self.pairs.update(new)
        self.taken.update(found for _, found in new)

    def _stacks(self, ones: list[int], others: list[int]) -> Pairs:
        """Pairs of two piles of stacks, never crosswise: those with one key, then with the next, then as they come."""
        first = [at for one in ones for at in self.first.stack(one) if at not in self.pairs]
        second = [at for other in others for at in self.second.stack(other) if at not in self.taken]
        gaps = [(first, second)]
        pairs: Pairs = []
        for key in self.keys:
            narrower: list[tuple[list[int], list[int]]] = []
            for gap in gaps:
                common = _common([key(self.first, at) for at in gap[0]], [key(self.second, at) for at in gap[1]])
                begin = there = 0
                for place, counterpart in (*common, (len(gap[0]), len(gap[1]))):
                    if place > begin and counterpart > there:
                        narrower.append((gap[0][begin:place], gap[1][there:counterpart]))
                    begin, there = place + 1, counterpart + 1
                pairs += [(gap[0][place], gap[1][counterpart]) for place, counterpart in common]
            gaps = narrower
        for one, other in gaps:
            pairs += zip(one, other, strict=False)
        return pairs


def _common(first: list[Hashable], second: list[Hashable]) -> Pairs:
    """A long common subsequence of two lists, as places: what their ends have in common, and in between the n-th of
    its like in the one with the n-th of its like in the other.
    """
    shorter = min(len(first), len(second))
    begin = end = 0
    while begin < shorter and first[begin] == second[begin]:
        begin += 1
    while end < shorter - begin and first[-1 - end] == second[-1 - end]:
        end += 1
    there = dict(_numbered(second[begin : len(second) - end]))
    candidates = []
    for value, place in _numbered(first[begin : len(first) - end]):
        counterpart = there.get(value)
        if counterpart is not None:
            candidates.append((begin + place, begin + counterpart))
    ends = [(len(first) - at, len(second) - at) for at in range(end, 0, -1)]
    return [(at, at) for at in range(begin)] + _rising(candidates) + ends


def _numbered(values: list[Hashable]) -> list[tuple[tuple[Hashable, int], int]]:
    """(value, the how many-th of its like) and place of each."""
    seen: dict[Hashable, int] = {}
    numbered = []
    for place, value in enumerate(values):
        seen[value] = number = seen.get(value, 0) + 1
        numbered.append(((value, number), place))
    return numbered


def _rising(candidates: Pairs) -> Pairs:
    """The most of the candidates, which rise in their first part, that rise in their second part as well."""
    tails: list[int] = []  # the least second part with which a run of each length can end
    ends: list[int] = []  # and whose it is
    previous: list[int] = []
    for at, (_, value) in enumerate(candidates):
        length = bisect_left(tails, value)
        previous.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [value]
        ends[length : length + 1] = [at]
    chosen: Pairs = []
    at = ends[-1] if ends else -1
    while at >= 0:
        chosen.append(candidates[at])
        at = previous[at]
    return chosen[::-1]
