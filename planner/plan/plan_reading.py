"""The columns of a plan file -> a plan. Each is judged as a whole where that can be; what is wrong has its place."""

from __future__ import annotations

from itertools import repeat

from mountplan.planner.names import Alteration, LeftOut, Moved
from mountplan.planner.plan.json_values import (
    LEAST,
    MOST,
    Json,
    Malformed,
    Reader,
    at_key,
    in_short,
    list_reader,
    read_each,
    reader_of,
    shown,
)
from mountplan.planner.plan.plain_json import quote as _quote
from mountplan.planner.plan.plan import (
    Edge,
    Expected,
    ExpectedFilesystem,
    ExpectedGroup,
    ExpectedMount,
    ExpectedNamespace,
    Plan,
    Requirement,
)
from mountplan.planner.plan.plan_fields import KIND_OF, NEVER, OriginLine, hints_of, is_text, zeros_of
from mountplan.planner.plan.step_columns import StepColumns
from mountplan.planner.run_settings import RunSettings
from mountplan.planner.tables.columns import AlikeColumn, RecordColumns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mountplan.planner.tables.columns import Column

_MANY = (Edge, OriginLine, ExpectedMount)  # as many as there are mounts, and seldom looked at one by one
_KINDS: dict[str, Any] = {kind: cls for cls, kind in KIND_OF.items()}
# What a few bytes can ask for without saying more: a file may not take memory that is out of proportion to its length.
_MOST_RECORDS = 1 << 26


def read_plan(document: dict[str, Json], most: int) -> Plan:
    """`most`: how many records of a kind there may be that are not told one by one."""
    left = dict(document)

    def take(name: str, hint: Any) -> Any:
        if name not in left:
            raise Malformed("is missing", name)
        return at_key(name, reader_of(hint), left.pop(name))

    strings: tuple[str, ...] = take("strings", tuple[str, ...])

    def counted(cls: Any) -> Reader:
        return lambda value: _read_counted(cls, value, strings, most)

    def take_records(name: str, cls: Any) -> Any:
        return at_key(name, counted(cls), left.pop(name, None))

    plan = Plan(
        name=take("name", str),
        file=take("file", str),
        requirements=take("requirements", tuple[Requirement, ...]),
        edges=take_records("edges", Edge),
        steps=at_key("steps", lambda value: _read_steps(value, strings, most), left.pop("steps", None)),
        expected=Expected(
            at_key("namespaces", _namespaces_reader(counted(ExpectedMount)), left.pop("namespaces", None)),
            take_records("filesystems", ExpectedFilesystem),
            take_records("groups", ExpectedGroup),
            take_records("left_out", LeftOut) if "left_out" in left else (),
            take_records("altered", Alteration) if "altered" in left else (),
        ),
        run=take("run", RunSettings),
        lines=take_records("lines", OriginLine),
        moved=take_records("moved", Moved) if "moved" in left else (),
    )
    for name in left:
        raise Malformed("is not known to this version of mountplan", name)
    return plan


def _read_steps(value: Json, strings: tuple[str, ...], most: int) -> StepColumns:
    if value.__class__ is not dict:
        raise Malformed(f"must be an object, not {in_short(value)}")
    order = value.get("order")
    if order.__class__ is not str:
        raise Malformed(f"must be a string, not {in_short(order)}", "order")
    alike: dict[str, RecordColumns] = {}
    for kind, columns in value.items():
        if kind == "order":
            continue
        if kind not in _KINDS:
            raise Malformed("is not a kind of step that this version of mountplan knows", kind)
        if columns.__class__ is not dict:
            raise Malformed(f"must be an object, not {in_short(columns)}", kind)
        letter = columns.get("letter")
        if letter.__class__ is not str or len(letter) != 1 or letter in alike:
            raise Malformed("must be a letter of its own", f"{kind}.letter")
        fields = {name: columns[name] for name in columns if name != "letter"}
        try:
            alike[letter] = _read_columns(_KINDS[kind], fields, order.count(letter), strings, most)
        except Malformed as bad:
            raise bad.below(kind) from None
    for letter in set(order) - alike.keys():
        raise Malformed(f"has steps of kind {_quote(letter)}, and there are none", "order")
    return StepColumns(order, alike)


def _namespaces_reader(read_mounts: Reader) -> Reader:
    def read_one(value: Json) -> ExpectedNamespace:
        if value.__class__ is not dict or set(value) - {"user"} != {"name", "mounts"}:
            raise Malformed(f"must be an object with name and mounts, not {in_short(value)}")
        name, user = (at_key(key, reader_of(str), value.get(key, "")) for key in ("name", "user"))
        return ExpectedNamespace(name, at_key("mounts", read_mounts, value["mounts"]), user)

    return list_reader(read_one)


