"""A command in namespaces that were built: with a process that waits for it, or in place of the calling process.

Who becomes the command:

- exec_in, as a rule: the calling process itself. It enters the namespaces and lets the holder go. No process of
  ours is left, so that exit status, signals, the terminal and job control are the command's own.
- run_in, or if the caller wants to be told of its end (`status_fd`): the holder. The calling process waits.
- with a new pid namespace: a child of the holder, which is process 1 there (init.py). The calling process waits.
"""

from __future__ import annotations

import os
import sys

from mountplan.applier.process.command import STDERR, Report, Start, become
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.refusal import KernelRefusal, explain
from mountplan.planner.errors import CommandNotStarted
from mountplan.planner.run_settings import RunSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from mountplan.applier.build.build import Built


def check_settings(settings: RunSettings, command: tuple[str, ...]) -> None:
    """Raise CommandNotStarted for what cannot work, whatever is built. Costs nothing, so ask before building."""
    from mountplan.planner.run_settings import CAPABILITIES

    if not command:
        raise CommandNotStarted("there is no command to run", "name one after --, or write run.command in the spec", 2)
    if settings.hostname and "uts" not in settings.unshare:
        raise CommandNotStarted(
            f"cannot set the host name to {settings.hostname!r}: it would be the whole machine's",
            'add "uts" to run.unshare',
            2,
        )
    for name in settings.capabilities or ():
        if name not in CAPABILITIES:
            what = f"cannot keep capability {name}: there is none of that name"
            raise CommandNotStarted(what, "correct run.capabilities", 2)


def run_in(
    built: Built, settings: RunSettings, command: tuple[str, ...], *, namespace: str = "", status_fd: int | None = None
) -> int:
    """Run `command` in the mount namespace `namespace`, or the first; its exit status, 128 + n if signal n ended it.

    Signals that would end this process meanwhile are passed on to the command. If a handler of this process raises
    an exception (KeyboardInterrupt), the command has a moment to end before it is killed. `status_fd` gets a line of
    JSON when the command runs (child-pid) and when it has ended (exit-code). Uses `built` up. Raises CommandNotStarted.
    """
    from mountplan.applier.run.waiting import wait_for

    start = _start(built, settings, command)
    return wait_for(built, start, namespace, status_fd, whole=False)


def exec_in(
    built: Built,
    settings: RunSettings,
    command: tuple[str, ...],
    *,
    namespace: str = "",
    status_fd: int | None = None,
    report: Report = STDERR,
) -> NoReturn:
    """End as `command`: turn into it, or wait for it and exit with its status. Signals are the command's either way.

    The caller must be the only thread. Raises CommandNotStarted, and then this process may be inside the new root
    already, where nothing can be imported any more: say why, and exit. If it turns into the command, what the kernel
    refuses at the last moment is told to `report` instead.
    """
    start = _start(built, settings, command)
    if "pid" in built.kinds or status_fd is not None:
        from mountplan.applier.run.waiting import wait_for

        status = wait_for(built, start, namespace, status_fd, whole=True)
        raise SystemExit(status)
    _enter(built, namespace)
    become(start, report=report)


def _start(built: Built, settings: RunSettings, command: tuple[str, ...]) -> Start:
    missing = set(settings.unshare) - set(built.kinds)
    if missing:
        raise ValueError(f"the namespaces must be built with kinds={settings.unshare!r}, not {built.kinds!r}")
    return start_as(settings, command)


def start_as(settings: RunSettings, command: tuple[str, ...]) -> Start:
    """How `command` is to be started, as a spec's [run] says. Raises CommandNotStarted for what cannot work."""
    check_settings(settings, command)
    environment = {} if settings.clear_environment else dict(os.environ)
    environment["PWD"] = settings.cwd
    environment.update(settings.environment)
    return Start(
        tuple(command), environment, settings.cwd, settings.hostname, settings.capabilities, settings.no_new_privs
    )


def _enter(built: Built, namespace: str) -> None:
    """Enter all the namespaces of the holder, and let it go."""
    flags = 0
    if built.kinds:
        from mountplan.applier.sys.abi import NAMESPACE_FLAGS

        flags = sum(NAMESPACE_FLAGS[kind] for kind in built.kinds if kind != "user")
    if os.stat("/proc/self/ns/user").st_ino != os.stat(f"/proc/{built.pid}/ns/user").st_ino:
        flags |= abi.CLONE_NEWUSER
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    try:
        mounts = built.open_mounts(namespace)
        syscalls.hide()
        if flags:
            syscalls.setns(built.pidfd, flags)
        syscalls.setns(mounts, abi.CLONE_NEWNS)  # makes the topmost mount on its "/" our root and working directory
        os.close(mounts)
    except OSError as error:
        syscall = error.syscall if isinstance(error, KernelRefusal) else "open"
        meaning, remedy = explain("enter", error.errno or 0, syscall)
        # Not NamespaceRefused: in the new root, nothing could be imported to tell of it.
        raise CommandNotStarted(f"cannot enter the namespaces that were built: {syscall}: {meaning}", remedy) from None
    built.close()
