"""Mount namespaces that belong to other user namespaces than ours, and those: what a plan makes for others."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

from mountplan.applier.sys import abi, chroot, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.userns import id_mapping, waiting_in, write_maps
from mountplan.planner.names import IdLines


def user_namespace(uids: IdLines, gids: IdLines, within: int) -> int:
    """A descriptor of a new user namespace with these maps, made in `within` unless that is -1. Raises OSError."""
    if within < 0:
        return id_mapping(uids, gids)

    def begin() -> None:
        _become_root_of(within)
        chroot.unshare_user()

    with waiting_in(begin) as pid:

        def write() -> None:
            """The ids outside are those of the namespace that it is made in, so the maps are written from there."""
            _become_root_of(within)
            write_maps(pid, uids, gids)

        with waiting_in(write):
            pass
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def _become_root_of(user: int) -> None:
    enter_as_its_user(user)
    syscalls.prctl(abi.PR_SET_DUMPABLE, 1)  # or else nobody writes the maps of this process


def enter_as_its_user(user: int) -> None:
    """Enter a user namespace, as a user that it has: no other may make namespaces or files there."""
    syscalls.setns(user, abi.CLONE_NEWUSER)
    uid, gid = (_first_id(name) for name in ("uid_map", "gid_map"))
    with suppress(PermissionError):  # where setgroups(2) is denied, they are kept
        os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _first_id(name: str) -> int:
    with open(f"/proc/self/{name}") as file:
        return min(int(line.split()[0]) for line in file)


def copy_for(user: int, proc: int) -> int:
    """A descriptor of a copy of our mount namespace that belongs to the user namespace behind `user`.

    `proc` is a directory of /proc, which the namespace may not have. Raises OSError.
    """

    def begin() -> None:
        syscalls.setns(user, abi.CLONE_NEWUSER)
        syscalls.unshare(abi.CLONE_NEWNS)

    with waiting_in(begin, proc) as pid:
        namespace = os.open(f"{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    with closing_fd(fcntl.ioctl(namespace, abi.NS_GET_USERNS)) as owner:
        if not os.path.samestat(os.fstat(owner), os.fstat(user)):
            raise OSError(errno.EIO, "the namespace belongs to another user namespace than was asked for")
    return namespace
