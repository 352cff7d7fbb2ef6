"""What commands make of a text that is known: cat, cut, grep, head, sed, tail, tr and their like, in their usual forms.

Each gives its output and status, or None for a form that is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Filtered = tuple[str, int] | None
Filter = Callable[[list[str], str], Filtered]
_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r" \t\n\r\f\v",
    "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9a-fA-F",
}  # fmt: skip

_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_BRACKET = re.compile(r"\[(\^?)(\]?(?:\[:[a-z]+:\]|[^]])*)\]")
_IN_BRACKET = re.compile(r"\[:([a-z]+):\]|\\?.", re.DOTALL)


def _lines(text: str) -> list[str]:
    return text.split("\n")[: -1 if text.endswith("\n") else None] if text else []


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _as_ended(lines: list[str], text: str) -> str:
    """Lines of a text, or what became of them: without an end of line at the end, if its last one has none there."""
    joined = _joined(lines)
    return joined if not text or text.endswith("\n") else joined[:-1]


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
                    inside += _CLASSES.get(part[1], "")
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


def _options(arguments: list[str], letters: str, with_value: str) -> tuple[dict[str, str], list[str]] | None:
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


def _grep(arguments: list[str], text: str) -> Filtered:
    read = _options(arguments, "qvixwcosEFlhan", "em")
    if read is None:
        return None
    given, rest = read
    patterns = given["e"].split("\n") if "e" in given else rest[0].split("\n") if rest else []
    if not patterns or "l" in given or "n" in given:
        return None
    wanted = []
    for one in patterns:
        wanted_pattern = (
            re.compile(re.escape(one), re.IGNORECASE if "i" in given else 0)
            if "F" in given
            else compiled(one, extended="E" in given, flags=re.IGNORECASE if "i" in given else 0)
        )
        if wanted_pattern is None:
            return None
        if "o" in given and (len(patterns) > 1 or is_ambiguous(wanted_pattern.pattern)):
            return None
        inner = f"(?:{wanted_pattern.pattern})"
        inner = f"^{inner}$" if "x" in given else rf"(?<!\w){inner}(?!\w)" if "w" in given else inner
        wanted.append(re.compile(inner, wanted_pattern.flags))
    found = [line for line in _lines(text) if any(one.search(line) for one in wanted) != ("v" in given)]
    if "m" in given:
        found = found[: int(given["m"])] if given["m"].isdecimal() else found
    status = 0 if found else 1
    if "q" in given:
        return "", status
    if "c" in given:
        return f"{len(found)}\n", status
    if "o" in given:
        return _joined(
            [match[0] for line in found for one in wanted for match in one.finditer(line) if match[0]]
        ), status
    return _joined(found), status


def _egrep(arguments: list[str], text: str) -> Filtered:
    return _grep(["-E", *arguments], text)


def _fgrep(arguments: list[str], text: str) -> Filtered:
    return _grep(["-F", *arguments], text)


def _numbers(text: str, count: int) -> list[int] | None:
    """The list of cut(1), from 0 on."""
    found: set[int] = set()
    for piece in text.split(","):
        match = re.fullmatch(r"(0*[1-9][0-9]*)?(-?)(0*[1-9][0-9]*)?", piece)
        if match is None or piece in ("", "-"):
            return None
        first = int(match[1] or 1)
        last = int(match[3]) if match[3] else count if match[2] else first
        found.update(range(first - 1, min(last, count)))
    return sorted(found)


def _cut(arguments: list[str], text: str) -> Filtered:
    read = _options(arguments, "s", "dfcb")
    if read is None:
        return None
    given, _ = read
    wanted = given.get("f") or given.get("c") or given.get("b") or ""
    if _numbers(wanted, 0) is None:
        return None
    found = []
    for line in _lines(text):
        if "f" in given:
            between = given.get("d", "\t")
            pieces = line.split(between)
            if len(pieces) == 1:
                if "s" not in given:
                    found.append(line)
                continue
        else:
            between, pieces = "", list(line)
        found.append(between.join(pieces[one] for one in _numbers(wanted, len(pieces)) or ()))
    return _joined(found), 0


def _characters(text: str) -> str | None:
    """A set of tr(1), written out."""
    if "[:" in text:
        for name, inside in _CLASSES.items():
            text = text.replace(
                f"[:{name}:]", re.sub(r"\\(.)", r"\1", inside) if name not in ("space", "blank") else " \t\n"
            )
    found, at = [], 0
    while at < len(text):
        if text[at] == "\\" and (escape := re.compile(r"\\([abfnrtv\\]|[0-7]{1,3})").match(text, at)) is not None:
            code = escape[1]
            text = text[: at + 1] + text[escape.end() :]
            found.append(chr(int(code, 8) % 256) if code.isdecimal() else _ESCAPED[code])
            if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
                return None
            at += 1
        elif text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            if ord(text[at]) > ord(text[at + 2]):
                return None
            found += [chr(one) for one in range(ord(text[at]), ord(text[at + 2]) + 1)]
            at += 3
        else:
            found.append(text[at])
            at += 1
    return "".join(found)


def _tr(arguments: list[str], text: str) -> Filtered:
    read = _options(arguments, "dscC", "")
    if read is None or not read[1]:
        return None
    given, sets = read
    first = _characters(sets[0])
    second = _characters(sets[1]) if len(sets) > 1 else ""
    if first is None or second is None or {"d", "s"} <= given.keys():
        return None
    inverted = "c" in given or "C" in given
    chosen = set(first)

    def is_chosen(character: str) -> bool:
        return (character in chosen) != inverted

    if "d" in given:
        return "".join(one for one in text if not is_chosen(one)), 0
    if second:
        padded = second + second[-1] * len(first)
        text = "".join(
            (second[-1] if inverted else padded[first.index(one)]) if is_chosen(one) else one for one in text
        )
    elif "s" not in given:
        return None
    if "s" in given:
        squeezed = set(second) if second else None
        kept: list[str] = []
        for one in text:
            if not (kept and kept[-1] == one and (one in squeezed if squeezed is not None else is_chosen(one))):
                kept.append(one)
        text = "".join(kept)
    return text, 0


def _count_of(arguments: list[str]) -> tuple[str, list[str]] | None:
    if arguments and re.fullmatch("-[0-9]+", arguments[0]):
        return arguments[0][1:], arguments[1:]
    read = _options(arguments, "q", "n")
    return None if read is None else (read[0].get("n", "10"), read[1])


def _head(arguments: list[str], text: str) -> Filtered:
    read = _count_of(arguments)
    if read is None or not read[0].isdecimal():
        return None
    lines, count = _lines(text), int(read[0])
    return _joined(lines[:count]) if count < len(lines) else text, 0


def _tail(arguments: list[str], text: str) -> Filtered:
    read = _count_of(arguments)
    if read is None or not re.fullmatch(r"\+?[0-9]+", read[0]):
        return None
    lines, count = _lines(text), int(read[0])
    shown = lines[max(count - 1, 0) :] if read[0][0] == "+" else lines[-count:] if count else []
    return _as_ended(shown, text) if shown else "", 0


def _cat(arguments: list[str], text: str) -> Filtered:
    return (text, 0) if all(not one.startswith("-") or one == "-" for one in arguments) else None


def _wc(arguments: list[str], text: str) -> Filtered:
    counts = {"-l": text.count("\n"), "-w": len(text.split()), "-c": len(text.encode()), "-m": len(text)}
    return (f"{counts[arguments[0]]}\n", 0) if len(arguments) == 1 and arguments[0] in counts else None


def _number(line: str) -> float:
    """What `sort -n` takes a line for."""
    match = re.match(r"[ \t]*(-?(?:[0-9]+\.?[0-9]*|\.[0-9]+))", line)
    return float(match[1]) if match else 0


def _sort(arguments: list[str], text: str) -> Filtered:
    read = _options(arguments, "urn", "")
    if read is None:
        return None
    given, _ = read
    lines = _lines(text)
    if "n" in given and "u" in given:  # one line a number, the first
        lines = list({_number(line): line for line in reversed(lines)}.values())
    elif "u" in given:
        lines = list(set(lines))
    lines.sort(key=lambda line: (_number(line) if "n" in given else 0, line))
    return _joined(lines[::-1] if "r" in given else lines), 0


def _uniq(arguments: list[str], text: str) -> Filtered:
    if arguments:
        return None
    lines = _lines(text)
    return _joined([line for at, line in enumerate(lines) if not at or line != lines[at - 1]]), 0


_SED_ADDRESS = re.compile(r"\s*(?:[0-9$]+|/(?:[^/\\]|\\.)*/)?\s*!?\s*")
_SED = re.compile(r"(?:(?P<line>[0-9]+|\$)|/(?P<where>(?:[^/\\]|\\.)*)/)?\s*(?P<not>!)?\s*(?P<rest>.*)", re.DOTALL)


def _sed(arguments: list[str], text: str) -> Filtered:
    """`s`, `d` and `p`, each of all lines, of one, or of those that match."""
    read = _options(arguments, "nrEu", "e")
    if read is None:
        return None
    given, rest = read
    if not rest and "e" not in given:
        return None
    program = given["e"] if "e" in given else rest[0]
    extended = "r" in given or "E" in given
    commands = []
    for piece in _sed_commands(program):
        match = _SED.fullmatch(piece.strip())
        if match is None or not match["rest"]:
            return None
        where = compiled(match["where"], extended=extended, escapes=True) if match["where"] is not None else None
        if match["where"] is not None and where is None:
            return None
        command = match["rest"]
        change = _substitution(command, extended=extended) if command[0] == "s" else None
        if change is None and command not in ("d", "p", "q"):
            return None
        commands.append((match["line"], where, bool(match["not"]), command, change))
    lines, found = _lines(text), []
    ends, shown = False, 0  # the line of which something was shown last
    for at, line in enumerate(lines, 1):
        for number, where, inverted, command, change in commands:
            is_meant = True
            if number is not None:
                is_meant = at == (len(lines) if number == "$" else int(number))
            elif where is not None:
                is_meant = where.search(line) is not None
            if is_meant == inverted:
                continue
            if command == "d":
                break
            if command == "p":
                found.append(line)
                shown = at
            elif command == "q":
                ends = True
            elif change is not None:
                pattern, by, count, shows = change
                line, changes = _substituted(pattern, by, line, count)
                if shows and changes:
                    found.append(line)
                    shown = at
        else:
            if "n" not in given:
                found.append(line)
                shown = at
        if ends:
            break
    return _joined(found) if ends or shown < len(lines) else _as_ended(found, text), 0


def _substituted(
    pattern: re.Pattern[str], by: Callable[[re.Match[str]], str], line: str, count: int
) -> tuple[str, int]:
    """As Pattern.subn, but what is empty is not found right behind what was found, as sed(1) has it."""
    found, end, changes = "", 0, 0
    for match in pattern.finditer(line):
        if match.end() > match.start() or not changes or match.start() > end:
            found += line[end : match.start()] + by(match)
            end, changes = match.end(), changes + 1
            if changes == count:
                break
    return found + line[end:], changes


def _sed_commands(program: str) -> list[str]:
    """Cut at semicolons and ends of lines that are in no regular expression."""
    found, current, at = [], "", 0
    while at < len(program):
        one = program[at]
        if one in ";\n":
            found.append(current)
            current = ""
        elif one == "s" and _SED_ADDRESS.fullmatch(current) and at + 1 < len(program):
            mark, end, seen = program[at + 1], at + 2, 0
            while end < len(program) and seen < 2:
                seen += program[end] == mark
                end += 2 if program[end] == "\\" else 1
            current += program[at:end]
            at = end
            continue
        else:
            current += one
        at += 1
    return [piece for piece in [*found, current] if piece.strip()]


def _substitution(
    command: str, *, extended: bool
) -> tuple[re.Pattern[str], Callable[[re.Match[str]], str], int, bool] | None:
    mark = re.escape(command[1:2])
    match = re.fullmatch(
        rf"s{mark}((?:[^{mark}\\]|\\.)*){mark}((?:[^{mark}\\]|\\.)*){mark}([gpiI]*)", command, re.DOTALL
    )
    if match is None:
        return None
    flags = re.IGNORECASE if {"i", "I"} & set(match[3]) else 0
    source = match[1].replace(f"\\{command[1]}", command[1]) if command[1] not in "|+?(){}" else match[1]
    pattern = compiled(source, extended=extended, flags=flags, escapes=True)
    if pattern is None or is_ambiguous(pattern.pattern):
        return None
    template = match[2]

    def by(found: re.Match[str]) -> str:
        def one(piece: re.Match[str]) -> str:
            if piece[0] == "&":
                return found[0]
            if piece[1].isdigit():
                return found[int(piece[1])] or ""
            return {"n": "\n", "t": "\t"}.get(piece[1], piece[1])

        return re.sub(r"\\(.)|&", one, template, flags=re.DOTALL)

    return pattern, by, 0 if "g" in match[3] else 1, "p" in match[3]


_AWK = re.compile(
    r"\s*(?:(\"(?:[^\"\\]|\\.)*\")|(/(?:[^/\\\n]|\\.)+/)|(\$(?:[0-9]+|NF))|([0-9]+)|([A-Za-z_]\w*)"
    r"|(==|!=|!~|<=|>=|&&|\|\||[-+~<>!(){};,]))",
    re.DOTALL,
)
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
        operator = self._taken("==", "!=", "~", "!~", "<", ">", "<=", ">=")
        if operator in ("~", "!~"):
            if self.tokens[0][0] == "/":
                pattern = self._pattern(self.tokens.pop(0)[1:-1])
                return lambda record: (pattern.search(left(record)[0]) is not None) == (operator == "~")
            parts = [self._value()]
            while self.tokens and self.tokens[0] not in ("{", "&&", "||", ")", ";"):
                parts.append(self._value())
            return lambda record: (
                (self._pattern("".join(part(record)[0] for part in parts)).search(left(record)[0]) is not None)
                == (operator == "~")
            )
        if not operator:
            raise ValueError("a value alone")
        right = self._value()
        return lambda record: _awk_holds(left(record), operator, right(record))

    def _pattern(self, text: str) -> re.Pattern[str]:
        pattern = compiled(text.replace("\\/", "/"), extended=True, escapes=True)
        if pattern is None or "{" in text:  # not all of them have that
            raise ValueError(text)
        return pattern


def _awk_holds(left: tuple[str, bool], operator: str, right: tuple[str, bool]) -> bool:
    one: str | float = left[0]
    other: str | float = right[0]
    numbers = [re.fullmatch(r"\s*[-+]?[0-9]+(?:\.[0-9]*)?\s*", side[0]) for side in (left, right)]
    if not left[1] and not right[1] and all(numbers):
        one, other = float(left[0]), float(right[0])
    elif operator not in ("==", "!="):
        raise ValueError(operator)
    return {"==": one == other, "!=": one != other}.get(operator, False) or (
        isinstance(one, float)
        and isinstance(other, float)
        and {"<": one < other, ">": one > other, "<=": one <= other, ">=": one >= other}.get(operator, False)
    )


def _awk(arguments: list[str], text: str) -> Filtered:
    """Patterns and `{ print ... }`, with -F and -v."""
    read = _options(arguments, "", "Fv")
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

        for at, line in enumerate(_lines(text), 1):
            pieces = line.split() if separator == " " else re.split(separator, line) if len(separator) > 1 else []
            record = ([line, *(pieces or line.split(separator if separator != " " else None))] if line else [line], at)
            if carry_out("") == "exit":
                break
        carry_out("END")
    except (ValueError, IndexError, KeyError, re.error):
        return None
    return _joined(found), 0


def _tac(arguments: list[str], text: str) -> Filtered:
    return (_joined(_lines(text)[::-1]), 0) if not arguments and (not text or text.endswith("\n")) else None


def _rev(arguments: list[str], text: str) -> Filtered:
    return (_as_ended([line[::-1] for line in _lines(text)], text), 0) if not arguments else None


FILTERS: dict[str, Filter] = {
    "awk": _awk, "cat": _cat, "cut": _cut, "egrep": _egrep, "fgrep": _fgrep, "grep": _grep, "head": _head, "sed": _sed,
    "rev": _rev, "sort": _sort, "tac": _tac, "tail": _tail, "tr": _tr, "uniq": _uniq, "wc": _wc,
}  # fmt: skip
_SCRIPT_FIRST = frozenset({"awk", "egrep", "fgrep", "grep", "sed"})  # before the files
_VALUES = {
    "awk": "Fv",
    "cut": "dfcb",
    "egrep": "em",
    "fgrep": "em",
    "grep": "em",
    "head": "nc",
    "sed": "ef",
    "tail": "nc",
}


def files_of(name: str, arguments: list[str]) -> tuple[list[str], list[str]]:
    """The files among the arguments, and the arguments without them."""
    if name == "tr":
        return [], arguments
    found: list[str] = []
    kept: list[str] = []
    words = list(arguments)
    needs = name in _SCRIPT_FIRST
    while words:
        word = words.pop(0)
        if word.startswith("-") and word != "-":
            kept.append(word)
            last = next((at for at, letter in enumerate(word[1:], 1) if letter in _VALUES.get(name, "")), 0)
            if last and not word.startswith("--"):
                if word[last] == "e":
                    needs = False
                if last + 1 == len(word) and words:
                    kept.append(words.pop(0))
        elif needs:
            kept.append(word)
            needs = False
        else:
            found.append(word)
    return found, kept
