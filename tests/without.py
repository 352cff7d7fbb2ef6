"""Older interfaces without an older kernel: a seccomp filter that answers for some system calls, as old container hosts
have one. It holds for the process that asks for it and for its children, and cannot be taken off again.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Mapping

# asm/unistd.h: these are the same everywhere
NUMBERS = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
    "statmount": 457,
    "listmount": 458,
    "open_tree_attr": 467,
}
# linux/audit.h: who makes calls by other numbers (a 32-bit program, say) is left alone
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}
PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h, linux/filter.h
OFFSET_OF_NUMBER, OFFSET_OF_ARCHITECTURE = 0, 4  # struct seccomp_data

_libc = ctypes.CDLL(None, use_errno=True)


def calls_of(text: str) -> dict[str, int]:
    """What MOUNTPLAN_WITHOUT says: names with commas between, each with an errno if it is not to be ENOSYS.

    "statmount,listmount=EPERM" makes statmount(2) answer ENOSYS and listmount(2) EPERM.
    """
    found = {}
    for word in filter(None, text.split(",")):
        name, _, number = word.partition("=")
        if name not in NUMBERS or (number and not hasattr(errno, number)):
            raise ValueError(f"MOUNTPLAN_WITHOUT: {word!r} is none of {', '.join(NUMBERS)}, with an errno after a =")
        found[name] = getattr(errno, number or "ENOSYS")
    return found


def do_without(calls: Mapping[str, int]) -> None:
    """From now on these calls fail with these errnos, in this process and all that it starts. Raises OSError."""
    if calls:
        filter_calls({NUMBERS[name]: number for name, number in calls.items()})


def filter_calls(calls: Mapping[int, int]) -> None:
    """As do_without(), for calls by their numbers on this machine's architecture."""
    program = [
        (LOAD, 0, 0, OFFSET_OF_ARCHITECTURE),
        (JUMP_IF_EQUAL, 1, 0, ARCHITECTURES[os.uname().machine]),
        (RETURN, 0, 0, SECCOMP_RET_ALLOW),
        (LOAD, 0, 0, OFFSET_OF_NUMBER),
    ]
    for call, number in calls.items():
        program += [(JUMP_IF_EQUAL, 0, 1, call), (RETURN, 0, 0, SECCOMP_RET_ERRNO | number)]
    program.append((RETURN, 0, 0, SECCOMP_RET_ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    filter_ = struct.pack("@HP", len(program), ctypes.addressof(code))
    try:
        _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_)
    except PermissionError:  # without CAP_SYS_ADMIN only a process that can gain no privileges may have a filter
        _prctl(PR_SET_NO_NEW_PRIVS, 1, None)
        _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_)


def _prctl(option: int, value: int, data: bytes | None) -> None:
    zero = ctypes.c_ulong(0)
    if _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), data, zero, zero) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl")
