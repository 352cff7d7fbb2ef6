"""Functions called, and commands started, in the namespaces of a tree, in a child process; and what comes back."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from mountplan.applier.keep.attached import NamespaceEntry
from mountplan.applier.process.command import Found, Report, execute
from mountplan.applier.process.trampoline import File
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.channel import pipe
from mountplan.planner.errors import CommandNotStarted
from mountplan.planner.record import NamedTuple

Result = TypeVar("Result")


class RemoteTraceback(Exception):
    """The traceback of an exception that a function raised inside a tree: the cause of what `call` raises."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0])


class Person(NamedTuple):
    """The ids that a command gets."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def person_of(user: str | int | None) -> Person | None:
    """Looked up out here, as subprocess does it: inside there may be no /etc/passwd."""
    if user is None:
        return None
    import pwd

    try:
        found = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        if isinstance(user, str):
            raise ValueError(f"there is no user {user!r}") from None
        return Person(user, user, ())
    return Person(found.pw_uid, found.pw_gid, tuple(os.getgrouplist(found.pw_name, found.pw_gid)))


def called(enter: NamespaceEntry, function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    __tracebackhide__ = True
    answer, say = pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        child = syscalls.fork()
    except BaseException:
        for fd in (answer, say):
            os.close(fd)
        enter.close()
        raise
    if child == 0:
        try:
            os.close(answer)
            payload = _outcome(enter, function, arguments)
            with os.fdopen(say, "wb") as file:
                file.write(payload)
        finally:
            os._exit(0)
    os.close(say)
    enter.close()
    try:
        with os.fdopen(answer, "rb") as file:
            payload = file.read()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _, status = os.waitpid(child, 0)
    if not payload:
        raise RuntimeError(f"the process in which {function} was called ended without a word (status {status})")
    good, value, trace = pickle.loads(payload)
    if good:
        return value  # type: ignore[no-any-return]
    raise value from RemoteTraceback(trace)


def become(
    enter: NamespaceEntry, cwd: str, person: Person | None, command: tuple[str, ...], environment: dict[str, str],
    report: Report,
) -> None:  # fmt: skip
    """In the child of subprocess: enter and turn into `command`, as that would do."""
    path = ""
    try:
        enter.enter()
        path = cwd
        os.chdir(cwd)
        path = ""
        file = File()
        syscalls.close_range(3, abi.LAST_FD, abi.CLOSE_RANGE_CLOEXEC)
        if person is not None:
            path = f"user {person.uid}: a user namespace has only the ids that are mapped into it"
            os.setgroups(person.groups)
            os.setresgid(person.gid, person.gid, person.gid)
            os.setresuid(person.uid, person.uid, person.uid)
            path = ""
        execute(file, command, environment, report)
    except CommandNotStarted as error:
        _say(report, error.number, error.what, error.remedy, "")
        os._exit(error.exit_status)
    except OSError as error:
        _say(report, error.errno or 1, "", "", path)
        os._exit(3)


def _say(report: Report, number: int, what: str, remedy: str, path: str) -> None:
    os.write(report.fd, f"{number}\0{what}\0{remedy}\0{path}".encode("utf-8", "surrogateescape"))


def number_told(_: Found, number: int) -> bytes:
    return b"%d\0the kernel refuses the command\0\0" % number


def refused(text: bytes, program: str) -> OSError | CommandNotStarted:
    """What subprocess would raise for the program, or what else has gone wrong."""
    number, what, remedy, path = text.decode("utf-8", "surrogateescape").split("\0")
    if int(number):
        where = " in the tree" if int(number) == errno.ENOENT else ""
        return OSError(int(number), f"{os.strerror(int(number))}{where}", path or program)
    return CommandNotStarted(what, remedy)


def mountinfo_inside(proc: int) -> bytes:
    fd = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    with open(fd, "rb") as file:
        return file.read()


def _outcome(enter: NamespaceEntry, function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    try:
        syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
        enter.enter()
        return pickle.dumps((True, function(*arguments), ""))
    except BaseException as error:
        trace = _trace_inside(error)
        try:
            return pickle.dumps((False, error, trace))
        except Exception:  # an exception that cannot be pickled still tells what it is
            return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}"), trace))


def _trace_inside(error: BaseException) -> str:
    """The traceback from the called function on: how it was called there is nothing to read."""
    own = error.__traceback__
    shown = own.tb_next if own is not None else None
    return "".join(traceback.format_exception(type(error), error, shown))
