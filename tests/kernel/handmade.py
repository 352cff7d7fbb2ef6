"""States made by hand, by the mount calls of their test: captured, built again, and compared."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from mountplan.applier.sys import abi
from tests.hosts import InHost, mount, prctl, umount, unshare
from tests.kernel.capture_fuzz import compare_again
from tests.mountflags import MNT_DETACH, MS_BIND, MS_PRIVATE, MS_REC

CLONE_NEWNS = abi.CLONE_NEWNS
_libc = ctypes.CDLL(None, use_errno=True)


class Alive(NamedTuple):
    pids: list[int]


@contextmanager
def inhabited(build: Callable[[], object], meanwhile: Callable[[int], object] = lambda _: None) -> Iterator[int]:
    """A process in a namespace of its own, a copy of the host's, with what `build` makes of it.

    While it is at that, `meanwhile` is called with its pid.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            prctl(1, signal.SIGKILL)
            unshare(CLONE_NEWNS)
            build()
            os.write(writer, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    try:
        meanwhile(child)
        assert b"x" == os.read(reader, 1), "the state cannot be made"
        yield child
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def restored(in_host: InHost, *builds: Callable[[], object], host: Callable[[], object] = lambda: None) -> str:
    """What is wrong with these namespaces once they are captured and built again; "" if nothing is."""

    def script() -> str:
        host()
        with ExitStack() as stack:
            return compare_again(Alive([stack.enter_context(inhabited(build)) for build in builds]))

    return in_host(script, identity="root")


def begin(*directories: str) -> None:
    """A private tmpfs as working directory, which enter() makes the root, with directories in it."""
    mount("root", "/mnt", "tmpfs")
    mount("", "/mnt", flags=MS_PRIVATE)
    os.chdir("/mnt")
    for name in directories:
        os.makedirs(name)


def enter() -> None:
    if _libc.pivot_root(b".", b".") < 0:
        raise OSError(ctypes.get_errno(), "pivot_root")
    umount(".", MNT_DETACH)


def new(place: str, *directories: str) -> None:
    mount(place, place, "tmpfs")
    for name in directories:
        os.makedirs(f"{place}/{name}")


def bind(source: str, place: str) -> None:
    mount(source, place, flags=MS_BIND)


def make(place: str, *kinds: int) -> None:
    for kind in kinds:
        mount("", place, flags=kind)


def own(*directories: str) -> None:
    """begin(), cut off from the host."""
    make("/", MS_REC | MS_PRIVATE)
    begin(*directories)
