"""Arithmetic of a shell: what stands in `$((...))`, in `let`, and in places that want a number."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Protocol

from mountplan.planner.commands.util_linux import Unusable

_TOKEN = re.compile(
    r"[0-9]+#[0-9a-zA-Z@_]+|0[xX][0-9a-fA-F]+|[0-9]+|[A-Za-z_][A-Za-z0-9_]*|\+\+|--|[-+*/%&|^]=|<<|>>|[<>=!]=|&&|\|\||\S"
)
_BITS = 64
_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "&": operator.and_, "|": operator.or_, "^": operator.xor,
    "<<": operator.lshift, ">>": operator.rshift, "==": operator.eq, "!=": operator.ne, "<": operator.lt,
    ">": operator.gt, "<=": operator.le, ">=": operator.ge, "&&": lambda left, right: bool(left and right),
    "||": lambda left, right: bool(left or right),
}  # fmt: skip


class Variables(Protocol):
    """What a sum asks the shell."""

    def value(self, name: str) -> str | None: ...
    def assign(self, name: str, value: str) -> None: ...


def _wrapped(value: int) -> int:
    """As signed integers of the machine have it."""
    return (value + (1 << _BITS - 1)) % (1 << _BITS) - (1 << _BITS - 1)


def number(text: str, variables: Variables) -> int:
    """Arithmetic as the shell has it, assignments included."""
    text = text.strip() or "0"
    if len(text) > 200 or "**" in text:
        raise Unusable(f"$(({text[:200]})) is not followed", "write the number")
    try:
        return _Sum(_TOKEN.findall(text), variables).whole()
    except (ValueError, IndexError, ZeroDivisionError):
        raise Unusable(f"$(({text})) is not followed", "write the number") from None


def _literal(text: str) -> int:
    base, mark, digits = text.partition("#")
    if mark:
        if not 2 <= int(base) <= 36 or not digits.isalnum():  # beyond 36, small letters and capitals are two
            raise ValueError
        value = int(digits, int(base))
    else:
        value = int(text, 8) if re.fullmatch("0[0-9]+", text) else int(text, 0)
    if _wrapped(value) != value:
        raise ValueError
    return value


class _Sum:
    """Reads tokens of a sum; the operators in the order in which they bind, the loosest first."""

    LEVELS = (("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", ">", "<=", ">="), ("<<", ">>"), ("+", "-"),
              ("*", "/", "%"))  # fmt: skip

    def __init__(self, tokens: list[str], variables: Variables) -> None:
        self.tokens = tokens
        self.variables = variables
        self.idle = 0

    def whole(self) -> int:
        value = self.choice()
        while self.tokens[:1] == [","]:
            self.tokens.pop(0)
            value = self.choice()
        if self.tokens:
            raise ValueError
        return value

    def choice(self) -> int:
        """Assignments, and `a ? b : c`."""
        if len(self.tokens) > 1 and self.tokens[0].isidentifier() and re.fullmatch(r"[-+*/%&|^]?=", self.tokens[1]):
            name, sign = self.tokens.pop(0), self.tokens.pop(0)
            value = self.choice()
            if sign != "=":
                value = self.done(self.of(name), sign[:-1], value)
            return self.put(name, value)
        value = self.level(0)
        if self.tokens[:1] == ["?"]:
            self.tokens.pop(0)
            first = self.chosen(bool(value))
            if self.tokens.pop(0) != ":":
                raise ValueError
            second = self.chosen(not value)
            return first if value else second
        return value

    def chosen(self, is_chosen: bool) -> int:
        """One side of a choice; what is not chosen assigns nothing."""
        self.idle += not is_chosen
        try:
            return self.choice()
        finally:
            self.idle -= not is_chosen

    def of(self, name: str) -> int:
        text = self.variables.value(name) or "0"
        if text.isidentifier():
            raise ValueError
        return _literal(text)

    def put(self, name: str, value: int) -> int:
        if not self.idle:
            self.variables.assign(name, str(value))
        return value

    def level(self, number: int) -> int:
        if number == len(self.LEVELS):
            return self.single()
        value = self.level(number + 1)
        while self.tokens and self.tokens[0] in self.LEVELS[number]:
            sign = self.tokens.pop(0)
            decided = (sign == "&&" and not value) or (sign == "||" and bool(value))
            self.idle += decided
            right = self.level(number + 1)
            self.idle -= decided
            value = self.done(value, sign, right)
        return value

    def single(self) -> int:
        token = self.tokens.pop(0)
        if token == "(":
            value = self.choice()
            if self.tokens.pop(0) != ")":
                raise ValueError
            return value
        if token in ("-", "+", "!", "~"):
            value = self.single()
            return {"-": -value, "+": value, "!": int(not value), "~": ~value}[token]
        if token in ("++", "--"):
            name = self.tokens.pop(0)
            return self.put(name, self.of(name) + (1 if token == "++" else -1))
        if token.isidentifier():
            value = self.of(token)
            if self.tokens[:1] in (["++"], ["--"]):
                self.put(token, value + (1 if self.tokens.pop(0) == "++" else -1))
            return value
        return _literal(token)

    def done(self, left: int, sign: str, right: int) -> int:
        if sign in ("/", "%"):
            whole = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
            return _wrapped(whole) if sign == "/" else left - whole * right
        if sign in ("<<", ">>") and not 0 <= right < _BITS:
            raise ValueError
        return _wrapped(int(_OPERATORS[sign](left, right)))
