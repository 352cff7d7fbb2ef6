"""Braces of a shell, `{a,b}` and `{1..3}`: one word -> the words that it stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from mountplan.planner.commands.util_linux import Unusable
from mountplan.planner.shell.shell_syntax import Part, Text, Word, limited

_MOST_BRACED = 10_000
_BRACES = re.compile(r"\{[^{}\s]*(?:,|\.\.)[^{}\s]*\}")
_NUMBERS = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})(?:\.\.(-?[0-9]{1,18}))?")
_LETTERS = re.compile(r"([a-zA-Z])\.\.([a-zA-Z])(?:\.\.(-?[0-9]{1,18}))?")


def braced(word: Word, dialect: str) -> Iterator[Word]:
    """`{a,b}` and `{1..3}`, where they stand in text without quotes."""
    text = "".join(part.text if isinstance(part, Text) and not part.quoted else "\0" for part in word)
    if "{" not in text or not _BRACES.search(text):
        yield word
        return
    if dialect == "sh":
        raise Unusable("braces are not followed: shells called sh read them in different ways", "write the words out")
    waiting = [word]
    count = 0
    while waiting:
        one = waiting.pop()
        found = _first_braces(one)
        if found is None:
            yield one
            continue
        before, choices, after = found
        count += len(choices)
        limited("".join(part.text for part in one if isinstance(part, Text)))
        if count > _MOST_BRACED:
            raise Unusable(f"braces give more than {_MOST_BRACED:,} words", "use fewer")
        waiting += [(*before, *choice, *after) for choice in reversed(choices)]


def _first_braces(word: Word) -> tuple[Word, list[Word], Word] | None:
    """The first braces that mean something: what stands before them, what they stand for, and what follows."""
    places = [
        (number, at, character)
        for number, part in enumerate(word)
        if isinstance(part, Text) and not part.quoted
        for at, character in enumerate(part.text)
        if character in "{},"
    ]
    ends: dict[int, int] = {}
    opened: list[int] = []
    for index, (_, _, character) in enumerate(places):
        if character == "{":
            opened.append(index)
        elif character == "}" and opened:
            ends[opened.pop()] = index
    for begin in sorted(ends):
        end = ends[begin]
        first, last = places[begin], places[end]
        cuts = [places[begin]]
        index = begin + 1
        while index < end:
            if places[index][2] == ",":
                cuts.append(places[index])
            index = ends.get(index, index) + 1
        cuts.append(places[end])
        if len(cuts) > 2:
            choices = [_cut(word, (one[0], one[1] + 1), other[:2]) for one, other in pairwise(cuts)]
        else:
            choices = _numbers(_cut(word, (first[0], first[1] + 1), last[:2]))
        if choices:
            return _cut(word, (0, 0), first[:2]), choices, _cut(word, (last[0], last[1] + 1), (len(word), 0))
    return None


def _cut(word: Word, begin: tuple[int, int], end: tuple[int, int]) -> Word:
    parts: list[Part] = []
    for number, part in enumerate(word):
        if not begin[0] <= number <= end[0]:
            continue
        if isinstance(part, Text):
            start = begin[1] if number == begin[0] else 0
            stop = end[1] if number == end[0] else len(part.text)
            if part.text[start:stop]:
                parts.append(part._replace(text=part.text[start:stop]))
            elif part.quoted and number != end[0]:
                parts.append(part)
        elif number < end[0]:
            parts.append(part)
    return tuple(parts)


def _numbers(inside: Word) -> list[Word]:
    text = "".join(part.text if isinstance(part, Text) and not part.quoted else "\0" for part in inside)
    if match := _NUMBERS.fullmatch(text):
        first, last = int(match[1]), int(match[2])
        padded = any(re.match("-?0.", one) for one in (match[1], match[2]))
        width = max(len(match[1]), len(match[2])) if padded else 0
    elif match := _LETTERS.fullmatch(text):
        first, last, width = ord(match[1]), ord(match[2]), -1
    else:
        return []
    step = (abs(int(match[3] or 1)) or 1) * (1 if last >= first else -1)
    if (last - first) // step > _MOST_BRACED:
        raise Unusable(f"braces give more than {_MOST_BRACED:,} words", "use fewer")
    found = range(first, last + (1 if step > 0 else -1), step)
    if width < 0 and not all(chr(one).isalpha() for one in found):
        raise Unusable(f"{{{text}}} is not followed", "write the words out")
    return [(Text(chr(one) if width < 0 else f"{one:0{width}d}", False),) for one in found]
