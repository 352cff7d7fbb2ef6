"""Throw-away hosts: run a function in a forked child whose mount namespace is its own and dies with it.

What the function mounts, shares or breaks there reaches neither the test process nor the machine.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import stat
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol, TypeVar

import pytest

from tests.mountflags import MS_BIND, MS_PRIVATE, MS_REC

Result = TypeVar("Result")
Identity = Literal["best", "root", "userns", "nobody"]

CHECKOUT = Path(__file__).resolve().parent.parent
NOBODY = 65534
PATIENCE = float(os.environ.get("MOUNTPLAN_PATIENCE", "1"))  # how many times as long as usual a test may take
FIRST_ID = 200_000  # of the range that give_ranges() gives
CLONE_NEWNS = 0x20000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PYTHONS_OWN = frozenset((signal.SIGPIPE, signal.SIGXFSZ))  # Python ignores them; subprocess has them as usual again

_libc = ctypes.CDLL(None, use_errno=True)


def moments(seconds: float = 20.0) -> Iterator[None]:
    """Look again and again, for what comes by itself: `for _ in moments(): if it_is_there(): break`.

    The first look is at once; looks end after that many seconds, or more on a slow machine, and the caller asserts.
    """
    deadline = time.monotonic() + seconds * PATIENCE
    yield
    while time.monotonic() < deadline:
        time.sleep(0.02)
        yield


class HostTimeout(Exception):
    """The function had not returned when its time was over; the child was killed."""


class HostDied(Exception):
    """The child ended without a word: killed by a signal, or by an exit that went past its caller."""


class ChildTraceback(Exception):
    """The traceback of the child as text; the cause of what run_in_child raises."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0])


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """unshare(2), which Python itself has only from 3.12 on."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(namespace: int) -> None:
    """setns(2), which Python itself has only from 3.12 on; the descriptor tells the kind."""
    _checked(_libc.setns(ctypes.c_int(namespace), ctypes.c_int(0)), "setns")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2): for what a throw-away host shall look like; nothing here goes by the code under test.

    A new filesystem that covers the checkout (in /tmp, say) shows it again: what is tested is imported from there.
    What the machine has one of keeps the options that it has, unless there is `data`.
    """
    data = data or (options_of_machine(fstype) if fstype in ONE_A_MACHINE else "")
    covers = bool(fstype) and CHECKOUT.is_relative_to(target) and target != "/"
    checkout = os.open(CHECKOUT, os.O_PATH | os.O_CLOEXEC) if covers else -1
    _checked(
        _libc.mount(
            os.fsencode(source), os.fsencode(target), fstype.encode(), ctypes.c_ulong(flags), os.fsencode(data) or None
        ),
        f"mount {target}",
    )
    if covers:
        CHECKOUT.mkdir(parents=True)
        mount(f"/proc/self/fd/{checkout}", str(CHECKOUT), flags=MS_BIND)
        os.close(checkout)


ONE_A_MACHINE = ("cgroup2", "debugfs", "tracefs")  # those whose options a mount without any takes away


def options_of_machine(fstype: str) -> str:
    """The options that the one superblock of a type shows in our mount table, or in that of process 1, but for "rw"."""
    for pid in ("self", "1"):
        try:
            lines = Path(f"/proc/{pid}/mountinfo").read_text(errors="surrogateescape").splitlines()
        except OSError:
            continue
        for words in (line.split() for line in lines if f" - {fstype} " in line):
            return ",".join(option for option in words[-1].split(",") if option not in ("rw", "seclabel"))
    return ""


@contextmanager
def machine_has(fstype: str, options: str, place: str) -> Iterator[None]:
    """The machine's one superblock of a type has these options, and stands on `place` of this throw-away host.

    What it had before comes back. For tests that are marked `alone`.
    """
    before = options_of_machine(fstype) or "rw"
    if fstype != "cgroup2":  # what is not given is not shown any more, and stays as it is
        mount("x", place, fstype)
        root = os.stat(place)
        umount(place)
        before = f"uid={root.st_uid},gid={root.st_gid},mode={stat.S_IMODE(root.st_mode):o}"
        options = f"uid=0,{options}"
    mount("x", place, fstype, data=options)
    try:
        yield
    finally:
        while os.path.ismount(place):
            umount(place)
        mount("x", place, fstype, data=before)
        umount(place)


def umount(target: str, flags: int = 0) -> None:
    _checked(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), f"umount {target}")


def prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(ctypes.c_int(option), *(ctypes.c_ulong(number) for number in (value, 0, 0, 0))), "prctl")


