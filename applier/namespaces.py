"""Builds a plan in a child process, and holds the namespace it made until somebody has taken it over.

The child unshares, carries the steps out and then waits. A build that fails is never handed to anybody: the child ends,
and the kernel frees all that was made. The child dies with its parent (PR_SET_PDEATHSIG), so that holds for a SIGKILL too.
"""

from __future__ import annotations

import gc
import os
import signal
import struct
import traceback
from types import TracebackType
from typing import NoReturn

from mountplan.applier import abi, syscalls
from mountplan.applier.execute import StepFailed, execute
from mountplan.applier.kernel import LinuxKernel
from mountplan.applier.refusal import explain
from mountplan.applier.report import Reporter
from mountplan.planner.errors import StepRefused
from mountplan.planner.mountinfo import parse_mountinfo
from mountplan.planner.plan import Plan
from mountplan.planner.table import MountTable

_HEADER = struct.Struct("=cI")  # what a message is, and how long
_PROGRESS, _HOST, _REFUSED, _CRASHED, _DONE = b"p", b"h", b"r", b"c", b"d"


class Built:
    """A namespace that stands, held by a waiting child process. Use it in a `with` block: leaving it lets go."""

    def __init__(self, pid: int, leash: int, host: MountTable) -> None:
        self.pid = pid
        self.host = host  # the host's table as the namespace copied it, before anything was changed
        self._leash = leash

    def mountinfo(self) -> bytes:
        """The text of the namespace's mount table, as seen from its root."""
        with open(f"/proc/{self.pid}/mountinfo", "rb") as file:
            return file.read()

    def open_namespace(self, kind: str) -> int:
        """A descriptor of the child's namespace file ("mnt", "user"); it keeps the namespace alive."""
        return os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """End the child. The namespace lives on where somebody else is in it or holds a descriptor of it."""
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def __enter__(self) -> Built:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def build(plan: Plan, reporter: Reporter | None = None) -> Built:
    """Carry `plan` out in a child process with a mount namespace of its own. Raises StepRefused.

    A user without CAP_SYS_ADMIN gets a user namespace around it. What stands there is not verified yet.
    """
    reporter = reporter or Reporter()
    answer, say = os.pipe()
    leash_end, leash = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _child(plan, parent, say, leash_end)
    os.close(say)
    os.close(leash_end)
    try:
        host = _listen(plan, child, answer, reporter)
    except BaseException:
        os.close(leash)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(answer)
    return Built(child, leash, host)


def _listen(plan: Plan, child: int, answer: int, reporter: Reporter) -> MountTable:
    reporter.begin(len(plan.steps))
    host = MountTable(())
    while True:
        kind, payload = _receive(answer)
        if kind == _PROGRESS:
            reporter.step(int(payload))
        elif kind == _HOST:
            host = parse_mountinfo(payload)
        elif kind == _DONE:
            reporter.end()
            return host
        elif kind == _REFUSED:
            raise _refused(plan, payload)
        elif kind == _CRASHED:
            raise RuntimeError(f"the building process failed, which is a bug in mountplan:\n{payload.decode()}")
        else:
            raise RuntimeError(f"the building process {child} was ended by somebody else")


def _refused(plan: Plan, payload: bytes) -> StepRefused:
    index, number, syscall, *log = payload.decode("utf-8", "surrogateescape").split("\0")
    step = plan.steps[int(index)]
    meaning, remedy = explain(step.kind, int(number))
    return StepRefused(
        number=int(index) + 1,
        step=step.describe(),
        origin=plan.ref(step.origin),
        syscall=syscall,
        errno=int(number),
        meaning=meaning,
        remedy=remedy,
        log=tuple(log),
    )


def _receive(answer: int) -> tuple[bytes, bytes]:
    header = _read(answer, _HEADER.size)
    if len(header) < _HEADER.size:
        return b"", b""
    kind, length = _HEADER.unpack(header)
    return kind, _read(answer, length)


def _read(fd: int, length: int) -> bytes:
    data = b""
    while len(data) < length:
        block = os.read(fd, length - len(data))
        if not block:
            break
        data += block
    return data


class _Sender(Reporter):
    """The child's side of the pipe."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        view = memoryview(_HEADER.pack(kind, len(payload)) + payload)
        while view:
            view = view[os.write(self._fd, view) :]

    def step(self, done: int) -> None:
        self.send(_PROGRESS, str(done).encode())


def _child(plan: Plan, parent: int, say: int, leash_end: int) -> NoReturn:
    """The building process. Never returns, and never runs anything of the parent's on its way out."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and ends us
        syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        gc.disable()  # the process is short-lived, and its steps make many small objects
        sender = _Sender(say)
        try:
            with open("/proc/self/mountinfo", "rb") as file:
                sender.send(_HOST, file.read())
            execute(plan.steps, LinuxKernel(), sender)
        except StepFailed as failed:
            cause = failed.cause
            syscall = getattr(cause, "syscall", "") or cause.strerror or "a system call"
            log = getattr(cause, "log", ())
            words = (str(failed.index), str(cause.errno or 0), syscall, *log)
            sender.send(_REFUSED, "\0".join(words).encode("utf-8", "surrogateescape"))
            os._exit(1)
        sender.send(_DONE)
        os.close(say)
        os.read(leash_end, 1)  # until the parent lets go
        status = 0
    except BaseException:
        try:
            _Sender(say).send(_CRASHED, traceback.format_exc().encode())
        except OSError:
            pass
    finally:
        os._exit(status)
