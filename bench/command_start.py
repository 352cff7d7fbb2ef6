"""Times the start of a command through the trampoline beside a plain exec of it: python bench/command_start.py [RUNS]

Each is done in a forked child of this process, in turns; prints the medians of wall time, from fork to end.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mountplan.applier.process.command import STDERR, execute
from mountplan.applier.process.trampoline import File

COMMAND = ("true",)
BUDGET = 1.0  # ms


def plainly() -> None:
    os.execvpe(COMMAND[0], COMMAND, os.environ)


def through_trampoline() -> None:
    execute(File(), COMMAND, dict(os.environ), STDERR)


def timed(start: Callable[[], None]) -> float:
    """Milliseconds."""
    begin = time.perf_counter()
    child = os.fork()
    if child == 0:
        try:
            start()
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("the command has failed")
    return (time.perf_counter() - begin) * 1e3


def main() -> None:
    figures: dict[Callable[[], None], list[float]] = {plainly: [], through_trampoline: []}
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 201):
        for start, found in figures.items():
            found.append(timed(start))
    plain, longer = (median(found) for found in figures.values())
    held = "within" if longer - plain <= BUDGET else "OVER"
    print(f"plain {plain:.2f} ms, trampoline {longer:.2f} ms: {longer - plain:.2f} ms more, {held} {BUDGET:g}")


if __name__ == "__main__":
    main()