def become(uid: int) -> None:
    """Give up root for good, and stay able to write our own /proc files (setuid makes a process undumpable)."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    prctl(PR_SET_DUMPABLE, 1)


def enter_user_namespace(flags: int = 0) -> None:
    """A new user namespace in which the caller is root. The caller must have a single thread."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | flags)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def enter_host(identity: Identity, reach: Iterable[Path] = ()) -> None:
    """Leave the machine's mount namespace for a private copy of it.

    "root" keeps the machine's root; "userns" is an ordinary user (root gives itself up first) who is root in a user
    namespace of its own; "nobody" is an ordinary user in a copy that root has made; "best" is "root" if that works,
    and "userns" otherwise. The two that are ordinary users can still get to Python, to the checkout and to `reach`.
    """
    try:
        unshare(CLONE_NEWNS)
    except PermissionError:
        if identity in ("root", "nobody"):
            raise
        enter_user_namespace(CLONE_NEWNS)
        identity = "best"  # we are an ordinary user already
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    if identity in ("userns", "nobody"):
        open_the_way([Path(sys.base_prefix), Path(sys.prefix), CHECKOUT, *reach])
        try:
            become(NOBODY)
        except OSError:
            if identity == "nobody":
                raise  # in "userns" we may be root of a user namespace that has one id only: an ordinary user as it is
        if identity == "userns":
            enter_user_namespace(CLONE_NEWNS)
            mount("", "/", flags=MS_REC | MS_PRIVATE)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of credentials has cleared it


def leave_root() -> None:
    """Become an ordinary user, for root of a throw-away host: everything stays mounted and shared as it is."""
    open_the_way([Path(sys.base_prefix), Path(sys.prefix), CHECKOUT])
    become(NOBODY)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of credentials has cleared it


def give_up_all_capabilities() -> None:
    header = struct.pack("Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    _checked(_libc.capset(header, bytes(24)), "capset")


def give_ranges(line: str = f"{NOBODY}:{FIRST_ID}:65536") -> None:
    """Have /etc/subuid and /etc/subgid say this and nothing else. For root of a throw-away host."""
    mount("none", "/mnt", "tmpfs", data="mode=0755")
    Path("/mnt/ranges").write_text(line + "\n")
    for file in ("/etc/subuid", "/etc/subgid"):
        mount("/mnt/ranges", file, flags=MS_BIND)


def become_nobody() -> None:
    """On a throw-away host of root's: go on as an ordinary user, who can get to Python and to the checkout."""
    open_the_way([Path(sys.base_prefix), Path(sys.prefix), CHECKOUT])
    become(NOBODY)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def open_the_way(paths: Iterable[Path]) -> None:
    """Make `paths` reachable for an ordinary user: cover each closed directory above them with an open one.

    Root's home is closed, and so are the temporary directories of pytest; Python and the tests may live in there.
    """
    closed: dict[Path, list[tuple[Path, int]]] = {}
    for path in {path.resolve(): None for path in paths}:
        for above in reversed(path.parents):
            if not above.stat().st_mode & stat.S_IXOTH:
                closed.setdefault(above, []).append((path, os.open(path, os.O_PATH | os.O_CLOEXEC)))
                break
    for above, places in closed.items():
        mount("none", str(above), "tmpfs", data="mode=0755")
        for path, descriptor in places:
            path.mkdir(parents=True, exist_ok=True)
            mount(f"/proc/self/fd/{descriptor}", str(path), flags=MS_BIND | MS_REC)
            os.close(descriptor)


class InHost(Protocol):
    """The type of the fixture `in_host` and of run_in_host itself."""

    def __call__(
        self,
        function: Callable[[], Result],
        *,
        identity: Identity = "best",
        timeout: float = 60.0,
        reach: Iterable[Path] = (),
    ) -> Result: ...


def run_in_host(
    function: Callable[[], Result],
    *,
    identity: Identity = "best",
    timeout: float = 60.0,
    reach: Iterable[Path] = (),
) -> Result:
    """What `function` returns when it runs in a throw-away host of its own, or what it raises.

    The function is inherited by fork, so a closure or a lambda will do; its result must be picklable. An exception
    keeps its type and has the child's traceback as its cause. `timeout` is in seconds.
    `reach` are directories that an ordinary user must get to, such as pytest's tmp_path; their own mode still counts.
    """

    def inside() -> Result:
        enter_host(identity, reach)
        return function()

    return run_in_child(inside, timeout=timeout)


def with_own_processes(function: Callable[[], Result], *, timeout: float = 60.0) -> Callable[[], Result]:
    """`function`, as process 1 of a pid namespace of its own: what /proc shows does not depend on what others start.

    For in_host, with the same timeout. Process 1 inherits the processes that others leave behind: see reap().
    """

    def inside() -> Result:
        mount("proc", "/proc", "proc")
        return function()

    def script() -> Result:
        unshare(CLONE_NEWPID)
        return run_in_child(inside, timeout=timeout)

    return script


def reap() -> None:
    """Wait until no child is left: for process 1, where one that was left behind may end a moment later than others."""
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def run_in_child(function: Callable[[], Result], *, timeout: float = 60.0) -> Result:
    """What `function` returns when it runs in a forked child, or what it raises.

    The child leads a session of its own. All of that session's process group is killed, and the child reaped, before
    this returns or raises.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _child(function, writer, parent)
    try:
        os.close(writer)
        message = _receive(child, reader, time.monotonic() + timeout * PATIENCE)
    finally:
        os.close(reader)
        status = _end(child)
    if message is None:
        raise HostTimeout(f"not done after {timeout:g} seconds")
    if not message:
        raise HostDied(_epitaph(status))
    succeeded, value, text = _unpack(message)
    if succeeded:
        result: Result = value
        return result
    assert isinstance(value, BaseException)
    raise value from ChildTraceback(text)


def _child(function: Callable[[], Any], writer: int, parent: int) -> NoReturn:
    """The child's whole life. It never returns into the test runner, whose stack it has inherited."""
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() not in (parent, 0):  # 0 for process 1 of a pid namespace
            os._exit(1)
        forget_handlers()
        try:
            message = pickle.dumps((True, function(), ""))
        except BaseException as error:
            message = _pack_error(error)
        sys.stdout.flush()
        sys.stderr.flush()
        _send(writer, message)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def forget_handlers() -> None:
    """Handle and ignore no signal, but those that Python ignores for itself.

    The test runner's handlers are about the test runner, and so is what nohup(1) has it ignore; SIGCHLD must be the
    default for waitpid to work.
    """
    for number in signal.valid_signals() - PYTHONS_OWN:
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)


