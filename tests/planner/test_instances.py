"""Options of what others have as well: what check says of them, and how they are given again."""

from __future__ import annotations

import pytest

from mountplan import api
from mountplan.planner.errors import PlanRefused
from mountplan.planner.fstypes import ROWS, of
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.tables.instances import given_again, shown
from tests.fakes import FakeHost, host_mount
from tests.planner.mistakes import ROOT
from tests.trees import plan_of, with_type

HOST = FakeHost(
    {},
    (
        host_mount(2, 1, "/debug", fstype="debugfs", options="rw,gid=4,mode=750"),
        host_mount(3, 1, "/sys", fstype="sysfs", options="rw"),
        host_mount(4, 1, "/cgroup", fstype="cgroup2", options="rw,nsdelegate"),
        host_mount(5, 1, "/a", fstype="tracefs", options="rw"),
        host_mount(6, 1, "/b", fstype="tracefs", options="rw,mode=755"),
        host_mount(7, 1, "/dev/mqueue", fstype="mqueue", options="ro"),
        host_mount(8, 1, "/v1/cpu", fstype="cgroup", options="rw,cpu,cpuacct"),
        host_mount(9, 1, "/v1/systemd", fstype="cgroup", options="rw,xattr,name=systemd"),
    ),
)
NOT_KNOWN = "would be set on that, and what it has now is not known: none is mounted here"
REMOUNT = "or give it to the host's first: mount -o remount"


def mistakes(fstype: str, options: str, run: str = "") -> list[tuple[str, str, str]]:
    text = f'format = 1\n{ROOT}[[mount]]\ntarget = "/one"\ntype = "{fstype}"\noptions = {{ {options} }}\n{run}'
    found = api.check(text.encode(), "test.toml", HOST)
    return [(one.ref.key.removeprefix("mount[1].options."), one.what, one.remedy) for one in found]


@pytest.mark.parametrize(
    ("fstype", "options", "run"),
    [
        ("debugfs", 'gid = 4, mode = "0750", uid = 0', ""),
        ("debugfs", "rw = true", ""),
        ("cgroup2", "nsdelegate = true", ""),
        ("mqueue", "ro = true", ""),
        ("sysfs", "ro = true", '[run]\nunshare = ["net"]'),
        ("proc", 'hidepid = "2"', ""),
        ("cgroup", "cpuacct = true, cpu = true", ""),
        ("cgroup", 'xattr = true, name = "systemd"', ""),
        ("devpts", 'mode = "620"', ""),
        ("tmpfs", "ro = true", ""),
        ("ext9", "anything = true", ""),
    ],
)
def test_options_that_the_one_instance_has_and_those_of_new_ones_are_no_mistake(
    fstype: str, options: str, run: str
) -> None:
    assert [] == mistakes(fstype, options, run)


def test_options_that_would_be_set_for_others_are_refused_one_by_one() -> None:
    there = "there is one debugfs on the machine, which has rw,gid=4,mode=750"
    assert [
        ("mode", f"{there}: mode = 0755 would be set for all who show it", f"leave it out, {REMOUNT}"),
        ("ro", f"{there}: ro would be set for all who show it", f'write attributes = ["ro"], {REMOUNT}'),
    ] == mistakes("debugfs", 'gid = 4, mode = "0755", ro = true')


def test_a_cgroup_namespace_has_no_cgroup2_of_its_own() -> None:
    """The kernel would take the flags there, and set none."""
    (mistake,) = mistakes("cgroup2", "favordynmods = true", '[run]\nunshare = ["cgroup"]')
    assert "favordynmods" == mistake[0]


def test_read_only_of_what_a_namespace_shares_is_told_with_both_ways_out() -> None:
    assert [
        (
            "ro",
            "there is one sysfs in a net namespace, which has rw: ro would be set for all who show it",
            'write attributes = ["ro"], or add "net" to run.unshare: then it is a new one',
        )
    ] == mistakes("sysfs", "ro = true", '[run]\nunshare = ["ipc"]')


@pytest.mark.parametrize("fstype", ["pstore", "tracefs"])
def test_what_the_instance_has_is_called_unknown_where_no_mount_or_no_two_agree(fstype: str) -> None:
    (mistake,) = mistakes(fstype, 'mode = "0755"')
    assert f"there is one {fstype} on the machine: mode = 0755 {NOT_KNOWN}" == mistake[1]


