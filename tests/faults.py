"""Faults on demand, by the kernel itself: a process whose system calls are counted, and any one of them fails or kills.

A seccomp filter hands each call of a forked child, and of all its children, to a supervisor (seccomp_unotify(2)). That
one lets it go on, or answers it with an errno, or kills the caller or the child with SIGKILL at this very call. Nothing
in the code under test knows of it. Once a process has turned into another program, its calls are its own business.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pickle
import platform
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, NamedTuple, NoReturn

from tests.hosts import prctl

Victim = Literal["caller", "main"]

# The calls that the kernel may refuse and that mountplan makes, by their numbers on x86-64.
CALLS = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "ioctl": 16, "pread64": 17, "dup": 32, "dup2": 33,
    "socket": 41, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "wait4": 61, "kill": 62, "fcntl": 72, "flock": 73,
    "getcwd": 79, "chdir": 80, "fchdir": 81, "rename": 82, "mkdir": 83, "rmdir": 84, "unlink": 87, "symlink": 88,
    "readlink": 89, "fchmod": 91, "fchown": 93, "setsid": 112, "capget": 125, "capset": 126, "mknod": 133,
    "pivot_root": 155, "prctl": 157, "chroot": 161, "mount": 165, "umount2": 166, "sethostname": 170,
    "sched_setaffinity": 203, "sched_getaffinity": 204, "getdents64": 217, "waitid": 247, "openat": 257, "mkdirat": 258,
    "mknodat": 259, "fchownat": 260, "newfstatat": 262, "unlinkat": 263, "renameat": 264, "symlinkat": 266,
    "readlinkat": 267, "fchmodat": 268, "unshare": 272, "signalfd4": 289, "dup3": 292, "pipe2": 293, "setns": 308,
    "renameat2": 316, "memfd_create": 319, "statx": 332, "pidfd_send_signal": 424, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "clone3": 435, "close_range": 436,
    "openat2": 437, "mount_setattr": 442, "statmount": 457, "listmount": 458,
}  # fmt: skip
_NAMES = {number: name for name, number in CALLS.items()}

_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER = 317, 1, 8
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_CONTINUE = 1
_USER_NOTIF, _ALLOW = 0x7FC00000, 0x7FFF0000
_SUBREAPER, _NO_NEW_PRIVS = 36, 38  # PR_SET_*

_libc = ctypes.CDLL(None, use_errno=True)


class Call(NamedTuple):
    """One system call that was made; `step` is what the caller has marked last, -1 if nothing."""

    process: int  # 0 for the one that was started, its children as they come
    number: int  # among the calls of that process, from 0: what others do meanwhile changes nothing about it
    name: str
    step: int


class Fault(NamedTuple):
    """What happens at a call: the caller or the started process ("main") is killed, or the call fails."""

    at: Call | None = None
    kill: Victim | Literal[""] = ""
    errno: int = 0


class Result(NamedTuple):
    """How the started process ended: an exit status, or -n if signal n ended it; what it wrote; all that was called.

    `met` tells whether the call of the fault was made.
    """

    status: int
    out: str
    err: str
    calls: tuple[Call, ...]
    met: bool


class Experiment:
    """A process with a fault. `result` is how it ended; wait() is for what it may have left alive."""

    def __init__(self, action: Callable[[], int], fault: Fault) -> None:
        hear, tell = os.pipe()
        self._supervisor = os.fork()
        if self._supervisor == 0:
            os.close(hear)
            _supervise(action, fault, tell)
        os.close(tell)
        with open(hear, "rb") as file:
            data = file.read()
        if not data:
            os.waitpid(self._supervisor, 0)
            raise AssertionError("the supervisor has failed")
        self.result: Result = pickle.loads(data)

    def wait(self, seconds: float = 10.0) -> None:
        """Until no process is left of it; AssertionError if there is one after `seconds`."""
        pidfd = os.pidfd_open(self._supervisor)
        try:
            ended = bool(select.select([pidfd], [], [], seconds)[0])
        finally:
            os.close(pidfd)
        if not ended:
            os.kill(self._supervisor, signal.SIGKILL)
        os.waitpid(self._supervisor, 0)
        assert ended, f"a process is left after {seconds:g} seconds; it ended as {self.result}"


def mark(step: int) -> None:
    """Tell the supervisor to which step the calls belong that are made from now on: close(2) of no descriptor."""
    with suppress(OSError):
        os.close(-2 - step)


def missing() -> str:
    """Why such faults cannot be had here; "" if they can."""
    return "" if platform.machine() == "x86_64" else "its numbers of system calls are those of x86-64"


def _supervise(action: Callable[[], int], fault: Fault, tell: int) -> NoReturn:
    """The supervisor's whole life: it ends when nobody is left whose calls it is told of."""
    status = 1
    try:
        prctl(_SUBREAPER, 1)
        ours, theirs = socket.socketpair()
        files = [os.memfd_create(name) for name in ("out", "err")]
        child = os.fork()
        if child == 0:
            os.close(tell)
            ours.close()
            _work(action, theirs, files)
        theirs.close()
        _, (listener,), _, _ = socket.recv_fds(ours, 1, 1)
        supervisor = _Supervisor(listener, child, fault)
        supervisor.serve(lambda wait_status: _report(tell, wait_status, supervisor, files))
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _work(action: Callable[[], int], supervisor: socket.socket, files: list[int]) -> NoReturn:
    status = 99
    try:
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        for fd in files:
            os.close(fd)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")  # pytest's own would not write there
        listener = _install()
        socket.send_fds(supervisor, [b"l"], [listener])
        supervisor.close()
        os.close(listener)
        mark(-1)  # from here on calls count
        status = action()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _install() -> int:
    """A filter for this process and its children; the descriptor on which its calls are told."""
    numbers = sorted(CALLS.values())
    prctl(_NO_NEW_PRIVS, 1)  # or an ordinary user may have no filter
    program = [(0x20, 0, 0, 0)]  # load the call's number
    program += [(0x15, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    program += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _USER_NOTIF)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    prog = struct.pack("@HP", len(program), ctypes.addressof(code))
    fd = int(
        _libc.syscall(
            ctypes.c_long(_SECCOMP),
            ctypes.c_ulong(_SET_MODE_FILTER),
            ctypes.c_ulong(_NEW_LISTENER),
            ctypes.c_char_p(prog),
        )
    )
    if fd < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return fd


class _Supervisor:
    """Answers the calls of `main` and its children. They count from the first mark on; marks do not."""

    def __init__(self, listener: int, main: int, fault: Fault) -> None:
        self._listener = listener
        self._main = main
        self._fault = fault
        self._begun = False
        self._step = -1
        self._has_steps = False  # has any step been marked?
        self._foreign: set[int] = set()  # processes that are another program by now
        self._processes: dict[int, list[int]] = {}  # by pid: which it is, and how many calls it has made
        self.calls: list[Call] = []
        self.met = False

    def serve(self, report: Callable[[int], None]) -> None:
        """Until nobody is left whose calls are told. `report` gets the wait status of `main` when that has ended."""
        poll = select.poll()
        pidfd = os.pidfd_open(self._main)
        waiting = {self._listener, pidfd}
        for fd in waiting:
            poll.register(fd, select.POLLIN)
        while waiting:
            ready = dict(poll.poll())
            if ready.get(self._listener, 0) & select.POLLIN:
                self._answer()
                continue
            if pidfd in ready:
                report(os.waitpid(self._main, 0)[1])
            for fd in ready:
                poll.unregister(fd)
                waiting.discard(fd)

    def _answer(self) -> None:
        buffer = bytearray(_NOTIFICATION.size)
        with suppress(FileNotFoundError, InterruptedError):  # the caller was killed meanwhile
            fcntl.ioctl(self._listener, _RECEIVE, buffer)
            number, pid, _, call, _, _, argument, *_ = _NOTIFICATION.unpack(buffer)
            refusal = 0
            if call == CALLS["close"] and argument & 0x80000000:
                self._begun = True
                self._step = 0xFFFFFFFE - (argument & 0xFFFFFFFF)
                self._has_steps = self._has_steps or self._step >= 0
            elif self._begun and pid not in self._foreign:
                refusal = self._refusal(pid, _NAMES[call])
            flags = 0 if refusal else _CONTINUE
            fcntl.ioctl(self._listener, _SEND, _RESPONSE.pack(number, 0, -refusal, flags))

    def _refusal(self, pid: int, name: str) -> int:
        """The errno for a call, 0 for none; or its caller is killed."""
        known = self._processes.setdefault(pid, [len(self._processes), -1])
        known[1] += 1
        call = Call(known[0], known[1], name, -1 if pid == self._main else self._step)
        self.calls.append(call)
        at = self._fault.at
        here = at is not None and at[:3] == call[:3] and (not self._has_steps or at.step == call.step)
        self.met = self.met or here
        if here and self._fault.kill:
            _kill(pid if self._fault.kill == "caller" else self._main)
        refusal = self._fault.errno if here else 0
        if name == "execve" and not refusal:
            self._foreign.add(pid)
        return refusal


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _report(tell: int, wait_status: int, supervisor: _Supervisor, files: list[int]) -> None:
    texts = []
    for fd in files:
        size = os.fstat(fd).st_size
        texts.append(os.pread(fd, size, 0).decode(errors="replace"))
    status = os.waitstatus_to_exitcode(wait_status)
    result = Result(status, texts[0], texts[1], tuple(supervisor.calls), supervisor.met)
    with open(tell, "wb") as file:
        file.write(pickle.dumps(result))
