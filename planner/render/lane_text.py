"""A picture with lanes as text: the tree to the left, the groups to the right, as wide as there is room.

Each line is a sequence of pieces, so that lanes can be coloured; their texts put together are the picture.
"""

from __future__ import annotations

from mountplan.planner.record import NamedTuple
from mountplan.planner.render.lanes import Lane, LaneChart
from mountplan.planner.render.words import width

# A picture that takes more lines than that is no part of what other commands print: `mountplan graph` draws it.
MOST_DRAWN = 60
PEER, SLAVE, BRIDGE = "●", "▼", ")"
# What a cell looks like that a lane and its ties leave up (1), down (2), to the left (4), to the right (8).
_JOINTS = "╷╵╷│─┘┐┤─└┌├─┴┬┼"
_OF_HOST = str.maketrans("│╷╵├┤┌┐└┘┴┬┼", "║╥╨╟╢╓╖╙╜╨╥╫")
_LEAST_PATH, _MOST_WHAT, _MOST_LABEL, _MOST_PATH = 18, 32, 48, 100
_LEAST_WHAT = 12  # of what mounts are: less of a longer word tells nothing


class Piece(NamedTuple):
    """Some text, and how it looks: "tree", "path", "what", "mark", "heading", or "lane" with the number of a colour."""

    text: str
    look: str
    color: int = 0


def lane_lines(chart: LaneChart, *, room: int = 0, legend: bool = True) -> list[tuple[Piece, ...]]:
    """The picture, a line each; not wider than `room` columns of a terminal, if that is not 0 and can be done."""
    path, what, label = _widths(chart, room)
    lines = [_line(chart, at, path, what, label) for at in range(len(chart.lines))]
    if legend and chart.lanes:
        lines += [(), *_legend(chart, room)]
    return lines


def lane_text(chart: LaneChart, *, room: int = 0, legend: bool = True) -> str:
    """The same without colours."""
    lines = lane_lines(chart, room=room, legend=legend)
    return "".join("".join(piece.text for piece in line).rstrip() + "\n" for line in lines)


def _widths(chart: LaneChart, room: int) -> tuple[int, int, int]:
    """How wide the paths, what the mounts are, and the labels may be."""
    mounts = [line for line in chart.lines if line.row is not None]
    path = min(max((width(line.prefix + line.text) for line in chart.lines), default=0), _MOST_PATH)
    what = min(max((width(line.whole_what) for line in mounts), default=0), _MOST_WHAT)
    label = max((width(line.label) for line in mounts), default=0)
    if not room:
        return path, what, label
    left = room - 2 * chart.columns - 4
    label = min(label, max(8, min(_MOST_LABEL, left - min(path, _LEAST_PATH))))
    left -= label
    path = min(path, max(_LEAST_PATH, left))
    needed, what = what, min(what, left - path - 2)
    return path, what if what >= min(needed, _LEAST_WHAT) else 0, label


def _line(chart: LaneChart, at: int, path: int, what: int, most: int) -> tuple[Piece, ...]:
    line = chart.lines[at]
    pieces = []
    if line.row is None:
        pieces.append(Piece(_fitted(line.text, path + 2 + (what + 2 if what else 0)), "heading"))
    else:
        prefix = line.prefix if width(line.prefix) + 8 <= path or len(line.text) < 8 else _tail(line.prefix, path - 8)
        pieces.append(Piece(prefix, "tree"))
        pieces.append(Piece(_fitted(line.text, path - width(prefix)) + "  ", "path"))
        if what:
            pieces.append(Piece(_fitted(line.whole_what, what) + "  ", "mark" if line.mark else "what"))
    if chart.columns:
        pieces += _cells(chart, at)
    if line.label:
        named = chart.lanes[line.group]
        sign = " " if named.column >= 0 else (PEER if line.is_peer else SLAVE) + " "
        pieces.append(Piece(sign + _cut(line.label, most), "lane", _color(named)))
    return tuple(pieces)


def _cells(chart: LaneChart, at: int) -> list[Piece]:
    """The lanes on one line: two characters for each column, one for the lane and one for what passes to the next."""
    line = chart.lines[at]
    here: list[Lane | None] = [None] * chart.columns
    for alive in chart.alive[at]:
        here[alive.column] = alive
    passing: list[Lane | None] = [None] * chart.columns  # whose tie leads from this column to the next
    ties = [(chart.lanes[one], chart.lanes[other]) for one, other in chart.ties.get(at, ())]
    ends: set[int] = set()
    for one, other in ties:
        if one.column >= 0 and other.column >= 0:
            ends |= {one.column, other.column}
            low, high = sorted((one.column, other.column))
            passing[low:high] = [one] * (high - low)
    own = chart.lanes.get(line.group)
    if own is not None and own.column >= 0 and line.label:
        ends.add(own.column)
        for column in range(own.column, chart.columns):
            passing[column] = passing[column] or own
    pieces = []
    for column in range(chart.columns):
        lane = here[column]
        before, after = passing[column - 1] if column else None, passing[column]
        if lane is None:
            crossing = before or after
            pieces.append(Piece("─" if crossing else " ", "lane", _color(crossing)))
        elif lane is own:
            pieces.append(Piece(PEER if line.is_peer else SLAVE, "lane", _color(lane)))
        elif column not in ends and before and after:
            pieces.append(Piece(BRIDGE, "lane", _color(before)))
        else:
            arms = (lane.first < at, at < lane.last, column in ends and bool(before), column in ends and bool(after))
            sign = _JOINTS[sum(arm << bit for bit, arm in enumerate(arms))]
            pieces.append(Piece(sign.translate(_OF_HOST) if lane.outside else sign, "lane", _color(lane)))
        pieces.append(Piece("─" if after else " ", "lane", _color(after)))
    return pieces


def _color(lane: Lane | None) -> int:
    return lane.number if lane is not None else -1


def _legend(chart: LaneChart, room: int) -> list[tuple[Piece, ...]]:
    words = []
    if any(line.is_peer for line in chart.lines):
        words.append(f"{PEER} peer: what is mounted in one is in all")
    if any(line.group and not line.is_peer for line in chart.lines):
        words.append(f"{SLAVE} slave: receives only")
    if any(lane.outside for lane in chart.lanes.values()):
        words.append("║ group of the host")
    line = "   ".join(words)
    return [(Piece(one, "mark"),) for one in (words if room and width(line) > room else [line])]


def _fitted(text: str, columns: int) -> str:
    """`text` in exactly so many columns: with spaces, or without its middle, as both ends of a path tell most."""
    size = width(text)
    if size <= columns:
        return text + " " * (columns - size)
    head = _cut_plain(text, max(columns // 3, 1))
    tail = _cut_plain(text[::-1], columns - width(head) - 1)[::-1]
    return f"{head}…{tail}" + " " * (columns - width(head) - width(tail) - 1)


def _tail(prefix: str, columns: int) -> str:
    return "…" + prefix[len(prefix) - max(columns - 1, 0) :] if columns > 0 else ""


def _cut(text: str, columns: int) -> str:
    return text if width(text) <= columns else _cut_plain(text, columns - 1) + "…"


def _cut_plain(text: str, columns: int) -> str:
    used = 0
    for at, char in enumerate(text):
        used += width(char)
        if used > columns:
            return text[:at]
    return text
