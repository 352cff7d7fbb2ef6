"""Mounting what the machine has one of, so that nothing of it changes: its options hold for all its mounts.

The kernel sets the options of a "new" debugfs or tracefs on the one that there is, and takes those that are not given
for defaults; of a cgroup2 it does so in the machine's first cgroup namespace only. FSCONFIG_CMD_CREATE_EXCL (Linux 6.6)
would not: but it mounts nothing where there is one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.planner.tables.instances import given_again, hierarchy_of, shown, unlike
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.options import Pairs
from mountplan.planner.tables.table import MountRow

_FLAGS_ARE_SET_BY_FEW = "cgroup2"
# A process of others', or one that has ended (EINVAL: its mounts are gone, itself not yet).
_NOT_OURS_TO_READ = (errno.ENOENT, errno.ESRCH, errno.EINVAL, errno.EACCES, errno.EPERM)


def shown_here(fstype: str) -> str | None:
    """What the machine's one instance of a type shows in a mount table: in ours, or else in that of another process.

    None if no table has it that this process may read.
    """
    rows = list(_rows("self", fstype))
    if not rows:
        for pid in _one_of_each_namespace():
            rows += _rows(pid, fstype)
    return shown(rows, fstype)


def leaving(fstype: str, options: Pairs) -> Pairs:
    """The options with which to mount a type so that the machine's instance keeps those that it has.

    Raises KernelRefusal (EBUSY) if `options` would change it, or if that cannot be seen.
    """
    sets_nothing = fstype == _FLAGS_ARE_SET_BY_FEW
    if sets_nothing and not options:
        return ()
    there = shown_here(fstype)
    if there is None:
        if options:
            log = f"there is one {fstype} on the machine, and none can be seen here: what it has is not known"
            raise KernelRefusal(errno.EBUSY, "fsconfig", (log,))
        return ()
    if others := unlike(fstype, options, there):
        words = ",".join(name if value is True else f"{name}={value}" for name, value in others)
        log = f"there is one {fstype} on the machine, which has {there}: {words} would be set for all its mounts"
        raise KernelRefusal(errno.EBUSY, "fsconfig", (log,))
    return () if sets_nothing else given_again(there)


def check_hierarchy(options: Pairs) -> None:
    """Raise KernelRefusal (EBUSY) if a cgroup mounted with `options` would be a hierarchy that the machine has not.

    It would be in /proc/PID/cgroup of every process, and take its controllers from the cgroup2.
    """
    asked = hierarchy_of(name if value is True else f"{name}={value}" for name, value in options) - {"none"}
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        if any(asked == set(line.split(":", 2)[1].split(",")) for line in file):
            return
    words = ", ".join(sorted(asked)) or "all controllers"
    log = f"no cgroup hierarchy of the machine is made of {words}: a new one would take them from all its processes"
    raise KernelRefusal(errno.EBUSY, "fsconfig", (log,))


@contextmanager
def setting_no_flags(fstype: str) -> Iterator[None]:
    """In this block, creating a cgroup2 sets no flags on the machine's: they are set from the first cgroup namespace.

    What a mount shows was decided before, by the namespace in which its context was opened.
    """
    if fstype != _FLAGS_ARE_SET_BY_FEW or not _is_first("cgroup", abi.CGROUP_NS_INIT_INO):
        yield
    elif not _is_first("user", abi.USER_NS_INIT_INO):
        yield  # and this user is refused it
    else:
        with closing_fd(os.open("/proc/self/ns/cgroup", os.O_RDONLY | os.O_CLOEXEC)) as first:
            syscalls.unshare(abi.CLONE_NEWCGROUP)
            try:
                yield
            finally:
                syscalls.setns(first, abi.CLONE_NEWCGROUP)


def _is_first(kind: str, inode: int) -> bool:
    return os.stat(f"/proc/self/ns/{kind}").st_ino == inode


def _rows(pid: str, fstype: str) -> Iterator[MountRow]:
    """The rows of this type in the mount table of a process; none if it may not be read."""
    try:
        with open(f"/proc/{pid}/mountinfo", "rb") as file:
            text = file.read()
    except OSError as error:
        if error.errno not in _NOT_OURS_TO_READ:
            raise
        return
    wanted = b" - %s " % os.fsencode(fstype)
    if wanted in text:  # most tables have none, and the long ones take time
        yield from parse_mountinfo(b"".join(line for line in text.splitlines(True) if wanted in line)).rows


def _one_of_each_namespace() -> Iterator[str]:
    """A process of each mount namespace but our own, as far as they may be seen; the machine's first process first."""
    try:
        known = {os.stat("/proc/self/ns/mnt").st_ino}
        pids = sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())
    except FileNotFoundError:
        return
    for pid in map(str, pids):
        try:
            inode = os.stat(f"/proc/{pid}/ns/mnt").st_ino
        except OSError as error:
            if error.errno not in _NOT_OURS_TO_READ:
                raise
            continue
        if inode not in known:
            known.add(inode)
            yield pid
