"""Plan <-> versioned JSON with a digest, so that a plan can be read, kept, compared and carried out later.

The text has one step, one edge, one mount a line: `diff` on two plans shows which steps differ. The digest covers all
that follows it, in the form in which `dump_plan` writes it. It tells damage and careless edits, nothing more: whoever
can change the file can write a new digest as well.

A field that is absent is empty, zero, false or null, as its type has it: most are, and the text is half as long.

Nothing here is written per step: the fields and their types come from the NamedTuples, so a new kind of step in
`STEP_TYPES` is read, written and checked without a change to this module.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from json.encoder import encode_basestring_ascii as _quote
from operator import itemgetter
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeAlias, Union, get_args, get_origin

import mountplan
from mountplan.planner.collector import no_collector
from mountplan.planner.digest import sha256_hex
from mountplan.planner.errors import PlanFileError
from mountplan.planner.plan import Expected, ExpectedNamespace, Plan
from mountplan.planner.planproof import prove
from mountplan.planner.planvalues import REMEDY
from mountplan.planner.record import NamedTuple
from mountplan.planner.steps import STEP_TYPES, Step

FORMAT = "mountplan-plan/1"

Json: TypeAlias = Any
# Kernel interfaces take 64 bits at most; a larger number would be cut silently on its way into a system call.
_LEAST, _MOST = -(2**63), 2**64 - 1


def dump_plan(plan: Plan) -> str:
    """The plan as JSON text, ending in a newline; the same bytes for the same plan and version of mountplan."""
    with no_collector():
        body = _body(plan)
    head = {"format": FORMAT, "mountplan": mountplan.__version__, "digest": _digest(body.encode())}
    return "{\n" + "".join(f'"{key}": {_quote(value)},\n' for key, value in head.items()) + body


def digest_of(plan: Plan) -> str:
    """The digest of what a plan does: its name, the spec's file, and the lines in it do not count."""
    with no_collector():
        return _digest(_body(plan._replace(name="", file="", lines=())).encode())


