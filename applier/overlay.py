"""The layers of an overlay, given one by one (fsconfig lowerdir+, Linux 6.8; by descriptor since 6.13)."""

from __future__ import annotations

import errno

from mountplan.applier import abi, syscalls
from mountplan.applier.refusal import KernelRefusal


def configure_layers(context: int, layers: tuple[int, ...], upper: int | None, work: int | None) -> None:
    """Give an overlay's fsopen context its directories, the topmost layer first; all are O_PATH descriptors.

    Whether descriptors are taken is tried with the first one, which decides for all: a kernel before 6.13 refuses any.
    The other way is a path through /proc, which leads to the same descriptor.
    """
    named = [(b"lowerdir+", layer) for layer in layers]
    if upper is not None and work is not None:
        named += [(b"upperdir", upper), (b"workdir", work)]
    by_descriptor = True
    for number, (key, fd) in enumerate(named):
        if by_descriptor:
            try:
                syscalls.fsconfig(context, abi.FSCONFIG_SET_FD, key, None, fd)
                continue
            except KernelRefusal as refusal:
                if number or refusal.errno != errno.EINVAL:
                    raise
                by_descriptor = False
        syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, key, b"/proc/self/fd/%d" % fd, 0)
