"""The parts of a capture that need no kernel: names, options, layers, trees, and how it is written down."""

from __future__ import annotations

import pytest

from mountplan.planner.capture.naming import Names
from mountplan.planner.capture.regiven import given_again
from mountplan.planner.capture.shown_layers import Directories, shown_directories
from mountplan.planner.tables.layerpath import directory_of, layer_of
from mountplan.planner.tables.mounttree import MountTree, walk
from mountplan.planner.tables.table import MountRow, MountTable


def row(number: int, parent: int, mountpoint: str, device: str = "0:1", fstype: str = "tmpfs") -> MountRow:
    return MountRow(number, parent, device, "/", mountpoint, "rw", 0, 0, 0, False, fstype, "none", "rw")


@pytest.mark.parametrize(
    ("fstype", "shown", "given"),
    [
        ("tmpfs", "rw", ()),
        ("tmpfs", "rw,size=1048576k,mode=755", (("size", "1g"), ("mode", "0755"))),
        ("tmpfs", "ro,seclabel,size=4k", (("size", "4k"), ("ro", True))),
        ("devpts", "rw,gid=5,mode=620,ptmxmode=000", (("gid", "5"), ("mode", "0620"))),
        ("debugfs", "rw,mode=700", ()),
        ("overlay", "ro,lowerdir=/a:/b,redirect_dir=on", ()),
        ("overlay", "ro,lowerdir=/a:/b,redirect_dir=nofollow", (("redirect_dir", "nofollow"),)),
        ("overlay", "ro,lowerdir=/a,upperdir=/u,workdir=/w,index=on", (("index", "on"), ("ro", True))),
        ("overlay", "rw,lowerdir=/a,upperdir=/u,workdir=/w,metacopy=on,uuid=on", (("metacopy", "on"),)),
    ],
)
def test_options_are_written_as_they_would_be_given(fstype: str, shown: str, given: tuple[object, ...]) -> None:
    """Defaults are left out, and so is what the kernel shows and nobody gives."""
    assert given == given_again(fstype, shown)


@pytest.mark.parametrize(
    ("shown", "directories"),
    [
        ("ro,lowerdir=/a:/b", Directories(("/a", "/b"), "", "")),
        ("rw,lowerdir=/a,upperdir=/u,workdir=/w", Directories(("/a",), "/u", "/w")),
        (r"ro,lowerdir=/a\134:b\134\054c\040d\134\134e:/l", Directories(("/a:b,c d\\e", "/l"), "", "")),
        ("ro,lowerdir+=/p:q,lowerdir+=/r", Directories(("/p:q", "/r"), "", "")),
        (r"rw,lowerdir=/a,upperdir=/u\134\054,workdir=/w\134:", Directories(("/a",), "/u,", "/w:")),
        (r"rw,lowerdir+=/a,upperdir=/u\134\054,workdir=/w\134:", Directories(("/a",), "/u\\,", "/w\\:")),
        ("ro,lowerdir=/a::/data::/more", Directories(("/a",), "", "", ("/data", "/more"))),
        ("ro,lowerdir+=/a,datadir+=/data", Directories(("/a",), "", "", ("/data",))),
        ("rw", "the kernel does not tell what it is made of"),
    ],
)
def test_the_directories_of_an_overlay_are_read_from_what_it_shows(shown: str, directories: object) -> None:
    """Colons, commas and backslashes in a path are escaped in lowerdir, and not in lowerdir+."""
    assert directories == shown_directories(shown)


def test_a_layer_in_the_yard_tells_of_its_device() -> None:
    name = directory_of(42, "p3")
    assert ("0:42", "/a b/c") == layer_of(f"/{name}/a b/c")
    assert ("0:42", "/") == layer_of(f"/{name}")
    assert None is layer_of("/srv/a-on-b")


def test_names_are_short_while_they_are_free() -> None:
    """More of the path comes in front when they are not, then what else was offered, then a number."""
    names = Names()
    assert ["data", "srv-data", "web-srv-data", "data-2", "data-3"] == [
        names.take("/srv/data"),
        names.take("/srv/data"),
        names.take("/srv/data", ("web",)),
        names.take("/srv/data", ("web",)),
        names.take("/srv/data"),
    ]
    assert "root" == names.take("/")
    assert "caf-x" == names.take("/caf\udce9 x/")


def test_the_order_of_a_tree_depends_on_places_and_not_on_ids() -> None:
    rows = [row(1, 0, "/"), row(7, 1, "/b"), row(3, 1, "/a-b"), row(9, 1, "/a/b"), row(2, 9, "/a/b/c"), row(5, 7, "/b")]
    for order in (rows, rows[::-1], rows[2:] + rows[:2]):
        tree = MountTree(MountTable(tuple(order)))
        assert ["/", "/a/b", "/a/b/c", "/a-b", "/b", "/b"] == [one.mountpoint for one in tree.rows]
        assert [-1, 0, 1, 0, 0, 4] == tree.parents


def test_a_mount_below_a_cover_is_not_reached_and_one_that_lost_its_place_is_adrift() -> None:
    tree = MountTree(MountTable((row(1, 0, "/"), row(2, 1, "/a/b"), row(3, 1, "/a"), row(4, 2, "/elsewhere"))))
    assert {"/": True, "/a": True, "/a/b": False} == {
        one.mountpoint: reached for one, reached in zip(tree.rows, tree.reached, strict=True)
    }
    assert ["/elsewhere"] == [one.mountpoint for one in tree.adrift]


def test_a_walk_can_pass_over_the_mounts_of_one_device() -> None:
    """So it finds what lies beneath an overlay that covers its own layers."""
    tree = MountTree(MountTable((row(1, 0, "/"), row(2, 1, "/a", "0:2", "overlay"), row(3, 1, "/", "0:3"))))
    assert ("0:2", "/b") == (tree.rows[walk(tree, "/a/b")[0]].device, walk(tree, "/a/b")[1])
    assert (0, "/a/b") == walk(tree, "/a/b", without=lambda row: row.device == "0:2")
    assert ("0:3", "/a/b") == (tree.rows[walk(tree, "/a/b", from_top=True)[0]].device, "/a/b")
