"""Plan <-> versioned JSON with a digest, so that a plan can be read, kept, compared and carried out later.

Steps, edges, mounts, filesystems, groups and lines are kept in columns: for each kind of step, and for each of the
others, a field has one list with the values of all of them. A list of one value means that all have it; a field that is
absent is empty, zero or false for all, as its type has it. A long column may be told by its runs instead, as in
{"runs": [[v, n], [w, m, d]]}: n times v, then m numbers that begin with w, each d more than the last. Texts are numbers
of `strings`, where each stands once: they are handles and paths, which come again and again. `order` has a letter for
each step, which its kind says. Each column and each string has a line of its own, so `diff` shows what differs between
two plans, but of steps only which values: the steps themselves are shown by `mountplan plan FILE`. With an object a
step, a plan was ten times as long.

The digest covers all that follows it, in the form in which `dump_plan` writes it. It tells damage and careless edits,
nothing more: who can change the file can write a new digest as well.

Nothing here is written per step: the fields and their types come from the NamedTuples, so a new kind of step in
`STEP_TYPES` is read, written and checked without a change to this module.
"""

from __future__ import annotations

import sys
from itertools import groupby, repeat

from mountplan.planner.errors import PlanFileError
from mountplan.planner.light import Literal, no_collector, remember
from mountplan.planner.names import Alteration, LeftOut, Moved
from mountplan.planner.plan.digest import sha256_hex
from mountplan.planner.plan.plain_json import loads
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
from mountplan.planner.plan.proof import prove
from mountplan.planner.plan.proof_values import REMEDY
from mountplan.planner.plan.steps import STEP_TYPES, Step
from mountplan.planner.record import NamedTuple
from mountplan.planner.run_settings import RunSettings
from mountplan.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn, TypeAlias

FORMAT = "mountplan-plan/3"

Json: TypeAlias = "Any"
# Kernel interfaces take 64 bits at most; a larger number would be cut silently on its way into a system call.
_Union: Any = type(int | str)  # types.UnionType
_LEAST, _MOST = -(2**63), 2**64 - 1


def dump_plan(plan: Plan) -> str:
    """The plan as JSON text, ending in a newline; the same bytes for the same plan and version of mountplan."""
    with no_collector():
        body = _body(plan)
    head = {"format": FORMAT, "mountplan": __version__, "digest": _digest(body.encode())}
    return "{\n" + "".join(f'"{key}": {_quote(value)},\n' for key, value in head.items()) + body


def digest_of(plan: Plan) -> str:
    """The digest of what a plan does: its name, the spec's file, and the lines in it do not count."""
    with no_collector():
        return _digest(_body(plan._replace(name="", file="", lines=(), moved=())).encode())


def load_plan(text: bytes | str, file: str) -> Plan:
    """The plan that `text` holds, proven to be one that may be carried out; `file` is what errors call it.

    Raises PlanFileError for whatever is not a whole, unaltered plan of this format, and PlanRefused, with the step, for
    one that does what no plan may do or does not come to what it says (planner/plan/proof.py).
    """
    plan = parse_plan(text, file)
    with no_collector():
        prove(plan, file)
    return plan


def parse_plan(text: bytes | str, file: str) -> Plan:
    """The plan that `text` holds, whatever it does: nothing but its form is judged.

    Formatting and the order of keys are free, contents are not. Raises PlanFileError.
    """
    with no_collector():
        document = _parse(text, file)
        _check_format(document, file)
        try:
            most = max(_MOST_ALIKE, len(text) // _BYTES)
            plan = _read_plan({key: document[key] for key in document if key not in _HEAD}, most)
        except _Bad as bad:
            _refuse(file, f"{bad.place}: {bad.what}" if bad.place else bad.what)
        if not _unaltered(text, document["digest"]) and document["digest"] != _digest(_body(plan).encode()):
            _refuse(file, "it was altered after mountplan wrote it (its digest does not fit its contents)")
    return plan


# ---- writing --------------------------------------------------------------------------------------------------------


def _body(plan: Plan) -> str:
    """What the digest covers: everything behind the line that holds it."""
    strings: dict[str, int] = {}
    by_kind: dict[type, list[Step]] = {}
    for step in plan.steps:
        by_kind.setdefault(type(step), []).append(step)
    letters = {cls: chr(ord("a") + number) for number, cls in enumerate(by_kind)}
    steps = {"order": _quote("".join([letters[type(step)] for step in plan.steps]))}
    for cls, alike in by_kind.items():
        steps[_KIND_OF[cls]] = _columns(cls, alike, strings, {"letter": _quote(letters[cls])})
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
        "lines": _counted(_Line, plan.lines, strings),
    }
    if plan.moved:
        parts["moved"] = _counted(Moved, plan.moved, strings)
    if plan.expected.altered:
        parts["altered"] = _counted(Alteration, plan.expected.altered, strings)
    if plan.expected.left_out:
        parts["left_out"] = _counted(LeftOut, plan.expected.left_out, strings)
    parts["strings"] = "[\n" + ",\n".join(map(_quote, strings)) + "\n]" if strings else "[]"
    return _object(parts).removeprefix("{\n") + "\n"


