"""Words of a shell script -> their parts: text, expansions, what commands write.

The grammar says where a word begins and ends. What is in it is taken from its text, so that no byte of it gets lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

from mountplan.planner.shell import shell_syntax as s
from mountplan.planner.shell.shell_grammar import ScriptTree

_ANSI_ESCAPED = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|(\n|.))", re.DOTALL)
_ESCAPED = re.compile(r"\\(\n|.)", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r'\\(\n|["\\$`])', re.DOTALL)
# Expansions that the grammar takes for text, as the second one of $x/$1
_MISSED = re.compile(r"\\.|\$([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])", re.DOTALL)
OTHERWISE = "write it in another way"


class WordReader(ScriptTree):
    def commands(self, nodes: list[Any]) -> tuple[s.Command, ...]:
        """Statements, which may stand in a word."""
        raise NotImplementedError

    def redirection(self, node: Any) -> list[s.Redirection]:
        raise NotImplementedError

    def words(self, nodes: list[Any]) -> tuple[s.Word, ...]:
        """What follows without a space is the same word, whatever the grammar makes of it."""
        found: list[s.Word] = []
        end = -1
        for node in nodes:
            parts = self.word(node)
            if node.start_byte == end:
                found[-1] = _mended((*found[-1], *parts))
            else:
                found.append(parts)
            end = node.end_byte
        return tuple(found)

    def word(self, node: Any, quoted: bool = False) -> s.Word:
        if self.depth >= s.MOST_NESTED:
            raise s.ScriptError(self.line(node), f"words are nested more than {s.MOST_NESTED} deep", "nest fewer")
        self.depth += 1
        try:
            return self._word(node, quoted)
        finally:
            self.depth -= 1

    def _word(self, node: Any, quoted: bool) -> s.Word:
        match node.type:
            case "concatenation":
                for child, after in pairwise(node.children):
                    name = self.text(child)[1:]
                    if child.type == "simple_expansion" and name.isidentifier() and self.text(after).startswith("{"):
                        what = f"${name}{{ is not followed: bash reads it with the first letters that the braces give"
                        raise s.ScriptError(self.line(node), what, f"write ${{{name}}}{{")
                return _mended(tuple(part for child in node.children for part in self.word(child, quoted)))
            case "string" | "translated_string":
                inner = node.children[-1] if node.type == "translated_string" else node
                parts = self._between(inner, inner.start_byte + 1, inner.end_byte - 1, True)
                return parts or (s.Text("", True),)
            case "raw_string":
                return (s.Text(self.text(node)[1:-1], True),)
            case "ansi_c_string":
                return (s.Text(self._ansi(node), True),)
            case "simple_expansion" | "expansion" | "command_substitution" | "arithmetic_expansion":
                text = self.text(node)
                lead = text[: len(text) - len(text.lstrip())]  # the grammar takes spaces in quotes for a part of it
                return (*((s.Text(lead, True),) if lead else ()), self._expanded(node, lead, quoted))
            case "process_substitution":
                raise s.ScriptError(self.line(node), "<( ) is not followed", "use a file")
        text = self.text(node)
        if node.type == "regex":
            if re.search(r"[\"'`]|\$[{(]", text):
                what = "a regular expression with quotation marks in it is not followed"
                raise s.ScriptError(self.line(node), what, "put it into a variable: [[ $x =~ $pattern ]]")
            return _mended(self._unescaped(text))
        return self._unescaped(text)

    def _expanded(self, node: Any, lead: str, quoted: bool) -> s.Part:
        """What stands behind the spaces `lead`."""
        text = self.text(node)[len(lead) :]
        match node.type:
            case "simple_expansion":
                return s.ShellParameter(text[1:], quoted)
            case "expansion":
                return self._expansion(node, lead, quoted)
            case "command_substitution":
                return self._substitution(node, text, quoted)
        start = node.start_byte + len(lead.encode()) + (3 if text.startswith("$((") else 2)
        if (apart := self._apart(start, node.end_byte - 2, self.line(node))) is not None:
            return s.Arithmetic(apart)
        return s.Arithmetic(self._between(node, start, node.end_byte - (2 if text.endswith("))") else 1), True))

    def _unescaped(self, text: str) -> s.Word:
        """Text without quotes: what a backslash stands before is quoted."""
        parts: list[s.Part] = []
        at = 0
        for match in _ESCAPED.finditer(text):
            if match.start() > at:
                parts.append(s.Text(text[at : match.start()], False))
            if match[1] != "\n":
                parts.append(s.Text(match[1], True))
            at = match.end()
        if at < len(text) or not parts:
            parts.append(s.Text(text[at:], False))
        return tuple(parts)

    def _between(self, node: Any, start: int, end: int, quoted: bool) -> s.Word:
        """All bytes from `start` to `end`: the node's expansions, and text between them."""
        parts: list[s.Part] = []
        at = start
        waiting = list(reversed(node.children))
        while waiting:
            one = waiting.pop()
            if one.start_byte < at or one.end_byte > end:
                continue
            if one.type in ("simple_expansion", "expansion", "command_substitution", "arithmetic_expansion"):
                self._add_text(parts, at, one.start_byte, quoted)
                parts += self.word(one, quoted)
                at = one.end_byte
            elif not quoted and one.type in ("string", "raw_string", "ansi_c_string"):
                self._add_text(parts, at, one.start_byte, quoted)
                parts += self.word(one)
                at = one.end_byte
            else:
                waiting += reversed(one.children)
        self._add_text(parts, at, end, quoted)
        return tuple(parts)

    def _add_text(self, parts: list[s.Part], start: int, end: int, quoted: bool) -> None:
        if start >= end:
            return
        text = self.slice(start, end)
        if quoted:
            at = 0
            for match in _MISSED.finditer(text):
                if match[1] is None:
                    continue  # an escape
                parts += (s.Text(_unquoted(text[at : match.start()]), True), s.ShellParameter(match[1], True))
                at = match.end()
            parts.append(s.Text(_unquoted(text[at:]), True))
        else:
            parts += self._unescaped(text)

    def _ansi(self, node: Any) -> str:
        def one(match: re.Match[str]) -> str:
            if match[4] is None:
                code = int(match[1], 8) % 256 if match[1] else int(match[2] or match[3], 16)
                return chr(code) if code < 128 or match[3] else chr(0xDC00 + code)
            if match[4] in s.CONTROLS:
                return s.CONTROLS[match[4]]
            if match[4] in "\\'\"?":
                return match[4]
            raise s.ScriptError(self.line(node), f"\\{match[4]} in $'...' is not followed", "write the character")

        return _ANSI_ESCAPED.sub(one, self.text(node)[2:-1]).partition("\0")[0]  # nothing after a byte 0

    def _expansion(self, node: Any, lead: str, quoted: bool) -> s.ShellParameter:
        text = self.text(node)[len(lead) :]
        index = None
        if match := re.match(r"(\$\{[#!]?[A-Za-z_][A-Za-z0-9_]*)\[((?:[^\[\]]|\[[^\]]*\])*)\]", text):
            begin = node.start_byte + len((lead + match[1]).encode()) + 1
            index = self._between(node, begin, begin + len(match[2].encode()), True)
            text = match[1] + text[match.end() :]
        if match := re.fullmatch(r"\$\{#([A-Za-z_][A-Za-z0-9_]*|[0-9@*])\}", text):
            return s.ShellParameter(match[1], quoted, "length", key=index)
        if match := re.fullmatch(r"\$\{!([A-Za-z_][A-Za-z0-9_]*|[0-9]+)\}", text):
            return s.ShellParameter(match[1], quoted, "!", key=index)
        match = re.match(
            r"\$\{([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-])(:?[-=+?]|##?|%%?|//|/[#%]?|\^\^?|,,?|:|\})", text
        )
        if match is None:
            what = f"{text} is not followed"
            raise s.ScriptError(self.line(node), what, "use ${NAME}, ${NAME:-...}, ${NAME#...} or ${NAME%...}")
        if match[2] == "}":
            return s.ShellParameter(match[1], quoted, key=index)
        start = node.end_byte - len(text[match.end() :].encode())
        if match[2][0] in "/:" and match[2][1:] not in ("-", "=", "+", "?"):
            return self._with_two(node, match, start, quoted)._replace(key=index)
        if (apart := self._apart(start, node.end_byte - 1, self.line(node))) is not None:
            return s.ShellParameter(match[1], quoted, match[2], apart, key=index)
        if match[2][0] in "#%":
            argument = self._pattern(start, node.end_byte - 1, self.line(node))
        elif quoted and '"' in (inner := self.slice(start, node.end_byte - 1)):
            # What stands in quotation marks loses those that it has of its own, but for those in its expansions.
            argument = self._text_alone("".join(one for one in _pieces(inner) if one != '"'), self.line(node))
        else:
            argument = self._between(node, start, node.end_byte - 1, quoted)
        return s.ShellParameter(match[1], quoted, match[2], argument, key=index)

    def _pattern(self, start: int, end: int, line: int) -> s.Word:
        """A pattern in an expansion, which the grammar has as text: quoted or not, with expansions in it."""
        text = self.slice(start, end)
        parts: list[s.Part] = []
        at = 0
        for match in _IN_PATTERN.finditer(text):
            if match.start() < at:
                continue  # within the last one
            if match.start() > at:
                parts.append(s.Text(text[at : match.start()], False))
            at = match.end()
            if match[0][0] == "\\":
                parts.append(s.Text(match[0][1:], True))
            elif match[0][0] == "'":
                parts.append(s.Text(match[0][1:-1], True))
            else:
                at = _end_of(text, match.start())
                inner = text[match.start() : at]
                reader = type(self)(f": {inner}", line)
                found = reader.commands(reader.root.children)
                if len(found) != 1 or not isinstance(found[0], s.Simple) or len(found[0].words) != 2:
                    raise s.ScriptError(line, f"`{text}` is not understood as a pattern", OTHERWISE)
                parts += found[0].words[1]
        if at < len(text):
            parts.append(s.Text(text[at:], False))
        return tuple(parts)

    def _with_two(self, node: Any, match: re.Match[str], start: int, quoted: bool) -> s.ShellParameter:
        """`${name/pattern/text}` and `${name:first:length}`: at the first separator that nothing encloses."""
        end = node.end_byte - 1
        at, depth = start, 0
        separator = match[2][0].encode()
        while at < end and (depth or self.data[at : at + 1] != separator):
            depth += {b"{": 1, b"(": 1, b"}": -1, b")": -1}.get(self.data[at : at + 1], 0)
            at += 2 if self.data[at : at + 1] == b"\\" else 1
        is_part, stop = separator == b":", min(at, end)
        first = self._between(node, start, stop, True) if is_part else self._pattern(start, stop, self.line(node))
        second = self._between(node, at + 1, end, True) if at < end else ()
        return s.ShellParameter(match[1], quoted, match[2], first, second)

    def _substitution(self, node: Any, text: str, quoted: bool) -> s.Substitution:
        if text.startswith("`"):
            if re.search(r"(?<!\\)`", text[1:-1]):
                what = "several `...` in one line are not followed: the grammar takes them for one"
                raise s.ScriptError(self.line(node), what, "write $(...)")
            inner = re.sub(r"\\([$`\\])", r"\1", text[1:-1])
            reader = type(self)(inner, self.line(node))
            reader.depth = self.depth
            return s.Substitution(reader.commands(reader.root.children), inner.strip(), quoted)
        named = [one for one in node.children if one.is_named]
        if len(named) == 1 and named[0].type == "file_redirect":  # $(<file)
            cat = s.Simple(self.line(node), (), ((s.Text("cat", True),),), tuple(self.redirection(named[0])))
            return s.Substitution((cat,), text[2:-1].strip(), quoted)
        return s.Substitution(self.commands(node.children), text[2:-1].strip(), quoted)

    def _apart(self, start: int, end: int, line: int) -> s.Word | None:
        """The parts of what was left out for the grammar, as if it stood in quotation marks; None for anything else."""
        return self._text_alone(self.slice(start, end), line) if start in self.apart else None

    def _text_alone(self, inner: str, line: int) -> s.Word:
        """What stands in quotation marks, read on its own."""
        reader = type(self)(f': "{inner}"', line)
        reader.one_line, reader.depth = self.one_line, self.depth
        commands = reader.commands(reader.root.children)
        if len(commands) == 1 and isinstance(commands[0], s.Simple) and len(commands[0].words) == 2:
            return commands[0].words[1]
        raise s.ScriptError(line, f"`{inner}` is not understood as shell", OTHERWISE)


