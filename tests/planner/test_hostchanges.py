"""What is said of the host after a build that was refused."""

from __future__ import annotations

from mountplan.planner.plan.host_changes import host_changes, steps_on_host
from mountplan.planner.plan.steps import Layer, MakeFilesystem, MakeMountpoint, MakeNode, MakeOverlay
from mountplan.planner.tables.table import MountTable
from tests.fakes import host_mount

ROOT = host_mount(1, 0, "/")
DEBUGFS = host_mount(2, 1, "/sys/kernel/debug", fstype="debugfs", shared=7)


def test_the_same_mounts_are_no_change_in_whatever_order() -> None:
    """The kernel sorts the table by ids, and a process may have been given other pieces of it."""
    assert () == host_changes(MountTable((ROOT, DEBUGFS)), MountTable((DEBUGFS, ROOT)))


def test_what_has_come_and_gone_and_what_is_otherwise_is_told() -> None:
    """Options belong to the superblock: a change of them is one for the whole machine."""
    added = host_mount(3, 1, "/srv", fstype="tmpfs")
    assert ("/srv: a mount has come: tmpfs",) == host_changes(MountTable((ROOT,)), MountTable((ROOT, added)))
    assert ("/srv: a mount is gone: tmpfs",) == host_changes(MountTable((ROOT, added)), MountTable((ROOT,)))
    changed = DEBUGFS._replace(options="rw,mode=755", peer_group=0)
    assert (
        "/sys/kernel/debug: peer group: was 7, is none",
        "/sys/kernel/debug: options of the filesystem: was rw, is rw,mode=755",
    ) == host_changes(MountTable((ROOT, DEBUGFS)), MountTable((ROOT, changed)))


def test_a_mount_in_the_place_of_another_has_come() -> None:
    """It looks the same, and is another one: what was in it is gone."""
    again = DEBUGFS._replace(mount_id=9)
    assert (
        "/sys/kernel/debug: a mount has come: debugfs",
        "/sys/kernel/debug: a mount is gone: debugfs",
    ) == host_changes(MountTable((DEBUGFS,)), MountTable((again,)))


def test_files_stay_where_the_filesystem_is_not_the_plans_own() -> None:
    """A tmpfs goes with its mounts, and so does an overlay whose changes are in one; an image does not."""
    node = MakeNode(
        "", "x", "directory", -1, -1, -1, "", "", "", (0, 0), existing=True, careful=True, origin="mount[0]"
    )
    own = Layer("fs:own", "upper")
    steps = (
        MakeFilesystem("fs:own", "own", "tmpfs", "tmpfs", (), "mount[0]"),
        MakeOverlay("fs:o", "o", "overlay", (own,), own, own, (), "mount[1]"),
        MakeFilesystem("fs:disk", "disk", "ext4", "/dev/vdb", (), "mount[2]"),
        node._replace(within="own"),
        node._replace(within="fs:own"),
        node._replace(within="o"),
        node._replace(within="disk"),
        node._replace(within="@host"),
        node._replace(within="@host", careful=False),
        MakeMountpoint("host:1", "y", "bind", "mount[3]"),
    )
    assert [7, 8, 10] == [number for number, _ in steps_on_host(steps)]
