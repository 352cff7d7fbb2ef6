"""The options of cgroup2. The machine has one instance; each mount from its first cgroup namespace sets them."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tests.hosts import enter_host, mount, run_in_child, unshare

CLONE_NEWCGROUP = 0x02000000
OPTIONS = ("nsdelegate", "memory_recursiveprot")  # what systemd gives it


def options() -> tuple[str, ...]:
    """Those that it has now. Looking changes nothing: in another cgroup namespace the kernel takes no options."""
    return run_in_child(_look)


def _look() -> tuple[str, ...]:
    enter_host("root")
    unshare(CLONE_NEWCGROUP)
    mount("cgroup2", "/mnt", "cgroup2")
    return options_in(Path("/proc/self/mountinfo").read_text().splitlines()[-1])


def options_in(line: str) -> tuple[str, ...]:
    """Those in a line of mountinfo."""
    return tuple(word for word in line.rpartition(" ")[2].split(",") if word not in ("rw", "ro"))


def set_options(wanted: Iterable[str]) -> None:
    """For the whole machine. In a container the kernel takes none, and says nothing."""

    def inside() -> None:
        enter_host("root")
        mount("cgroup2", "/mnt", "cgroup2", data=",".join(wanted) or "rw")

    run_in_child(inside)


@contextmanager
def systemds_options() -> Iterator[bool]:
    """In this block, the machine's cgroup2 has the options that systemd gives it; False if they cannot be set.

    For tests that are `alone`. Another process takes them back, also when this one is killed.
    """
    before = options()
    if set(OPTIONS) <= set(before):
        yield True
        return
    over, end = os.pipe2(os.O_CLOEXEC)
    session = os.getpid()
    guard = os.fork()
    if guard == 0:
        _guard(session, over, before)
    try:
        set_options((*before, *OPTIONS))
        yield set(OPTIONS) <= set(options())
    finally:
        os.write(end, b".")
        os.waitpid(guard, 0)
        os.close(over)
        os.close(end)


def _guard(session: int, over: int, before: tuple[str, ...]) -> NoReturn:
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        select.select([os.pidfd_open(session), over], [], [])
        set_options(before)
    finally:
        os._exit(0)
