"""Ranges of ids that belong to an ordinary user, /etc/subuid and /etc/subgid, and the setuid programs that map them.

newuidmap(1) and newgidmap(1) check by themselves that a range is the user's. Here it is checked as well, so that what
is asked of them is what can be granted, and a refusal tells something.
"""

from __future__ import annotations

import os
import signal

from mountplan.applier.sys.channel import pipe
from mountplan.applier.sys.refusal import OF_THE_SYSTEM
from mountplan.planner.record import NamedTuple

_DIRECTORIES = "/usr/bin:/bin:/usr/local/bin:/usr/sbin:/sbin"  # where the programs are looked for after PATH
_MOST = 340 - 1  # lines that the kernel takes for one map; one of them is for the user's own id
_LAST = 2**32 - 2  # 2**32 - 1 is no id


class Kind(NamedTuple):
    """One of the two maps: its file in /proc/PID, the file that tells of ranges, the program."""

    map: str
    ranges: str
    program: str


UIDS = Kind("uid_map", "/etc/subuid", "newuidmap")
GIDS = Kind("gid_map", "/etc/subgid", "newgidmap")


def ranges_of(uid: int, kind: Kind) -> tuple[tuple[int, int], ...]:
    """The ranges (first id, how many) that belong to the user `uid`, in the order of the file; () if there are none.

    A line has the user's name or number. Lines of another form are passed over, as by the programs.
    """
    try:
        with open(kind.ranges, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError as error:
        if error.errno in OF_THE_SYSTEM:
            raise
        return ()
    names = {str(uid), _name_of(uid)} - {""}
    found = []
    for line in lines:
        name, *numbers = line.strip().split(":")
        if name not in names or len(numbers) != 2 or not all(part.isascii() and part.isdecimal() for part in numbers):
            continue
        first, count = int(numbers[0]), int(numbers[1])
        if count and first + count - 1 <= _LAST:
            found.append((first, count))
    return tuple(found[:_MOST])


def _name_of(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def map_ranges(pid: int, own: int, ranges: tuple[tuple[int, int], ...], kind: Kind) -> str:
    """Map the id `own` to 0, and `ranges` to 1 and up, in the user namespace of `pid`; why not, or "".

    `pid` must be a child of ours that waits, so that the number cannot come to mean another process meanwhile.
    """
    lines, inside = [(0, own, 1)], 1
    for first, count in ranges:
        lines.append((inside, first, count))
        inside += count
    program = _find(kind.program)
    if not program:
        return f"there is no program {kind.program} (package uidmap, or shadow-utils)"
    status, said = _run([program, str(pid), *(str(number) for line in lines for number in line)])
    if not status:
        return ""
    return f"{kind.program}: {said.removeprefix(kind.program).lstrip(': ') or f'exit status {status}'}"


def _find(program: str) -> str:
    for directory in f"{os.environ.get('PATH', '')}:{_DIRECTORIES}".split(":"):
        path = os.path.join(directory, program)
        if os.path.isabs(path) and os.access(path, os.X_OK):
            return path
    return ""


def _run(command: list[str]) -> tuple[int, str]:
    """Run a program with an empty environment and nothing of ours but a pipe; its status, and what it says first."""
    reading, writing = pipe()
    with open(reading, encoding="utf-8", errors="replace") as file:
        try:
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writing, 1),
                (os.POSIX_SPAWN_DUP2, writing, 2),
                # What we were started with may be inheritable; there is no harm in closing one that is closed.
                *((os.POSIX_SPAWN_CLOSE, int(fd)) for fd in os.listdir("/proc/self/fd") if int(fd) > 2),
            ]
            defaults = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)
            child = os.posix_spawn(command[0], command, {}, file_actions=actions, setsigmask=(), setsigdef=defaults)
        except OSError as error:
            return -1, error.strerror or str(error)
        finally:
            os.close(writing)
        said = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), (said.strip().splitlines() or [""])[0]
