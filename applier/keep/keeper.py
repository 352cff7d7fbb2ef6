"""The process that keeps namespaces for a user who cannot mount their files anywhere: it holds descriptors of them.

It is small, no child of the command's, and does nothing until the record of their name is gone (record_watch.py), with
which it ends. What tells it from another process that has got its pid later is when it began; a
descriptor of its directory in /proc, once that has been compared, stands for this process and no other.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import sys

from mountplan.applier.keep.kept_record import Keeper
from mountplan.applier.keep.store import refused_to_keep
from mountplan.applier.keep.uptime import added
from mountplan.applier.process.record_watch import new_watch, watch_record
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.channel import pipe
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.plain_signal import signal
from mountplan.applier.sys.refusal import KernelRefusal, function_of, in_words
from mountplan.planner.errors import KeepRefused
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# The keeper's descriptors: what tells whether it is to stay, what tells when to end, and the namespaces.
_LEASH, _WATCH = 3, 4
FIRST = _WATCH + 1
ELSEWHERE = "run mountplan where the namespaces were kept"
_SAME_START = 2  # clock ticks: with what a time namespace adds, a start is rounded once more
_PATIENCE = 10_000  # ms for a killed process to be gone

# It waits for one byte. Without it, the pipe ends with the process that wanted something kept, and so does this one.
_PROGRAM = f"""\
import os
with open("/proc/self/comm", "w") as file:
    file.write("mountplan-keep")
if os.read({_LEASH}, 1):
    os.close({_LEASH})
    os.read({_WATCH}, 4096)
"""


class Started(NamedTuple):
    """A process that holds namespaces. It ends when its leash is closed, unless let_live() was called."""

    keeper: Keeper
    leash: int
    watch: int

    def let_live(self, directory: int, file: str) -> None:
        """From now on it stays until that file is gone. Raises OSError if it is not there any more."""
        try:
            watch_record(self.watch, directory, file)
            os.write(self.leash, b"k")
        finally:
            self.close()

    def close(self) -> None:
        """Let it end."""
        os.close(self.leash)
        os.close(self.watch)


def start_keeper(namespaces: tuple[int, ...], title: str) -> Started:
    """Start a process that holds `namespaces` as its descriptors FIRST, FIRST + 1, ... Raises KeepRefused."""
    program = sys.executable
    if not program:
        raise KeepRefused("cannot keep namespaces: sys.executable does not tell where Python is", "set it")
    watch = new_watch()
    told, tell = pipe()
    leash_end, leash = pipe()
    try:
        child = syscalls.fork()
        if child == 0:
            _daemonize(tell, (leash_end, watch, *namespaces), program, title)
        os.close(tell)
        tell = -1
        pid, number, call = _heard(told)
        try:
            os.waitpid(child, 0)
        except ChildProcessError:
            pass  # this process ignores SIGCHLD
        if number:
            raise KernelRefusal(number, call)
        if not pid:
            raise KeepRefused("cannot start a process that keeps the namespaces", "look for limits: ulimit -u")
        return Started(describe(pid), leash, watch)
    except BaseException as error:
        os.close(leash)
        os.close(watch)
        if isinstance(error, OSError):
            raise refused_to_keep("cannot start a process that keeps the namespaces", error, "fork") from None
        raise
    finally:
        for fd in {told, tell, leash_end} - {-1}:
            os.close(fd)


def _heard(told: int) -> tuple[int, int, str]:
    """The keeper's pid, once it runs its program or has failed to, with the errno and the call of that; 0 for none."""
    text = b""
    while more := os.read(told, 100):
        text += more
    words = {word[:1]: word[1:] for word in text.split()}
    return int(words.get(b"p", 0)), int(words.get(b"e", 0)), words.get(b"c", b"").decode()


