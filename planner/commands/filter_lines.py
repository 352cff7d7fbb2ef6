"""What the commands that filter a text have in common: its lines, and their options."""

from __future__ import annotations

from collections.abc import Callable

Filtered = tuple[str, int] | None  # output and status; None for a form that is not followed
Filter = Callable[[list[str], str], Filtered]


def lines_of(text: str) -> list[str]:
    return text.split("\n")[: -1 if text.endswith("\n") else None] if text else []


def joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def as_ended(lines: list[str], text: str) -> str:
    """Lines of a text, or what became of them: without an end of line at the end, if its last one has none there."""
    whole = joined(lines)
    return whole if not text or text.endswith("\n") else whole[:-1]


def short_options(arguments: list[str], letters: str, with_value: str) -> tuple[dict[str, str], list[str]] | None:
    """Short options as getopt(3) has them; None if there is another."""
    found: dict[str, str] = {}
    rest: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            return found, rest + words
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        at = 1
        while at < len(word):
            letter = word[at]
            at += 1
            if letter in with_value:
                value = word[at:] or (words.pop(0) if words else "")
                found[letter] = f"{found[letter]}\n{value}" if letter in found else value
                break
            if letter not in letters:
                return None
            found[letter] = ""
    return found, rest
