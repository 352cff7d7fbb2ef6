"""The text of /proc/PID/mountinfo -> MountTable (proc_pid_mountinfo(5)). Pure, so that it can be fuzzed."""

from __future__ import annotations

from sys import intern

from mountplan.planner.errors import TableError
from mountplan.planner.light import regex
from mountplan.planner.tables.table import MountRow, MountTable

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
    rows: list[MountRow] = []
    lines = text.decode("utf-8", "surrogateescape").split("\n")
    if lines.pop():
        raise TableError(f"line {len(lines) + 1}: the text ends in the middle of a line")
    append, new_row = rows.append, tuple.__new__  # MountRow() itself takes as long as all the rest
    escaped = b"\\" in text
    # Filesystem, source and options are the same words on many lines. To have each but once in memory makes reading the
    # lines faster, and much more so comparing the tables.
    tails: dict[str, tuple[str, str, str]] = {}
    number = 0
    try:
        for number, line in enumerate(lines, 1):  # noqa: B007 (told if a line is odd)
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
            if escaped:
                root, mountpoint = unescape(root), unescape(mountpoint)
            fields = (
                int(mount_id),
                int(parent_id),
                device,
                root,
                mountpoint,
                intern(attributes),
                peer_group,
                master,
                propagate_from,
                unbindable,
                fstype,
                source,
                options,
            )
            append(new_row(MountRow, fields))
    except ValueError as error:
        raise TableError(f"line {number}: not a line of mountinfo ({error}): {lines[number - 1]!r}") from None
    return MountTable(tuple(rows))
