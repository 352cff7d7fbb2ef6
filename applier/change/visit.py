"""A process that enters the namespaces of a tree that stands, changes it, and ends."""

from __future__ import annotations

import marshal
import os
import signal
from collections.abc import Callable
from typing import Any, TypeAlias

from mountplan.applier.build.execute import StepFailed, load_what_is_needed
from mountplan.applier.change.live_execute import execute_change, first_change
from mountplan.applier.change.live_kernel import Entrance, LiveKernel, OtherMount
from mountplan.applier.sys import abi, channel, syscalls
from mountplan.applier.sys.inside import ChildKilled, in_child
from mountplan.applier.sys.owned import enter_as_its_user
from mountplan.applier.sys.refusal import KernelRefusal, Occupied, Place, function_at, place_of
from mountplan.applier.sys.report import Reporter
from mountplan.planner.change.change_steps import ChangeStep, WriteFile
from mountplan.planner.names import Handle
from mountplan.planner.plan.steps import STEP_TYPES
from mountplan.planner.record import NamedTuple

Answer: TypeAlias = "tuple[bool, tuple[Any, ...]]"  # whether all was carried out, and what is in Visited or Refused


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


class Visited(NamedTuple):
    """All steps were carried out. `present` are new filesystems whose superblocks may have been there before."""

    present: tuple[Handle, ...]


def carry_out(
    steps: tuple[ChangeStep, ...],
    entrances: tuple[Entrance, ...],
    others: tuple[tuple[str, int], ...],
    begin: Callable[[], None] | None = None,
) -> Refused | Visited:
    """Carry the steps out in a child. `others` are namespaces of other kinds to enter first.

    `begin` is called, in the child, before anything that stands is changed. Raises KernelRefusal if the child itself
    cannot be had, and ChildKilled.
    """
    load_what_is_needed(tuple(step for step in steps if isinstance(step, STEP_TYPES)))
    __import__("resource")  # who has become another user may be unable to read it

    def work() -> Answer:
        syscalls.hide()
        os.umask(0)
        for kind, fd in sorted(others, key=lambda one: one[0] != "user"):
            if kind == "user":
                enter_as_its_user(fd)
            else:
                syscalls.setns(fd, abi.NAMESPACE_FLAGS[kind])
        if any(kind == "pid" for kind, _ in others):
            return _in_grandchild(inside)  # who enters a pid namespace is not in it: its children are
        return inside()

    def inside() -> Answer:
        try:
            return True, execute_change(steps, LiveKernel(entrances), Reporter(), begin or (lambda: None))
        except StepFailed as failed:
            cause = failed.cause
            told = ("", "")
            if isinstance(cause, Occupied):
                told = cause.meaning, cause.remedy
            elif isinstance(cause, OtherMount):
                told = cause.strerror or "", "plan the change again"
            log = tuple(getattr(cause, "log", ()))
            first = first_change(steps)  # one call, which was refused and has changed nothing; but for a file
            begun = failed.index > first or (failed.index == first and isinstance(steps[first], WriteFile))
            # What is at the path of our source is another file here, if the root is another.
            call = getattr(cause, "syscall", "") or place_of(cause) or ""
            return False, (failed.index + 1, cause.errno or 0, call, *told, log, begun)

    done, answer = in_child(work)
    if done:
        return Visited(tuple(answer))
    refused = Refused._make(answer)
    call: str | Place = refused.syscall
    return refused if isinstance(call, str) else refused._replace(syscall=function_at(call))


def _in_grandchild(function: Callable[[], Answer]) -> Answer:
    """What `function` returns in a child in another pid namespace, which does not see its parent; it dies with that."""
    reading, writing = channel.pipe()
    child = syscalls.fork()
    if child == 0:
        try:
            syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
            try:
                data = marshal.dumps(("returned", function()))
            except OSError as error:
                data = marshal.dumps(
                    ("refused", (error.errno or 0, getattr(error, "syscall", "") or place_of(error) or ""))
                )
            while data:
                data = data[os.write(writing, data) :]
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    if not data:
        raise ChildKilled
    kind, value = marshal.loads(data)
    if kind == "refused":
        number, call = value
        raise KernelRefusal(number, call if isinstance(call, str) else function_at(call))
    answer: Answer = value
    return answer
