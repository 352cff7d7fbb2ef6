"""Giving capabilities up: capabilities(7)."""

from __future__ import annotations

import errno
import os

from mountplan.applier import abi, syscalls
from mountplan.planner.errors import CommandNotStarted

# linux/capability.h: the position is the number.
NAMES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip


def known(name: str) -> bool:
    """True if there is a capability of this name."""
    return name in NAMES


def keep_capabilities(names: tuple[str, ...]) -> None:
    """Have no other capabilities than these, after exec too, and no way to get one back. Raises CommandNotStarted.

    For root, what exec gives is what the bounding set leaves. For anybody else it is the ambient set.
    """
    kept = sum(1 << NAMES.index(name) for name in set(names))
    _, permitted, _ = syscalls.capget()
    absent = [name for name in names if not permitted & 1 << NAMES.index(name)]
    if absent:
        raise CommandNotStarted(
            f"cannot keep {', '.join(absent)}: this user, or this container, does not have it",
            "leave it out of run.capabilities, or run mountplan with more privileges",
        )
    _clear_ambient()
    _bound(kept)
    inheritable = kept if os.geteuid() else 0
    syscalls.capset(kept, kept, inheritable)
    if inheritable:
        for number in _numbers(kept):
            syscalls.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_RAISE, number)


def _bound(kept: int) -> None:
    """Leave `kept` in the bounding set."""
    number = 0
    while True:
        try:
            present = syscalls.prctl(abi.PR_CAPBSET_READ, number)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return  # the kernel has no more
            raise
        if present and not kept & 1 << number:
            syscalls.prctl(abi.PR_CAPBSET_DROP, number)
        number += 1


def _clear_ambient() -> None:
    syscalls.prctl(abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_CLEAR_ALL)


def _numbers(mask: int) -> list[int]:
    return [number for number in range(64) if mask & 1 << number]