def _read_counted(cls: Any, value: Json, strings: tuple[str, ...], most: int) -> Any:
    if value.__class__ is not dict:
        raise Malformed(f"must be an object, not {in_short(value)}")
    count = value.get("count")
    if count.__class__ is not int or not 0 <= count <= _MOST_RECORDS:
        raise Malformed("must be how many there are", "count")
    found = _read_columns(cls, {name: value[name] for name in value if name != "count"}, count, strings, most)
    return found if cls in _MANY else tuple(found)


def _read_columns(cls: Any, value: Json, count: int, strings: tuple[str, ...], most: int) -> RecordColumns:
    """`count` records of one class, each column judged as a whole."""
    hints = hints_of(cls)
    columns: list[Column] = []
    if count > most and all(one.__class__ is not list or len(one) < count for one in value.values()):
        raise Malformed(f"{count} of the same cannot be meant")
    for name in value:
        if name not in hints or (name == "kind" and cls in KIND_OF):
            raise Malformed("is not known to this version of mountplan", name)
    if value and not count:
        raise Malformed("says something of none")
    for name, zero in zeros_of(cls).items():
        if name not in value:
            if zero is NEVER and count:
                raise Malformed("is missing", name)
            columns.append(AlikeColumn(zero, count))
            continue
        column = value[name]
        if column.__class__ is dict and column.keys() == {"runs"}:
            try:
                columns.append(_read_runs(hints[name], column["runs"], count, strings))
            except Malformed as bad:
                raise bad.below(name) from None
            continue
        if column.__class__ is not list or len(column) not in (1, count):
            raise Malformed(f"must be a list of 1 or {count}, not {in_short(column)}", name)
        try:
            read = _read_column(hints[name], column, strings)
        except Malformed as bad:
            raise bad.below(name) from None
        columns.append(AlikeColumn(read[0], count) if len(column) == 1 else read)
    return RecordColumns(tuple if cls is OriginLine else cls, columns)


def _read_runs(hint: Any, runs: Json, count: int, strings: tuple[str, ...]) -> list[Any]:
    """A column that is told by its runs."""
    if runs.__class__ is not list:
        raise Malformed(f"must be a list, not {in_short(runs)}", "runs")
    read = reader_of(hint)
    of_strings = is_text(hint)
    counts_up = of_strings or hint is int
    least, most = (0, len(strings) - 1) if of_strings else (LEAST, MOST)
    found: list[Any] = []
    for number, run in enumerate(runs):
        try:
            if run.__class__ is not list or len(run) not in (2, 3):
                raise Malformed(f"must be a list of 2 or 3, not {in_short(run)}")
            value, times, *more = run
            if times.__class__ is not int or not 1 <= times <= count - len(found):
                raise Malformed(f"must be a number from 1 to {count - len(found)}, not {shown(times)}", "[1]")
            if not counts_up:
                if more:
                    raise Malformed("must be a list of 2, not a list of 3")
                found += [at_key("[0]", read, value)] * times
                continue
            step = more[0] if more else 0
            if step.__class__ is not int or not LEAST <= step <= MOST:
                raise Malformed(f"must be a number, not {in_short(step)}", "[2]")
            last = value + step * (times - 1) if value.__class__ is int else value
            plain = hint in (str, int) and value.__class__ is int
            if not plain or not least <= value <= most or not least <= last <= most:
                for one in (value, last):
                    _read_column(hint, [one], strings)
            numbers = range(value, last + (1 if step > 0 else -1), step) if step else repeat(value, times)
            if not of_strings:
                found += numbers
            elif step == 1 and hint is str:
                found += strings[value : last + 1]
            elif step == 0 and hint is str:
                found += [strings[value]] * times
            else:
                texts = [strings[one] for one in numbers]
                found += texts if hint is str else [read(one) for one in texts]
        except Malformed as bad:
            raise bad.below(f"runs[{number}]") from None
    if len(found) != count:
        raise Malformed(f"must come to {count}, not {len(found)}", "runs")
    return found


def _read_column(hint: Any, column: list[Json], strings: tuple[str, ...]) -> Any:
    kinds = set(map(type, column))
    if is_text(hint):
        if kinds != {int} or min(column) < 0 or max(column) >= len(strings):
            number = next(
                at for at, one in enumerate(column) if one.__class__ is not int or not 0 <= one < len(strings)
            )
            raise Malformed(f"must be the number of a string, not {shown(column[number])}", f"[{number}]")
        texts = [strings[number] for number in column]
        if hint is not str and not set(texts) <= set(hint.__args__):
            read_each(reader_of(hint), texts)
        return texts
    if hint is bool and kinds == {bool}:
        return column
    if hint is int and kinds == {int} and LEAST <= min(column) and max(column) <= MOST:
        return column
    return read_each(reader_of(hint), column)
