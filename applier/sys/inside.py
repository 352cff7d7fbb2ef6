"""Run a function in a forked child, and have what it returns: for looks into namespaces we stay out of."""

from __future__ import annotations

import errno
import fcntl
import marshal
import os

from mountplan.applier.sys import abi, channel, syscalls
from mountplan.applier.sys.plain_signal import signal
from mountplan.applier.sys.refusal import KernelRefusal, call_of, function_at, place_of
from mountplan.planner.errors import NamespaceRefused
from mountplan.planner.light import TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

Result = TypeVar("Result")


class ChildFailed(Exception):
    """The child ended without an answer, or with an error that is no OSError: what it said."""


class ChildKilled(ChildFailed, NamespaceRefused):
    """It ended without an answer, as by a SIGKILL of the kernel's."""

    def __init__(self) -> None:
        remedy = "look into the kernel's log (dmesg), and try again"
        NamespaceRefused.__init__(
            self, "cannot work in a namespace", "the process that was to do it was killed", remedy
        )


def in_child(function: Callable[[], Result]) -> Result:
    """What `function` returns in a child process; it must be made of what marshal can write.

    An OSError of the child is raised here as KernelRefusal, any other exception as ChildFailed. Raises ChildKilled if
    there is no answer. The child dies with its parent.
    """
    reading, writing = channel.pipe()
    parent = os.getpid()
    child = syscalls.fork()
    if child == 0:
        _work(function, reading, writing, parent)
    try:
        os.close(writing)
        with open(reading, "rb") as file:
            data = file.read()
    finally:
        os.waitpid(child, 0)
    result: Result = result_in(data)
    return result


def _work(function: Callable[[], Any], reading: int, writing: int, parent: int) -> NoReturn:
    try:
        os.close(reading)

        def answer() -> Any:
            die_with(parent)
            return function()

        syscalls.write_all(writing, answer_of(answer))
        os._exit(0)
    finally:
        os._exit(1)


def die_with(parent: int) -> None:
    """In a child: end as soon as the parent does, and leave what comes from the keyboard to that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def answer_of(function: Callable[[], Any]) -> bytes:
    """What `function` returns or raises, for result_in()."""
    try:
        answer = ("returned", function())
        return marshal.dumps(answer)
    except OSError as error:
        return marshal.dumps(("refused", (error.errno or 0, call_of(error), place_of(error))))
    except MemoryError:
        return marshal.dumps(("refused", (errno.ENOMEM, "", None)))
    except Exception as error:
        return marshal.dumps(("failed", f"{type(error).__name__}: {error}"))


def result_in(answer: bytes) -> Any:
    """What answer_of() has of a function that has returned; raises as in_child() does for any other."""
    if not answer:
        raise ChildKilled
    kind, value = marshal.loads(answer)
    if kind == "returned":
        return value
    if kind == "refused":
        number, call, place = value
        raise KernelRefusal(number, call or (function_at(place) if place else ""))
    raise ChildFailed(value)


def enter(namespace: int) -> None:
    """Enter a mount namespace, by way of the user namespace that owns it if it takes that. Raises OSError.

    The process stays hidden from those in there. It is to be one that ends soon.
    """
    owner = -1
    syscalls.hide()
    try:
        owner = fcntl.ioctl(namespace, abi.NS_GET_USERNS)
        if not os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user")):
            syscalls.setns(owner, abi.CLONE_NEWUSER)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise
    finally:
        if owner >= 0:
            os.close(owner)
    syscalls.setns(namespace, abi.CLONE_NEWNS)
