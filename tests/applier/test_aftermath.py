"""What is found out about the host once a build was refused, on the real kernel."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from mountplan.applier.build.build import build
from mountplan.applier.sys.report import Reporter
from mountplan.planner.errors import Aftermath, StepRefused
from tests.hosts import InHost, mount, umount
from tests.mountflags import MNT_DETACH, MS_REMOUNT
from tests.trees import ROOT, plan_of

MANY = "".join(f'[[mount]]\ntarget = "/{number}"\ntype = "tmpfs"\n' for number in range(150))
# Refused when it is built: there is no room for the file.
BAD = '[[mount]]\ntarget = "/bad"\ntype = "tmpfs"\noptions = { nr_inodes = "1" }\n[[mount.file]]\npath = "x"\n'


class Meanwhile(Reporter):
    """Does something on the host when the first hundreds of steps are done: as another process might."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action

    def step(self, done: int) -> None:
        self._action()
        self._action = lambda: None


def refused(spec: str, meanwhile: Callable[[], object] = lambda: None) -> Aftermath:
    with pytest.raises(StepRefused) as caught:
        build(plan_of(spec), Meanwhile(meanwhile))
    assert caught.value.aftermath is not None
    return caught.value.aftermath


@pytest.mark.needs_kernel("mountns")
def test_a_host_that_nobody_has_changed_is_found_the_same(in_host: InHost) -> None:
    assert Aftermath((), (), 0) == in_host(lambda: refused(ROOT + BAD))


@pytest.mark.needs_kernel("root")
def test_what_has_changed_meanwhile_is_told(in_host: InHost) -> None:
    """Which process it was cannot be known from the tables alone."""

    def script() -> Aftermath:
        mount("first", "/mnt", "tmpfs", data="size=4k")
        return refused(ROOT + MANY + BAD, change)

    def change() -> None:
        mount("", "/mnt", flags=MS_REMOUNT, data="size=8k")
        mount("second", "/mnt", "tmpfs")

    assert (
        "/mnt: options of the filesystem: was rw,size=4k, is rw,size=8k",
        "/mnt: a mount has come: tmpfs",
    ) == in_host(script, identity="root").changes


@pytest.mark.needs_kernel("root")
def test_what_cannot_be_read_is_not_told_to_be_the_same(in_host: InHost) -> None:
    """Without /proc there is no table to be compared."""

    def script() -> Aftermath:
        return refused(ROOT + MANY + BAD, lambda: umount("/proc", MNT_DETACH))

    assert in_host(script, identity="root").changes is None


@pytest.mark.needs_kernel("mountns")
def test_a_directory_that_was_made_on_the_host_is_told(in_host: InHost) -> None:
    """`create = true` asks for it, and nothing removes it: other processes may have put something in."""

    def script() -> tuple[Aftermath, bool]:
        mount("none", "/mnt", "tmpfs")
        found = refused(
            'root = "inherit"\n[[mount]]\ntarget = "/mnt/made"\ntype = "tmpfs"\ncreate = true\n'
            + BAD.replace("/bad", "/srv")
        )
        return found, os.path.isdir("/mnt/made")

    assert (Aftermath((), ("step 5, make directory @host:/mnt/made",), 0), True) == in_host(script)
