"""A mount table from a file that may have been written, cut or mended by hand -> MountTable, or an error that says why.

What the kernel hands out is read by planner/tables/mountinfo.py alone, as fast as it goes. A file is looked at line by
line.
"""

from __future__ import annotations

import re

from mountplan.planner.characters import visible
from mountplan.planner.errors import TableError
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountTable

_BEGIN = re.compile(rb"[0-9]+ [0-9]+ ")  # which no spec and no plan begins with
_HEAD = (
    ("mount id", re.compile(rb"[0-9]{1,19}")),
    ("parent id", re.compile(rb"[0-9]{1,19}")),
    ("device", re.compile(rb"[0-9]{1,10}:[0-9]{1,10}")),
    ("root", re.compile(rb"[^ ]+")),
    ("mountpoint", re.compile(rb"[^ ]+")),
    ("attributes", re.compile(rb"r[ow](,[^, ]+)*")),
)
_NUMBERED = re.compile(rb"(shared|master|propagate_from):[0-9]{1,10}")
_TAIL = ("filesystem type", "source", "superblock options")


def looks_like_mountinfo(text: bytes) -> bool:
    """Does a file with these contents hold a mount table, right or wrong?"""
    return _BEGIN.match(text) is not None


def read_table(text: bytes, file: str) -> MountTable:
    """The table in a file, which errors call `file`. Raises TableError with the line.

    Fields that only newer kernels have are passed over, as proc_pid_mountinfo(5) demands. Parents need not be in the
    table: a process whose root is no mountpoint sees trees without what they stand on.
    """
    if not text:
        raise TableError(f"{file}: is empty; save the text of /proc/PID/mountinfo there")
    lines = text.split(b"\n")
    if lines.pop():
        raise TableError(f"{file}: line {len(lines) + 1}: the text ends in the middle of this line")
    for number, line in enumerate(lines, 1):
        if wrong := _wrong(line):
            raise TableError(f"{file}: line {number}: {wrong}")
    table = parse_mountinfo(text)
    _check_tree(table, file)
    return table


def _wrong(line: bytes) -> str:
    """What is wrong with a line; "" if nothing is."""
    if line.endswith(b"\r"):
        return "it ends in a carriage return, which the kernel does not write; convert the file to Unix line ends"
    if not line:
        return "it is empty"
    if b"\0" in line:
        return "it has a NUL character"
    head, separator, tail = line.partition(b" - ")
    if not separator:
        return "it has no ' - ' between the optional fields and the filesystem type"
    fields = head.split(b" ")
    for (name, form), field in zip(_HEAD, fields, strict=False):
        if not form.fullmatch(field):
            return f"{_shown(field)} is no {name}"
    if len(fields) < len(_HEAD):
        return f"it has no {_HEAD[len(fields)][0]}"
    for field in fields[len(_HEAD) :]:
        if field.startswith((b"shared", b"master", b"propagate_from")) and not _NUMBERED.fullmatch(field):
            return f"{_shown(field)} is no optional field: it takes a colon and a number"
    parts = tail.split(b" ")
    if len(parts) < len(_TAIL):
        return f"it has no {_TAIL[len(parts)]}"
    if len(parts) > len(_TAIL):
        return f"it goes on after the superblock options: {_shown(b' '.join(parts[len(_TAIL) :]))}"
    if not parts[0]:
        return "it has no filesystem type"
    if not parts[2].startswith((b"rw", b"ro")):
        return f"{_shown(parts[2])} are no superblock options: those begin with ro or rw"
    return ""


def _shown(field: bytes) -> str:
    text = field.decode("utf-8", "surrogateescape")
    return f"'{visible(text if len(text) <= 80 else text[:80] + '...')}'"


def _check_tree(table: MountTable, file: str) -> None:
    lines: dict[int, int] = {}
    for number, row in enumerate(table.rows, 1):
        if row.mount_id in lines:
            raise TableError(f"{file}: line {number}: mount {row.mount_id} is on line {lines[row.mount_id]} already")
        lines[row.mount_id] = number
    standing: set[int] = set()  # mounts from which one comes to a root
    for number, row in enumerate(table.rows, 1):
        walked: dict[int, None] = {}
        at = row
        while at.mount_id not in standing and at.parent_id in lines and at.parent_id != at.mount_id:
            if at.mount_id in walked:
                circle = ", ".join(map(str, list(walked)[list(walked).index(at.mount_id) :][:8]))
                raise TableError(f"{file}: line {number}: mounts stand on each other in a circle: {circle}")
            walked[at.mount_id] = None
            at = table.rows[lines[at.parent_id] - 1]
        standing.update(walked)
        standing.add(at.mount_id)