def _object(parts: dict[str, str]) -> str:
    """A JSON object with a line for each key; the values are JSON already."""
    return "{\n" + ",\n".join([f'"{name}": {part}' for name, part in parts.items()]) + "\n}"


def _counted(cls: Any, records: tuple[Any, ...], strings: dict[str, int]) -> str:
    return _columns(cls, records, strings, {"count": str(len(records))})


def _columns(cls: Any, records: Any, strings: dict[str, int], first: dict[str, str]) -> str:
    """Records of one class as an object of columns. `strings` gets the texts that it does not have yet."""
    parts = dict(first)
    for (name, hint), zero, column in zip(
        _hints(cls).items(), _zeros(cls).values(), zip(*records, strict=True), strict=bool(records)
    ):
        if name == "kind" and cls in _KIND_OF:
            continue
        values = column[:1] if column.count(column[0]) == len(column) else column
        if len(values) == 1 and values[0] == zero:
            continue
        if _is_text(hint):
            numbers = [strings.setdefault(value, len(strings)) for value in values]
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


def _is_text(hint: Any) -> bool:
    return hint is str or hint.__class__ is Literal


def _encode(value: Any) -> str:
    return _ENCODE[value.__class__](value)


class _Encoders(dict[type, "Callable[[Any], str]"]):
    """How each type is written; one for a NamedTuple or a subclass is made when it is first met."""

    def __missing__(self, cls: type) -> Callable[[Any], str]:
        # A path that knows it is one (TargetPath) is written as the text that it is.
        encode = self[cls] = _record_encoder(cls) if issubclass(cls, tuple) else self[cls.__mro__[1]]
        return encode


class _Line(NamedTuple):
    """One entry of Plan.lines."""

    origin: str
    line: int


def _record_encoder(cls: Any) -> Callable[[Any], str]:
    zeros = _zeros(cls)

    def encode(value: Any) -> str:
        pairs = zip(zeros.items(), value, strict=True)
        return "{" + ", ".join([f'"{name}": {_encode(part)}' for (name, zero), part in pairs if part != zero]) + "}"

    return encode


@remember
def _hints(cls: Any) -> dict[str, Any]:
    """What typing.get_type_hints says of a NamedTuple, in a tenth of the time: each annotation is evaluated once.

    That time counts: it is most of what loading a small plan takes.
    """
    known = _EVALUATED.setdefault(cls.__module__, {})
    hints = {}
    for name, hint in cls.__annotations__.items():
        text = getattr(hint, "__forward_arg__", hint)
        if text not in known:
            known[text] = eval(text, vars(sys.modules[cls.__module__])) if isinstance(text, str) else text
        hints[name] = known[text]
    return hints


_EVALUATED: dict[str, dict[Any, Any]] = {}


@remember
def _zeros(cls: Any) -> dict[str, Any]:
    """Field -> the value that is not written, in the order of the fields."""
    zeros: dict[str, Any] = {name: _zero(hint) for name, hint in _hints(cls).items()}
    if cls in _KIND_OF:
        zeros["kind"] = _KIND_OF[cls]
    return zeros


