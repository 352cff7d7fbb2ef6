"""find(1), ls(1) and xargs(1): names of files that are known, and commands that are run with them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any, ClassVar

from mountplan.planner.commands.file_commands import options
from mountplan.planner.commands.util_linux import Unusable
from mountplan.planner.model import WouldRefuse
from mountplan.planner.model.objects import ModelNode
from mountplan.planner.model.walking import walk
from mountplan.planner.shell.shell_builtins import ShellBuiltins
from mountplan.planner.shell.shell_patterns import translated

_FAILED = 1
_MOST_FOUND = 10_000


class ShellFinders(ShellBuiltins):
    """What is found is in the order of names, which no filesystem promises."""

    def _xargs(self, arguments: list[str]) -> int:
        words = list(arguments)
        given: dict[str, str] = {}
        while words and words[0].startswith("-"):
            word = words.pop(0)
            found, _ = options("xargs", [word], "r0tI:n:L:", "no-run-if-empty null verbose")
            for letter, value in found.items():
                given[letter] = value or (words.pop(0) if letter in ("I", "n", "L") and words else "")
        source = self.context.input
        if source is None:
            if self.means_something(words):
                raise Unusable("what `xargs` would read is not known", "write the loop out, or give it: <<END ... END")
            return self._pass_over("xargs", ["xargs", *arguments])
        text = source.rest()
        apart = {"0", "null"} & set(given)
        if apart and "L" in given:
            raise Unusable("xargs -0 -L is not followed", "use -n")
        lines = text.split("\0" if apart else "\n")
        lines = lines if lines[-1] else lines[:-1]
        words = words or ["echo"]
        if "I" in given:
            rounds = [[one.replace(given["I"], line) for one in words] for line in lines if apart or line.strip()]
        else:
            try:
                items = lines if apart else shlex.split("\n".join(lines))
            except ValueError:
                return _FAILED
            count = int(given["n"]) if given.get("n", "").isdecimal() else len(lines) if "L" not in given else 0
            if "L" in given:
                rounds = [[*words, *line.split()] for line in lines]
            elif not items:
                rounds = [] if {"r", "no-run-if-empty"} & set(given) else [words]
            else:
                size = count if "n" in given and count else len(items)
                rounds = [[*words, *items[at : at + size]] for at in range(0, len(items), size)]
        statuses = [self.run_words(one) for one in rounds]
        return 123 if any(statuses) else 0

    def _find(self, arguments: list[str]) -> int:
        words = list(arguments)
        paths: list[str] = []
        while words and words[0][:1] not in ("-", "(", "!"):
            paths.append(words.pop(0))
        runs: list[tuple[list[str], bool]] = []
        least, most, kind, prints, crosses = 0, _MOST_FOUND, "", not words, True
        names: list[tuple[re.Pattern[str], bool, bool]] = []  # whether it is of the whole path, and must not match
        followed, negated, end = True, False, "\n"
        while words:
            word = words.pop(0)
            if word in ("-xdev", "-mount", "-depth"):
                crosses &= word == "-depth"
                followed &= word != "-depth"
            elif word in ("-print", "-print0"):
                prints, end = True, "\0" if word == "-print0" else "\n"
            elif word in ("!", "-not") and words[:1] in (["-name"], ["-path"]):
                negated = True
            elif word in ("-mindepth", "-maxdepth", "-type", "-name", "-path") and words:
                value = words.pop(0)
                if word == "-type":
                    kind = value
                elif word in ("-name", "-path"):
                    names.append((re.compile(translated(value), re.DOTALL), word == "-path", negated))
                    negated = False
                else:
                    least, most = (int(value), most) if word == "-mindepth" else (least, int(value))
            elif word in ("-exec", "-execdir") and {";", "+"} & set(words):
                last = next(at for at, one in enumerate(words) if one in (";", "+"))
                runs.append((words[:last], words[last] == "+"))
                words = words[last + 1 :]
            else:
                followed = False
        followed &= kind in ("", "d", "f", "l")
        try:
            if not followed:
                raise Unusable("find of this kind is not followed", "write the paths out")
            found = [
                path
                for one in paths or ["."]
                for path, depth, node in self._below(one, most, crosses=crosses)
                if depth >= least
                and (not kind or kind == ("l" if node.link is not None else "d" if node.is_directory else "f"))
                and all(
                    (name.fullmatch(path if whole else path.rstrip("/").rpartition("/")[2]) is None) == inverted
                    for name, whole, inverted in names
                )
            ]
        except Unusable:
            if any(self.means_something(command) for command, _ in runs):
                raise
            return self._pass_over("find", ["find", *arguments])
        if prints or not runs:
            self._write("".join(f"{one}{end}" for one in found))
        for command, together in runs:
            whole = " ".join(command)
            if together:
                if found:
                    self.run_words([*command[:-1], *found])
            else:
                for one in found:
                    self.run_words([part.replace("{}", one) for part in command] if "{}" in whole else command)
        return 0

    def _below(self, path: str, most: int, *, crosses: bool) -> list[tuple[str, int, ModelNode]]:
        """Paths, how deep they are below the first, and what is there."""
        process = self.calls.stage.processes[self.context.process]
        found: list[tuple[str, int, ModelNode]] = []
        waiting = [(path, 0)]
        first = mount = None
        while waiting:
            one, depth = waiting.pop()
            node = self.calls.node(one)
            if node is None:
                continue
            if node.link is None:
                try:
                    mount, node = walk(process, one)
                except WouldRefuse:
                    continue
                first = first or mount
            goes_on = depth < most and (crosses or mount is first)  # a mountpoint itself is found either way
            if goes_on and not node.is_known:
                raise Unusable(f"what is in {one} is not known", "write the names out")
            found.append((one, depth, node))
            if len(found) > _MOST_FOUND:
                raise Unusable(f"there are more than {_MOST_FOUND:,} files in {path}", "name fewer")
            if goes_on and node.is_directory:
                names = sorted(node.children, reverse=True)
                waiting += [(f"{one.rstrip('/')}/{name}", depth + 1) for name in names]
        return found

    def _ls(self, arguments: list[str]) -> int:
        """Names, as `ls`, `ls -1` and `ls -A` have them in a pipe."""
        letters = "".join(one[1:] for one in arguments if one.startswith("-"))
        paths = [one for one in arguments if not one.startswith("-")] or ["."]
        is_followed = not set(letters) - set("1Ad") and (len(paths) == 1 or "d" in letters)
        if not is_followed or not (self.writing or self.context.asked):
            return self._pass_over("ls", ["ls", *arguments])
        status = 0
        for path in sorted(paths):
            node = self.calls.node(path)
            if node is None:
                status = 2
                continue
            if "d" in letters or not node.is_directory:
                self._write(f"{path}\n")
                continue
            try:
                below = self._below(path, 1, crosses=True)[1:]
            except Unusable:
                return self._pass_over("ls", ["ls", *arguments])
            names = [one.rpartition("/")[2] for one, _, _ in below]
            self._write("".join(f"{one}\n" for one in names if "A" in letters or not one.startswith(".")))
        return status

    _builtins: ClassVar[dict[str, Callable[[Any, list[str]], int]]] = ShellBuiltins._builtins | {
        "find": _find,
        "ls": _ls,
        "xargs": _xargs,
    }
