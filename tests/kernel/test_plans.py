"""Saved plans that do something else than a plan may do, as an attacker might write one: none of it happens."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mountplan import api
from mountplan.planner.errors import PlanRefused, StepRefused
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan
from tests.commands import command_line
from tests.hosts import InHost, mount
from tests.kernel.model_fuzz import in_children
from tests.kernel.plan_fuzz import search
from tests.mountflags import MS_REC, MS_SHARED
from tests.trees import ROOT, plan_of, with_type

pytestmark = pytest.mark.needs_kernel("root", "set-group")

SPEC = f'name = "altered"\n{ROOT}[[mount]]\nid = "e"\ntarget = "/e"\nbind = "/srv"\n'
EVIL = s.MakeNode("e", "evil", "file", 0o4755, -1, -1, "x", "", "", (0, 0), False, False, "mount[1]")


def without(plan: Plan, *kinds: type) -> list[s.Step]:
    return [step for step in plan.steps if not isinstance(step, kinds)]


def after(plan: Plan, kind: type, *more: s.Step) -> list[s.Step]:
    at = 1 + next(number for number, one in enumerate(plan.steps) if isinstance(one, kind))
    return [*plan.steps[:at], *more, *plan.steps[at:]]


def in_workbench(plan: Plan, step: s.Step) -> list[s.Step]:
    return after(plan, s.CloneHost, s.CloneHostWorkbench("h", "/srv", "", "mount[1]"), step)


ALTERED: dict[str, tuple[Callable[[Plan], list[s.Step]], str]] = {
    "no unshare": (lambda plan: without(plan, s.UnshareNamespace), "a plan begins with unshare_namespace"),
    "private before unshare": (
        lambda plan: [s.MakePrivate(""), *without(plan, s.MakePrivate)],
        "a plan begins with unshare_namespace",
    ),
    "never private": (lambda plan: without(plan, s.MakePrivate), "it must come after make_private"),
    "a file on the host": (lambda plan: after(plan, s.CloneHost, EVIL), "e is the host's"),
    "a file anywhere": (lambda plan: after(plan, s.CloneHost, EVIL._replace(path="/srv/victim/evil")), "is absolute"),
    "a file above": (
        lambda plan: after(plan, s.MakeFilesystem, EVIL._replace(within="root", path="../srv/evil")),
        "'../srv/evil' is no plain relative path",
    ),
    "a directory for no mount": (
        lambda plan: after(
            plan, s.CloneHost, EVIL._replace(node="directory", mode=-1, content="", existing=True, careful=True)
        ),
        "mounts nothing there",
    ),
    "a file in an attached mount": (
        lambda plan: [*plan.steps[:-4], EVIL._replace(within="root", path="e/evil"), *plan.steps[-4:]],
        "root is attached by now",
    ),
    "removal on the host": (
        lambda plan: after(plan, s.CloneHost, s.RemoveNode("e", "victim", "mount[1]")),
        "e is a mount, not a filesystem",
    ),
    "removal in a workbench": (
        lambda plan: in_workbench(plan, s.RemoveNode("h", "victim", "mount[1]")),
        "h is the host's",
    ),
    "the host's filesystem read-only": (
        lambda plan: in_workbench(plan, s.SealFilesystem("h", "mount[1]")),
        "h is the host's",
    ),
    "a file through a symlink": (
        lambda plan: after(
            plan,
            s.MakeFilesystem,
            EVIL._replace(within="root", path="out", node="symlink", content="", mode=-1, link="/srv/victim"),
            EVIL._replace(within="root", path="out/evil"),
        ),
        "out is symlink",
    ),
    "the mode of what a symlink leads to": (
        lambda plan: after(
            plan, s.MakeFilesystem, EVIL._replace(within="root", node="symlink", content="", link="/srv/victim")
        ),
        "a symlink has no mode of its own",
    ),
    "onto a mount that passes it on": (
        lambda plan: [
            *plan.steps[:1],
            s.CloneHost("e", "/srv", False, "private", "", "mount[1]"),
            *without(plan, s.CloneHost)[1:],
        ],
        "it must come after make_private",
    ),
}  # fmt: skip


# What reads a plan file, and what it takes besides.
COMMANDS = (
    ("apply", "--forget"),
    ("check",),
    ("plan",),
    ("apply",),
    ("run", "--", "/bin/true"),
    ("explain",),
    ("diff", "pid:1"),
)


def machine() -> tuple[list[str], list[str], list[int]]:
    """What a plan must leave alone: the host's mounts and what is below /srv. (Superblocks are the whole machine's.)"""
    files = sorted(str(path) for path in Path("/srv").rglob("*"))
    mounts = [line.partition(" - ")[0] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return mounts, files, [os.lstat(path).st_mode for path in files]


def on_a_host(function: Callable[[Plan], object]) -> object:
    mount("none", "/", flags=MS_REC | MS_SHARED)
    mount("none", "/srv", "tmpfs")
    Path("/srv/victim").mkdir()
    Path("/srv/victim/f").write_text("keep")
    return function(plan_of(SPEC))


@pytest.mark.usefixtures("all_imported")
@pytest.mark.parametrize("name", ALTERED)
def test_a_plan_that_reaches_out_of_its_namespace_is_refused_before_anything_is_touched(
    name: str, in_host: InHost, tmp_path: Path
) -> None:
    """With a right digest: one who can write the file can write that as well. Every command that reads one says so."""
    alter, reason = ALTERED[name]
    saved = tmp_path / "altered.json"

    def script(plan: Plan) -> None:
        saved.write_text(dump_plan(plan._replace(steps=tuple(alter(plan)))))
        before = machine()
        for words in COMMANDS if name == "a file on the host" else COMMANDS[:1]:
            done = command_line(words[0], str(saved), *words[1:])
            assert (2 if words[0] == "diff" else 1) == done.status, (words, done)  # 1 would be a difference
            assert reason in done.err, (words, done)
            assert "remedy: make it again" in done.err
        with pytest.raises(PlanRefused, match="remedy"):
            api.load_plan(str(saved))
        assert before == machine()

    in_host(lambda: on_a_host(script), identity="root", reach=[tmp_path])


@pytest.mark.usefixtures("all_imported")
def test_the_same_plan_unaltered_is_carried_out(in_host: InHost, tmp_path: Path) -> None:
    saved = tmp_path / "good.json"

    def script(plan: Plan) -> tuple[int, int, bool]:
        saved.write_text(dump_plan(plan))
        before = machine()
        codes = command_line("check", str(saved)).status, command_line("apply", "--forget", str(saved)).status
        return *codes, before == machine()

    assert (0, 0, True) == in_host(lambda: on_a_host(script), identity="root", reach=[tmp_path])


@pytest.mark.needs_kernel("fs:cgroup")
@pytest.mark.parametrize("fstype", ["cgroup", "cpuset"])
def test_a_plan_makes_no_cgroup_hierarchy_that_the_machine_does_not_have(fstype: str, in_host: InHost) -> None:
    """Every process of the machine would be in it. Of a spec, `check` tells that; of a plan, nothing did."""
    plan = plan_of(f'{ROOT}[[mount]]\ntarget = "/g"\ntype = "ramfs"\n')
    altered = with_type(plan, "ramfs", fstype, (("none", True), ("name", "mountplan-test")))

    def script() -> None:
        api.build_and_forget(altered)

    with pytest.raises(StepRefused, match="no cgroup hierarchy of the machine is made of name=mountplan-test"):
        in_host(script, identity="root")


@pytest.mark.needs_kernel("idmap-tmpfs", "device-nodes")
def test_plans_changed_by_chance_do_no_harm_and_are_what_the_model_says() -> None:
    """`make fuzz-plans` tries any number. Some must be accepted, or this would say nothing about what is built."""
    ((counts, failures),) = in_children([lambda: search(range(300))])
    assert [] == failures
    assert 150 < counts["refused"]
    assert 20 < counts["accepted, built"]
    assert 5 < counts["malformed"]
