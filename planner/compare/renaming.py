"""Which id of the one side is which of the other: ids of groups and devices, consistently over all namespaces."""

from __future__ import annotations

from mountplan.planner.compare.sense import Id, Sense
from mountplan.planner.light import Generic


class Renaming(Generic[Id]):
    """Pairs ids of two sides, one to one. First all ids meet their counterparts, then they are paired by majority.

    The majority counts: if one mount of a hundred is in another group, that one is different, not the ninety-nine.
    `none` is no id, and only equal to itself. With `exclusive`, what an id certainly is is nothing else as well.
    """

    def __init__(self, none: Id, wanted: Sense[Id], found: Sense[Id], *, exclusive: bool) -> None:
        self._none: Id = none
        self._wanted: Sense[Id] = wanted
        self._found: Sense[Id] = found
        self._exclusive = exclusive
        self._met: dict[tuple[Id, Id], int] = {}
        self._certain: set[Id] = set()
        self.there: dict[Id, Id] = {}
        self.back: dict[Id, Id] = {}

    def meet(self, wanted: Id, found: Id) -> None:
        """Two mounts that are each other's counterparts have these ids."""
        if wanted != self._none and found != self._none:
            self._met[wanted, found] = self._met.get((wanted, found), 0) + 1

    def settle(self) -> None:
        """Pair what has met, most meetings first; of equals, what met first."""
        for wanted, found in self._met:
            if self._same_number(wanted, found):
                self._certain.add(found)
        for (wanted, found), _ in sorted(self._met.items(), key=lambda one: -one[1]):
            if wanted in self.there or found in self.back or (self._exclusive and found in self._certain):
                continue
            if self._wanted.certain(wanted) is None and self._found.certain(found) is None:
                self.there[wanted] = found
                self.back[found] = wanted

    def same(self, wanted: Id, found: Id) -> bool:
        """Are these one and the same? To be asked when all is settled."""
        if self._none in (wanted, found):
            return wanted == found
        known = self._same_number(wanted, found)
        return self.there.get(wanted) == found if known is None else known

    def _same_number(self, wanted: Id, found: Id) -> bool | None:
        """None if the numbers say nothing."""
        if self._wanted.certain(wanted) is None and self._found.certain(found) is None:
            return None
        number = self._wanted.number(wanted)
        return number is not None and number == self._found.number(found)
