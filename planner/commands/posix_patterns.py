"""Regular expressions of grep(1), sed(1) and awk(1) as those of Python."""

from __future__ import annotations

import re

CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r" \t\n\r\f\v",
    "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9a-fA-F",
}  # fmt: skip

_BRACKET = re.compile(r"\[(\^?)(\]?(?:\[:[a-z]+:\]|[^]])*)\]")
_IN_BRACKET = re.compile(r"\[:([a-z]+):\]|\\?.", re.DOTALL)


def expression(text: str, *, extended: bool, escapes: bool = False) -> str | None:
    """A regular expression of grep(1) and sed(1) as one of Python's; None if it is not followed.

    With `escapes`, as in sed(1), backslash n and t are what they are for Python within brackets as well.
    """
    found, at = [], 0
    while at < len(text):
        one = text[at]
        at += 1
        if one == "\\" and at < len(text):
            following = text[at]
            at += 1
            if following in "(){}|+?" and not extended:
                found.append(following)
            elif following in "sSwWbB" or following.isdigit():
                found.append(f"\\{following}")
            elif following in "<>":
                found.append(r"\b")
            else:
                found.append(re.escape({"t": "\t", "n": "\n"}.get(following, following)))
        elif one == "[":
            bracket = _BRACKET.match(text, at - 1)
            if bracket is None:
                return None
            at = bracket.end()
            inside = ""
            for part in _IN_BRACKET.finditer(bracket[2]):
                if part[1]:
                    inside += CLASSES.get(part[1], "")
                elif escapes and part[0] in ("\\n", "\\t"):
                    inside += part[0]
                else:
                    inside += "".join(one if one == "-" else re.escape(one) for one in part[0])
            found.append(f"[{bracket[1]}{inside}]")
        elif one in "(){}|+?" and not extended:
            found.append(f"\\{one}")
        elif one == "*" and (not found or found[-1] in ("^", "(", "|")):
            found.append(r"\*")
        else:
            found.append(one)
    return "".join(found)


_OF_PATTERN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)


def _may_take_forever(pattern: str) -> bool:
    """Whether something is repeated that is repeated, or a choice, inside: grep(1) has no pains with that, re has."""
    opened: list[bool] = []
    inside = False  # of the group that has ended just now: whether it may match in many ways
    ended = False
    for piece in _OF_PATTERN.findall(pattern):
        if piece == "(":
            opened.append(False)
        elif piece == ")" and opened:
            inside, ended = opened.pop(), True
            if opened:
                opened[-1] |= inside
            continue
        elif piece in ("*", "+", "{"):
            if ended and inside:
                return True
            if opened:
                opened[-1] = True
        elif piece in ("|", "?") and opened:
            opened[-1] = True
        ended = False
    return False


def compiled(text: str, *, extended: bool, flags: int = 0, escapes: bool = False) -> re.Pattern[str] | None:
    pattern = expression(text, extended=extended, escapes=escapes)
    if pattern is None or _may_take_forever(pattern):
        return None
    try:
        return re.compile(pattern, flags)
    except re.error:
        return None


def is_ambiguous(pattern: str) -> bool:
    """Whether two alternatives may match at one place: then the programs take the longest, and Python the first."""
    begins = re.findall(r"(?:^|(?<!\\)[(|])(?=([^(]|$))", pattern) if "|" in pattern else []
    return len(set(begins)) < len(begins) or not all(one.isalnum() for one in begins)
