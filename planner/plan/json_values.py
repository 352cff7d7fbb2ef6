"""JSON -> values of the types that records are annotated with: a reader for each type, which says what is wrong."""

from __future__ import annotations

from mountplan.planner.light import Literal, remember
from mountplan.planner.plan.plain_json import quote as _quote
from mountplan.planner.plan.plan_fields import NEVER, hints_of, zeros_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

Json: TypeAlias = "Any"
Reader: TypeAlias = "Callable[[Json], Any]"
# Kernel interfaces take 64 bits at most; a larger number would be cut silently on its way into a system call.
LEAST, MOST = -(2**63), 2**64 - 1
_Union: Any = type(int | str)  # types.UnionType
_WORD: dict[Any, str] = {str: "a string", int: "a number", bool: "true or false", type(None): "null", tuple: "a list"}


class Malformed(Exception):
    """Something in the document is not as the types say. `place` grows on the way out."""

    def __init__(self, what: str, place: str = "") -> None:
        self.what = what
        self.place = place
        super().__init__(what)

    def below(self, step: str) -> Malformed:
        dot = "." if self.place and not self.place.startswith("[") else ""
        return Malformed(self.what, f"{step}{dot}{self.place}")


@remember
def reader_of(annotation: Any) -> Reader:
    """A function from JSON to a value of the annotated type; it raises Malformed."""
    if getattr(annotation, "__origin__", None) is tuple:
        parts = annotation.__args__
        return list_reader(reader_of(parts[0])) if parts[-1] is Ellipsis else _fixed_reader(parts)
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
            raise Malformed(f"must be {_WORD[wanted]}, not {in_short(value)}")
        if wanted is int and not LEAST <= value <= MOST:
            raise Malformed("is a number out of range")
        return value

    return read


_TEXT_READER = reader_of(str)


def _literal_reader(allowed: tuple[str, ...]) -> Reader:
    def read(value: Json) -> Any:
        if value.__class__ is not str or value not in allowed:
            raise Malformed(f"must be one of {', '.join(map(_quote, allowed))}, not {in_short(value)}")
        return value

    return read


def _union_reader(members: tuple[Any, ...]) -> Reader:
    readers = tuple(map(reader_of, members))

    def read(value: Json) -> Any:
        for member, reader in zip(members, readers, strict=True):
            if value.__class__ is _class_of(member):
                return reader(value)
        words = " or ".join(_WORD.get(getattr(member, "__origin__", member), "an object") for member in members)
        raise Malformed(f"must be {words}, not {in_short(value)}")

    return read


def _class_of(member: Any) -> type:
    """What JSON has for a value of this type."""
    kind: type = dict if hasattr(member, "_fields") else list if hasattr(member, "__origin__") else member
    return kind


def list_reader(read_one: Reader) -> Reader:
    def read(value: Json) -> Any:
        if value.__class__ is not list:
            raise Malformed(f"must be a list, not {in_short(value)}")
        if read_one is _TEXT_READER and set(map(type, value)) <= {str}:
            return tuple(value)
        try:
            return tuple([read_one(part) for part in value])
        except Malformed:
            return tuple(read_each(read_one, value))  # once more, to tell which one it is

    return read


def _fixed_reader(parts: tuple[Any, ...]) -> Reader:
    readers = tuple(map(reader_of, parts))
    judge = tuple((at, readers[at]) for at, part in enumerate(parts) if part is not str)

    def read(value: Json) -> Any:
        if value.__class__ is not list or len(value) != len(parts):
            raise Malformed(f"must be a list of {len(parts)}, not {in_short(value)}")
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
        except Malformed as bad:
            raise bad.below(f"[{at}]") from None

    return read


def _record_reader(cls: Any) -> Reader:
    hints, zeros = hints_of(cls), zeros_of(cls)

    def read(value: Json) -> Any:
        if value.__class__ is not dict:
            raise Malformed(f"must be an object, not {in_short(value)}")
        for name in value:
            if name not in hints:
                raise Malformed("is not known to this version of mountplan", name)
        parts = []
        for name, zero in zeros.items():
            if name in value:
                parts.append(at_key(name, reader_of(hints[name]), value[name]))
            elif zero is NEVER:
                raise Malformed("is missing", name)
            else:
                parts.append(zero)
        return tuple.__new__(cls, parts)

    return read


def at_key(name: str, read: Reader, value: Json) -> Any:
    try:
        return read(value)
    except Malformed as bad:
        raise bad.below(name) from None


def read_each(reader: Reader, column: list[Json]) -> list[Any]:
    found = []
    for number, one in enumerate(column):
        try:
            found.append(reader(one))
        except Malformed as bad:
            raise bad.below(f"[{number}]") from None
    return found


def shown(value: Json) -> str:
    return str(value) if value.__class__ is int and abs(value) < 1 << 63 else in_short(value)


def in_short(value: Json) -> str:
    """A JSON value as an error names it: short, whatever it is."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _quote(value if len(value) <= 40 else value[:40] + "...")
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return {int: "a number", float: "a number with a fraction", dict: "an object"}[value.__class__]