def _send(writer: int, message: bytes) -> None:
    rest = memoryview(len(message).to_bytes(8, "big") + message)
    while rest:
        rest = rest[os.write(writer, rest) :]


def _receive(child: int, reader: int, deadline: float) -> bytes | None:
    """The child's message; b"" if it died before it had said everything; None if the deadline came first.

    Does not wait for the end of the pipe: a process that the child has left behind may hold it open for ever.
    """
    data = bytearray()
    pidfd = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            ready = {fd for fd, _ in poll.poll(left * 1000)}
            if reader in ready:
                chunk = os.read(reader, 1 << 16)
                data += chunk
                if not chunk:
                    poll.unregister(reader)
            elif pidfd in ready:
                return b""
            if _whole(data) is not None:
                select.select([pidfd], [], [], 5)  # let it end by itself: coverage writes its data on the way out
                return _whole(data)
        return None
    finally:
        os.close(pidfd)


def _whole(data: bytearray) -> bytes | None:
    """The message, once it is complete: eight bytes that tell its length go before it."""
    return bytes(data[8:]) if len(data) >= 8 and len(data) - 8 >= int.from_bytes(data[:8], "big") else None


def _end(child: int) -> int:
    """Kill the child and its process group, reap it, and return its wait status."""
    for kill, pid in ((os.killpg, child), (os.kill, child)):
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return os.waitpid(child, 0)[1]


def _epitaph(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with status {os.WEXITSTATUS(status)} before it had a result"


def _pack_error(error: BaseException) -> bytes:
    """The exception as bytes. Its notes and attributes come along as far as they can be pickled."""
    text = "".join(traceback.format_exception(error))
    # pytest says that these are of module "builtins", where pickle does not find them.
    if isinstance(error, pytest.skip.Exception | pytest.fail.Exception):
        return pickle.dumps((False, (isinstance(error, pytest.skip.Exception), error.msg), text))
    state = {}
    for name, value in vars(error).items():
        try:
            pickle.loads(pickle.dumps(value))
        except Exception:
            continue
        state[name] = value
    try:
        pickle.loads(pickle.dumps((type(error), error.args)))
    except Exception:
        return pickle.dumps((False, RuntimeError(f"{type(error).__qualname__}: {error}"), text))
    system = (error.errno, error.strerror, error.filename) if isinstance(error, OSError) else None
    return pickle.dumps((False, (type(error), error.args, state, system), text))


def _unpack(message: bytes) -> tuple[bool, Any, str]:
    succeeded, value, text = pickle.loads(message)
    if not succeeded and isinstance(value, tuple) and len(value) == 2:
        skipped, words = value
        value = pytest.skip.Exception(words) if skipped else pytest.fail.Exception(words, pytrace=False)
    elif not succeeded and isinstance(value, tuple):
        kind, args, state, system = value
        # Not kind(*args): the constructor of an exception of ours takes other arguments than `args` has.
        error = kind.__new__(kind, *args)
        error.args = args
        error.__dict__.update(state)
        if system is not None:
            error.errno, error.strerror = system[:2]
            if system[2] is not None:  # not unconditionally: None would be printed as the name of a file
                error.filename = system[2]
        value = error
    return succeeded, value, text
