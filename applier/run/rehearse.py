"""Carries out what a script was simulated to do, for real, in throw-away namespaces: is the model right?

Every process of the script is a real one, forked from the one that forks it there. None of them can reach the machine:

- They are in a user namespace of their own, so that the kernel itself keeps them from every superblock that they have
  not made: options of superblocks are machine-wide, whatever namespace they are changed in.
- In their mount namespace there is nothing of the machine's but its lowest mounts, below two empty tmpfs of their own.
  The lower of these is locked where it is; a script that unmounts its root comes there, and no further.
- Of the machine they hold descriptors of /proc, to read their own mount tables, and of /dev/null, copies of mount(8)
  and its like (programs.py), and the socket over which they are told what to do.

A process either makes calls itself, or runs a program with the words of the script. Such a program finds in /proc what
it reads there (lent.py); and one that is to execute another, as unshare(1), stops before it does: the process then goes
where that one has gone. All of it goes when the last of them ends.
"""

from __future__ import annotations

import os
import re
import select
import socket
from collections.abc import Iterable
from typing import Any

from mountplan.applier.run.programs import Programs
from mountplan.applier.run.rehearsed_process import ACTION, PROGRAM, REFUSED, TABLE, TYPES, first_process, receive, send
from mountplan.applier.sys import syscalls
from mountplan.applier.sys.refusal import KernelRefusal, function_at, refused
from mountplan.planner.commands.actions import FIRST_PID, Action, BindNamespaceFile, End, Enter, Fork
from mountplan.planner.errors import NamespaceRefused
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountTable

_WHAT = "the throw-away namespace for the comparison"
_PID = re.compile(r"(?<![0-9])[0-9]{7}(?![0-9])")


class ProgramResult(NamedTuple):
    """How a program has ended, and what it wrote to standard error."""

    status: int
    told: str


def refused_types(types: Iterable[str]) -> dict[str, KernelRefusal]:
    """Those of the filesystem types that cannot be mounted there: they are the machine's, or unknown.

    Raises NamespaceRefused if no throw-away namespace can be made here.
    """
    with Rehearsal() as troupe:
        told = troupe.ask(1, TYPES, tuple(types))
    return {fstype: KernelRefusal(number, call) for fstype, number, call in told}


class _Link(NamedTuple):
    """What there is of a process on this side; `ended` is a pidfd, and `pid` is as /proc has it."""

    connection: socket.socket
    ended: int
    pid: int


class Rehearsal:
    """The processes of a script, from this side. At the end of the `with` all of them have ended.

    Numbered as in the script; the first is 1. With `programs` they can run those.
    """

    def __init__(self, programs: Programs | None = None) -> None:
        self.programs = programs
        self.links: dict[int, _Link] = {}
        self.child = 0

    def __enter__(self) -> Rehearsal:
        try:
            ours, theirs = socket.socketpair()
            self.child = syscalls.fork()
        except OSError as error:
            raise refused(_WHAT, error, "isolate") from None
        if self.child == 0:
            try:
                ours.close()
                first_process(theirs, self.programs)
            finally:
                os._exit(1)
        theirs.close()
        try:
            self._welcome(1, ours)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for link in self.links.values():
            link.connection.close()  # the process reads the end of it, and ends
        for link in self.links.values():
            _wait(link.ended)
        os.waitpid(self.child, 0)

    def act(self, number: int, action: Action) -> int:
        """Have a process make one call; the errno."""
        other = self.links[action.other].pid if isinstance(action, Enter | BindNamespaceFile) else 0
        request = ACTION, other, type(action).__name__, _plain(action)
        if isinstance(action, Fork):
            try:
                ours, theirs = socket.socketpair()
            except OSError as error:
                raise refused(f"{_WHAT}: no further process", error, "isolate") from None
            with theirs:
                result = int(self.ask(number, *request, pass_on=theirs.fileno()))
            if result:
                ours.close()
                raise _refused(f"no further process: {os.strerror(result)}")
            self._welcome(action.child, ours)
            return 0
        result = int(self.ask(number, *request))
        if isinstance(action, End):
            link = self.links.pop(number)
            link.connection.close()
            _wait(link.ended)  # what it has as root or as directory is in use until then
        return result

    def run(self, number: int, words: tuple[str, ...]) -> ProgramResult | None:
        """Have a process run a program; None if it cannot be run where the process is."""
        found = self.ask(number, PROGRAM, tuple(_PID.sub(self._real_pid, word) for word in words))
        return ProgramResult(*found) if found else None

    def _real_pid(self, match: re.Match[str]) -> str:
        link = self.links.get(int(match[0]) - FIRST_PID)
        return str(link.pid) if link is not None else match[0]

    def table(self, number: int) -> MountTable:
        return parse_mountinfo(self.text(number))

    def text(self, number: int) -> bytes:
        """What a process reads from /proc/self/mountinfo."""
        found: bytes = self.ask(number, TABLE)
        return found

    def ask(self, number: int, *request: Any, pass_on: int = -1) -> Any:
        connection = self.links[number].connection
        try:
            send(connection, request, pass_on)
            answer = receive(connection)[0]
        except (EOFError, ConnectionError):
            raise _refused("a process of the script has died") from None
        if isinstance(answer, tuple) and answer[:1] == (REFUSED,):
            raise _told(answer)
        return answer

    def _welcome(self, number: int, connection: socket.socket) -> None:
        """Hear from a new process. Raises NamespaceRefused with its reason if it could not begin."""
        try:
            (pid, refusal), ended = receive(connection)
        except EOFError:
            connection.close()
            raise _refused("the process that was to make it has died") from None
        if not pid:
            connection.close()
            raise _told(refusal)
        self.links[number] = _Link(connection, ended, pid)


def _wait(pidfd: int) -> None:
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    ended.poll()
    os.close(pidfd)


def _refused(why: str) -> NamespaceRefused:
    remedy = "allow user namespaces (`mountplan doctor` tells what is in the way), or compare on another machine"
    return NamespaceRefused(_WHAT, why, remedy)


def _told(refusal: tuple[Any, ...]) -> NamespaceRefused:
    _, number, call, place = refusal
    names = function_at(place) if place else "", call
    return refused(_WHAT, KernelRefusal(number, " ".join(filter(None, names))), "isolate")


def _plain(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tuples of marshal's own types: named ones lose their name."""
    return tuple(_plain(one) if isinstance(one, tuple) else one for one in value)
