"""A process whose mount namespace is captured, and what that comes to."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mountplan import api
from mountplan.capturing import Capture
from mountplan.planner.capture.captured import CapturedMount
from tests.hosts import CLONE_NEWNS, mount, unshare
from tests.mountflags import MS_REC, MS_SLAVE


@contextmanager
def held(function: Callable[[], object]) -> Iterator[int]:
    """A process with a mount namespace of its own, slave of the host's, in which `function` has been called."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            unshare(CLONE_NEWNS)
            mount("", "/", flags=MS_REC | MS_SLAVE)
            function()
            os.write(writer, b".")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    try:
        assert b"." == os.read(reader, 1)
        yield child
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def captured(function: Callable[[], object]) -> Capture:
    """What is captured of such a process, and can be built."""
    with held(function) as pid:
        capture = api.capture(pid, name="state")
    api.build_and_forget(api.plan(api.load("captured.toml", capture.text.encode())))
    return capture


def at(capture: Capture, target: str) -> CapturedMount:
    """The last mount with this target."""
    return [one for one in capture.captured.namespaces[0].mounts if one.target == target][-1]
