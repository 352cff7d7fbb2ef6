"""A line on the terminal while planning takes more than a second, which goes when it is done."""

from __future__ import annotations

import sys

from mountplan.applier.sys.plain_signal import signal
from mountplan.planner.light import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mountplan.cli.output import Output

DELAY = 1.0  # seconds before there is one
_WIPE = "\r\x1b[K"


@contextmanager
def sign_of_life(what: str, output: Output) -> Iterator[None]:
    """Say `what` is going on, if standard error is a terminal; nothing with --quiet.

    An alarm, not a thread: planning tries things in child processes, and a fork keeps no threads. A system call that it
    interrupts is made again by the kernel.
    """
    if output.quiet or output.as_json or not sys.stderr.isatty():
        yield
        return
    drawn = False

    def draw(*_: object) -> None:
        nonlocal drawn
        drawn = True
        sys.stderr.write(f"{what} ...")
        sys.stderr.flush()

    before = signal.signal(signal.SIGALRM, draw)
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, DELAY)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if drawn:
            sys.stderr.write(_WIPE)
            sys.stderr.flush()
