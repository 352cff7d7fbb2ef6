"""Where in a TOML text a key path stands. The parser does not tell, and error messages and plans need it.

The text is taken to be valid TOML 1.0 or 1.1: a parser has accepted it before. On anything else the answers are vague,
but the work still ends. Reading is linear. One pass finds the headers and skips what lies between them; the keys of a
table are looked for when one of them is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from re import Pattern

from mountplan.planner.characters import toml_key
from mountplan.planner.light import regex

# The parts of the grammar that matter here. No two alternatives can begin alike, so that no match ever goes back.
_BASIC = r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
_LITERAL = r"'[^'\n]*'"
_LONG_BASIC = r'"""[^"\\]*(?:(?:\\.|"{1,2}(?!"))[^"\\]*)*"{3,5}'
_LONG_LITERAL = r"'''[^']*(?:'{1,2}(?!')[^']*)*'{3,5}"
_KEY = rf"(?:[A-Za-z0-9_-]+|{_BASIC}|{_LITERAL})"
_DOTTED = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_REST = r"[ \t]*(?:\#[^\n]*)?\n"

_ONE_KEY = regex(rf"(?s){_KEY}")
_KEY_VALUE = regex(rf"(?s)[ \t]*({_DOTTED})[ \t]*=[ \t]*")
_SCALAR = regex(rf"(?s){_LONG_BASIC}|{_LONG_LITERAL}|{_BASIC}|{_LITERAL}|[^,\]}}\#\n]+")
_GAP = regex(r"(?:[ \t\n,]+|\#[^\n]*)*")
_BLANK = regex(r"(?:[ \t\n]+|\#[^\n]*)*")


def _lines_pattern(value: str) -> Pattern[str]:
    """As many lines as possible that are a statement each, then a header if there is one.

    A line is a statement if its value cannot go on in the next line: a scalar, or what `value` matches. Only bare keys,
    which all but a few are; everything else is left to the careful reader.
    """
    return regex(
        rf"""(?sx)
        (?: [A-Za-z0-9_.\- \t]+ = [ \t]* (?: (?! [ \t\[{{] | \"{{3}} | '{{3}} ) [^\n]* \n | {value} )
          | {_REST}
        )*
        ( [ \t]* \[ (\[?) [ \t]* ({_DOTTED}) [ \t]* \]\]? {_REST} )?
        """
    )


# An array or inline table that nothing is nested in and that ends in this line, which is sure only where there are no
# strings over several lines. To make sure of that in each line takes half of the time, so the whole text is asked.
_FLAT = rf"[\[{{] (?: [^\[\]{{}}\#\\\n\"']++ | \"[^\"\\\n]*+\" | '[^'\n]*+' )*+ [\]}}] {_REST}"
_LINES = _lines_pattern(_FLAT)
_LINES_AND_LONG_STRINGS = _lines_pattern(rf"(?! [^\n]* (?: \"{{3}} | '{{3}} ) ) {_FLAT}")

# No parser takes such a text; and here the key paths alone would be as long as the square of it.
_DEEPEST = 1000

_OF_MOUNTS = ("mount[", "namespace[")
_PATH_PART = regex(r'\.?(?:"(?:[^"\\]|\\.)*"|[^.\[\]"]+)|\[\d+\]')


def key_path(*parts: str | int) -> str:
    """A key path in words: `mount[3].bind`. A part that TOML would want quoted is quoted: `peer_group."a b"`."""
    path = ""
    for part in parts:
        path = f"{path}[{part}]" if isinstance(part, int) else _below(path, part)
    return path


def prefixes(path: str) -> list[str]:
    """A key path and all that it lies in, the outermost first: `mount[3].bind` lies in `mount[3]`, that in `mount`."""
    return [path[: match.end()] for match in _PATH_PART.finditer(path)]


@lru_cache(maxsize=4096)
def _quoted(key: str) -> str:
    return toml_key(key)


def _below(path: str, key: str) -> str:
    return f"{path}.{_quoted(key)}" if path else _quoted(key)


@lru_cache(maxsize=4096)
def _keys(dotted: str) -> tuple[str, ...]:
    """The parts of a key as the text has it: `a."b.c"` is a and b.c."""
    return tuple(_unquoted(match[0]) for match in _ONE_KEY.finditer(dotted))


def _unquoted(key: str) -> str:
    if key[0] == "'" or (key[0] == '"' and "\\" not in key):
        return key[1:-1]
    if key[0] == '"':
        import tomli

        return str(tomli.loads(f"key = {key}")["key"])
    return key


def _with_pasted(known: list[str]) -> Iterator[str]:
    """The innermost first. What is not there by itself may have come from `mount_options`."""
    for prefix in reversed(known):
        yield prefix
        if prefix.startswith(_OF_MOUNTS) and prefix.endswith((".attributes", ".options")):
            yield f"{prefix.rpartition('.')[0]}.mount_options"


