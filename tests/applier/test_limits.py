"""Limits that are reached half-way, and hosts that change meanwhile."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mountplan import api, keeping
from mountplan.applier import kept as names
from mountplan.planner.errors import KeepRefused, StepRefused
from tests.faulthost import SPEC, State, furnish
from tests.hosts import InHost, mount, umount
from tests.trees import MS_BIND, MS_REC, MS_SHARED, ROOT, plan_of

pytestmark = pytest.mark.needs_kernel("root", "set-group")
TWENTY = ROOT + "".join(f'[[mount]]\ntarget = "/m{number}"\ntype = "tmpfs"\n' for number in range(20))


@contextmanager
def meanwhile(disturb: Callable[[int], None]) -> Iterator[None]:
    """Another process calls `disturb` with 0, 1, 2, ... for as long as the block lasts."""
    child = os.fork()
    if child == 0:
        number = 0
        try:
            while True:
                disturb(number)
                number += 1
        finally:
            os._exit(1)
    try:
        yield
        assert (0, 0) == os.waitpid(child, os.WNOHANG), "it has ended by itself"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_mount_max_reached_half_way_is_told_and_leaves_nothing(in_host: InHost) -> None:
    """The host's copy in the namespace counts: it is filled up to less than the plan needs, by doubling a tree."""

    def script() -> StepRefused:
        limit = int(Path("/proc/sys/fs/mount-max").read_text())
        if limit > 200_000:
            pytest.skip(f"fs.mount-max is {limit}, which takes too long to reach")
        furnish()
        plan = plan_of(TWENTY)
        mount("fill", "/mnt/one", "tmpfs")
        room = limit - len(Path("/proc/self/mountinfo").read_text().splitlines()) - 15
        size = 1  # of the tree at /mnt/one
        for number in range(100):
            if room < size:
                break
            os.mkdir(f"/mnt/one/{number}")
            mount("/mnt/one", f"/mnt/one/{number}", flags=MS_BIND | MS_REC)
            room -= size
            size *= 2
        for number in range(100, 130):
            step = 1 << (room.bit_length() - 1) if room > 0 else 0
            if not step:
                break
            depth = step.bit_length() - 1
            os.mkdir(f"/mnt/one/{number}")
            source = "/mnt/one" if depth == 0 else f"/mnt/one/{depth - 1}"
            mount(source, f"/mnt/one/{number}", flags=MS_BIND | (MS_REC if depth else 0))
            room -= step if depth == 0 else 1 << (depth - 1)
        with pytest.raises(StepRefused) as caught:
            api.apply(plan)
        return caught.value

    refused = in_host(script, identity="root", timeout=120)
    assert errno.ENOSPC == refused.errno
    assert "fs.mount-max" in refused.remedy
    assert refused.number > 5


@pytest.mark.parametrize("options", ["nr_inodes=1", "size=4k,nr_inodes=2"])
def test_a_full_run_is_told_and_leaves_nothing(options: str, in_host: InHost) -> None:
    """The store is a filesystem of its own, so what can be missing there is the inode for its directory."""

    def script() -> str:
        furnish()
        plan = plan_of(SPEC)
        umount("/run")
        mount("run", "/run", "tmpfs", data=f"mode=0755,{options}")
        if "size" in options:
            Path("/run/filler").touch()
        before = State.take()
        with pytest.raises(KeepRefused, match="No space left") as caught:
            keeping.keep(plan)
        assert not before.compared_with(State.take())
        umount("/run")
        keeping.keep(plan)
        keeping.remove(names.names())
        return str(caught.value)

    assert "remedy: make room" in in_host(script, identity="root")


def test_mounts_that_come_and_go_on_the_host_meanwhile_do_not_matter(in_host: InHost) -> None:
    """Beside what the spec names, in trees that are shared with it, and in what it binds with all below."""
    spec = SPEC + '[[mount]]\ntarget = "/below"\nbind = "/mnt/data"\n'

    def disturb(number: int) -> None:
        for path in ("/mnt/shared/x", "/mnt/busy"):
            mount("busy", path, "tmpfs")
        for path in ("/mnt/shared/x", "/mnt/busy"):
            umount(path)

    def script() -> None:
        furnish()
        mount("", "/mnt", flags=MS_SHARED)
        for path in ("/mnt/shared/x", "/mnt/busy"):
            os.mkdir(path)
        before = State.take()
        with meanwhile(disturb):
            for _ in range(25):
                api.apply(plan_of(spec))
        for path in ("/mnt/shared/x", "/mnt/busy"):
            while os.path.ismount(path):
                umount(path)
        assert not before.compared_with(State.take())

    in_host(script, identity="root", timeout=120)
