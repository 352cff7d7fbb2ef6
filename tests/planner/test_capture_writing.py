"""What a capture comes to as text: values in, text out."""

from __future__ import annotations

from mountplan.planner.capture.captured import (
    Captured,
    CapturedFile,
    CapturedGroup,
    CapturedMount,
    CapturedNamespace,
    CapturedPlace,
)
from mountplan.planner.capture.writing import write_spec
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.tables.mount_facts import LiveImage

NOTHING = CapturedMount(row=0, target="/")


def captured(*mounts: CapturedMount, groups: tuple[CapturedGroup, ...] = (), name: str = "") -> Captured:
    return Captured(name, groups, (CapturedNamespace("one", mounts),), (), ())


def lines_of(mount: CapturedMount) -> list[str]:
    """What is written of one mount after its target."""
    begin = ["format = 1", "", "[[mount]]", 'target = "/"']
    lines = write_spec(captured(mount)).splitlines()
    assert begin == lines[: len(begin)]
    return lines[len(begin) :]


def test_the_whole_is_written_in_the_order_of_the_language_and_can_be_read() -> None:
    everything = NOTHING._replace(
        id="data", target="/srv", parent="top", type="tmpfs", source="data", attributes=("ro", "nosuid"),
        options=(("size", "1m"), ("mode", "0755")), uids=((0, 1000, 5),), gids=((0, 2000, 6), (7, 8, 9)),
        peer_group="all", master="feed", on_symlink="follow", contents="./data",
        files=(CapturedFile("/in/x", "file"), CapturedFile("/d", "directory")),
    )  # fmt: skip
    whole = captured(
        NOTHING._replace(id="top", type="tmpfs"),
        everything,
        groups=(CapturedGroup("all", "feed", ""), CapturedGroup("feed", "", "/srv/feed")),
        name="shop",
    )._replace(unshare=("pid", "net"))
    text = write_spec(whole, ["captured by hand", "", "bell \a"])
    expected = """\
# captured by hand
#
# bell \\x07

format = 1
name = "shop"

[peer_group.all]
master = "feed"

[peer_group.feed]
host = "/srv/feed"

[[mount]]
id = "top"
target = "/"
type = "tmpfs"

[[mount]]
id = "data"
target = "/srv"
parent = "top"
type = "tmpfs"
source = "data"
options = { size = "1m", mode = "0755" }
contents = "./data"
attributes = ["ro", "nosuid"]
idmap = { uids = [[0, 1000, 5]], gids = [[0, 2000, 6], [7, 8, 9]] }
on_symlink = "follow"
peer_group = "all"
master = "feed"
[[mount.file]]
path = "in/x"
[[mount.file]]
path = "d"
directory = true

[run]
unshare = ["pid", "net"]
"""
    assert expected == text
    mount = parse_spec(text.encode()).mount[1]
    assert mount.idmap
    assert (((0, 1000, 5),), ((0, 2000, 6), (7, 8, 9))) == (
        tuple(map(tuple, mount.idmap.uids)),
        tuple(map(tuple, mount.idmap.gids)),
    )


def test_a_mount_with_defaults_has_two_lines() -> None:
    assert [] == lines_of(NOTHING)
    assert ['type = "proc"'] == lines_of(NOTHING._replace(type="proc"))
    assert ['type = "proc"', 'source = ""'] == lines_of(NOTHING._replace(type="proc", source=""))
    assert ['unsupported = "why"'] == lines_of(NOTHING._replace(unsupported="why"))
    assert ["unbindable = true"] == lines_of(NOTHING._replace(unbindable=True))


def test_a_map_of_users_alone_or_of_groups_alone_is_written() -> None:
    assert ["idmap = { uids = [[0, 1, 2]], gids = [] }"] == lines_of(NOTHING._replace(uids=((0, 1, 2),)))
    assert ["idmap = false"] == lines_of(NOTHING._replace(unmapped=True))
    assert ["idmap = { uids = [], gids = [[0, 1, 2]] }"] == lines_of(NOTHING._replace(gids=((0, 1, 2),)))


def test_options_are_texts_flags_or_lists() -> None:
    """A name that TOML would not take bare is quoted."""
    options = (("size", "1m"), ("ro", True), ("lowerdir+", ("/a", "/b")))
    mount = NOTHING._replace(type="overlay", options=options)
    assert ['type = "overlay"', 'options = { size = "1m", ro = true, "lowerdir+" = ["/a", "/b"] }'] == lines_of(mount)


