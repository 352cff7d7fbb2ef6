"""What people run into with propagation, each in the model and on the kernel."""

from __future__ import annotations

import pytest

from tests.propagation import Carry, in_the_model, on_the_kernel


@pytest.fixture(params=["model", pytest.param("kernel", marks=pytest.mark.needs_kernel("root"))])
def carry_out(request: pytest.FixtureRequest) -> Carry:
    return {"model": in_the_model, "kernel": on_the_kernel}[request.param]


def test_unmounting_the_copy_of_a_shared_tree_takes_the_original_mounts_away(carry_out: Carry) -> None:
    """The mount trap: a container's root made by rbind, then taken down lazily, and the host has lost its mounts."""
    script = """\
mkdir -p /proc /sys /container
mount -t tmpfs p /proc
mount -t tmpfs s /sys
mount --make-rshared /
mount --rbind / /container
umount -l /container
"""
    assert ["/ none shared:1", "/proc p shared:2", "/sys s shared:3"] == carry_out(
        script.replace("umount -l", "mount --make-rprivate /container\numount -l")
    ).mounts
    assert ["/ none shared:1"] == carry_out(script).mounts


def test_a_slave_copy_can_be_unmounted_without_harm(carry_out: Carry) -> None:
    outcome = carry_out(
        """\
mkdir -p /proc /container
mount -t tmpfs p /proc
mount --make-rshared /
mount --rbind --make-rslave / /container
umount -l /container
"""
    )
    assert ["/ none shared:1", "/proc p shared:2"] == outcome.mounts


TUCKED = """\
mkdir -p /up /down
mount -t tmpfs u /up
mkdir /up/x
mount --make-shared /up
mount --bind /up /down
mount --make-slave /down
mount -t tmpfs local /down/x
"""


def test_what_propagates_onto_a_mount_goes_below_it(carry_out: Carry) -> None:
    """Tucking: the slave keeps seeing its own mount, which now lies on top of the new one."""
    outcome = carry_out(TUCKED + "mount -t tmpfs late /up/x\numount /down/x\n")
    assert ["/up u shared:1", "/down u master:1", "/up/x late shared:2", "/down/x late master:2"] == outcome.mounts


def test_unmounting_below_a_tucking_mount_lets_it_sink_to_where_it_was(carry_out: Carry) -> None:
    """Reparenting: the mount that covered the one that goes hangs on its parent again."""
    outcome = carry_out(TUCKED + "mount -t tmpfs late /up/x\numount /up/x\n")
    assert ["/up u shared:1", "/down u master:1", "/down/x local"] == outcome.mounts
    assert [] == outcome.refused


def test_a_mount_inside_the_copy_keeps_the_copy(carry_out: Carry) -> None:
    """Unmounting the original succeeds; the copy has something in it, so that it stays."""
    outcome = carry_out(
        """\
mkdir -p /up /down
mount -t tmpfs u /up
mkdir /up/x
mount --make-shared /up
mount --bind /up /down
mount --make-slave /down
mount -t tmpfs t /up/x
mkdir /up/x/in
mount -t tmpfs local /down/x/in
umount /up/x
"""
    )
    assert ["/up u shared:1", "/down u master:1", "/down/x t", "/down/x/in local"] == outcome.mounts


def test_unmounting_the_original_takes_the_copy_and_the_other_way_round_it_does_not(carry_out: Carry) -> None:
    """What is unmounted in a slave is unmounted there only."""
    script = """\
mkdir -p /up /down
mount -t tmpfs u /up
mkdir /up/x
mount --make-shared /up
mount --bind /up /down
mount --make-slave /down
mount -t tmpfs t /up/x
"""
    assert ["/up u shared:1", "/down u master:1"] == carry_out(script + "umount /up/x\n").mounts
    assert ["/up u shared:1", "/down u master:1", "/up/x t shared:2"] == carry_out(script + "umount /down/x\n").mounts


def test_unmounting_an_original_of_which_the_copy_was_made_private_takes_both(carry_out: Carry) -> None:
    """What counts is the sharing of the mounts below, not that of the mounts that go."""
    outcome = carry_out(
        """\
mkdir -p /one /two
mount -t tmpfs o /one
mkdir /one/x
mount --make-shared /one
mount --bind /one /two
mount -t tmpfs t /one/x
mount --make-private /two/x
umount /one/x
"""
    )
    assert ["/one o shared:1", "/two o shared:1"] == outcome.mounts


@pytest.mark.parametrize("times", [1, 2, 5, 9])
def test_binding_a_shared_tree_into_itself_doubles_it_every_time(carry_out: Carry, times: int) -> None:
    """2^n - 1 mounts after n binds of /d on its own directories."""
    script = "mkdir /d\nmount -t tmpfs d /d\nmount --make-shared /d\n" + "".join(
        f"mkdir /d/{number}\nmount --bind /d /d/{number}\n" for number in range(1, times)
    )
    assert 2 ** (times - 1) == len(carry_out(script).mounts)


def test_what_was_mounted_before_the_share_began_is_not_seen_afterwards(carry_out: Carry) -> None:
    """Non-uniform propagation: a bind copies no mounts, and propagation begins with the bind."""
    outcome = carry_out(
        """\
mkdir -p /one /two
mount -t tmpfs o /one
mkdir /one/early /one/late
mount --make-shared /one
mount -t tmpfs e /one/early
mount --bind /one /two
mount -t tmpfs l /one/late
umount /one/early
"""
    )
    assert ["/one o shared:1", "/two o shared:1", "/one/late l shared:2", "/two/late l shared:2"] == outcome.mounts


