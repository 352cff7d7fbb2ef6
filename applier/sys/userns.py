"""User namespaces: the id-maps of the one that a build is in, and those that exist only for an id-mapped mount."""

from __future__ import annotations

import fcntl
import os

from mountplan.applier.sys import abi, chroot, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.plain_signal import signal
from mountplan.applier.sys.refusal import KernelRefusal, function_of
from mountplan.planner.light import Literal, contextmanager
from mountplan.planner.names import IdLines, IdMapping

_ALL_IDS = (1 << 32) - 1  # all that there are: the last number is no id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import TypeAlias

# Whether to build in a user namespace: if it takes one, in any case, or not even then.
Rootless: TypeAlias = Literal["auto", "always", "never"]


def id_mapping(uids: IdLines, gids: IdLines) -> int:
    """A descriptor of a user namespace with these maps: lines of (id on disk, id seen, count). Raises OSError."""
    with new_namespace() as pid:
        write_maps(pid, uids, gids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def write_maps(pid: int, uids: IdLines, gids: IdLines) -> None:
    for name, lines in (("uid_map", uids), ("gid_map", gids)):
        _write(f"/proc/{pid}/{name}", "".join(f"{a} {b} {count}\n" for a, b, count in lines))


def new_namespace() -> AbstractContextManager[int]:
    """Lend a user namespace without a map: the pid, in /proc, of a process that waits in it. Raises OSError."""
    return waiting_in(chroot.unshare_user)


def ids_of(namespace: int) -> IdMapping | None:
    """The ids of the user namespace behind a descriptor, as initial_ids() has them; None if they are the machine's.

    A map is read by way of a process that is in there, and there may be none: one of ours enters it. Raises OSError.
    """
    there = os.fstat(namespace)
    if there.st_ino == abi.USER_NS_INIT_INO:
        return None
    if os.path.samestat(there, os.stat("/proc/self/ns/user")):
        return initial_ids("self")
    with waiting_in(lambda: _go_hidden(namespace)) as pid:
        return _below_ours(pid, "uid_map"), _below_ours(pid, "gid_map")


def _go_hidden(namespace: int) -> None:
    syscalls.hide()  # from those who live in there
    syscalls.setns(namespace, abi.CLONE_NEWUSER)


@contextmanager
def waiting_in(enter: Callable[[], None], proc: int = -1) -> Iterator[int]:
    """Lend the pid, in /proc, of a process that has done `enter` and waits. Raises OSError.

    `proc` is a directory of /proc, where there may be none at its usual place.
    """
    ready, is_ready = os.pipe()
    parent = os.getpid()
    child = syscalls.fork()
    if child == 0:
        try:
            enter()
            syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)  # not before: a change of credentials may clear it
            if os.getppid() != parent:
                os._exit(1)
            # Not our own idea of our pid: in a pid namespace of its own, it differs from the one that /proc has.
            os.write(is_ready, (os.readlink("self", dir_fd=proc) if proc >= 0 else os.readlink("/proc/self")).encode())
            signal.pause()
        except OSError as error:
            os.write(is_ready, f"-{error.errno or 1} {function_of(error)}".encode())
        finally:
            os._exit(1)
    try:
        os.close(is_ready)
        answer = os.read(ready, 200) or b"-4"  # EINTR: it was killed
        if answer.startswith(b"-"):
            number, _, call = answer[1:].decode(errors="replace").partition(" ")
            raise KernelRefusal(int(number), call)
        yield int(answer)
    finally:
        os.close(ready)
        try:
            os.kill(child, signal.SIGKILL)
        except OSError as error:
            raise KernelRefusal(error.errno or 0, "kill") from None
        os.waitpid(child, 0)


def enter_alone() -> None:
    """Be root in a new user namespace, in which no other id is mapped: that much every user may do by itself.

    setgroups(2) is given up for it. Raises OSError.
    """
    uid, gid = os.geteuid(), os.getegid()
    chroot.unshare_user()
    _map_one("/proc/self", uid, gid)


def _map_one(process: str, uid: int | None, gid: int | None) -> None:
    if uid is not None:
        _write(f"{process}/uid_map", f"0 {uid} 1")
    if gid is not None:
        _write(f"{process}/setgroups", "deny")
        _write(f"{process}/gid_map", f"0 {gid} 1")


