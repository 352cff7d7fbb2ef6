"""Standby: a small process that builds one plan after another, for a large one that builds many, as one of tests does.

A build takes a child process. A fork of a process that has loaded pytest copies its page tables, and both sides then
copy each page that they write to, which takes more time than all that is built. This process is started once, without
any of that. It is no child of the one that it serves, which may wait for all of its children, or look for some that
were forgotten.

It has what the thread had that started it: namespaces, root, capabilities, limits. Before each build it is asked
whether the calling thread has the same; if not, the usual way is taken, and another process is started.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from mountplan.applier.build.standby_process import COUNTER, LENGTH, READY
from mountplan.applier.sys import abi, channel, syscalls
from mountplan.applier.sys.privilege import is_nested
from mountplan.planner.plan.steps import Step
from mountplan.planner.record import NamedTuple

_PROGRAM = """
import _signal, os, sys
_signal.signal(_signal.SIGINT, _signal.SIG_IGN)
if os.fork():
    os._exit(0)
sys.path.append(sys.argv[2])
from mountplan.applier.build.standby_process import main
main()
"""
_NEEDED = 1 << abi.CAP_SYS_ADMIN | 1 << abi.CAP_SYS_CHROOT
_START = 20.0  # seconds in which it must be ready
_STATUS = (b"Uid", b"Gid", b"Groups", b"Cap", b"NoNewPrivs", b"Seccomp")  # what /proc/PID/status tells of rights


class Begun(NamedTuple):
    """A build that is under way: as in a child that was forked for it, until that tells of another one (HOLDER)."""

    pid: int
    pidfd: int
    leash: int
    answer: int
    memory: int  # its descriptor of what Sender counts in

    def counted(self) -> int:
        """How many foreign steps have begun."""
        with open(f"/proc/{self.pid}/fd/{self.memory}", "rb") as file:
            return int.from_bytes(file.read(COUNTER), sys.byteorder)


class Standby:
    """Its process ends with it (close()), and with the process that made it."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._pid = self._memory = 0  # of the process, once it is ready
        self._circumstances: object = None  # in which it was started
        self._useless: object = None  # in which one was started, and could do nothing

    def start(self) -> None:
        """Start the process, if it could serve the calling thread."""
        self.begin(None)

    def begin(self, steps: tuple[Step, ...] | None) -> Begun | None:
        """Have `steps` carried out; None if that is to be done the usual way. Otherwise end() has to follow."""
        if os.getpid() != self._owner or not self._lock.acquire(blocking=False):
            return None
        begun = None
        try:
            if self._is_there() and steps is not None:
                begun = self._ask(steps)
        except OSError:
            self._stop()
        finally:
            if begun is None:
                self._lock.release()
        return begun

    def end(self) -> None:
        """The build has come to its end, a good one or not."""
        self._lock.release()

    @property
    def pid(self) -> int:
        """The process, 0 if there is none that is ready."""
        return self._pid

    def close(self) -> None:
        """End the process. The Standby may be used again."""
        if os.getpid() == self._owner:
            with self._lock:
                self._stop()

    def _is_there(self) -> bool:
        """Whether there is a process for the calling thread; one is started if not, for the next time."""
        now = circumstances()
        if now is None or now == self._useless:
            return False
        if self._socket is None or now != self._circumstances or not self._is_alive():
            self._stop()
            self._socket = _start()
            self._circumstances = now
            return False
        return True

    def _is_alive(self) -> bool:
        """Until it has said that it is ready, there may be something to read for other reasons."""
        assert self._socket is not None
        return not self._pid or not select.select([self._socket], [], [], 0)[0]

    def _ask(self, steps: tuple[Step, ...]) -> Begun | None:
        assert self._socket is not None
        if not self._pid:
            said = self._socket.recv(READY.size)
            if len(said) < READY.size:
                self._useless = self._circumstances
                self._stop()
                return None
            self._pid, self._memory = READY.unpack(said)
        data = pickle.dumps(steps, 5)
        pidfd, fds = os.pidfd_open(self._pid), list[int]()
        try:
            if not self._is_alive():  # and if so, it is this one that the descriptor is of
                raise ProcessLookupError
            self._begin_count()
            fds += channel.pipe()
            fds += channel.pipe()
            answer, say, leash_end, leash = fds
            socket.send_fds(self._socket, [len(data).to_bytes(LENGTH, "little")], [say, leash_end])
            self._socket.sendall(data)
        except BaseException:
            for fd in (pidfd, *fds):
                os.close(fd)
            raise
        os.close(say)
        os.close(leash_end)
        return Begun(self._pid, pidfd, leash, answer, self._memory)

    def _begin_count(self) -> None:
        """It may have been stopped since the last build, before it did so itself."""
        with suppress(OSError), open(f"/proc/{self._pid}/fd/{self._memory}", "r+b", buffering=0) as file:
            file.write(bytes(COUNTER))

    def _stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._pid, self._circumstances = None, 0, None


def _start() -> socket.socket | None:
    if not sys.executable:
        return None
    options = ["-I", "-S", "-B", "-X", f"utf8={sys.flags.utf8_mode}"]
    if sys.pycache_prefix:
        options += ["-X", f"pycache_prefix={sys.pycache_prefix}"]
    mine, its = socket.socketpair()
    with its:
        mine.settimeout(_START)
        values = (str(its.fileno()), str(Path(sys.modules["mountplan"].__path__[0]).parent), "mountplan-standby")
        try:
            null = subprocess.DEVNULL
            with syscalls.forking():
                subprocess.run(
                    [sys.executable, *options, "-c", _PROGRAM, *values],
                    stdin=null, stdout=null, stderr=null, pass_fds=(its.fileno(),), timeout=_START,
                )  # fmt: skip
        except subprocess.SubprocessError:
            pass  # it has gone, which shows
        except BaseException:
            mine.close()
            raise
    return mine


def circumstances() -> object:
    """What a child has of the calling thread, and a process that was started before must have as well.

    None if that process would be of no use: it takes root's rights in the machine's own user namespace to come back out
    of what it has built, and children must come into the namespaces of their parent.
    """
    own = "/proc/thread-self"
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return None
        namespaces = {name: os.readlink(f"{own}/ns/{name}") for name in os.listdir(f"{own}/ns")}
        for name, namespace in namespaces.items():
            if namespace != namespaces.get(f"{name}_for_children", namespace):
                return None
        if is_nested() or syscalls.capget()[0] & _NEEDED != _NEEDED:
            return None
        status = tuple(line for line in _read(f"{own}/status").splitlines() if line.startswith(_STATUS))
        root = os.stat("/")
        return (
            namespaces, status, _read(f"{own}/limits"), _read(f"{own}/cgroup"), _label(f"{own}/attr/current"),
            (root.st_dev, root.st_ino, syscalls.mount_id(abi.AT_FDCWD, b"/")), os.environ.get("MOUNTPLAN_TRY_NEW"),
        )  # fmt: skip
    except OSError:
        return None


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _label(path: str) -> bytes:
    """What a security module calls the thread; there may be none."""
    try:
        return _read(path)
    except OSError:
        return b""
