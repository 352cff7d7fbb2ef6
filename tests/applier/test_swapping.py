"""Paths whose parts are swapped for symlinks while a plan is carried out: what is outside of them is never reached."""

from __future__ import annotations

import os
from mmap import mmap
from pathlib import Path

import pytest

from mountplan.applier import syscalls
from mountplan.planner.errors import MountplanError
from tests.applier.test_limits import meanwhile
from tests.faulthost import furnish
from tests.hosts import InHost
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("root")
ROUNDS = 10_000


def everything() -> list[str]:
    """All paths that can be found. What is swapped away between two looks is passed over."""
    return [os.path.join(top, name) for top, directories, files in os.walk("/") for name in (*directories, *files)]


def swapped(spec: str) -> tuple[int, int]:
    """Build `spec` until /mnt/data/dir and /mnt/data/link, which leads to /mnt/outside, have changed places so often.

    How often it came out, and how often it was refused. Whenever it came out, it shows nothing from outside.
    """
    furnish()
    os.mkdir("/mnt/outside")
    os.mkdir("/mnt/outside/sub")
    Path("/mnt/outside/sub/canary").write_text("canary")
    Path("/mnt/data/dir/sub/inside").write_text("inside")
    os.symlink("/mnt/outside", "/mnt/data/link")
    plan = plan_of(spec)
    directory = os.open("/mnt/data", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    count = memoryview(mmap(-1, 8)).cast("Q")

    def swap(number: int) -> None:
        syscalls.exchange(directory, b"dir", b"link")
        count[0] = number

    outcomes = [0, 0]
    with meanwhile(swap):
        while count[0] < ROUNDS or min(outcomes) == 0:
            if sum(outcomes) > 2000:
                break
            try:
                with tree(plan) as built:
                    found = built.inside(everything)
                assert not any("canary" in path for path in found), found
                outcomes[0] += 1
            except (MountplanError, LookupError):
                outcomes[1] += 1
    assert ["/mnt/outside/sub", "/mnt/outside/sub/canary"] == [
        str(one) for one in sorted(Path("/mnt/outside").rglob("*"))
    ]
    return outcomes[0], outcomes[1]


def test_a_source_that_is_swapped_for_a_symlink_is_never_followed_elsewhere(in_host: InHost) -> None:
    """What the plan names is bound, or the build is refused: nothing from where the link leads."""
    spec = f'{ROOT}[[mount]]\ntarget = "/bound"\nbind = "/mnt/data/dir/sub"\n'
    came_out, was_refused = in_host(lambda: swapped(spec), identity="root", timeout=120)
    assert came_out > 0
    assert was_refused > 0


def test_a_target_that_is_swapped_for_a_symlink_never_escapes(in_host: InHost) -> None:
    """Neither is anything mounted outside, nor a mountpoint made there."""
    spec = f"""{ROOT}
    [[mount]]
    target = "/data"
    bind = "/mnt/data"
    [[mount]]
    target = "/data/dir/sub/new"
    type = "tmpfs"
    create = true
    """
    came_out, was_refused = in_host(lambda: swapped(spec), identity="root", timeout=120)
    assert came_out > 0
    assert was_refused > 0
