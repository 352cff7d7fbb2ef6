"""What stands in a live namespace -> MountTable."""

from __future__ import annotations

import errno
import io
import os
import select
from itertools import count
from time import monotonic

from mountplan.applier.sys import chroot
from mountplan.applier.sys.refusal import OF_THE_SYSTEM, explain, function_of, in_words, wrong_proc
from mountplan.planner.errors import TableError
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NEVER_STILL = "the mount table changed during each reading, for seconds"
_TRIES, _SECONDS = 20, 2.0  # read that often at least, and for that long


def tries() -> Iterator[None]:
    """Once for each time that something may be read that others change meanwhile, until it is time to give up.

    Where mounts come and go in a tight loop, a short table may change during hundreds of readings; of a long one, few
    take their time.
    """
    deadline = monotonic() + _SECONDS
    for number in count():
        if number >= _TRIES and monotonic() > deadline:
            return
        yield


def observe(pid: int | str = "self") -> MountTable:
    """The mount table of a process's namespace, as seen from its root.

    The kernel hands a long table out in pieces, between which it may change. It tells those who poll (POLLPRI, see
    proc_pid_mounts(5)), so the table is read until nothing has been mounted or unmounted meanwhile.
    Raises TableError if the process is not there or not ours, or if the table never keeps still.
    """
    path = f"/proc/{pid}/mountinfo"
    try:
        with open(path, "rb", buffering=0) as file:
            text = read_still(file)
            if text is not None:
                return parse_mountinfo(_line_of_root() + text if pid == "self" else text)
    except OSError as error:
        if isinstance(pid, int):
            raise not_read(error, pid) from None
        raise refused_table("cannot read the mount table", error, path) from None
    raise TableError(f"{path}: {NEVER_STILL}")


def _line_of_root() -> bytes:
    try:
        return chroot.line_of_root()
    except OSError as error:
        call = function_of(error)
        if call == "statx" or (error.errno in OF_THE_SYSTEM and call != "setns"):
            raise refused_table("cannot read the mount table", error) from None
        raise TableError(
            f"{chroot.UNSEEN}: {explain('', error.errno or 0, call)[0]}\n  remedy: {chroot.REMEDY}", 3
        ) from None


def read_still(file: io.FileIO) -> bytes | None:
    """The text of an open mountinfo, in which nothing has changed while it was read; None if it never keeps still."""
    changes = select.poll()
    changes.register(file, select.POLLPRI)
    for _ in tries():
        text = file.read()
        if not changes.poll(0):
            return text
        file.seek(0)
    return None


def refused_table(what: str, error: OSError, path: str = "") -> TableError:
    """What to raise if the system does not let a table be read: which call, why, and what to do."""
    call = function_of(error)
    meaning, remedy = explain("", error.errno or 0, call)
    return TableError(f"{what}: {call or path}: {meaning}" + (f"\n  remedy: {remedy}" if remedy else ""), 3)


def open_proc() -> int:
    """A descriptor of /proc, to use where it is out of reach. Raises TableError."""
    try:
        return os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise refused_table("cannot open /proc", error) from None


def own_number() -> int:
    """The number of this process in /proc, which is another one where that is of another pid namespace.

    Raises TableError if it has none there.
    """
    try:
        return int(os.readlink("/proc/self"))
    except OSError as error:
        raise refused_table("cannot tell the number of this process", error) from None


def not_read(error: OSError, pid: int) -> TableError:
    """What to raise if the mounts of a process cannot be read."""
    if error.errno in (errno.ENOENT, errno.ESRCH) and wrong_proc() is None:
        return TableError(
            f"process {pid}: there is no such process (any more); `lsns -t mnt` lists those that there are"
        )
    if error.errno in OF_THE_SYSTEM - {errno.EPERM} or wrong_proc():
        return refused_table(f"process {pid}: cannot read its mounts", error)
    what, remedy = not_ours(error, pid)
    return TableError(f"process {pid}: {what}" + (f"\n  remedy: {remedy}" if remedy else ""), 3)


def not_ours(error: OSError, pid: int) -> tuple[str, str]:
    """Why the mounts of a process cannot be read, and what to do."""
    if error.errno == errno.EACCES or (error.errno == errno.EPERM and _is_of_ptrace(error)):
        if pid == os.getpid():  # of any user: the kernel does not protect a process from itself
            meaning, remedy = explain("", errno.EPERM)
            return f"cannot read its mounts: {in_words(error)}: {meaning}", remedy
        if os.geteuid() == 0:
            takes = "CAP_SYS_PTRACE over its user namespace, and no security module that refuses it"
            return f"it is protected: to look at it takes {takes}", "run mountplan where root has that, as on the host"
        return "it belongs to another user, or is protected", "run mountplan as root"
    return f"cannot read its mounts: {in_words(error)}", ""


def _is_of_ptrace(error: OSError) -> bool:
    """The kernel protects the files of a process by refusing to open or read them; an EPERM of others is a filter's."""
    return function_of(error).partition(" ")[0] in ("open", "readlink", "readlinkat", "stat", "read", "")


def tmpfs_defaults() -> str:
    """What a new tmpfs has of options that it does not show unless they are given (shmem_show_options() in mm/shmem.c):
    half of the memory that the machine has at this moment.
    """
    pages = os.sysconf("SC_PHYS_PAGES") // 2
    return f"size={pages * os.sysconf('SC_PAGE_SIZE') // 1024}k,nr_inodes={pages}"


def mount_max() -> int:
    """sysctl fs.mount-max, which holds for every mount namespace."""
    try:
        with open("/proc/sys/fs/mount-max", "rb") as file:
            return int(file.read())
    except (OSError, ValueError):  # no /proc, or a masked one
        from mountplan.planner.host import MOUNT_MAX

        return MOUNT_MAX
