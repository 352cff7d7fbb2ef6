"""The text of /proc/PID/mountinfo -> MountTable (proc_pid_mountinfo(5)). Pure, so that it can be fuzzed."""

from __future__ import annotations

from _operator import itemgetter, methodcaller
from itertools import repeat
from sys import intern

from mountplan.planner.errors import TableError
from mountplan.planner.light import regex
from mountplan.planner.tables import columns
from mountplan.planner.tables.columns import AlikeColumn, equal_until, first_places, joined, load_native, mapped
from mountplan.planner.tables.table import GrowingTable, MountRow, MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from mountplan.planner.tables.columns import Column, Columns

_MANY = 64  # lines that are worth it
_BLOCK = 1 << 16  # bytes at once: their words take the room that those of the last had, which is at hand
_PART = 1 << 10
_OCTAL = regex(r"\\([0-7]{3})")


def unescape(field: str) -> str:
    r"""Undo the kernel's octal escapes (\040 \011 \012 \134, and \043 in a source)."""
    if "\\" not in field:
        return field
    # The text is decoded with surrogateescape, one character a byte only for ASCII: an escape is always ASCII.
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def parse_mountinfo(text: bytes | memoryview) -> MountTable:
    """Read one namespace's mount table, keeping the kernel's order.

    Paths and sources have octal escapes undone and undecodable bytes kept (surrogateescape); options keep the escapes,
    without which a comma in a value would look like its end. `mount_id` may be reused after an
    unmount. Raises TableError with the line number; never returns half a table.
    """
    table, ends, at = GrowingTable(), dict[str, tuple[str, str, str]](), 0
    load_native(len(text))
    for begin, end, told in _in_columns(text, ends):
        _add_all(table, text[at:begin], ends)
        table.add_columns(told)
        at = end
    _add_all(table, text[at:], ends)
    return table.table()


def _in_columns(text: bytes | memoryview, ends: dict[str, tuple[str, str, str]]) -> Iterator[tuple[int, int, Columns]]:
    """Where lines begin and end that C can part into words, and what they say."""
    at = 0
    while at < len(text) and columns.native:
        begin = at
        at, rows, escaped, numbers, parted = columns.native.words(text, begin)
        if rows < _MANY:
            at = _line_end(text, at)  # past the line that is not like those before it, or is odd
            continue
        others = [joined([column, AlikeColumn(last, rows - len(column))]) for column, last in parted]
        try:
            told = _columns([numbers, *others[:-1]], others[-1], ends, escaped=escaped)
        except ValueError:
            told = None
        if told is not None:
            yield begin, at, told


def _line_end(text: bytes | memoryview, at: int) -> int:
    """Where the line ends that goes on at `at`."""
    while at < len(text):
        part = bytes(text[at : at + _PART])
        if b"\n" in part:
            return at + part.index(b"\n") + 1
        at += _PART
    return len(text)


def _add_all(table: GrowingTable, text: bytes | memoryview, ends: dict[str, tuple[str, str, str]]) -> None:
    """Put the next lines into a table. `ends` has what lines end with."""
    at = 0
    while at < len(text):
        end = _line_end(text, at + _BLOCK)
        _add(table, bytes(text[at:end]), ends)
        at = end


def _add(table: GrowingTable, text: bytes, ends: dict[str, tuple[str, str, str]]) -> None:
    first, lines = len(table) + 1, text.decode("utf-8", "surrogateescape").split("\n")
    if lines.pop():
        raise TableError(f"line {first + len(lines)}: the text ends in the middle of a line")
    heads, _, tails = zip(*map(str.partition, lines, repeat(" - ")), strict=True)
    spaces, at = list(map(str.count, heads, repeat(" "))), 0
    while at < len(lines):
        end = equal_until(spaces, at)
        try:
            told = _parted(heads[at:end], spaces[at] + 1, tails[at:end], ends) if end - at >= _MANY else None
        except ValueError:
            told = None
        if told is None:
            table.last += _rows(lines[at:end], first + at)
        else:
            table.add_columns(told)
        at = end


