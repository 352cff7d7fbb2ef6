"""The last stretch: a process whose root and namespaces are the command's already turns into the command."""

from __future__ import annotations

import errno
import os
import stat

from mountplan.applier.process.capabilities import keep_capabilities
from mountplan.applier.process.trampoline import Attempt, Failure, File, Script
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.plain_signal import signal
from mountplan.applier.sys.refusal import OF_THE_SYSTEM, KernelRefusal, call_of, explain
from mountplan.planner.errors import CommandNotStarted
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

# Records are made by _make() here, which spares the compilation of a constructor: 0.1 to 0.4 ms a class.

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # what shells exit with
_GO_ON = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT)  # as execvp(3) does
# What execve(2) may answer once it has found the path: by itself, or by a filesystem that others provide.
_ANSWERS = (
    *_GO_ON,
    errno.E2BIG, errno.EAGAIN, errno.EBADMSG, errno.EFAULT, errno.EINTR, errno.EINVAL, errno.EIO, errno.EISDIR,
    errno.ELIBBAD, errno.ELOOP, errno.EMFILE, errno.ENAMETOOLONG, errno.ENFILE, errno.ENOEXEC, errno.ENOKEY,
    errno.ENOMEM, errno.ENOSYS, errno.ENOTCONN, errno.ENXIO, errno.EOPNOTSUPP, errno.EOVERFLOW, errno.EPERM,
    errno.EREMOTEIO, errno.ETXTBSY, errno.EUCLEAN,
)  # fmt: skip
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


class Found(NamedTuple):
    """A path that may be executed, as it is inside: its mode (0 if nothing is there), whether it is on a noexec mount,
    and the errno that is known already: of the walk to it, or of a directory.
    """

    path: str
    mode: int
    noexec: bool
    number: int


def in_words(error: CommandNotStarted) -> bytes:
    """What is written to standard error, unless another reporter is given."""
    return f"mountplan: {error}\n".encode(errors="backslashreplace")


class Report(NamedTuple):
    """Where it is told why a command does not run, if only its execution shows that.

    By then no Python is left in the process, so all that could come is put into bytes beforehand: for what was found,
    and an errno (0 for those that execve(2) does not have).
    """

    fd: int
    text: Callable[[Found, int], bytes]


def to_stderr(text: Callable[[CommandNotStarted], bytes] = in_words) -> Report:
    """The report of a process that is not waited for."""
    return Report._make((2, lambda found, number: text(refusal(found, number))))


STDERR = to_stderr()


def become(start: Start, inherited: Inherited | None = None, report: Report = STDERR) -> NoReturn:
    """Turn into the command. Raises CommandNotStarted; by then the process has changed for good.

    What the kernel refuses only when it executes what was found is told to `report`; the process then ends.
    Descriptors other than 0, 1 and 2 are closed by exec itself, so that a refusal can still be told through one.
    """
    try:
        file = File()  # before any capability is given up
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
        syscall = call_of(error) or "a system call"
        meaning, remedy = explain("", error.errno or 0, syscall)
        raise CommandNotStarted(f"cannot prepare {start.command[0]!r}: {syscall}: {meaning}", remedy) from None
    execute(file, start.command, start.environment, report)


def _change_directory(start: Start) -> None:
    try:
        os.chdir(start.cwd)
    except OSError as error:
        if error.errno in OF_THE_SYSTEM:
            raise KernelRefusal(error.errno or 0, "chdir") from None
        what = f"cannot start in directory {start.cwd!r}: {error.strerror} (inside the new root)"
        raise CommandNotStarted(what, "mount or create it in the spec, or correct run.cwd") from None


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


def execute(file: File, command: tuple[str, ...], environment: dict[str, str], report: Report) -> NoReturn:
    """Execute a command, found as by execvp(3), by way of the trampoline. Raises CommandNotStarted if there is none."""
    name = command[0]
    try:
        candidates, noted = _find(name, environment)
    except ValueError as error:
        raise _not_an_argument(name, error) from None
    single = "/" in name
    first = candidates[0].path
    itself = CommandNotStarted(
        f"cannot run {name!r}: it, or its interpreter or loader, is /proc/self/exe", "name a program of the new root"
    )
    attempts = [_attempt(one, report, single=single) for one in candidates]
    script = Script._make((attempts, _failure(noted, noted.number, report) if noted else None, in_words(itself)))
    try:
        file.execute(script, command, environment, report.fd)
    except OSError as error:
        number = error.errno or errno.EINVAL
        if number in (errno.E2BIG, errno.ENOMEM, errno.EAGAIN):  # of the arguments, or the process
            raise refusal(candidates[0], number) from None
        what = f"cannot run {first!r}: the file in memory that is to start it cannot be executed"
        call = call_of(error)
        meaning, remedy = explain("", number, call)
        what += f": {call}" if call else ""
        if number in (errno.EACCES, errno.EPERM) and call in ("", "execveat"):
            remedy = "a security module (SELinux, fapolicyd) may be in the way: allow mountplan to execute a memfd"
        raise CommandNotStarted(f"{what}: {meaning}", remedy) from None
    except ValueError as error:
        raise _not_an_argument(first, error) from None