class Places:
    """The lines of a TOML text's tables, keys and array elements, counted from 1."""

    def __init__(self, text: str) -> None:
        text = text.replace("\r\n", "\n")
        self._text = text if text.endswith("\n") else text + "\n"
        self._lines: dict[str, int] = {}
        self._unquoted: dict[str, int] = {}

    def line(self, key: str) -> int:
        """The line of `key`, or of the nearest thing around it that has one; line 1 is the line of the whole text."""
        unread = self._sections[1]
        known = prefixes(key)
        for prefix in ("", *known):
            body = unread.pop(prefix, None)
            if body is not None:
                self._read_body(prefix, *body)
        lines = (self._lines.get(prefix) or self._unquoted.get(prefix) for prefix in _with_pasted(known))
        return next((line for line in lines if line), 1)

    def headers(self) -> tuple[tuple[str, int], ...]:
        """Every table header's key path and line, in the order of the text: `mount[0]`, `mount[0].file[0]`, `run`."""
        return self._sections[0]

    @cached_property
    def _sections(self) -> tuple[tuple[tuple[str, int], ...], dict[str, tuple[int, int, int]]]:
        """headers(), and the tables not read yet: key path -> start and end of what is below the header, first line."""
        text = self._text
        headers: list[tuple[str, int]] = []
        bodies: dict[str, tuple[int, int, int]] = {}
        lengths: dict[str, int] = {}  # of the arrays of tables, so far
        key, start, first = "", 0, 1
        position, line = 0, 1
        pattern = _LINES_AND_LONG_STRINGS if '"""' in text or "'''" in text else _LINES
        match_lines, count = pattern.match, text.count
        while position < len(text):
            match = match_lines(text, position)
            assert match is not None  # it can match nothing at all
            begin, end = match.span(1)
            if begin < 0:
                line += count("\n", position, match.end())
                position, line = self._read_statement(match.end(), line, key)
                if position < 0:
                    break
                continue
            line += count("\n", position, begin)
            bodies[key] = (start, begin, first)
            key = self._open_table(match[3], match[2] != "", line, lengths)
            headers.append((key, line))
            line += 1
            position = start = end
            first = line
        bodies[key] = (start, len(text), first)
        return tuple(headers), bodies

    def _open_table(self, name: str, is_array: bool, line: int, lengths: dict[str, int]) -> str:
        """Note the line of a header and of the tables that it implies; returns its path, counting it in `lengths`."""
        if name.isidentifier() and name.isascii():
            key = name
            self._lines.setdefault(key, line)
        else:
            *parents, name = _keys(name)
            key = ""
            for parent in parents:
                key = self._note(key, parent, line)
                if key in lengths:
                    key = f"{key}[{lengths[key] - 1}]"
            key = self._note(key, name, line)
        if is_array:
            index = lengths.get(key, 0)
            lengths[key] = index + 1
            key = f"{key}[{index}]"
            self._lines[key] = line
        return key

    def _read_body(self, table: str, position: int, end: int, line: int) -> None:
        while 0 <= position < end:
            position, line = self._read_statement(position, line, table)

    def _read_statement(self, position: int, line: int, table: str) -> tuple[int, int]:
        """Note the keys of the next statement; returns where it ends and the line there, or -1 if there is none."""
        text = self._text
        blank = _BLANK.match(text, position)
        assert blank is not None
        line += text.count("\n", position, blank.end())
        match = _KEY_VALUE.match(text, blank.end())
        if match is None:
            return -1, line
        return self._read_value(match.end(), line, self._note_all(table, match[1], line))

    def _note_all(self, table: str, dotted: str, line: int) -> str:
        """Note the line of a key, and of the tables that its dots make; returns its path."""
        for key in _keys(dotted):
            table = self._note(table, key, line)
        return table

    def _note(self, table: str, key: str, line: int) -> str:
        path = _below(table, key)
        self._lines.setdefault(path, line)
        if path[-1] == '"':  # for those who ask for it without quotes
            self._unquoted.setdefault(f"{table}.{key}" if table else key, line)
        return path

    def _read_value(self, position: int, line: int, path: str) -> tuple[int, int]:
        """Note what lies inside of the value at `position`; returns where it ends and the line there, or -1."""
        text, count = self._text, self._text.count
        open_ones: list[tuple[str, int]] = []  # arrays with the index of their next element, inline tables with -1
        while True:
            if text[position] in "[{":
                if len(open_ones) > _DEEPEST:
                    return -1, line
                open_ones.append((path, 0 if text[position] == "[" else -1))
                position += 1
            else:
                scalar = _SCALAR.match(text, position)
                if scalar is None:
                    return -1, line
                line += count("\n", position, scalar.end())
                position = scalar.end()
            while open_ones:
                gap = _GAP.match(text, position)
                assert gap is not None
                line += count("\n", position, gap.end())
                position = gap.end()
                if position == len(text):
                    return -1, line
                if text[position] in "]}":
                    open_ones.pop()
                    position += 1
                    continue
                outer, index = open_ones[-1]
                if index < 0:
                    match = _KEY_VALUE.match(text, position)
                    if match is None:
                        return -1, line
                    path = self._note_all(outer, match[1], line)
                    position = match.end()
                else:
                    path = f"{outer}[{index}]"
                    open_ones[-1] = (outer, index + 1)
                    self._lines.setdefault(path, line)
                break
            else:
                return position, line
