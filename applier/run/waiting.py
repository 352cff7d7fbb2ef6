"""The process that waits for a command: forwards signals, takes part in job control, tells how it ended."""

from __future__ import annotations

import os
import select
import signal
import sys

from mountplan.applier.build.build import Built
from mountplan.applier.process.command import Start
from mountplan.applier.process.init import exit_status
from mountplan.applier.process.signals import FORWARDABLE, STOPPING, Signals
from mountplan.applier.sys.closing import closing_fd
from mountplan.planner.errors import CommandNotStarted

_GRACE = 1000  # ms that a command has to end by itself once an exception ends the waiting


def wait_for(built: Built, start: Start, namespace: str, status_fd: int | None, *, whole: bool) -> int:
    """Have the holder start the command, and wait for it: its exit status. Raises CommandNotStarted.

    `whole` says that this process is there for nothing else: then it stops when the command is stopped, as a shell's
    job does, and all signals are the command's. Otherwise those that this process handles are its own.
    """
    told = _Told(status_fd, built)
    terminal = _Terminal() if whole else None
    tell_stops = terminal is not None and terminal.fd >= 0  # else no shell would continue us
    with _signals(whole, tell_stops) as signals:
        built.start(start, namespace, tell_stops=tell_stops)
        try:
            status = _Waiting(built, signals, told).wait()
        except BaseException:
            _give_up(built)
            raise
        finally:
            if terminal is not None:
                terminal.take_back()
    told.ended(status)
    return status


def _signals(whole: bool, tell_stops: bool) -> Signals:
    numbers: set[int] = set()
    if whole or _is_main_thread():
        for number in FORWARDABLE if tell_stops else FORWARDABLE - STOPPING:
            action = signal.getsignal(number)
            # None is a handler that is not Python's: the code that installed it wants these signals.
            if action is signal.SIG_DFL or (whole and action is signal.default_int_handler):
                numbers.add(number)
    if tell_stops:
        numbers.add(signal.SIGCHLD)
    return Signals(numbers)


def _is_main_thread() -> bool:
    threading = sys.modules.get("threading")
    return threading is None or threading.current_thread() is threading.main_thread()


class _Terminal:
    """The controlling terminal, if there is one (`fd` is -1 otherwise).

    A shell in a pid namespace takes it for its own process group, and cannot give it back: ours has no number there.
    """

    def __init__(self) -> None:
        self._was_ours = False
        try:
            self.fd = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
            self._was_ours = os.tcgetpgrp(self.fd) == os.getpgrp()
        except OSError:
            self.fd = -1

    def take_back(self) -> None:
        """Be in the foreground again if we were. Call it with SIGTTOU blocked, which would stop us otherwise."""
        if self.fd < 0:
            return
        try:
            if self._was_ours and os.tcgetpgrp(self.fd) != os.getpgrp():
                os.tcsetpgrp(self.fd, os.getpgrp())
        except OSError:
            pass  # it has hung up
        os.close(self.fd)
        self.fd = -1


class _Waiting:
    """One wait: for the start to succeed or fail, for signals, and for the end."""

    def __init__(self, built: Built, signals: Signals, told: _Told) -> None:
        self.built = built
        self.signals = signals
        self.told = told
        self.answered = False
        self.refusal: CommandNotStarted | None = None

    def wait(self) -> int:
        answer = self.built.answer
        poll = select.poll()
        with closing_fd(os.pidfd_open(self.built.child)) as pidfd:
            for fd in (answer, self.signals.fd, pidfd):
                poll.register(fd, select.POLLIN)
            while True:
                ready = {fd for fd, _ in poll.poll()}
                if not self.answered and ready & {answer, pidfd}:
                    poll.unregister(answer)
                    self._hear_answer()
                if self.signals.fd in ready:
                    self._pass_on()
                if pidfd in ready:
                    return self._end()

    def _hear_answer(self) -> None:
        self.answered = True
        self.refusal = self.built.not_started()
        if self.refusal is None:
            self.told.started()

    def _pass_on(self) -> None:
        for caught in self.signals.read():
            if caught.is_for_the_command:
                self.built.send_signal(caught.number)
            elif caught.number == signal.SIGCHLD:
                self._stop_too()

    def _stop_too(self) -> None:
        """If the command has stopped, so do we; when we are continued, the command goes on."""
        try:
            stopped = os.waitid(os.P_PID, self.built.child, os.WSTOPPED | os.WNOHANG)
        except ChildProcessError:
            return
        if stopped is not None:
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(self.built.child, signal.SIGCONT)
            self.built.send_signal(signal.SIGCONT)

    def _end(self) -> int:
        _, wait_status = os.waitpid(self.built.child, 0)
        self.built.ended()
        if self.refusal is not None:
            raise self.refusal
        return exit_status(wait_status)


def _give_up(built: Built) -> None:
    """An exception ends the waiting. What the terminal sent us, the command has got too: let it end, then kill it."""
    if not built.child:
        return
    pidfd = os.pidfd_open(built.child)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(_GRACE)
    finally:
        os.close(pidfd)
        built.close()


class _Told:
    """Lines of JSON for the reader of `status_fd`, as bubblewrap writes them."""

    def __init__(self, fd: int | None, built: Built) -> None:
        self._fd = fd
        self._started = ""
        if fd is None:
            return
        try:
            os.fstat(fd)
        except OSError as error:
            raise CommandNotStarted(f"cannot write status to descriptor {fd}: {error.strerror}", "open it", 2) from None
        # Looked up now: when the command runs, it may have ended.
        values = [f'"child-pid": {built.pid}', f'"mnt-namespace": {os.stat(f"/proc/{built.pid}/ns/mnt").st_ino}']
        values += [f'"{kind}-namespace": {os.stat(f"/proc/{built.pid}/ns/{kind}").st_ino}' for kind in built.kinds]
        self._started = "{" + ", ".join(values) + "}\n"

    def started(self) -> None:
        self._say(self._started)

    def ended(self, status: int) -> None:
        self._say(f'{{"exit-code": {status}}}\n')

    def _say(self, line: str) -> None:
        if self._fd is None:
            return
        try:
            os.write(self._fd, line.encode())
        except OSError:
            pass  # no reader is left; the command matters more
