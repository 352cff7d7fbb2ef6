"""A throw-away machine that looks like systemd's: everything shared, names and namespaces of others, one-instance
filesystems. Commands are carried out on it, and what it was before each is held against what it is afterwards.

It is a mount and a pid namespace, so that nothing of it is left when the test ends, however it ends.
"""

from __future__ import annotations

import functools
import os
import pickle
import select
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from tests import cgroup2
from tests.commands import Outcome, become_command_line
from tests.hosts import CLONE_NEWNS, PATIENCE, PR_SET_PDEATHSIG, mount, prctl, setns, umount, unshare
from tests.machinestate import IMAGES, WORK, namespaces, processes, read_table, type_of
from tests.mountflags import MNT_DETACH, MS_BIND, MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE

Result = TypeVar("Result")
Moment = Callable[[frozenset[int]], bool]  # is it now? Given the mount namespaces that stood there before the command

CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_PATIENCE = 60.0 * PATIENCE  # seconds for one command

# Where systemd mounts what the machine has once. Its cgroup2 is wherever the machine has it.
_ONCE = {"debugfs": "/sys/kernel/debug", "tracefs": "/sys/kernel/tracing"}


# ---- the machine ----------------------------------------------------------------------------------------------------


def on_machine(function: Callable[[], Result]) -> Callable[[], Result]:
    """`function`, as process 1 of such a machine; for in_host, as root."""

    def script() -> Result:
        # The file of a mount namespace can be mounted in an older one only, and the kernel counts them by CPU.
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cpus)})
        unshare(CLONE_NEWPID | CLONE_NEWNS)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            os.close(reader)
            _be_process_1(function, writer, cpus)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            message = file.read()
        os.waitpid(child, 0)
        assert message, "process 1 of the machine has died"
        done, value = pickle.loads(message)
        assert done, f"on the machine:\n{value}"
        result: Result = value
        return result

    return script


def _be_process_1(function: Callable[[], object], writer: int, cpus: set[int]) -> NoReturn:
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        Path("/proc/thread-self/comm").write_text("machine")
        _set_up()
        os.sched_setaffinity(0, cpus)
        message = pickle.dumps((True, function()))
    except BaseException:
        message = pickle.dumps((False, traceback.format_exc()))
    with os.fdopen(writer, "wb") as file:
        file.write(message)
    os._exit(0)


def _set_up() -> None:
    umount("/proc", MNT_DETACH)
    mount("proc", "/proc", "proc")
    mount("", "/", flags=MS_REC | MS_SHARED)
    there = {type_of(line) for line in read_table("/proc/self/mountinfo")}
    for fstype, target in _ONCE.items():
        if fstype not in there:  # to mount it again may set its options anew, for the whole machine
            mount(fstype, target, fstype)
    if "cgroup2" not in there:
        mount("cgroup2", "/sys/fs/cgroup", "cgroup2", data=",".join(cgroup2.options()))
    mount("run", "/run", "tmpfs", data="mode=0755")
    mount("srv", "/srv", "tmpfs", data="mode=0755")
    for path in (WORK, IMAGES, "/srv/data", "/srv/feed", "/srv/covered"):
        os.makedirs(path)
    mount("feed", "/srv/feed", "tmpfs")
    _make_net_namespace()
    _make_namespace_file()


def _make_net_namespace() -> None:
    """What `ip netns add blue` makes."""
    os.mkdir("/run/netns")
    mount("/run/netns", "/run/netns", flags=MS_BIND)
    Path("/run/netns/blue").touch()
    _mount_namespace(spawn("ip", lambda: unshare(CLONE_NEWNET)), "net", "/run/netns/blue")


def _make_namespace_file() -> None:
    """What `unshare --mount=/run/tool/ns/app.mnt` makes, and snapd: that takes a private mount below the file."""
    os.makedirs("/run/tool/ns")
    mount("/run/tool/ns", "/run/tool/ns", flags=MS_BIND)
    mount("", "/run/tool/ns", flags=MS_PRIVATE)
    Path("/run/tool/ns/app.mnt").touch()

    def inside() -> None:
        unshare(CLONE_NEWNS)
        mount("", "/", flags=MS_REC | MS_SLAVE)
        mount("app", "/srv/covered", "tmpfs")

    _mount_namespace(spawn("unshare", inside), "mnt", "/run/tool/ns/app.mnt")


def _mount_namespace(process: int, kind: str, file: str) -> None:
    """From now on the file keeps the namespace of the process, which ends."""
    mount(f"/proc/{process}/ns/{kind}", file, flags=MS_BIND)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def be_service() -> None:
    """As systemd starts many: a slave copy of the machine's mounts, with its own on some of the same directories."""
    unshare(CLONE_NEWNS)
    mount("", "/", flags=MS_REC | MS_SLAVE)
    mount("service", "/srv/data", "tmpfs")
    mount("/usr", "/srv/covered", flags=MS_BIND)


def be_sandbox() -> None:
    """A private copy, in which names may be kept as well: in a store of its own, on the same directory."""
    unshare(CLONE_NEWNS)
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    mount("sandbox", "/srv/data", "tmpfs")
    mount("sandbox", "/srv/images", "tmpfs")


def spawn(name: str, prepare: Callable[[], object]) -> int:
    """A process that does nothing any more once `prepare` is done."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            Path("/proc/self/comm").write_text(name)
            prepare()
            os.write(writer, b".")
            os.close(reader)
            os.close(writer)
            while True:
                signal.pause()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writer)
    ready = os.read(reader, 1)
    os.close(reader)
    assert ready, "a process of the machine has not come up"
    return child


# ---- commands -------------------------------------------------------------------------------------------------------


def carry_out(argv: list[str], *, within: int = 0, stdin: str = "", killed: Moment | None = None) -> Outcome:
    """One command line in a process of its own, in the mount namespace of process `within`; `killed` at that moment."""
    standing = frozenset(inode for _, inode in namespaces())
    files = [os.memfd_create(name) for name in ("in", "out", "err")]
    os.pwrite(files[0], stdin.encode(), 0)
    namespace = os.open(f"/proc/{within or 'self'}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        own = {"SHELL": "/bin/sh", "COLUMNS": "80", "XDG_CACHE_HOME": f"{WORK}/cache"}
        enter = functools.partial(setns, namespace) if within else lambda: None
        become_command_line(tuple(argv), tuple(files), "/srv", os.environ | own, enter)
    os.close(namespace)
    pidfd = os.pidfd_open(child)
    deadline = time.monotonic() + _PATIENCE
    while not select.select([pidfd], [], [], 0 if killed else _PATIENCE)[0]:
        if (killed and killed(standing)) or time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            break
    os.close(pidfd)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    texts = []
    for fd in files[1:]:
        texts.append(os.pread(fd, 1 << 20, 0).decode(errors="replace"))
    for fd in files:
        os.close(fd)
    return Outcome(status, *texts)


def is_building(standing: frozenset[int]) -> bool:
    """There is a process in a mount namespace that did not stand there before the command."""
    return any(inode not in standing for _, inode in namespaces())


def runs(program: str) -> Moment:
    """A process of that name is there."""
    return lambda _: any(one.endswith(f" {program}") for one in processes())