def _not_an_argument(path: str, error: ValueError) -> CommandNotStarted:
    return CommandNotStarted(f"cannot run {path!r}: {error} in an argument or the environment")


def _find(name: str, environment: dict[str, str]) -> tuple[list[Found], Found | None]:
    """What is worth an attempt, in this order; and what is to be told if all come to nothing, None for what the first
    comes to. Raises CommandNotStarted if nothing is.
    """
    if "/" in name:
        only, _ = _look(name)
        if only.number:
            raise refusal(only, only.number)
        return [only], None
    path = environment.get("PATH", os.defpath)
    candidates: list[Found] = []
    noted: Found | None = None  # the first that exists but cannot be run; a later one may do
    seen: set[tuple[int, int, bool]] = set()
    for directory in path.split(os.pathsep):
        one, identity = _look(os.path.join(directory or ".", name))
        if not one.number:
            if identity not in seen:  # not /bin/sh after /usr/bin/sh, if they are the same: the answer would be, too
                seen.add(identity)
                candidates.append(one)
        elif one.number not in _GO_ON:
            if not candidates:
                raise refusal(one, one.number)
            candidates.append(one)  # here the search ends, if it comes here
            break
        elif noted is None and not candidates and not stat.S_ISDIR(one.mode) and os.path.lexists(one.path):
            noted = one
    if candidates:
        return candidates, noted
    if noted:
        raise refusal(noted, noted.number)
    what = f"cannot run {name!r}: no such program inside the new root (looked for in PATH={path!r})"
    remedy = "bind the directory that holds it, or correct PATH in run.environment"
    raise CommandNotStarted(what, remedy, NOT_FOUND, errno.ENOENT)


def _look(path: str) -> tuple[Found, tuple[int, int, bool]]:
    """What is at a path, and what makes it the same as what is at another. A directory has the errno of its exec."""
    try:
        status = os.stat(path)
        noexec = bool(os.statvfs(path).f_flag & os.ST_NOEXEC)
    except OSError as error:
        return Found._make((path, 0, False, error.errno or errno.EINVAL)), (0, 0, False)
    number = errno.EACCES if stat.S_ISDIR(status.st_mode) else 0
    return Found._make((path, status.st_mode, noexec, number)), (status.st_dev, status.st_ino, noexec)


def _attempt(found: Found, report: Report, *, single: bool) -> Attempt:
    final = {number: single or number not in _GO_ON for number in (0, *_ANSWERS)}
    failures = {number: _failure(found, number, report, final=last) for number, last in final.items()}
    return Attempt._make((os.fsencode(found.path), failures))


def _failure(found: Found, number: int, report: Report, *, final: bool = True) -> Failure:
    return Failure._make((report.text(found, number), _status(found, number), final))


def _status(found: Found, number: int) -> int:
    return NOT_FOUND if number in (errno.ENOENT, errno.ENOTDIR) and not found.mode else NOT_EXECUTABLE


def refusal(found: Found, number: int) -> CommandNotStarted:
    """What it means that `found` could not be executed: the kernel answered with `number`."""
    (what, remedy), mode = explain("", number, "execve"), found.mode
    if number == 0:
        what = "the kernel refuses it, with an error that execve(2) does not have"
        remedy = "look at the filesystem that it is on"
    elif number in (errno.ENOENT, errno.ENOTDIR) and mode:
        what = "it is there, but its interpreter or dynamic loader is not (inside the new root)"
        remedy = "bind that too: file(1) names it, and so does the script's first line"
    elif number in (errno.ENOENT, errno.ENOTDIR):
        what = "no such program inside the new root"
        if os.path.islink(found.path):
            what += f" (it is a symlink to {os.readlink(found.path)!r})"
        remedy = "bind the directory that holds it"
    elif number == errno.EACCES and stat.S_ISDIR(mode):
        what = "it is a directory (inside the new root)"
    elif number == errno.EACCES and mode & 0o111 and found.noexec:
        what, remedy = "it is on a noexec mount (inside the new root)", "leave out noexec"
    elif number == errno.EACCES:
        what = "it is not executable (inside the new root)"
    elif number == errno.ENOEXEC:
        what = "it is neither a program for this machine nor a script that begins with #!"
    return CommandNotStarted(f"cannot run {found.path!r}: {what}", remedy, _status(found, number), number)
