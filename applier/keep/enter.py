"""enter: the calling process goes into kept namespaces and turns into a command there."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from mountplan.applier.keep.kept import Opened
from mountplan.applier.process.command import STDERR, Report, Start, become
from mountplan.applier.run.run import start_as
from mountplan.applier.sys import syscalls
from mountplan.applier.sys.refusal import KernelRefusal, explain
from mountplan.planner.errors import NamespaceRefused

if TYPE_CHECKING:
    from mountplan.applier.keep.kept_record import Kept
    from mountplan.applier.sys.userns import Rootless


def enter(
    found: Opened, namespace: str, command: tuple[str, ...], rootless: Rootless = "auto", report: Report = STDERR
) -> NoReturn:
    """End as `command` in the mount namespace `namespace`, or the first, started as the spec's [run] says.

    With a pid namespace it takes a child to be in it: then this process waits, and exits with its status. The caller
    must be the only thread; it is hidden from then on from those who live in there. Raises CommandNotStarted, and then
    this process may be inside already, where nothing can be imported any more: say why, and exit. What the kernel
    refuses at the last moment is told to `report`, if it is this process that turns into the command.
    """
    _check(found.kept, rootless)
    start = start_as(found.kept.run, command)
    with found.entrances(found.namespace(namespace)) as fds:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        if any(one.kind == "pid" for one in found.kept.namespaces):
            *others, mounts = fds
            found.let_go()
            _enter(found.kept.name, others)
            _start_child(start, mounts)
        _enter(found.kept.name, fds)
        become(start, report=report)
    raise AssertionError("it returns from no branch")


def _check(kept: Kept, rootless: Rootless) -> None:
    """What is entered has a user namespace of its own or not: that was settled when it was built."""
    has_user_namespace = any(one.kind == "user" for one in kept.namespaces)
    if rootless == ("never" if has_user_namespace else "always"):
        what = "in a user namespace" if has_user_namespace else "without a user namespace of its own"
        remedy = f"leave out --rootless {rootless}, or build it anew: mountplan apply --rootless {rootless} --replace"
        raise NamespaceRefused(f"cannot enter {kept.name}", f"it was built {what}", remedy)


def _enter(name: str, namespaces: list[int]) -> None:
    try:
        syscalls.hide()
        for fd in namespaces:
            syscalls.setns(fd, 0)
    except KernelRefusal as refusal:
        meaning, remedy = explain("enter", refusal.errno or 0, refusal.syscall)
        raise NamespaceRefused(f"cannot enter {name}: {refusal.syscall}", meaning, remedy) from None


def _start_child(start: Start, mounts: int) -> NoReturn:
    """A child becomes the command, in the pid namespace that was entered for children; exit as it does."""
    from mountplan.applier.build.build import Built, Held
    from mountplan.applier.build.holder import await_orders
    from mountplan.applier.process.command import Inherited
    from mountplan.applier.run.waiting import wait_for
    from mountplan.applier.sys import channel
    from mountplan.planner.tables.table import MountTable

    answer, say = channel.pipe()
    leash_end, leash = channel.pipe()
    child = syscalls.fork()
    if child == 0:
        try:
            os.close(answer)
            os.close(leash)
            inherited = Inherited.take(frozenset())
            await_orders(channel.Sender(say), inherited, leash_end, -1, init=False)
        finally:
            os._exit(1)
    os.close(say)
    os.close(leash_end)
    built = Built(child, leash, answer, ())
    built.pidfd = os.pidfd_open(child)
    built.namespaces = (Held("", mounts, -1, MountTable(())),)
    raise SystemExit(wait_for(built, start, "", None, whole=True))
