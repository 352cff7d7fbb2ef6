"""The layout of a picture with lanes: which mount is on which line, and in which column a sharing group has its lane.

Mounts are the lines of a tree, as findmnt(8) has them. To the right each group has a lane, a column from the first line
that has to do with the group to the last; columns are used again, and no two lanes meet. A slave group is tied to its
master's lane on the line on which its first peer stands. lane_text.py draws it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from mountplan.planner.plan.predict import HOST_GROUPS
from mountplan.planner.record import NamedTuple
from mountplan.planner.render.outline import outline
from mountplan.planner.render.table_text import group_called
from mountplan.planner.render.words import place_below, visible
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import MountRow, MountTable

# More columns than that cannot be followed by the eye; groups that find no room are told in words.
MOST_LANES = 48
_LONGEST = 512  # or the paths of a deep tree would take the square of its depth


class Scene(NamedTuple):
    """One namespace to be drawn. `said` has better words for what single mounts are than their tables, by mount id."""

    name: str
    table: MountTable
    said: Mapping[int, str] = {}


class GroupNames(NamedTuple):
    """What groups are called, by number; which are the host's, with what is said of them; who is whose master, where no
    table tells it.
    """

    names: Mapping[int, str] = {}
    outside: Mapping[int, str] = {}
    masters: Mapping[int, int] = {}

    def name(self, number: int) -> str:
        return group_called(number, self.names)

    def is_outside(self, number: int) -> bool:
        return number in self.outside or number > HOST_GROUPS


class LaneLine(NamedTuple):
    """One line: a mount, or, with `row` None, the heading of a namespace. `mark` says that it cannot be seen.

    `label` is said to the right of the lanes; of a lane that begins here, its name and of whom it is a slave.
    """

    scene: int
    prefix: str
    text: str
    what: str = ""
    row: MountRow | None = None
    mark: str = ""
    label: str = ""

    @property
    def whole_what(self) -> str:
        return f"{self.what} ({self.mark})" if self.mark else self.what

    @property
    def group(self) -> int:
        """In which group's lane the mount has its sign; 0 for none."""
        return (self.row.peer_group or self.row.master) if self.row else 0

    @property
    def is_peer(self) -> bool:
        return self.row is not None and self.row.peer_group != 0


class Lane(NamedTuple):
    """One group: the lines from `first` to `last` have its lane, in `column` (-1: there was no room for it)."""

    group: int
    name: str
    note: str  # of a group of the host's: where it is there
    outside: bool
    master: int
    first: int
    last: int
    column: int
    number: int  # in the order in which they are drawn, from 0 on; for colours

    @property
    def called(self) -> str:
        words = " ".join(filter(None, ("of the host" if self.outside else "", self.note)))
        return f"{self.name} ({words})" if words else self.name


class LaneChart(NamedTuple):
    """All that is drawn. `columns` is how many lanes there are beside each other, of which the first `border` are the
    host's. `ties` has, by line, who is tied to whom there: (slave group, master group); `alive` which lanes pass there.
    """

    names: tuple[str, ...]
    lines: tuple[LaneLine, ...]
    lanes: Mapping[int, Lane]
    ties: Mapping[int, Sequence[tuple[int, int]]]
    alive: Sequence[Sequence[Lane]]
    columns: int
    border: int


def lane_chart(
    scenes: Sequence[Scene], groups: GroupNames, *, most: int = MOST_LANES, only: Collection[int] | None = None
) -> LaneChart:
    """Lay out namespaces, one below the other. With `only`, those of these groups and their slaves alone.

    Linear in the number of mounts, as at most `most` lanes are beside each other. Raises LookupError if a table has no
    root.
    """
    lines: list[LaneLine] = []
    for number, scene in enumerate(scenes):
        if len(scenes) > 1:
            lines.append(LaneLine(number, "", f"Namespace {visible(scene.name)}"))
        lines += _lines(number, scene, only)
    masters = dict(groups.masters)
    for line in lines:
        if line.row is not None and line.is_peer and line.row.master:
            masters.setdefault(line.row.peer_group, line.row.master)
    first_peer: dict[int, int] = {}
    spans: dict[int, tuple[int, int]] = {}
    for at, line in enumerate(lines):
        if line.group:
            spans[line.group] = (spans.get(line.group, (at, at))[0], at)
            if line.is_peer:
                first_peer.setdefault(line.group, at)
    ties: dict[int, list[tuple[int, int]]] = {}
    for group in _slaves_first(spans, masters):
        master = masters.get(group, 0)
        if master:
            at = first_peer.get(group, spans[group][0])
            ties.setdefault(at, []).append((group, master))
            first, last = spans.get(master, (at, at))
            spans[master] = (min(first, at), max(last, at))
    columns, count, border = _columns(spans, groups, masters, most)
    lanes: dict[int, Lane] = {}
    for number, group in enumerate(sorted(spans, key=lambda group: (spans[group], group))):
        called = groups.name(group), visible(groups.outside.get(group, "")), groups.is_outside(group)
        where = *spans[group], columns.get(group, -1)
        lanes[group] = Lane(group, *called, masters.get(group, 0), *where, number)
    alive: list[list[Lane]] = [[] for _ in lines]
    for lane in lanes.values():
        if lane.column >= 0:
            for at in range(lane.first, lane.last + 1):
                alive[at].append(lane)
    labelled = tuple(
        line._replace(label=_label(line, at, lanes, first_peer)) if line.group else line
        for at, line in enumerate(lines)
    )
    return LaneChart(tuple(scene.name for scene in scenes), labelled, lanes, ties, alive, count, border)


