"""Mount states at which CRIU stops, or which it restores as something else: captured, built, and the same again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mountplan.applier.sys import abi, syscalls
from tests.hosts import InHost, enter_user_namespace, mount, umount
from tests.kernel.capture_fuzz import compare_again
from tests.kernel.handmade import CLONE_NEWNS, Alive, begin, bind, enter, make, new, own, restored
from tests.mountflags import (
    MS_BIND,
    MS_MOVE,
    MS_NOSYMFOLLOW,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
)
from tests.trees import ROOT, tree

pytestmark = pytest.mark.needs_kernel("set-group", "root")

# -- sharing groups ---------------------------------------------------------------------------------------------------


def test_two_members_beside_each_other_whose_widest_member_is_gone(in_host: InHost) -> None:
    """/a and /bb of one filesystem: neither can be bound from the other, and the one that has both is unmounted."""

    def build() -> None:
        own("w", "a", "b")
        new("w", "a", "bb")
        make("w", MS_SHARED)
        bind("w/a", "a")
        bind("w/bb", "b")
        umount("w")
        enter()

    assert "" == restored(in_host, build)


def test_a_forest_of_members(in_host: InHost) -> None:
    """/a, /bb and /bb/c: two trees of roots in one group."""

    def build() -> None:
        own("w", "a", "b", "c")
        new("w", "a", "bb/c")
        make("w", MS_SHARED)
        for source, place in (("w/a", "a"), ("w/bb", "b"), ("w/bb/c", "c")):
            bind(source, place)
        umount("w")
        enter()

    assert "" == restored(in_host, build)


def test_a_slave_beside_the_only_member_that_its_master_has_left(in_host: InHost) -> None:
    def build() -> None:
        own("w", "a", "b")
        new("w", "a", "b")
        make("w", MS_SHARED)
        bind("w/a", "a")
        bind("w/b", "b")
        make("b", MS_SLAVE)
        umount("w")
        enter()

    assert "" == restored(in_host, build)


def feed() -> None:
    """A host that shares a filesystem at /srv/feed, with directories a and b in it."""
    mount("srv", "/srv", "tmpfs")
    for name in ("feed", "other", "low", "narrow-a", "narrow-b"):
        os.mkdir(f"/srv/{name}")
    new("/srv/feed", "a", "b")
    make("/srv/feed", MS_SHARED)


def test_a_group_that_receives_from_the_host_with_members_beside_each_other(in_host: InHost) -> None:
    def build() -> None:
        begin("w", "a", "b")
        bind("/srv/feed", "w")
        make("w", MS_SLAVE, MS_SHARED)
        bind("w/a", "a")
        bind("w/b", "b")
        umount("w")
        enter()

    assert "" == restored(in_host, build, host=feed)


# -- groups of the host's ---------------------------------------------------------------------------------------------


def slaves() -> None:
    """Slaves of the host's group that show /a and /b of its filesystem; the second is shared as well."""
    begin("a", "b")
    bind("/srv/feed/a" if os.path.exists("/srv/feed/a") else "/srv/narrow-a", "a")
    bind("/srv/feed/b" if os.path.exists("/srv/feed/b") else "/srv/narrow-b", "b")
    make("a", MS_SLAVE)
    make("b", MS_SLAVE, MS_SHARED)
    enter()


def test_a_master_that_can_be_joined_from_another_of_its_members_only(in_host: InHost) -> None:
    """The first member that the host has of the group shows too little."""

    def host() -> None:
        feed()
        bind("/srv/feed/a", "/srv/narrow-a")
        bind("/srv/feed", "/srv/other")
        umount("/srv/feed")
        bind("/srv/other", "/srv/feed")

    assert "" == restored(in_host, slaves, host=host)


def test_sibling_groups_each_of_which_has_but_one_wide_enough_member_of_the_host(in_host: InHost) -> None:
    def host() -> None:
        feed()
        bind("/srv/feed/a", "/srv/narrow-a")
        bind("/srv/feed/b", "/srv/narrow-b")
        umount("/srv/feed")

    assert "" == restored(in_host, slaves, host=host)


