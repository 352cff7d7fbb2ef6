"""Rules of the model that a script does not show, or that take another kernel."""

from __future__ import annotations

import contextlib
import errno

import pytest

from mountplan.planner.model import (
    RULES_6_1,
    RULES_6_12,
    RULES_6_18,
    Process,
    Rules,
    Superblock,
    World,
    WouldRefuse,
    rules_of,
)
from mountplan.planner.model.from_tables import world_of
from mountplan.planner.render.kernel_comparison import Sight, table_differences


def numbered(superblock: Superblock) -> None:
    for number in range(9):
        superblock.make(f"/{number}")


def peers(world: World, count: int) -> Process:
    """A shared tmpfs at /0 with peers at /1 and so on."""
    root = world.superblock("tmpfs")
    numbered(root)
    process = world.boot("test", root)
    world.mount_new(process, "tmpfs", "m", "/0", fill=numbered)
    world.change_type(process, "/0", "shared")
    for number in range(1, count):
        world.bind(process, "/0", f"/{number}")
    return process


def test_a_mount_that_propagation_takes_over_the_limit_leaves_nothing_behind() -> None:
    """ENOSPC: neither copies nor groups of them; and where the limit allows it, it goes."""
    world = World(mount_max=10)  # root and what lies below it, four peers
    process = peers(world, 4)
    before = world.table(process)
    world.mount_new(process, "tmpfs", "fits", "/0/1")
    world.umount(process, "/0/1")
    assert before == world.table(process)
    world.mount_max = 9
    with pytest.raises(WouldRefuse) as refusal:
        world.mount_new(process, "tmpfs", "late", "/0/1")
    assert errno.ENOSPC == refusal.value.errno
    assert before == world.table(process)
    assert 4 == len(list(process.root[0].topmost().above[process.root[1].superblock.make("/0")].peers()))
    world.mount_max = 10
    world.mount_new(process, "tmpfs", "late", "/0/1")
    assert len(before.rows) + 4 == len(world.table(process).rows)


def test_a_refused_call_changes_nothing() -> None:
    world = World()
    process = peers(world, 3)
    before = world.table(process)
    for call in (
        lambda: world.bind(process, "/0", "/missing"),
        lambda: world.move(process, "/0", "/0/1"),
        lambda: world.umount(process, "/5"),
        lambda: world.pivot_root(process, "/0", "/0"),
        lambda: world.set_group(process, "/0", "/1"),
    ):
        with pytest.raises(WouldRefuse):
            call()
    assert before == world.table(process)


@pytest.mark.parametrize(("rules", "expected"), [(RULES_6_18, "/0"), (RULES_6_12, "/1")], ids=["6.18", "6.12"])
def test_before_6_17_a_slave_prefers_a_master_that_shows_the_same(rules: Rules, expected: str) -> None:
    """/1 and /2 show a directory of what /0 shows. /2 becomes a slave: of the next peer, or of the one like itself."""
    world = World(rules)
    process = peers(world, 1)
    world.bind(process, "/0/3", "/2")
    world.bind(process, "/0/3", "/1")
    world.change_type(process, "/2", "slave")
    paths = {row.mount_id: row.mountpoint for row in world.table(process).rows}
    slave = next(mount for mount in process.namespace.mounts if paths.get(mount.number) == "/2")
    assert slave.master is not None
    assert expected == paths[slave.master.number]


def test_before_6_17_a_new_namespace_keeps_unbindable_mounts_unbindable() -> None:
    for rules, kept in ((RULES_6_12, True), (RULES_6_18, False)):
        world = World(rules)
        process = peers(world, 1)
        world.change_type(process, "/0", "unbindable")
        child = world.fork(process, "child")
        world.unshare(child, "child")
        assert kept is world.table(child).rows[1].unbindable


def test_before_6_17_the_slaves_of_a_detached_mount_received_nothing() -> None:
    """What holds a group is a tree that nobody has attached: /1 is its slave, /2 its peer."""
    for rules, received in ((RULES_6_12, False), (RULES_6_18, True)):
        world = World(rules)
        process = peers(world, 2)
        world.change_type(process, "/1", "slave")
        world.bind(process, "/0", "/2")
        world.open_tree(process, "/0", clone=True)
        world.change_type(process, "/0", "private")  # the next peer gets the slave
        world.mount_new(process, "tmpfs", "new", "/2/3")
        assert received is ("/1/3" in [row.mountpoint for row in world.table(process).rows])


