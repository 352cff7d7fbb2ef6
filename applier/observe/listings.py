"""What is in directories of the host, read as a whole where many of the names in one are asked for."""

from __future__ import annotations

import os
from itertools import islice

from mountplan.planner.names import NodeKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MANY = 8  # names of one directory
_FOR_EACH = 20  # entries that are read for each name that was asked for, at most: others may be in there without end


class Listings:
    """The entries of directories: names -> kinds. A directory is read once, when many of its names were asked for."""

    def __init__(self) -> None:
        self._asked: dict[str, int] = {}
        self._read: dict[str, dict[str, NodeKind]] = {}

    def kind(self, directory: str, name: str) -> NodeKind | None:
        """What kind of entry it is; None if that is not known: nothing is there, or it must be looked for by itself."""
        entries = self._read.get(directory)
        if entries is None:
            number = self._asked[directory] = self._asked.get(directory, 0) + 1
            if number < MANY or number & (number - 1):  # again at twice as many: it may be worth its while by then
                return None
            entries = entries_of(directory, number)
            if entries is None:
                return None
            self._read[directory] = entries
        return entries.get(name)


def entries_of(directory: str, asked: int) -> dict[str, NodeKind] | None:
    """The directories, files and symlinks in a directory, of which `asked` names are of interest.

    None if it has many times as many others, or cannot be read, or not be passed by who could read it.
    """
    most = _FOR_EACH * asked
    try:
        if not os.access(directory, os.X_OK, effective_ids=True):
            return None
        with os.scandir(directory) as there:
            entries = list(islice(there, most + 1))
        found: dict[str, NodeKind] = dict.fromkeys(
            [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)], "directory"
        )
        for entry in entries if len(found) < len(entries) else ():
            if entry.is_file(follow_symlinks=False):
                found[entry.name] = "file"
            elif entry.is_symlink():
                found[entry.name] = "symlink"
    except OSError:
        return None
    return found if len(entries) <= most else None


def kinds_of(directory: str, names: Iterable[str], mountpoints: frozenset[str]) -> str:
    """A letter for each name: "d" for a directory and "f" for a file on which nothing is mounted, "?" for all else."""
    names = tuple(names)
    entries = entries_of(directory, len(names)) or {}
    within = directory.rstrip("/") + "/"
    for mountpoint in mountpoints:
        if mountpoint.startswith(within):
            entries.pop(mountpoint[len(within) :], None)
    kinds = list(map(entries.get, names))
    if kinds.count("directory") == len(kinds):
        return "d" * len(kinds)
    return "".join([_LETTERS.get(kind or "", "?") for kind in kinds])


_LETTERS = {"directory": "d", "file": "f"}