# A backslash with what it stands before, quotation marks, and where an expansion begins.
_IN_PATTERN = re.compile(r"\\(?:.|$)|'[^']*'|\"|`|\$[A-Za-z_0-9@*#?$!{(-]", re.DOTALL)
_CLOSED_BY = {"(": ")", "{": "}", '"': '"', "`": "`"}


def _end_of(text: str, start: int) -> int:
    """Where what begins at `start` ends: an expansion, or a text in quotation marks."""
    if text[start] == "$" and text[start + 1] not in "({":
        name = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|.", re.DOTALL).match(text, start + 1)
        return name.end() if name is not None else start + 1
    at = start + (text[start] == "$")
    waiting = [_CLOSED_BY[text[at]]]
    at += 1
    while at < len(text) and waiting:
        character = text[at]
        if character == "\\":
            at += 1
        elif character == waiting[-1]:
            waiting.pop()
        elif character == "'" and waiting[-1] != '"':
            at = text.find("'", at + 1) if "'" in text[at + 1 :] else len(text)
        elif character in _CLOSED_BY and (waiting[-1] != '"' or character == "`" or text[at - 1] == "$"):
            waiting.append(_CLOSED_BY[character])
        at += 1
    return min(at, len(text))


def _pieces(text: str) -> Iterator[str]:
    """Character by character; what is escaped, and an expansion, in one piece."""
    at = 0
    while at < len(text):
        end = at + 1
        if text[at] == "\\":
            end = at + 2
        elif text[at] == "`" or text[at : at + 2] in ("${", "$("):
            end = _end_of(text, at)
        yield text[at:end]
        at = end


def with_quotes(text: str) -> str:
    """A text in which quotation marks mean nothing, as one in quotation marks has it."""
    return "".join({'"': '\\"', '\\"': '\\\\\\"'}.get(piece, piece) for piece in _pieces(text))


def _unquoted(text: str) -> str:
    return _ESCAPED_IN_QUOTES.sub(lambda match: "" if match[1] == "\n" else match[1], text)


def _mended(parts: tuple[s.Part, ...]) -> s.Word:
    """Neighbouring texts without quotes as one, and the expansions in them that the grammar has missed."""
    found: list[s.Part] = []
    for plain, some in groupby(parts, lambda part: isinstance(part, s.Text) and not part.quoted):
        if not plain:
            found += some
            continue
        text = "".join(part.text for part in some if isinstance(part, s.Text))
        at = 0
        for match in _MISSED.finditer(text):
            if match[1] is not None:
                found += (s.Text(text[at : match.start()], False), s.ShellParameter(match[1], False))
                at = match.end()
        found.append(s.Text(text[at:], False))
    kept = tuple(part for part in found if not isinstance(part, s.Text) or part.text or part.quoted)
    return kept or (s.Text("", False),)
