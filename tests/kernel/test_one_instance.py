"""Filesystems of which the machine has one: whatever is probed or built, the machine's keeps its options."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.build.build import build
from mountplan.applier.probe import probe
from mountplan.planner.errors import StepRefused
from mountplan.planner.language.spec_reading import parse_spec
from tests.fakes import FakeHost, host_mount
from tests.hosts import InHost, Result, machine_has, mount, options_of_machine, run_in_child, umount, unshare
from tests.trees import ROOT, tree

FIRST_CGROUP_NAMESPACE = 0xEFFFFFFB
CLONE_NEWNS = 0x20000
PLACE = "/mnt"
OPTIONS = {
    "cgroup2": "nsdelegate,memory_recursiveprot",
    "debugfs": "gid=4,mode=750",
    "tracefs": "gid=4,mode=750",
}

pytestmark = [pytest.mark.needs_kernel("root"), pytest.mark.alone]
each = pytest.mark.parametrize("fstype", OPTIONS)


def in_host_with(in_host: InHost, fstype: str, function: Callable[[], Result]) -> tuple[str, Result, str, str, int]:
    """What the machine's instance shows before `function` and what after it, with the mode of its root after it."""
    if fstype == "cgroup2" and os.stat("/proc/self/ns/cgroup").st_ino != FIRST_CGROUP_NAMESPACE:
        pytest.skip("the options of cgroup2 can be set from the machine's first cgroup namespace only")

    def inside() -> tuple[str, Result, str, str, int]:
        with machine_has(fstype, OPTIONS[fstype], PLACE):
            before = options_of_machine(fstype)
            result = function()
            return OPTIONS[fstype], result, before, options_of_machine(fstype), os.stat(PLACE).st_mode & 0o777

    return in_host(inside, identity="root")


def spec(fstype: str, words: str = "") -> str:
    return f'{ROOT}\n[[mount]]\ntarget = "/one"\ntype = "{fstype}"\n{words}\n'


def build_and_look(fstype: str) -> str:
    with tree(spec(fstype)) as built:
        return built.at("/one").options


@each
@pytest.mark.needs_kernel("fs:debugfs", "fs:tracefs", "fs:cgroup2")
def test_what_the_machine_has_one_of_keeps_its_options_when_it_is_built(fstype: str, in_host: InHost) -> None:
    """Mounted again without options it would lose those that it shows, and on some kernels those that it has."""
    wanted, shown, before, after, mode = in_host_with(in_host, fstype, lambda: build_and_look(fstype))
    assert [wanted] * 2 == [before, after]
    assert f"rw,{wanted}" == shown
    assert (0o555 if fstype == "cgroup2" else 0o750) == mode


@each
@pytest.mark.needs_kernel("fs:debugfs", "fs:tracefs", "fs:cgroup2")
def test_it_keeps_them_where_it_cannot_be_seen(fstype: str, in_host: InHost) -> None:
    """In a namespace that has no mount of it, another process tells what it has."""

    def out_of_sight() -> None:
        unshare(CLONE_NEWNS)
        mount("", "/", flags=0x44000)
        umount(PLACE)
        for path in [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()][::-1]:
            if f" {path} " in "".join(_lines_of(fstype)):
                umount(path)
        assert not _lines_of(fstype)
        with tree(spec(fstype)):
            pass

    wanted, _, before, after, _ = in_host_with(in_host, fstype, lambda: run_in_child(out_of_sight))
    assert [wanted] * 2 == [before, after]


def _lines_of(fstype: str) -> list[str]:
    return [one for one in Path("/proc/self/mountinfo").read_text().splitlines() if f" - {fstype} " in one]


@pytest.mark.needs_kernel("fs:cgroup2")
def test_the_whole_cgroup2_is_shown_to_who_is_in_a_part_of_it(in_host: InHost) -> None:
    """That no flags are set is owed to a cgroup namespace; what is shown is not decided by that."""

    def from_below() -> str:
        (mine,) = (one for one in Path("/proc/self/cgroup").read_text().splitlines() if one.startswith("0::"))
        group = Path(PLACE, f"mountplan-test-{os.getpid()}")
        group.mkdir()
        try:
            (group / "cgroup.procs").write_text(str(os.getpid()))
            with tree(spec("cgroup2")) as built:
                return built.at("/one").root
        finally:
            Path(PLACE, mine[4:], "cgroup.procs").write_text(str(os.getpid()))
            group.rmdir()

    assert "/" == in_host_with(in_host, "cgroup2", from_below)[1]


@each
@pytest.mark.needs_kernel("fs:debugfs", "fs:tracefs", "fs:cgroup2")
def test_no_probe_changes_them(fstype: str, in_host: InHost) -> None:
    names = (*probe.KNOWN, *(f"filesystem:{name}" for name in OPTIONS))
    wanted, found, before, after, _ = in_host_with(in_host, fstype, lambda: probe.probe(names))
    assert [wanted] * 2 == [before, after]
    assert all(one.works for one in found if one.feature.removeprefix("filesystem:") in OPTIONS)


@pytest.mark.needs_kernel("fs:debugfs")
def test_a_plan_made_for_another_machine_sets_nothing_on_this_one(in_host: InHost) -> None:
    """There these were the options of the one debugfs."""
    there = FakeHost({}, (host_mount(2, 1, "/debug", fstype="debugfs", options="rw,mode=711"),))
    text = "format = 1\n" + spec("debugfs", 'options = { mode = "0711" }')
    plan = api.plan(parse_spec(text.encode(), "test.toml"), there)

    def refused() -> str:
        try:
            build(plan).close()
        except StepRefused as error:
            return str(error)
        return ""

    wanted, said, before, after, mode = in_host_with(in_host, "debugfs", refused)
    assert [wanted] * 2 == [before, after]
    assert 0o750 == mode
    assert "there is one debugfs on the machine, which has rw,gid=4,mode=750: mode=0711 would be set" in said


@pytest.mark.needs_kernel("fs:debugfs")
def test_options_that_the_machine_has_already_may_be_written(in_host: InHost) -> None:
    def build_with_them() -> str:
        with tree(spec("debugfs", 'options = { gid = 4, mode = "0750" }')) as built:
            return built.at("/one").options

    wanted, shown, before, after, _ = in_host_with(in_host, "debugfs", build_with_them)
    assert [wanted] * 2 == [before, after]
    assert f"rw,{wanted}" == shown


def test_a_sysfs_of_a_new_net_namespace_is_its_own_and_can_be_read_only(in_host: InHost) -> None:
    text = spec("sysfs", "options = { ro = true }") + '[run]\nunshare = ["net"]\n'

    def options() -> str:
        with tree(text) as built:
            return built.at("/one").options

    assert "ro" == in_host(options, identity="root")


@pytest.mark.needs_kernel("fs:mqueue")
def test_an_id_may_be_the_name_of_a_type(in_host: InHost) -> None:
    """The filesystem of that mount is not the one instance of the type."""
    text = f'{ROOT}[[mount]]\nid = "mqueue"\ntarget = "/a"\ntype = "tmpfs"\n'

    def script() -> list[str]:
        with tree(f'{text}[[mount]]\ntarget = "/q"\ntype = "mqueue"\n') as built:
            return [built.at(path).fstype for path in ("/a", "/q")]

    assert ["tmpfs", "mqueue"] == in_host(script, identity="root")
