"""Signals as values that are read from a descriptor, so that waiting can tell who sent one."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Iterable

from mountplan.applier.sys import abi, syscalls
from mountplan.planner.record import NamedTuple

# What the terminal sends, it sends to the whole foreground process group: the command has got it already. (A hang-up
# goes to the session's leader first, which may be us alone.)
_FROM_TERMINAL = frozenset(
    (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH)
)
# These tell of a fault of the process itself, or cannot be caught.
_OWN = frozenset(
    (signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP,
     signal.SIGABRT, signal.SIGSYS, signal.SIGCHLD)
)  # fmt: skip
FORWARDABLE = frozenset(signal.valid_signals()) - _OWN
STOPPING = frozenset((signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU))


class Caught(NamedTuple):
    """A signal that came in."""

    number: int
    code: int

    @property
    def is_for_the_command(self) -> bool:
        """False if the command has it already, or if it is not the command's business."""
        if self.number == signal.SIGCHLD:
            return False
        return not (self.code == abi.SI_KERNEL and self.number in _FROM_TERMINAL)


class Signals:
    """Blocks `numbers` in this thread for as long as the `with` block lasts, and lets them be read."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = frozenset(numbers)

    def __enter__(self) -> Signals:
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        try:
            self.fd = syscalls.signalfd(self._numbers)
        except BaseException:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def read(self) -> list[Caught]:
        """All that have come in; [] if none has."""
        try:
            data = os.read(self.fd, 128 * 64)
        except BlockingIOError:
            return []
        return [Caught(number, code) for number, _, code, _ in struct.iter_unpack(abi.SIGNALFD_SIGINFO, data)]
