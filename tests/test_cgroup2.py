"""The machine's cgroup2 gets back what it had, however the test ends that has set other options."""

from __future__ import annotations

import os
import signal

import pytest

from tests.cgroup2 import OPTIONS, options, systemds_options
from tests.hosts import moments


@pytest.mark.alone
@pytest.mark.needs_kernel("root", "fs:cgroup2")
def test_the_options_come_back_when_the_process_is_killed_that_has_set_them() -> None:
    """Nobody would look for it there."""
    before = options()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            with systemds_options() as has_them:
                os.write(writer, b"1" if has_them else b"0")
                signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    has_them = os.read(reader, 1) == b"1"
    during = options()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    for _ in moments():
        if set(options()) == set(before):
            break
    assert set(before) == set(options())
    if not has_them:
        pytest.skip("the options of cgroup2 can be set from the machine's first cgroup namespace only")
    assert set(OPTIONS) <= set(during)
