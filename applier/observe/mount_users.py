"""Which processes have something of a mount: a root, a working directory, open files, memory that maps a file."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable

from mountplan.applier.observe.observe import refused_table
from mountplan.applier.observe.subjects import command_of
from mountplan.applier.sys import abi, syscalls
from mountplan.planner.record import NamedTuple

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO of linux/proc_ns.h


class MountUser(NamedTuple):
    """A process, and what it has of one mount."""

    pid: int
    command: str
    root: bool
    directory: bool
    files: int
    writing: int
    maps: int


def users_of(namespaces: Iterable[int] | None) -> dict[int, list[MountUser]]:
    """By id of the mount (of mountinfo): its users in the mount namespaces with these numbers (of their files), or all.

    As far as this user may look. Ids are the machine's, so that who has a file of another namespace open is found as
    well, if all are looked at.
    """
    wanted = frozenset(namespaces) if namespaces is not None else None
    found: dict[int, list[MountUser]] = {}
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            if os.stat(f"/proc/{name}/ns/mnt").st_ino not in (wanted or ()) and wanted is not None:
                continue
        except OSError as error:
            _pass_over(error)
            continue
        for mount, user in _uses(int(name)).items():
            found.setdefault(mount, []).append(user)
    for users in found.values():
        users.sort()
    return found


def unseen() -> str:
    """Which processes users_of() cannot look into, in words; "" if it can into all."""
    if os.stat("/proc/self/ns/pid").st_ino != _INITIAL_PID_NAMESPACE:
        return "processes outside of this pid namespace"
    if not os.path.exists("/proc/1"):
        return "processes of other users, which are hidden here,"
    for name in os.listdir("/proc"):
        try:
            if name.isdecimal():
                os.stat(f"/proc/{name}/ns/mnt")
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                return "processes that this user may not look into"
            _pass_over(error)
    return ""


def _uses(pid: int) -> dict[int, MountUser]:
    root, directory = (_mount_of(f"/proc/{pid}/{link}") for link in ("root", "cwd"))
    told = [_told(path) for path in _entries(f"/proc/{pid}/fdinfo")]
    files = Counter(mount for mount, _ in told)
    writers = (os.O_WRONLY, os.O_RDWR)
    writing = Counter(mount for mount, flags in told if flags & os.O_ACCMODE in writers and not flags & os.O_PATH)
    maps = Counter(map(_mount_of, _entries(f"/proc/{pid}/map_files")))
    command = command_of(pid)
    return {
        one: MountUser(pid, command, one == root, one == directory, files[one], writing[one], maps[one])
        for one in {root, directory, *files, *maps} - {0}
    }


def _entries(directory: str) -> list[str]:
    try:
        return [f"{directory}/{name}" for name in os.listdir(directory)]
    except OSError as error:
        _pass_over(error)
        return []


def _mount_of(path: str) -> int:
    """The id of the mount that what a link of /proc leads to is seen through, 0 if it cannot be told."""
    try:
        return syscalls.mount_id(abi.AT_FDCWD, path.encode())
    except OSError as error:
        _pass_over(error)
        return 0


def _told(path: str) -> tuple[int, int]:
    """(id of the mount, flags of open(2)) of an open file."""
    mount = flags = 0
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.startswith(b"mnt_id:"):
                    mount = int(line[7:])
                elif line.startswith(b"flags:"):
                    flags = int(line[6:], 8)
    except OSError as error:
        _pass_over(error)
        return 0, 0
    return mount, flags


def _pass_over(error: OSError) -> None:
    """Of what has ended, or is not for this user to see, nothing is told; what the system lacks says nothing of it."""
    if error.errno not in (errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EPERM, errno.ENOTDIR):
        raise refused_table("cannot tell which processes use the mounts", error) from None
