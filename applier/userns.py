"""User namespaces: the id-maps of the one that a build is in, and those that exist only for an id-mapped mount."""

from __future__ import annotations

import os
import signal

from mountplan.applier import abi, syscalls


def id_mapping(uids: tuple[tuple[int, int, int], ...], gids: tuple[tuple[int, int, int], ...]) -> int:
    """A descriptor of a user namespace with these maps: lines of (id in the filesystem, id seen, count).

    A namespace needs a process to be made in; it is ended before this returns. Raises OSError.
    """
    ready, is_ready = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
            syscalls.unshare(abi.CLONE_NEWUSER)
            # Not our own idea of our pid: in a pid namespace of its own, it differs from the one that /proc has.
            os.write(is_ready, os.readlink("/proc/self").encode())
            signal.pause()
        except OSError as error:
            os.write(is_ready, str(-(error.errno or 1)).encode())
        finally:
            os._exit(1)
    try:
        os.close(is_ready)
        answer = int(os.read(ready, 16) or b"-4")  # EINTR: somebody has killed it
        if answer < 0:
            raise OSError(-answer, os.strerror(-answer))
        for name, lines in (("uid_map", uids), ("gid_map", gids)):
            _write(f"/proc/{answer}/{name}", "".join(f"{a} {b} {count}\n" for a, b, count in lines))
        return os.open(f"/proc/{answer}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def map_own_ids(uid: int, gid: int) -> None:
    """Be root in the user namespace that this process has just made; `uid` and `gid` are what it was outside.

    That much every user may do, for one id only, and only with setgroups(2) given up. Raises OSError.
    """
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        _write(f"/proc/self/{name}", text)


def may_map_all_ids() -> bool:
    """True if this process could give a user namespace all the ids that it has itself."""
    needed = 1 << abi.CAP_SETUID | 1 << abi.CAP_SETGID
    return syscalls.capget()[0] & needed == needed


def map_all_ids(pid: int) -> None:
    """Give the user namespace of `pid`, a child of ours, every id of ours under its own number. Raises OSError."""
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/self/{name}") as file:
            lines = [line.split() for line in file]
        _write(f"/proc/{pid}/{name}", "".join(f"{inside} {inside} {count}\n" for inside, _, count in lines))


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
