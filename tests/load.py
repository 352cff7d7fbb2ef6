"""Many applies at once, each of a spec of its own, as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from mountplan import keeping
from mountplan.applier.keep import kept as names
from tests.faulthost import State, furnish
from tests.hosts import PATIENCE
from tests.trees import ROOT


def spec_of(number: int) -> str:
    """Specs differ in their mounts, too: the tree of one is not that of another."""
    mounts = "".join(f'[[mount]]\ntarget = "/m{number}/{one}"\ntype = "tmpfs"\n' for one in range(1 + number % 5))
    return f'format = 1\nname = "load{number}"\n{ROOT}{mounts}'


def apply_in_parallel(count: int) -> float:
    """Apply `count` specs at the same time, and look at them; how many seconds the applies took.

    AssertionError unless all stand as they were written, and nothing is left when they are removed.
    """
    furnish()
    for number in range(count):
        Path(f"/mnt/spec{number}.toml").write_text(spec_of(number))
    os.mkdir("/run/mountplan", 0o700)  # it stays when the last name has gone
    before = State.take()
    started = time.monotonic()
    command = [sys.executable, "-m", "mountplan", "apply", "--quiet", "--timeout", str(300 * PATIENCE)]
    running = [
        subprocess.Popen([*command, f"/mnt/spec{number}.toml"], env={**os.environ, "XDG_CACHE_HOME": "/nonexistent"})
        for number in range(count)
    ]
    statuses = [one.wait() for one in running]
    seconds = time.monotonic() - started
    assert {0} == set(statuses), statuses
    standing = {one.kept.name: one for one in keeping.kept()}
    for number in range(count):
        one = standing[f"load{number}"]
        assert (one.health, one.mounts) == ("healthy", 2 + number % 5), one
        targets = {row.mountpoint for _, table in one.tables for row in table.rows}
        assert targets == {"/", *(f"/m{number}/{place}" for place in range(1 + number % 5))}
    keeping.remove(names.names())
    left = before.compared_with(State.take())
    assert not left, left
    return seconds
