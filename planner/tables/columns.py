"""Records as columns: for each field the values of all of them, until one is asked for as a whole.

Of a plan with ten thousand mounts, and of their table, most is only ever compared, counted or handed on, and that takes
a few operations a column instead of several objects a mount.
"""

from __future__ import annotations

import sys
from itertools import accumulate, chain, islice, repeat

from mountplan.planner.light import built_from_c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeAlias

    Column: TypeAlias = Sequence[Any]
    Columns: TypeAlias = dict[str, Column]
    _Base = Sequence[Any]
else:
    _Base = object

_VERSION = 2  # VERSION in _columns.c
_LONG = 1 << 14  # bytes of a text whose columns are worth loading it
_FEW = 64
_PARTS = 4  # of a column: of more it is a list

native: Any = None  # what _columns.c was built as, once something long was read; False if it was not


def load_native(length: int) -> None:
    """Have what was built from C, if it pays for a text of this length."""
    global native
    if native is None and length >= _LONG:
        native = built_from_c("mountplan.planner.tables._columns", _VERSION)


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
        if not isinstance(other, _COLUMNS):
            return NotImplemented
        return len(other) == self._count == other.count(self.value)

    def count(self, value: Any) -> int:
        return self._count if value == self.value else 0

    def index(self, value: Any, start: int = 0, stop: int = sys.maxsize) -> int:
        return range(self._count).index(start) if value == self.value else [].index(value)


class ListPart(_Base):
    """Some of a list, in which nothing is touched before it is asked for. Equal to a list of them."""

    __slots__ = ("begin", "end", "whole")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, whole: list[Any], begin: int, end: int) -> None:
        self.whole, self.begin, self.end = whole, begin, end

    def __len__(self) -> int:
        return self.end - self.begin

    def __iter__(self) -> Iterator[Any]:
        return islice(self.whole, self.begin, self.end)

    def __getitem__(self, place: Any) -> Any:
        found = range(self.begin, self.end)[place]
        if isinstance(found, int):
            return self.whole[found]
        if found.step == 1:
            return ListPart(self.whole, found.start, max(found.start, found.stop))
        return [self.whole[at] for at in found]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _COLUMNS):
            return NotImplemented
        return len(other) == len(self) and are_same(self, other)

    def count(self, value: Any) -> int:
        return list(self).count(value)

    def index(self, value: Any, start: int = 0, stop: int = sys.maxsize) -> int:
        return list(self).index(value, start, stop)


class JoinedColumn(_Base):
    """A column in parts that come one after the other. Equal to a list of them."""

    __slots__ = ("ends", "parts")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, parts: Sequence[Column]) -> None:
        self.parts = parts
        self.ends = tuple(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self.ends[-1]

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.parts)

    def __getitem__(self, place: Any) -> Any:
        places = range(self.ends[-1])[place]
        if isinstance(places, int):
            at = next(at for at, end in enumerate(self.ends) if places < end)
            return self.parts[at][places - self.ends[at]]
        if places.step != 1:
            return list(self)[place]
        begins = (0, *self.ends)
        return joined(
            [
                part if places.start <= begin and end <= places.stop
                else part[max(places.start - begin, 0) : places.stop - begin]
                for part, begin, end in zip(self.parts, begins, self.ends, strict=False)
                if begin < places.stop and places.start < end
            ]
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _COLUMNS):
            return NotImplemented
        if len(other) != len(self):
            return False
        return all(one == another for _, (one, another) in _beside_one_another(self, other))

    def count(self, value: Any) -> int:
        return sum([part.count(value) for part in self.parts])

    def index(self, value: Any, start: int = 0, stop: int = sys.maxsize) -> int:
        return list(self).index(value, start, stop)


_COLUMNS = (list, AlikeColumn, ListPart, JoinedColumn)


def joined(parts: Sequence[Column]) -> Column:
    """One column of several."""
    parts = [part for part in parts if len(part)]
    if len(parts) == 1:
        return parts[0]
    short = sum(map(len, parts)) < _FEW
    if short or len(parts) > _PARTS or all(isinstance(part, list) or len(part) < _FEW for part in parts):
        return list(chain.from_iterable(parts))
    if all(isinstance(part, AlikeColumn) and part.value == parts[0][0] for part in parts):
        return AlikeColumn(parts[0][0], sum(map(len, parts)))
    return JoinedColumn(parts)


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
    if isinstance(column, JoinedColumn):
        return JoinedColumn([mapped(part, function) for part in column.parts])
    if isinstance(column, AlikeColumn) and len(column):
        return AlikeColumn(function(column.value), len(column))
    return list(map(function, column))


def picked(column: Column, places: Sequence[int]) -> Column:
    """The values at these places."""
    if isinstance(column, AlikeColumn):
        return AlikeColumn(column.value, len(places))
    if isinstance(column, JoinedColumn):
        column = list(column)
    return list(map(column.__getitem__, places))


