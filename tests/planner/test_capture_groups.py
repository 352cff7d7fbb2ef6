"""Group ids in mount tables -> peer groups with names and masters; filesystems that can be filled."""

from __future__ import annotations

from mountplan.planner.capture.captured import Captured, CapturedFile, CapturedGroup, CapturedNamespace
from mountplan.planner.capture.fillable import find_fillings, with_contents
from mountplan.planner.capture.groups import Sharing, find_sharing
from mountplan.planner.capture.widest import HostMounts
from mountplan.planner.tables.mount_facts import Fillable, Visible
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import MountRow, MountTable
from tests.planner.test_capture_writing import NOTHING


def row(number: int, parent: int, mountpoint: str, **changes: object) -> MountRow:
    plain = MountRow(number, parent, "0:50", "/", mountpoint, "rw,relatime", 0, 0, 0, False, "tmpfs", "tmpfs", "rw")
    return plain._replace(**changes)  # type: ignore[arg-type]


ROOT = row(1, 0, "/", device="0:1")
HOST = HostMounts(MountTable((row(901, 0, "/", device="8:1"),)))


def sharing(*rows: MountRow, host: HostMounts = HOST, seeds: tuple[MountRow, ...] = ()) -> Sharing:
    """`ROOT` and these, in one namespace; all that the host has is taken from the host."""
    return find_sharing([MountTree(MountTable((ROOT, *rows)))], host, host.devices, seeds)


def test_a_group_has_the_name_of_its_first_member_and_a_slave_that_of_its_master() -> None:
    found = sharing(row(2, 1, "/a", peer_group=7), row(3, 1, "/b", peer_group=7), row(4, 1, "/c", master=7))
    assert (CapturedGroup("a", "", ""),) == found.groups
    assert {(0, 1): "a", (0, 2): "a"} == found.group_of
    assert {(0, 3): "a"} == found.master_of
    assert {} == found.refused


def test_a_group_with_a_master_comes_with_it_and_a_member_that_receives_is_no_slave() -> None:
    found = sharing(row(2, 1, "/a", peer_group=7, master=8), row(3, 1, "/b", peer_group=8))
    assert {CapturedGroup("a", "b", ""), CapturedGroup("b", "", "")} == set(found.groups)
    assert {(0, 1): "a", (0, 2): "b"} == found.group_of
    assert {} == found.master_of


def test_a_master_that_nobody_visible_is_in_gets_a_name_of_what_receives_from_it() -> None:
    assert (CapturedGroup("a-master", "", ""),) == sharing(row(2, 1, "/a", master=9)).groups
    found = find_sharing([MountTree(MountTable((ROOT._replace(master=9),)))], HOST, frozenset())
    assert {(0, 0): "root-master"} == found.master_of


def test_what_a_slave_says_of_masters_further_up_links_hidden_groups() -> None:
    """propagate_from names the nearest group that the reader can see (proc_pid_mountinfo(5))."""
    found = sharing(row(2, 1, "/a", master=9, propagate_from=7), row(3, 1, "/b", peer_group=7))
    assert {CapturedGroup("a-master", "b", ""), CapturedGroup("b", "", "")} == set(found.groups)
    assert {(0, 1): "a-master"} == found.master_of


def test_a_seed_tells_the_master_of_a_group_that_nobody_visible_is_in() -> None:
    found = sharing(
        row(2, 1, "/a", master=9), row(3, 1, "/b", peer_group=7), seeds=(row(800, 0, "/", peer_group=9, master=7),)
    )
    assert {CapturedGroup("a-master", "b", ""), CapturedGroup("b", "", "")} == set(found.groups)
    seen = row(2, 1, "/a", peer_group=9)
    assert (CapturedGroup("a", "", ""),) == sharing(seen, seeds=(row(800, 0, "/", peer_group=9, master=7),)).groups


def test_a_group_spans_what_all_that_receive_from_it_show_however_far_below_they_are() -> None:
    """Only then the host has to show it: the seed of a group contains the roots of all members and slaves."""
    host = HostMounts(MountTable((row(901, 0, "/", device="8:1"), row(902, 901, "/part", device="8:2", root="/part"))))
    chain = (
        row(2, 1, "/a", device="8:2", root="/part/x", peer_group=7),
        row(3, 1, "/b", device="8:2", root="/part/x", peer_group=8, master=7),
        row(4, 1, "/c", device="8:2", root="/part/x", peer_group=9, master=8),
    )
    assert {} == sharing(*chain, row(5, 1, "/d", device="8:2", root="/part/y", master=9), host=host).refused
    found = sharing(*chain, row(5, 1, "/d", device="8:2", root="/other", master=9), host=host)
    assert [(0, 1), (0, 2), (0, 3), (0, 4)] == sorted(found.refused)
    assert () == found.groups


