"""The last stretch: a process whose root and namespaces are the command's already turns into the command."""

from __future__ import annotations

import errno
import os
import signal
import stat
from typing import NoReturn

from mountplan.applier import abi, syscalls
from mountplan.applier.capabilities import keep_capabilities
from mountplan.applier.refusal import call_of, explain
from mountplan.planner.errors import CommandNotStarted
from mountplan.planner.record import NamedTuple

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # what shells exit with
_GO_ON = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT)  # as execvp(3) does
_RESET_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # which Python ignores from its start on


class Start(NamedTuple):
    """What to start and how: plain values, which marshal can carry. `environment` is all of it."""

    command: tuple[str, ...]
    environment: dict[str, str]
    cwd: str
    hostname: str
    capabilities: tuple[str, ...] | None
    no_new_privs: bool


class Inherited(NamedTuple):
    """What a process had from its parent, and changed; the command shall have it as it was."""

    umask: int
    mask: frozenset[int]
    ignored: frozenset[int]

    @classmethod
    def take(cls, ignored_before: frozenset[int]) -> Inherited:
        """As it is now. Sets the umask to 0, as building wants it anyway."""
        mask = frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        ignored = frozenset(
            number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN
        ).difference(_RESET_BY_PYTHON)
        return cls(os.umask(0), mask, ignored | ignored_before)


def become(start: Start, inherited: Inherited | None = None) -> NoReturn:
    """Turn into the command. Raises CommandNotStarted; by then the process has changed for good.

    Descriptors other than 0, 1 and 2 are closed by exec itself, so that a refusal can still be told through one.
    """
    try:
        if start.hostname:
            syscalls.sethostname(os.fsencode(start.hostname))
        _change_directory(start)
        if start.no_new_privs:
            syscalls.prctl(abi.PR_SET_NO_NEW_PRIVS, 1)
        if start.capabilities is not None:
            keep_capabilities(start.capabilities)
        syscalls.close_range(3, abi.LAST_FD, abi.CLOSE_RANGE_CLOEXEC)
        _restore_signals(inherited)
    except OSError as error:
        meaning, remedy = explain("", error.errno or 0)
        syscall = call_of(error) or "a system call"
        raise CommandNotStarted(f"cannot prepare {start.command[0]!r}: {syscall}: {meaning}", remedy) from None
    _execute(start)


def _change_directory(start: Start) -> None:
    try:
        os.chdir(start.cwd)
    except OSError as error:
        raise CommandNotStarted(
            f"cannot start in directory {start.cwd!r}: {error.strerror} (inside the new root)",
            "mount or create it in the spec, or correct run.cwd",
        ) from None


def _restore_signals(inherited: Inherited | None) -> None:
    """Nothing handled or ignored that the command should not inherit; then let what waits come through."""
    ignored = inherited.ignored if inherited else frozenset()
    for number in signal.valid_signals():
        action = signal.getsignal(number)
        if number in ignored:
            signal.signal(number, signal.SIG_IGN)
        elif callable(action) or number in _RESET_BY_PYTHON or (inherited and action is signal.SIG_IGN):
            signal.signal(number, signal.SIG_DFL)
    if inherited:
        os.umask(inherited.umask)
        signal.pthread_sigmask(signal.SIG_SETMASK, inherited.mask)


def _execute(start: Start) -> NoReturn:
    name = start.command[0]
    if "/" in name:
        _refuse(name, _try(name, start))
    path = start.environment.get("PATH", os.defpath)
    there: tuple[str, int] | None = None  # the first that exists but cannot be run; a later one may do
    for directory in path.split(os.pathsep):
        candidate = os.path.join(directory or ".", name)
        number = _try(candidate, start)
        if number not in _GO_ON:
            _refuse(candidate, number)
        if there is None and os.path.lexists(candidate) and not os.path.isdir(candidate):
            there = candidate, number
    if there is not None:
        _refuse(*there)
    raise CommandNotStarted(
        f"cannot run {name!r}: no such program inside the new root (looked for in PATH={path!r})",
        "bind the directory that holds it, or correct PATH in run.environment",
        NOT_FOUND,
    )


def _try(path: str, start: Start) -> int:
    """The errno of an attempt that failed; one that succeeds does not return."""
    try:
        os.execve(path, start.command, start.environment)
    except OSError as error:
        return error.errno or errno.EINVAL
    except ValueError as error:
        raise CommandNotStarted(f"cannot run {path!r}: {error} in an argument or the environment") from None


def _refuse(path: str, number: int) -> NoReturn:
    """Raise what an exec of `path` that failed with `number` means."""
    (what, remedy), status = explain("", number), NOT_EXECUTABLE
    try:
        mode = os.stat(path).st_mode
    except OSError:
        mode = 0
    if number in (errno.ENOENT, errno.ENOTDIR) and mode:
        what = "it is there, but its interpreter or dynamic loader is not (inside the new root)"
        remedy = "bind that too: file(1) names it, and so does the script's first line"
    elif number in (errno.ENOENT, errno.ENOTDIR):
        what, status = "no such program inside the new root", NOT_FOUND
        if os.path.islink(path):
            what += f" (it is a symlink to {os.readlink(path)!r})"
        remedy = "bind the directory that holds it"
    elif number == errno.EACCES and stat.S_ISDIR(mode):
        what = "it is a directory (inside the new root)"
    elif number == errno.EACCES and mode & 0o111 and os.statvfs(path).f_flag & os.ST_NOEXEC:
        what, remedy = "it is on a noexec mount (inside the new root)", "leave out noexec"
    elif number == errno.EACCES:
        what = "it is not executable (inside the new root)"
    elif number == errno.ENOEXEC:
        what = "it is neither a program for this machine nor a script that begins with #!"
    raise CommandNotStarted(f"cannot run {path!r}: {what}", remedy, status)
