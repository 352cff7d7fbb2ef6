"""What a mount of a type in a script shows: a superblock of its own, or the one that others show."""

from __future__ import annotations

import errno

import pytest

from mountplan.planner.commands.actions import MakeDirectory, MountNew, Stage
from mountplan.planner.model import World, WouldRefuse


def stage() -> Stage:
    world = World()
    made = Stage(world, {1: world.boot("1", world.superblock("tmpfs"))})
    made.perform(1, MakeDirectory("/one"))
    return made


@pytest.mark.parametrize("fstype", ["mqueue", "sysfs", "cgroup2", "debugfs", "pstore", "binfmt_misc", "fusectl"])
def test_what_shares_a_superblock_cannot_be_mounted_on_one_place_twice(fstype: str) -> None:
    """tests/kernel/test_fstypes.py has the kernel say the same."""
    script = stage()
    script.perform(1, MountNew(fstype, "x", "/one"))
    with pytest.raises(WouldRefuse) as refused:
        script.perform(1, MountNew(fstype, "x", "/one"))
    assert errno.EBUSY == refused.value.errno


@pytest.mark.parametrize("fstype", ["tmpfs", "proc", "devpts", "bpf"])
def test_what_is_new_each_time_can(fstype: str) -> None:
    script = stage()
    for _ in range(2):
        script.perform(1, MountNew(fstype, "x", "/one"))


def test_hierarchies_of_other_controllers_are_others() -> None:
    script = stage()
    for options in ("cpu", "memory"):
        script.perform(1, MountNew("cgroup", "x", "/one", options=options))
    with pytest.raises(WouldRefuse):
        script.perform(1, MountNew("cgroup", "x", "/one", options="memory"))


@pytest.mark.parametrize("fstype", ["proc", "sysfs"])
def test_what_the_kernel_puts_into_a_filesystem_can_be_mounted_upon(fstype: str) -> None:
    script = stage()
    script.perform(1, MountNew(fstype, "x", "/one"))
    script.perform(1, MountNew("tmpfs", "x", "/one/fs"))
