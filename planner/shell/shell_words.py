"""Words of a shell -> fields: variables, defaults, what commands write, and names that there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NoReturn, Protocol

from mountplan.planner.commands.util_linux import Unusable
from mountplan.planner.record import NamedTuple
from mountplan.planner.shell.shell_arithmetic import Variables, number
from mountplan.planner.shell.shell_braces import braced
from mountplan.planner.shell.shell_patterns import WordPiece, compiled, tokens_of
from mountplan.planner.shell.shell_syntax import Arithmetic, Part, ShellParameter, Substitution, Text, Word, limited

_MOST_FIELDS = 100_000
_MOST_TRIED = 1_000  # characters of a text in which a pattern with many `*` is looked for
_SPACES = " \t\n"
_PIECE = re.compile(r"[ \t\n]+|[^ \t\n]+")


class Values(Variables, Protocol):
    """What words ask the shell."""

    @property
    def options(self) -> set[str]: ...  # of `set` and `shopt`, as they are called there
    @property
    def dialect(self) -> str: ...  # "bash", "sh", or "" if that is not known

    def arguments(self) -> list[str]: ...
    def elements(self, name: str) -> dict[str, str]: ...
    def output(self, substitution: Substitution) -> str: ...
    def names(self, directory: str) -> Iterable[str]: ...
    def is_there(self, path: str) -> bool: ...
    def end_without(self, name: str) -> NoReturn: ...


_WITH_MEANING = re.compile(r"[]~*?[{}\\]")


def text_of(word: Word, values: Values) -> str:
    """A word as one text, as after `=`: not split, and without patterns."""
    return limited("".join(_value(_as_one(part, values), values) for part in word))


def _as_one(part: Part, values: Values) -> Part:
    """`$*` where nothing is split is what it is in quotation marks."""
    if isinstance(part, ShellParameter) and part.operator in ("", "-", ":-"):
        is_disputed = part.name == "@" and not part.operator and values.dialect == "sh"
        if is_disputed and not (_separators(values) or " ").startswith(" "):
            raise Unusable("$@ as one text is not followed: shells called sh differ in what stands between", "use $*")
        if part.name == "*" or (part.key is not None and text_of(part.key, values) == "*"):
            return part._replace(quoted=True)
    return part


def fields(words: Iterable[Word], values: Values) -> list[str]:
    """All words of a command. Raises Unusable."""
    found: list[str] = []
    for word in words:
        first = word[0] if len(word) == 1 else None
        if isinstance(first, Text) and not _WITH_MEANING.search(first.text) and len(found) < _MOST_FIELDS:
            found.append(limited(first.text))  # by far the most, and once more at each turn of a loop
            continue
        for one in braced(word, values.dialect):
            for pieces in _split(one, values):
                found += _named(pieces, values)
                if len(found) > _MOST_FIELDS:
                    raise Unusable(f"a command has more than {_MOST_FIELDS:,} words", "use fewer")
    return found


def pattern(word: Word, values: Values) -> re.Pattern[str]:
    """A word as a pattern of `case` and the like."""
    return compiled(_pieces(word, values))


def _pieces(word: Word, values: Values) -> list[WordPiece]:
    return [WordPiece(_value(part, values), isinstance(part, Arithmetic) or part.quoted) for part in word]


def pattern_text(word: Word, values: Values) -> str:
    """A word as a pattern of `[[`: what is quoted means itself there, and so stands in brackets."""
    return _with_quoted(word, values, r"[*?[]", r"[\g<0>]")


def expression_text(word: Word, values: Values) -> str:
    """A word as a regular expression of `[[ =~`: what is quoted means itself there."""
    return _with_quoted(word, values, r"[][\\.*^$+?(){}|]", r"\\\g<0>")


def _with_quoted(word: Word, values: Values, special: str, plain: str) -> str:
    texts = ((isinstance(part, Text | ShellParameter) and part.quoted, _value(part, values)) for part in word)
    return "".join(re.sub(special, plain, text) if quoted else text for quoted, text in texts)


def _value(part: Part | SplitText, values: Values) -> str:
    match part:
        case Text() | SplitText():
            return part.text
        case ShellParameter():
            return _parameter(part, values)
        case Substitution():
            return values.output(part).rstrip("\n")  # whose words may be many
        case Arithmetic():
            return str(number("".join(_value(one, values) for one in part.parts), values))


class UnsetValue(str):
    """Of a variable that is known to have none: empty, unless it is asked whether it has one."""


class DisputedValue(UnsetValue):
    """Of a variable that a function has just declared its own: some shells called sh leave it what it had."""


def _parameter(part: ShellParameter, values: Values) -> str:
    operator = part.operator
    if part.name in ("@", "*") and not operator:
        return _between_of(part, part.name, values).join(values.arguments())
    if part.name in ("@", "*"):
        given = values.arguments()
        if not given and operator in ("-", "+") and values.dialect == "sh":
            what = f"whether ${{{part.name}{operator}...}} takes no arguments for set, shells called sh do not agree on"
            raise Unusable(what, f"write ${{{part.name}:{operator}...}}")
        value: str | None = _between_of(part, part.name, values).join(given) if given else UnsetValue()
    elif part.key is None:
        value = values.value(part.name)
    else:
        whole = several(part, values)
        if whole is not None:
            between = _between_of(part, text_of(part.key, values), values)
            return str(len(whole)) if operator == "length" else between.join(whole)
        value = values.elements(part.name).get(_index(part, values), UnsetValue())
    if isinstance(value, DisputedValue):
        what = f"what {part.name} has after `local {part.name}`, shells called sh do not agree on"
        raise Unusable(what, f"write local {part.name}=")
    if operator == "length":
        return str(len(values.arguments()) if part.name in ("@", "*") else len(_known(part.name, value)))
    if operator.lstrip(":") in ("-", "=", "+", "?"):
        has_one = value is not None and not isinstance(value, UnsetValue)
        has_one = has_one and (value != "" or not operator.startswith(":"))
        if operator[-1] == "+":
            return text_of(part.argument, values) if has_one else ""
        if has_one:
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


def _between_of(part: ShellParameter, name: str, values: Values) -> str:
    """What stands between the values of `"$*"` and its like."""
    between = _separators(values) if name == "*" and part.quoted else None
    return " " if between is None else between[:1]


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
        tokens = tokens_of(_pieces(part.argument, values))
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
    order = range(len(text) + 1)
    for at in order[::-1] if operator in ("##", "%") else order:
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


def _split(word: Word, values: Values) -> Iterator[list[WordPiece]]:
    """The fields of one word, none of which may be too long."""
    for pieces in _unlimited(word, values):
        limited("".join(piece.text for piece in pieces))
        yield pieces


def _unlimited(word: Word, values: Values) -> Iterator[list[WordPiece]]:
    """The fields of one word: values without quotes are split, and leave nothing if they are empty."""
    current: list[WordPiece] | None = None
    for part in _spliced(word, values):
        found = several(part, values) if isinstance(part, ShellParameter) and _is_several(part) else None
        if isinstance(part, ShellParameter) and part.quoted and found is not None:
            for at, one in enumerate(found):
                if at and current is not None:
                    yield current
                    current = []
                current = [*(current or []), WordPiece(one, True)]
            continue
        value = _value(part, values)
        if isinstance(part, Text) and part.text.startswith("~") and not part.quoted and current is None:
            raise Unusable("~ is not followed", "write the directory out")
        if isinstance(part, Text | Arithmetic) or part.quoted:
            current = [*(current or []), WordPiece(value, isinstance(part, Arithmetic) or part.quoted)]
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


class SplitText(NamedTuple):
    """Text without quotes in `${name+...}`, which is split as a value is."""

    text: str
    quoted: bool = False


def _spliced(word: Word, values: Values) -> Iterator[Part | SplitText]:
    """The word with what stands in `${name+...}` and `${name-...}` in the place of those, if that has quotes."""
    for part in word:
        if (
            isinstance(part, ShellParameter)
            and part.operator.lstrip(":") in ("+", "-")
            and any(isinstance(one, Text | ShellParameter | Substitution) and one.quoted for one in part.argument)
            and not part.quoted
            and part.key is None
        ):
            is_taken = _parameter(part._replace(argument=(Text("x", True),)), values) == "x"
            if is_taken or part.operator[-1] == "+":
                for one in part.argument if is_taken else ():
                    yield SplitText(one.text) if isinstance(one, Text) and not one.quoted else one
                continue
        yield part


def _is_several(part: Part | SplitText) -> bool:
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
    if not re.search(r"[*?]|\[.+\]", "".join(piece.text for piece in pieces if not piece.plain)):
        return [text]
    found = [""]
    for component in _components(pieces):
        if all(piece.plain or not set(piece.text) & set("*?[") for piece in component):
            found = [f"{one}{''.join(piece.text for piece in component)}" for one in found]
            continue
        what = compiled(component)
        hidden = "dotglob" in values.options or "".join(piece.text for piece in component).startswith(".")
        found = [
            f"{one}{name}"
            for one in found
            for name in sorted(values.names(one or "."))
            if what.fullmatch(name) and (hidden or not name.startswith("."))
        ]
    found = [one for one in found if values.is_there(one)]
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
