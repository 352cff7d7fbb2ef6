"""How long the machine has been running: the clock that cannot be set, without what time namespaces add to it."""

from __future__ import annotations

import os
from time import CLOCK_BOOTTIME, clock_gettime

from mountplan.applier.sys import abi
from mountplan.planner.errors import KeepRefused


def uptime() -> float:
    """Seconds since the machine has booted. Raises KeepRefused."""
    return clock_gettime(CLOCK_BOOTTIME) - added()


def added() -> float:
    """The seconds that our time namespace adds to the time since boot: to that clock, and to starts in /proc/PID/stat.

    Raises KeepRefused if it cannot be told.
    """
    try:
        if os.stat("/proc/self/ns/time").st_ino == abi.TIME_NS_INIT_INO:
            return 0.0
    except FileNotFoundError:
        return 0.0  # a kernel without them
    # What the kernel tells are the offsets of the namespace that children get. It is ours, but after an unshare(2).
    if not os.path.samefile("/proc/self/ns/time", "/proc/self/ns/time_for_children"):
        what = "how this process's clock differs from the machine's cannot be told: it has unshared its time namespace"
        raise KeepRefused(what, "run mountplan in a child of it")
    with open("/proc/self/timens_offsets") as file:
        name, seconds, nanoseconds = file.readlines()[1].split()
    assert name == "boottime"
    return int(seconds) + int(nanoseconds) / 1e9
