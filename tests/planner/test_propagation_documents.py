"""The examples of the kernel's Documentation/filesystems/sharedsubtree.rst, each in the model and on the kernel."""

from __future__ import annotations

import pytest

from tests.propagation import Carry, in_the_model, on_the_kernel


@pytest.fixture(params=["model", pytest.param("kernel", marks=pytest.mark.needs_kernel("root"))])
def carry_out(request: pytest.FixtureRequest) -> Carry:
    return {"model": in_the_model, "kernel": on_the_kernel}[request.param]


BASE = """\
mkdir -p /mnt /tmp
mount -t tmpfs disk /mnt
mkdir -p /mnt/a /mnt/b
"""


def test_2a_what_is_mounted_in_one_peer_is_seen_in_the_other(carry_out: Carry) -> None:
    outcome = carry_out(
        BASE
        + """\
mount --make-shared /mnt
mount --bind /mnt /tmp
mount -t tmpfs sd0 /tmp/a
"""
    )
    assert ["/mnt disk shared:1", "/tmp disk shared:1", "/tmp/a sd0 shared:2", "/mnt/a sd0 shared:2"] == outcome.mounts


def test_2b_a_slave_receives_and_does_not_send(carry_out: Carry) -> None:
    outcome = carry_out(
        BASE
        + """\
mount --make-shared /mnt
mount --bind /mnt /tmp
mount --make-slave /tmp
mount -t tmpfs sd0 /mnt/a
mount -t tmpfs sd1 /tmp/b
"""
    )
    assert [
        "/mnt disk shared:1",
        "/tmp disk master:1",
        "/mnt/a sd0 shared:2",
        "/tmp/a sd0 master:2",
        "/tmp/b sd1",
    ] == outcome.mounts


def test_2d_an_unbindable_mount_cannot_be_bound(carry_out: Carry) -> None:
    outcome = carry_out(BASE + "mount --make-unbindable /mnt\nmount --bind /mnt /tmp\n")
    assert ["/mnt disk unbindable"] == outcome.mounts
    assert ["5: EINVAL"] == outcome.refused


def test_4a_a_disk_put_in_later_is_seen_in_all_cloned_namespaces(carry_out: Carry) -> None:
    outcome = carry_out(
        """\
mkdir -p /cdrom
mount --bind /cdrom /cdrom
mount --make-shared /cdrom
unshare -m --propagation unchanged sleep 9 &
mount -t tmpfs disc /cdrom
"""
    )
    assert [["/cdrom none[/cdrom] shared:1", "/cdrom disc shared:2"]] * 2 == outcome.spaces


def test_4b_mounts_in_a_slave_tree_are_seen_by_nobody_else(carry_out: Carry) -> None:
    outcome = carry_out(
        """\
mkdir -p /myprivatetree/in /myprivatetree/out
mount --bind /myprivatetree /myprivatetree
mount --make-rshared /
unshare -m --propagation unchanged sleep 9 &
nsenter -t $! -m mount --make-rslave /myprivatetree
nsenter -t $! -m mount -t tmpfs own /myprivatetree/in
mount -t tmpfs all /myprivatetree/out
"""
    )
    assert [
        [
            "/ none shared:1",
            "/myprivatetree none[/myprivatetree] shared:2",
            "/myprivatetree/out all shared:3",
        ],
        [
            "/ none shared:1",
            "/myprivatetree none[/myprivatetree] master:2",
            "/myprivatetree/in own",
            "/myprivatetree/out all master:3",
        ],
    ] == outcome.spaces


def test_4d_a_mount_appears_in_all_views(carry_out: Carry) -> None:
    outcome = carry_out(
        """\
mkdir -p /usr /view/v1 /view/v2
mount --make-shared /
mount --rbind / /view/v1
mount --rbind / /view/v2
mount -t tmpfs versions /usr
"""
    )
    places = {line.split()[0] for line in outcome.mounts if " versions" in line}
    assert {"/usr", "/view/v1/usr", "/view/v2/usr"} <= places


KINDS = ("shared", "slave", "shared and slave", "private", "unbindable")
CHANGES = ("shared", "slave", "private", "unbindable")
STATES = {
    # Section 5a's diagram. The last member of a group that is made a slave becomes private; so does what has no master.
    "shared": ("shared", "slave", "private", "unbindable"),
    "slave": ("shared and slave", "slave", "private", "unbindable"),
    "shared and slave": ("shared and slave", "slave", "private", "unbindable"),
    "private": ("shared", "private", "private", "unbindable"),
    "unbindable": ("shared", "unbindable", "private", "unbindable"),
}


def made(place: str, kind: str) -> str:
    """Commands that make a mount at `place` of that kind; where it has a master, that is the mount at /master."""
    if kind in ("shared", "private", "unbindable"):
        return f"mount -t tmpfs {place[1:]} {place}\nmount --make-{kind} {place}\n"
    return f"mount --bind /master {place}\nmount --make-slave {place}\n" + (
        f"mount --make-shared {place}\n" if kind == "shared and slave" else ""
    )