def map_ids(pid: int) -> str:
    """Give the user namespace that `pid`, a child of ours that waits, has made the ids that we can give it.

    Those are all that we have ourselves, under their own numbers, if we may do that; otherwise our own id as 0, and the
    ranges that /etc/subuid and /etc/subgid have for us from 1 on. If such ranges cannot be had, our own id alone is
    mapped; then this returns why. Raises OSError.
    """
    if _may_map_all_ids():
        _map_all_ids(pid)
        return ""
    from mountplan.applier.sys import subids

    uid, gid = os.geteuid(), os.getegid()
    uids, gids = subids.ranges_of(uid, subids.UIDS), subids.ranges_of(uid, subids.GIDS)
    why = ""
    if uids and gids:
        # The groups first: what maps a single group of ours must still be able to give setgroups(2) up.
        why = subids.map_ranges(pid, gid, gids, subids.GIDS)
        if not why:
            why = subids.map_ranges(pid, uid, uids, subids.UIDS)
            if why:
                _map_one(f"/proc/{pid}", uid, None)
            return why
    elif uids or gids:
        why = f"{subids.GIDS.ranges if uids else subids.UIDS.ranges} has no range for this user"
    _map_one(f"/proc/{pid}", uid, gid)
    return why


def mapped_ids(process: str = "self") -> tuple[int, int]:
    """How many user ids and group ids the user namespace of a process has."""
    uids, gids = (sum(line[2] for line in _map_of(process, name)) for name in ("uid_map", "gid_map"))
    return uids, gids


def initial_ids(pid: int | Literal["self"]) -> IdMapping:
    """The user and group ids of the namespace of `pid`: lines of (id there, id in the machine's first one, count).

    That is exact if our own namespace is the first one, or made by it, which is all that the kernel tells.
    """
    ours = os.path.samefile(f"/proc/{pid}/ns/user", "/proc/self/ns/user")
    uids, gids = (_map_of(str(pid), name) if ours else _below_ours(pid, name) for name in ("uid_map", "gid_map"))
    return uids, gids


def owner_fd(namespace: int) -> int:
    """A descriptor of the user namespace that a namespace belongs to, -1 if that is not ours to know."""
    try:
        return fcntl.ioctl(namespace, abi.NS_GET_USERNS)
    except PermissionError:
        return -1


def ids_from_here(namespace: int) -> IdMapping | None:
    """Lines of (id in the user namespace that a mount namespace belongs to, id in ours, count); None if they are the
    same, or it is ours. Raises OSError.
    """
    owner = owner_fd(namespace)
    if owner < 0:
        return None
    with closing_fd(owner):
        if os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user")):
            return None
        with waiting_in(lambda: _go_hidden(owner)) as pid:
            uids, gids = (_map_of(str(pid), name) for name in ("uid_map", "gid_map"))
    return None if all(lines == ((0, 0, _ALL_IDS),) for lines in (uids, gids)) else (uids, gids)


def _below_ours(pid: int | Literal["self"], name: str) -> IdLines:
    """A map of the namespace of `pid`, which is another than ours."""
    ours = _map_of("self", name)
    return tuple(
        (inside, first + outside - begin, min(count, begin + length - outside))
        for inside, outside, count in _map_of(str(pid), name)
        for begin, first, length in ours
        if begin <= outside < begin + length
    )


def _map_of(process: str, name: str) -> IdLines:
    with open(f"/proc/{process}/{name}") as file:
        return tuple((int(a), int(b), int(count)) for a, b, count in map(str.split, file))


def _may_map_all_ids() -> bool:
    """True if this process could give a user namespace all the ids that it has itself."""
    needed = 1 << abi.CAP_SETUID | 1 << abi.CAP_SETGID
    return syscalls.capget()[0] & needed == needed


def _map_all_ids(pid: int) -> None:
    for name in ("uid_map", "gid_map"):
        lines = (f"{inside} {inside} {count}\n" for inside, _, count in _map_of("self", name))
        _write(f"/proc/{pid}/{name}", "".join(lines))


def _write(path: str, text: str) -> None:
    with closing_fd(os.open(path, os.O_WRONLY | os.O_CLOEXEC)) as fd:
        os.write(fd, text.encode())
