"""Values of a spec as a person would write them in TOML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mountplan.planner.characters import toml_key, toml_string
from mountplan.planner.language.values import escape


def toml_value(value: object) -> str:
    """A value as TOML, in one line; a text with bytes that are not UTF-8 as a table that has it `escaped`."""
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        stored = escape(value)
        return _quoted(stored) if isinstance(stored, str) else f"{{ escaped = {_quoted(stored['escaped'])} }}"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(key)} = {toml_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(toml_value, value))}]"
    raise TypeError(f"a spec has no {type(value).__name__}")


def _quoted(text: str) -> str:
    plain = "\\" in text and "'" not in text and text.isascii() and text.isprintable()
    return f"'{text}'" if plain else toml_string(text)
