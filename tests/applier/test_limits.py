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
from mountplan.applier.keep import kept as names
from mountplan.planner.errors import KeepRefused, StepRefused
from tests.faulthost import SPEC, State, furnish
from tests.hosts import InHost, mount, umount
from tests.load import apply_in_parallel
from tests.mountflags import MS_BIND, MS_REC, MS_SHARED
from tests.trees import ROOT, plan_of

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

    def script() -> tuple[int, str, int]:
        limit = int(Path("/proc/sys/fs/mount-max").read_text())
        if limit > 200_000:
            pytest.skip(f"fs.mount-max is {limit}, which takes too long to reach")
        furnish()
        plan = plan_of(TWENTY)
        os.mkdir("/mnt/fill")
        mount("fill", "/mnt/fill", "tmpfs")
        room = limit - len(Path("/proc/self/mountinfo").read_text().splitlines()) - 15
        doublings = 0
        while room >= 1 << doublings:  # /mnt/fill/N gets a tree of 2 to the Nth mounts
            os.mkdir(f"/mnt/fill/{doublings}")
            mount("/mnt/fill", f"/mnt/fill/{doublings}", flags=MS_BIND | MS_REC)
            room -= 1 << doublings
            doublings += 1
        for number in reversed(range(doublings)):
            if room >= 1 << number:
                os.mkdir(f"/mnt/fill/rest{number}")
                mount(f"/mnt/fill/{number}", f"/mnt/fill/rest{number}", flags=MS_BIND | MS_REC)
                room -= 1 << number
        assert room == 0
        with pytest.raises(StepRefused) as caught:
            api.build_and_forget(plan)
        return caught.value.errno, caught.value.remedy, caught.value.number

    number, remedy, step = in_host(script, identity="root", timeout=120)
    assert errno.ENOSPC == number
    assert "fs.mount-max" in remedy
    assert step > 5


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
        mount("run", "/run", "tmpfs", data="mode=0755")  # and not the machine's, which has the names of its users
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
                api.build_and_forget(plan_of(spec))
        for path in ("/mnt/shared/x", "/mnt/busy"):
            while os.path.ismount(path):
                umount(path)
        assert not before.compared_with(State.take())

    in_host(script, identity="root", timeout=120)


def test_many_applies_at_once_are_all_correct_and_leave_nothing(in_host: InHost) -> None:
    """bench/many_applies.py does this with 200."""
    assert in_host(lambda: apply_in_parallel(12), identity="root", timeout=300) > 0
