"""The text of a shell script -> commands, as far as `mountplan simulate` follows a shell.

Words with quotes, backslashes, comments, `;`, newlines, `&&`, `||`, `&`, subshells in parentheses, and variables. What
needs a real shell (pipes, redirections, loops, substitutions) is a mistake, told with its line.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from mountplan.planner.errors import Mistake, SpecRef

Joint = Literal[";", "&&", "||"]
MOST_NESTED = 64  # subshells, shells and commands that start commands, one in the other


class Variable(NamedTuple):
    """`$name` in a word; "$", "!", "?" and names of letters. What is not `quoted` is split where it has spaces."""

    name: str
    quoted: bool


Word = tuple[str | Variable, ...]


class Simple(NamedTuple):
    """One simple command: its words, how it is joined to the one before it, and whether `&` stands behind it."""

    line: int
    assignments: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    joint: Joint = ";"
    background: bool = False


class Subshell(NamedTuple):
    """Commands in parentheses."""

    line: int
    commands: tuple[Command, ...]
    joint: Joint = ";"
    background: bool = False


Command = Simple | Subshell

_JOINTS: dict[str, Joint] = {"&&": "&&", "||": "||"}
_OPERATOR = re.compile(r"&&|\|\||;;|[;&|<>()\n]")
_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*|[$!?])\}|([A-Za-z_][A-Za-z0-9_]*)|([$!?])")
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_PLAIN = re.compile(r"[^\s'\"\\$`*?\[~{;&|<>()]+")
_QUOTED = re.compile(r'[^"\\$`]+')
_BRACES = re.compile(r"\{[^{}\s]*(?:,|\.\.)[^{}\s]*\}")
_KEYWORDS = {
    **dict.fromkeys(("for", "while", "until", "do", "done"), "loops are not followed; write the commands out"),
    **dict.fromkeys(("if", "then", "else", "elif", "fi", "case", "esac"), "write the commands that are meant"),
    **dict.fromkeys(("{", "}", "function", "!"), "write the commands that are meant"),
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


def parse_script(text: str, first_line: int = 1) -> tuple[tuple[Command, ...], list[ScriptError]]:
    """The commands in order, and all that is not understood (a command with a mistake is left out)."""
    parser = _Parser(text, first_line)
    while not parser.reader.at_end():
        try:
            parser.command()
        except ScriptError as error:
            parser.mistakes.append(error)
            parser.reader.skip_line()
            parser.levels[-1].joint = ";"
    if len(parser.levels) > 1 and not parser.mistakes:
        parser.mistakes.append(ScriptError(parser.levels[-1].line, "the parenthesis ( has no end", "close it"))
    return tuple(parser.levels[0].commands), parser.mistakes


class _Nesting:
    """What stands in one pair of parentheses, or in none: its commands, and the joint before the next of them."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.joint: Joint = ";"
        self.commands: list[Command] = []

    def add(self, command: Command, operator: str) -> None:
        self.commands.append(command._replace(joint=self.joint, background=operator == "&"))
        self.joint = _JOINTS.get(operator, ";")