def _lines(number: int, scene: Scene, only: Collection[int] | None) -> Iterator[LaneLine]:
    if not scene.table.rows:
        return
    tree = MountTree(scene.table)
    below: list[list[int]] = [[] for _ in tree.rows]
    roots: list[int] = []
    nearest: list[int] = []  # which of the mounts that are drawn a mount stands on, or is
    above_of: list[int] = []  # which of them it stands on
    for index, row in enumerate(tree.rows):
        above = nearest[tree.parents[index]] if tree.parents[index] >= 0 else -1
        drawn = only is None or (row.peer_group or row.master) in only
        nearest.append(index if drawn else above)
        if drawn:
            (below[above] if above >= 0 else roots).append(index)
        above_of.append(above)
    for branch in outline(roots, lambda index: below[index], fold=False):
        row = tree.rows[branch.item]
        mark = "" if tree.reached[branch.item] else "hidden"
        if not mark and "/" in tree.below[branch.item]:
            mark = "covered"
        above = above_of[branch.item]
        yield _line(number, branch.prefix, row, scene.said, mark, tree.rows[above].mountpoint if above >= 0 else None)
    for row in tree.adrift:
        if only is None or (row.peer_group or row.master) in only:
            yield _line(number, "", row, scene.said, "adrift")


def _line(
    number: int, prefix: str, row: MountRow, said: Mapping[int, str], mark: str, above: str | None = None
) -> LaneLine:
    path = place_below(above, row.mountpoint)  # as the trees of plan and show have it
    path = path if len(path) <= _LONGEST else f"...{path[-_LONGEST:]}"
    what = said.get(row.mount_id) or row.fstype + (f"[{row.root}]" if row.root != "/" else "")
    return LaneLine(number, prefix, visible(path), visible(what), row, mark)


def _slaves_first(spans: Mapping[int, object], masters: Mapping[int, int]) -> list[int]:
    """All groups that are drawn, each before its master. (A file may have a circle, which no kernel has: it is cut.)"""
    order: list[int] = []
    state: dict[int, bool] = {}  # False while its chain is walked
    for group in spans:
        chain = []
        while group and group not in state:
            state[group] = False
            chain.append(group)
            group = masters.get(group, 0)
        order += reversed(chain)
        for one in chain:
            state[one] = True
    return order[::-1]


def _columns(
    spans: Mapping[int, tuple[int, int]], groups: GroupNames, masters: Mapping[int, int], most: int
) -> tuple[dict[int, int], int, int]:
    """The column of each group, how many there are, and how many of them are the host's, which come first.

    A column is used again one line after its last lane has ended, so that two lanes never look like one.
    """
    depth: dict[int, int] = {}
    for group in reversed(_slaves_first(spans, masters)):
        depth[group] = depth.get(masters.get(group, 0), 0) + 1
    order = sorted(spans, key=lambda group: (spans[group][0], depth[group], -spans[group][1], group))
    found: dict[int, int] = {}
    border = 0
    for outside in (True, False):
        ends: list[int] = []
        for group in order:
            if groups.is_outside(group) is not outside:
                continue
            first, last = spans[group]
            column = next((at for at, end in enumerate(ends) if end + 1 < first), len(ends))
            if column == len(ends):
                if border + column >= most:
                    continue
                ends.append(last)
            ends[column] = last
            found[group] = border + column
        if outside:
            border = len(ends)
        else:
            return found, border + len(ends), border
    raise AssertionError


def _label(line: LaneLine, at: int, lanes: Mapping[int, Lane], first_peer: Mapping[int, int]) -> str:
    lane = lanes[line.group]
    if not line.is_peer:
        return f"slave of {lane.called}" if lane.first == at or lane.column < 0 else ""
    if first_peer[line.group] != at:
        return lane.called if lane.column < 0 else ""
    words = lane.called
    known = {lane.group}
    while lane.master and lane.master not in known:
        known.add(lane.master)
        lane = lanes[lane.master]
        words += f", slave of {lane.called}"
        if lane.group in first_peer:
            break  # which tells itself of whom it is a slave
    return words