def _zero(hint: Any) -> Any:
    if getattr(hint, "__origin__", None) is tuple:
        return () if hint.__args__[-1] is Ellipsis else _NEVER
    if hint.__class__ is Literal:
        return "" if "" in hint.__args__ else _NEVER
    return hint() if hint in (str, int, bool) else _NEVER


_LONG = 16  # a shorter column tells each value: people read small plans
_NEVER = object()  # the zero of a field that is always written
_KIND_OF: dict[type, str] = {cls: cls._field_defaults["kind"] for cls in STEP_TYPES}
_ENCODE: _Encoders = _Encoders(
    {
        str: _quote,  # ASCII only: a byte that is not UTF-8 (a surrogate escape) survives every locale and editor
        int: int.__repr__,
        bool: lambda value: "true" if value else "false",
        type(None): lambda _: "null",
        tuple: lambda value: "[" + ", ".join([_ENCODE[part.__class__](part) for part in value]) + "]",
    }
)


# ---- reading --------------------------------------------------------------------------------------------------------


class _Bad(Exception):
    """Something in the document is not as the types say. `place` grows on the way out."""

    def __init__(self, what: str, place: str = "") -> None:
        self.what = what
        self.place = place
        super().__init__(what)

    def below(self, step: str) -> _Bad:
        dot = "." if self.place and not self.place.startswith("[") else ""
        return _Bad(self.what, f"{step}{dot}{self.place}")


Reader: TypeAlias = "Callable[[Json], Any]"


@remember
def _reader(annotation: Any) -> Reader:
    """A function from JSON to a value of the annotated type; it raises _Bad."""
    if getattr(annotation, "__origin__", None) is tuple:
        parts = annotation.__args__
        return _list_reader(_reader(parts[0])) if parts[-1] is Ellipsis else _fixed_reader(parts)
    if annotation.__class__ is Literal:
        return _literal_reader(annotation.__args__)
    if isinstance(annotation, _Union):
        return _union_reader(annotation.__args__)
    if hasattr(annotation, "_fields"):
        return _record_reader(annotation)
    return _plain_reader(annotation)


def _plain_reader(wanted: Any) -> Reader:
    def read(value: Json) -> Any:
        if value.__class__ is not wanted:
            raise _Bad(f"must be {_WORD[wanted]}, not {_told(value)}")
        if wanted is int and not _LEAST <= value <= _MOST:
            raise _Bad("is a number out of range")
        return value

    return read


_TEXT_READER = _reader(str)


def _literal_reader(allowed: tuple[str, ...]) -> Reader:
    def read(value: Json) -> Any:
        if value.__class__ is not str or value not in allowed:
            raise _Bad(f"must be one of {', '.join(map(_quote, allowed))}, not {_told(value)}")
        return value

    return read


def _union_reader(members: tuple[Any, ...]) -> Reader:
    readers = tuple(map(_reader, members))

    def read(value: Json) -> Any:
        for member, reader in zip(members, readers, strict=True):
            if value.__class__ is _class_of(member):
                return reader(value)
        words = " or ".join(_WORD.get(getattr(member, "__origin__", member), "an object") for member in members)
        raise _Bad(f"must be {words}, not {_told(value)}")

    return read


def _class_of(member: Any) -> type:
    """What JSON has for a value of this type."""
    kind: type = dict if hasattr(member, "_fields") else list if hasattr(member, "__origin__") else member
    return kind


def _list_reader(read_one: Reader) -> Reader:
    def read(value: Json) -> Any:
        if value.__class__ is not list:
            raise _Bad(f"must be a list, not {_told(value)}")
        if read_one is _TEXT_READER and set(map(type, value)) <= {str}:
            return tuple(value)
        try:
            return tuple([read_one(part) for part in value])
        except _Bad:
            pass
        for number, part in enumerate(value):  # once more, to tell which one it was
            try:
                read_one(part)
            except _Bad as bad:
                raise bad.below(f"[{number}]") from None
        raise AssertionError("a value was bad once and good the second time")

    return read