def load_plan(text: bytes | str, file: str) -> Plan:
    """The plan that `text` holds, proven to be one that may be carried out; `file` is what errors call it.

    Raises PlanFileError for whatever is not a whole, unaltered plan of this format, and PlanRefused, with the step, for
    one that does what no plan may do or does not come to what it says (planner/planproof.py).
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
            plan: Plan = _reader(Plan)({key: document[key] for key in document if key not in _HEAD})
        except _Bad as bad:
            _refuse(file, f"{bad.place}: {bad.what}" if bad.place else bad.what)
        if not _unaltered(text, document["digest"]) and document["digest"] != _digest(_body(plan).encode()):
            _refuse(file, "it was altered after mountplan wrote it (its digest does not fit its contents)")
    return plan


# ---- writing --------------------------------------------------------------------------------------------------------


def _body(plan: Plan) -> str:
    """What the digest covers: everything behind the line that holds it."""
    return _laid_out(plan).removeprefix("{\n") + "\n"


def _laid_out(value: Any) -> str:
    """A list of records gets a line for each of them, whatever it is nested in."""
    if value.__class__ in _SPREAD:
        parts = (f'"{name}": {_laid_out(part)}' for name, part in zip(value._fields, value, strict=True))
        return "{\n" + ",\n".join(parts) + "\n}"
    if value.__class__ is tuple and value and isinstance(value[0], tuple):
        return "[\n" + ",\n".join(map(_laid_out, value)) + "\n]"
    return _encode(value)


def _encode(value: Any) -> str:
    return _ENCODE[value.__class__](value)


class _Encoders(dict[type, Callable[[Any], str]]):
    """How each type is written; one for a NamedTuple or a subclass is made when it is first met."""

    def __missing__(self, cls: type) -> Callable[[Any], str]:
        # A path that knows it is one (TargetPath) is written as the text that it is.
        encode = self[cls] = _record_encoder(cls) if issubclass(cls, tuple) else self[cls.__mro__[1]]
        return encode


class _Shape(NamedTuple):
    """How records of one class with the same fields empty are written: those fields, true and the kind are constant."""

    template: str
    pick: Callable[[Any], tuple[Any, ...]]
    only_text: bool


def _record_encoder(cls: Any) -> Callable[[Any], str]:
    shapes: dict[tuple[bool, ...], _Shape] = {}

    def encode(value: Any) -> str:
        filled = tuple(map(bool, value))
        shape = shapes.get(filled)
        if shape is None:
            shape = shapes[filled] = _shape(cls, filled)
        if shape.only_text:
            return shape.template % tuple(map(_quote, shape.pick(value)))
        return shape.template % tuple([_ENCODE[part.__class__](part) for part in shape.pick(value)])

    return encode


def _shape(cls: Any, filled: tuple[bool, ...]) -> _Shape:
    hints = _hints(cls)
    written = [f'"kind": "{_KIND_OF[cls]}"'] if cls in _KIND_OF else []  # first, as people read it first
    picked = []
    for place, (name, zero) in enumerate(_zeros(cls).items()):
        if name == "kind" and cls in _KIND_OF:
            continue
        if filled[place] and hints[name] is bool:
            written.append(f'"{name}": true')
        elif filled[place] or zero is _NEVER:
            written.append(f'"{name}": %s')
            picked.append(place)
    kinds = [hints[cls._fields[place]] for place in picked]
    only_text = all(kind is str or get_origin(kind) is Literal for kind in kinds)
    return _Shape("{" + ", ".join(written) + "}", _picker(picked), only_text)


def _picker(places: list[int]) -> Callable[[Any], tuple[Any, ...]]:
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0, 0))


@cache
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


@cache
def _zeros(cls: Any) -> dict[str, Any]:
    """Field -> the value that is not written, in the order of the fields."""
    zeros: dict[str, Any] = {name: _zero(hint) for name, hint in _hints(cls).items()}
    if cls in _KIND_OF:
        zeros["kind"] = _KIND_OF[cls]
    return zeros


def _zero(hint: Any) -> Any:
    origin = get_origin(hint)
    if origin is tuple:
        return () if get_args(hint)[-1] is Ellipsis else _NEVER
    if origin is Literal:
        return "" if "" in get_args(hint) else _NEVER
    return hint() if hint in (str, int, bool) else _NEVER


_SPREAD = (Plan, Expected, ExpectedNamespace)
_NEVER = object()  # the zero of a field that is always written
_KIND_OF: dict[type, str] = {cls: cls._field_defaults["kind"] for cls in STEP_TYPES}
_ENCODE: _Encoders = _Encoders(
    {
        str: _quote,  # ASCII only: a byte that is not UTF-8 (a surrogate escape) survives every locale and editor
        int: int.__repr__,
        bool: lambda value: "true" if value else "false",
        NoneType: lambda _: "null",
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


Reader: TypeAlias = Callable[[Json], Any]


@cache
def _reader(annotation: Any) -> Reader:
    """A function from JSON to a value of the annotated type; it raises _Bad."""
    origin = get_origin(annotation)
    if origin is tuple:
        parts = get_args(annotation)
        return _list_reader(_reader(parts[0])) if parts[-1] is Ellipsis else _fixed_reader(parts)
    if origin is Literal:
        return _literal_reader(get_args(annotation))
    if annotation == Step:
        return _read_step
    if origin in (Union, UnionType):
        return _union_reader(get_args(annotation))
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
            if value.__class__ is (dict if hasattr(member, "_fields") else list if get_origin(member) else member):
                return reader(value)
        words = " or ".join(_WORD.get(get_origin(member) or member, "an object") for member in members)
        raise _Bad(f"must be {words}, not {_told(value)}")

    return read


def _list_reader(read_one: Reader) -> Reader:
    def read(value: Json) -> Any:
        if value.__class__ is not list:
            raise _Bad(f"must be a list, not {_told(value)}")
        try:
            if read_one is _read_step:  # the longest list by far: one call less for each of them
                readers = _STEP_READERS
                return tuple([readers[part["kind"]](part) for part in value])
            return tuple([read_one(part) for part in value])
        except (_Bad, LookupError, TypeError):
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


class _Form(NamedTuple):
    """How to make a record from an object with certain keys and types of values.

    `arrange` puts the values, followed by the zeros of all fields, into the order of the fields; `judge` are the fields
    where a right type is not enough, `convert` those whose value becomes another one.
    """

    arrange: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    judge: tuple[tuple[int, Reader], ...]
    convert: tuple[tuple[int, Reader], ...]


def _record_reader(cls: Any) -> Reader:
    """An object is judged by its keys and the types of its values; what a combination needs is found out once."""
    zeros = tuple(_zeros(cls).values())
    forms: dict[tuple[Any, ...], _Form] = {}
    make = tuple.__new__

    def read(value: Json) -> Any:
        if value.__class__ is not dict:
            raise _Bad(f"must be an object, not {_told(value)}")
        key = (*value, *map(type, value.values()))
        form = forms.get(key)
        if form is None:
            form = forms[key] = _form(cls, value)
        record = form.arrange((*value.values(), *zeros))
        at = 0
        try:
            for at, reader in form.judge:
                reader(record[at])
            if form.convert:
                parts = list(record)
                for at, reader in form.convert:
                    parts[at] = reader(parts[at])
                return make(cls, parts)
        except _Bad as bad:
            raise bad.below(cls._fields[at]) from None
        return make(cls, record)

    return read


def _form(cls: Any, value: dict[str, Json]) -> _Form:
    hints = _hints(cls)
    given = list(value)
    for name in given:
        if name not in hints:
            raise _Bad("is not known to this version of mountplan", name)
    places: list[int] = []
    judge: list[tuple[int, Reader]] = []
    convert: list[tuple[int, Reader]] = []
    for at, (name, zero) in enumerate(_zeros(cls).items()):
        if name not in value:
            if zero is _NEVER:
                raise _Bad("is missing", name)
            places.append(len(given) + at)
            continue
        places.append(given.index(name))
        reader = _reader(hints[name])
        try:
            reader(value[name])
        except _Bad as bad:
            raise bad.below(name) from None
        if name == "kind" and cls in _KIND_OF:
            continue  # the reader was chosen by it
        if hints[name] is int or get_origin(hints[name]) is Literal:
            judge.append((at, reader))
        elif hints[name] not in (str, bool):
            convert.append((at, reader))
    return _Form(_picker(places), tuple(judge), tuple(convert))


def _read_step(value: Json) -> Any:
    if value.__class__ is not dict:
        raise _Bad(f"must be an object, not {_told(value)}")
    try:
        reader = _STEP_READERS[value["kind"]]
    except KeyError:
        raise _Bad("is missing, or not a kind of step that this version of mountplan knows", "kind") from None
    except TypeError:
        raise _Bad("must be a string", "kind") from None
    return reader(value)


class _StepReaders(dict[str, Reader]):
    def __missing__(self, kind: str) -> Reader:
        reader = self[kind] = _reader(_KINDS[kind])
        return reader


_KINDS = {kind: cls for cls, kind in _KIND_OF.items()}
_STEP_READERS = _StepReaders()
_HEAD = ("format", "mountplan", "digest")
_WORD: dict[Any, str] = {str: "a string", int: "a number", bool: "true or false", NoneType: "null", tuple: "a list"}


def _told(value: Json) -> str:
    """A JSON value as an error names it: short, whatever it is."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return _quote(value if len(value) <= 40 else value[:40] + "...")
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return {int: "a number", float: "a number with a fraction", dict: "an object"}[value.__class__]


def _parse(text: bytes | str, file: str) -> dict[str, Json]:
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        document = json.loads(text)
    except UnicodeDecodeError as error:
        _refuse(file, f"it is not UTF-8 (byte {error.start})")
    except json.JSONDecodeError as error:
        what = "it is empty" if not text.strip() else f"it is not JSON, or not whole: {error.msg.lower()}"
        _refuse(f"{file}:{error.lineno}", what)
    except (ValueError, RecursionError):  # a number of thousands of digits; brackets nested without end
        _refuse(file, "it holds JSON that no plan holds")
    if document.__class__ is not dict or "format" not in document:
        _refuse(file, 'it is JSON, but not a plan (there is no "format" in it)')
    return document


def _check_format(document: dict[str, Json], file: str) -> None:
    found = document["format"]
    if found != FORMAT:
        writer = document.get("mountplan")
        by = f", written by mountplan {writer}" if isinstance(writer, str) else ""
        told = found if isinstance(found, str) and len(found) < 40 else _told(found)
        _refuse(file, f"its format is {told}{by}; mountplan {mountplan.__version__} reads {FORMAT}")
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
