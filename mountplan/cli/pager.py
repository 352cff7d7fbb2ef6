"""Text that a terminal does not hold, through the user's pager, as git(1) shows it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import IO

_LESS = {"LESS": "FRX", "LV": "-c"}  # leave at once if it fits, keep colours, leave the text on the screen: as git


def height() -> int | None:
    """The lines of the terminal that standard output is; None if it is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).lines or None if sys.stdout.isatty() else None
    except (OSError, ValueError):
        return None


def command() -> str:
    """$MOUNTPLAN_PAGER, $PAGER or less(1); "" for none, which `cat` is as well."""
    for name in ("MOUNTPLAN_PAGER", "PAGER"):
        if name in os.environ:
            chosen = os.environ[name].strip()
            return "" if chosen == "cat" else chosen
    return "less"


def show(write: Callable[[IO[str]], object]) -> bool:
    """Have `write` write into the pager, and wait for its user to leave. False if there is none: it was not called."""
    import shlex
    import shutil
    import signal
    import subprocess

    program = command()
    words = program.split()
    if not words or os.environ.get("TERM") == "dumb" or not shutil.which(words[0]):
        return False
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the pager's, which is in the foreground
    try:
        with subprocess.Popen(
            shlex.split(program),
            stdin=subprocess.PIPE,
            env=_LESS | os.environ,
            text=True,
            encoding=sys.stdout.encoding,
            errors="backslashreplace",
        ) as pager:
            assert pager.stdin is not None
            try:
                write(pager.stdin)
                pager.stdin.close()
            except BrokenPipeError:
                pass  # it was left before the end
    finally:
        signal.signal(signal.SIGINT, before)
    return True