def _fixed_reader(parts: tuple[Any, ...]) -> Reader:
    readers = tuple(map(_reader, parts))
    judge = tuple((at, readers[at]) for at, part in enumerate(parts) if part is not str)

    def read(value: Json) -> Any:
        if value.__class__ is not list or len(value) != len(parts):
            raise _Bad(f"must be a list of {len(parts)}, not {_told(value)}")
        at = 0
        try:
            if (*map(type, value),) == parts:
                for at, reader in judge:
                    reader(value[at])
                return tuple(value)
            done = []
            for at, reader in enumerate(readers):
                done.append(reader(value[at]))
            return tuple(done)
        except _Bad as bad:
            raise bad.below(f"[{at}]") from None

    return read


def _record_reader(cls: Any) -> Reader:
    hints, zeros = _hints(cls), _zeros(cls)

    def read(value: Json) -> Any:
        if value.__class__ is not dict:
            raise _Bad(f"must be an object, not {_told(value)}")
        for name in value:
            if name not in hints:
                raise _Bad("is not known to this version of mountplan", name)
        parts = []
        for name, zero in zeros.items():
            if name in value:
                parts.append(_at(name, _reader(hints[name]), value[name]))
            elif zero is _NEVER:
                raise _Bad("is missing", name)
            else:
                parts.append(zero)
        return tuple.__new__(cls, parts)

    return read


def _read_plan(document: dict[str, Json], most: int) -> Plan:
    """`most`: how many records of a kind there may be that are not told one by one."""
    left = dict(document)

    def take(name: str, hint: Any) -> Any:
        if name not in left:
            raise _Bad("is missing", name)
        return _at(name, _reader(hint), left.pop(name))

    strings: tuple[str, ...] = take("strings", tuple[str, ...])

    def counted(cls: Any) -> Reader:
        return lambda value: _read_counted(cls, value, strings, most)

    def take_records(name: str, cls: Any) -> tuple[Any, ...]:
        return _at(name, counted(cls), left.pop(name, None))  # type: ignore[no-any-return]

    plan = Plan(
        name=take("name", str),
        file=take("file", str),
        requirements=take("requirements", tuple[Requirement, ...]),
        edges=take_records("edges", Edge),
        steps=_at("steps", lambda value: _read_steps(value, strings, most), left.pop("steps", None)),
        expected=Expected(
            _at("namespaces", _namespaces_reader(counted(ExpectedMount)), left.pop("namespaces", None)),
            take_records("filesystems", ExpectedFilesystem),
            take_records("groups", ExpectedGroup),
            take_records("left_out", LeftOut) if "left_out" in left else (),
            take_records("altered", Alteration) if "altered" in left else (),
        ),
        run=take("run", RunSettings),
        lines=take_records("lines", _Line),
        moved=take_records("moved", Moved) if "moved" in left else (),
    )
    for name in left:
        raise _Bad("is not known to this version of mountplan", name)
    return plan


def _at(name: str, read: Reader, value: Json) -> Any:
    try:
        return read(value)
    except _Bad as bad:
        raise bad.below(name) from None


def _read_steps(value: Json, strings: tuple[str, ...], most: int) -> tuple[Step, ...]:
    if value.__class__ is not dict:
        raise _Bad(f"must be an object, not {_told(value)}")
    order = value.get("order")
    if order.__class__ is not str:
        raise _Bad(f"must be a string, not {_told(order)}", "order")
    following: dict[str, Callable[[], Step]] = {}
    for kind, columns in value.items():
        if kind == "order":
            continue
        if kind not in _KINDS:
            raise _Bad("is not a kind of step that this version of mountplan knows", kind)
        if columns.__class__ is not dict:
            raise _Bad(f"must be an object, not {_told(columns)}", kind)
        letter = columns.get("letter")
        if letter.__class__ is not str or len(letter) != 1 or letter in following:
            raise _Bad("must be a letter of its own", f"{kind}.letter")
        fields = {name: columns[name] for name in columns if name != "letter"}
        try:
            steps = _read_columns(_KINDS[kind], fields, order.count(letter), strings, most)
        except _Bad as bad:
            raise bad.below(kind) from None
        following[letter] = iter(steps).__next__
    for letter in set(order) - following.keys():
        raise _Bad(f"has steps of kind {_quote(letter)}, and there are none", "order")
    return tuple([following[letter]() for letter in order])


