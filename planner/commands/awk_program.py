"""awk(1), in its usual forms."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from mountplan.planner.commands.filter_lines import Filtered, joined, lines_of, short_options
from mountplan.planner.commands.posix_patterns import compiled

_AWK = re.compile(
    r"\s*(?:(\"(?:[^\"\\]|\\.)*\")|(/(?:[^/\\\n]|\\.)+/)|(\$(?:[0-9]+|NF))|([0-9]+)|([A-Za-z_]\w*)"
    r"|(==|!=|!~|<=|>=|&&|\|\||[-+~<>!(){};,]))",
    re.DOTALL,
)
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_Record = tuple[list[str], int]  # fields, of which the first is all, and the number of the line
_AwkValue = Callable[[_Record], tuple[str, bool]]  # and whether it is a string and no number, whatever it looks like


class _AwkProgram:
    """Patterns with `{ print ... }`, as scripts have them. Raises ValueError for any other."""

    def __init__(self, text: str, variables: dict[str, str]) -> None:
        self.variables = variables
        self.tokens: list[str] = []
        at = 0
        text = text.strip()
        while at < len(text):
            match = _AWK.match(text, at)
            if match is None:
                raise ValueError(text)
            self.tokens.append(match[0].strip())
            at = match.end()
        self.rules: list[tuple[str, Callable[[_Record], bool], list[list[list[_AwkValue]]], str]] = []
        while self.tokens:
            self._rule()

    def _taken(self, *choices: str) -> str:
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in choices else ""

    def _rule(self) -> None:
        kind = self._taken("END")
        condition = (lambda record: True) if kind or self.tokens[:1] == ["{"] else self._either()
        prints: list[list[list[_AwkValue]]] = []
        then = ""
        if self._taken("{"):
            while not self._taken("}"):
                then = self.tokens.pop(0)
                if then not in ("print", "next", "exit", ";") or (kind and then != "print"):
                    raise ValueError(then)
                if then == "print":
                    prints.append(self._values())
                elif then in ("next", "exit") and self.tokens[:1] != ["}"]:
                    raise ValueError(then)
        else:
            prints.append([])
        self._taken(";")
        self.rules.append((kind, condition, prints, then))

    def _values(self) -> list[list[_AwkValue]]:
        """What print writes: values that a comma parts, each of what stands side by side."""
        found: list[list[_AwkValue]] = []
        while self.tokens and self.tokens[0] not in ("}", ";"):
            one = [self._value()]
            while self.tokens and self.tokens[0] not in ("}", ";", ","):
                one.append(self._value())
            found.append(one)
            if self._taken(",") and self.tokens[:1] in (["}"], [";"], []):
                raise ValueError("print")
        return found

    def _value(self) -> _AwkValue:
        token = self.tokens.pop(0)
        if token[0] == '"':
            escapes = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "/": "/"}
            text = re.sub(r"\\(.)", lambda match: escapes[match[1]], token[1:-1], flags=re.DOTALL)
            return lambda record: (text, True)
        if token[0] == "$":
            name = token[1:]

            def field(record: _Record) -> tuple[str, bool]:
                at = len(record[0]) - 1 if name == "NF" else int(name)
                return (record[0][at] if at < len(record[0]) else ""), False

            return field
        if token in ("NR", "FNR", "NF"):
            return lambda record: (str(record[1] if token != "NF" else len(record[0]) - 1), False)
        if token.isdecimal():
            return lambda record: (token, False)
        if token in self.variables:
            return lambda record: (self.variables[token], False)
        raise ValueError(token)

    def _either(self) -> Callable[[_Record], bool]:
        sides = [self._both()]
        while self._taken("||"):
            sides.append(self._both())
        return lambda record: any(one(record) for one in sides)

    def _both(self) -> Callable[[_Record], bool]:
        sides = [self._single()]
        while self._taken("&&"):
            sides.append(self._single())
        return lambda record: all(one(record) for one in sides)

    def _single(self) -> Callable[[_Record], bool]:
        if self._taken("!"):
            inner = self._single()
            return lambda record: not inner(record)
        if self._taken("("):
            whole = self._either()
            if not self._taken(")"):
                raise ValueError("(")
            return whole
        if self.tokens[0][0] == "/":
            pattern = self._pattern(self.tokens.pop(0)[1:-1])
            return lambda record: pattern.search(record[0][0]) is not None
        left = self._value()
        sign = self._taken("==", "!=", "~", "!~", "<", ">", "<=", ">=")
        if sign in ("~", "!~"):
            if self.tokens[0][0] == "/":
                pattern = self._pattern(self.tokens.pop(0)[1:-1])
                return lambda record: (pattern.search(left(record)[0]) is not None) == (sign == "~")
            parts = [self._value()]
            while self.tokens and self.tokens[0] not in ("{", "&&", "||", ")", ";"):
                parts.append(self._value())
            return lambda record: (
                (self._pattern("".join(part(record)[0] for part in parts)).search(left(record)[0]) is not None)
                == (sign == "~")
            )
        if not sign:
            raise ValueError("a value alone")
        right = self._value()
        return lambda record: _awk_holds(left(record), sign, right(record))

    def _pattern(self, text: str) -> re.Pattern[str]:
        pattern = compiled(text.replace("\\/", "/"), extended=True, escapes=True)
        if pattern is None or "{" in text:  # not all of them have that
            raise ValueError(text)
        return pattern


def _awk_holds(left: tuple[str, bool], sign: str, right: tuple[str, bool]) -> bool:
    numbers = [re.fullmatch(r"\s*[-+]?[0-9]+(?:\.[0-9]*)?\s*", side[0]) for side in (left, right)]
    if not left[1] and not right[1] and all(numbers):
        return _COMPARED[sign](float(left[0]), float(right[0]))
    if sign not in ("==", "!="):
        raise ValueError(sign)
    return _COMPARED[sign](left[0], right[0])


def awk(arguments: list[str], text: str) -> Filtered:
    """Patterns and `{ print ... }`, with -F and -v."""
    read = short_options(arguments, "", "Fv")
    if read is None or not read[1]:
        return None
    given, rest = read
    variables = {name: value for name, _, value in (one.partition("=") for one in given.get("v", "").split("\n"))}
    separator = given.get("F", " ")
    if any("\\" in one for one in (*variables.values(), separator)) or (len(separator) > 1 and "\n" in separator):
        return None
    try:
        program = _AwkProgram(rest[0], variables)
        found: list[str] = []
        record: _Record = ([""], 0)

        def carry_out(kind: str) -> str:
            for of, condition, prints, then in program.rules:
                if of != kind or not condition(record):
                    continue
                for values in prints:
                    shown = ["".join(part(record)[0] for part in value) for value in values]
                    found.append(" ".join(shown) if values else record[0][0])
                if then in ("next", "exit"):
                    return then
            return ""

        for at, line in enumerate(lines_of(text), 1):
            pieces = line.split() if separator == " " else re.split(separator, line) if len(separator) > 1 else []
            record = ([line, *(pieces or line.split(separator if separator != " " else None))] if line else [line], at)
            if carry_out("") == "exit":
                break
        carry_out("END")
    except (ValueError, IndexError, KeyError, re.error):
        return None
    return joined(found), 0