def test_all_that_is_shown_is_given_again_but_what_a_security_module_says() -> None:
    text = 'rw,seclabel,rootcontext="system_u:object_r:x:s0:c1,c2",nsdelegate,mode=755'
    assert (("nsdelegate", True), ("mode", "755")) == given_again(text)
    assert (("ro", True),) == given_again("ro")


def test_one_instance_shows_the_same_options_everywhere() -> None:
    assert "rw,nsdelegate" == shown(HOST.table.rows, "cgroup2")
    assert shown(HOST.table.rows, "tracefs") is None


@pytest.mark.parametrize(
    ("options", "made_of"),
    [
        ("hugetlb = true", "hugetlb"),
        ("cpu = true", "cpu"),
        ('none = true, name = "x"', "name=x, none"),
        ("", "all controllers"),
    ],
)
def test_a_hierarchy_that_the_machine_does_not_have_is_refused(options: str, made_of: str) -> None:
    """Its controllers would be taken from the machine's cgroup2 for as long as it stands."""
    (mistake,) = mistakes("cgroup", options)
    assert f"no cgroup hierarchy of the machine is made of {made_of}: a new one would take them" in mistake[1]
    assert "(there are: cpu,cpuacct; name=systemd)" in mistake[2]


@pytest.mark.parametrize("option", ["xattr", "clone_children", "ro"])
def test_an_option_that_a_hierarchy_does_not_have_is_refused(option: str) -> None:
    """The kernel takes it for another mount of that hierarchy, and passes over it."""
    (mistake,) = mistakes("cgroup", f"cpu = true, cpuacct = true, {option} = true")
    assert f"the kernel passes over {option} in another mount of it" in mistake[1]


def test_pasted_options_of_a_hierarchy_are_read_only_for_the_mount_alone() -> None:
    text = 'format = 1\n[[mount]]\ntarget = "/a"\ntype = "cgroup"\nmount_options = "ro,cpu"\n'
    (read,) = parse_spec(text.encode()).mount
    assert (["ro"], {"cpu": True}) == (read.attributes, read.options)


def test_another_name_of_a_hierarchy_is_refused() -> None:
    """Where no hierarchy has the cpuset controller, it would take that from the machine's cgroup2."""
    (mistake,) = mistakes("cpuset", "")
    assert ("mount[1].type", "what is mounted as a cpuset is a cgroup") == mistake[:2]


def test_what_is_tried_leaves_nothing_anywhere() -> None:
    """One of a namespace's own or of the mount's goes with it; of the machine's, cgroup2 alone is mounted as it is."""
    assert [
        "bpf", "cgroup2", "devpts", "hugetlbfs", "mqueue", "nfsd", "proc", "ramfs", "rpc_pipefs", "sysfs", "tmpfs",
    ] == sorted(one.name for one in ROWS if one.may_be_tried)  # fmt: skip


def test_what_is_in_memory_is_made_anew_and_is_on_no_device() -> None:
    """But for nullfs, of which there is one since the machine began."""
    assert ["nullfs"] == [one.name for one in ROWS if one.in_memory != one.renewed]
    assert [] == [one.name for one in ROWS if one.in_memory and one.on_device]
    kernels = {one.name for one in ROWS if one.begins == "filled"}
    assert {"cgroup", "cpuset", "nsfs"} == {name for name in kernels if not of(name).in_memory}


@pytest.mark.parametrize(
    ("fstype", "options", "reason"),
    [
        ("debugfs", (("gid", "4"), ("mode", "0700")), "the host's has rw,gid=4,mode=750, and would get mode=0700"),
        ("cgroup2", (("memory_localevents", True),), "and would get memory_localevents"),
        ("cgroup", (("hugetlb", True),), "the machine has no such cgroup hierarchy, and would get one"),
        ("cgroup", (("cpu", True), ("cpuacct", True)), ""),
        ("debugfs", (("gid", "4"),), ""),
    ],
)
def test_a_plan_that_would_set_them_is_refused_like_a_spec(
    fstype: str, options: tuple[tuple[str, str | bool], ...], reason: str
) -> None:
    altered = with_type(plan_of(f'{ROOT}[[mount]]\ntarget = "/one"\ntype = "ramfs"\n'), "ramfs", fstype, options)
    if reason:
        with pytest.raises(PlanRefused, match=reason):
            api.foresee(altered, HOST)
    else:
        assert api.foresee(altered, HOST).tables
