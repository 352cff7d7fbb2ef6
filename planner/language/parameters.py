"""Parameters: what they are declared to be, what they come to, and the texts that name them.

A spec without parameters has an ordinary `$`. In one that declares some, `${name}` is replaced by the value, in each
text that is not handed on as it is (planner/language/rewriting.py), and `$$` is a dollar.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mountplan.planner.language.outside import Outside
from mountplan.planner.language.values import Unfit, content, escaped_bytes, shown, suggestion, variable
from mountplan.planner.light import regex
from mountplan.planner.record import NamedTuple

_REFERENCE = regex(r"\$(?:\$|\{([^{}]*)(\}?))")
_KEYS = {"env", "default", "description"}
_DEEPEST = 100


class Declared(NamedTuple):
    """A parameter as its spec declares it: where its value is from, if it is not given."""

    env: str
    default: str | None


class Setting(NamedTuple):
    """What a parameter came to. `variable` is the one of the environment that it is from; `given`: by the caller."""

    name: str
    value: str
    variable: str = ""
    given: bool = False


def declared_in(raw: Mapping[str, Any]) -> dict[str, Declared | None]:
    """The parameters that a spec declares; None for one that is not well declared, which the models will tell."""
    table = raw.get("parameters")
    if not isinstance(table, dict):
        return {}
    return {name: _declared(value) for name, value in table.items()}


def _declared(value: object) -> Declared | None:
    try:
        if not isinstance(value, dict) or "escaped" in value:
            return Declared("", content(value))
        env, default = value.get("env"), value.get("default")
        if value.keys() - _KEYS:
            return None
        return Declared("" if env is None else variable(env), None if default is None else content(default))
    except Unfit:
        return None


class Parameters:
    """The parameters of a spec, with what it includes. `settings` are the values that the caller gives."""

    def __init__(self, declared: Mapping[str, Declared | None], settings: Mapping[str, str], outside: Outside) -> None:
        self._declared = declared
        self._settings = settings
        self._outside = outside
        self._values: dict[str, str | None] = {}  # None: what it comes to is not known
        self._found: dict[str, Setting] = {}
        self._depth: dict[str, int] = {}  # how many, one within the other, a default is made of
        self.problems: dict[str, Unfit] = {}
        for name in declared:
            self._value(name, ())

    def __bool__(self) -> bool:
        return bool(self._declared)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """What each came to, in the order in which they are declared."""
        return tuple(self._found[name] for name in self._declared if name in self._found)

    def unknown(self) -> dict[str, Unfit]:
        """What is wrong with values that are given for what is no parameter."""
        return {name: self._no_such(name, given=True) for name in self._settings if name not in self._declared}

    def replaced(self, text: str, *, escaped: bool = False) -> str | None:
        """`text` with its parameters replaced; in an `escaped` one by what they are there. None if one of them has no
        value, which has been told. Raises Unfit for what is no parameter.
        """
        return self._replaced(text, (), escaped=escaped)

    def _replaced(self, text: str, within: tuple[str, ...], *, escaped: bool = False) -> str | None:
        if "$" not in text:
            return text
        parts: list[str] = []
        end = 0
        for match in _REFERENCE.finditer(text):
            parts.append(text[end : match.start()])
            end = match.end()
            name, closed = match.groups()
            if name is None:
                parts.append("$")
                continue
            if not closed:
                raise Unfit(f"{shown(text)} has a '${{' that is not closed", "write ${name}, or $$ for a dollar")
            value = self._value(name, within)
            if value is None:
                return None
            parts.append(escaped_bytes(value) if escaped else value)
        return "".join((*parts, text[end:]))

    def _value(self, name: str, within: tuple[str, ...]) -> str | None:
        """What a parameter comes to, None if that is not known; `within` are those whose defaults name it."""
        if name in self._values:
            return self._values[name]
        if name not in self._declared:
            raise self._no_such(name)
        if name in within:
            round_about = " -> ".join((*within[within.index(name) :], name))
            raise Unfit(f"is made of itself: {round_about}", "give one of them a value of its own")
        if len(within) == _DEEPEST:
            raise _too_deep()
        try:
            setting = self._settle(name, within)
        except Unfit as problem:
            self.problems[name] = problem
            setting = None
        self._values[name] = None if setting is None else setting.value
        if setting is not None:
            self._found[name] = setting
        return self._values[name]

    def _settle(self, name: str, within: tuple[str, ...]) -> Setting | None:
        if name in self._settings:
            return Setting(name, self._settings[name], given=True)
        declared = self._declared[name]
        if declared is None:
            return None
        value = self._outside.variable(declared.env) if declared.env else None
        if value:  # an empty one is as good as none: what is "${home}/data" would become "/data"
            return Setting(name, value, declared.env)
        if declared.default is not None:
            default = self._replaced(declared.default, (*within, name))
            if default is None:
                return None
            made_of = [self._depth.get(inner, 0) for inner, _ in _REFERENCE.findall(declared.default)]
            self._depth[name] = max(made_of, default=-1) + 1
            if self._depth[name] > _DEEPEST:
                raise _too_deep()
            return Setting(name, default)
        if not declared.env:
            raise Unfit("has no value", f"give it one: --set {name}=VALUE; or write a default")
        empty = "empty" if value is not None else "not set"
        what = f"has no value: the environment variable {declared.env} is {empty}"
        raise Unfit(what, f"set it, or give a value: --set {name}=VALUE; or write a default")

    def _no_such(self, name: str, *, given: bool = False) -> Unfit:
        what = f'a value is given for "{name}", which is no parameter' if given else f'there is no parameter "{name}"'
        if ":" in name and name.partition(":")[0] in self._declared:
            return Unfit(what, "write ${name} alone: a default belongs in [parameters], name = { default = ... }")
        close = suggestion(name, self._declared)
        if close:
            return Unfit(what, f"did you mean {close if given else f'${{{close}}}'}?")
        if given and self._declared:
            return Unfit(what, f"leave it out; there are: {', '.join(list(self._declared)[:20])}")
        declare = f'declare it: [parameters] {name or "name"} = "..."'
        return Unfit(what, declare if given else f"{declare}; or write $$ for a dollar")


def _too_deep() -> Unfit:
    return Unfit(f"is made of more than {_DEEPEST} others", "write out what it comes to")
