"""A shell script as values: what planner/shell/shell_reading.py makes of its text, and the shell carries out."""

from __future__ import annotations

from typing import Literal

from mountplan.planner.commands.util_linux import Unusable
from mountplan.planner.errors import Mistake, SpecRef
from mountplan.planner.record import NamedTuple

Joint = Literal[";", "&&", "||"]
MOST_NESTED = 64  # subshells, shells and commands that start commands, one in the other
# What letters behind a backslash stand for, in $'...', printf(1) and echo.
CONTROLS = {"a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
LONGEST = 131_071  # bytes of one word, as long as an argument may be (MAX_ARG_STRLEN)


class ScriptError(ValueError):
    """Something that is not followed, at a line."""

    def __init__(self, line: int, what: str, remedy: str) -> None:
        self.line = line
        self.what = what
        self.remedy = remedy
        super().__init__(what)

    def mistake(self, file: str) -> Mistake:
        return Mistake(SpecRef(file, "", self.line), self.what, self.remedy)


def limited(text: str) -> str:
    if len(text) > LONGEST:
        raise Unusable(f"a word is longer than {LONGEST:,} characters", "no program can be given such a word")
    return text


class Text(NamedTuple):
    """What stands for itself; unless it is `quoted`, patterns, braces and `~` in it mean something."""

    text: str
    quoted: bool


class ShellParameter(NamedTuple):
    """`$name` and `${name...}`. What is not `quoted` is split where it has spaces. `operator` is "", "length", one of
    `:-`, `-`, `:=`, `=`, `:+`, `+`, `:?`, `?`, `#`, `##`, `%`, `%%`, `/`, `//`, `/#`, `/%`, `^`, `^^`, `,`, `,,`, `:`
    for a part, `!` for the variable that it names or the keys; `argument` and `second` are what follows on it. `key`
    is that of an array.
    """

    name: str
    quoted: bool
    operator: str = ""
    argument: tuple[Part, ...] = ()
    second: tuple[Part, ...] = ()
    key: tuple[Part, ...] | None = None


class Substitution(NamedTuple):
    """What commands write."""

    commands: tuple[Command, ...]
    text: str
    quoted: bool


class Arithmetic(NamedTuple):
    parts: tuple[Part, ...]


Part = Text | ShellParameter | Substitution | Arithmetic
Word = tuple[Part, ...]


class Redirection(NamedTuple):
    """`operator` is `<`, `>`, `>>`, `>&` and so on, or `<<` for a text that is given (`word`); of which descriptor, or
    of one whose number is in a `variable`.
    """

    operator: str
    word: Word
    descriptor: int = -1
    variable: str = ""

    @property
    def of(self) -> int:
        return self.descriptor if self.descriptor >= 0 else 0 if self.operator.startswith("<") else 1


class Assignment(NamedTuple):
    """`name=word`, with `append` `+=`; of an array, one element (`key`) or all (`items`)."""

    name: str
    word: Word
    append: bool = False
    key: Word | None = None
    items: tuple[Word, ...] | None = None


class Simple(NamedTuple):
    """One simple command. Each command says how it is joined to the one before it, and whether `&` stands behind it."""

    line: int
    assignments: tuple[Assignment, ...]
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...] = ()
    joint: Joint = ";"
    background: bool = False


class Test(NamedTuple):
    """`[[ ... ]]`: its words, of which the operators are unquoted text."""

    line: int
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...] = ()
    joint: Joint = ";"
    background: bool = False


class Group(NamedTuple):
    """Commands in braces, or with `subshell` in parentheses."""

    line: int
    commands: tuple[Command, ...]
    subshell: bool
    redirections: tuple[Redirection, ...] = ()
    joint: Joint = ";"
    background: bool = False


class Negated(NamedTuple):
    line: int
    command: Command
    redirections: tuple[Redirection, ...] = ()
    joint: Joint = ";"
    background: bool = False


class Pipeline(NamedTuple):
    line: int
    commands: tuple[Command, ...]
    redirections: tuple[Redirection, ...] = ()
    joint: Joint = ";"
    background: bool = False


class If(NamedTuple):
    """`branches` are pairs of condition and commands, in their order; then what is left."""

    line: int
    branches: tuple[tuple[tuple[Command, ...], tuple[Command, ...]], ...]
    otherwise: tuple[Command, ...]
    redirections: tuple[Redirection, ...] = ()
    joint: Joint = ";"
    background: bool = False


class For(NamedTuple):
    """Without `words`, over the arguments."""

    line: int
    name: str
    words: tuple[Word, ...] | None
    body: tuple[Command, ...]
    redirections: tuple[Redirection, ...] = ()
    joint: Joint = ";"
    background: bool = False


class While(NamedTuple):
    line: int
    condition: tuple[Command, ...]
    body: tuple[Command, ...]
    until: bool
    redirections: tuple[Redirection, ...] = ()
    joint: Joint = ";"
    background: bool = False


class CaseItem(NamedTuple):
    """`end` is `;;`, `;&` to carry out the next one as well, or `;;&` to go on comparing."""

    patterns: tuple[Word, ...]
    body: tuple[Command, ...]
    end: str


class Case(NamedTuple):
    line: int
    word: Word
    items: tuple[CaseItem, ...]
    redirections: tuple[Redirection, ...] = ()
    joint: Joint = ";"
    background: bool = False


class Function(NamedTuple):
    line: int
    name: str
    body: Command
    redirections: tuple[Redirection, ...] = ()
    joint: Joint = ";"
    background: bool = False


class NotFollowed(NamedTuple):
    """What stops a script if it comes there; with `ends`, what follows cannot be trusted either."""

    line: int
    what: str
    remedy: str
    ends: bool = False
    redirections: tuple[Redirection, ...] = ()
    joint: Joint = ";"
    background: bool = False


Command = Simple | Test | Group | Negated | Pipeline | If | For | While | Case | Function | NotFollowed
