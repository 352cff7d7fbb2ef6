"""How single things are put into words: paths that may hold anything, counts, attributes, sharing."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from mountplan.planner.attributes import ATIME_MASK, IDMAP, NAMES
from mountplan.planner.characters import visible as visible
from mountplan.planner.characters import visible_lines as visible_lines
from mountplan.planner.light import remember
from mountplan.planner.plan.plan import ExpectedMount


def width(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


@remember
def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def padded(text: str, columns: int) -> str:
    """`text` filled up with spaces; longer text stays whole."""
    return text + " " * (columns - width(text))


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 mount`, `12,345 mounts`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(items: list[str], most: int = 6) -> str:
    """Items with commas; what is beyond `most` is only counted."""
    if len(items) <= most + 1:
        return ", ".join(items)
    return ", ".join(items[:most]) + f" and {len(items) - most:,} more"


def options_text(options: tuple[tuple[str, str | bool], ...]) -> str:
    """Superblock options as mount(8) writes them."""
    return visible(",".join(key if value is True else f"{key}={value}" for key, value in options))


def place_below(parent: str | None, path: str) -> str:
    """A mountpoint as a tree shows it below the mount that it stands on: `shm` for /dev/shm on /dev.

    What stands on the same place as its parent, or is not below it by its path, is written out.
    """
    above = "" if parent in (None, "/") else parent
    if parent is None or path == parent or not path.startswith(f"{above}/"):
        return path
    return path[len(above) + 1 :]


@remember
def attribute_words(set_bits: int, clear_bits: int) -> str:
    """The names that ask for these bits, as a spec would have them: `ro,nosuid`."""
    words = []
    for name, change in NAMES.items():
        if change.clear & ATIME_MASK:
            if clear_bits & ATIME_MASK and set_bits & ATIME_MASK == change.set:
                words.append(name)
        elif change.set & set_bits or change.clear & clear_bits:
            words.append(name)
    if set_bits & IDMAP:
        words.append("idmapped")
    return ",".join(words)


def sharing_words(mount: ExpectedMount) -> str:
    """A mount's sharing in the kernel's words; "" for private."""
    words = []
    if mount.group:
        words.append(f"shared:{mount.group}")
    if mount.master:
        words.append(f"master:{mount.master}")
    if mount.unbindable:
        words.append("unbindable")
    if mount.brings in ("peer", "slave"):
        words.append(f"below: {mount.brings}s of the host's")
    return " ".join(words)


def columns(rows: Sequence[tuple[str, ...]], caps: tuple[int, ...]) -> list[str]:
    """Rows as lines of aligned columns. A column is as wide as its widest cell within its cap; the last has no cap.

    A cell that is wider moves those behind it, as far as there is no room in their columns.
    """
    widths = [0] * len(caps)
    for row in rows:
        for at, cap in enumerate(caps):
            size = width(row[at])
            if widths[at] < size <= cap:
                widths[at] = size
    lines = []
    for row in rows:
        parts, here, begins = [], 0, 0
        for cell, size in zip((*row[: len(caps)], "".join(row[len(caps) :])), (*widths, 0), strict=True):
            if cell:
                space = max(begins - here, 2 if here else 0)
                parts.append(" " * space + cell)
                here += space + width(cell)
            begins += size + 2 if size else 0
        lines.append("".join(parts).rstrip())
    return lines
