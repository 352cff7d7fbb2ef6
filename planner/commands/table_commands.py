"""What a script reads of the mount table: /proc/mounts and its like, mount(8) without arguments, findmnt(8)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from mountplan.planner.commands.file_commands import options
from mountplan.planner.commands.script_calls import ScriptCalls
from mountplan.planner.tables.table import MountRow

_FILES = ("/mounts", "/self/mounts", "/self/mountinfo", "/thread-self/mounts", "/thread-self/mountinfo")
_ESCAPED = {" ": "\\040", "\t": "\\011", "\n": "\\012", "\\": "\\134"}


def _escaped(text: str) -> str:
    return "".join(_ESCAPED.get(character, character) for character in text)


def table_in(calls: ScriptCalls, path: str) -> str | None:
    """The text of a file of /proc that has the mount table; None for any other file.

    Where no proc is mounted there is one to be read as well: mount(8) and its like are lent it (applier/run/lent.py).
    """
    place = calls.place(path)
    if place is None:
        file = path.removeprefix("/proc")
    else:
        file = place[1].path if place[0].superblock.fstype == "proc" else ""
    if file not in _FILES:
        return None
    if file.endswith("mountinfo"):
        return "".join(map(_mountinfo_line, calls.rows()))
    return "".join(
        f"{_escaped(row.source)} {_escaped(row.mountpoint)} {_escaped(row.fstype)} {shown_options(row)} 0 0\n"
        for row in calls.rows()
    )


def _mountinfo_line(row: MountRow) -> str:
    groups = (
        (f"shared:{row.peer_group}", row.peer_group),
        (f"master:{row.master}", row.master),
        (f"propagate_from:{row.propagate_from}", row.propagate_from),
        ("unbindable", row.unbindable),
    )
    optional = "".join(f" {words}" for words, there in groups if there)
    place = f"{_escaped(row.root)} {_escaped(row.mountpoint)} {row.attributes}{optional}"
    of_filesystem = f"{_escaped(row.fstype)} {_escaped(row.source)} {row.options}"
    return f"{row.mount_id} {row.parent_id} {row.device} {place} - {of_filesystem}\n"


def shown_options(row: MountRow) -> str:
    """Of the mount and of its filesystem, as far as the script has given these: read-only if one of them is."""
    names = [*row.attributes.split(","), *row.options.split(",")]
    rest = [name for name in dict.fromkeys(names) if name not in ("ro", "rw", "")]
    return ",".join(["ro" if "ro" in names else "rw", *rest])


def listing(rows: tuple[MountRow, ...], types: str) -> str:
    """What mount(8) shows."""
    return "".join(
        f"{row.source} on {row.mountpoint} type {row.fstype} ({shown_options(row)})\n"
        for row in rows
        if not types or row.fstype in types.split(",")
    )


_COLUMNS: dict[str, Callable[[MountRow], str]] = {
    "FSROOT": lambda row: row.root,
    "FSTYPE": lambda row: row.fstype,
    "FS-OPTIONS": lambda row: row.options,
    "ID": lambda row: str(row.mount_id),
    "MAJ:MIN": lambda row: row.device,
    "OPTIONS": shown_options,
    "PARENT": lambda row: str(row.parent_id),
    "PROPAGATION": lambda row: _propagation(row),
    "SOURCE": lambda row: row.source + (f"[{row.root}]" if row.root != "/" else ""),
    "TARGET": lambda row: row.mountpoint,
    "VFS-OPTIONS": lambda row: row.attributes,
}


def _propagation(row: MountRow) -> str:
    words = ["shared" if row.peer_group else "private", *["slave"] * bool(row.master), *["unbindable"] * row.unbindable]
    return ",".join(words[1:] if words[:2] == ["private", "slave"] else words)


def found(calls: ScriptCalls, arguments: list[str]) -> tuple[MountRow, ...] | None:
    """The mounts that findmnt(8) finds; None for options that are not followed. Raises Unusable."""
    given, places = _read(arguments)
    if given is None or len(places) > 1:
        return None
    rows = calls.rows()
    if types := given.get("t", given.get("types")):
        rows = tuple(row for row in rows if row.fstype in types.split(","))
    if place := given.get("M", given.get("mountpoint")):
        rows = tuple(row for row in rows if row.mountpoint == calls.absolute(place))
    if place := given.get("S", given.get("source")):
        rows = tuple(row for row in rows if row.source == place)
    if place := given.get("T", given.get("target")):
        rows = _holding(calls, place)
    for place in places:
        path = calls.absolute(place)
        rows = tuple(row for row in rows if row.mountpoint == path) or tuple(row for row in rows if row.source == place)
    return rows[:1] if {"f", "first-only"} & set(given) else rows


def columns(arguments: list[str], rows: tuple[MountRow, ...]) -> str | None:
    """What findmnt(8) writes of them, without its head; None for a form that is not followed."""
    given, _ = _read(arguments)
    if given is None:
        return None
    names = given.get("o", given.get("output", "TARGET,SOURCE,FSTYPE,OPTIONS")).upper().split(",")
    raw = bool({"r", "raw"} & set(given))
    is_list = raw or bool({"l", "list"} & set(given)) or len(rows) < 2 or "TARGET" not in names
    if not {"n", "noheadings"} & set(given) or not is_list or not set(names) <= set(_COLUMNS):
        return None
    lines = [[_COLUMNS[name](row) for name in names] for row in rows]
    if raw:
        return "".join(" ".join(text.replace(" ", "\\x20") for text in line) + "\n" for line in lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        " ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )


def _holding(calls: ScriptCalls, path: str) -> tuple[MountRow, ...]:
    """The mount that shows a path."""
    above = calls.absolute(path)
    while True:
        shown = [row for row in calls.rows() if row.mountpoint == above]
        if shown or above == "/":
            return tuple(shown[-1:])
        above = posixpath.dirname(above)


def _read(arguments: list[str]) -> tuple[dict[str, str] | None, list[str]]:
    letters = "aAceflnrRuvo:t:M:S:T:"
    long = "all noheadings raw list first-only output= types= mountpoint= source= target= kernel"
    given, places = options("findmnt", arguments, letters, long)
    return (None if set("AcReuv") & set(given) else given), places
