"""Patterns of a shell (`*`, `?`, `[...]`) as regular expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

from mountplan.planner.commands.posix_patterns import CLASSES
from mountplan.planner.record import NamedTuple


class WordPiece(NamedTuple):
    """Text of a field, and whether a pattern in it means something."""

    text: str
    plain: bool


def compiled(pieces: Iterable[WordPiece]) -> re.Pattern[str]:
    return re.compile(_one_way(tokens_of(pieces)), re.DOTALL)


def tokens_of(pieces: Iterable[WordPiece]) -> list[str]:
    whole = [(plain, "".join(one.text for one in some)) for plain, some in groupby(pieces, lambda one: one.plain)]
    return [token for plain, text in whole for token in ([re.escape(text)] if plain else _tokens(text))]


def _one_way(tokens: list[str]) -> str:
    """For a whole text: each `*` but the last takes as little as it can, and is not tried again, as in fnmatch."""
    chunks = [""]
    for token in tokens:
        if token == ".*":
            chunks.append("")
        else:
            chunks[-1] += token
    if len(chunks) == 1:
        return chunks[0]
    between = "".join(f"(?>.*?{chunk})" for chunk in chunks[1:-1] if chunk)
    return f"{chunks[0]}{between}.*{chunks[-1]}"


def _end_of_bracket(text: str, start: int) -> int:
    """Where `]` is that closes; one that comes first stands for itself, and so does what is in `[:` and `:]`."""
    at = start + (text[start : start + 1] in ("!", "^"))
    at += text[at : at + 1] == "]"
    while at < len(text) and text[at] != "]":
        closing = text.find(":]", at + 2) if text.startswith("[:", at) else -1
        at = closing + 2 if closing > 0 else at + 1
    return at if at < len(text) else -1


def _bracket(inside: str) -> str:
    """What stands in `[...]`. A range that begins behind its end has nothing in it."""
    inverted = inside[:1] in ("!", "^")
    text = inside[1:] if inverted else inside
    text = re.sub(r"\[:([a-z]+):\]", lambda match: f"\0{match[1]}\0", text)
    text = re.sub(r"(.)-(.)", lambda match: match[0] if match[1] <= match[2] else "", text, flags=re.DOTALL)
    text = text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("^", "\\^").replace("&&", "&\\&")
    text = re.sub("\0([a-z]+)\0", lambda match: CLASSES.get(match[1], ""), text)
    if not text:
        return "." if inverted else "(?!)"
    return f"[{'^' * inverted}{text}]"


def translated(text: str) -> str:
    """`*`, `?` and `[...]` as a regular expression for whole texts."""
    return _one_way(_tokens(text))


def _tokens(text: str) -> list[str]:
    """The same in pieces; `.*` is one of them."""
    found, at = [], 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "*":
            found.append(".*")
        elif character == "?":
            found.append(".")
        elif character == "[" and (end := _end_of_bracket(text, at)) > 0:
            found.append(_bracket(text[at:end]))
            at = end + 1
        else:
            found.append(re.escape(character))
    return found