def test_before_6_17_a_cover_slid_down_to_where_the_lowest_mount_below_it_had_stood() -> None:
    """In the slave /1, something local covers a mount in a mount; then both are unmounted where they come from."""
    for rules, expected in ((RULES_6_12, ["/1/2 local"]), (RULES_6_18, ["/1/2 outer", "/1/2/3 local"])):
        world = World(rules)
        process = peers(world, 2)
        world.change_type(process, "/1", "slave")
        world.mount_new(process, "tmpfs", "outer", "/0/2", fill=numbered)
        world.mount_new(process, "tmpfs", "inner", "/0/2/3")
        world.mount_new(process, "tmpfs", "local", "/1/2/3")
        world.umount(process, "/0/2", lazy=True)
        found = [f"{row.mountpoint} {row.source}" for row in world.table(process).rows]
        assert expected == [line for line in found if line.startswith("/1/")]


def test_before_6_5_nothing_could_be_mounted_beneath() -> None:
    for rules, refused in ((RULES_6_1, True), (RULES_6_12, False)):
        world = World(rules)
        process = peers(world, 1)
        handle = world.fsmount(process, world.superblock("tmpfs"))
        with pytest.raises(WouldRefuse) if refused else contextlib.nullcontext():
            world.move_mount(process, handle, "/0", beneath=True)
        assert (not refused) is (handle.place[0].parent is not None)


def test_a_table_that_became_a_world_is_read_off_it_the_same() -> None:
    world = World()
    process = peers(world, 3)
    world.change_type(process, "/2", "slave")
    world.mount_new(process, "tmpfs", "t", "/0/1")
    table = world.table(process)
    seen = world_of((("again", table),))
    assert [] == table_differences([Sight("it", table, seen.world.table(seen.processes[0]))])


def test_before_6_16_the_sharing_of_a_mount_could_be_changed_that_was_unmounted() -> None:
    for release, allowed in (("5.15.85", True), ("5.15.186", False)):
        world = World(rules_of(release))
        process = peers(world, 1)
        handle = world.open_tree(process, "/0")
        world.umount(process, "/0", lazy=True)
        with contextlib.nullcontext() if allowed else pytest.raises(WouldRefuse):
            world.change_type(process, handle, "private")


def test_before_6_16_what_something_slid_beneath_was_locked_in_a_user_namespace() -> None:
    """/0 is covered there by a mount of its own; what is mounted outside comes to lie below that."""
    for release, locked in (("6.12.30", True), ("6.12.36", False)):
        world = World(rules_of(release))
        process = peers(world, 1)
        inside = world.fork(process, "inside")
        world.unshare(inside, "inside", user=True)
        world.mount_new(inside, "tmpfs", "own", "/0/1")
        world.mount_new(process, "tmpfs", "outer", "/0/1")
        with pytest.raises(WouldRefuse, match="locked") if locked else contextlib.nullcontext():
            world.umount(inside, "/0/1")


@pytest.mark.parametrize(
    ("release", "rules"),
    [
        ("6.18.44", RULES_6_18),
        ("7.0", RULES_6_18),
        ("6.16.1", RULES_6_12),
        ("6.12", RULES_6_12),
        ("6.12.117+deb12-amd64", RULES_6_12),
        ("6.8.0-51-generic", RULES_6_12),
        ("6.1.0-56-amd64", RULES_6_1),
        ("5.14.0-503.11.1.el9_5.x86_64", RULES_6_1),
        ("5.15.187", RULES_6_1),
        ("5.15.186", RULES_6_1._replace(covers_are_locked=True)),
        ("5.15.85-custom", RULES_6_1._replace(changes_are_checked=False, covers_are_locked=True)),
        ("6.11.4", RULES_6_12._replace(changes_are_checked=False, covers_are_locked=True)),
    ],
)
def test_the_rules_of_a_release(release: str, rules: Rules) -> None:
    """What a stable series was given late counts as given where a distribution counts in its own way."""
    assert rules == rules_of(release)


def test_who_has_no_power_over_the_mount_namespace_unmounts_nothing_there() -> None:
    """A user namespace of one's own does not help while the mount namespace is another's (may_mount)."""
    world = World()
    process = peers(world, 1)
    other = world.fork(process, "other")
    world.unshare(other, "guest", user=True, mount=False)
    before = world.table(process)
    with pytest.raises(WouldRefuse) as refusal:
        world.umount(other, "/0")
    assert errno.EPERM == refusal.value.errno
    assert before == world.table(process)
    world.umount(process, "/0")
    assert ["/"] == [row.mountpoint for row in world.table(process).rows]


def test_unmounting_ones_root_makes_a_filesystem_read_only_for_those_alone_whose_it_is() -> None:
    world = World()
    process = peers(world, 1)
    guest = world.fork(process, "guest")
    world.unshare(guest, "guest", user=True)
    with pytest.raises(WouldRefuse) as refusal:
        world.umount(guest, "/")
    assert (errno.EINVAL, False) == (refusal.value.errno, process.root[1].superblock.read_only)
    world.umount(process, "/")
    assert process.root[1].superblock.read_only
