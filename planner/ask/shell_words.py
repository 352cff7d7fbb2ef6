"""Words of a shell -> fields: variables, defaults, what commands write, braces and patterns of names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import NamedTuple, NoReturn, Protocol

from mountplan.planner.ask.shell_syntax import Arithmetic, Part, ShellParameter, Substitution, Text, Word
from mountplan.planner.ask.util_linux import Unusable

LONGEST = 131_071  # bytes of one word, as long as an argument may be (MAX_ARG_STRLEN)
_MOST_FIELDS, _MOST_BRACED = 100_000, 10_000
_MOST_TRIED = 1_000  # characters of a text in which a pattern with many `*` is looked for
_SPACES = " \t\n"
_PIECE = re.compile(r"[ \t\n]+|[^ \t\n]+")
_BRACES = re.compile(r"\{[^{}\s]*(?:,|\.\.)[^{}\s]*\}")
_NUMBERS = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})(?:\.\.(-?[0-9]{1,18}))?")
_LETTERS = re.compile(r"([a-zA-Z])\.\.([a-zA-Z])(?:\.\.(-?[0-9]{1,18}))?")


class Values(Protocol):
    """What words ask the shell."""

    @property
    def options(self) -> set[str]: ...  # of `set` and `shopt`, as they are called there
    @property
    def dialect(self) -> str: ...  # "bash", "sh", or "" if that is not known

    def value(self, name: str) -> str | None: ...
    def arguments(self) -> list[str]: ...
    def assign(self, name: str, value: str) -> None: ...
    def elements(self, name: str) -> dict[str, str]: ...
    def output(self, substitution: Substitution) -> str: ...
    def names(self, directory: str) -> Iterable[str]: ...
    def end_without(self, name: str) -> NoReturn: ...


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
    return _compiled(_pieces(word, values))


def _pieces(word: Word, values: Values) -> list[WordPiece]:
    return [WordPiece(_value(part, values), isinstance(part, Arithmetic) or part.quoted) for part in word]


def pattern_text(word: Word, values: Values) -> str:
    """A word as a pattern of `[[`: what is quoted means itself there, and so stands in brackets."""
    return "".join(
        re.sub(r"[*?[]", r"[\g<0>]", text) if isinstance(part, Text | ShellParameter) and part.quoted else text
        for part, text in ((part, _value(part, values)) for part in word)
    )


def expression_text(word: Word, values: Values) -> str:
    """A word as a regular expression of `[[ =~`: what is quoted means itself there."""
    return "".join(
        re.sub(r"[][\\.*^$+?(){}|]", r"\\\g<0>", text)
        if isinstance(part, Text | ShellParameter) and part.quoted
        else text
        for part, text in ((part, _value(part, values)) for part in word)
    )


def _compiled(pieces: Iterable[WordPiece]) -> re.Pattern[str]:
    return re.compile(_one_way(_tokens_of(pieces)), re.DOTALL)


def _tokens_of(pieces: Iterable[WordPiece]) -> list[str]:
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


_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r" \t\n\r\f\v",
    "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9a-fA-F",
}  # fmt: skip


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
    text = re.sub("\0([a-z]+)\0", lambda match: _CLASSES.get(match[1], ""), text)
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


def _value(part: Part, values: Values) -> str:
    match part:
        case Text():
            return part.text
        case ShellParameter():
            return _parameter(part, values)
        case Substitution():
            return values.output(part).rstrip("\n")  # whose words may be many
        case Arithmetic():
            return str(number("".join(_value(one, values) for one in part.parts), values))


class UnsetValue(str):
    """Of a variable that is known to have none: empty, unless it is asked whether it has one."""


def _parameter(part: ShellParameter, values: Values) -> str:
    if part.name in ("@", "*") and not part.operator:
        between = _separators(values) if part.name == "*" and part.quoted else None
        return (" " if between is None else between[:1]).join(values.arguments())
    operator = part.operator
    if part.key is None:
        value = values.value(part.name)
    else:
        whole = several(part, values)
        if whole is not None:
            return str(len(whole)) if operator == "length" else " ".join(whole)
        value = values.elements(part.name).get(_index(part, values), UnsetValue())
    if operator == "length":
        return str(len(values.arguments()) if part.name in ("@", "*") else len(_known(part.name, value)))
    if operator.lstrip(":") in ("-", "=", "+", "?"):
        given = value is not None and not isinstance(value, UnsetValue)
        given = given and (value != "" or not operator.startswith(":"))
        if operator[-1] == "+":
            return text_of(part.argument, values) if given else ""
        if given:
            return value or ""
        if operator[-1] == "?":
            if value is not None:
                values.end_without(part.name)
            raise Unusable(f"${part.name} has no value, which ends the shell", f"give it: --var {part.name}=...")
        default = text_of(part.argument, values)
        if operator[-1] == "=":
            values.assign(part.name, default)
        return default
    text = _known(part.name, value)
    if isinstance(value, UnsetValue) and "nounset" in values.options:
        values.end_without(part.name)
    if not operator:
        return text
    if operator[0] in "#%":
        return _without(text, operator, pattern(part.argument, values))
    return _changed(part, text, values)


def _changed(part: ShellParameter, text: str, values: Values) -> str:
    """What only some shells have: another variable, a part, replaced text, capitals."""
    match part.operator:
        case "!":
            return _known(text, values.value(text))
        case ":":
            first = number(text_of(part.argument, values), values)
            first = max(len(text) + first, 0) if first < 0 else first
            if not part.second:
                return text[first:]
            count = number(text_of(part.second, values), values)
            return text[first : len(text) + count] if count < 0 else text[first : first + count]
        case "^" | "^^" | "," | ",,":
            change = str.upper if part.operator[0] == "^" else str.lower
            return change(text) if len(part.operator) > 1 else change(text[:1]) + text[1:]
    by = text_of(part.second, values)
    if part.operator in ("/", "//"):
        tokens = _tokens_of(_pieces(part.argument, values))
        if tokens.count(".*") > 2 and len(text) > _MOST_TRIED:
            raise Unusable("a pattern of this kind in a text of this length is not followed", "use a simpler one")
        count = 0 if part.operator == "//" else 1
        return limited(re.sub("".join(tokens), lambda _: by, text, count=count, flags=re.DOTALL)) if tokens else text
    what = pattern(part.argument, values)
    if part.operator == "/#":
        end = next((end for end in range(len(text), -1, -1) if what.fullmatch(text, 0, end)), -1)
        return by + text[end:] if end >= 0 else text
    begin = next((begin for begin in range(len(text) + 1) if what.fullmatch(text, begin)), -1)
    return text[:begin] + by if begin >= 0 else text


def several(part: ShellParameter, values: Values) -> list[str] | None:
    """The values of `${name[@]}`, `${@:2}` and their like, as many as there are; None if it is one."""
    if part.key is None:
        if part.name not in ("@", "*") or part.operator not in ("", ":"):
            return None
        found = values.arguments()
        if part.operator:
            found = [values.value("0") or "", *found]
    else:
        if text_of(part.key, values) not in ("@", "*"):
            return None
        elements = values.elements(part.name)
        if len(elements) > 1 and part.operator != "length" and not all(key.isdecimal() for key in elements):
            raise Unusable(f"in which order the elements of {part.name} come is not known", "name them one by one")
        found = list(elements) if part.operator == "!" else list(elements.values())
    if part.operator == ":":
        first = number(text_of(part.argument, values), values)
        found = found[first:]
        return found[: number(text_of(part.second, values), values)] if part.second else found
    if part.operator in ("", "!", "length"):
        return found
    if part.operator.lstrip(":") in ("-", "+"):
        if bool(found) == (part.operator[-1] == "-"):
            return found
        return [text_of(part.argument, values)] if part.argument else []
    if part.operator[0] in "#%":
        what = pattern(part.argument, values)
        return [_without(one, part.operator, what) for one in found]
    return [_changed(part, one, values) for one in found]


def _index(part: ShellParameter, values: Values) -> str:
    assert part.key is not None
    text = text_of(part.key, values)
    if text in values.elements(part.name):
        return text
    try:
        at = number(text, values)
    except Unusable:
        return text
    keys = list(values.elements(part.name))
    return keys[at] if at < 0 and -at <= len(keys) else str(at)


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


def _separators(values: Values) -> str | None:
    """$IFS; None if it has no value, which is as if it had the usual one."""
    found = values.value("IFS")
    return None if isinstance(found, UnsetValue) else found


def split_at(text: str, separators: str, most: int = 0) -> list[str]:
    """The fields of a text, by IFS: blanks in it count together, any other character alone; `most` as read has it."""
    blanks = "".join(one for one in separators if one in _SPACES)
    others = "".join(one for one in separators if one not in _SPACES)
    if not separators:
        return [text] if text else []
    blank = f"[{re.escape(blanks)}]" if blanks else "(?!)"
    cut = re.compile(f"{blank}*[{re.escape(others)}]{blank}*|{blank}+" if others else f"{blank}+")
    text = text.strip(blanks) if blanks else text
    found = cut.split(text, maxsplit=most - 1 if most > 1 else 0) if most != 1 else [text]
    if len(found) > 1 and found[-1] == "" and most == 0:
        found.pop()
    return found if text else []


def _known(name: str, value: str | None) -> str:
    if value is None:
        raise Unusable(f"${name} has no value", f"set it before: {name}=..., or give it: --var {name}=...")
    return value


_TOKEN = re.compile(
    r"[0-9]+#[0-9a-zA-Z@_]+|0[xX][0-9a-fA-F]+|[0-9]+|[A-Za-z_][A-Za-z0-9_]*|\+\+|--|[-+*/%&|^]=|<<|>>|[<>=!]=|&&|\|\||\S"
)
_BITS = 64


def _wrapped(value: int) -> int:
    """As signed integers of the machine have it."""
    return (value + (1 << _BITS - 1)) % (1 << _BITS) - (1 << _BITS - 1)


def number(text: str, values: Values) -> int:
    """Arithmetic as the shell has it, assignments included."""
    text = text.strip() or "0"
    if len(text) > 200 or "**" in text:
        raise Unusable(f"$(({text[:200]})) is not followed", "write the number")
    try:
        return _Sum(_TOKEN.findall(text), values).whole()
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

    def __init__(self, tokens: list[str], values: Values) -> None:
        self.tokens = tokens
        self.values = values
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
            name, operator = self.tokens.pop(0), self.tokens.pop(0)
            value = self.choice()
            if operator != "=":
                value = self.done(self.of(name), operator[:-1], value)
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
        text = self.values.value(name) or "0"
        if text.isidentifier():
            raise ValueError
        return _literal(text)

    def put(self, name: str, value: int) -> int:
        if not self.idle:
            self.values.assign(name, str(value))
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

    def done(self, left: int, operator: str, right: int) -> int:
        match operator:
            case "+":
                return _wrapped(left + right)
            case "-":
                return _wrapped(left - right)
            case "*":
                return _wrapped(left * right)
            case "/" | "%":
                whole = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
                return _wrapped(whole) if operator == "/" else left - whole * right
            case "&" | "|" | "^":
                return {"&": left & right, "|": left | right, "^": left ^ right}[operator]
            case "<<" | ">>":
                if not 0 <= right < _BITS:
                    raise ValueError
                return _wrapped(left << right) if operator == "<<" else left >> right
            case "&&" | "||":
                return int(bool(left and right) if operator == "&&" else bool(left or right))
        return int({"==": left == right, "!=": left != right, "<": left < right, ">": left > right,
                    "<=": left <= right, ">=": left >= right}[operator])  # fmt: skip


# --- one word, several fields


def _braced(word: Word, values: Values) -> Iterator[Word]:
    """`{a,b}` and `{1..3}`, where they stand in text without quotes."""
    text = "".join(part.text if isinstance(part, Text) and not part.quoted else "\0" for part in word)
    if "{" not in text or not _BRACES.search(text):
        yield word
        return
    if values.dialect == "sh":
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


def _split(word: Word, values: Values) -> Iterator[list[WordPiece]]:
    """The fields of one word, none of which may be too long."""
    for pieces in _unlimited(word, values):
        limited("".join(piece.text for piece in pieces))
        yield pieces


def _unlimited(word: Word, values: Values) -> Iterator[list[WordPiece]]:
    """The fields of one word: values without quotes are split, and leave nothing if they are empty."""
    current: list[WordPiece] | None = None
    for part in word:
        found = several(part, values) if isinstance(part, ShellParameter) and _is_several(part) else None
        if isinstance(part, ShellParameter) and part.quoted and found is not None:
            for at, one in enumerate(found):
                if at and current is not None:
                    yield current
                    current = []
                current = [*(current or []), WordPiece(one, True)]
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
        spaces = _separators(values)
        if spaces is not None and spaces != _SPACES:
            pieces = split_at(value, spaces)
            for number_, piece in enumerate(pieces):
                if number_ and current is not None:
                    yield current
                    current = None
                if piece or (number_ + 1 < len(pieces)):
                    current = [*(current or []), WordPiece(piece, False)]
            continue
        for piece in _PIECE.findall(value):
            if piece[0] not in _SPACES:
                current = [*(current or []), WordPiece(piece, False)]
            elif current is not None:
                yield current
                current = None
    if current is not None:
        yield current


def _is_several(part: Part) -> bool:
    """Whether it is one field for each value where it stands in quotation marks."""
    if not isinstance(part, ShellParameter) or part.operator == "length":
        return False
    last = part.key[-1] if part.key else None
    return part.name == "@" or (isinstance(last, Text) and last.text == "@")


def _named(pieces: list[WordPiece], values: Values) -> list[str]:
    """The names that a pattern stands for; the pattern itself if there is none."""
    text = limited("".join(piece.text for piece in pieces))
    if "noglob" in values.options:
        return [text]
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
        hidden = "dotglob" in values.options or "".join(piece.text for piece in component).startswith(".")
        found = [
            f"{one}{name}"
            for one in found
            for name in sorted(values.names(one or "."))
            if what.fullmatch(name) and (hidden or not name.startswith("."))
        ]
    return found or ([] if "nullglob" in values.options else [text])


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
