"""The text of a shell script -> simple commands, as far as `mountplan simulate` follows a shell.

Words with quotes, backslashes, comments, `;`, newlines, `&&`, `||`, `&`, and variables. What needs a real shell (pipes,
redirections, loops, substitutions) is a mistake, told with its line.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from mountplan.planner.errors import Mistake, SpecRef

Joint = Literal[";", "&&", "||"]


class Variable(NamedTuple):
    """`$name` in a word; "$", "!" and names of letters."""

    name: str


Word = tuple[str | Variable, ...]


class Simple(NamedTuple):
    """One simple command: its words, how it is joined to the one before it, and whether `&` stands behind it."""

    line: int
    words: tuple[Word, ...]
    joint: Joint = ";"
    background: bool = False


_OPERATOR = re.compile(r"&&|\|\||;;|[;&|<>()\n]")
_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*|[$!?])\}|([A-Za-z_][A-Za-z0-9_]*)|([$!?])")
_KEYWORDS = {
    **dict.fromkeys(("for", "while", "until", "do", "done"), "loops are not followed; write the commands out"),
    **dict.fromkeys(("if", "then", "else", "elif", "fi", "case", "esac"), "write the commands that are meant"),
    **dict.fromkeys(("{", "}", "function"), "write the commands that are meant"),
}


class ScriptError(ValueError):
    """Something that is not followed, at a line."""

    def __init__(self, line: int, what: str, remedy: str) -> None:
        self.line = line
        self.what = what
        self.remedy = remedy
        super().__init__(what)

    def mistake(self, file: str) -> Mistake:
        return Mistake(SpecRef(file, "", self.line), self.what, self.remedy)


def parse_script(text: str, first_line: int = 1) -> tuple[list[Simple], list[ScriptError]]:
    """The simple commands in order, and all that is not understood (a command with a mistake is left out)."""
    reader = _Reader(text, first_line)
    found: list[Simple] = []
    mistakes: list[ScriptError] = []
    joint: Joint = ";"
    while not reader.at_end():
        try:
            words, line = reader.command()
            operator = reader.operator()
        except ScriptError as error:
            mistakes.append(error)
            reader.skip_line()
            joint = ";"
            continue
        if words:
            keyword = words[0][0] if len(words[0]) == 1 else ""
            if isinstance(keyword, str) and keyword in _KEYWORDS:
                mistakes.append(ScriptError(line, f"`{keyword}` is not followed", _KEYWORDS[keyword]))
            else:
                found.append(Simple(line, tuple(words), joint, operator == "&"))
        elif operator in ("&&", "||", "&"):
            mistakes.append(ScriptError(line, f"there is no command before `{operator}`", "take it away"))
        if operator in ("&&", "||"):
            joint = "&&" if operator == "&&" else "||"
        elif words:
            joint = ";"
    return found, mistakes


class _Reader:
    def __init__(self, text: str, line: int) -> None:
        self.text = text
        self.at = 0
        self.line = line

    def at_end(self) -> bool:
        return self.at >= len(self.text)

    def skip_line(self) -> None:
        end = self.text.find("\n", self.at)
        self.at = len(self.text) if end < 0 else end + 1
        self.line += 1

    def command(self) -> tuple[list[Word], int]:
        """The words up to the next operator, and the line of the first."""
        words: list[Word] = []
        line = self.line
        while not self.at_end():
            character = self.text[self.at]
            if character in " \t\r":
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
                self.line += 1
            elif character == "#":
                while not self.at_end() and self.text[self.at] != "\n":
                    self.at += 1
            elif _OPERATOR.match(self.text, self.at):
                break
            else:
                if not words:
                    line = self.line
                words.append(self.word())
        return words, line

    def operator(self) -> str:
        """What ends a command: ";", "&", "&&", "||", or "\\n" and "" for the end."""
        match = _OPERATOR.match(self.text, self.at)
        if match is None:
            return ""
        operator = match[0]
        if operator in ("|", "<", ">", "(", ")", ";;"):
            names = {"|": "a pipe", "<": "a redirection", ">": "a redirection", ";;": "`;;`"}
            what = names.get(operator, "a subshell")
            raise ScriptError(self.line, f"{what} is not followed", "write the plain command")
        self.at = match.end()
        if operator == "\n":
            self.line += 1
        return operator

    def word(self) -> Word:
        parts: list[str | Variable] = []
        while not self.at_end():
            character = self.text[self.at]
            if character in " \t\r" or _OPERATOR.match(self.text, self.at):
                break
            if character == "'":
                parts.append(self.up_to("'"))
            elif character == '"':
                self.at += 1
                self.quoted(parts)
            elif character == "\\":
                if self.text.startswith("\\\n", self.at):
                    self.line += 1
                else:
                    parts.append(self.text[self.at + 1 : self.at + 2])
                self.at += 2
            elif character == "$":
                parts.append(self.variable())
            elif character == "`":
                raise ScriptError(self.line, "a command substitution is not followed", "write what it gives")
            else:
                if character in "*?":
                    raise ScriptError(self.line, "patterns of file names are not followed", "write the names out")
                parts.append(character)
                self.at += 1
        return _joined(parts)

    def up_to(self, quote: str) -> str:
        end = self.text.find(quote, self.at + 1)
        if end < 0:
            raise ScriptError(self.line, f"the quote {quote} has no end", "close it")
        piece = self.text[self.at + 1 : end]
        self.line += piece.count("\n")
        self.at = end + 1
        return piece

    def quoted(self, parts: list[str | Variable]) -> None:
        line = self.line
        parts.append("")
        while not self.at_end():
            character = self.text[self.at]
            if character == '"':
                self.at += 1
                return
            if character == "\\" and self.text[self.at + 1 : self.at + 2] in ('"', "\\", "$", "`"):
                parts.append(self.text[self.at + 1])
                self.at += 2
            elif character == "$":
                parts.append(self.variable())
            else:
                self.line += character == "\n"
                parts.append(character)
                self.at += 1
        raise ScriptError(line, 'the quote " has no end', "close it")

    def variable(self) -> str | Variable:
        match = _NAME.match(self.text, self.at + 1)
        if match is None:
            if self.text[self.at + 1 : self.at + 2] in ("(", "{"):
                raise ScriptError(self.line, "a substitution is not followed", "write what it gives")
            self.at += 1
            return "$"
        self.at = match.end()
        return Variable(match[1] or match[2] or match[3])


def _joined(parts: list[str | Variable]) -> Word:
    """Neighbouring pieces of text as one."""
    word: list[str | Variable] = []
    for part in parts:
        if isinstance(part, str) and word and isinstance(word[-1], str):
            word[-1] += part
        else:
            word.append(part)
    return tuple(word)
