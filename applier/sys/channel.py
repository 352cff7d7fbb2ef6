"""Messages between the process that wants a namespace and the one that builds and holds it, over two pipes."""

from __future__ import annotations

import _struct as struct
import fcntl
import os
import select
from time import monotonic

from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.applier.sys.report import Reporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO

_HEADER = struct.Struct("=cI")  # what a message is, and how long

# What the holder says.
PID, HOLDER, MAP, PROGRESS, HOST, FINISHED, DONE = (bytes([c]) for c in b"ijmphfd")
REFUSED, NO_NAMESPACE, CRASHED, NOT_STARTED, NOT_EXECUTED = (bytes([c]) for c in b"rncxe")
STAYING, TRIED, HIDDEN = (bytes([c]) for c in b"sto")
# What it is told: the map is written; run this command; get ready to outlive us, and do; hide from those inside. The
# end of the pipe: let go.
MAPPED, RUN, STAY, RELEASE, HIDE = (bytes([c]) for c in b"MRSLH")


class TimedOut(Exception):
    """The deadline came before the message."""


class Sender(Reporter):
    """The writing end of a pipe; what foreign() is told is counted in memory that both sides share, and what is laid
    there need not go through the pipe.
    """

    def __init__(self, fd: int, counter: memoryview | None = None, room: memoryview | None = None) -> None:
        self.fd = fd
        self.counter = counter
        self._room = memoryview(bytearray()) if room is None else room  # that is left

    def lay(self, file: FileIO) -> int:
        """Read a file into the shared memory as far as there is room, after what is there already: how many bytes."""
        laid = 0
        while number := file.readinto(self._room):
            self._room = self._room[number:]
            laid += number
        return laid

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        view = memoryview(packed(kind, payload))
        while view:
            view = view[os.write(self.fd, view) :]

    def foreign(self) -> None:
        if self.counter is not None:
            self.counter[0] += 1

    def step(self, done: int) -> None:
        self.send(PROGRESS, str(done).encode())


def packed(kind: bytes, payload: bytes = b"") -> bytes:
    """A message as it goes through the pipe."""
    return _HEADER.pack(kind, len(payload)) + payload


def receive(fd: int, deadline: float | None = None) -> tuple[bytes, bytes]:
    """The next message: (kind, payload); the kind is b"" if the other side has gone.

    Raises TimedOut if that has not come by the `deadline`, a time of time.monotonic().
    """
    header = _read(fd, _HEADER.size, deadline)
    if len(header) < _HEADER.size:
        return b"", b""
    kind, length = _HEADER.unpack(header)
    return kind, _read(fd, length, deadline)


def wait_readable(fd: int, deadline: float) -> bool:
    """Wait for something to read, or for the end, of a pipe or a pidfd; False if the deadline comes first."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - monotonic()) * 1000))


def _read(fd: int, length: int, deadline: float | None) -> bytes:
    blocks, left = [], length  # a table of many mounts comes in many: to add each to the last would copy all of them
    while left > 0:
        if deadline is not None and not wait_readable(fd, deadline):
            raise TimedOut
        block = os.read(fd, left)
        if not block:
            break
        blocks.append(block)
        left -= len(block)
    return b"".join(blocks)


def pipe() -> tuple[int, int]:
    """os.pipe(), but never 0, 1 or 2, which may be closed: they are the command's."""
    try:
        ends = os.pipe()
    except OSError as error:
        raise KernelRefusal(error.errno or 0, "pipe") from None
    if min(ends) > 2:
        return ends
    try:
        return _above(ends[0]), _above(ends[1])
    finally:
        for fd in ends:
            os.close(fd)


def _above(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


def close_all_but(*kept: int) -> None:
    """Close every descriptor but these; stdin, stdout and stderr as well."""
    from mountplan.applier.sys import abi, syscalls

    first = 0
    for fd in sorted(kept):
        if fd > first:
            syscalls.close_range(first, fd - 1)
        first = fd + 1
    syscalls.close_range(first, abi.LAST_FD)
