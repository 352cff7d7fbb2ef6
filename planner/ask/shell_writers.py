"""The commands of a shell that only write something, as echo(1)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import ClassVar

from mountplan.planner.ask.shell_state import ShellState
from mountplan.planner.ask.shell_words import limited
from mountplan.planner.ask.util_linux import Unusable


class ShellWriters(ShellState):
    """What each of them writes."""

    def _written(self, name: str, arguments: list[str]) -> int:
        text = self._writers[name](self, arguments)
        if not self.writing:
            self.passed.append((self.calls.line, name))
        self._write(text)
        return 0

    def _echo(self, arguments: list[str]) -> str:
        newline = "\n"
        while arguments and re.fullmatch("-[neE]+", arguments[0]):
            newline = "" if "n" in arguments[0] else newline
            arguments = arguments[1:]
        return " ".join(arguments) + newline

    def _printf(self, arguments: list[str]) -> str:
        if not arguments:
            return ""
        form, *values = arguments
        form = form.replace("\\n", "\n").replace("\\t", "\t").replace("%%", "\0")
        if re.search(r"%[^sd]", form) and self.captured:
            raise Unusable(f"printf {arguments[0]} is not followed", "use %s only")
        pieces = re.split(r"%[sd]", form)
        if len(pieces) == 1:
            return form.replace("\0", "%")
        text = ""
        while True:
            for piece in pieces[:-1]:
                text += piece + (values.pop(0) if values else "")
            text = limited(text + pieces[-1])
            if not values:
                return text.replace("\0", "%")

    def _pwd(self, arguments: list[str]) -> str:
        return self.calls.absolute(".") + "\n"

    def _basename(self, arguments: list[str]) -> str:
        paths = [one for one in arguments if not one.startswith("-")]
        name = posixpath.basename(paths[0].rstrip("/")) if paths else ""
        if len(paths) == 2 and name != paths[1]:
            name = name.removesuffix(paths[1])
        return name + "\n"

    def _dirname(self, arguments: list[str]) -> str:
        path = arguments[-1].rstrip("/") if arguments else ""
        return (posixpath.dirname(path).rstrip("/") or ("/" if path.startswith("/") or not path else ".")) + "\n"

    def _realpath(self, arguments: list[str]) -> str:
        paths = [one for one in arguments if not one.startswith("-")]
        return "".join(self.calls.absolute(one) + "\n" for one in paths)

    def _seq(self, arguments: list[str]) -> str:
        numbers = [int(one) for one in arguments if re.fullmatch("-?[0-9]{1,6}", one)]
        if not 1 <= len(numbers) <= 2 or len(numbers) != len(arguments):
            raise Unusable("seq of this kind is not followed", "write seq FIRST LAST")
        first, last = numbers if len(numbers) == 2 else (1, numbers[0])
        return "".join(f"{number}\n" for number in range(first, last + 1))

    def _user(self, arguments: list[str]) -> str:
        return "0\n" if arguments and set(arguments[0]) <= set("-ug") else "uid=0(root) gid=0(root)\n"

    _writers: ClassVar[dict[str, Callable[[ShellWriters, list[str]], str]]] = {
        "basename": _basename,
        "dirname": _dirname,
        "echo": _echo,
        "id": _user,
        "printf": _printf,
        "pwd": _pwd,
        "readlink": _realpath,
        "realpath": _realpath,
        "seq": _seq,
    }
