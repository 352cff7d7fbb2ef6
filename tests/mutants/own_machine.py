"""A process whose mounts and processes are its own, for mutants of what mounts, kills and removes.

What a mutant mounts is gone with it, it sees no process of the machine, and what it starts ends with it. It can write
to no file of the machine: / is read-only, and /tmp, /run and /mnt are new.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable

from tests.hosts import CLONE_NEWNS, CLONE_NEWPID, PR_SET_PDEATHSIG, mount, prctl, unshare
from tests.mountflags import MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REC, MS_REMOUNT


def on_its_own(half: str, work: Callable[[], int]) -> int:
    """What `work` returns, called in such a process. The planner's half changes nothing: there it is simply called."""
    if half == "planner":
        return work()
    unshare(CLONE_NEWNS | CLONE_NEWPID)
    first = os.fork()
    if first == 0:
        _exit_with(lambda: _be_first(work))
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def _be_first(work: Callable[[], int]) -> int:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc")
    for place in ("/tmp", "/run", "/mnt"):
        mount("none", place, "tmpfs", data="mode=1777" if place == "/tmp" else "mode=0755")
    mount("", "/", flags=MS_REMOUNT | MS_BIND | MS_RDONLY)
    os.chdir(os.getcwd())  # the checkout may be below /tmp
    second = os.fork()
    if second == 0:
        _exit_with(work)
    while True:  # whose parent has ended is ours
        pid, status = os.wait()
        if pid == second:
            return max(0, os.waitstatus_to_exitcode(status))


def _exit_with(work: Callable[[], int]) -> None:
    status = 1
    try:
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