def _namespaces_reader(read_mounts: Reader) -> Reader:
    def read_one(value: Json) -> ExpectedNamespace:
        if value.__class__ is not dict or set(value) - {"user"} != {"name", "mounts"}:
            raise _Bad(f"must be an object with name and mounts, not {_told(value)}")
        name, user = (_at(key, _reader(str), value.get(key, "")) for key in ("name", "user"))
        return ExpectedNamespace(name, _at("mounts", read_mounts, value["mounts"]), user)

    return _list_reader(read_one)


def _read_counted(cls: Any, value: Json, strings: tuple[str, ...], most: int) -> tuple[Any, ...]:
    if value.__class__ is not dict:
        raise _Bad(f"must be an object, not {_told(value)}")
    count = value.get("count")
    if count.__class__ is not int or not 0 <= count <= _MOST_RECORDS:
        raise _Bad("must be how many there are", "count")
    return _read_columns(cls, {name: value[name] for name in value if name != "count"}, count, strings, most)


def _read_columns(cls: Any, value: Json, count: int, strings: tuple[str, ...], most: int) -> tuple[Any, ...]:
    """`count` records of one class, each column judged as a whole."""
    if value.__class__ is not dict:
        raise _Bad(f"must be an object, not {_told(value)}")
    hints = _hints(cls)
    columns: list[Any] = []
    if count > most and all(one.__class__ is not list or len(one) < count for one in value.values()):
        raise _Bad(f"{count} of the same cannot be meant")
    for name in value:
        if name not in hints or (name == "kind" and cls in _KIND_OF):
            raise _Bad("is not known to this version of mountplan", name)
    if value and not count:
        raise _Bad("says something of none")
    for name, zero in _zeros(cls).items():
        if name not in value:
            if zero is _NEVER and count:
                raise _Bad("is missing", name)
            columns.append(repeat(zero, count))
            continue
        column = value[name]
        if column.__class__ is dict and column.keys() == {"runs"}:
            try:
                columns.append(_read_runs(hints[name], column["runs"], count, strings))
            except _Bad as bad:
                raise bad.below(name) from None
            continue
        if column.__class__ is not list or len(column) not in (1, count):
            raise _Bad(f"must be a list of 1 or {count}, not {_told(column)}", name)
        try:
            read = _read_column(hints[name], column, strings)
        except _Bad as bad:
            raise bad.below(name) from None
        columns.append(repeat(read[0], count) if len(column) == 1 else read)
    rows = zip(*columns, strict=True)
    return tuple(rows if cls is _Line else map(tuple.__new__, repeat(cls), rows))


def _read_runs(hint: Any, runs: Json, count: int, strings: tuple[str, ...]) -> list[Any]:
    """A column that is told by its runs."""
    if runs.__class__ is not list:
        raise _Bad(f"must be a list, not {_told(runs)}", "runs")
    read = _reader(hint)
    counts_up = _is_text(hint) or hint is int
    found: list[Any] = []
    for number, run in enumerate(runs):
        try:
            if run.__class__ is not list or len(run) not in (2, 3):
                raise _Bad(f"must be a list of 2 or 3, not {_told(run)}")
            value, times, *more = run
            if times.__class__ is not int or not 1 <= times <= count - len(found):
                raise _Bad(f"must be a number from 1 to {count - len(found)}, not {_shown(times)}", "[1]")
            if not counts_up:
                if more:
                    raise _Bad("must be a list of 2, not a list of 3")
                found += [_at("[0]", read, value)] * times
                continue
            step = more[0] if more else 0
            if step.__class__ is not int or not _LEAST <= step <= _MOST:
                raise _Bad(f"must be a number, not {_told(step)}", "[2]")
            last = value + step * (times - 1) if value.__class__ is int else value
            for one in (value, last):
                _read_column(hint, [one], strings)
            numbers = range(value, last + (1 if step > 0 else -1), step) if step else repeat(value, times)
            if not _is_text(hint):
                found += numbers
            elif step == 1 and hint is str:
                found += strings[value : last + 1]
            else:
                texts = [strings[one] for one in numbers]
                found += texts if hint is str else [read(one) for one in texts]
        except _Bad as bad:
            raise bad.below(f"runs[{number}]") from None
    if len(found) != count:
        raise _Bad(f"must come to {count}, not {len(found)}", "runs")
    return found


