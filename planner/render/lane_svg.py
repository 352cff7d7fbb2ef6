"""A picture with lanes as SVG, which every browser shows and which scales: the same layout as the text has."""

from __future__ import annotations

from collections.abc import Iterator

from mountplan.planner.characters import visible
from mountplan.planner.render.lanes import Lane, LaneChart, LaneLine
from mountplan.planner.render.words import width

_ROW, _LANE, _CHAR, _TOP, _LEFT, _GAP = 20, 18, 7.9, 14, 12, 22
_MOST_PATH, _MOST_WHAT = 90, 44
# Told apart by those who see few colours as well; lanes that stand beside each other have different ones.
COLORS = ("#0072b2", "#d55e00", "#008a63", "#b0568f", "#8c6d00", "#3d3d3d", "#2a8fbd", "#a33b20")
STYLE = """\
.lanes { background: #fff; font: 13px "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.lanes text { fill: #1b1b1b; white-space: pre; dominant-baseline: central; }
.lanes .band { fill: #f5f5f2; } .lanes .tree { stroke: #a8a8a0; fill: none; }
.lanes .what { fill: #6a6a64; } .lanes .mark { fill: #6a6a64; font-style: italic; }
.lanes .heading { font-weight: bold; } .lanes .hit { fill: transparent; }
.lanes .lane { fill: none; stroke-width: 2; } .lanes .tie { fill: none; stroke-width: 1.5; }
.lanes .inner { fill: none; stroke: #fff; stroke-width: 2; } .lanes .slave { fill: #fff; stroke-width: 2; }
"""