MASTER = """\
mkdir -p /master /A /B /peer
mount -t tmpfs m /master
mount --make-shared /master
mkdir /master/b
"""


def kind_of(lines: list[str], place: str) -> str:
    line = next(line for line in lines if line.split()[0] == place)
    if "unbindable" in line:
        return "unbindable"
    words = [word for word, sign in (("shared", " shared:"), ("slave", " master:")) if sign in line]
    return " and ".join(words) or "private"


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("change", CHANGES)
def test_5a_each_change_leads_from_each_state_to_the_state_of_the_diagram(
    carry_out: Carry, before: str, change: str
) -> None:
    peer = "mount --bind /A /peer\n" if before == "shared" else ""
    outcome = carry_out(MASTER + made("/A", before) + peer + f"mount --make-{change} /A\n")
    assert STATES[before][CHANGES.index(change)] == kind_of(outcome.mounts, "/A")
    assert [] == outcome.refused


def test_5a_the_last_shared_mount_of_a_group_becomes_private_as_a_slave(carry_out: Carry) -> None:
    outcome = carry_out(MASTER + made("/A", "shared") + "mount --make-slave /A\n")
    assert "private" == kind_of(outcome.mounts, "/A")


BIND = {
    ("shared", "shared"): "shared",
    ("private", "shared"): "shared",
    ("slave", "shared"): "shared and slave",
    ("unbindable", "shared"): "invalid",
    ("shared", "private"): "shared",
    ("private", "private"): "private",
    ("slave", "private"): "slave",
    ("unbindable", "private"): "invalid",
}


@pytest.mark.parametrize(("source", "destination"), BIND)
def test_5b_a_bind_is_what_the_table_says(carry_out: Carry, source: str, destination: str) -> None:
    outcome = carry_out(MASTER + made("/A", source) + made("/B", destination) + "mkdir -p /B/b\nmount --bind /A /B/b\n")
    if BIND[source, destination] == "invalid":
        assert ["EINVAL"] == [line.split()[1] for line in outcome.refused]
    else:
        assert BIND[source, destination] == kind_of(outcome.mounts, "/B/b")
        assert [] == outcome.refused


@pytest.mark.parametrize(("source", "destination"), BIND)
def test_5d_a_move_is_what_the_table_says(carry_out: Carry, source: str, destination: str) -> None:
    """As a bind, but an unbindable mount can be moved to where nothing has to be copied."""
    outcome = carry_out(MASTER + made("/A", source) + made("/B", destination) + "mkdir -p /B/b\nmount --move /A /B/b\n")
    if (source, destination) == ("unbindable", "shared"):
        assert ["EINVAL"] == [line.split()[1] for line in outcome.refused]
    else:
        expected = "unbindable" if source == "unbindable" else BIND[source, destination]
        assert expected == kind_of(outcome.mounts, "/B/b")


def test_5c_an_rbind_leaves_unbindable_mounts_behind_with_all_below_them(carry_out: Carry) -> None:
    outcome = carry_out(
        """\
mkdir -p /A /Z
mount -t tmpfs A /A
mkdir /A/B /A/C
mount -t tmpfs B /A/B
mkdir /A/B/D /A/B/E
mount -t tmpfs D /A/B/D
mount -t tmpfs E /A/B/E
mount -t tmpfs C /A/C
mkdir /A/C/F /A/C/G
mount -t tmpfs F /A/C/F
mount -t tmpfs G /A/C/G
mount --make-unbindable /A/C
mount --rbind /A /Z
"""
    )
    assert ["/Z A", "/Z/B B", "/Z/B/D D", "/Z/B/E E"] == [line for line in outcome.mounts if line.startswith("/Z")]


def test_5d_what_hangs_on_a_shared_mount_cannot_be_moved(carry_out: Carry) -> None:
    outcome = carry_out(BASE + "mount --make-shared /mnt\nmount -t tmpfs A /mnt/a\nmount --move /mnt/a /tmp\n")
    assert ["6: EINVAL"] == outcome.refused


PEERS = """\
mkdir -p /B1 /B2 /B3
mount -t tmpfs B /B1
mkdir /B1/b
mount --make-shared /B1
mount --bind /B1 /B2
mount --bind /B1 /B3
mount -t tmpfs A /B1/b
mkdir /B1/b/sub
mount -t tmpfs C /B1/b
mkdir /B1/b/sub
"""


def test_5f_an_unmount_takes_the_topmost_mount_in_all_peers(carry_out: Carry) -> None:
    outcome = carry_out(PEERS + "umount /B1/b\n")
    assert ["/B1/b A shared:2", "/B3/b A shared:2", "/B2/b A shared:2"] == outcome.mounts[3:]


def test_5f_a_counterpart_with_a_mount_in_it_stays_and_the_others_go(carry_out: Carry) -> None:
    outcome = carry_out(PEERS + "mount --make-private /B2/b\nmount -t tmpfs own /B2/b/sub\numount /B1/b\n")
    assert [] == outcome.refused
    assert ["/B2/b"] == [line.split()[0] for line in outcome.mounts if " C" in line]


