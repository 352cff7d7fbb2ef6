"""What a tree costs a test that is not the first: CPU time and time by the clock, beside the same system calls in C.

    python bench/plugin.py [--runs N]      (as root)

Builds a tree of three mounts and closes it, again and again, in a process that has loaded what pytest and the
plugin load. CPU time is that of this process, of its children and of the process that stands by to build, user and
system; `fork` is that of a fork of this process by itself, which the first tree takes, and all of `usual`.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent))

import pytest  # noqa: F401  what a test process has loaded, and a fork copies
from floor import compile_floor, run_floor, write_tape

from mountplan import api, pipeline
from mountplan.applier.build.standby import Standby
from mountplan.applier.observe.facts import LiveHost
from mountplan.forms import spec_of
from mountplan.tree import build

STANDBY = Standby()


def cpu() -> float:
    """Seconds of this process, of the children that it has waited for, and of the one that stands by."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used) + of_process(STANDBY.pid)


def of_process(pid: int) -> float:
    """With its children, of which the kernel tells hundredths of a second only; so all is told as a mean."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    of_children = sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9 + of_children


def tree() -> None:
    """As the fixture does it."""
    build(pipeline.plan(spec_of(TEXT), LiveHost()), standby=STANDBY).close()


def usual() -> None:
    build(pipeline.plan(spec_of(TEXT), LiveHost())).close()


def fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def timed(name: str, runs: int) -> None:
    actions = {"tree": tree, "usual": usual, "fork": fork, "plan": lambda: pipeline.plan(spec_of(TEXT), LiveHost())}
    action = actions[name]
    for _ in range(2):  # the first is another
        action()
    clocks, before = [], cpu()
    for _ in range(runs):
        begun = time.perf_counter()
        action()
        clocks.append(time.perf_counter() - begun)
    used = (cpu() - before) / runs
    print(f"{name:<20} {median(clocks) * 1000:8.1f} ms by the clock {used * 1000:8.1f} ms of CPU time")


TEXT = """
format = 1
[[mount]]
id = "root"
target = "/"
type = "tmpfs"
[[mount]]
target = "/srv/data"
type = "tmpfs"
[[mount]]
target = "/srv/copy"
bind = { mount = "root", path = "/files" }
attributes = ["ro"]
"""

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tape, program = Path(folder) / "tape", compile_floor(Path(folder))
        write_tape(api.plan(TEXT), tape)
        clock, used = (
            median(one) / 1e6 for one in zip(*(run_floor(program, tape) for _ in range(wanted.runs)), strict=True)
        )
        print(f"{'the same calls in C':<20} {clock:8.1f} ms by the clock {used:8.1f} ms of CPU time")
    for name in ("plan", "fork", "usual", "tree"):
        timed(name, wanted.runs)
