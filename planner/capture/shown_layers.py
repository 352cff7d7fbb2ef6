"""Overlays: their options -> the directories that they are made of."""

from __future__ import annotations

import re
from typing import NamedTuple

from mountplan.planner.capture.regiven import parse_options

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COLON = re.compile(r"(?<!\\)((?:\\\\)*):")


class Directories(NamedTuple):
    """The paths that an overlay shows; "" for the upper and the work directory if it is read-only."""

    lower: tuple[str, ...]
    upper: str
    work: str

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them; first the one from which the root of the overlay is taken."""
        return (self.upper, self.work, *self.lower) if self.upper else self.lower


def shown_directories(options: str) -> Directories | str:
    """The directories, as paths; or why they cannot be given again."""
    shown = parse_options(options)
    lower = [_unescaped(part) for value in shown.values("lowerdir") for part in _COLON.sub("\\1\0", value).split("\0")]
    lower += shown.values("lowerdir+")
    if shown.values("datadir+") or "" in lower:
        return "it has layers that hold data only"
    upper, work = shown.values("upperdir"), shown.values("workdir")
    if not lower:
        return "the kernel does not tell what it is made of"
    return Directories(tuple(lower), _unescaped(upper[0]) if upper else "", _unescaped(work[0]) if work else "")


def _unescaped(path: str) -> str:
    return _ESCAPED.sub(r"\1", path)
