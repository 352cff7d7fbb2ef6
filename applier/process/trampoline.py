"""The last exec of a command goes through a trampoline: a program of a few hundred bytes, in a file made for it alone.

Until execve(2) has succeeded, /proc/self/exe of the process that calls it is the program that it still runs, and what
is executed may lead there: a symlink, the interpreter of a script, the PT_INTERP of an ELF file. If Python made that
call, the host's interpreter would run inside, and root inside could keep a descriptor of it and write to it one day. So
Python executes the trampoline, with the arguments and the environment of the command, and that makes the call. All that
it may do is settled here: which paths to try, and for each errno what to tell and how to end.

The file is in memory only: a sealed memfd or, where sysctl vm.memfd_noexec forbids that, one on a tmpfs of its own,
which is mounted nowhere and read-only. assembler/x86_64.s tells how the machine code reads what is put behind it here.
"""

from __future__ import annotations

import _struct as struct
import errno
import fcntl
import os
import sys

from mountplan.applier.process.machinecode import IMAGES, SIZE
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.plain_signal import signal
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn, TypeVar

    _Made = TypeVar("_Made")

# os.uname().machine -> whose machine code; and what a 64-bit Python is on that is told of a 32-bit machine (setarch).
_CODE = {"i686": "i386", "armv7l": "arm", "armv8l": "arm"}
_WIDER = {"i386": "x86_64", "arm": "aarch64"}
_ERRNOS = 256
_WATCH = 3  # what a process of a Sleeper waits for
_SLEEPER = (
    b"mountplan: cannot run it: its interpreter or loader is the process that mountplan keeps (/proc/1/exe)\n"
    b"  remedy: name a program of the new root\n"
)
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Failure(NamedTuple):
    """What the trampoline does when it cannot execute a path: what it tells, how it ends, and whether it does so now
    or tries the next path first.
    """

    text: bytes
    status: int
    final: bool


class Attempt(NamedTuple):
    """A path to execute, and what follows for each errno; 0 stands for all that are not named."""

    path: bytes
    failures: Mapping[int, Failure]


class Script(NamedTuple):
    """All that the trampoline may do; without attempts, that is to wait until its report descriptor can be read. If no
    failure is final, it tells `noted`, or else the first one.

    `itself` is written to standard error if the command turns out to be the trampoline.
    """

    attempts: Sequence[Attempt]
    noted: Failure | None
    itself: bytes


def code_for(machine: str) -> str:
    """Which of IMAGES serves a machine, by its name as uname(2) gives it."""
    name = _CODE.get(machine, machine)
    return _WIDER.get(name, name) if sys.maxsize > 1 << 32 else name


def image(machine: str, script: Script, report: int) -> bytes:
    """The ELF file that carries `script` out. `report` is the descriptor that it tells failures to."""
    code = bytes.fromhex(IMAGES[machine]).ljust(SIZE, b"\0")
    wide, order = code[4] == 2, "<" if code[5] == 1 else ">"
    words = struct.Struct(f"{order}3I")
    parts, end = [code, b""], SIZE + 20  # the words in the second place come last

    def add(data: bytes) -> int:
        """Append it, padded to a word; its offset."""
        nonlocal end
        offset = end
        data += bytes(-len(data) % 4)
        parts.append(data)
        end += len(data)
        return offset

    def add_failure(failure: Failure) -> int:
        return add(words.pack(failure.final, failure.status, len(failure.text)) + failure.text)

    following = 0
    for attempt in reversed(script.attempts):
        offsets = [add_failure(attempt.failures[0])] * _ERRNOS
        for number, failure in attempt.failures.items():
            if number:
                offsets[number] = add_failure(failure)
        path = add(attempt.path + b"\0")
        following = add(struct.pack(f"{order}{2 + _ERRNOS}I", path, following, *offsets))
    noted = add_failure(script.noted) if script.noted else 0
    itself = add(script.itself)
    parts[1] = struct.pack(f"{order}5I", report, following, noted, itself, len(script.itself))
    data = bytearray(b"".join(parts))
    # p_filesz and p_memsz of the first program header
    struct.pack_into(f"{order}2Q" if wide else f"{order}2I", data, 96 if wide else 68, end, end)
    return bytes(data)


