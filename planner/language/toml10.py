r"""What TOML 1.1 allows and TOML 1.0 does not, found in a text that a parser of either has read.

A spec is TOML 1.0, so that it means the same to every program. Which version a parser reads depends on when it was
installed: `tomli` takes 1.1 from 2.4 on. New in 1.1 are line ends, comments and a comma at the end in inline tables,
and the escapes \e and \xHH in strings; times without seconds, too, but no key of a spec takes a time.
"""

from __future__ import annotations

from mountplan.planner.light import regex
from mountplan.planner.record import NamedTuple


class Newer(NamedTuple):
    """The first thing in a text that TOML 1.0 does not have."""

    offset: int
    what: str
    remedy: str


_ESCAPE = r"\\[^ex\n]"  # of 1.0, as far as it has to be told from those of 1.1
_BASIC = rf'"(?!"")[^"\\\n]*+(?:{_ESCAPE}[^"\\\n]*+)*+"'
_LONG_BASIC = rf'"""[^"\\]*+(?:(?:{_ESCAPE}|\\\n|"{{1,2}}(?!"))[^"\\]*+)*+"{{3,5}}'
_LITERAL = r"'(?!'')[^'\n]*+'"
_LONG_LITERAL = r"'''[^']*+(?:'{1,2}(?!')[^']*+)*+'{3,5}"
_STRING = rf"{_LONG_BASIC}|{_BASIC}|{_LONG_LITERAL}|{_LITERAL}"
_COMMENT = r"\#[^\n]*+"
# An inline table as nearly all are: in one line, nothing nested in it that has braces or a comment.
_TABLE = rf"\{{(?:[^\"'\#{{}},\n]++|{_STRING}|,(?![ \t]*\}}))*+\}}"
# As much as is surely TOML 1.0, in one call: what stops it is looked at one by one.
_PLAIN = regex(rf"(?s)(?:[^\"'\#{{}}]++|{_COMMENT}|{_STRING}|{_TABLE})*+")
_TOKEN = regex(rf"(?s){_COMMENT}|{_STRING}|[\[\]{{}},\n]|[^\"'\#\[\]{{}},\n]++")
_NEW_ESCAPE = regex(r"\\[ex]")


def find_newer(text: str) -> Newer | None:
    """The first thing in `text` that is not TOML 1.0 but 1.1; None if there is none. The cost is linear.

    Of a text that is no TOML at all, this says as much as it understands.
    """
    position = 0
    while True:
        match = _PLAIN.match(text, position)
        assert match is not None  # it can match nothing at all
        position = match.end()
        if position == len(text) or text[position] == "}":
            return None
        found = _read_table(text, position) if text[position] == "{" else _in_string(text, position)
        if not isinstance(found, int):
            return found
        position = found


def _read_table(text: str, position: int) -> int | Newer | None:
    """Read an inline table with all that is nested in it: where it ends, or what is newer in it."""
    open_ones: list[str] = []
    comma = -1  # where the last token was one
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return _in_string(text, position)
        token = match[0]
        in_table = open_ones[-1:] == ["{"]
        if token in "{[":
            open_ones.append(token)
        elif token in "}]":
            if in_table and token == "}" and comma >= 0:
                return Newer(comma, "a comma at the end of an inline table", "leave out the comma before }")
            open_ones.pop()
            if not open_ones:
                return match.end()
        elif in_table and (token == "\n" or token[0] == "#"):
            kind = "a line end" if token == "\n" else "a comment"
            return Newer(position, f"{kind} in an inline table", "write all of { ... } in one line")
        if token == ",":
            comma = position
        elif not token.isspace():
            comma = -1
        position = match.end()
    return None


def _in_string(text: str, position: int) -> Newer | None:
    """A string that did not match: because of its escapes, or because the text is no TOML."""
    quote = text[position : position + 3]
    end = text.find("\n", position) if quote != '"""' else -1
    escape = _NEW_ESCAPE.search(text, position, len(text) if end < 0 else end)
    while escape is not None and _is_escaped(text, escape.start()):
        escape = _NEW_ESCAPE.search(text, escape.start() + 1, len(text) if end < 0 else end)
    if text[position] != '"' or escape is None:
        return None
    meant = r"\u001b" if escape[0] == r"\e" else r"\u00" + text[escape.end() : escape.end() + 2]
    return Newer(escape.start(), f"the escape {escape[0]}", f"write {meant}")


def _is_escaped(text: str, position: int) -> bool:
    """True if the backslash at `position` belongs to one before it."""
    start = position
    while text[start - 1 : start] == "\\":
        start -= 1
    return (position - start) % 2 == 1
