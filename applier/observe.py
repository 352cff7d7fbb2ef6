"""What stands in a live namespace -> MountTable."""

from __future__ import annotations

from mountplan.planner.errors import TableError
from mountplan.planner.mountinfo import parse_mountinfo
from mountplan.planner.table import MountTable

_TRIES = 20


def observe(pid: int | str = "self") -> MountTable:
    """The mount table of a process's namespace, as seen from its root.

    The kernel hands a long table out in pieces, between which it may change, so it is read until two readings agree.
    Raises TableError if the process is not there or not ours, or if the table never keeps still.
    """
    path = f"/proc/{pid}/mountinfo"
    before = b""
    try:
        for _ in range(_TRIES):
            with open(path, "rb") as file:
                text = file.read()
            if text == before:
                return parse_mountinfo(text)
            before = text
    except OSError as error:
        raise TableError(f"{path}: cannot read the mount table: {error.strerror}") from None
    raise TableError(f"{path}: the mount table changed during each of {_TRIES} readings")