def test_what_only_a_type_has_is_not_written_of_a_bind() -> None:
    mount = NOTHING._replace(bind=CapturedPlace("", "/srv"), source="x", image=LiveImage("/i", 0, 0), contents="/c")
    assert ['bind = "/srv"'] == lines_of(mount)


def test_a_place_is_a_host_path_or_one_in_a_mount_with_its_words() -> None:
    for place, written in (
        (CapturedPlace("", "/"), '"/"'),
        (CapturedPlace("data", "/"), '{ mount = "data" }'),
        (CapturedPlace("data", "/a b"), '{ mount = "data", path = "/a b" }'),
        (CapturedPlace("data", "/", hidden=True), '{ mount = "data", hidden = true }'),
        (CapturedPlace("data", "/x", deleted=True), '{ mount = "data", path = "/x", deleted = true }'),
        (
            CapturedPlace("data", "/x", hidden=True, deleted=True),
            '{ mount = "data", path = "/x", hidden = true, deleted = true }',
        ),
    ):
        assert [f"bind = {written}"] == lines_of(NOTHING._replace(bind=place))


def test_an_overlay_has_its_layers_a_line_each_and_one_alone_in_the_same_line() -> None:
    one, other = CapturedPlace("a", "/l"), CapturedPlace("", "/host")
    overlay = NOTHING._replace(type="overlay", layers=(one,))
    assert ['type = "overlay"', 'layers = [{ mount = "a", path = "/l" }]'] == lines_of(overlay)
    assert [
        'type = "overlay"',
        "layers = [",
        '  { mount = "a", path = "/l" },',
        '  "/host",',
        "]",
        'upper = { mount = "a", path = "/u" }',
        'work = { mount = "a", path = "/w" }',
    ] == lines_of(overlay._replace(layers=(one, other), upper=CapturedPlace("a", "/u"), work=CapturedPlace("a", "/w")))
    whole = NOTHING._replace(type="ext4", image=LiveImage("/i.img", 0, 0))
    assert ['type = "ext4"', 'image = "/i.img"'] == lines_of(whole)
    for part, written in (
        (LiveImage("/i.img", 512, 0), 'image = { path = "/i.img", offset = 512 }'),
        (LiveImage("/i.img", 0, 1024), 'image = { path = "/i.img", size = 1024 }'),
        (LiveImage("/i\udcff", 512, 1024), "image = { path = { escaped = '/i\\377' }, offset = 512, size = 1024 }"),
    ):
        assert ['type = "ext4"', written] == lines_of(whole._replace(image=part))


def test_files_have_the_key_of_their_kind() -> None:
    for file, written in (
        (CapturedFile("/x", "file"), []),
        (CapturedFile("/x", "directory"), ["directory = true"]),
        (CapturedFile("/x", "fifo"), ["fifo = true"]),
        (CapturedFile("/x", "socket"), ["socket = true"]),
        (CapturedFile("/x", "char", (1, 3)), ['device = "c:1:3"']),
        (CapturedFile("/x", "block", (8, 1)), ['device = "b:8:1"']),
        (CapturedFile("/x", "symlink", link="../y"), ['symlink = "../y"']),
    ):
        assert ["[[mount.file]]", 'path = "x"', *written] == lines_of(NOTHING._replace(files=(file,)))


def test_several_namespaces_are_tables_of_their_own() -> None:
    mount = NOTHING._replace(type="tmpfs", files=(CapturedFile("/x", "file"),))
    spaces = (CapturedNamespace("one", (mount,)), CapturedNamespace("two", (mount,)))
    table = ["[[namespace.mount]]", 'target = "/"', 'type = "tmpfs"', "[[namespace.mount.file]]", 'path = "x"']
    assert [
        "format = 1",
        *("", "[[namespace]]", 'name = "one"', "", *table),
        *("", "[[namespace]]", 'name = "two"', "", *table),
    ] == write_spec(captured()._replace(namespaces=spaces)).splitlines()


def test_a_text_is_written_so_that_it_can_be_read() -> None:
    """In single quotes if that saves backslashes; as a table where TOML has no way to say it plainly."""
    for text, written in (
        ("a\\b", "'a\\b'"),
        ("a\\'b", '"a\\\\\'b"'),
        ("a\\\nb", "{ escaped = 'a\\134\\012b' }"),
        ("caf\udce9", "{ escaped = 'caf\\351' }"),
    ):
        assert [f"source = {written}"] == lines_of(NOTHING._replace(type="tmpfs", source=text))[1:]
