"""What the models have to say against a spec, in words for the person who wrote it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin

from mountplan.planner.attributes import NAMES
from mountplan.planner.characters import toml_key, toml_string
from mountplan.planner.language.fstab_words import instead_of_option
from mountplan.planner.language.hints import HINTS, VALUE_HINTS
from mountplan.planner.language.values import Unfit, described, either, shown, suggestion
from mountplan.planner.light import regex
from mountplan.planner.record import NamedTuple

Path = tuple[str | int, ...]


class ModelFinding(NamedTuple):
    """One mistake: its key path in the raw spec, what is wrong, the remedy, and what kind of mistake it is."""

    path: Path
    what: str
    remedy: str
    kind: Literal["unknown", "missing", "key", "value"] = "value"


class Field(NamedTuple):
    """What the models say about one key."""

    name: str
    table: Any  # the model of the tables in it, None if it holds none
    is_dict: bool  # a table whose keys are free
    choices: tuple[str, ...]
    example: object

    @property
    def line(self) -> str:
        """The key with an example, as it stands in a spec."""
        return f"{self.name} = {toml(self.example)}"


def toml(value: object) -> str:
    """A value as TOML writes it in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml_key(key)} = {toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(inner) for inner in value) + "]"
    if isinstance(value, str):
        return toml_string(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _types(annotation: object) -> list[object]:
    """An annotation and all that it is made of."""
    found = [annotation]
    for inner in get_args(annotation):
        found += _types(inner)
    return found


@lru_cache(maxsize=256)
def field_of(model: Any, name: str) -> Field | None:
    """What `model` says about the key `name`; None if it has no such key."""
    aliased = {info.alias: info for info in model.model_fields.values() if info.alias}
    info = aliased.get(name) or model.model_fields.get(name)
    if info is None or info.alias not in (None, name):
        return None
    parts = _types(info.annotation)
    return Field(
        name=name,
        table=next((part for part in parts if hasattr(part, "model_fields")), None),
        is_dict=any(get_origin(part) is dict for part in parts),
        choices=tuple(one for part in parts if get_origin(part) is Literal for one in get_args(part)),
        example=info.examples[0],
    )


def owners(model: Any, path: Path) -> list[tuple[Any, Field | None]]:
    """For each part of `path` the model of the table that it is a key or an element of, and the field it belongs to.

    A model of None: a part of a value that is no table, or a key of a table whose keys are free.
    """
    found: list[tuple[Any, Field | None]] = []
    owner, field, free = model, None, False
    for part in path:
        if isinstance(part, int) or free:
            found.append((None, field))
            owner, free = field.table if field else None, False
            continue
        if owner is None:
            found.append((None, field))
            continue
        field = field_of(owner, part)
        found.append((owner, field))
        free = field is not None and field.is_dict
        owner = field.table if field else None
    return found


def findings(errors: Sequence[Mapping[str, Any]], model: Any) -> list[ModelFinding]:
    """pydantic's errors about `model` in our words."""
    return [_finding(error, model) for error in errors]


def _finding(error: Mapping[str, Any], model: Any) -> ModelFinding:
    about_key = error["loc"][-1:] == ("[key]",)
    path: Path = error["loc"][:-1] if about_key else error["loc"]
    owner, field = owners(model, path)[-1] if path else (model, None)
    kind, value = error["type"], error["input"]
    reason = error.get("ctx", {}).get("error")
    if isinstance(reason, Unfit):
        return ModelFinding(path, reason.what, reason.remedy, "key" if about_key else "value")
    if about_key or kind == "invalid_key":
        return ModelFinding(path, f"has a key that is {described(value)}", "write the key as a string", "key")
    if kind == "extra_forbidden":
        return ModelFinding(path, "unknown key", _unknown(str(path[-1]), owner, model), "unknown")
    if kind == "missing":
        remedy = f"add {field.line}" if field else "add it"
        if path[-1:] == ("mount",) and path[-2:-1] == ("bind",) and isinstance(value.get("path"), str):
            remedy += f"; a path of the host is written bind = {shown(value['path'])}"
        return ModelFinding(path, "is missing", remedy, "missing")
    if field is None:
        return ModelFinding(path, f"is {described(value)}", "leave it out")
    if kind == "bool_type":
        return ModelFinding(path, f"is {described(value)}, not true or false", _flag(field.name, value))
    if kind == "literal_error":
        if isinstance(value, str) and value in VALUE_HINTS.get(field.name, {}):
            return ModelFinding(path, f"{shown(value)} is not known here", VALUE_HINTS[field.name][value])
        close = suggestion(value, field.choices)
        one_of = either(shown(choice) for choice in field.choices)
        what = f"{shown(value)} is not known here" if isinstance(value, str) else f"is {described(value)}"
        return ModelFinding(path, what, f"did you mean {shown(close)}?" if close else f"write {one_of}")
    if kind == "list_type":
        return ModelFinding(path, f"is {described(value)}, not a list", _list(field, path, value))
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return ModelFinding(path, f"is {described(value)}, not a table", _table(field, path, value))
    if kind == "too_short":
        return ModelFinding(path, "is an empty list", f"write {field.line}, or leave it out")
    if kind == "too_long":
        most = error["ctx"]["max_length"]
        what = f"has {len(value)} lines"
        return ModelFinding(path, what, f"the kernel takes {most} at most: join ranges that are adjacent")
    return ModelFinding(path, f"is {described(value)}", f"write it like this: {field.line}")


_CAMEL = regex(r"(?<=[a-z])(?=[A-Z])")
_AT_THE_TOP = "write it at the top of the spec, before the first [table]"


@lru_cache(maxsize=1024)
def _unknown(key: str, owner: Any, model: Any) -> str:
    known = [info.alias or name for name, info in owner.model_fields.items()]
    hints = HINTS.get(owner.__name__, {})
    snake = _CAMEL.sub("_", key).replace("-", "_").lower()
    for word in (key, key.lower(), snake):
        if word in hints:
            return hints[word]
    if key in model.model_fields:
        table = field_of(model, key)
        called = table.table.CALLED if table is not None and table.table is not None else ""
        return f"write it as a table of the spec's: {called}" if called.startswith("[") else _AT_THE_TOP
    own = _home(key, owner).replace("[[", f"{owner.CALLED[:-2]}.") if owner.__name__ == "Namespace" else ""
    if home := own or _home(key, model):  # known elsewhere, and that is more than to look alike
        return home
    close = suggestion(snake, known)
    if close:
        return f'did you mean "{close}"?'
    return f"leave it out; {owner.CALLED} may have {', '.join(known)}"


def _home(key: str, model: Any) -> str:
    """The table of a spec that a key belongs in which stands in one that has none of that name; "" if there is none."""
    tables = [field.table for name in model.model_fields if (field := field_of(model, name)) and field.table]
    tables.sort(key=lambda table: -len(table.model_fields))  # [[mount]] is meant before [[remove]]
    tables += [field.table for table in tables for name in table.model_fields if (field := field_of(table, name))]
    for table in tables:
        if table is not None and table.CALLED.startswith("[") and field_of(table, key):
            return f"write it below {'a ' if table.CALLED.startswith('[[') else ''}{table.CALLED}"
    return ""


def _flag(name: str, value: object) -> str:
    words = {"true": "true", "yes": "true", "on": "true", "1": "true",
             "false": "false", "no": "false", "off": "false", "0": "false"}  # fmt: skip
    meant = words.get(str(value).lower()) if isinstance(value, str | int) else None
    return f"write {name} = {meant}" if meant else f"write {name} = true, or leave it out"


def _header(path: Path) -> str:
    return ".".join(part for part in path if isinstance(part, str))


def _list(field: Field, path: Path, value: object) -> str:
    if field.name in ("mount", "file", "namespace", "remove", "change"):
        return f"write [[{_header(path)}]], in double brackets, before each one"
    if field.name == "readonly" and isinstance(value, bool):
        return f'write attributes = ["ro"] for the whole mount, or list paths in it: {field.line}'
    if field.name == "command" and isinstance(value, str):
        try:
            return f"write each argument by itself: command = {toml(shlex.split(value))}"
        except ValueError:
            return f"write each argument by itself: {field.line}"
    if isinstance(value, str) and value in VALUE_HINTS.get(field.name, {}):
        return VALUE_HINTS[field.name][value]
    if isinstance(value, str) and isinstance(field.example, list) and isinstance(field.example[0], str):
        return f"write {field.name} = {toml([part.strip() for part in value.split(',')])}"
    return f"write a list: {field.line}"


def _table(field: Field, path: Path, value: object) -> str:
    name = field.name
    if isinstance(path[-1], int):
        return f"write a table for each: [[{_header(path)}]]"
    if name == "peer_group":
        return f"write a table for each group: [{_header(path) if len(path) > 1 else 'peer_group.NAME'}]"
    if isinstance(value, list) and value and isinstance(value[0], dict) and name in ("run", "idmap", "options"):
        return f"write [{_header(path)}], in single brackets"
    if name == "options" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ",".join(value)
    if name == "options" and isinstance(value, str):
        return _options(value)
    if name == "environment" and isinstance(value, list) and all(isinstance(one, str) and "=" in one for one in value):
        return f"write environment = {toml(dict(one.split('=', 1) for one in value))}"
    if name == "run":
        return 'write [run], and below it command = ["sh"]'
    return f"write a table: {field.line}"


def _options(text: str) -> str:
    """Options as mount(8) and fstab take them: some are the filesystem's, some the mount's, and some mean nothing."""
    parts = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    attributes = [key for key, equals, _ in parts if key in NAMES and not equals]
    options: dict[str, str | bool] = {}
    others = []
    for key, equals, rest in parts:
        if key in attributes:
            continue
        instead = instead_of_option(key, rest if equals else True)
        if instead:
            others.append(f"{key}: {instead}")
        else:
            options[key] = rest if equals else True
    wanted = [f"options = {toml(options)}"] * bool(options) + [f"attributes = {toml(attributes)}"] * bool(attributes)
    told = [f"write {' and '.join(wanted)}"] * bool(wanted) + others
    return "; ".join(told) or "leave it out"
