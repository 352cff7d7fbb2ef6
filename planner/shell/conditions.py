"""test(1), `[` and `[[`: words -> true or false, as far as the model knows."""

from __future__ import annotations

import errno
import operator
import re
from collections.abc import Callable
from typing import Protocol

from mountplan.planner.commands.posix_patterns import compiled, is_ambiguous
from mountplan.planner.commands.script_calls import ScriptCalls
from mountplan.planner.commands.util_linux import Unusable
from mountplan.planner.model import WouldRefuse
from mountplan.planner.model.walking import walk
from mountplan.planner.shell.shell_patterns import translated

_FILES = frozenset(["-e", "-d", "-f", "-s", "-r", "-w", "-x", "-L", "-h", "-b", "-c", "-p", "-S", "-u", "-g", "-k"])
_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": operator.eq, "-ne": operator.ne, "-lt": operator.lt, "-le": operator.le, "-gt": operator.gt,
    "-ge": operator.ge,
}  # fmt: skip
_NUMBER = re.compile(r"\s*[-+]?[0-9]{1,18}\s*")


class WrongTest(Exception):
    """test(1) says that it is told something wrong, with a status of its own: no number where it wants one."""


class Unknown(Unusable):
    """What only a machine knows."""


class ShellNames(Protocol):
    """What conditions of `[[` ask the shell, and tell it."""

    def is_set(self, name: str) -> bool: ...
    def matched(self, groups: list[str]) -> None: ...


def holds(calls: ScriptCalls, words: list[str], *, brackets: int, names: ShellNames) -> bool:
    """`brackets` is 0 for test(1), 1 for `[`, 2 for `[[`, whose `&&` and `||` are words here. Raises Unusable."""
    reader = _Condition(calls, words, "test" if not brackets else "[" * brackets, names)
    if not words:
        return False
    value = reader.either()
    if reader.words:
        raise reader.wrong()
    return value


class _Condition:
    def __init__(self, calls: ScriptCalls, words: list[str], name: str, names: ShellNames) -> None:
        self.calls = calls
        self.names = names
        self.all = words
        self.words = list(words)
        self.name = name

    def wrong(self) -> Unusable:
        return Unusable(f"{self.name} {' '.join(self.all)}: this condition is not followed", "write a simpler one")

    def unknown(self, what: str) -> Unknown:
        whole = f"{self.name} {' '.join(self.all)}" + {"[": " ]", "[[": " ]]"}.get(self.name, "")
        return Unknown(what, f"say it: --answer '{whole}=' if it does, --fails '{whole}' if not")

    def either(self) -> bool:
        return any(self._joined(self.both, ("-o", "||")))

    def both(self) -> bool:
        return all(self._joined(self.single, ("-a", "&&")))

    def _joined(self, part: Callable[[], bool], signs: tuple[str, str]) -> list[bool]:
        values = [part()]
        while self.words and self.words[0] in signs:
            self.words.pop(0)
            values.append(part())
        return values

    def single(self) -> bool:
        if not self.words:
            raise self.wrong()
        if len(self.words) >= 3 and self.words[1] in ("=", "==", "!=", "<", ">", "-ef", "=~", *_NUMBERS):
            left, operator, right = self.words[:3]
            del self.words[:3]
            return self._compared(left, operator, right)
        if self.name != "[[" and len(self.all) == 2 and not re.fullmatch("-[a-zA-Z]|!", self.all[0]):
            raise WrongTest  # an operator without one of its sides, as where a variable is empty
        first = self.words.pop(0)
        if first == "!" and self.words:
            return not self.single()
        if first == "(" and self.words:
            value = self.either()
            if self.words[:1] != [")"]:
                raise self.wrong()
            self.words.pop(0)
            return value
        if re.fullmatch("-[a-zA-Z]", first) and self.words and self.words[0] not in ("-a", "-o", "&&", "||", ")"):
            return self._of_one(first, self.words.pop(0))
        return first != ""

    def _compared(self, left: str, operator: str, right: str) -> bool:
        if operator in _NUMBERS:
            if not (_NUMBER.fullmatch(left) and _NUMBER.fullmatch(right)):
                raise self.wrong() if self.name == "[[" else WrongTest  # a sum
            if self.name == "[[" and any(re.match("[-+]?0[0-9]", word) for word in (left, right)):
                raise self.wrong()  # octal
            return _NUMBERS[operator](int(left), int(right))
        if operator == "-ef":
            return self._same(left, right)
        if operator == "=~":
            return self._matches(left, right)
        if operator in ("<", ">"):
            return left < right if operator == "<" else left > right
        if self.name == "[[" and set(right) & set("*?["):
            return (re.fullmatch(translated(right), left, re.DOTALL) is not None) == (operator != "!=")
        return (left == right) == (operator != "!=")

    def _same(self, one: str, other: str) -> bool:
        """-ef: one file by two names."""
        found = []
        for path in (one, other):
            if (place := self.calls.place(path)) is None:
                return False
            mount, node = place
            if not node.is_known and node is not mount.root:
                raise self.unknown(f"whether {one} -ef {other} is not known")
            found.append(node)
        return found[0] is found[1]

    def _matches(self, text: str, expression: str) -> bool:
        if self.name != "[[":
            raise self.wrong()
        pattern = compiled(expression, extended=True)
        found = pattern.search(text) if pattern is not None else None
        if pattern is None or (found is not None and is_ambiguous(pattern.pattern.removeprefix("^"))):
            raise self.wrong()
        self.names.matched([found[0], *(group or "" for group in found.groups())] if found is not None else [])
        return found is not None

    def _of_one(self, operator: str, word: str) -> bool:
        if operator in ("-n", "-z"):
            return (word != "") == (operator == "-n")
        if operator == "-t":
            return False
        if operator == "-v" and self.name == "[[":
            return self.names.is_set(word)
        if operator in _FILES:
            return self._file(operator, word)
        raise self.wrong()

    def _file(self, operator: str, path: str) -> bool:
        if path in self.calls.programs and operator in ("-e", "-f", "-r", "-s", "-x"):
            return True
        asked = f"{operator} {path}"
        if operator in ("-L", "-h"):
            node = self.calls.node(path)
            if node is None or node.is_known:
                return node is not None and node.link is not None
        try:
            mount, node = walk(self.calls.current, path)
        except WouldRefuse as refusal:
            if refusal.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                return False
            raise self.unknown(f"whether {asked} holds is not known") from None
        if not node.is_known and (node.unknown or node is not mount.root):
            what = f"whether {asked} holds is not known: the {node.superblock.fstype} there may have anything in it"
            raise self.unknown(what)
        match operator:
            case "-e" | "-r":
                return True
            case "-x" if not node.is_directory:
                executable = self.calls.contents.executable.get(node, False)
                if executable is None:
                    raise self.unknown(f"whether {asked} holds is not known")
                return executable
            case "-d" | "-x":
                return node.is_directory
            case "-w":
                return not mount.superblock.read_only
            case "-f":
                return not node.is_directory and node not in self.calls.contents.special
            case "-b" | "-c" | "-p" | "-S":
                return self.calls.contents.special.get(node) == operator[1]
            case "-L" | "-h" | "-u" | "-g" | "-k":
                return False
            case "-s" if not node.is_directory:
                text = self.calls.contents.read(self.calls.current, path)
                if text is not None:
                    return text != ""
        raise self.unknown(f"whether {asked} holds is not known")
