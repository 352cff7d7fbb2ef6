"""The steps of a plan that was read: as columns, a set of them for each kind, until one is asked for as a whole."""

from __future__ import annotations

from mountplan.planner.plan.steps import Step
from mountplan.planner.tables.columns import RecordColumns, RecordsLater, columns_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from mountplan.planner.tables.columns import Columns


class StepColumns(RecordsLater):
    """Steps of all kinds in their order, by the columns of each kind."""

    __slots__ = ("_counts", "_place", "_steps", "alike", "order")

    def __init__(self, order: str, alike: dict[str, RecordColumns]) -> None:
        self.order = order  # a letter for each step
        self.alike = alike  # by the letter
        self._steps: tuple[Step, ...] | None = None
        self._place = 0
        self._counts = dict.fromkeys(alike, 0)  # how many there are of each before that place

    def _made(self) -> tuple[Step, ...]:
        if self._steps is None:
            self._steps = self.between(0, len(self.order))
        return self._steps

    def __len__(self) -> int:
        return len(self.order)

    def between(self, begin: int, end: int) -> tuple[Step, ...]:
        """The steps from number `begin` to before `end`; the others are not made. Least work if asked in order."""
        letters = self.order[begin:end]
        following = {}
        for letter in set(letters):
            first = self.before(letter, begin)
            following[letter] = iter(self.alike[letter].part(first, first + letters.count(letter))).__next__
        return tuple([following[letter]() for letter in letters])

    def before(self, letter: str, place: int) -> int:
        """How many of the steps before number `place` have this letter."""
        if place < self._place:
            self._place, self._counts = 0, dict.fromkeys(self.alike, 0)
        if place > self._place:
            passed = self.order[self._place : place]
            for one in self._counts:
                self._counts[one] += passed.count(one)
            self._place = place
        return self._counts[letter]


if TYPE_CHECKING:
    Steps: TypeAlias = tuple[Step, ...] | StepColumns


def kinds_of(steps: Steps) -> set[type]:
    """The types of the steps."""
    if isinstance(steps, StepColumns):
        return {one.cls for one in steps.alike.values() if len(one)}
    return set(map(type, steps))


def columns_of_kind(steps: Steps, cls: type) -> Columns:
    """The columns of all steps of one type."""
    if isinstance(steps, StepColumns):
        return next((one.named() for one in steps.alike.values() if one.cls is cls), None) or columns_of((), cls)
    return columns_of([step for step in steps if type(step) is cls], cls)


def steps_between(steps: Steps, begin: int, end: int) -> tuple[Step, ...]:
    return steps.between(begin, end) if isinstance(steps, StepColumns) else steps[begin:end]