class LaneDrawing:
    """Where everything is, in pixels, and the pieces of the drawing."""

    def __init__(self, chart: LaneChart) -> None:
        self.chart = chart
        lines = chart.lines
        path = min(max((width(line.prefix + line.text) for line in lines), default=0), _MOST_PATH)
        what = min(max((width(line.whole_what) for line in lines), default=0), _MOST_WHAT)
        label = max((width(line.label) for line in lines), default=0)
        self.what = _LEFT + path * _CHAR + _GAP
        self.lanes = self.what + what * _CHAR + _GAP
        self.labels = self.lanes + chart.columns * _LANE
        self.legend = _legend(chart)
        self.width = round(max(self.labels + label * _CHAR, _LEFT + width(self.legend) * _CHAR) + _LEFT)
        self.height = _TOP + len(lines) * _ROW + (2 * _ROW if self.legend else 0)

    def svg(self, title: str) -> str:
        """A drawing by itself, as a file."""
        head = f"<title>{escaped(visible(title))}</title>\n<style>\n{STYLE}</style>\n"
        return self._drawn(' xmlns="http://www.w3.org/2000/svg"', head) + "\n"

    def inline(self) -> str:
        """The same as a part of a page, which has the style."""
        return self._drawn("", "")

    def _drawn(self, looks: str, head: str) -> str:
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        return f'<svg{looks} class="lanes" {size}>\n{head}' + "\n".join(self.pieces()) + "\n</svg>"

    def pieces(self) -> Iterator[str]:
        chart = self.chart
        yield '<rect width="100%" height="100%" fill="#fff"/>'
        for at in range(1, len(chart.lines), 2):
            yield f'<rect class="band" y="{_TOP + at * _ROW}" width="100%" height="{_ROW}"/>'
        if chart.border:
            x = self._x(0) - _LANE / 2 - 2
            wide = chart.border * _LANE + 4
            yield f'<rect x="{x:g}" y="{_TOP}" width="{wide}" height="{len(chart.lines) * _ROW}" fill="#efe6d5"/>'
        for lane in chart.lanes.values():
            if lane.column >= 0:
                yield from self._lane(lane)
        for at in range(len(chart.lines)):
            yield from self._ties(at)
        for at, line in enumerate(chart.lines):
            yield from self._line(at, line)
        if self.legend:
            y = _TOP + (len(chart.lines) + 1) * _ROW
            yield f'<text class="mark" x="{_LEFT}" y="{y}">{escaped(self.legend)}</text>'

    def _x(self, column: int) -> float:
        return self.lanes + column * _LANE + _LANE / 2

    def _y(self, at: int) -> float:
        return _TOP + at * _ROW + _ROW / 2

    def _lane(self, lane: Lane) -> Iterator[str]:
        x = self._x(lane.column)
        d = f"M{x:g} {self._y(lane.first):g}V{self._y(lane.last):g}"
        looks = f'class="lane" data-group="{lane.group}" stroke="{color(lane)}"'
        if lane.outside:  # a double line
            yield f'<path {looks} style="stroke-width:6" d="{d}"/><path class="inner" d="{d}"/>'
        else:
            yield f'<path {looks} d="{d}"/>'

    def _ties(self, at: int) -> Iterator[str]:
        """From the lane of a master to its slave group's, and from a lane that begins to its name."""
        chart, line = self.chart, self.chart.lines[at]
        y = self._y(at)
        alive = {lane.column for lane in chart.alive[at]}
        for one, other in chart.ties.get(at, ()):
            slave, master = chart.lanes[one], chart.lanes[other]
            if slave.column >= 0 and master.column >= 0:
                low, high = sorted((slave.column, master.column))
                over = [column for column in range(low + 1, high) if column in alive]
                yield self._tie(y, self._x(low), self._x(high), over, slave)
        lane = chart.lanes.get(line.group)
        if lane is not None and lane.column >= 0 and line.label:
            over = [column for column in range(lane.column + 1, chart.columns) if column in alive]
            yield self._tie(y, self._x(lane.column), self.labels + 2, over, lane)

    def _tie(self, y: float, start: float, end: float, over: list[int], lane: Lane) -> str:
        """A line with a bridge over each lane in `over`."""
        hops = "".join(f"H{self._x(column) - 5:g}a5 5 0 0 1 10 0" for column in over)
        d = f"M{start:g} {y:g}{hops}H{end:g}"
        return f'<path class="tie" data-group="{lane.group}" stroke="{color(lane)}" d="{d}"/>'

    def _line(self, at: int, line: LaneLine) -> Iterator[str]:
        y = self._y(at)
        if line.row is None:
            yield f'<text class="heading" x="{_LEFT}" y="{y:g}">{escaped(line.text)}</text>'
            return
        lane = self.chart.lanes.get(line.group)
        parts = [f'<rect class="hit" y="{y - _ROW / 2:g}" width="100%" height="{_ROW}"/>', *self._tree(y, line.prefix)]
        x = _LEFT + len(line.prefix) * _CHAR
        room = _MOST_PATH - len(line.prefix)
        parts.append(f'<text x="{x:g}" y="{y:g}">{escaped(_short(line.text, room))}</text>')
        looks, what = "mark" if line.mark else "what", escaped(_short(line.whole_what, _MOST_WHAT))
        parts.append(f'<text class="{looks}" x="{self.what:g}" y="{y:g}">{what}</text>')
        if lane is not None:
            if lane.column >= 0:
                parts.append(_sign(self._x(lane.column), y, lane, is_peer=line.is_peer))
            if line.label:
                sign = "" if lane.column >= 0 else "● " if line.is_peer else "▼ "
                looks = f'x="{self.labels + 6:g}" y="{y:g}" style="fill:{color(lane)}"'
                parts.append(f'<text class="label" {looks}>{escaped(sign + line.label)}</text>')
        sharing = f", {'peer in' if line.is_peer else 'slave of'} {lane.called}" if lane is not None else ""
        about = escaped(f"{visible(line.row.mountpoint)}: {line.whole_what}{sharing}")
        inner = f"<title>{about}</title>{''.join(parts)}"
        yield f'<g class="mount" data-at="{at}" aria-label="{about}">{inner}</g>'

    def _tree(self, y: float, prefix: str) -> Iterator[str]:
        """The lines before a path, two characters of the prefix at a time."""
        top, bottom, ways = y - _ROW / 2, y + _ROW / 2, ""
        for at in range(0, len(prefix), 2):
            x = _LEFT + (at + 0.5) * _CHAR
            part = prefix[at : at + 2]
            if part == "│ ":
                ways += f"M{x:g} {top:g}V{bottom:g}"
            elif part in ("├─", "└─"):
                ways += f"M{x:g} {top:g}V{bottom if part[0] == '├' else y:g}M{x:g} {y:g}h{1.4 * _CHAR:g}"
            elif part.strip():  # beyond what is indented, the depth stands there in digits
                yield f'<text class="what" x="{_LEFT + at * _CHAR:g}" y="{y:g}">{escaped(part)}</text>'
        if ways:
            yield f'<path class="tree" d="{ways}"/>'


def color(lane: Lane) -> str:
    return COLORS[lane.number % len(COLORS)]


def escaped(text: str) -> str:
    """For XML and HTML, in text and in attributes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _sign(x: float, y: float, lane: Lane, *, is_peer: bool) -> str:
    if is_peer:
        return f'<circle class="sign" cx="{x:g}" cy="{y:g}" r="5" fill="{color(lane)}"/>'
    return f'<path class="sign slave" stroke="{color(lane)}" d="M{x - 5.5:g} {y - 4:g}h11l-5.5 9z"/>'


def _short(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    head = max(most // 3, 1)
    return f"{text[:head]}…{text[len(text) - max(most - head - 1, 4) :]}"


def _legend(chart: LaneChart) -> str:
    words = []
    if any(line.is_peer for line in chart.lines):
        words.append("● peer: what is mounted in one is in all")
    if any(line.group and not line.is_peer for line in chart.lines):
        words.append("▼ slave: receives only")
    if chart.border:
        words.append("double line: group of the host")
    return "   ".join(words)
