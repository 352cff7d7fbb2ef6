"""A raw spec with its parameters replaced, and its relative paths made absolute: before it is looked at as a spec.

Replaced is in every text but those that are handed on as they are: what is in files, the command and its environment
(unless `parameters = true` stands beside them), and what is written for people. Where a number is wanted, the digits of
one are one. Relative is what names something on the
host, and nothing else: a target, or a path in a mount, is nowhere on the host.
"""

from __future__ import annotations

import posixpath
from typing import Any

from mountplan.planner.language.outside import Outside, Piped
from mountplan.planner.language.parameters import Parameters
from mountplan.planner.language.values import Unfit, escaped_bytes, shown
from mountplan.planner.language.wording import ModelFinding, Path
from mountplan.planner.light import regex

_HANDED_ON = ("content", "command", "environment")
_LISTS = ("layers", "data_layers")
_ON_HOST = frozenset({*_LISTS, "bind", "image", "contents", "upper", "work", "host", "namespace"})
_NUMBER = regex("[0-9]{1,10}")
_DEEPEST = 16  # nothing in a spec is nested as deep; what is goes to the models as it is


def may_need(text: str) -> bool:
    """False if no path in this TOML is relative, for sure: then no path has to be looked at."""
    return "./" in text or '"."' in text or "'.'" in text or "\\" in text or "contents" in text


class Directory:
    """The directory that relative paths of a text count from; it is asked for when the first of them comes."""

    def __init__(self, file: str, outside: Outside, *, included: bool) -> None:
        self._file = file
        self._outside = outside
        self._included = included
        self._found = ""

    def split(self, text: str, key: str) -> tuple[str, str]:
        """The directory that `text` counts from, and the path in it; ("", text) for one that is absolute.

        Raises Unfit if there is no directory.
        """
        if (text[:1] == "/" or not text) if key == "contents" else (text != "." and text[:2] != "./"):
            return "", text
        try:
            self._found = self._found or self._outside.whereabouts(self._file).directory
        except LookupError as error:
            if key == "contents" and not self._included and not isinstance(error, Piped):
                return "", text
            what = f"{shown(text)} counts from the directory of the spec, and there is none: {error.args[0]}"
            raise Unfit(what, "write the whole path from '/' on, or save the spec in a file") from None
        if key == "contents" and not self._included:
            return "", text  # resolve puts the two together
        base, parts = self._found, [part for part in text.split("/") if part]
        while parts and parts[0] in (".", ".."):  # there is no symlink in `base`
            base = posixpath.dirname(base) if parts.pop(0) == ".." else base
        return base, "/".join(parts)


class Rewriting:
    """One text's raw spec, rewritten; and what is wrong with it. A finding without words has been told elsewhere."""

    def __init__(self, parameters: Parameters, directory: Directory) -> None:
        self._parameters = parameters if parameters else None
        self._directory = directory
        self.found: list[ModelFinding] = []

    def table(self, raw: dict[str, Any], path: Path = ()) -> dict[str, Any]:
        """A copy of a table, rewritten."""
        made: dict[str, Any] = {}
        within = path[-1] if path else ""
        left_alone = () if raw.get("parameters") is True or within == "options" else _HANDED_ON
        for key, value in raw.items():
            here = (*path, key)
            if key == "parameters" and value is True and (path == ("run",) or path[-2:-1] == ("file",)):
                continue  # what it asks for is done here; elsewhere it is no key
            if key in left_alone or key == "unsupported" or (not path and key in ("parameters", "include")):
                made[key] = value
                continue
            name = self._text(key, here) if within in ("options", "peer_group") else key
            if name in made:
                problem = Unfit(f"is what {shown(key)} comes to as well", "give each a name of its own")
                self._tell((*path, name), problem)
            made[name] = self._value(value, here, _host_key(key, raw, path))
        return made

    def _value(self, value: Any, path: Path, host_key: str) -> Any:
        if isinstance(value, str):
            text = self._text(value, path)
            if text is not value and _wants_number(path) and _NUMBER.fullmatch(text):
                return int(text)
            return self._on_host(text, path, host_key, escaped=False)
        if len(path) > _DEEPEST:
            return value
        if isinstance(value, list):
            of_each = host_key if host_key in _LISTS else ""
            return [self._value(one, (*path, number), of_each) for number, one in enumerate(value)]
        if not isinstance(value, dict):
            return value
        inner = value.get("escaped")
        if len(value) > 1 or not isinstance(inner, str):
            return self.table(value, path)
        return {"escaped": self._on_host(self._text(inner, path, escaped=True), path, host_key, escaped=True)}

    def _text(self, text: str, path: Path, *, escaped: bool = False) -> str:
        if self._parameters is None or "$" not in text:
            return text
        try:
            replaced = self._parameters.replaced(text, escaped=escaped)
        except Unfit as problem:
            self._tell(path, problem)
            return text
        if replaced is None:
            self.found.append(ModelFinding(path, "", ""))
        return text if replaced is None else replaced

    def _on_host(self, text: str, path: Path, key: str, *, escaped: bool) -> str:
        if not key:
            return text
        kind, colon, path_of_kind = text.partition(":") if key == "namespace" and text[:1] != "." else ("", "", text)
        if colon:
            return f"{kind}:{self._on_host(path_of_kind, path, key, escaped=escaped)}"
        try:
            base, rest = self._directory.split(text, key)
        except Unfit as problem:
            self._tell(path, problem)
            return text
        return posixpath.join(escaped_bytes(base) if escaped else base, rest) if base else text

    def _tell(self, path: Path, problem: Unfit) -> None:
        self.found.append(ModelFinding(path, problem.what, problem.remedy))


def _wants_number(path: Path) -> bool:
    return (path[-1] in ("uid", "gid") and "file" in path[-3:]) or "idmap" in path


def _host_key(key: str, table: dict[str, Any], path: Path) -> str:
    """`key`, if what it has in `table` names something on the host, otherwise ""."""
    within = next((part for part in reversed(path) if isinstance(part, str)), "")
    if key == "source":
        return key if within == "file" else ""  # that of a mount is a name
    if key == "path":
        return key if within == "image" and "mount" not in table else ""
    return key if key in _ON_HOST and within != "options" else ""