def _read_column(hint: Any, column: list[Json], strings: tuple[str, ...]) -> Any:
    kinds = set(map(type, column))
    if _is_text(hint):
        if kinds != {int} or min(column) < 0 or max(column) >= len(strings):
            number = next(
                at for at, one in enumerate(column) if one.__class__ is not int or not 0 <= one < len(strings)
            )
            raise _Bad(f"must be the number of a string, not {_shown(column[number])}", f"[{number}]")
        texts = [strings[number] for number in column]
        if hint is not str and not set(texts) <= set(hint.__args__):
            _judge_each(_reader(hint), texts)
        return texts
    if hint is bool and kinds == {bool}:
        return column
    if hint is int and kinds == {int} and _LEAST <= min(column) and max(column) <= _MOST:
        return column
    return _judge_each(_reader(hint), column)


def _judge_each(reader: Reader, column: list[Json]) -> list[Any]:
    found = []
    for number, one in enumerate(column):
        try:
            found.append(reader(one))
        except _Bad as bad:
            raise bad.below(f"[{number}]") from None
    return found


def _shown(value: Json) -> str:
    return str(value) if value.__class__ is int and abs(value) < 1 << 63 else _told(value)


_KINDS: dict[str, Any] = {kind: cls for cls, kind in _KIND_OF.items()}
# What a few bytes can ask for without saying more: a file may not take memory that is out of proportion to its length.
_MOST_RECORDS, _MOST_ALIKE = 1 << 26, 1000
_BYTES = 8  # of the file for each record that it does not tell one by one, at least; they come to thirty and more
_HEAD = ("format", "mountplan", "digest")
_WORD: dict[Any, str] = {str: "a string", int: "a number", bool: "true or false", type(None): "null", tuple: "a list"}


def _told(value: Json) -> str:
    """A JSON value as an error names it: short, whatever it is."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _quote(value if len(value) <= 40 else value[:40] + "...")
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return {int: "a number", float: "a number with a fraction", dict: "an object"}[value.__class__]


def _parse(text: bytes | str, file: str) -> dict[str, Json]:
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        document = loads(text)
    except UnicodeDecodeError as error:
        _refuse(file, f"it is not UTF-8 (byte {error.start})")
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        if line:  # json.JSONDecodeError
            words = str(getattr(error, "msg", ""))
            what = "it is empty" if not text.strip() else f"it is not JSON, or not whole: {words.lower()}"
            _refuse(f"{file}:{line}", what)
        # a number of thousands of digits; brackets nested without end
        _refuse(file, "it holds JSON that no plan holds")
    if document.__class__ is not dict or "format" not in document:
        _refuse(file, 'it is JSON, but not a plan (there is no "format" in it)')
    return document


def _check_format(document: dict[str, Json], file: str) -> None:
    found = document["format"]
    if isinstance(found, str) and found.startswith("mountplan-change/"):
        _refuse(file, "it is a plan of changes, which `mountplan apply FILE.json` takes, by that name")
    if found != FORMAT:
        writer = document.get("mountplan")
        by = f", written by mountplan {writer}" if isinstance(writer, str) else ""
        told = found if isinstance(found, str) and len(found) < 40 else _told(found)
        _refuse(file, f"its format is {told}{by}; mountplan {__version__} reads {FORMAT}")
    if document.get("digest").__class__ is not str:
        _refuse(file, "it has no digest, so it cannot be told whether it is whole")


def _unaltered(text: bytes | str, digest: str) -> bool:
    """Whether the text is still, to the byte, what dump_plan wrote. This spares writing the plan out again."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    mark = f'"digest": {_quote(digest)},\n'.encode()
    at = data.find(mark, 0, 400)
    return at > 0 and _digest(memoryview(data)[at + len(mark) :]) == digest


def _digest(body: bytes | memoryview) -> str:
    return "sha256:" + sha256_hex(body)


def _refuse(file: str, what: str) -> NoReturn:
    raise PlanFileError(f"{file}: cannot use this plan: {what}\n  remedy: {REMEDY}")
