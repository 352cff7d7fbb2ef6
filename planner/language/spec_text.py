"""Spec -> TOML, as a person would write it: what it says, in the order of the language, and no defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mountplan.planner.characters import toml_key, toml_string
from mountplan.planner.language.mount_models import FileEntry, Mount
from mountplan.planner.language.namespace_models import InheritedChange, InheritedRemoval, Namespace, PeerGroup
from mountplan.planner.language.spec import Run, Spec
from mountplan.planner.language.values import escape

# The models that are tables with a header of their own; all others stand within one line.
_TABLES = (Mount, FileEntry, Namespace, PeerGroup, Run, InheritedRemoval, InheritedChange)
_IN_QUOTES = ("content", "command", "environment")  # where a newline may stand in a plain string
_WIDTH = 120


def spec_text(spec: Spec, heading: tuple[str, ...] = ()) -> str:
    """`spec` as TOML that reads as the same spec; `heading` are lines of comment for its beginning."""
    lines = [*(f"# {line}".rstrip() for line in heading), *[""] * bool(heading), *_body(spec)]
    for header, table in _tables(spec, ""):
        lines += [*[""] * (not header.endswith(".file]]")), header, *_body(table)]
    return "\n".join(lines) + "\n"


def _said(table: Any) -> Iterator[tuple[str, Any]]:
    """The keys of a table that say something, with their values."""
    for name, info in type(table).model_fields.items():
        value = getattr(table, name)
        if info.is_required() or value != info.get_default(call_default_factory=True):
            yield info.alias or name, value


def _tables(table: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The tables within `table`, each with its header, in the order of the text."""
    for name, value in _said(table):
        key = f"{path}.{name}" if path else name
        if isinstance(value, _TABLES):
            yield f"[{key}]", value
        elif isinstance(value, dict) and _holds_tables(value.values()):
            for inner, one in value.items():
                yield f"[{key}.{toml_key(inner)}]", one
        elif isinstance(value, list) and _holds_tables(value):
            for one in value:
                yield f"[[{key}]]", one
                yield from _tables(one, key)


def _holds_tables(values: Any) -> bool:
    return any(isinstance(one, _TABLES) for one in values)


def _body(table: Any) -> Iterator[str]:
    for name, value in _said(table):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        if _holds_tables(inner):
            continue
        plain = name in _IN_QUOTES
        line = f"{name} = {_value(value, plain=plain)}"
        if len(line) > _WIDTH and isinstance(value, list):
            rows = "".join(f"    {_value(one, plain=plain)},\n" for one in value)
            line = f"{name} = [\n{rows}]"
        yield line


def _value(value: Any, *, plain: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value, plain=plain)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one, plain=plain) for one in value)}]"
    pairs = value.items() if isinstance(value, dict) else _said(value)
    inner = ", ".join(f"{toml_key(key)} = {_value(one, plain=plain)}" for key, one in pairs)
    return f"{{ {inner} }}" if inner else "{}"


def _text(text: str, *, plain: bool) -> str:
    if plain and text.isascii():
        return toml_string(text)
    stored = escape(text)
    return toml_string(stored) if isinstance(stored, str) else f"{{ escaped = {toml_string(stored['escaped'])} }}"