def test_a_peer_that_shows_only_a_part_receives_only_that_part(carry_out: Carry) -> None:
    outcome = carry_out(
        """\
mkdir -p /all /part
mount -t tmpfs a /all
mkdir -p /all/in/x /all/out
mount --make-shared /all
mount --bind /all/in /part
mount -t tmpfs o /all/out
mount -t tmpfs i /all/in/x
"""
    )
    assert [
        "/all a shared:1",
        "/part a[/in] shared:1",
        "/all/out o shared:2",
        "/all/in/x i shared:3",
        "/part/x i shared:3",
    ] == outcome.mounts


def test_events_pass_a_namespace_that_has_unmounted_the_mount_they_came_through(carry_out: Carry) -> None:
    """The slaves of a group that loses its last member become slaves of that group's master."""
    outcome = carry_out(
        """\
mkdir /m
mount -t tmpfs m /m
mkdir /m/x
mount --make-shared /m
unshare -m --propagation slave sleep 9 &
middle=$!
nsenter -t $middle -m mount --make-shared /m
nsenter -t $middle -m unshare -m --propagation slave sleep 9 &
nsenter -t $middle -m umount /m
mount -t tmpfs late /m/x
"""
    )
    assert [
        ["/m m shared:1", "/m/x late shared:2"],
        [],
        ["/m m master:1", "/m/x late master:2"],
    ] == outcome.spaces


def test_a_slave_of_a_slave_names_the_nearest_group_that_it_can_see(carry_out: Carry) -> None:
    outcome = carry_out(
        """\
mkdir /1 /2 /3
mount -t tmpfs m /1
mount --make-shared /1
mount --bind /1 /2
mount --make-slave /2
mount --make-shared /2
mount --bind /2 /3
mount --make-slave /3
unshare -m --propagation unchanged sleep 9 &
nsenter -t $! -m umount /2
"""
    )
    assert [
        ["/1 m shared:1", "/2 m shared:2 master:1", "/3 m master:2"],
        ["/1 m shared:1", "/3 m master:2 from:1"],
    ] == outcome.spaces


def test_a_less_privileged_user_receives_and_cannot_take_apart(carry_out: Carry) -> None:
    outcome = carry_out(
        """\
mkdir -p /cover /m
mount -t tmpfs c /cover
mount -o ro,nosuid -t tmpfs m /m
mount --make-rshared /
unshare -Urm --propagation unchanged sleep 9 &
nsenter -t $! -m findmnt
mkdir -p /late
mount -t tmpfs l /late
"""
    )
    assert [
        ["/ none shared:1", "/cover c shared:2", "/m m shared:3", "/late l shared:4"],
        ["/ none master:1", "/cover c master:2", "/m m master:3", "/late l master:4"],
    ] == outcome.spaces


def test_what_came_from_above_cannot_be_unmounted_or_made_writable_in_a_user_namespace(carry_out: Carry) -> None:
    outcome = carry_out(
        """\
mkdir -p /cover /m
mount -t tmpfs c /cover
mount -o ro -t tmpfs m /m
unshare -Urm
umount /cover
mount -o remount,bind,rw /m
mount --bind / /m
mount --rbind / /m
umount -l /m
"""
    )
    assert ["5: EINVAL", "6: EPERM", "7: EINVAL"] == outcome.refused


def test_a_pivot_of_the_root_moves_the_old_one_to_where_it_shall_go(carry_out: Carry) -> None:
    outcome = carry_out(
        """\
mkdir -p /new
mount -t tmpfs n /new
mkdir -p /new/old
pivot_root /new /new/old
umount -l /old
"""
    )
    assert ["/ n"] == outcome.mounts
    assert [] == outcome.refused


@pytest.mark.parametrize(
    ("shared", "error"), [("/new", "EINVAL"), ("/", "EINVAL")], ids=["the new root", "the parent of the new root"]
)
def test_pivot_root_refuses_shared_mounts(carry_out: Carry, shared: str, error: str) -> None:
    """The new root must not be shared if the old one is to go on it, nor the parent of the new root."""
    outcome = carry_out(
        f"mkdir /new\nmount -t tmpfs n /new\nmkdir /new/old\nmount --make-shared {shared}\npivot_root /new /new/old\n"
    )
    assert [f"5: {error}"] == outcome.refused


def test_unmounting_ones_own_root_makes_it_read_only(carry_out: Carry) -> None:
    outcome = carry_out("mkdir /before\numount /\nmkdir /after\n")
    assert ["3: EROFS"] == outcome.refused


def test_a_file_can_cover_a_file_and_nothing_else(carry_out: Carry) -> None:
    outcome = carry_out(
        "mkdir /d\ntouch /f /g\nmount --bind /f /g\nmount --bind /f /d\nmount --bind /d /g\nmount -t tmpfs x /g\n"
    )
    assert ["/g none[/f]"] == outcome.mounts
    assert ["4: ENOTDIR", "5: ENOTDIR", "6: ENOTDIR"] == outcome.refused
