"""Process 1 of a new pid namespace, and the process outside that watches over it.

The one that builds is process 1, since a `proc` mount shows the pid namespace of its maker. The command is its child:
process 1 is deaf to every signal that it does not handle, and must reap what others leave behind. When it ends,
the kernel kills all that is left.
"""

from __future__ import annotations

import os
import select
import signal
from typing import NoReturn

from mountplan.applier.process.signals import FORWARDABLE, Signals
from mountplan.applier.process.trampoline import File
from mountplan.applier.sys import abi, channel, syscalls
from mountplan.applier.sys.channel import Sender, close_all_but


def exit_status(wait_status: int) -> int:
    """What a shell makes of a wait status: 128 + n if signal n ended the process."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


def watch(init: int, stops: int) -> NoReturn:
    """Outside: stop when the command has stopped, so that a shell sees it; end as process 1 ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    close_all_but(stops)
    while os.read(stops, 1):
        os.kill(os.getpid(), signal.SIGSTOP)
    _, status = os.waitpid(init, 0)
    os._exit(exit_status(status))


def serve(command: int, stops: int, leash: int, waiting: int) -> NoReturn:
    """Process 1: forward signals to `command`, reap, and end with its status, or when the leash is let go.

    A byte in `stops` tells that the command has stopped; -1 if that is not to be told. `waiting` is closed when no
    descriptor is left that is not needed here. All signals are blocked already.
    """
    with Signals((*FORWARDABLE, signal.SIGCHLD)) as signals:
        close_all_but(*({stops, leash, signals.fd, waiting} - {-1}))
        os.close(waiting)
        poll = select.poll()
        poll.register(signals.fd, select.POLLIN)
        poll.register(leash, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if leash in ready:
                os._exit(1)
            for caught in signals.read():
                if caught.is_for_the_command:
                    os.kill(command, caught.number)
            _reap(command, stops)


def stay(sender: Sender, leash: int, watch: int, *held: int) -> NoReturn:
    """Process 1 of namespaces that are kept: until it is killed, or `watch` becomes readable, reap, and hold the
    descriptors `held`.

    Until it is told to outlive its parent, it ends when the leash is let go. Then it turns into a program that does
    nothing: those who come to live in there find no Python of the host as their process 1. If it has nothing to hold,
    the mount namespaces are kept by their files, and shall end with those: it must not be in one, nor keep what they
    show, among which may be the very filesystem whose end it waits for.
    """
    if not held:
        _leave_mounts()
    syscalls.prctl(abi.PR_SET_PDEATHSIG, 0)  # the parent, watch(), ends before
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that the kernel reaps, whatever this process does
    file = File()
    syscalls.close_range(3, abi.LAST_FD, abi.CLOSE_RANGE_CLOEXEC)
    for fd in (0, 1, 2):
        syscalls.close(fd)
    sender.send(channel.STAYING)
    if channel.receive(leash)[0] != channel.RELEASE:
        os._exit(1)
    file.wait("mountplan-init", watch, held)


def _leave_mounts() -> None:
    """Go into a mount namespace with nothing in it but an empty directory."""
    syscalls.unshare(abi.CLONE_NEWNS)
    syscalls.mount(b"/", abi.MS_REC | abi.MS_PRIVATE)
    context = syscalls.fsopen(b"tmpfs")
    syscalls.fsconfig(context, abi.FSCONFIG_CMD_CREATE, None, None, 0)
    root = syscalls.fsmount(context, abi.MOUNT_ATTR_NOSUID | abi.MOUNT_ATTR_NODEV | abi.MOUNT_ATTR_NOEXEC)
    syscalls.move_mount(root, abi.AT_FDCWD, b"/", abi.MOVE_MOUNT_F_EMPTY_PATH)
    os.fchdir(root)
    syscalls.pivot_root(b".", b".")
    syscalls.umount2(b".", abi.MNT_DETACH)


def _reap(command: int, stops: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid != command:
            continue
        if not os.WIFSTOPPED(status):
            os._exit(exit_status(status))
        if stops >= 0:
            os.write(stops, b"s")
