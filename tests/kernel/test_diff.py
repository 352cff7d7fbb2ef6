"""Live trees, compared with each other and with their spec: one change is one difference, and no change is none."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.observe import inspect
from mountplan.applier.sys.syscalls import namespace_id
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountRow
from mountplan.tree import Tree
from tests.hosts import InHost, mount, umount
from tests.mountflags import MS_BIND, MS_MOVE, MS_PRIVATE, MS_RDONLY, MS_REMOUNT, MS_SHARED, MS_SLAVE, MS_UNBINDABLE
from tests.trees import plan_of

pytestmark = pytest.mark.needs_kernel("mountns", "set-group")


SPEC = """
name = "pair"
[peer_group.one]
[peer_group.two]
[peer_group.copies]
master = "one"
[[namespace]]
name = "left"
[[namespace.mount]]
target = "/"
type = "tmpfs"
options = { mode = "0755" }
[[namespace.mount.file]]
path = "free"
directory = true
[[namespace.mount]]
id = "a"
target = "/a"
type = "tmpfs"
options = { size = "1m" }
peer_group = "one"
[[namespace.mount.file]]
path = "in"
directory = true
[[namespace.mount]]
target = "/b"
bind = { mount = "a", path = "/" }
peer_group = "one"
[[namespace.mount]]
target = "/c"
bind = { mount = "a", path = "/" }
peer_group = "two"
[[namespace.mount]]
target = "/d"
bind = { mount = "a", path = "/" }
peer_group = "copies"
[[namespace.mount]]
target = "/e"
bind = { mount = "a", path = "/in" }
master = "one"
[[namespace.mount]]
target = "/p"
type = "tmpfs"
[[namespace.mount.file]]
path = "q"
directory = true
[[namespace.mount]]
target = "/p/q"
type = "tmpfs"
[[namespace]]
name = "right"
[[namespace.mount]]
target = "/"
type = "tmpfs"
[[namespace.mount]]
target = "/a"
bind = { mount = "a", path = "/" }
peer_group = "one"
"""


@pytest.fixture(scope="module")
def first() -> Iterator[Tree]:
    with api.build(plan_of(SPEC)) as tree:
        yield tree


@pytest.fixture
def second() -> Iterator[Tree]:
    with api.build(plan_of(SPEC)) as tree:
        yield tree


Told = list[tuple[str, ...]]


def told(first: Tree, second: Tree) -> Told:
    """(namespace, mount, property, wanted, found), with the numbers of groups and devices left out."""
    found: Told = []
    for one in first.diff(second):
        values = [one.wanted, one.found]
        if one.prop in ("peer group", "master", "superblock"):
            values = [re.sub(r"^[0-9:]+(, |$)", "", text) for text in values]
        found.append((one.namespace, one.mount, one.prop, *values))
    return found


def test_two_builds_of_a_spec_are_the_same_whatever_their_ids(first: Tree, second: Tree) -> None:
    assert () == first.diff(second) == second.diff(first) == first.diff(first)


def join_c() -> None:
    umount("/b")
    mount("/c", "/b", flags=MS_BIND)


def put(place: str, options: str) -> None:
    """Another tmpfs in the place of a mount."""
    umount(place)
    mount("tmpfs", place, "tmpfs", data=options)


ONE = "with left:/a, right:/a"
CHANGES: dict[str, tuple[Callable[[], None], Told]] = {
    "umount": (lambda: umount("/d"), [("/d", "mount", "tmpfs, on the tmpfs at /", "no mount")]),
    "remount": (
        lambda: mount("", "/b", flags=MS_REMOUNT | MS_BIND | MS_RDONLY),
        [("/b", "attributes", "rw,relatime", "ro,relatime")],
    ),
    "make-private": (lambda: mount("", "/b", flags=MS_PRIVATE), [("/b", "peer group", ONE, "none")]),
    "make-slave": (
        lambda: mount("", "/b", flags=MS_SLAVE),
        [("/b", "peer group", ONE, "none"), ("/b", "master", "none", ONE.replace("with", "of"))],
    ),
    "make-shared": (lambda: mount("", "/p", flags=MS_SHARED), [("/p", "peer group", "none", "alone")]),
    "unbindable": (lambda: mount("", "/p", flags=MS_UNBINDABLE), [("/p", "unbindable", "no", "yes")]),
    "one more peer": (
        lambda: mount("/a", "/free", flags=MS_BIND),
        [("/free", "mount", "none", "tmpfs, on the tmpfs at /")],
    ),
    "another group": (join_c, [("/b", "peer group", ONE, "with left:/c")]),
    "another filesystem": (lambda: put("/p/q", "size=8k"), [("/p/q", "option size", "not set", "8k")]),
    "an option": (
        lambda: mount("", "/a", flags=MS_REMOUNT, data="size=2m"),
        [("/a", "option size", "1024k", "2048k")],
    ),
    "a filesystem for a bind": (
        lambda: put("/e", "size=1m"),
        [
            ("/e", "root", "/in", "/"),
            ("/e", "superblock", "with left:/a, left:/b, left:/c and 2 more", ""),
            ("/e", "master", "of left:/a, left:/b, right:/a", "none"),
        ],
    ),
    "on top": (lambda: mount("top", "/p", "ramfs"), [("/p", "mount", "none", "ramfs, on the tmpfs at /p")]),
    "move": (
        lambda: mount("/p", "/free", flags=MS_MOVE),
        [
            ("/p", "mount", "tmpfs, on the tmpfs at /, and 1 more upon it", "no mount"),
            ("/free", "mount", "none", "tmpfs, on the tmpfs at /, and 1 more upon it"),
        ],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_one_change_is_told_as_what_it_is(first: Tree, second: Tree, change: str) -> None:
    do, expected = CHANGES[change]
    second.call(do)
    assert [("left", *one) for one in expected] == told(first, second)


@pytest.mark.needs_kernel("root", "fs:overlay")
def test_both_ways_of_reading_tell_the_same_whatever_bytes_a_path_has(in_host: InHost, tmp_path: Path) -> None:
    """mountinfo escapes spaces, tabs, newlines and backslashes; statmount(2) hands paths out as they are."""

    def script() -> list[tuple[MountRow, MountRow]] | None:
        os.chdir(tmp_path)
        mount("base", ".", "tmpfs")
        os.chdir(tmp_path)
        odd = [bytes([byte]) for byte in range(1, 256) if byte != ord("/")]
        names = [b"x" + b"".join(odd[at : at + 64]) for at in range(0, len(odd), 64)]
        names += [rb"\040", b"a - b", b"x//deleted"]
        for name in names:
            os.makedirs(name)
            mount(os.fsdecode(name), os.fsdecode(name), "tmpfs")
            os.makedirs(name + b"/in")
            mount(os.fsdecode(name + b"/in"), os.fsdecode(name + b"/in"), flags=MS_BIND)
        for directory in ("low er", "low\\er", "over"):
            os.mkdir(directory)
        mount("o v", "over", "overlay", data=r"lowerdir=low er:low\\er")
        with open("/proc/self/ns/mnt") as namespace:
            ids = inspect.all_ids(namespace.fileno())
            if ids is None:
                return None
            seen = parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
            whole = inspect.Mounts(namespace_id(namespace.fileno())).table(ids, seen)
        by_id = whole.by_id()
        return [(row, by_id[row.mount_id]) for row in seen.rows if row.mountpoint.startswith(str(tmp_path))]

    found = in_host(script, identity="root")
    if found is None:
        pytest.skip("this kernel does not tell of all mounts of a namespace")
    assert len(found) >= 16
    assert [one for one, _ in found] == [other for _, other in found]
