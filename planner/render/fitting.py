"""Rows of cells as aligned lines that fit a terminal: what is too wide is cut in the middle, as findmnt(8) does.

`room` is how many columns of the screen there are; None (a pipe, a file) is as many as it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mountplan.planner.render.words import columns, padded, width

CUT = "…"
_GAP = 2
# No column is made narrower than this for the sake of others.
_LEAST = 7
# With less than this for each, columns that can be spared go.
_ENOUGH = 10
_DRAWN = "│├└─|` "


def fitted(
    rows: Sequence[tuple[str, ...]], caps: tuple[int, ...], room: int | None, spare: Collection[int] = ()
) -> list[str]:
    """As words.columns(), but no line is wider than `room`; `spare` are columns that go first if there is too little.

    Linear in the rows.
    """
    if room is None or not rows:
        return columns(rows, caps)
    count = max(map(len, rows))
    widths = [max((width(row[at]) for row in rows if at < len(row)), default=0) for at in range(count)]
    shown = [at for at in range(count) if widths[at]]
    for at in sorted(spare):
        if at in shown and _ENOUGH * len(shown) + _GAP * (len(shown) - 1) > room:
            shown.remove(at)
    widths = _shared_out([widths[at] for at in shown], room - _GAP * (len(shown) - 1))
    lines = []
    for row in rows:
        cells = [row[at] if at < len(row) else "" for at in shown]
        while cells and not cells[-1]:
            cells.pop()  # the last that there is may use what those after it would have
        line = "".join(
            padded(cut(text, most), most) + " " * _GAP for text, most in zip(cells[:-1], widths, strict=False)
        )
        lines.append(line + cut(cells[-1], room - width(line)) if cells else line)
    return lines


def fitted_between(
    rows: Sequence[tuple[str, ...] | str], caps: tuple[int, ...], room: int | None, spare: Collection[int] = ()
) -> list[str]:
    """The same, where some are lines already, which stay as they are."""
    lines = iter(fitted([row for row in rows if not isinstance(row, str)], caps, room, spare))
    return [row if isinstance(row, str) else next(lines) for row in rows]


def _shared_out(widths: list[int], room: int) -> list[int]:
    """Widths that fit together: the first column, which says what a row is about, has half of the room if it needs it;
    no other is wider than it must be, so that they fit, and none narrower than _LEAST.
    """
    if sum(widths) <= room:
        return widths
    others = widths[1:]
    first = min(widths[0], max(room // 2, room - sum(others)))
    left, rest, limit = room - first, len(others), max(others, default=0)
    for size in sorted(others):
        if size * rest > left:
            limit = max(left // rest, _LEAST)
            break
        left -= size
        rest -= 1
    return [first, *(min(size, limit) for size in others)]


def cut(text: str, most: int | None) -> str:
    """`text` in `most` columns: the middle is left out, what is drawn before a name in a tree stays."""
    if most is None or width(text) <= most:
        return text
    head = min(len(text) - len(text.lstrip(_DRAWN)), max(most - 4, 0))
    own = text[head:]
    left = most - head - width(CUT)
    if left <= 0:
        return text[:most]
    front, back = _front(own, left // 2), _back(own, left - left // 2)
    return text[:head] + front + CUT + back


def _front(text: str, most: int) -> str:
    end = min(most, len(text))
    while width(text[:end]) > most:
        end -= 1
    return text[:end]


def _back(text: str, most: int) -> str:
    start = max(len(text) - most, 0)
    while width(text[start:]) > most:
        start += 1
    return text[start:]


def wrapped(line: str, room: int | None, hanging: int = 2) -> list[str]:
    """A sentence as lines that fit; those after the first begin `hanging` columns further in than it."""
    if room is None or width(line) <= room:
        return [line]
    indent = len(line) - len(line.lstrip(" "))
    import textwrap

    return textwrap.wrap(
        line.strip(),
        max(room, indent + hanging + 10),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_on_hyphens=False,
        break_long_words=False,
    )


def wrapped_text(text: str, room: int | None, hanging: int = 2) -> str:
    """The same of sentences, one on each line."""
    return "".join(f"{part}\n" for line in text.splitlines() for part in wrapped(line, room, hanging) or [""])
