"""Words of a shell -> fields: variables, defaults, what commands write, braces and patterns of names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import NamedTuple, Protocol

from mountplan.planner.ask.shell_syntax import Arithmetic, Part, ShellParameter, Substitution, Text, Word
from mountplan.planner.ask.util_linux import Unusable

LONGEST = 131_071  # bytes of one word, as long as an argument may be (MAX_ARG_STRLEN)
_MOST_FIELDS, _MOST_BRACED = 100_000, 10_000
_SPACES = " \t\n"
_PIECE = re.compile(r"[ \t\n]+|[^ \t\n]+")
_BRACES = re.compile(r"\{[^{}\s]*(?:,|\.\.)[^{}\s]*\}")
_NUMBERS = re.compile(r"(-?[0-9]{1,9})\.\.(-?[0-9]{1,9})")


class Values(Protocol):
    """What words ask the shell."""

    braces: bool  # whether this shell knows them

    def value(self, name: str) -> str | None: ...
    def arguments(self) -> list[str]: ...
    def assign(self, name: str, value: str) -> None: ...
    def output(self, substitution: Substitution) -> str: ...
    def names(self, directory: str) -> Iterable[str]: ...


class WordPiece(NamedTuple):
    """Text of a field, and whether a pattern in it means something."""

    text: str
    plain: bool


def limited(text: str) -> str:
    if len(text) > LONGEST:
        raise Unusable(f"a word is longer than {LONGEST:,} characters", "no program can be given such a word")
    return text


def text_of(word: Word, values: Values) -> str:
    """A word as one text, as after `=`: not split, and without patterns."""
    return limited("".join(_value(part, values) for part in word))


def fields(words: Iterable[Word], values: Values) -> list[str]:
    """All words of a command. Raises Unusable."""
    found: list[str] = []
    for word in words:
        for one in _braced(word, values):
            for pieces in _split(one, values):
                found += _named(pieces, values)
                if len(found) > _MOST_FIELDS:
                    raise Unusable(f"a command has more than {_MOST_FIELDS:,} words", "use fewer")
    return found


def pattern(word: Word, values: Values) -> re.Pattern[str]:
    """A word as a pattern of `case` and the like."""
    pieces = [WordPiece(_value(part, values), isinstance(part, Arithmetic) or part.quoted) for part in word]
    return _compiled(pieces)


def pattern_text(word: Word, values: Values) -> str:
    """A word as a pattern of `[[`: what is quoted means itself there, and so stands in brackets."""
    return "".join(
        re.sub(r"[*?[]", r"[\g<0>]", text) if isinstance(part, Text | ShellParameter) and part.quoted else text
        for part, text in ((part, _value(part, values)) for part in word)
    )


def _compiled(pieces: Iterable[WordPiece]) -> re.Pattern[str]:
    whole = [(plain, "".join(one.text for one in some)) for plain, some in groupby(pieces, lambda one: one.plain)]
    return re.compile("".join(re.escape(text) if plain else translated(text) for plain, text in whole), re.DOTALL)


def translated(text: str) -> str:
    """`*`, `?` and `[...]` as a regular expression."""
    found, at = [], 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "*":
            found.append(".*")
        elif character == "?":
            found.append(".")
        elif character == "[" and (end := text.find("]", at + 1 + (text[at : at + 1] in ("!", "^")))) > 0:
            inside = text[at:end].replace("\\", "\\\\").replace("[", "\\[")
            found.append(f"[^{inside[1:]}]" if inside[:1] in ("!", "^") else f"[{inside}]")
            at = end + 1
        else:
            found.append(re.escape(character))
    return "".join(found)


def _value(part: Part, values: Values) -> str:
    match part:
        case Text():
            return part.text
        case ShellParameter():
            return _parameter(part, values)
        case Substitution():
            return limited(values.output(part).rstrip("\n"))
        case Arithmetic():
            return str(_number("".join(_value(one, values) for one in part.parts), values))


def _parameter(part: ShellParameter, values: Values) -> str:
    if part.name in ("@", "*") and not part.operator:
        return " ".join(values.arguments())
    value = values.value(part.name)
    operator = part.operator
    if operator == "length":
        return str(len(_known(part.name, value)))
    if operator.lstrip(":") in ("-", "=", "+", "?"):
        given = value is not None and (value != "" or not operator.startswith(":"))
        if operator[-1] == "+":
            return text_of(part.argument, values) if given else ""
        if given:
            return value or ""
        if operator[-1] == "?":
            raise Unusable(f"${part.name} has no value, which ends the shell", f"give it: --var {part.name}=...")
        default = text_of(part.argument, values)
        if operator[-1] == "=":
            values.assign(part.name, default)
        return default
    text = _known(part.name, value)
    if operator:
        return _without(text, operator, pattern(part.argument, values))
    return text


def _without(text: str, operator: str, what: re.Pattern[str]) -> str:
    """`${name#pattern}` and its sisters."""
    order: Iterable[int] = range(len(text) + 1)
    if operator in ("##", "%"):
        order = reversed(range(len(text) + 1))
    for at in order:
        if operator[0] == "#" and what.fullmatch(text[:at]):
            return text[at:]
        if operator[0] == "%" and what.fullmatch(text[at:]):
            return text[:at]
    return text


def _known(name: str, value: str | None) -> str:
    if value is None:
        raise Unusable(f"${name} has no value", f"set it before: {name}=..., or give it: --var {name}=...")
    return value


def _number(text: str, values: Values) -> int:
    """Arithmetic with + - * / % and comparisons."""

    def named(match: re.Match[str]) -> str:
        return str(int(values.value(match[0]) or "0"))

    text = text.strip() or "0"
    if re.fullmatch(r"[A-Za-z0-9_+\-*/%()<>=! ]{1,200}", text) is None or "**" in text:
        raise Unusable(f"$(({text})) is not followed", "write the number")
    tokens = re.sub(r"[A-Za-z_][A-Za-z0-9_]*", named, text)
    try:
        return _Sum(re.findall(r"[0-9]+|[<>=!]=|.", tokens.replace(" ", ""))).whole()
    except (ValueError, IndexError, ZeroDivisionError):
        raise Unusable(f"$(({text})) is not followed", "write the number") from None


class _Sum:
    """Reads tokens of a sum; the operators in the order in which they bind, the loosest first."""

    LEVELS = (("==", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%"))

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def whole(self) -> int:
        value = self.level(0)
        if self.tokens:
            raise ValueError
        return value

    def level(self, number: int) -> int:
        if number == len(self.LEVELS):
            return self.single()
        value = self.level(number + 1)
        while self.tokens and self.tokens[0] in self.LEVELS[number]:
            value = self.done(value, self.tokens.pop(0), self.level(number + 1))
        return value

    def single(self) -> int:
        token = self.tokens.pop(0)
        if token == "(":
            value = self.level(0)
            if self.tokens.pop(0) != ")":
                raise ValueError
            return value
        if token in ("-", "+"):
            return -self.single() if token == "-" else self.single()
        return int(token)

    def done(self, left: int, operator: str, right: int) -> int:
        match operator:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return int(left / right)
            case "%":
                return left - int(left / right) * right
        return int({"==": left == right, "!=": left != right, "<": left < right, ">": left > right,
                    "<=": left <= right, ">=": left >= right}[operator])  # fmt: skip


# --- one word, several fields


def _braced(word: Word, values: Values) -> Iterator[Word]:
    """`{a,b}` and `{1..3}`, where they stand in text without quotes."""
    text = "".join(part.text if isinstance(part, Text) and not part.quoted else "\0" for part in word)
    if "{" not in text or not _BRACES.search(text):
        yield word
        return
    if not values.braces:
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
    if not (match := _NUMBERS.fullmatch(text)):
        return []
    first, last = int(match[1]), int(match[2])
    if abs(last - first) > _MOST_BRACED:
        raise Unusable(f"braces give more than {_MOST_BRACED:,} words", "use fewer")
    step = 1 if last >= first else -1
    return [(Text(str(number), False),) for number in range(first, last + step, step)]


def _split(word: Word, values: Values) -> Iterator[list[WordPiece]]:
    """The fields of one word: values without quotes are split, and leave nothing if they are empty."""
    current: list[WordPiece] | None = None
    for part in word:
        if isinstance(part, ShellParameter) and part.name == "@" and not part.operator and part.quoted:
            arguments = values.arguments()
            for number, argument in enumerate(arguments):
                if number and current is not None:
                    yield current
                    current = []
                current = [*(current or []), WordPiece(argument, True)]
            continue
        value = _value(part, values)
        if isinstance(part, Text):
            if part.text.startswith("~") and not part.quoted and current is None:
                raise Unusable("~ is not followed", "write the directory out")
            current = [*(current or []), WordPiece(value, part.quoted)]
            continue
        if isinstance(part, Arithmetic) or part.quoted:
            current = [*(current or []), WordPiece(value, True)]
            continue
        for piece in _PIECE.findall(value):
            if piece[0] not in _SPACES:
                current = [*(current or []), WordPiece(piece, False)]
            elif current is not None:
                yield current
                current = None
    if current is not None:
        yield current


def _named(pieces: list[WordPiece], values: Values) -> list[str]:
    """The names that a pattern stands for; the pattern itself if there is none."""
    text = limited("".join(piece.text for piece in pieces))
    if not any(not piece.plain and set(piece.text) & set("*?[") for piece in pieces):
        return [text]
    if not re.search(r"[*?]|\[.+\]", "".join(piece.text for piece in pieces if not piece.plain)):
        return [text]
    found = [""]
    for component in _components(pieces):
        if all(piece.plain or not set(piece.text) & set("*?[") for piece in component):
            found = [f"{one}{''.join(piece.text for piece in component)}" for one in found]
            continue
        what = _compiled(component)
        hidden = "".join(piece.text for piece in component).startswith(".")
        found = [
            f"{one}{name}"
            for one in found
            for name in sorted(values.names(one or "."))
            if what.fullmatch(name) and (hidden or not name.startswith("."))
        ]
    return found or [text]


def _components(pieces: list[WordPiece]) -> Iterator[list[WordPiece]]:
    """Cut at slashes, which are components of their own."""
    current: list[WordPiece] = []
    for piece in pieces:
        for text in re.findall(r"/+|[^/]+", piece.text):
            if text[0] == "/":
                if current:
                    yield current
                    current = []
                yield [WordPiece(text, True)]
            else:
                current.append(WordPiece(text, piece.plain))
    if current:
        yield current
