"""A plan -> the text of a plan file, without its head: what planner/plan/planfile.py says of columns, and of runs."""

from __future__ import annotations

from itertools import groupby

from mountplan.planner.names import Alteration, LeftOut, Moved
from mountplan.planner.plan.plain_json import quote as _quote
from mountplan.planner.plan.plan import Edge, ExpectedFilesystem, ExpectedGroup, ExpectedMount, Plan
from mountplan.planner.plan.plan_fields import KIND_OF, OriginLine, hints_of, is_text, zeros_of
from mountplan.planner.plan.step_columns import StepColumns
from mountplan.planner.plan.text_numbers import TextNumbers
from mountplan.planner.tables.columns import RecordColumns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from mountplan.planner.plan.step_columns import Steps

_LONG = 16  # a shorter column tells each value: people read small plans


def body_of(plan: Plan) -> str:
    """What the digest covers: everything behind the line that holds it."""
    strings = TextNumbers()
    order, by_kind = _by_kind(plan.steps)
    steps = {"order": _quote(order)}
    for number, (cls, alike) in enumerate(by_kind.items()):
        steps[KIND_OF[cls]] = _columns(cls, alike, strings, {"letter": _quote(_letter(number))})
    namespaces = [
        _object(
            {"name": _quote(one.name), "mounts": _counted(ExpectedMount, one.mounts, strings)}
            | ({"user": _quote(one.user)} if one.user else {})
        )
        for one in plan.expected.namespaces
    ]
    parts = {
        "name": _quote(plan.name),
        "file": _quote(plan.file),
        "requirements": _encode(plan.requirements),
        "run": _encode(plan.run),
        "steps": _object(steps),
        "edges": _counted(Edge, plan.edges, strings),
        "namespaces": "[" + ",\n".join(namespaces) + "]",
        "filesystems": _counted(ExpectedFilesystem, plan.expected.filesystems, strings),
        "groups": _counted(ExpectedGroup, plan.expected.groups, strings),
        "lines": _counted(OriginLine, plan.lines, strings),
    }
    if plan.moved:
        parts["moved"] = _counted(Moved, plan.moved, strings)
    if plan.expected.altered:
        parts["altered"] = _counted(Alteration, plan.expected.altered, strings)
    if plan.expected.left_out:
        parts["left_out"] = _counted(LeftOut, plan.expected.left_out, strings)
    parts["strings"] = "[\n" + ",\n".join(map(_quote, strings.texts)) + "\n]" if strings.texts else "[]"
    return _object(parts).removeprefix("{\n") + "\n"


def _by_kind(steps: Steps) -> tuple[str, dict[type, Any]]:
    """A letter for each step, and the steps of each kind; both in the order in which the kinds come first."""
    if isinstance(steps, StepColumns):
        letters = dict.fromkeys(steps.order)
        order = steps.order.translate({ord(letter): _letter(number) for number, letter in enumerate(letters)})
        return order, {steps.alike[letter].cls: steps.alike[letter] for letter in letters}
    by_kind: dict[type, list[Any]] = {}
    for step in steps:
        by_kind.setdefault(type(step), []).append(step)
    of = {cls: _letter(number) for number, cls in enumerate(by_kind)}
    return "".join([of[type(step)] for step in steps]), by_kind


def _letter(number: int) -> str:
    return chr(ord("a") + number)


def _object(parts: dict[str, str]) -> str:
    """A JSON object with a line for each key; the values are JSON already."""
    return "{\n" + ",\n".join([f'"{name}": {part}' for name, part in parts.items()]) + "\n}"


def _counted(cls: Any, records: Sequence[Any], strings: TextNumbers) -> str:
    return _columns(cls, records, strings, {"count": str(len(records))})


def _columns(cls: Any, records: Any, strings: TextNumbers, first: dict[str, str]) -> str:
    """Records of one class as an object of columns. `strings` gets the texts that it does not have yet."""
    parts = dict(first)
    if not records:
        return _object(parts)
    columns = records.columns if isinstance(records, RecordColumns) else zip(*records, strict=True)
    for (name, hint), zero, column in zip(hints_of(cls).items(), zeros_of(cls).values(), columns, strict=True):
        if name == "kind" and cls in KIND_OF:
            continue
        values = column[:1] if column[-1] == column[0] and column.count(column[0]) == len(column) else column
        if len(values) == 1 and values[0] == zero:
            continue
        if is_text(hint):
            numbers = strings.numbers(values)
            encoded = _runs(numbers) or list(map(str, numbers))
        elif hint is int:
            encoded = _runs(values) or list(map(str, values))
        else:
            encoded = _repeats(values) or list(map(_encode, values))
        text = "[" + ",".join(encoded) + "]"
        parts[name] = f'{{"runs": {text}}}' if len(encoded) < len(values) else text
    return _object(parts)


def _runs(numbers: Sequence[int]) -> list[str]:
    """Numbers as runs, if that is much shorter; else []."""
    size = len(numbers)
    runs: list[str] = []
    at = 0
    while at < size >= _LONG:
        first, step, end = numbers[at], 0, at + 1
        if end < size:
            step = numbers[end] - first
            expected = first + step
            while end < size and numbers[end] == expected:
                expected += step
                end += 1
        if end - at == 2:  # by chance: the second may begin a longer one
            step, end = 0, at + 1
        runs.append(f"[{first},{end - at},{step}]" if step else f"[{first},{end - at}]")
        at = end
        if 3 * len(runs) > size:
            return []
    return runs


def _repeats(values: Sequence[Any]) -> list[str]:
    """Values that are repeated as runs, if that is much shorter; else []."""
    if len(values) < _LONG:
        return []
    runs = [f"[{_encode(value)},{len(list(alike))}]" for value, alike in groupby(values)]
    return runs if 3 * len(runs) <= len(values) else []


def _encode(value: Any) -> str:
    return _ENCODE[value.__class__](value)


class _Encoders(dict[type, "Callable[[Any], str]"]):
    """How each type is written; one for a NamedTuple or a subclass is made when it is first met."""

    def __missing__(self, cls: type) -> Callable[[Any], str]:
        # A path that knows it is one (TargetPath) is written as the text that it is.
        encode = self[cls] = _record_encoder(cls) if issubclass(cls, tuple) else self[cls.__mro__[1]]
        return encode


def _record_encoder(cls: Any) -> Callable[[Any], str]:
    zeros = zeros_of(cls)

    def encode(value: Any) -> str:
        pairs = zip(zeros.items(), value, strict=True)
        return "{" + ", ".join([f'"{name}": {_encode(part)}' for (name, zero), part in pairs if part != zero]) + "}"

    return encode


_ENCODE: _Encoders = _Encoders(
    {
        str: _quote,  # ASCII only: a byte that is not UTF-8 (a surrogate escape) survives every locale and editor
        int: int.__repr__,
        bool: lambda value: "true" if value else "false",
        type(None): lambda _: "null",
        tuple: lambda value: "[" + ", ".join([_ENCODE[part.__class__](part) for part in value]) + "]",
    }
)
