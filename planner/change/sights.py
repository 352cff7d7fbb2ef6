"""What is seen inside while a tree is changed: a file of before that is there afterwards too must never be missing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from mountplan.planner.model import Process
from mountplan.planner.model.objects import ModelNode
from mountplan.planner.model.refused import WouldRefuse
from mountplan.planner.model.walking import walk


class Sights:
    """Of one namespace: at each of its mountpoints, of before and of afterwards, what a walk has led to, one after the
    other. What lies below follows from that: between them nothing is mounted.
    """

    def __init__(self, process: Process, mountpoints: Iterable[str]) -> None:
        self._process = process
        self._places = sorted(f"{one.rstrip('/')}/" for one in set(mountpoints))
        self._seen: dict[str, list[ModelNode | None]] = {one: [self._end_of(one)] for one in self._places}

    def _end_of(self, place: str) -> ModelNode | None:
        try:
            return walk(self._process, place.rstrip("/") or "/")[1]
        except WouldRefuse:
            return None

    def look(self, path: str) -> None:
        """Something has come or gone at a path."""
        below = f"{path.rstrip('/')}/"
        at = bisect_left(self._places, below)
        while at < len(self._places) and self._places[at].startswith(below):
            seen = self._seen[self._places[at]]
            if (now := self._end_of(self._places[at])) is not seen[-1]:
                seen.append(now)
            at += 1

    def gaps(self) -> list[str]:
        """The highest places at which something else was seen for a moment than before and afterwards."""
        found: list[str] = []
        for place in self._places:
            first, *between = self._seen[place]
            last = between.pop() if between else first
            missing = first is not None and last is not None and any(one not in (first, last) for one in between)
            if missing and not (found and place.startswith(found[-1])):
                found.append(place)
        return [place.rstrip("/") or "/" for place in found]