class _Parser:
    def __init__(self, text: str, line: int) -> None:
        self.reader = _Reader(text, line)
        self.levels = [_Nesting(line)]
        self.mistakes: list[ScriptError] = []

    def command(self) -> None:
        """Take in one simple command, with what ends it; or a parenthesis."""
        simple = self.reader.command()
        line = self.reader.line
        operator = self.reader.operator()
        if operator == "(":
            self._open(simple, line)
            return
        self._add(simple, line, operator)
        while operator == ")":
            operator = self._close(line)

    def _add(self, simple: Simple, line: int, operator: str) -> None:
        level = self.levels[-1]
        if not simple.words and not simple.assignments:
            if operator in ("&&", "||", "&", ")") and (operator != ")" or level.joint != ";"):
                raise ScriptError(line, f"there is no command before `{operator}`", "take it away")
            return
        first = simple.words[0] if simple.words else ()
        keyword = first[0] if len(first) == 1 else ""
        if isinstance(keyword, str) and keyword in _KEYWORDS:
            self.mistakes.append(ScriptError(simple.line, f"`{keyword}` is not followed", _KEYWORDS[keyword]))
        else:
            level.add(simple, operator)

    def _open(self, simple: Simple, line: int) -> None:
        if simple.words or simple.assignments:
            raise ScriptError(line, "functions are not followed", "write the commands that are meant")
        if len(self.levels) > MOST_NESTED:
            raise ScriptError(line, f"subshells are nested more than {MOST_NESTED} deep", "use fewer")
        self.levels.append(_Nesting(line))

    def _close(self, line: int) -> str:
        """The operator that follows a closing parenthesis."""
        if len(self.levels) == 1:
            raise ScriptError(line, "there is no ( before this )", "take it away")
        inner = self.levels.pop()
        after = self.reader.command()
        operator = self.reader.operator()
        if after.words or after.assignments or operator == "(":
            raise ScriptError(line, "something follows on )", "put `;` between them")
        if not inner.commands and not self.mistakes:
            raise ScriptError(line, "there is nothing in the parentheses", "take them away")
        self.levels[-1].add(Subshell(inner.line, tuple(inner.commands)), operator)
        return operator


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

    def command(self) -> Simple:
        """The assignments and words up to the next operator; the line is that of the first."""
        assignments: list[tuple[str, Word]] = []
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
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif _OPERATOR.match(self.text, self.at):
                break
            else:
                if not words and not assignments:
                    line = self.line
                assigned = None if words else _ASSIGNED.match(self.text, self.at)
                if assigned:
                    self.at = assigned.end()
                    assignments.append((assigned[1], self.word()))
                else:
                    words.append(self.word())
        return Simple(line, tuple(assignments), tuple(words))

    def operator(self) -> str:
        """What ends a command: ";", "&", "&&", "||", "(", ")", or "\\n" and "" for the end."""
        match = _OPERATOR.match(self.text, self.at)
        if match is None:
            return ""
        operator = match[0]
        if operator in ("|", "<", ">", ";;"):
            names = {"|": "a pipe", "<": "a redirection", ">": "a redirection", ";;": "`;;`"}
            raise ScriptError(self.line, f"{names[operator]} is not followed", "write the plain command")
        self.at = match.end()
        if operator == "\n":
            self.line += 1
        return operator

    def word(self) -> Word:
        start = self.at
        parts: list[str | Variable] = []
        while not self.at_end():
            if plain := _PLAIN.match(self.text, self.at):
                parts.append(plain[0])
                self.at = plain.end()
                continue
            character = self.text[self.at]
            if character.isspace() or _OPERATOR.match(self.text, self.at):
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
                parts.append(self.variable(quoted=False))
            elif character == "`":
                raise ScriptError(self.line, "a command substitution is not followed", "write what it gives")
            else:
                self.check_expansion(character, start)
                parts.append(character)
                self.at += 1
        return _joined(parts)

    def check_expansion(self, character: str, start: int) -> None:
        """Raise ScriptError where a shell would put something else in the place of what is written."""
        following = self.text[self.at + 1 : self.at + 2]
        if character in "*?" or (character == "[" and following.strip()):
            raise ScriptError(self.line, "patterns of file names are not followed", "write the names out")
        if character == "~" and self.at == start:
            raise ScriptError(self.line, "~ is not followed", "write the directory out")
        if character == "{" and _BRACES.match(self.text, self.at):
            raise ScriptError(self.line, "braces are not followed", "write the words out")

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
            if plain := _QUOTED.match(self.text, self.at):
                parts.append(plain[0])
                self.line += plain[0].count("\n")
                self.at = plain.end()
                continue
            character = self.text[self.at]
            if character == '"':
                self.at += 1
                return
            following = self.text[self.at + 1 : self.at + 2]
            if character == "\\" and following == "\n":
                self.line += 1
                self.at += 2
            elif character == "\\" and following in ('"', "\\", "$", "`"):
                parts.append(following)
                self.at += 2
            elif character == "$":
                parts.append(self.variable(quoted=True))
            elif character == "`":
                raise ScriptError(self.line, "a command substitution is not followed", "write what it gives")
            else:
                parts.append(character)
                self.at += 1
        raise ScriptError(line, 'the quote " has no end', "close it")

    def variable(self, *, quoted: bool) -> str | Variable:
        match = _NAME.match(self.text, self.at + 1)
        if match is None:
            following = self.text[self.at + 1 : self.at + 2]
            if following in ("(", "{") or (following in ("'", '"') and not quoted):
                raise ScriptError(self.line, "a substitution is not followed", "write what it gives")
            if following and following in "0123456789@*#-":
                raise ScriptError(self.line, f"${following} is not followed", "write what it stands for")
            self.at += 1
            return "$"
        self.at = match.end()
        return Variable(match[1] or match[2] or match[3], quoted)


def _joined(parts: list[str | Variable]) -> Word:
    """Neighbouring pieces of text as one."""
    word: list[str | Variable] = []
    text: list[str] = []
    for part in parts:
        if isinstance(part, str):
            text.append(part)
            continue
        if text:
            word.append("".join(text))
            text = []
        word.append(part)
    if text:
        word.append("".join(text))
    return tuple(word)
