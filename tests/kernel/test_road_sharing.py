"""Sharing: who receives whose mounts, by the numbers in mountinfo and by mounting something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts import InHost, mount
from tests.mountflags import MS_BIND, MS_SHARED, MS_SLAVE
from tests.trees import ROOT, Tree, tree

pytestmark = pytest.mark.needs_kernel("mountns", "set-group")

DATA = """
[[mount]]
id = "data"
type = "tmpfs"
[[mount.file]]
path = "sub/deep/here"
directory = true
"""


def member(target: str, words: str = "", path: str = "/") -> str:
    return f'[[mount]]\ntarget = "{target}"\nbind = {{ mount = "data", path = "{path}" }}\n{words}\n'


def arrivals(built: Tree, target: str) -> list[str]:
    """Where else a mount shows up that is made at `target`."""
    before = built.mountpoints()
    built.inside(lambda: mount("new", target, "tmpfs"))
    after = built.mountpoints()
    for one in (*before, target):
        after.remove(one)
    return after


def test_peers_receive_from_each_other() -> None:
    spec = ROOT + DATA + "[peer_group.g]\n" + member("/a", 'peer_group = "g"') + member("/b", 'peer_group = "g"')
    with tree(spec) as built:
        assert built.at("/a").peer_group == built.at("/b").peer_group > 0
        assert ["/b/sub"] == arrivals(built, "/a/sub")
    with tree(spec) as built:
        assert ["/a/sub/deep/here"] == arrivals(built, "/b/sub/deep/here")


def test_a_mount_in_no_group_is_private() -> None:
    spec = ROOT + DATA + "[peer_group.g]\n" + member("/a", 'peer_group = "g"') + member("/b")
    with tree(spec) as built:
        assert (0, 0) == (built.at("/b").peer_group, built.at("/b").master)
        assert [] == arrivals(built, "/a/sub")


def test_a_slave_receives_and_gives_nothing_back() -> None:
    spec = ROOT + DATA + "[peer_group.g]\n" + member("/a", 'peer_group = "g"') + member("/b", 'master = "g"')
    with tree(spec) as built:
        assert (0, built.at("/a").peer_group) == (built.at("/b").peer_group, built.at("/b").master)
        assert ["/b/sub"] == arrivals(built, "/a/sub")
    with tree(spec) as built:
        assert [] == arrivals(built, "/b/sub")


def test_a_mount_that_is_shared_and_a_slave_passes_on_what_it_receives() -> None:
    spec = (
        ROOT + DATA + '[peer_group.g]\n[peer_group.h]\nmaster = "g"\n' + member("/a", 'peer_group = "g"')
        + member("/b", 'peer_group = "h"') + member("/c", 'peer_group = "h"') + member("/d", 'master = "h"')
    )  # fmt: skip
    with tree(spec) as built:
        b, d = built.at("/b"), built.at("/d")
        assert built.at("/a").peer_group == b.master
        assert (0, b.peer_group) == (d.peer_group, d.master)
        assert ["/b/sub", "/c/sub", "/d/sub"] == arrivals(built, "/a/sub")


def test_a_chain_of_masters_five_deep() -> None:
    spec = ROOT + DATA
    for depth in range(6):
        spec += f"[peer_group.g{depth}]\n" + (f'master = "g{depth - 1}"\n' if depth else "")
    for depth in reversed(range(6)):
        spec += member(f"/m{depth}", f'peer_group = "g{depth}"')
    with tree(spec) as built:
        rows = [built.at(f"/m{depth}") for depth in range(6)]
        assert [0, *(row.peer_group for row in rows[:-1])] == [row.master for row in rows]
        assert ["/m3/sub", "/m4/sub", "/m5/sub"] == arrivals(built, "/m2/sub")


def test_peers_over_several_directories_of_one_filesystem() -> None:
    """What is mounted in one is seen in those that show its place."""
    spec = (
        ROOT + DATA + "[peer_group.g]\n" + member("/all", 'peer_group = "g"')
        + member("/sub", 'peer_group = "g"', "/sub") + member("/deep", 'peer_group = "g"', "/sub/deep")
    )  # fmt: skip
    with tree(spec) as built:
        assert ["/all/sub/deep/here", "/sub/deep/here"] == arrivals(built, "/deep/here")


def test_peers_whose_roots_are_files() -> None:
    spec = f"""{ROOT}
    [[mount]]
    id = "data"
    type = "tmpfs"
    [[mount.file]]
    path = "one"
    [[mount.file]]
    path = "two"
    [peer_group.g]
    {member("/one", 'peer_group = "g"', "/one")}
    {member("/two", 'peer_group = "g"', "/two")}
    {member("/also", 'master = "g"', "/two")}
    """
    with tree(spec) as built:
        assert built.at("/one").peer_group == built.at("/two").peer_group == built.at("/also").master > 0


def test_nothing_that_stands_on_a_shared_mount_has_been_copied_to_its_peers() -> None:
    """The spec says where every mount is; peers do not get those of each other, as they would by mounting them."""
    spec = (
        ROOT + DATA + "[peer_group.g]\n" + member("/a", 'peer_group = "g"') + member("/b", 'peer_group = "g"')
        + '[[mount]]\ntarget = "/a/sub"\ntype = "tmpfs"\n'
    )  # fmt: skip
    with tree(spec) as built:
        assert ["/", "/a", "/a/sub", "/b"] == built.mountpoints()
        assert 0 == built.at("/a/sub").peer_group


def test_the_root_itself_can_be_shared() -> None:
    spec = """
    [peer_group.g]
    [[mount]]
    id = "root"
    target = "/"
    type = "tmpfs"
    peer_group = "g"
    [[mount.file]]
    path = "sub"
    directory = true
    [[mount]]
    target = "/again"
    bind = { mount = "root" }
    peer_group = "g"
    """
    with tree(spec) as built:
        assert built.at("/").peer_group == built.at("/again").peer_group > 0
        assert ["/again/sub"] == arrivals(built, "/sub")


def test_a_group_that_only_slaves_receive_from_lives_on() -> None:
    """A group disappears with its last member; mountplan keeps one where nobody sees it."""
    spec = ROOT + DATA + "[peer_group.g]\n" + member("/a", 'master = "g"') + member("/b", 'master = "g"')
    with tree(spec) as built:
        assert built.at("/a").master == built.at("/b").master > 0


def test_an_unbindable_mount_is_unbindable() -> None:
    with tree(ROOT + DATA + member("/a", "unbindable = true") + member("/b")) as built:
        assert [True, False] == [built.at("/a").unbindable, built.at("/b").unbindable]
        with pytest.raises(OSError, match="Invalid argument"):
            built.inside(lambda: mount("/a", "/b", flags=MS_BIND))


def test_an_unbindable_mount_stands_below_a_shared_one() -> None:
    spec = (
        ROOT + DATA + "[peer_group.g]\n" + member("/a", 'peer_group = "g"') + member("/b", 'peer_group = "g"')
        + '[[mount]]\ntarget = "/a/sub"\ntype = "tmpfs"\nunbindable = true\n'
    )  # fmt: skip
    with tree(spec) as built:
        assert built.at("/a/sub").unbindable


def host_groups(path: Path) -> None:
    """wide: a shared tmpfs with a/deep, b and c in it; slave: a slave of it that is shared as well."""
    for name in ("wide", "slave"):
        (path / name).mkdir()
    mount("wide", str(path / "wide"), "tmpfs")
    mount("", str(path / "wide"), flags=MS_SHARED)
    for name in ("a/deep", "b", "c"):
        (path / "wide" / name).mkdir(parents=True)
    mount(str(path / "wide"), str(path / "slave"), flags=MS_BIND)
    mount("", str(path / "slave"), flags=MS_SLAVE)
    mount("", str(path / "slave"), flags=MS_SHARED)


def host_group_at(path: Path) -> int:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        if fields[4] == str(path):
            return int(next(field for field in fields if field.startswith("shared:"))[7:])
    raise LookupError(path)


@pytest.mark.needs_kernel("root")
def test_a_group_over_directories_of_the_host_is_a_group_of_its_own(in_host: InHost, tmp_path: Path) -> None:
    """The host's mount is shared too, and nothing passes between the two groups."""

    def script() -> tuple[list[str], list[str]]:
        host_groups(tmp_path)
        spec = f"""{ROOT}
        [peer_group.g]
        [[mount]]
        target = "/a"
        bind = "{tmp_path}/wide/a"
        peer_group = "g"
        [[mount]]
        target = "/b"
        bind = "{tmp_path}/wide/b"
        peer_group = "g"
        [[mount]]
        target = "/deep"
        bind = "{tmp_path}/wide/a/deep"
        peer_group = "g"
        """
        with tree(spec) as built:
            numbers = {built.at(target).peer_group for target in ("/a", "/b", "/deep")}
            assert 1 == len(numbers)
            assert host_group_at(tmp_path / "wide") not in numbers
            inside = arrivals(built, "/a/deep")
            before = built.mountpoints()
            mount("late", str(tmp_path / "wide/b"), "tmpfs")
            return inside, [path for path in built.mountpoints() if path not in before]

    assert (["/deep"], []) == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize(
    ("word", "to_the_host", "to_the_inside"), [("peer_group", True, True), ("master", False, True)]
)
def test_an_external_group_is_joined_as_a_peer_or_received_from_as_a_slave(
    word: str, to_the_host: bool, to_the_inside: bool, in_host: InHost, tmp_path: Path
) -> None:
    def script() -> tuple[bool, bool]:
        host_groups(tmp_path)
        spec = f"""{ROOT}
        [peer_group.feed]
        host = "{tmp_path}/wide"
        [[mount]]
        target = "/view"
        bind = "{tmp_path}/wide/a"
        {word} = "feed"
        [[mount]]
        target = "/other"
        bind = "{tmp_path}/wide"
        {word} = "feed"
        """
        with tree(spec) as built:
            group = host_group_at(tmp_path / "wide")
            row = built.at("/view")
            assert group == (row.peer_group if word == "peer_group" else row.master)
            mount("late", str(tmp_path / "wide/b"), "tmpfs")
            arrived = "/other/b" in built.mountpoints()
            built.inside(lambda: mount("mine", "/view/deep", "tmpfs"))
            return f"{tmp_path}/wide/a/deep " in Path("/proc/self/mountinfo").read_text(), arrived

    assert (to_the_host, to_the_inside) == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
