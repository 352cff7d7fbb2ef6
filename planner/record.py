"""NamedTuple, as typing has it, in a tenth of the time: start-up counts, and most of it went into making such classes.

typing compiles every annotation, and a constructor for every class. Here annotations stay the texts that they are,
and a constructor is compiled only for a class of which there are many records: who reads a saved plan makes its steps
without.
"""

from __future__ import annotations

from _collections import _tuplegetter  # type: ignore[import-not-found, unused-ignore]
from sys import intern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_FEW = 25  # records, which take as long as to compile a constructor
_made: dict[type, int] = {}  # how many there are of a class that has no constructor yet


class _Maker(type):
    """Makes a subclass of tuple of each class that is derived from NamedTuple."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
        fields = tuple(map(intern, namespace.get("__annotations__", ())))
        defaults = {field: namespace[field] for field in fields if field in namespace}
        if tuple(defaults) != fields[len(fields) - len(defaults) :]:
            raise TypeError(f"{name}: a field without a default follows one that has one")
        made = {
            "__slots__": (),
            "_fields": fields,
            "_field_defaults": defaults,
            "__match_args__": fields,
            "__new__": _new,
            "_make": classmethod(_make),
            "_replace": _replace,
            "_asdict": _asdict,
            "__repr__": _repr,
            "__getnewargs__": _values,
        }
        made |= namespace
        made |= {field: _tuplegetter(number, field) for number, field in enumerate(fields)}
        return type.__new__(type, name, (tuple,), made)


def _new(cls: Any, /, *values: Any, **named: Any) -> Any:
    """What a constructor does, for the first records of a class; after those, make one, put it into its place, call it.

    To make one takes as long as these records do, and most classes never have as many.
    """
    made = _made[cls] = _made.get(cls, 0) + 1
    left, known = cls._fields[len(values) :], cls._field_defaults | named
    right = len(values) + len(left) == len(cls._fields) and known.keys() >= {*left} >= named.keys()
    if right and made <= _FEW:
        return tuple.__new__(cls, (*values, *map(known.__getitem__, left)))
    names = ", ".join(("_cls", *cls._fields))
    values_of_all = "".join(f"{name}, " for name in cls._fields)
    new = eval(f"lambda {names}: _new(_cls, ({values_of_all}))", {"_new": tuple.__new__, "__builtins__": {}})
    new.__name__ = new.__qualname__ = "__new__"
    new.__defaults__ = tuple(cls._field_defaults.values()) or None
    cls.__new__ = new
    return new(cls, *values, **named)


def _make(cls: Any, values: Iterable[Any]) -> Any:
    record = tuple.__new__(cls, values)
    if len(record) != len(cls._fields):
        raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(record)}")
    return record


def _replace(self: Any, /, **changes: Any) -> Any:
    record = self._make(map(changes.pop, self._fields, self))
    if changes:
        raise ValueError(f"Got unexpected field names: {list(changes)!r}")
    return record


def _asdict(self: Any) -> dict[str, Any]:
    return dict(zip(self._fields, self, strict=True))


def _values(self: Any) -> tuple[Any, ...]:
    """For copy and pickle. (`tuple` itself would not do: only functions become methods.)"""
    return tuple(self)


def _repr(self: Any) -> str:
    values = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
    return f"{self.__class__.__name__}({values})"


if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    NamedTuple = type.__new__(_Maker, "NamedTuple", (), {"__module__": __name__})