def test_a_group_of_the_host_is_taken_through_the_widest_mount_that_shows_the_root() -> None:
    host = HostMounts(
        MountTable(
            (
                row(901, 0, "/", device="8:1"),
                row(902, 901, "/srv", device="8:2", peer_group=7),
                row(903, 901, "/part", device="8:2", root="/part", peer_group=7),
            )
        )
    )
    found = sharing(
        row(2, 1, "/a", device="8:2", root="/part/x", peer_group=7),
        row(3, 1, "/b", device="8:2", root="/y", master=7),
        host=host,
    )
    assert (CapturedGroup("srv", "", "/srv"),) == found.groups
    assert {(0, 1): "srv"} == found.group_of
    assert {(0, 2): "srv"} == found.master_of


def test_a_group_of_the_host_none_of_whose_mounts_shows_the_root_is_refused() -> None:
    host = HostMounts(
        MountTable((row(901, 0, "/", device="8:1"), row(902, 901, "/srv", device="8:2", root="/part", peer_group=7)))
    )
    found = sharing(row(2, 1, "/a", device="8:2", root="/other", peer_group=7), host=host)
    assert ((), {}) == (found.groups, found.group_of)
    assert "shows /other" in found.refused[0, 1]


def test_a_group_over_a_filesystem_of_the_host_needs_a_mount_there_that_shows_what_all_have_in_common() -> None:
    """Each part is shown, and their common ancestor is not: no seed can be made."""
    parts = (
        row(901, 0, "/", device="8:1"),
        row(902, 901, "/x", device="8:2", root="/d/x"),
        row(903, 901, "/y", device="8:2", root="/d/y"),
    )
    members = (
        row(2, 1, "/a", device="8:2", root="/d/x", peer_group=7),
        row(3, 1, "/b", device="8:2", root="/d/y", master=7),
        row(4, 1, "/c", peer_group=5),
    )
    found = sharing(*members, host=HostMounts(MountTable(parts)))
    assert (CapturedGroup("c", "", ""),) == found.groups
    assert {(0, 1), (0, 2)} == found.refused.keys()
    assert all("shows /d of the filesystem" in reason for reason in found.refused.values())
    wide = HostMounts(MountTable((*parts, row(904, 901, "/d", device="8:2", root="/d"))))
    assert {} == sharing(*members, host=wide).refused


def filesystem(number: int, target: str, **changes: object) -> MountRow:
    return row(number, 1, target, device=f"0:{number}", **changes)


def test_a_filling_is_seen_through_its_widest_mounts_and_knows_what_is_made_in_it() -> None:
    rows = (
        ROOT,
        filesystem(2, "/data", options="rw"),
        row(3, 1, "/part", device="0:2", root="/in"),
        row(4, 2, "/data/in/deep", device="0:9"),
        row(5, 1, "/gone", device="0:2", root="/was//deleted"),
    )
    tree = MountTree(MountTable(rows))
    at = {one.mountpoint: index for index, one in enumerate(tree.rows)}
    options = (("mode", "0711"), ("uid", "3"), ("gid", "4"))
    data = NOTHING._replace(
        row=at["/data"], target="/data", type="tmpfs", options=options, files=(CapturedFile("/f", "file"),)
    )
    proc = NOTHING._replace(row=0, type="proc")
    other = NOTHING._replace(row=at["/data/in/deep"], target="/data/in/deep", type="tmpfs", unsupported="cannot")
    captured = Captured("", (), (CapturedNamespace("one", (proc, data, other)),), (), ())
    views = (Visible("/", 0, 2), Visible("/was", 0, 5, removed=True))
    filling = Fillable("data", 0, 1, "/data", views, ("/f",), frozenset({"/f", "/in/deep"}), (0o711, 3, 4))
    assert [filling] == find_fillings(captured, [tree])
    filled = with_contents(captured, [(filling, "./data", {"/f"})])
    assert data._replace(contents="./data", files=()) == filled.namespaces[0].mounts[1]
    assert (proc, other) == (filled.namespaces[0].mounts[0], filled.namespaces[0].mounts[2])
    kept = with_contents(captured, [(filling, "./data", {"/other"})])
    assert data.files == kept.namespaces[0].mounts[1].files


def test_a_filesystem_that_stands_nowhere_is_seen_through_the_next_mount_and_not_through_what_is_covered() -> None:
    rows = (
        ROOT,
        row(2, 1, "/a/b", device="0:2", root="/x"),
        row(3, 1, "/c", device="0:2", root="/x"),
        row(4, 1, "/a", device="0:4"),
    )
    tree = MountTree(MountTable(rows))
    at = {one.mountpoint: index for index, one in enumerate(tree.rows)}
    nowhere = NOTHING._replace(row=-1, target="", type="tmpfs")
    bind = NOTHING._replace(row=at["/a/b"], target="/a/b")
    captured = Captured("", (), (CapturedNamespace("one", (nowhere, bind)),), (), ())
    (filling,) = find_fillings(captured, [tree])
    assert ("b", 0, 0, "/a/b") == filling[:4]
    assert (Visible("/x", 0, 3),) == filling.views
    assert (0o1777, 0, 0) == filling.root
