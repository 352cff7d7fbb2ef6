"""The commands of a shell that only write something, as echo(1)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import ClassVar

from mountplan.planner.commands.file_commands import options
from mountplan.planner.commands.util_linux import Unusable
from mountplan.planner.shell.shell_state import ShellState
from mountplan.planner.shell.shell_syntax import CONTROLS, limited

# By octal numbers: in the form of printf as in C, after `echo -e` with a 0 before it.
_ESCAPES = re.compile(r"\\(?:([abefnrtv\\\"])|x([0-9a-fA-F]{1,2})|([0-7]{1,3}))")
_ESCAPES_OF_ECHO = re.compile(r"\\(?:([abefnrtv\\])|x([0-9a-fA-F]{1,2})|0([0-7]{0,3}))")
_FORM = re.compile(r"%([-0 ]*)([0-9]{0,5})(?:\.([0-9]{0,5}))?([sdiuxXocqb%])")
_ESCAPES_OF_B = re.compile(r"\\(?:([abefnrtv\\\"])|x([0-9a-fA-F]{1,2})|0?([0-7]{1,3}))")


def shell_quoted(text: str) -> str:
    """As printf %q of bash writes what is no plain word."""
    if not text:
        return "''"
    if not text.isprintable() or not text.isascii():
        raise Unusable("printf %q of control characters is not followed", "leave them out")
    return re.sub(r"([^A-Za-z0-9_./:=@%+,-])", r"\\\1", text)


def _unescaped(text: str, escapes: re.Pattern[str] = _ESCAPES) -> str:
    """What backslashes stand for."""

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return CONTROLS.get(match[1], match[1])
        code = int(match[2], 16) if match[2] else int(match[3] or "0", 8)
        return chr(code) if code < 128 else chr(0xDC00 + code) if code < 256 else match[0]

    return escapes.sub(one, text)


def _formatted(form: str, *values: str) -> str | None:
    """What printf(1) makes of it: the form is used again as long as there are values. None if it is not followed."""
    if "%" in _FORM.sub("", form) or "\\c" in form:
        return None
    left, found = list(values), ""
    while True:
        at, takes = 0, False
        for match in _FORM.finditer(form):
            flags, width, precision, letter = match[1], match[2], match[3], match[4]
            found += _unescaped(form[at : match.start()])
            at = match.end()
            if letter == "%":
                found += "%"
                continue
            takes = True
            value = left.pop(0) if left else ""
            if letter == "c":
                value = value[:1]
            elif letter == "q":
                value = value if re.fullmatch("[A-Za-z0-9_./:=@%+,-]+", value) else shell_quoted(value)
            elif letter == "b":
                if "\\c" in value:
                    return None
                value = _unescaped(value, _ESCAPES_OF_B)
            elif letter == "s":
                value = value if precision is None else value[: int(precision or 0)]
            else:
                if precision is not None or not re.fullmatch(r"(?:[-+]?[0-9]{1,18}|0x[0-9a-fA-F]{1,15})?", value):
                    return None
                octal = re.fullmatch("0[0-7]+", value) is not None
                number = int(value, 8) if octal else int(value or "0", 0)
                value = f"{number:{letter}}" if letter in "xXo" else str(number)
                if "0" in flags and "-" not in flags:
                    value = value.zfill(int(width or 0))
            found += value.ljust(int(width or 0)) if "-" in flags else value.rjust(int(width or 0))
            limited(found)
        found = limited(found + _unescaped(form[at:]))
        if not left or not takes:
            return found


class ShellWriters(ShellState):
    """What each of them writes, or None if that is not known and nothing asks for it."""

    def _written(self, name: str, arguments: list[str]) -> int:
        text = self._writers[name](self, arguments)
        if not self.writing or text is None:
            self.passed.append((self.calls.line, name))
        if text is None:
            self._writes_unknown()
        else:
            self._write(text)
        return 0

    def _echo(self, arguments: list[str]) -> str | None:
        words, newline, escapes = list(arguments), "\n", False
        while words and re.fullmatch("-[neE]+", words[0]):
            letters = words.pop(0)[1:]
            newline = "" if "n" in letters else newline
            escapes = (escapes or "e" in letters) and "E" not in letters
        text = " ".join(words)
        if self.dialect == "bash":
            return (_unescaped(text, _ESCAPES_OF_ECHO) if escapes else text) + newline
        if "\\" not in text and all(one == "-n" for one in arguments[: len(arguments) - len(words)]):
            return text + newline
        if self.captured:
            raise Unusable("echo of this kind is not followed: shells called sh differ in that", "use printf")
        return None

    def _printf(self, arguments: list[str]) -> str | None:
        variable, words = "", list(arguments)
        if words[:1] == ["-v"] and self.dialect != "sh":
            if len(words) < 3:
                raise Unusable(f"printf {' '.join(words)} is not followed", "write printf -v NAME FORM")
            variable, words = words[1], words[2:]
        words = words[1:] if words[:1] == ["--"] else words
        text = _formatted(*words) if words else ""
        if words and self.dialect != "bash" and re.search(r"\\[x\"]|%[^%]*q", words[0]):
            text = None  # dash leaves it as it is
        if text is None and (self.captured or variable):
            raise Unusable(f"printf {words[0]} is not followed", "use %s and %d")
        if variable:
            self.assign(variable, text or "")
            return ""
        return text

    def _basename(self, arguments: list[str]) -> str:
        given, paths = options("basename", arguments, "azs:", "multiple zero suffix=")
        suffix = given.get("s", given.get("suffix"))
        if suffix is None and not {"a", "multiple"} & set(given):
            paths, suffix = paths[:1], paths[1] if len(paths) > 1 else ""
        end = "\0" if {"z", "zero"} & set(given) else "\n"
        names = [posixpath.basename(path.rstrip("/")) or path[:1] for path in paths]
        return "".join((name if name == suffix else name.removesuffix(suffix or "")) + end for name in names)

    def _dirname(self, arguments: list[str]) -> str:
        given, paths = options("dirname", arguments, "z", "zero")
        end = "\0" if {"z", "zero"} & set(given) else "\n"
        bare = [(path, path.rstrip("/")) for path in paths]
        above = [(path, posixpath.dirname(one).rstrip("/")) for path, one in bare]
        return "".join((one or ("/" if path.startswith("/") or not path else ".")) + end for path, one in above)

    def _realpath(self, arguments: list[str]) -> int:
        given, paths = options("realpath", arguments, "emqsz", "canonicalize-existing canonicalize-missing quiet zero")
        end, status = "\0" if {"z", "zero"} & set(given) else "\n", 0
        letters = "".join(one[13:14] if one.startswith("canonicalize") else one for one in given)
        for path in paths:
            found = self.resolved(path, "e" if "e" in letters else "m" if "m" in letters else "f")
            if found is None:
                status = self.complain()
            else:
                self._write(found + end)
        return status

    def resolved(self, path: str, how: str) -> str | None:
        """As readlink -e, -f and -m have it: all of it is there, or all but the last, or nothing need be."""
        if how != "m":
            above = posixpath.dirname(path.rstrip("/")) or ("/" if path.startswith("/") else ".")
            if not path or not self.is_there(path if how == "e" else f"{above.rstrip('/')}/"):
                return None
        return self.calls.absolute(path)

    def _seq(self, arguments: list[str]) -> str:
        numbers = [int(one) for one in arguments if re.fullmatch("-?[0-9]{1,6}", one)]
        followed = 1 <= len(numbers) <= 3 and len(numbers) == len(arguments)
        step = numbers.pop(1) if len(numbers) == 3 else 1
        if not followed or not step:
            raise Unusable("seq of this kind is not followed", "write seq FIRST LAST")
        first, last = numbers if len(numbers) == 2 else (1, numbers[0])
        return "".join(f"{number}\n" for number in range(first, last + (1 if step > 0 else -1), step))

    def _user(self, arguments: list[str]) -> str | None:
        letters = "".join(one[1:] for one in arguments if re.fullmatch("-[ugnr]+", one))
        others = [one for one in arguments if not re.fullmatch("-[ugnr]+|root|0", one)]
        if others or not letters or not self.calls.stage.processes[self.context.process].user.capable:
            if self.captured:
                raise Unusable(f"what `id {' '.join(arguments)}` writes is not known", "use id -u")
            return None
        return "root\n" if "n" in letters else "0\n"

    _writers: ClassVar[dict[str, Callable[[ShellWriters, list[str]], str | None]]] = {
        "basename": _basename,
        "dirname": _dirname,
        "echo": _echo,
        "id": _user,
        "printf": _printf,
        "pwd": lambda self, arguments: (self.calls.absolute(".") if "-P" in arguments else self.directory()) + "\n",
        "seq": _seq,
        "whoami": lambda self, arguments: self._user(["-un", *arguments]),
    }
