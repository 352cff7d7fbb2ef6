"""An end to planning that hangs: a filesystem that does not answer keeps a process that looks at it in the kernel."""

from __future__ import annotations

import _thread  # threading would cost start-up time
import os
import sys

from mountplan.applier.observe import asked
from mountplan.planner.characters import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.cli.output import Output


class PlanningTimeout:
    """If its `with` block is not left in time, this process ends with an error, exit status 3; 0 waits for ever.

    No signal brings a process back from there, but it can be ended, and another thread can do so. That thread has gone
    when the block is left: what comes then must be the only one.
    """

    def __init__(self, seconds: float, output: Output) -> None:
        self._seconds, self._output = seconds, output
        self._left, self._gone = _thread.allocate_lock(), _thread.allocate_lock()

    def __enter__(self) -> None:
        self._left.acquire()
        if not self._seconds:
            return
        self._gone.acquire()
        try:
            _thread.start_new_thread(self._watch, ())
        except RuntimeError:
            self._gone.release()  # no more processes are allowed; planning needs none

    def __exit__(self, *_: object) -> None:
        self._left.release()
        while not self._gone.acquire(timeout=0.1) and _thread._count():
            pass  # but a thread that could not even begin, for want of memory, lets nothing go
        while _thread._count() == 0 and len(os.listdir("/proc/self/task")) > 1:
            os.sched_yield()  # Python has done with it, but the kernel not yet

    def _watch(self) -> None:
        if not self._left.acquire(timeout=self._seconds):
            waited_for = visible(asked.waited_for())
            message = f"cannot plan: not done after {self._seconds:g} seconds"
            message += waited_for and f"; it waits for {waited_for}"
            remedy = f"look for {waited_for and 'what is behind that, or for '}what keeps the machine busy;"
            remedy += " --timeout SECONDS gives it more time"
            data = {"code": "planning-timeout", "exit_status": 3, "message": message, "remedy": remedy}
            self._output.error(f"mountplan: {message}\n  remedy: {remedy}\n", data)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(3)
        self._gone.release()