class File:
    """A file that is to be executed once, and what is written to it last. Make it while there are all capabilities."""

    def __init__(self) -> None:
        """Raises OSError if there can be none."""
        self._mount = -1
        try:
            self._fd = _memfd()
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.ENOSYS, errno.EINVAL):
                raise
            self._mount = new_tmpfs()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._fd = os.open("command", flags, 0o555, dir_fd=self._mount)
            os.fchmod(self._fd, 0o555)  # whatever the umask is

    def execute(
        self, script: Script, arguments: tuple[str, ...], environment: Mapping[str, str], report: int
    ) -> NoReturn:
        """Turn into the trampoline, whose `report` goes to a copy of that descriptor. Raises OSError.

        A ValueError tells of an argument that no process can be given.
        """
        with closing_fd(_copy(report)) as copy:
            self._execute(script, arguments, environment, copy)

    def wait(self, title: str, watch: int, held: Sequence[int]) -> NoReturn:
        """Turn into a process that does nothing until `watch` can be read, and then ends. Raises OSError.

        It has nothing but these descriptors.
        """
        for fd in held:
            os.set_inheritable(fd, True)
        self._execute(Script._make(((), None, _SLEEPER)), (title,), {}, watch)

    def _execute(
        self, script: Script, arguments: tuple[str, ...], environment: Mapping[str, str], report: int
    ) -> NoReturn:
        with closing_fd(self._close(image(code_for(os.uname().machine), script, report))) as executable:
            _named("ioctl", os.set_inheritable, report, True)
            _named("execveat", os.execve, executable, arguments, environment)
        raise AssertionError("execve returns only to raise")

    def _close(self, data: bytes) -> int:
        """Write it, and make it unwritable for all; a descriptor for execution only."""
        at_limit = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # else `ulimit -f 0` ends it as if it were the command
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
        finally:
            signal.signal(signal.SIGXFSZ, at_limit)
        if self._mount < 0:
            _named("fcntl", fcntl.fcntl, self._fd, fcntl.F_ADD_SEALS, _SEALS)
        # Not by way of /proc, which need not be there. What is open for writing is not executed (ETXTBSY).
        found = syscalls.open_tree(self._fd, b"", abi.AT_EMPTY_PATH | abi.OPEN_TREE_CLOEXEC)
        os.close(self._fd)
        self._fd = -1
        if self._mount >= 0:
            syscalls.mount_setattr(self._mount, 0, syscalls.mount_attr(set=abi.MS_RDONLY))
            os.close(self._mount)
            self._mount = -1
        return found


class Sleeper:
    """Starts processes that do nothing until a descriptor can be read: see File.wait().

    The program is in a file on a tmpfs of its own, `directory`, which is mounted nowhere, so it needs no path.
    """

    def __init__(self, title: str) -> None:
        """Raises OSError, and KeyError on a machine without a trampoline."""
        self._title = title
        self.directory = new_tmpfs()
        data = image(code_for(os.uname().machine), Script._make(((), None, b"")), _WATCH)
        fd = os.open("sleeper", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o555, dir_fd=self.directory)
        with open(fd, "wb") as file:
            file.write(data)
        syscalls.mount_setattr(self.directory, 0, syscalls.mount_attr(set=abi.MS_RDONLY))

    def start(self, watch: int, held: Sequence[int]) -> tuple[int, list[int]]:
        """The pid of one that waits for `watch`, and the numbers under which it has the descriptors of `held`.

        It has the namespaces and the root of the caller, whose working directory is another one afterwards.
        """
        os.fchdir(self.directory)
        numbers = list(range(_WATCH, _WATCH + 1 + len(held)))
        above = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, numbers[-1] + 1) for fd in (watch, *held)]
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for fd, number in zip(above, numbers, strict=True)]
        try:
            return os.posix_spawn("sleeper", [self._title], {}, file_actions=actions), numbers[1:]
        finally:
            for fd in above:
                os.close(fd)


def _copy(report: int) -> int:
    """A descriptor beyond those of the command; the trampoline takes one that is open as the sign that we start it."""
    try:
        return _named("fcntl", fcntl.fcntl, report, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)  # standard error is closed: one that nothing can be written to
    with closing_fd(root):
        return fcntl.fcntl(root, fcntl.F_DUPFD_CLOEXEC, 3)


def _memfd() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return _named("memfd_create", os.memfd_create, "command", flags | abi.MFD_EXEC)
    except KernelRefusal as refusal:
        if refusal.errno != errno.EINVAL:
            raise
    return _named("memfd_create", os.memfd_create, "command", flags)  # before Linux 6.3, all can be executed


def _named(call: str, make: Callable[..., _Made], *arguments: object) -> _Made:
    """What `make` returns. Raises KernelRefusal with the name of the call: no source can be read here to find it."""
    try:
        return make(*arguments)
    except OSError as error:
        raise KernelRefusal(error.errno or 0, call) from None


def new_tmpfs() -> int:
    with closing_fd(syscalls.fsopen(b"tmpfs")) as context:
        syscalls.fsconfig(context, abi.FSCONFIG_CMD_CREATE, None, None, 0)
        return syscalls.fsmount(context, abi.MOUNT_ATTR_NOSUID | abi.MOUNT_ATTR_NODEV)
