"""Several specs, each from a file of its own, made one: mounts one after the other, ids and groups shared.

Of what a spec can say once, the file that includes wins over what it includes, and a later one over an earlier one;
[run] and its environment key by key. What contradicts in sharing is a mistake: nobody could tell from one file who
receives what.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mountplan.planner.errors import Mistake, SpecRef
from mountplan.planner.language.locate import Places, key_path
from mountplan.planner.language.origins import Origins
from mountplan.planner.record import NamedTuple

_OF_A_FILE = ("format", "include", "parameters")


class Merged(NamedTuple):
    """The fields of the spec that it comes to, and which of them are written somewhere."""

    values: dict[str, Any]
    origins: Origins
    mistakes: list[Mistake]


class _Merging:
    """The models are asked for nothing but their fields, so that whatever a spec may have is merged by its kind."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.moved: dict[str, tuple[int, str]] = {}
        self.clashes: list[tuple[str, int, str]] = []  # key path in both, number of the file, what is wrong
        self._namespaces: dict[str, int] = {}

    def add(self, number: int, spec: Any) -> None:
        for name in type(spec).model_fields:
            value = getattr(spec, name)
            if name in _OF_A_FILE:
                continue
            if name == "namespace":
                self._add_namespaces(number, value)
            elif isinstance(value, list):
                self._append(number, name, name, self.values.setdefault(name, []), value)
            elif isinstance(value, dict):
                self._add_entries(number, name, value)
            elif isinstance(value, tuple):
                if name in spec.model_fields_set:
                    self._note(number, name, name)
                self.values[name] = tuple(dict.fromkeys((*self.values.get(name, ()), *value)))
            elif hasattr(value, "model_fields_set"):
                self._add_settings(number, name, value)
            elif name in spec.model_fields_set:
                self._note(number, name, name)
                self.values[name] = value

    def _note(self, number: int, key: str, own: str) -> None:
        self.moved[key] = (number, own)

    def _append(self, number: int, key: str, own: str, there: list[Any], more: list[Any]) -> None:
        for index, value in enumerate(more):
            self._note(number, f"{key}[{len(there)}]", f"{own}[{index}]")
            there.append(value)

    def _add_entries(self, number: int, name: str, entries: dict[str, Any]) -> None:
        there = self.values.setdefault(name, {})
        for entry, value in entries.items():
            key = key_path(name, entry)
            if there.setdefault(entry, value) != value:
                self.clashes.append((key, number, "says something else here"))
            elif key not in self.moved:
                self._note(number, key, key)

    def _add_settings(self, number: int, name: str, value: Any) -> None:
        there = self.values.get(name)
        settings: dict[str, Any] = {} if there is None else {key: getattr(there, key) for key in there.model_fields_set}
        for key in type(value).model_fields:  # in an order that is always the same
            if key not in value.model_fields_set:
                continue
            new = getattr(value, key)
            self._note(number, key_path(name, key), key_path(name, key))
            if isinstance(new, dict):
                for entry in new:
                    self._note(number, key_path(name, key, entry), key_path(name, key, entry))
                new = {**settings.get(key, {}), **new}
            settings[key] = new
        self.values[name] = type(value).model_construct(**settings)

    def _add_namespaces(self, number: int, namespaces: list[Any]) -> None:
        """Those of one name are one, if they are in different files: else that is a mistake, which resolve tells."""
        there = self.values.setdefault("namespace", [])
        before = dict(self._namespaces)
        for index, one in enumerate(namespaces):
            at = before.get(one.name, len(there))
            first = there[at] if at < len(there) else None
            self._note(number, f"namespace[{at}]", f"namespace[{index}]")
            said: dict[str, Any] = {}
            for field in one.model_fields_set:
                key, own = f"namespace[{at}].{field}", f"namespace[{index}].{field}"
                value, earlier = getattr(one, field), getattr(first, field, ())
                if isinstance(value, list):
                    said[field] = list(earlier)
                    self._append(number, key, own, said[field], value)
                else:
                    self._note(number, key, own)
                    said[field] = tuple(dict.fromkeys((*earlier, *value))) if isinstance(value, tuple) else value
            if first is not None:
                there[at] = first.model_copy(update=said)
                continue
            self._namespaces[one.name] = at
            there.append(one)


def merge(specs: Sequence[tuple[str, Places, Any]], order: Sequence[int]) -> Merged:
    """`specs` are file, places and spec of each part; `order` has their numbers, the one that wins last."""
    merging = _Merging()
    for number in order:
        merging.add(number, specs[number][2])
    origins = Origins([(file, places) for file, places, _ in specs], merging.moved)
    mistakes = []
    for key, number, what in merging.clashes:
        file, places, _ = specs[number]
        first = origins.ref(key)
        differs = f"{what} than in {first.file}, line {first.line}"
        remedy = "say it in one of the files only, or say the same in both"
        mistakes.append(Mistake(SpecRef(file, key, places.line(key)), differs, remedy))
    return Merged(merging.values, origins, mistakes)