def test_a_master_beside_which_the_host_shows_the_filesystem_without_sharing_it(in_host: InHost) -> None:
    """And another filesystem is on the path at which the group's member was."""

    def host() -> None:
        feed()
        bind("/srv/feed", "/srv/low")
        make("/srv/low", MS_PRIVATE)
        mount("/srv/feed", "/srv/other", flags=MS_MOVE)
        new("/srv/feed")

    def build() -> None:
        begin("a")
        bind("/srv/other/a", "a")
        make("a", MS_SLAVE)
        enter()

    assert "" == restored(in_host, build, host=host)


def test_a_mount_that_is_a_peer_of_the_hosts_stays_one(in_host: InHost) -> None:
    """CRIU makes a new group of it, and it is cut off."""

    def build() -> None:
        begin("feed", "a")
        bind("/srv/feed", "feed")
        bind("/srv/feed/a", "a")
        enter()

    assert "" == restored(in_host, build, host=feed)


# -- attributes -------------------------------------------------------------------------------------------------------


def test_nosymfollow_stays(in_host: InHost) -> None:
    def build() -> None:
        own("a")
        new("a")
        mount("", "a", flags=MS_REMOUNT | MS_BIND | MS_NOSYMFOLLOW)
        enter()

    assert "" == restored(in_host, build)


@pytest.mark.needs_kernel("userns", "idmap-tmpfs", "told-id-maps")
def test_an_id_mapping_stays(in_host: InHost) -> None:
    spec = f"""{ROOT}
    [[mount]]
    target = "/mapped"
    bind = {{ mount = "root" }}
    idmap = {{ uids = [[0, 100000, 10]], gids = [[0, 200000, 10], [10, 5, 1]] }}
    """

    def script() -> str:
        with tree(spec) as built:
            return compare_again(Alive([built.built.pid]))

    assert "" == in_host(script, identity="root")


# -- trees ------------------------------------------------------------------------------------------------------------


def test_a_mountpoint_that_is_a_symlink(in_host: InHost) -> None:
    """No path walk gets there, but a descriptor of the symlink does."""

    def build() -> None:
        own("a")
        Path("file").touch()
        os.symlink("a", "link")
        clone = syscalls.open_tree(abi.AT_FDCWD, b"file", abi.OPEN_TREE_CLONE)
        link = os.open("link", os.O_PATH | os.O_NOFOLLOW)
        syscalls.move_mount(clone, link, b"", abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH)
        os.close(clone)
        enter()

    assert "" == restored(in_host, build)


@pytest.mark.needs_kernel("device-nodes")
@pytest.mark.parametrize("kind", [0o010644, 0o140644, 0o020644], ids=["fifo", "socket", "device"])
@pytest.mark.parametrize("read_only", [False, True], ids=["", "read-only"])
def test_a_bind_of_something_special_whose_name_is_gone(kind: int, read_only: bool, in_host: InHost) -> None:
    def build() -> None:
        own("w")
        new("w")
        os.mknod("w/one", kind, os.makedev(1, 3))
        Path("here").touch()
        bind("w/one", "here")
        os.unlink("w/one")
        if read_only:
            for place in ("w", "here"):
                mount("", place, flags=MS_REMOUNT | MS_BIND | MS_RDONLY)
        enter()

    assert "" == restored(in_host, build)


def test_a_bind_of_a_file_of_whose_filesystem_nothing_else_is_left(in_host: InHost) -> None:
    def build() -> None:
        own("w")
        new("w", "deep")
        Path("w/deep/file").touch()
        Path("here").touch()
        bind("w/deep/file", "here")
        umount("w")
        enter()

    assert "" == restored(in_host, build)


@pytest.mark.needs_kernel("userns")
def test_namespaces_of_nested_user_namespaces(in_host: InHost) -> None:
    """Each of the two namespaces has another owner; what is in them is built by the user who captures them."""

    def nested(depth: int) -> Callable[[], None]:
        def build() -> None:
            make("/", MS_REC | MS_PRIVATE)
            for _ in range(depth):
                enter_user_namespace(CLONE_NEWNS)
            begin("a", "b")
            new("a", "x")
            make("a", MS_SHARED)
            bind("a/x", "b")
            enter()

        return build

    assert "" == restored(in_host, nested(1), nested(2))
