"""The process of a Standby: small, warm, and asked again and again to build something.

It enters a new mount namespace and builds there as the child of a build does, but does not stay: what holds the
namespaces then is a program of a few hundred bytes that it starts in there, the trampoline of commands, which can wait.
That ends with the leash of who asks. Then it goes back. Whatever does not come to a good end ends it: nothing
is ever built from a doubtful state.
"""

from __future__ import annotations

import _socket
import gc
import mmap
import os
import pickle
import struct
import sys

from mountplan.applier.build.execute import load_what_is_needed
from mountplan.applier.build.holder import (
    BuildKernel,
    carry_out,
    hold_namespace_files,
    line_of_hosts_root,
    tell,
    traceback_of,
)
from mountplan.applier.process.trampoline import Sleeper
from mountplan.applier.sys import abi, channel, syscalls
from mountplan.applier.sys.channel import Sender
from mountplan.applier.sys.plain_signal import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from mountplan.planner.plan.steps import Step

READY = struct.Struct("=II")  # what it says then: its pid, and its descriptor of the memory that Sender counts in
COUNTER = 8  # bytes
LENGTH = 8  # bytes, in which a request says how long it is


class StandbyProcess:
    """`asked` is its end of the socket: it ends with the other one."""

    def __init__(self, asked: int) -> None:
        os.set_inheritable(asked, False)
        os.chdir("/")
        os.umask(0)
        self._asked = _socket.socket(fileno=asked)
        self._memory = os.memfd_create("counter")
        os.ftruncate(self._memory, COUNTER)
        self._counter = memoryview(mmap.mmap(self._memory, COUNTER)).cast("Q")
        self._root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._sleeper = Sleeper("mountplan-tree")
        self._holders: list[int] = []
        self._own = (0, 1, 2, asked, self._root, self._home, self._sleeper.directory, self._memory)
        signal.signal(signal.SIGCHLD, self._reap)

    def serve(self) -> NoReturn:
        self._try_out()
        gc.freeze()
        self._asked.send(READY.pack(os.getpid(), self._memory))
        while True:
            head, ancillary, *_ = self._asked.recvmsg(LENGTH, 64)
            if len(head) < LENGTH or not ancillary:
                os._exit(0)
            say, leash = memoryview(ancillary[0][2]).cast("i")
            steps = pickle.loads(self._receive(int.from_bytes(head, "little")))
            self._build(steps, Sender(say, self._counter), leash)
            channel.close_all_but(*self._own)
            self._counter[0] = 0

    def _try_out(self) -> None:
        """Fail if what this takes is not to be had here, so that it is never found out in the middle of something."""
        syscalls.unshare(abi.CLONE_NEWNS)
        leash_end, leash = channel.pipe()
        child, _ = self._sleeper.start(leash_end, ())
        os.close(leash)
        if os.waitpid(child, 0)[1]:
            os._exit(1)
        os.close(leash_end)
        self._return()

    def _receive(self, length: int) -> bytes:
        blocks = []
        while length:
            block = self._asked.recv(length)
            if not block:
                os._exit(0)
            blocks.append(block)
            length -= len(block)
        return b"".join(blocks)

    def _build(self, steps: tuple[Step, ...], sender: Sender, leash: int) -> None:
        try:
            load_what_is_needed(steps)
            kernel = BuildKernel(steps, sender, leash, "never")  # from a user namespace there is no way back
            finished = carry_out(steps, kernel, sender, line_of_hosts_root(), hold_namespace_files(steps))
            if finished is None:
                os._exit(1)
            held = [fd for one in finished.namespaces for fd in (one.fd, one.root)]
            child, numbers = self._sleeper.start(leash, held)
            self._holders.append(child)
            sender.send(channel.HOLDER, str(child).encode())
            tell(finished.held_as(numbers), sender)
            self._return()
        except BaseException as error:
            try:
                sender.send(channel.CRASHED, traceback_of(error).encode(errors="replace"))
            finally:
                os._exit(1)

    def _return(self) -> None:
        syscalls.setns(self._home, abi.CLONE_NEWNS)
        os.fchdir(self._root)
        os.chroot(".")

    def _reap(self, *_: Any) -> None:
        """Only our own holders, as who starts another child waits for it."""
        self._holders = [pid for pid in self._holders if not os.waitpid(pid, os.WNOHANG)[0]]


def main() -> NoReturn:
    """The first argument is that of StandbyProcess."""
    StandbyProcess(int(sys.argv[1])).serve()