def first_places(column: Column) -> dict[Any, int]:
    """What there is in a column, in its order, and where it is for the first time."""
    found: dict[Any, int] = {}
    begin = 0
    for part in column.parts if isinstance(column, JoinedColumn) else (column,):
        places = range(begin, begin + len(part))
        if isinstance(part, AlikeColumn):
            found.setdefault(part.value, begin)
        else:
            there = dict(zip(part, places, strict=True))
            if len(there) < len(part):  # of each, the last place so far
                there.update(zip(reversed(part), reversed(places), strict=True))
            found = found | there | found if found else there
        begin = places.stop
    return found


def zipped(*columns: Column) -> Column:
    """What there is in columns beside one another."""
    return joined(
        [
            AlikeColumn(tuple([part[0] for part in parts]), len(parts[0]))
            if all(isinstance(part, AlikeColumn) for part in parts)
            else list(zip(*parts, strict=True))
            for _, parts in _beside_one_another(*columns)
        ]
    )


def _beside_one_another(*columns: Column) -> Iterator[tuple[int, list[Column]]]:
    """The parts of columns of one length, each beside that of the others, and where they begin."""
    begin, number = 0, len(columns[0])
    for end in sorted({number, *chain.from_iterable(one.ends for one in columns if isinstance(one, JoinedColumn))}):
        if end > begin:
            yield (
                begin,
                [
                    column[begin:end] if isinstance(column, JoinedColumn) or end - begin < number else column
                    for column in columns
                ],
            )
        begin = end


def part_of_column(column: Column, begin: int, end: int) -> Column:
    """column[begin:end], which of a long list is no copy."""
    if isinstance(column, list) and end - begin >= _FEW:
        return column if end - begin == len(column) else ListPart(column, begin, end)
    return column[begin:end]


def _span(column: Column) -> tuple[Column, int, int]:
    """The list in which it is, and from where to where."""
    return (column.whole, column.begin, column.end) if isinstance(column, ListPart) else (column, 0, len(column))


def extent_of(paths: Column) -> tuple[str, str]:
    """The first and the last of the paths, in the order of texts: what both begin with, all do."""
    found: tuple[str, str] | None = native.extent(*_span(paths)) if native else None
    if found is None:
        texts = list(map(str, paths))  # a TargetPath has an order of its own
        found = min(texts), max(texts)
    return found


def are_below(above: str, extent: tuple[str, str]) -> bool:
    """Whether all paths begin like that of which this is extent_of()."""
    return extent[0].startswith(above) and extent[1].startswith(above)


def directories_of(paths: Column) -> set[str]:
    """What is before the last slash of each; "" if there is none."""
    found: set[str] | None = native.directories(*_span(paths)) if native else None
    return {path.rpartition("/")[0] for path in paths} if found is None else found


def without(paths: Column, begin: str) -> list[str]:
    """What each has after `begin`, with which all of them begin."""
    found: list[str] | None = native.without(*_span(paths), begin) if native else None
    return [path[len(begin) :] for path in paths] if found is None else found


def are_same(column: Column, other: Column, before: str = "") -> bool:
    """Whether the texts of a column are those of another one, which has as many, with a text `before` each."""
    (whole, begin, end), (others, other_begin, _) = _span(column), _span(other)
    found: bool | None = native.same(whole, begin, others, other_begin, end - begin, before) if native else None
    if found is None:
        found = list(column) == [before + one for one in other] if before else list(column) == list(other)
    return found


def are_plain(paths: Column, before: str, most: int) -> bool | None:
    """Whether each, with what comes `before` it, is an absolute path of ASCII in which no name is empty or begins with
    a dot, and has at most so many characters. None if it takes Python to tell.
    """
    return native.plain(*_span(paths), before, most) if native else None


def part_of(records: Sequence[Any], begin: int, end: int) -> Sequence[Any]:
    """Some of the records; of columns no record is made."""
    return records.part(begin, end) if isinstance(records, RecordColumns) else records[begin:end]


def record_at(records: Sequence[Any], place: int) -> Any:
    return records.at(place) if isinstance(records, RecordColumns) else records[place]


def equal_until(column: Column, at: int) -> int:
    """The first place after `at` with another value than is there, or the end."""
    if isinstance(column, AlikeColumn):
        return len(column)
    if isinstance(column, JoinedColumn):
        return _equal_until_in_parts(column, at)
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


def _equal_until_in_parts(column: JoinedColumn, at: int) -> int:
    value, begin = column[at], 0
    for part, end in zip(column.parts, column.ends, strict=True):
        if at < end:
            first = max(at - begin, 0)
            stop = begin + (equal_until(part, first) if part[first] == value else 0)
            if stop < end:
                return stop
        begin = end
    return begin