def _parted(
    heads: tuple[str, ...], width: int, tails: tuple[str, ...], ends: dict[str, tuple[str, str, str]]
) -> Columns | None:
    """What lines say that have `width` words each before " - ", and what follows."""
    text = " ".join(heads)
    words = text.split(" ")
    mount_id, *others = (words[at::width] for at in range(width))
    return _columns([list(map(int, mount_id)), *others], tails, ends, escaped="\\" in text)


def _columns(
    words: list[Column], tails: Column, ends: dict[str, tuple[str, str, str]], *, escaped: bool
) -> Columns | None:
    """What words mean; None, or ValueError, if their lines are to be read one by one: where they mean different things,
    and where a line is odd.
    """
    mount_id, parent_id, device, root, mountpoint, attributes, *optional = words
    number = len(mount_id)
    none = AlikeColumn(0, number)
    told: Columns = {"shared": none, "master": none, "propagate_from": none, "unbindable": AlikeColumn(False, number)}
    for column in optional:
        name, colon, _ = column[0].partition(":")
        if column.count("unbindable") == number:
            told["unbindable"] = AlikeColumn(True, number)
        elif name in told and colon and all(mapped(column, methodcaller("startswith", f"{name}:"))):
            told[name] = mapped(mapped(column, itemgetter(slice(len(name) + 1, None))), int)
        else:
            return None
    if escaped:
        root, mountpoint = mapped(root, unescape), mapped(mountpoint, unescape)
    for tail in first_places(tails):
        fstype, source, options = tail.split(" ", 2)  # so that each of these words is in memory but once
        ends[tail] = unescape(fstype), unescape(source), options
    after = mapped(tails, ends.__getitem__)
    fields = (
        mount_id, _once(parent_id, int), _once(device, intern), root, mountpoint, _once(attributes, intern),
        *told.values(), *(mapped(after, itemgetter(place)) for place in range(3)),
    )  # fmt: skip
    return dict(zip(MountRow._fields, fields, strict=True))


def _once(words: Column, function: Callable[[str], Any]) -> Column:
    """`function` of each word, of which nearly always all are the same."""
    if isinstance(words, list) and words.count(words[0]) == len(words):
        words = AlikeColumn(words[0], len(words))
    return mapped(words, function)


def _rows(lines: list[str], first: int) -> list[MountRow]:
    """One by one; `first` is the number of the first line."""
    rows: list[MountRow] = []
    append, new_row = rows.append, tuple.__new__  # MountRow() itself takes as long as all the rest
    # Filesystem, source and options are the same words on many lines. To have each but once in memory makes reading the
    # lines faster, and much more so comparing the tables.
    tails: dict[str, tuple[str, str, str]] = {}
    number = first
    try:
        for number, line in enumerate(lines, first):  # noqa: B007 (told if a line is odd)
            head, _, tail = line.partition(" - ")
            mount_id, parent_id, device, root, mountpoint, attributes, *optional = head.split(" ")
            told = tails.get(tail)
            if told is None:
                fstype, source, options = tail.split(" ", 2)
                told = tails[tail] = (unescape(fstype), unescape(source), options)
            fstype, source, options = told
            peer_group = master = propagate_from = 0
            unbindable = False
            for field in optional:
                name, _, value = field.partition(":")
                if name == "shared":
                    peer_group = int(value)
                elif name == "master":
                    master = int(value)
                elif name == "propagate_from":
                    propagate_from = int(value)
                elif name == "unbindable":
                    unbindable = True
            if "\\" in head:
                root, mountpoint = unescape(root), unescape(mountpoint)
            fields = (
                int(mount_id), int(parent_id), device, root, mountpoint, intern(attributes), peer_group, master,
                propagate_from, unbindable, fstype, source, options,
            )  # fmt: skip
            append(new_row(MountRow, fields))
    except ValueError as error:
        raise TableError(f"line {number}: not a line of mountinfo ({error}): {lines[number - first]!r}") from None
    return rows
