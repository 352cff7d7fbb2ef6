"""Giving capabilities up: capabilities(7)."""

from __future__ import annotations

import errno
import os

from mountplan.applier.sys import abi, syscalls
from mountplan.planner.errors import CommandNotStarted
from mountplan.planner.run_settings import CAPABILITIES


def keep_capabilities(names: tuple[str, ...]) -> None:
    """Have no other capabilities than these, after exec too, and no way to get one back. Raises CommandNotStarted.

    For root, what exec gives is what the bounding set leaves. For other users it is the ambient set.
    """
    kept = sum(1 << CAPABILITIES.index(name) for name in set(names))
    effective, permitted, _ = syscalls.capget()
    absent = [name for name in names if not permitted & 1 << CAPABILITIES.index(name)]
    if absent:
        what = f"cannot keep {', '.join(absent)}: this user, or this container, does not have it"
        raise CommandNotStarted(what, "leave it out of run.capabilities, or run mountplan with more privileges")
    syscalls.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_CLEAR_ALL)
    _bound(kept, may=bool(effective & 1 << CAPABILITIES.index("CAP_SETPCAP")))
    inheritable = kept if os.geteuid() else 0
    syscalls.capset(kept, kept, inheritable)
    if inheritable:
        for number in _numbers(kept):
            syscalls.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_RAISE, number)


def _bound(kept: int, *, may: bool) -> None:
    """Leave `kept` in the bounding set; unless this process may not take anything out of it."""
    number = 0
    while True:
        try:
            present = syscalls.prctl(abi.PR_CAPBSET_READ, number)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return  # the kernel has no more
            raise
        if present and not kept & 1 << number:
            if not may:
                what = "cannot give capabilities up for good: this user, or this container, does not have CAP_SETPCAP"
                raise CommandNotStarted(what, "leave out run.capabilities, or run mountplan with CAP_SETPCAP")
            syscalls.prctl(abi.PR_CAPBSET_DROP, number)
        number += 1


def _numbers(mask: int) -> list[int]:
    return [number for number in range(64) if mask & 1 << number]
