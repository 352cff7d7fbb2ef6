"""What a plan says will stand there, as a mount table."""

from __future__ import annotations

from mountplan import api
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.predict import HOST_GROUPS, Prediction, mounts_behind, predict
from mountplan.planner.tables.table import MountRow
from tests.fakes import FakeHost, host_mount

HOST = FakeHost(
    {"/data/dir/sub": "directory", "/data/dir/in/deep": "directory", "/srv/x": "directory"},
    (
        host_mount(2, 1, "/data/dir", attributes="rw,nosuid,relatime", shared=5),
        host_mount(3, 2, "/data/dir/sub", attributes="ro,relatime", master=5),
        host_mount(4, 2, "/data/dir/in", unbindable=True),
        host_mount(5, 1, "/srv", device="8:2", root="/part", shared=6, master=5),
    ),
)
ROOT = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\nid = "root"\n'


def predicted(text: str) -> Prediction:
    (prediction,) = predict(api.plan(parse_spec(b"format = 1\n" + text.encode(), "test.toml"), HOST), HOST.table)
    return prediction


def rows(text: str) -> dict[str, MountRow]:
    return {row.mountpoint: row for row in predicted(text).table.rows}


def bind(target: str, source: str, words: str = "") -> str:
    return f'[[mount]]\ntarget = "{target}"\nbind = {source}\n{words}\n'


def test_a_new_filesystem_is_a_device_of_its_own_and_its_binds_show_the_same() -> None:
    text = ROOT + '[[mount]]\nid = "a"\ntarget = "/a"\ntype = "tmpfs"\nsource = "s"\n[[mount.file]]\npath = "in/x"\n'
    found = rows(text + bind("/b", '{ mount = "a", path = "/in" }', 'attributes = ["ro"]'))
    assert ("=fs:a", "/", "rw,relatime", "s") == (
        found["/a"].device,
        found["/a"].root,
        found["/a"].attributes,
        found["/a"].source,
    )
    assert ("=fs:a", "/in", "ro,relatime") == (found["/b"].device, found["/b"].root, found["/b"].attributes)


def test_a_bind_of_the_host_has_the_device_root_and_attributes_of_the_hosts_mount() -> None:
    found = rows(ROOT + bind("/a", '"/srv/x"') + bind("/b", '"/data/dir"', 'attributes = ["suid", "noexec"]'))
    assert ("8:2", "/part/x", "rw,relatime") == (found["/a"].device, found["/a"].root, found["/a"].attributes)
    assert "rw,noexec,relatime" == found["/b"].attributes


def test_a_recursive_bind_of_the_host_brings_what_is_mounted_below() -> None:
    """Private, whatever it is on the host, and with the attributes of the bind on top of its own."""
    found = rows(ROOT + bind("/a", '"/data/dir"', 'recursive = true\nattributes = ["nodev"]'))
    assert ["/", "/a", "/a/in", "/a/sub"] == sorted(found)
    assert "ro,nodev,relatime" == found["/a/sub"].attributes
    assert (0, 0, False) == (found["/a/sub"].master, found["/a"].peer_group, found["/a/in"].unbindable)
    assert found["/a"].mount_id == found["/a/sub"].parent_id


def test_a_bind_that_is_not_recursive_brings_nothing() -> None:
    assert ["/", "/a"] == sorted(rows(ROOT + bind("/a", '"/data/dir"')))


def test_a_mount_below_a_recursive_bind_stands_on_what_that_brings() -> None:
    found = rows(
        ROOT + bind("/a", '"/data/dir"', "recursive = true") + '[[mount]]\ntarget = "/a/in/deep"\ntype = "tmpfs"'
    )
    assert found["/a/in"].mount_id == found["/a/in/deep"].parent_id


