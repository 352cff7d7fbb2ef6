"""The files of namespaces (nsfs; ioctl_nsfs(2)): opened by magic links of /proc, which no other walk takes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterable

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.planner.tables.namespace_file import device_and_root, identity

_MOST_HELD = 256
_OF_KIND = {abi.CLONE_NEWNS: "mnt", **{flag: kind for kind, flag in abi.NAMESPACE_FLAGS.items()}}


def open_file(path: str) -> int:
    """An O_PATH descriptor of what is at an absolute path, all links followed. Raises OSError."""
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def identify(fd: int) -> str:
    """Which namespace's file an O_PATH descriptor stands for; "" if it is no such file. Raises OSError."""
    found = os.fstat(fd)
    if found.st_dev != os.stat("/proc/self/ns/mnt").st_dev:  # all of them are in one filesystem
        return ""
    with closing_fd(syscalls.open_again(fd, os.O_RDONLY, stat.S_IFREG)) as opened:
        kind = _OF_KIND[fcntl.ioctl(opened, abi.NS_GET_NSTYPE)]
    return identity(f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}", f"{kind}:[{found.st_ino}]")


def shows(found: os.stat_result, wanted: str) -> bool:
    """Is it the file of the namespace `wanted`? Numbers are given to namespaces of all kinds once."""
    device, root = device_and_root(wanted)
    return f"{os.major(found.st_dev)}:{os.minor(found.st_dev)}" == device and root.endswith(f":[{found.st_ino}]")


class HeldFiles:
    """Namespace files that were opened before the process left its namespaces: in a user namespace of its own it may
    not look at other processes, and /proc/self is another one's there. The caller closes it.
    """

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._held: dict[str, int] = {}
        for path in dict.fromkeys(paths):
            if len(self._held) == _MOST_HELD:
                return  # the others are opened when they are needed
            try:
                self._held[path] = open_file(path)
            except OSError:
                pass  # it is told of the step that needs it

    def open(self, path: str, wanted: str) -> int:
        """A descriptor of the caller's. Raises OSError, ESTALE if it is another namespace than `wanted`."""
        held = self._held.get(path)
        fd = open_file(path) if held is None else fcntl.fcntl(held, fcntl.F_DUPFD_CLOEXEC, 3)
        if shows(os.fstat(fd), wanted):
            return fd
        os.close(fd)
        raise KernelRefusal(errno.ESTALE, "open")

    def close(self) -> None:
        while self._held:
            os.close(self._held.popitem()[1])