def test_a_group_of_ones_own_receives_from_a_host_group(in_host: InHost, tmp_path: Path) -> None:
    """Shared among themselves, slaves of the host: what they mount stays among them."""

    def script() -> tuple[list[str], bool, list[str]]:
        host_groups(tmp_path)
        spec = f"""{ROOT}
        [peer_group.feed]
        host = "{tmp_path}/wide"
        [peer_group.inner]
        master = "feed"
        [[mount]]
        target = "/one"
        bind = "{tmp_path}/wide"
        peer_group = "inner"
        [[mount]]
        target = "/two"
        bind = "{tmp_path}/wide"
        peer_group = "inner"
        """
        with tree(spec) as built:
            assert host_group_at(tmp_path / "wide") == built.at("/one").master
            inside = arrivals(built, "/one/b")
            outside = f"{tmp_path}/wide/b " in Path("/proc/self/mountinfo").read_text()
            mount("late", str(tmp_path / "wide/c"), "tmpfs")
            return inside, outside, [path for path in built.mountpoints() if path.endswith("/c")]

    assert (["/two/b"], False, ["/one/c", "/two/c"]) == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
def test_a_peer_of_a_host_group_that_is_a_slave_itself_has_the_same_master(in_host: InHost, tmp_path: Path) -> None:
    def script() -> tuple[bool, bool]:
        host_groups(tmp_path)
        spec = f"""{ROOT}
        [peer_group.feed]
        host = "{tmp_path}/slave"
        [[mount]]
        target = "/view"
        bind = "{tmp_path}/slave"
        peer_group = "feed"
        """
        with tree(spec) as built:
            row = built.at("/view")
            return row.peer_group == host_group_at(tmp_path / "slave"), row.master == host_group_at(tmp_path / "wide")

    assert (True, True) == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
def test_the_hosts_root_mount_can_be_the_external_group(in_host: InHost, tmp_path: Path) -> None:
    """The yard is mounted on it while the tree is built, and the host must not see that."""

    def script() -> tuple[bool, bool]:
        mount("", "/", flags=MS_SHARED)
        before = Path("/proc/self/mountinfo").read_bytes()
        spec = f"""{ROOT}
        [peer_group.feed]
        host = "/"
        [[mount]]
        target = "/view"
        bind = "/usr"
        master = "feed"
        """
        with tree(spec) as built:
            same = before == Path("/proc/self/mountinfo").read_bytes()
            return same, built.at("/view").master == host_group_at(Path("/"))

    assert (True, True) == in_host(script, identity="root")