def _daemonize(tell: int, fds: tuple[int, ...], program: str, title: str) -> NoReturn:
    """In a child: become the father of a process that has no other, and nothing of ours but `fds`, from _LEASH on.

    `tell` gets the pid and, if it comes to nothing, the errno; it is closed when the program runs.
    """
    try:
        os.setsid()
        child = syscalls.fork()
        if child:
            os.write(tell, b"p%d " % child)
            os._exit(0)
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(name, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.chdir("/")
        os.umask(0o077)
        above = _LEASH + len(fds)
        tell = fcntl.fcntl(tell, fcntl.F_DUPFD_CLOEXEC, above)
        held = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in fds]
        for number, fd in enumerate(held, _LEASH):
            os.dup2(fd, number)
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        syscalls.close_range(above, abi.LAST_FD, abi.CLOSE_RANGE_CLOEXEC)
        os.execve(program, [program, "-I", "-S", "-c", _PROGRAM, title], {})
    except OSError as error:
        os.write(tell, b"e%d c%s " % (error.errno or errno.EIO, function_of(error).partition(" ")[0].encode()))
    finally:
        os._exit(1)


def describe(pid: int) -> Keeper:
    """A process that keeps namespaces, such that it is not taken for another later. Raises KeepRefused."""
    try:
        with closing_fd(_open_process(pid)) as process:
            start = _start_of(process)
    except (FileNotFoundError, ProcessLookupError):
        start = None
    if start is None:
        raise KeepRefused(f"process {pid}, which shall keep the namespaces, was ended from outside", "try again")
    return Keeper(pid, start, *_surroundings())


def _surroundings() -> tuple[str, int]:
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    return boot, os.stat("/proc/self/ns/pid").st_ino


def _open_process(pid: int) -> int:
    return os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _start_of(process: int) -> int | None:
    """When the process of a /proc directory began, as _SAME_START compares it; None if it has ended. Raises OSError."""
    try:
        fd = os.open("stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        text = os.read(fd, 4096)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    fields = text.rpartition(b")")[2].split()
    if fields[0] in (b"Z", b"X"):
        return None
    tick = 10**9 / os.sysconf("SC_CLK_TCK")
    nanoseconds = int(fields[19]) * tick
    if nanoseconds >= 1 << 63:
        nanoseconds -= 1 << 64  # before our time namespace's clock began: a negative number, shown as an unsigned one
    return round((nanoseconds - added() * 1e9) / tick)


def check_reach(keeper: Keeper | None) -> None:
    """Raise KeepRefused if a keeper can neither be judged nor ended from here."""
    if keeper is not None:
        _is_of_this_boot(keeper)


def _is_of_this_boot(keeper: Keeper) -> bool:
    boot, pids = _surroundings()
    if boot == keeper.boot and pids != keeper.pids:
        what = f"process {keeper.pid}, which keeps the namespaces, is in another pid namespace"
        raise KeepRefused(what, ELSEWHERE)
    return boot == keeper.boot


def open_keeper(keeper: Keeper) -> int | None:
    """A descriptor of the keeper's directory in /proc, which is that process's for ever; None if it has ended.

    Raises KeepRefused if its pid cannot be understood here.
    """
    if not _is_of_this_boot(keeper):
        return None
    process = -1
    try:
        process = _open_process(keeper.pid)
        start = _start_of(process)
        if start is not None and abs(start - keeper.start) <= _SAME_START:
            found, process = process, -1
            return found
    except FileNotFoundError:
        pass
    except OSError as error:
        what = f"cannot look at process {keeper.pid}, which keeps the namespaces: {in_words(error)}"
        raise KeepRefused(what, ELSEWHERE) from None
    finally:
        if process >= 0:
            os.close(process)
    return None


def end_keeper(keeper: Keeper) -> None:
    """Kill the keeper, if it is still the same process, and wait until it is gone. Raises KeepRefused."""
    check_reach(keeper)
    try:
        pidfd = os.pidfd_open(keeper.pid)
    except ProcessLookupError:
        return
    try:
        # Compared after the pidfd was opened: if the process that is meant is alive now, the pidfd is of it.
        process = open_keeper(keeper)
        if process is None:
            return
        os.close(process)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(_PATIENCE):
            raise KeepRefused(f"process {keeper.pid}, which keeps the namespaces, does not end")
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise
    finally:
        os.close(pidfd)