def test_new_groups_are_numbers_that_say_who_is_with_whom() -> None:
    text = '[peer_group.g]\n[peer_group.h]\nmaster = "g"\n' + ROOT
    text += '[[mount]]\nid = "a"\ntarget = "/a"\ntype = "tmpfs"\npeer_group = "g"\n'
    for target, words in (("/b", 'peer_group = "g"'), ("/c", 'peer_group = "h"'), ("/d", 'master = "h"'), ("/e", "")):
        text += bind(target, '{ mount = "a" }', words)
    found = rows(text)
    assert found["/a"].peer_group == found["/b"].peer_group == found["/c"].master > 0
    assert found["/c"].peer_group == found["/d"].master > 0
    assert found["/a"].peer_group != found["/c"].peer_group
    assert (0, 0) == (found["/e"].peer_group, found["/e"].master)


def test_a_group_of_the_host_has_the_hosts_number_and_its_master() -> None:
    text = '[peer_group.feed]\nhost = "/srv"\n' + ROOT
    found = rows(text + bind("/a", '"/srv"', 'peer_group = "feed"') + bind("/b", '"/srv"', 'master = "feed"'))
    assert (HOST_GROUPS + 6, HOST_GROUPS + 5) == (found["/a"].peer_group, found["/a"].master)
    assert (0, HOST_GROUPS + 6) == (found["/b"].peer_group, found["/b"].master)


def test_an_inherited_root_is_the_hosts_table() -> None:
    """As slaves of the host's groups, or as private copies."""
    private, slave = (
        rows(f'root = "inherit"\npropagation = "{word}"\n[[mount]]\ntarget = "/srv/x"\ntype = "tmpfs"\n')
        for word in ("private", "slave")
    )
    assert ["/", "/data/dir", "/data/dir/in", "/data/dir/sub", "/srv", "/srv/x"] == sorted(private) == sorted(slave)
    assert {0} == {row.master for row in private.values()} | {row.peer_group for row in private.values()}
    assert [HOST_GROUPS + 5, HOST_GROUPS + 5, HOST_GROUPS + 6] == [
        slave[path].master for path in ("/data/dir", "/data/dir/sub", "/srv")
    ]


def test_an_inherited_mount_that_is_shared_and_a_slave_receives_from_its_peers() -> None:
    """Not from its master: that is what making a shared mount a slave means."""
    slave = rows('root = "inherit"\npropagation = "slave"\n[[mount]]\ntarget = "/srv/x"\ntype = "tmpfs"\n')
    assert HOST_GROUPS + 6 == slave["/srv"].master


def test_every_row_tells_which_part_of_the_spec_it_is_from() -> None:
    prediction = predicted(ROOT + bind("/a", '"/data/dir"', "recursive = true"))
    assert ["mount[0]", "mount[1]", "mount[1]", "mount[1]"] == list(prediction.origins)
    assert ["root", "/a", "/a+/data/dir/sub", "/a+/data/dir/in"] == list(prediction.names)


def test_a_parent_always_comes_before_what_stands_on_it() -> None:
    text = "".join(f'[[mount]]\ntarget = "{"/a" * depth or "/"}"\ntype = "tmpfs"\n' for depth in (3, 1, 0, 2))
    table = predicted(text).table
    assert [0, 1, 2, 3] == [row.parent_id for row in table.rows]


def test_what_a_clone_has_brought_is_known_whatever_its_target_is_called() -> None:
    """`+` is what such names are made with, and a character like any other in a target."""
    text = ROOT + bind("/c", '"/data"') + bind("/c++", '"/data/dir"', "recursive = true")
    plan = api.plan(parse_spec(b"format = 1\n" + text.encode(), "test.toml"), HOST)
    (prediction,) = predict(plan, HOST.table)
    behind = mounts_behind(plan.expected.namespaces[0], prediction)
    found = {
        row.mountpoint: (mount and mount.name, own)
        for row, (mount, own) in zip(prediction.table.rows, behind, strict=True)
    }
    assert found == {
        "/": ("root", True),
        "/c": ("/c", True),
        "/c++": ("/c++", True),
        "/c++/sub": ("/c++", False),
        "/c++/in": ("/c++", False),
    }
