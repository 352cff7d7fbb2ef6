"""The text of /proc/PID/mountinfo -> MountTable (proc_pid_mountinfo(5)). Pure, so that it can be fuzzed."""

from __future__ import annotations

from _operator import itemgetter
from itertools import repeat
from sys import intern

from mountplan.planner.errors import TableError
from mountplan.planner.light import regex
from mountplan.planner.tables.columns import AlikeColumn, equal_until
from mountplan.planner.tables.table import GrowingTable, MountRow, MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mountplan.planner.tables.columns import Column, Columns

_MANY = 64  # lines that are worth it
_BLOCK = 1 << 16  # bytes at once: their words take the room that those of the last had, which is at hand
_OCTAL = regex(r"\\([0-7]{3})")


def unescape(field: str) -> str:
    r"""Undo the kernel's octal escapes (\040 \011 \012 \134, and \043 in a source)."""
    if "\\" not in field:
        return field
    # The text is decoded with surrogateescape, one character a byte only for ASCII: an escape is always ASCII.
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def parse_mountinfo(text: bytes) -> MountTable:
    """Read one namespace's mount table, keeping the kernel's order.

    Paths and sources have octal escapes undone and undecodable bytes kept (surrogateescape); options keep the escapes,
    without which a comma in a value would look like its end. `mount_id` may be reused after an
    unmount. Raises TableError with the line number; never returns half a table.
    """
    table, ends, at = GrowingTable(), dict[str, tuple[str, str, str]](), 0
    while at < len(text):
        end = text.find(b"\n", at + _BLOCK) + 1 or len(text)
        _add(table, text[at:end], ends)
        at = end
    return table.table()


def _add(table: GrowingTable, text: bytes, ends: dict[str, tuple[str, str, str]]) -> None:
    """Put the next lines into a table. `ends` has what lines end with."""
    first, lines = len(table) + 1, text.decode("utf-8", "surrogateescape").split("\n")
    if lines.pop():
        raise TableError(f"line {first + len(lines)}: the text ends in the middle of a line")
    heads, _, tails = zip(*map(str.partition, lines, repeat(" - ")), strict=True)
    spaces, at = list(map(str.count, heads, repeat(" "))), 0
    while at < len(lines):
        end = equal_until(spaces, at)
        try:
            columns = _columns(heads[at:end], spaces[at] + 1, tails[at:end], ends) if end - at >= _MANY else None
        except ValueError:
            columns = None
        if columns is None:
            table.last += _rows(lines[at:end], first + at)
        else:
            table.add_columns(columns)
        at = end


def _columns(
    heads: tuple[str, ...], width: int, tails: tuple[str, ...], ends: dict[str, tuple[str, str, str]]
) -> Columns | None:
    """What lines say that have `width` words each before " - ", and what follows; None, or ValueError, if they are to
    be read one by one: where the words mean different things, and where a line is odd.
    """
    number, text = len(heads), " ".join(heads)
    words = text.split(" ")
    mount_id, parent_id, device, root, mountpoint, attributes, *optional = (words[at::width] for at in range(width))
    none = AlikeColumn(0, number)
    told: Columns = {"shared": none, "master": none, "propagate_from": none, "unbindable": AlikeColumn(False, number)}
    for column in optional:
        name, colon, _ = column[0].partition(":")
        if column.count("unbindable") == number:
            told["unbindable"] = AlikeColumn(True, number)
        elif name in told and colon and all(map(str.startswith, column, repeat(f"{name}:"))):
            told[name] = list(map(int, map(itemgetter(slice(len(name) + 1, None)), column)))
        else:
            return None
    if "\\" in text:
        root, mountpoint = list(map(unescape, root)), list(map(unescape, mountpoint))
    for tail in set(tails).difference(ends):  # so that each of these words is in memory but once
        fstype, source, options = tail.split(" ", 2)
        ends[tail] = unescape(fstype), unescape(source), options
    columns = (
        list(map(int, mount_id)), _once(parent_id, int), _once(device, intern), root, mountpoint,
        _once(attributes, intern), *told.values(), *zip(*map(ends.__getitem__, tails), strict=True),
    )  # fmt: skip
    return dict(zip(MountRow._fields, columns, strict=True))


def _once(words: list[str], function: Callable[[str], Any]) -> Column:
    """`function` of each word, of which nearly always all are the same."""
    if words.count(words[0]) == len(words):
        return AlikeColumn(function(words[0]), len(words))
    return list(map(function, words))


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
