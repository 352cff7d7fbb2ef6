"""The layers of an overlay, given one by one (fsconfig lowerdir+, Linux 6.8; by descriptor since 6.13)."""

from __future__ import annotations

import errno

from mountplan.applier import abi, syscalls
from mountplan.applier.refusal import KernelRefusal


def add_layer(context: int, key: str, directory: int) -> None:
    """Give an overlay's fsopen context one directory (`lowerdir+`, `upperdir` or `workdir`) by its O_PATH descriptor.

    A kernel before 6.13 refuses a descriptor with EINVAL. There the same directory is named by a path through /proc
    that leads to the same descriptor, so nothing else can be found at it.
    """
    try:
        syscalls.fsconfig(context, abi.FSCONFIG_SET_FD, key.encode(), None, directory)
    except KernelRefusal as refusal:
        if refusal.errno != errno.EINVAL:
            raise
        path = b"/proc/self/fd/%d" % directory
        syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, key.encode(), path, 0)
