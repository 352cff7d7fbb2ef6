"""The layers of an overlay: one by one where the kernel can (lowerdir+, Linux 6.8), otherwise as one string.

A layer is an O_PATH descriptor, and the kernel gets just that. It takes descriptors since 6.13. Before, it gets a path
through /proc that leads to the same descriptor, so nothing else can be found at it. Kernels without lowerdir+ want all
paths in one string of less than 256 bytes, so there the paths are as short as can be: the descriptors' numbers, walked
from /proc/self/fd.
"""

from __future__ import annotations

import errno
import os

from mountplan.applier import abi, syscalls
from mountplan.applier.refusal import KernelRefusal

_LONGEST = 255  # bytes of a value that fsconfig(2) takes


def add_layer(context: int, key: str, directory: int) -> None:
    """Give an overlay's fsopen context one directory (`lowerdir+`, `upperdir` or `workdir`) by its descriptor."""
    try:
        syscalls.fsconfig(context, abi.FSCONFIG_SET_FD, key.encode(), None, directory)
    except KernelRefusal as refusal:
        # EBADF: before 6.13 an O_PATH descriptor is none for this call; EINVAL: the key does not take descriptors.
        if refusal.errno not in (errno.EBADF, errno.EINVAL):
            raise
        path = b"/proc/self/fd/%d" % directory
        syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, key.encode(), path, 0)


def takes_single_layers() -> bool:
    """True if lowerdir+ works. It is tried in a context of its own with a path that is not there.

    ENOENT says that the kernel has looked for it. EINVAL says that it does not know the key; and before 6.5, where all
    options are only collected until the overlay is made, there is no error.
    """
    context = syscalls.fsopen(b"overlay")
    try:
        syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, b"lowerdir+", b"/proc/self/fd/-1", 0)
    except KernelRefusal as refusal:
        return refusal.errno == errno.ENOENT
    finally:
        os.close(context)
    return False


class CollectedLayers:
    """The layers of one overlay for a kernel without lowerdir+, held until the overlay is made."""

    def __init__(self) -> None:
        self._layers: dict[str, list[int]] = {}

    def add(self, key: str, directory: int) -> None:
        self._layers.setdefault(key.rstrip("+"), []).append(os.dup(directory))

    def configure(self, context: int, proc: int) -> None:
        """Give them to the context, and go to /proc/self/fd (`proc` is /proc) for the walks when it is created.

        Raises KernelRefusal, with E2BIG if they are too many for one string.
        """
        numbers = os.open("self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
        try:
            os.fchdir(numbers)
        finally:
            os.close(numbers)
        for key, directories in self._layers.items():
            value = b":".join(b"%d" % directory for directory in directories)
            if len(value) > _LONGEST:
                raise KernelRefusal(errno.E2BIG, f"fsconfig({key})")
            syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, key.encode(), value, 0)

    def close(self) -> None:
        for directories in self._layers.values():
            for directory in directories:
                os.close(directory)
        self._layers = {}
