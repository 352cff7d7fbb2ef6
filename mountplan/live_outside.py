"""What a spec takes from outside of its own text, on this machine: files that it includes, variables, its directory."""

from __future__ import annotations

import os
import stat

from mountplan.applier.observe.asked import asking
from mountplan.inputs import STDIN, reason_of
from mountplan.planner.language.outside import Outside, Piped, Whereabouts
from mountplan.planner.plan.digest import sha256_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 16 << 20  # bytes of an included file; a spec of a hundred thousand mounts has less
QUESTIONS = ("variable", "whereabouts", "text")


class LiveOutside:
    """Asks the file system and the environment of this process. `as_if` is what a spec is called that is in no file: it
    counts as if it were at that path, or in `directory`.
    """

    def __init__(self, as_if: str = "", directory: str = "") -> None:
        self._as_if = as_if
        self._directory = directory

    def variable(self, name: str) -> str | None:
        return os.environ.get(name)

    def whereabouts(self, file: str) -> Whereabouts:
        if file == self._as_if:
            directory = self._directory or os.path.dirname(file)
            return Whereabouts(os.path.realpath(directory), os.path.realpath(file))
        if file == STDIN:
            raise Piped("it comes from standard input")
        try:
            with asking(f"the file {file!r}"):
                found = os.stat(file)
        except (OSError, ValueError) as error:
            raise LookupError(reason_of(error).lower()) from None
        directory = os.path.realpath(os.path.dirname(file))
        if not stat.S_ISREG(found.st_mode) or directory.startswith("/proc/"):  # as by <(...) of a shell
            raise Piped("it comes through a pipe" if stat.S_ISFIFO(found.st_mode) else "it is no file in a directory")
        return Whereabouts(directory, os.path.realpath(file))

    def text(self, file: str) -> bytes:
        """Only of a file, and not without end: what is included is read whenever the spec is."""
        try:
            with asking(f"the file {file!r}"):
                mode, data = _contents(file)
        except (OSError, ValueError) as error:
            raise LookupError(reason_of(error).lower()) from None
        if not stat.S_ISREG(mode):
            raise LookupError(f"it is {_kind(mode)}, and no file")
        if len(data) > LARGEST:
            raise LookupError(f"it is larger than {LARGEST >> 20} MiB")
        return data


def _contents(file: str) -> tuple[int, bytes]:
    """The mode of a file, and all that is in it, or enough to see that it is too large; nothing of what is no file.

    What is in /proc does not tell how much there is.
    """
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(fd, "rb", buffering=0) as opened:
        mode = os.fstat(fd).st_mode
        parts: list[bytes] = []
        size = 0
        while stat.S_ISREG(mode) and size <= LARGEST and (part := opened.read(1 << 20)):
            parts.append(part)
            size += len(part)
    return mode, b"".join(parts)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a socket"


class AskedOutside:
    """An Outside that writes down what it is asked, and what it answers."""

    def __init__(self, outside: Outside, questions: list[list[Any]]) -> None:
        self._outside = outside
        self._questions = questions

    def variable(self, name: str) -> str | None:
        self._ask("variable", name)
        return self._outside.variable(name)

    def whereabouts(self, file: str) -> Whereabouts:
        self._ask("whereabouts", file)
        return self._outside.whereabouts(file)

    def text(self, file: str) -> bytes:
        data = self._outside.text(file)
        self._questions.append(["text", file, sha256_hex(data)])
        return data

    def _ask(self, name: str, argument: str) -> None:
        self._questions.append([name, argument, answer_of(self._outside, name, argument)])


def answer_of(outside: Outside, name: str, argument: str) -> Any:
    """What `outside` answers, as a value that JSON keeps. Of values there is a digest only: some are secret."""
    try:
        if name == "variable":
            value = outside.variable(argument)
            return None if value is None else sha256_hex(value.encode("utf-8", "surrogateescape"))
        if name == "whereabouts":
            return list(outside.whereabouts(argument))
        return sha256_hex(outside.text(argument))
    except LookupError as error:
        return {"error": str(error)}
