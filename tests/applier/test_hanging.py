"""Filesystems that do not answer: nobody waits for ever, the error says which step it is, and nothing is left."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.build.execute import execute, is_foreign
from mountplan.applier.observe.asked import asking
from mountplan.applier.sys.report import Reporter
from mountplan.cli import main
from mountplan.cli.output import Output
from mountplan.cli.planning_timeout import PlanningTimeout
from mountplan.planner.errors import StepRefused
from mountplan.planner.plan.planfile import dump_plan
from tests.applier.test_execute import deep, everything
from tests.fakes import FakeKernel
from tests.faulthost import IMAGE, State, furnish
from tests.hosts import InHost, mount
from tests.trees import ROOT, plan_of

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878


def freeze(path: str, request: int = FIFREEZE) -> None:
    """Whoever creates something in a frozen filesystem waits in the kernel, and cannot even be killed."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(fd, request, 0)
    finally:
        os.close(fd)


def mute_filesystem(path: str) -> int:
    """A FUSE filesystem, mounted at `path`, that answers nothing but the greeting; it lives with the descriptor."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    mount("mute", path, "fuse", data=f"fd={device},rootmode=40000,user_id=0,group_id=0")
    return device


@pytest.mark.parametrize("make", [everything, deep])
def test_every_step_that_may_have_to_wait_for_others_says_so_once(make: Callable[[], object]) -> None:
    """Of how many have said so, the process that waits knows which step it is that hangs."""
    plan = everything() if make is everything else deep()
    told: list[int] = []

    class Listener(Reporter):
        def foreign(self) -> None:
            told.append(1)

    execute(plan.steps, FakeKernel(), Listener())
    assert len(told) == sum(map(is_foreign, plan.steps))


@pytest.mark.needs_kernel("root", "loop", "mkfs.ext4", "fs:ext4")
def test_a_step_that_hangs_where_it_cannot_be_killed_is_told_and_its_process_named(in_host: InHost) -> None:
    """It ends as soon as the filesystem answers, and what it did then is seen by nobody."""
    spec = f"""{ROOT}
    [[mount]]
    target = "/dir"
    bind = "/mnt/frozen"
    [[mount]]
    target = "/dir/new"
    type = "tmpfs"
    create = true
    """

    def script() -> None:
        furnish(image=True)
        os.mkdir("/mnt/frozen")
        subprocess.run(["mount", "-o", "loop", IMAGE, "/mnt/frozen"], check=True)
        plan = plan_of(spec)
        before = State.take()
        freeze("/mnt/frozen")
        try:
            with pytest.raises(StepRefused, match="hangs in the kernel") as caught:
                api.build_and_forget(plan, timeout=0.5)
        finally:
            freeze("/mnt/frozen", FITHAW)
        assert errno.ETIMEDOUT == caught.value.errno
        assert "make directory /dir:/new" == caught.value.step
        assert "mount[2]" == caught.value.origin.key
        assert "--timeout" in caught.value.remedy
        os.waitpid(-1, 0)
        os.rmdir("/mnt/frozen/new")
        assert not before.compared_with(State.take())
        api.build_and_forget(plan)

    in_host(script, identity="root")


@pytest.mark.needs_kernel("root", "fs:fuse")
def test_a_host_path_that_does_not_answer_ends_planning_and_building(in_host: InHost) -> None:
    """In whichever of the two it is met: planned before it hangs, or while it does."""
    text = f'format = 1\nname = "mute"\n{ROOT}[[mount]]\ntarget = "/dir"\nbind = "/mnt/mute/sub"\n'

    def run(*arguments: str) -> tuple[int, str]:
        out = os.memfd_create("err")
        child = os.fork()
        if child == 0:
            status = 99
            try:
                os.dup2(out, 2)
                sys.stderr = os.fdopen(2, "w")
                status = main(list(arguments))
                sys.stderr.flush()
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status, os.pread(out, 10000, 0).decode()

    def script() -> None:
        furnish()
        os.makedirs("/mnt/mute/sub")
        Path("/mnt/spec.toml").write_text(text)
        Path("/mnt/plan.json").write_text(dump_plan(api.plan(api.load("/mnt/spec.toml"))))
        device = mute_filesystem("/mnt/mute")
        table = Path("/proc/self/mountinfo").read_text()
        status, said = run("apply", "--timeout", "0.5", "/mnt/spec.toml")
        words = "cannot plan: not done after 0.5 seconds; it waits for the host path '/mnt/mute/sub'\n"
        assert (3, True) == (status, words in said), said
        status, said = run("run", "--timeout", "0.5", "--json", "/mnt/spec.toml", "--", "true")
        assert (3, words.strip()) == (status, json.loads(said)["error"]["message"])
        status, said = run("run", "--timeout", "0.5", "/mnt/plan.json", "--", "true")
        assert (3, True) == (status, "clone /dir from the host's /mnt/mute/sub: " in said), said
        assert "mount[1]: step " in said
        assert "not done 0.5 seconds after the start" in said
        assert table == Path("/proc/self/mountinfo").read_text()
        os.close(device)

    in_host(script, identity="root")


@pytest.mark.parametrize(
    ("what", "words"),
    [("", "0.1 seconds\n  remedy: look for"), ("standard input", "0.1 seconds; it waits for standard")],
)
def test_planning_that_takes_too_long_blames_what_it_waits_for_and_nothing_else(what: str, words: str) -> None:
    """The machine may merely be busy, or the spec a large one."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writer, 2)
            sys.stderr = os.fdopen(2, "w")
            with PlanningTimeout(0.1, Output()), asking(what) if what else nullcontext():
                time.sleep(60)
        finally:
            os._exit(99)
    os.close(writer)
    with open(reader) as file:
        said = file.read()
    assert 3 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert words in said
    assert "host path" not in said


@pytest.mark.needs_kernel("root")
def test_a_change_of_the_clock_does_not_matter(in_host: InHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines go by the clock that nobody can set: here the other one jumps by a day whenever it is asked."""
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 86400.0 * next(jumps) * (-1) ** next(jumps))
    assert 1 == in_host(lambda: len(api.build_and_forget(plan_of(ROOT), timeout=30).tables), identity="root")
