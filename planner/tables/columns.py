"""Records as columns: for each field the values of all of them, until one is asked for as a whole.

Of a plan with ten thousand mounts, and of their table, most is only ever compared, counted or handed on, and that takes
a few operations a column instead of several objects a mount.
"""

from __future__ import annotations

import sys
from itertools import repeat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeAlias

    Column: TypeAlias = Sequence[Any]
    Columns: TypeAlias = dict[str, Column]
    _Base = Sequence[Any]
else:
    _Base = object

_FEW = 64


class AlikeColumn(_Base):
    """A column in which all values are the same one. Equal to a list of them."""

    __slots__ = ("_count", "value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: Any, count: int) -> None:
        self.value = value
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return repeat(self.value, self._count)

    def __getitem__(self, place: Any) -> Any:
        found = range(self._count)[place]
        return self.value if isinstance(found, int) else AlikeColumn(self.value, len(found))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, AlikeColumn)):
            return NotImplemented
        return len(other) == self._count == other.count(self.value)

    def count(self, value: Any) -> int:
        return self._count if value == self.value else 0

    def index(self, value: Any, start: int = 0, stop: int = sys.maxsize) -> int:
        return range(self._count).index(start) if value == self.value else [].index(value)


class RecordsLater(_Base):
    """What a tuple of records holds. Equal to that, and to be read as one: when that is done for the first time, the
    records are made, and kept.
    """

    __slots__ = ()

    def _made(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Any]:
        return iter(self._made())

    def __getitem__(self, place: Any) -> Any:
        return self._made()[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (tuple, RecordsLater)) and self._made() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._made())

    def __repr__(self) -> str:
        return repr(self._made())


class RecordColumns(RecordsLater):
    """Records of one class, by their columns."""

    __slots__ = ("_begin", "_few", "_records", "cls", "columns")

    def __init__(self, cls: Any, columns: Sequence[Column]) -> None:
        self.cls = cls  # of the records; `tuple` if they have no other
        self.columns = columns
        self._records: tuple[Any, ...] | None = None
        self._few: tuple[Any, ...] = ()
        self._begin = 0  # of the few

    def _made(self) -> tuple[Any, ...]:
        if self._records is None:
            self._records = tuple(map(tuple.__new__, repeat(self.cls), zip(*self.columns, strict=True)))
        return self._records

    def __len__(self) -> int:
        return len(self.columns[0])

    def index(self, value: Any, start: int = 0, stop: int = sys.maxsize) -> int:
        return self._made().index(value, start, stop)

    def count(self, value: Any) -> int:
        return self._made().count(value)

    def part(self, begin: int, end: int) -> RecordColumns:
        if begin == 0 and end >= len(self):
            return self
        return RecordColumns(self.cls, [column[begin:end] for column in self.columns])

    def at(self, place: int) -> Any:
        """One record, and a few that are likely to be asked for next; the others are not made."""
        if not 0 <= place - self._begin < len(self._few):
            self._few, self._begin = tuple(self.part(place, place + _FEW)), place
        return self._few[place - self._begin]

    def named(self) -> Columns:
        return dict(zip(self.cls._fields, self.columns, strict=True))


def columns_of(records: Sequence[Any], cls: Any) -> Columns:
    """The columns of records of one class, by the names of the fields."""
    if isinstance(records, RecordColumns):
        return records.named()
    columns = map(list, zip(*records, strict=True)) if records else repeat([], len(cls._fields))
    return dict(zip(cls._fields, columns, strict=True))


def mapped(column: Column, function: Callable[[Any], Any]) -> Column:
    if isinstance(column, AlikeColumn) and len(column):
        return AlikeColumn(function(column.value), len(column))
    return list(map(function, column))


def picked(column: Column, places: Sequence[int]) -> Column:
    """The values at these places."""
    if isinstance(column, AlikeColumn):
        return AlikeColumn(column.value, len(places))
    return list(map(column.__getitem__, places))


def part_of(records: Sequence[Any], begin: int, end: int) -> Sequence[Any]:
    """Some of the records; of columns no record is made."""
    return records.part(begin, end) if isinstance(records, RecordColumns) else records[begin:end]


def record_at(records: Sequence[Any], place: int) -> Any:
    return records.at(place) if isinstance(records, RecordColumns) else records[place]


def equal_until(column: Column, at: int) -> int:
    """The first place after `at` with another value than is there, or the end."""
    if isinstance(column, AlikeColumn):
        return len(column)
    value, end, block = column[at], at + 1, 1
    while (there := column[end : end + block]) and there.count(value) == len(there):
        end += len(there)
        block += block
    while block > 1:
        block //= 2
        there = column[end : end + block]
        if there and there.count(value) == len(there):
            end += len(there)
    return end
