"""A process that enters the namespaces of a tree that stands, changes it, and ends."""

from __future__ import annotations

import marshal
import os
import signal
from collections.abc import Callable
from typing import Any, TypeAlias

from mountplan.applier.build.execute import StepFailed, load_what_is_needed
from mountplan.applier.change.live_execute import OtherMount, execute_change
from mountplan.applier.change.live_kernel import Entrance, LiveKernel
from mountplan.applier.sys import abi, channel, syscalls
from mountplan.applier.sys.inside import ChildFailed, in_child
from mountplan.applier.sys.refusal import Occupied, call_of
from mountplan.applier.sys.report import Reporter
from mountplan.planner.change.change_steps import ChangeStep
from mountplan.planner.plan.steps import STEP_TYPES
from mountplan.planner.record import NamedTuple

Answer: TypeAlias = "tuple[Any, ...] | None"  # a Refused


class Refused(NamedTuple):
    """The step (from 1 on) that was refused; `meaning` and `remedy` if no errno says enough. `begun` tells whether
    something that stands had been changed by then.
    """

    step: int
    errno: int
    syscall: str
    meaning: str
    remedy: str
    log: tuple[str, ...]
    begun: bool


def carry_out(
    steps: tuple[ChangeStep, ...],
    entrances: tuple[Entrance, ...],
    others: tuple[tuple[str, int], ...],
    begin: Callable[[], None] | None = None,
) -> Refused | None:
    """Carry the steps out in a child; None if all were. `others` are namespaces of other kinds to enter first.

    `begin` is called, in the child, before anything that stands is changed. Raises KernelRefusal if the child itself
    cannot be had, and ChildFailed.
    """
    load_what_is_needed(tuple(step for step in steps if isinstance(step, STEP_TYPES)))

    def work() -> tuple[object, ...] | None:
        syscalls.hide()
        os.umask(0)
        for kind, fd in sorted(others, key=lambda one: one[0] != "user"):
            syscalls.setns(fd, abi.NAMESPACE_FLAGS[kind])
        if any(kind == "pid" for kind, _ in others):
            return _in_grandchild(inside)  # who enters a pid namespace is not in it: its children are
        return inside()

    def inside() -> tuple[object, ...] | None:
        begun = False

        def note() -> None:
            nonlocal begun
            begun = True
            if begin is not None:
                begin()

        try:
            execute_change(steps, LiveKernel(entrances), Reporter(), note)
        except StepFailed as failed:
            cause = failed.cause
            told = ("", "")
            if isinstance(cause, Occupied):
                told = cause.meaning, cause.remedy
            elif isinstance(cause, OtherMount):
                told = cause.strerror or "", "plan the change again"
            log = tuple(getattr(cause, "log", ()))
            return (failed.index + 1, cause.errno or 0, call_of(cause), *told, log, begun)
        return None

    answer = in_child(work)
    return None if answer is None else Refused._make(answer)


def _in_grandchild(function: Callable[[], Answer]) -> Answer:
    """What `function` returns in a child in another pid namespace, which does not see its parent; it dies with that."""
    reading, writing = channel.pipe()
    child = syscalls.fork()
    if child == 0:
        try:
            syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
            data = marshal.dumps(function())
            while data:
                data = data[os.write(writing, data) :]
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    if not data:
        raise ChildFailed("the process that changed the namespace was killed")
    answer: Answer = marshal.loads(data)
    return answer