def test_5f_a_mount_with_a_mount_in_it_is_not_unmounted(carry_out: Carry) -> None:
    outcome = carry_out(PEERS + "mount -t tmpfs own /B1/b/sub\numount /B1/b\n")
    assert ["12: EBUSY"] == outcome.refused
    assert 12 == len(outcome.mounts)


def test_5g_a_cloned_namespace_has_peers_of_shared_mounts_and_slaves_of_the_same_masters(carry_out: Carry) -> None:
    """The document says that an unbindable mount is unbindable there as well; since Linux 6.17 it is private."""
    outcome = carry_out(
        MASTER
        + made("/A", "slave")
        + made("/B", "private")
        + made("/peer", "unbindable")
        + "unshare -m --propagation unchanged sleep 9 &\n"
    )
    assert [
        ["/master m shared:1", "/A m master:1", "/B B", "/peer peer unbindable"],
        ["/master m shared:1", "/A m master:1", "/B B", "/peer peer"],
    ] == outcome.spaces


def test_6a_a_mount_moved_into_its_own_peer_appears_in_itself_once(carry_out: Carry) -> None:
    """/mnt and /mnt/1 show the same; /mnt/1/1 is the copy that propagated, and shows the bare directory below it."""
    outcome = carry_out(
        """\
mkdir -p /mnt/1 /tmp
mount --bind /mnt /mnt
mount --make-shared /mnt
mount --bind /mnt /tmp
mount --move /tmp /mnt/1
"""
    )
    assert [
        "/mnt none[/mnt] shared:1",
        "/mnt/1 none[/mnt] shared:1",
        "/mnt/1/1 none[/mnt] shared:1",
    ] == outcome.mounts


def test_6b_a_shared_root_bound_into_itself_does_not_appear_in_its_copy(carry_out: Carry) -> None:
    """/v/1/v/1 is the bare directory: the copy was made before it was mounted, and new mounts receive nothing."""
    outcome = carry_out("mkdir -p /v/1\nmount --make-rshared /\nmount --rbind / /v/1\n")
    assert ["/ none shared:1", "/v/1 none shared:1"] == outcome.mounts


def test_6c_a_slave_that_does_not_show_the_place_still_passes_the_event_on(carry_out: Carry) -> None:
    """A -> B -> C: the mount at test is not below B's root, and arrives in C all the same."""
    outcome = carry_out(
        """\
mkdir -p /mnt /tmp /tmp1 /bin
mount --bind /mnt /mnt
mount --make-shared /mnt
mkdir -p /mnt/1/2/3 /mnt/1/test
mount --bind /mnt/1 /tmp
mount --make-slave /mnt
mount --make-shared /mnt
mount --bind /mnt/1/2 /tmp1
mount --make-slave /mnt
mount --bind /bin /tmp/test
"""
    )
    assert [
        "/mnt none[/mnt] master:1",
        "/tmp none[/mnt/1] shared:2",
        "/tmp1 none[/mnt/1/2] shared:1 master:2",
        "/tmp/test none[/bin] shared:3",
        "/mnt/1/test none[/bin] master:3",
    ] == [line.replace(" from:2", "") for line in outcome.mounts]


def rbinds(count: int) -> str:
    return "mkdir -p /root/tmp /root/usr\nmount --bind /root /root\nmount --make-shared /root\n" + "".join(
        f"mkdir -p /root/tmp/m{number}\nmount --rbind /root /root/tmp/m{number}\n" for number in range(1, count + 1)
    )


@pytest.mark.parametrize(("count", "mounts"), [(0, 1), (1, 2), (2, 6), (3, 42)])
def test_7_replicating_a_shared_tree_in_itself_grows_with_every_step(carry_out: Carry, count: int, mounts: int) -> None:
    """n mounts become n * (n + 1). The document says 24 for the third step; the kernel makes 42."""
    assert mounts == len(carry_out(rbinds(count)).mounts)


def test_7_the_fifth_replica_would_pass_the_limit_of_mounts_and_nothing_of_it_is_left(carry_out: Carry) -> None:
    """42 * 43 = 1806; the next would be over three million, and fs.mount-max is 100,000."""
    outcome = carry_out(rbinds(5))
    assert 1806 == len(outcome.mounts)
    assert ["13: ENOSPC"] == outcome.refused


def test_7_an_unbindable_directory_keeps_the_replicas_from_multiplying(carry_out: Carry) -> None:
    outcome = carry_out(
        """\
mkdir -p /root/tmp /root/usr
mount --bind /root /root
mount --bind /root/tmp /root/tmp
mount --make-rshared /root
mount --make-unbindable /root/tmp
mkdir -p /root/tmp/m1 /root/tmp/m2 /root/tmp/m3
mount --rbind /root /root/tmp/m1
mount --rbind /root /root/tmp/m2
mount --rbind /root /root/tmp/m3
"""
    )
    assert ["/root", "/root/tmp", "/root/tmp/m1", "/root/tmp/m2", "/root/tmp/m3"] == [
        line.split()[0] for line in outcome.mounts
    ]
