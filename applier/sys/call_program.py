"""The same few verbs for each of many rows, as system calls that _loop.c makes without Python between them.

Optional: LinuxKernel.makes_rows() says whether it can be had. A verb makes the calls that LinuxKernel's of its name
makes. What it gives back stands for the row's own descriptor; text_in() and name_in() are its text in a column, EACH is
its number.
"""

from __future__ import annotations

import _struct as struct

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.kernel import CLONE, CLONE_ENTRY, ENCODING, ERRORS, JOIN, attributes_of
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    Word: TypeAlias = tuple[int, int]

_CALL = struct.Struct("=15q")  # struct call of _loop.c
_NUMBER, _GIVEN, _RESULT, _DATA, _TEXT, _NAME, _EACH = range(7)  # what its arguments are
_NOTHING: Word = (_NUMBER, 0)
EACH: Word = (_EACH, 0)


def _packed(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"={len(numbers)}q", *numbers)


def given(place: int) -> Word:
    """The descriptor that run() is given in this place of its numbers."""
    return (_GIVEN, place)


def text_in(column: int) -> Word:
    """The row's text in this column."""
    return (_TEXT, column)


def name_in(column: int) -> Word:
    """The last name of the path in this column; the directory above it is that of the rows before."""
    return (_NAME, column)


class StoppedRow(NamedTuple):
    """Which row was not carried out, and from which of its steps on; the descriptor that those before it have made, or
    -1. What the step itself had opened is closed. Step -1 if the row's names are in another directory.
    """

    row: int
    step: int = -1
    fd: int = -1


class CallProgram:
    """The calls of one row, step by step; then run() makes them for many."""

    def __init__(self) -> None:
        self._calls: list[bytes] = []
        self._data = b""
        self._steps: list[int] = []  # the number of the step of each call
        self._step = -1
        self._foreign: list[bool] = []  # of each step: whether it may have to wait for filesystems of others

    def step(self, *, foreign: bool = False) -> None:
        """What comes now belongs to the next step."""
        self._step += 1
        self._foreign.append(foreign)

    def clone(self, dirfd: Word, path: Word) -> Word:
        return self._call(abi.SYS_OPEN_TREE, dirfd, path, CLONE, opens=True)

    def clone_entry(self, dirfd: Word, name: Word) -> Word:
        """Of a directory: anything else ends it."""
        fd = self._call(abi.SYS_OPEN_TREE, dirfd, name, CLONE_ENTRY, opens=True)
        self.check_directory(fd)
        return fd

    def check_directory(self, fd: Word) -> None:
        """Anything else ends it."""
        self._call(syscalls.loop.IS_DIRECTORY, fd)

    def new_filesystem(self, fstype: str, source: Word, options: tuple[tuple[str, str | bool], ...]) -> Word:
        """Of a type of which each mount is a superblock of its own."""
        context = self._call(abi.SYS_FSOPEN, self._text(fstype), abi.FSOPEN_CLOEXEC, opens=True)
        string = abi.FSCONFIG_SET_STRING
        self._call(abi.SYS_FSCONFIG, context, string, self._text("source"), source)
        for key, value in options:
            if value is True:
                self._call(abi.SYS_FSCONFIG, context, abi.FSCONFIG_SET_FLAG, self._text(key))
            else:
                self._call(abi.SYS_FSCONFIG, context, string, self._text(key), self._text(str(value)))
        self._call(abi.SYS_FSCONFIG, context, abi.FSCONFIG_CMD_CREATE)
        fd = self._call(abi.SYS_FSMOUNT, context, abi.FSMOUNT_CLOEXEC, opens=True)
        self.close(context)
        return fd

    def set_attributes(self, mount: Word, *, set: int = 0, clear: int = 0, propagation: int = 0) -> None:
        attr = attributes_of(set, clear, propagation, 0)
        self._call(abi.SYS_MOUNT_SETATTR, mount, self._text(""), abi.AT_EMPTY_PATH, self._bytes(attr), len(attr))

    def attach(self, mount: Word, dirfd: Word, path: Word) -> None:
        self._call(abi.SYS_MOVE_MOUNT, mount, self._text(""), dirfd, path, abi.MOVE_MOUNT_F_EMPTY_PATH)

    def join(self, seed: Word, mount: Word) -> None:
        self._call(abi.SYS_MOVE_MOUNT, seed, self._text(""), mount, self._text(""), JOIN)

    def make_directory(self, dirfd: Word, path: Word) -> None:
        self._call(syscalls.loop.MKDIRAT, dirfd, path, 0o755)

    def close(self, fd: Word) -> None:
        self._call(syscalls.loop.CLOSE, fd)

    def run(
        self,
        numbers: tuple[int, ...],
        columns: tuple[list[str], ...],
        begins: Sequence[int],
        each: list[int],
        rows: int,
        counter: memoryview | None,
    ) -> StoppedRow | None:
        """Make the calls for each of `rows`, whose texts are in the `columns` from `begins` on, each with its number if
        it takes one; None if all were made.

        Where one is refused it is left to the caller to make that step by itself, and to hear why. `counter` counts the
        foreign steps that have begun.
        """
        calls = b"".join(self._calls)
        row, call, _, results = syscalls.loop.run(
            calls, _packed(numbers), self._data, columns, _packed(begins), _packed(each), rows, counter
        )
        if call < 0:
            return StoppedRow(row) if row < rows else None
        step, fd = self._steps[call], -1
        for made, one in zip(self._steps, results, strict=True):
            if one >= 0 and made == step:
                syscalls.close(one)
            elif one >= 0:
                fd = one
        if self._foreign[step] and counter is not None:
            counter[0] -= 1  # it begins once more
        return StoppedRow(row, step, fd)

    def _call(self, number: int, *arguments: Word | int, opens: bool = False) -> Word:
        begins = self._steps[-1:] != [self._step]
        words = [(_NUMBER, one) if isinstance(one, int) else one for one in arguments]
        words += [_NOTHING] * (6 - len(words))
        foreign = begins and self._foreign[self._step]
        self._calls.append(_CALL.pack(number, foreign, opens, *(part for word in words for part in word)))
        self._steps.append(self._step)
        return (_RESULT, len(self._calls) - 1)

    def _text(self, text: str) -> Word:
        return self._bytes(text.encode(ENCODING, ERRORS) + b"\0")

    def _bytes(self, data: bytes) -> Word:
        place = len(self._data)
        self._data += data + bytes(-len(data) % 8)
        return (_DATA, place)
