"""Mount namespaces whose file can be mounted in ours: the kernel wants them younger, so that no circle comes about.

It goes by their ids, which newer kernels (seen on 6.18) give out from a stock of each CPU's own: a namespace that was
made later on another CPU may count as older, and mounting its file answers ELOOP. In the first mount namespace of a
machine that cannot happen, in a container it does. Of the CPU on which our own was made, every new one is younger.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.inside import ChildFailed, in_child
from mountplan.applier.sys.syscalls import namespace_id


def is_younger(namespace: int) -> bool:
    """True if the file of this mount namespace can be mounted in ours; also if the kernel tells no ids."""
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return namespace_id(namespace) > namespace_id(own)
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            raise
        return True  # the ids of such kernels (before 6.11) are in order
    finally:
        os.close(own)


@contextmanager
def giving_younger() -> Iterator[None]:
    """In this block, children of this thread run where the mount namespaces that they make are younger than ours.

    If there is no such CPU among those that we may use, it changes nothing.
    """
    before = os.sched_getaffinity(0)
    cpus = {cpu for cpu in before if _gives_younger(cpu)}
    if not cpus:
        yield
        return
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _gives_younger(cpu: int) -> bool:
    """Try it, in a child of its own, since it then is in another namespace itself."""

    def attempt() -> bool:
        os.sched_setaffinity(0, {cpu})
        own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        syscalls.unshare(abi.CLONE_NEWNS)
        new = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        return namespace_id(new) > namespace_id(own)

    try:
        return in_child(attempt)
    except (OSError, ChildFailed):
        return False
