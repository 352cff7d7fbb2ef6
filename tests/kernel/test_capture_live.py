"""capture -> build -> capture: the same bytes, and nothing that a mount table tells has changed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.build.build import build
from mountplan.applier.build.build_subjects import of_built
from mountplan.applier.observe.inspect import read_whole
from mountplan.applier.observe.subjects import of_process, of_tree
from mountplan.capturing import Capture, Folder, capture_subjects
from mountplan.planner.capture.captured import CapturedMount, CapturedPlace
from mountplan.planner.characters import is_plain
from mountplan.planner.errors import TableError
from mountplan.planner.tables.mount_facts import LiveImage
from tests.hosts import CLONE_NEWNS, InHost, mount, umount, unshare
from tests.kernel.capture_fuzz import ADRIFT, attempt, shorten, show
from tests.kernel.states import Act, State, chance_state, running
from tests.mountflags import MNT_DETACH, MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REC, MS_SHARED, MS_SLAVE

pytestmark = pytest.mark.needs_kernel("set-group", "root")

CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
STATES = 120
CHUNK = 20


@pytest.mark.parametrize("first", range(0, STATES, CHUNK))
def test_states_made_by_chance_come_back(in_host: InHost, first: int) -> None:
    """`make fuzz N=10000` tries others."""

    def host() -> str:
        for seed in range(first, first + CHUNK):
            state = chance_state(seed)
            if what := attempt(state).wrong:
                state, what = shorten(state, what)
                return f"seed {seed}:\n{show(state)}{what}"
        return ""

    assert "" == in_host(host, identity="root", timeout=300)


def comes_back(*acts: Act) -> Callable[[], str]:
    return lambda: attempt([Act(0, "begin", (False,)), *acts]).wrong


TRIED: dict[str, State] = {
    "an overlay covers its own layer": [Act(0, "overlay", ("/layers/a", ("/layers/b", "/layers/a"), "", "overlay"))],
    "an overlay covers the directory that its changes are in": [
        Act(0, "overlay", ("/layers", ("/layers/b",), "/layers/changes", "overlay"))
    ],
    "changes are kept within a lower layer": [
        Act(0, "overlay", ("/c", ("/layers/changes",), "/layers/changes", "overlay"))
    ],
    "a file is mounted upon in an overlay, and bound from it": [
        Act(0, "overlay", ("/c", ("/a", "/b"), "", "overlay")),
        Act(0, "bind file", ("/c/f", "/c/a/f")),
        Act(0, "bind", ("/c/a", "/b")),
    ],
    "what is shared lies below the root of the process, where nobody sees whether it is a file": [
        Act(0, "make", ("/", "shared", False)),
        Act(0, "tmpfs", ("/", "cover", "", 0)),
        Act(0, "bind file", ("/b/a/f", "/g")),
        Act(0, "top", ("/",)),
    ],
    "a file that is covered in one namespace is seen in the other": [
        Act(0, "make", ("/", "shared", False)),
        Act(0, "unshare", (False,)),
        Act(0, "tmpfs", ("/", "tmpfs", "", 0)),
        Act(1, "bind file", ("/a/f", "/g")),
        Act(0, "top", ("/",)),
    ],
    "a slave whose master nobody is in any more": [
        Act(0, "tmpfs", ("/a", "tmpfs", "", 0)),
        Act(0, "make", ("/a", "shared", False)),
        Act(0, "unshare", (True,)),
        Act(0, "leave out"),
    ],
    "sources are empty, or look like something else, in sight and below the root of the process": [
        *(Act(0, "tmpfs", (f"/{name}", source, "", 0)) for name, source in (("a", ""), ("b", "?"), ("c", "-"))),
        Act(0, "tmpfs", ("/", "", "", 0)),
        Act(0, "top", ("/",)),
        Act(0, "overlay", ("/c", ("/a", "/b"), "", "")),
        Act(0, "kernel", ("proc", "/a/b", "")),
    ],
    "what there is only one of has another source than the host's, and is shared with a bind of it": [
        Act(0, "kernel", ("cgroup2", "/a", "other")),
        Act(0, "make", ("/a", "shared", False)),
        Act(0, "bind", ("/a", "/b")),
    ],
    "layers have moved": [
        Act(0, "tmpfs", ("/a", "t", "", 0)),
        Act(0, "overlay", ("/c", ("/a/a", "/a/b"), "/a", "overlay", "absolute", "", True)),
        Act(0, "move", ("/a", "/b")),
    ],
    "layers that are empty have moved, and their directories have those that their names lead to": [
        Act(0, "tmpfs", ("/a", "t", "", 0)),
        Act(0, "overlay", ("/c", ("/a/a", "/a/b"), "/a")),
        Act(0, "move", ("/a", "/b")),
    ],
    "layers are bound elsewhere": [
        Act(0, "tmpfs", ("/a", "t", "", 0)),
        Act(0, "overlay", ("/c", ("/a/a", "/a/b"), "", "overlay", "absolute", "", True)),
        Act(0, "bind", ("/a/b", "/b")),
        Act(0, "bind", ("/a/a", "/b/a")),
        Act(0, "umount", ("/a", True)),
    ],
    "layers are renamed, and others have their names": [
        Act(0, "overlay", ("/c", ("/layers/a", "/layers/b"), "", "overlay", "absolute", "", True)),
        Act(0, "rename", ("/layers/a", "/layers/x")),
        Act(0, "rename", ("/layers/b", "/layers/a")),
    ],
    "layers are mounted nowhere": [
        Act(0, "tmpfs", ("/a", "t", "", 0)),
        Act(0, "overlay", ("/c", ("/a/a", "/a/b"), "/a", "overlay", "absolute", "", True)),
        Act(0, "bind", ("/c/a", "/b/a")),
        Act(0, "umount", ("/a", True)),
    ],
    "the root is an overlay whose layers are mounted nowhere": [
        Act(0, "tmpfs", ("/a", "t", "", 0)),
        Act(0, "overlay", ("/c", ("/a/a", "/a/b"), "/a", "overlay", "absolute", "", True)),
        Act(0, "pivot", ("/c",)),
    ],
    "another filesystem covers a layer": [
        Act(0, "tmpfs", ("/a", "t", "", 0)),
        Act(0, "overlay", ("/c", ("/a/a", "/a/b"), "/a", "overlay", "absolute", "", True)),
        Act(0, "tmpfs", ("/a/a", "decoy", "", 0)),
    ],
    "two overlays have one upper layer": [
        Act(0, "overlay", ("/a", ("/layers/a",), "/layers/changes")),
        Act(0, "overlay", ("/b", ("/layers/b",), "/layers/changes", "overlay", "again")),
    ],
    "layers are told relatively, with dots, and with what has to be escaped": [
        Act(0, "overlay", ("/a", ("/x,y", "/x:y\\z"), "/x,y", "overlay", "relative", "", True)),
        Act(0, "overlay", ("/b", ("/layers/a", "/x:y\\z"), "/layers/changes", "overlay", "dots", "", True)),
    ],
    "layers have each other's names by now, and all have one file": [
        Act(0, "overlay", ("/c", ("/a/a", "/b/a"), "/layers/changes", "overlay", "absolute", "", True)),
        Act(0, "rename", ("/a/a", "/old")),
        Act(0, "rename", ("/b/a", "/a/a")),
        Act(0, "rename", ("/old", "/b/a")),
    ],
    "the name of a layer leads to another one of the overlay": [
        Act(0, "overlay", ("/a/b", ("/b/a", "/x,y", "/a/b"), "", "overlay", "absolute", "", True)),
        Act(0, "unshare", (True,)),
        Act(1, "bind", ("/b/a", "/a/b")),
    ],
    "an empty directory has the name of a layer": [
        Act(0, "overlay", ("/c", ("/layers/a", "/b/a"), "", "overlay", "absolute", "", True)),
        Act(0, "rbind", ("/b/a/c", "/b/a")),
    ],
    "a layer is gone, and the directory of its name has a file of the same name": [
        Act(0, "tmpfs", ("/b", "", "", 0)),
        Act(0, "overlay", ("/a/a", ("/b/a",), "/layers/changes", "overlay", "absolute", "", True)),
        Act(0, "umount", ("/b", True)),
    ],
    "the name of a lower layer leads to the upper one": [
        Act(0, "overlay", ("/c", ("/a/a", "/a/b"), "", "overlay", "absolute", "", True)),
        Act(0, "rename", ("/a/b", "/b/old")),
        Act(0, "rename", ("/a/a", "/a/b")),
    ],
    "an overlay has another one for its layer": [
        Act(0, "overlay", ("/a", ("/layers/a", "/layers/b"), "/layers/changes", "overlay", "absolute", "", True)),
        Act(0, "overlay", ("/b", ("/a", "/layers/c"), "/layers/changes", "overlay", "absolute", "", True)),
    ],
    "the upper layer of an overlay over an overlay is covered, and another has its last names": [
        Act(0, "overlay", ("/c", ("/layers/a",), "/x,y", "overlay", "absolute", "", True)),
        Act(0, "overlay", ("/b", ("/c/a",), "/a/x,y", "overlay", "absolute", "", True)),
        Act(0, "bind", ("/a/b", "/a")),
    ],
    "two upper layers have one name in two filesystems": [
        Act(0, "overlay", ("/c", ("/layers/a",), "/x,y", "overlay", "absolute", "", True)),
        Act(0, "tmpfs", ("/a", "t", "", 0)),
        Act(0, "overlay", ("/b", ("/c/a",), "/a/x,y", "overlay", "absolute", "", True)),
        Act(0, "bind", ("/a/b", "/a")),
    ],
    "the name of a layer leads to a directory with files that the overlay does not show in one of its own": [
        Act(0, "overlay", ("/c", ("/a/b",), "/x,y")),
        Act(0, "tmpfs", ("/a", "t", "", 0)),
    ],
    "the root of a process is a directory below what is covered at /": [
        Act(0, "make", ("/", "shared", False)),
        Act(0, "overlay", ("/a", ("/x,y",), "/a", "", "absolute", "", True)),
        Act(0, "unshare", (True,)),
        Act(0, "tmpfs", ("/", "with space", "size=12345", 0)),
        Act(1, "tmpfs", ("/a/a", "-", "", 1)),
        Act(1, "chroot", ("/b",)),
    ],
    "an overlay is volatile, follows no redirects, and cannot be written to": [
        Act(0, "overlay", ("/a", ("/layers/a",), "/layers/changes", "overlay", "absolute", "volatile", True)),
        Act(0, "overlay", ("/b", ("/layers/a", "/layers/b"), "", "overlay", "absolute", "redirect_dir=nofollow")),
        Act(0, "overlay", ("/c", ("/layers/a",), "/layers/changes", "overlay", "absolute", "ro")),
    ],
    "what there is only one of is mounted upon itself under another source": [
        Act(0, "overlay", ("/", ("/layers/a", "/layers/b"), "")),
        Act(0, "top", ("/",)),
        Act(0, "kernel", ("cgroup2", "/", "none")),
        Act(0, "rbind", ("/", "/")),
        Act(0, "top", ("/",)),
        Act(0, "rbind", ("/", "/")),
    ],
    "what an overlay shows is in none of the directories that have the names of its layers": [
        Act(0, "tmpfs", ("/b", "tmpfs", "", 0)),
        Act(0, "unshare", (False,)),
        Act(0, "tmpfs", ("/b/a", "", "size=12345", 0)),
        Act(0, "make", ("/b/a", "shared", True)),
        Act(0, "tmpfs", ("/b/a", "", "size=12345", 0)),
        Act(0, "overlay", ("/b/b/a", ("/b/b/a", "/b/a/b", "/b/x:y\\z"), "", "overlay", "relative", "", True)),
        Act(0, "unshare", (False,)),
        Act(2, "umount", ("/b/a", True)),
    ],
    "the name of a layer leads by now into another layer": [
        Act(0, "tmpfs", ("/a/b", "tmpfs", "uid=7,gid=8", 0)),
        Act(0, "overlay", ("/b/a/c", ("/x:y\\z", "/a", "/a/b"), "", "overlay", "absolute", "userxattr", True)),
        Act(0, "rbind", ("/b/a", "/a")),
    ],
    "one of two overlays with the same changes wants them for itself": [
        Act(0, "overlay", ("/b", ("/layers/a",), "/layers/changes", "overlay", "absolute", "index=on", True)),
        Act(0, "unshare", (False,)),
        Act(1, "overlay", ("/b/a", ("/a",), "/b/a/c/f/a", "overlay", "again", "", False)),
    ],
    "a layer is of a filesystem that the kernel fills, and lies beneath the overlay": [
        Act(0, "overlay", ("/b", ("/layers/c", "/layers/b"), "/layers/changes", "none", "absolute", "", False)),
        Act(0, "unshare", (False,)),
        Act(1, "kernel", ("devpts", "/b/a", "-")),
        Act(1, "overlay", ("/b", ("/b/x,y", "/b/a"), "", "with space", "again", "", False)),
        Act(1, "tmpfs", ("/b", "-", "", 8)),
    ],
    "mounts stand in an overlay on what is in a lower layer": [
        Act(0, "overlay", ("/a/a", ("/b", "/a"), "", "overlay", "dots", "", True)),
        Act(0, "rbind", ("/", "/a/a/b")),
    ],
    "no mount shows the directory any more that changes are in": [
        Act(0, "tmpfs", ("/b", "tmpfs", "mode=0755", 0)),
        Act(0, "overlay", ("/a", ("/b/a", "/x,y", "/a/b"), "/b/a", "-", "again", "", False)),
        Act(0, "bind", ("/b/a/a", "/a/a/a")),
        Act(0, "umount", ("/b", True)),
    ],
    "a layer is shown by a path that the host has it not at": [
        Act(0, "kernel", ("sysfs", "/a/b", "none")),
        Act(0, "overlay", ("/c", ("/a/b",), "/c", "overlay", "absolute", "", True)),
    ],
    "the upper directory is below a mount, and the overlay shared and on the root": [
        Act(0, "begin", (False,)),
        Act(0, "make", ("/", "shared", False)),
        Act(0, "overlay", ("/", ("/b",), "/a", "none", "relative", "redirect_dir=nofollow", True)),
        Act(0, "unshare", (False,)),
        Act(1, "rbind", ("/c", "/a")),
    ],
    "a layer of an overlay over an overlay is covered by another one of that name": [
        Act(0, "overlay", ("/b/a", ("/layers/b", "/layers/c"), "/layers/changes", "overlay", "absolute", "", True)),
        Act(0, "tmpfs", ("/a", "?", "", 0)),
        Act(0, "overlay", ("/b/a", ("/a", "/b/a"), "", "overlay", "absolute", "", True)),
        Act(0, "tmpfs", ("/a", "", "mode=0755", 256)),
    ],
    "a layer of which another layer is a part has another directory bound over it": [
        Act(0, "overlay", ("/b", ("/x:y\\z", "/b", "/a"), "/b", "?", "absolute", "", True)),
        Act(0, "bind", ("/a/a/a", "/a")),
    ],
    "of a name with something else at it now a layer of an overlay over an overlay shows more": [
        Act(0, "overlay", ("/a/b", ("/b", "/a"), "/x,y", "overlay", "absolute", "", True)),
        Act(0, "overlay", ("/a", ("/b/a", "/a/b"), "", "overlay", "again", "", False)),
        Act(0, "overlay", ("/b", ("/layers/b",), "/layers/changes", "overlay", "absolute", "", False)),
    ],
    "mounts of one name": [Act(0, "tmpfs", ("/a/a", f"t{n}", "", 0)) for n in range(3)]
    + [Act(0, "bind", ("/a/a/a/a", "/a"))],
}


@pytest.mark.parametrize("name", TRIED)
def test_a_state_that_was_once_captured_wrongly_comes_back(in_host: InHost, name: str) -> None:
    assert "" == in_host(comes_back(*TRIED[name]), identity="root")


def test_what_a_rename_took_out_of_what_its_parent_shows_is_left_out_with_a_caution_that_tells_what_it_is(
    in_host: InHost,
) -> None:
    acts: State = [
        Act(0, "begin", (False,)),
        Act(0, "rbind", ("/a/a", "/a")),
        Act(0, "unshare", (False,)),
        Act(1, "bind", ("/b/a", "/a/a")),
        Act(0, "umount", ("/a", True)),
        Act(0, "rename", ("/a/a/a", "/a/renamed")),
    ]

    def host() -> list[str]:
        with running(acts) as alive, of_process(alive.pids[1]) as subject:
            return [str(one) for one in capture_subjects([subject], "state").cautions]

    assert [f"{ADRIFT}, and no path leads to it: /b/a of tmpfs base"] == in_host(host, identity="root")
    assert not in_host(lambda: attempt(acts).wrong, identity="root")


def test_files_are_taken_along_through_the_mount_that_is_the_root_of_the_process(
    in_host: InHost, tmp_path: Path
) -> None:
    """What is shared, and lies below it, cannot be laid open."""

    def host() -> str:
        acts = [
            Act(0, "begin", (False,)),
            Act(0, "make", ("/", "shared", False)),
            Act(0, "rbind", ("/", "/")),
            Act(0, "top", ("/",)),
        ]
        folder = str(tmp_path / "contents")
        with running(acts) as alive, of_process(alive.pids[0]) as subject:
            return capture_subjects([subject], "state", Folder(folder, folder)).text

    assert 'contents = "' in in_host(host, identity="root")


@contextmanager
def held(function: Callable[[], object]) -> Iterator[int]:
    """A process with a mount namespace of its own, slave of the host's, in which `function` has been called."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            unshare(CLONE_NEWNS)
            mount("", "/", flags=MS_REC | MS_SLAVE)
            function()
            os.write(writer, b".")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    try:
        assert b"." == os.read(reader, 1)
        yield child
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def captured(function: Callable[[], object]) -> Capture:
    """What is captured of such a process, and can be built."""
    with held(function) as pid:
        capture = api.capture(pid, name="state")
    api.build_and_forget(api.plan(api.load("captured.toml", capture.text.encode())))
    return capture


def at(capture: Capture, target: str) -> CapturedMount:
    """The last mount with this target."""
    return [one for one in capture.captured.namespaces[0].mounts if one.target == target][-1]


def test_what_the_host_has_mounted_is_bound_from_there(in_host: InHost) -> None:
    def host() -> Capture:
        mount("none", "/srv", "tmpfs")
        os.makedirs("/srv/data/in")
        return captured(lambda: mount("/srv/data", "/mnt", flags=MS_BIND))

    capture = in_host(host, identity="root")
    assert CapturedPlace("", "/srv") == at(capture, "/srv").bind
    assert CapturedPlace("", "/srv/data") == at(capture, "/mnt").bind


@pytest.mark.parametrize("sharing", [MS_PRIVATE, MS_SHARED], ids=["private", "shared"])
def test_what_there_is_only_one_of_is_mounted_anew_if_its_source_is_called_otherwise(
    sharing: int, in_host: InHost
) -> None:
    """A bind of the host's sysfs would have the source of that; a new mount shows the same and has its own."""

    def host() -> tuple[Capture, str]:
        def change() -> None:
            mount("mine", "/mnt", "sysfs")
            mount("", "/mnt", flags=sharing)

        capture = captured(change)
        ((_, table),) = api.build_and_forget(api.plan(api.load("captured.toml", capture.text.encode()))).tables
        return capture, next(row.source for row in table.rows if row.mountpoint == "/mnt")

    capture, source = in_host(host, identity="root")
    assert ("sysfs", "mine") == (at(capture, "/mnt").type, source)
    assert CapturedPlace("", "/sys") == at(capture, "/sys").bind


def test_a_hostile_name_is_written_as_escapes_and_comes_back(in_host: InHost) -> None:
    """Who reads the spec sees what is in it, and so does the kernel."""
    evil = "\u009b31mA\u202eevil\u2066\u200b\u2028"

    def host() -> Capture:
        mount("none", "/srv", "tmpfs")
        os.mkdir(f"/srv/{evil}")
        return captured(lambda: mount(evil, f"/srv/{evil}", "tmpfs"))

    capture = in_host(host, identity="root")
    assert evil == at(capture, f"/srv/{evil}").source
    assert all(map(is_plain, capture.text.split("\n")))


def test_a_slave_of_a_group_of_the_host_names_a_host_mount_of_it(in_host: InHost) -> None:
    def host() -> Capture:
        mount("none", "/srv", "tmpfs")
        mount("", "/srv", flags=MS_SHARED)
        return captured(lambda: None)

    capture = in_host(host, identity="root")
    groups = {group.name: group for group in capture.captured.groups}
    assert "/srv" == groups[at(capture, "/srv").master].host


def test_a_directory_of_the_host_is_no_layer_merely_because_it_has_the_name(in_host: InHost) -> None:
    """Where the upper layer was, is another one now; what the copy changes must not land there."""

    def host() -> Capture:
        mount("none", "/srv", "tmpfs")
        for name in ("own/upper", "own/work", "low/entry"):
            os.makedirs(f"/srv/{name}")

        def act() -> None:
            mount("none", "/srv/own", "tmpfs")
            for name in ("upper", "work"):
                os.mkdir(f"/srv/own/{name}")
            options = "lowerdir=/srv/low,upperdir=/srv/own/upper,workdir=/srv/own/work"
            mount("overlay", "/mnt", "overlay", data=options)
            umount("/srv/own", MNT_DETACH)

        return captured(act)

    capture = in_host(host, identity="root")
    found = at(capture, "/mnt")
    assert (CapturedPlace("", "/srv/low"),) == found.layers
    assert (CapturedPlace("layers-of-mnt", "/upper"), CapturedPlace("layers-of-mnt", "/work")) == (
        found.upper,
        found.work,
    )
    assert ["/mnt"] == [one.where for one in capture.cautions if "/srv/own/upper" in one.what]


def test_what_is_bound_from_an_overlay_is_made_in_the_layer_that_has_it(in_host: InHost) -> None:
    """Made in the upper one, it would hide the files that `--contents` brings into the lower one."""

    def act() -> None:
        mount("own", "/mnt", "tmpfs")
        for name in ("upper", "work", "empty", "low/directory"):
            os.makedirs(f"/mnt/{name}")
        for name in ("low/file", "low/directory/other", "here"):
            Path(f"/mnt/{name}").write_text("text")
        mount("overlay", "/srv", "overlay", data="lowerdir=/mnt/empty:/mnt/low,upperdir=/mnt/upper,workdir=/mnt/work")
        mount("/srv/file", "/mnt/here", flags=MS_BIND)
        mount("none", "/srv/directory", "tmpfs")

    files = at(in_host(lambda: captured(act), identity="root"), "/mnt").files
    places = [one.path.strip("/") for one in files]
    assert ["low/directory", "low/file"] == sorted(path for path in places if path.startswith(("low/", "upper/")))


def test_an_overlay_is_a_layer_by_a_relative_name_and_has_what_is_bound_from_above(in_host: InHost) -> None:
    """The directory from which names are relative is known by a layer in another filesystem."""

    def act() -> None:
        mount("none", "/mnt", "tmpfs")
        for name in ("layers", "inner", "outer", "here"):
            os.mkdir(f"/mnt/{name}")
        mount("own", "/mnt/layers", "tmpfs")
        for name in ("upper", "work", "a", "b", "c"):
            os.mkdir(f"/mnt/layers/{name}")
        Path("/mnt/layers/b/file").write_text("text")
        Path("/mnt/here/file").touch()
        os.chdir("/mnt")
        mount("one", "inner", "overlay", data="lowerdir=layers/a:layers/b")
        mount("two", "outer", "overlay", data="lowerdir=inner:layers/c,upperdir=layers/upper,workdir=layers/work")
        mount("outer/file", "here/file", flags=MS_BIND)

    capture = in_host(lambda: captured(act), identity="root")
    places = [place for place in at(capture, "/mnt/outer").layers if not place.mount.startswith("layers-of")]
    assert ["/", "/c"] == [place.path for place in places]
    assert ["b/file"] == [path for one in at(capture, "/mnt/layers").files if "file" in (path := one.path.strip("/"))]


def test_hundreds_of_layers_are_found_where_they_have_moved_to(in_host: InHost) -> None:
    def moved() -> None:
        mount("none", "/mnt", "tmpfs")
        for name in ("a", "b", *(f"a/{number}/only{number}" for number in range(200))):
            os.makedirs(f"/mnt/{name}", exist_ok=True)
        mount("none", "/srv", "tmpfs")
        mount("/mnt", "/mnt", flags=MS_BIND)
        os.chdir("/mnt/a")
        mount("overlay", "/srv", "overlay", data="lowerdir=" + ":".join(map(str, range(200))))
        os.rename("/mnt/a", "/mnt/b/c")

    capture = in_host(lambda: captured(moved), identity="root")
    layers = at(capture, "/srv").layers
    assert [f"/b/c/{number}" for number in range(200)] == [layer.path for layer in layers]
    assert [] == [str(one) for one in capture.cautions if one.where == "/srv"]


def test_what_stands_on_what_is_left_out_leaves_no_workbench_behind(in_host: InHost) -> None:
    """Only a part of the filesystem is mounted, so that it would be made by a mount without a target."""

    def act() -> None:
        mount("own", "/mnt", "tmpfs")
        open("/mnt/net", "x").close()
        unshare(CLONE_NEWNET)
        mount("/proc/self/ns/net", "/mnt/net", flags=MS_BIND)
        unshare(CLONE_NEWNET)  # nobody is in that one any more
        mount("other", "/srv", "tmpfs")
        open("/srv/part", "x").close()
        mount("/srv/part", "/mnt/net", flags=MS_BIND)
        umount("/srv", MNT_DETACH)

    capture = in_host(lambda: captured(act), identity="root")
    _, upon = (one.unsupported for one in capture.captured.namespaces[0].mounts if one.target == "/mnt/net")
    assert "what it stands on is left out" == upon
    assert [] == [one.id for one in capture.captured.namespaces[0].mounts if not one.target]


def test_what_cannot_be_rebuilt_is_left_out_with_the_reason_and_with_what_stands_on_it(in_host: InHost) -> None:
    """Its group goes with it."""

    def namespace_file() -> None:
        mount("own", "/mnt", "tmpfs")
        open("/mnt/net", "x").close()
        unshare(CLONE_NEWNET)
        mount("/proc/self/ns/net", "/mnt/net", flags=MS_BIND)
        mount("", "/mnt/net", flags=MS_SHARED)
        unshare(CLONE_NEWNET)  # nobody is in that one any more
        mount("/dev/null", "/mnt/net", flags=MS_BIND)

    capture = in_host(lambda: captured(namespace_file), identity="root")
    plan = api.plan(api.load("captured.toml", capture.text.encode()))
    assert ["/mnt/net", "/mnt/net"] == [one.target for one in plan.expected.left_out]
    why = "it keeps a namespace alive, which neither a mount on the host shows nor a process that is captured is in"
    (net, _) = (one for one in capture.captured.namespaces[0].mounts if one.target == "/mnt/net")
    assert why == net.unsupported
    assert ["/mnt/net"] == [one.where for one in capture.cautions if "cannot be rebuilt" in one.what]
    assert "" == at(capture, "/mnt").unsupported


def test_a_file_that_was_removed_after_it_was_bound_is_removed_again(in_host: InHost) -> None:
    def removed() -> None:
        mount("own", "/mnt", "tmpfs")
        for name in ("/mnt/gone", "/mnt/here"):
            open(name, "x").close()
        mount("/mnt/gone", "/mnt/here", flags=MS_BIND)
        os.unlink("/mnt/gone")

    bind = at(in_host(lambda: captured(removed), identity="root"), "/mnt/here").bind
    assert bind is not None
    assert ("/gone", True) == (bind.path, bind.deleted)


def test_a_directory_that_was_removed_from_a_removed_one_is_removed_before_it(in_host: InHost) -> None:
    def removed() -> None:
        mount("own", "/mnt", "tmpfs")
        os.makedirs("/mnt/a/b")
        for number, path in enumerate(("a", "a/b")):
            os.mkdir(f"/mnt/{number}")
            mount(f"/mnt/{path}", f"/mnt/{number}", flags=MS_BIND)
        os.rmdir("/mnt/a/b")
        os.rmdir("/mnt/a")

    capture = in_host(lambda: captured(removed), identity="root")
    assert [("/a", True), ("/a/b", True)] == [
        (bind.path, bind.deleted) for name in ("0", "1") if (bind := at(capture, f"/mnt/{name}").bind) is not None
    ]


@pytest.mark.parametrize("again", [False, True])
def test_what_was_removed_from_a_filesystem_of_the_host_is_left_out_with_the_reason(
    in_host: InHost, again: bool
) -> None:
    """A file that is rewritten by a rename is one; what has the name now, or had it before, is never bound instead."""

    def script() -> Capture:
        mount("none", "/mnt", "tmpfs")
        for name in ("dir", "other"):
            Path(f"/mnt/{name}/x").mkdir(parents=True)
        Path("/mnt/file").write_text("old")

        def act() -> None:
            mount("/mnt/other", "/srv", flags=MS_BIND)
            mount("/mnt/dir/x", "/srv/x", flags=MS_BIND)
            mount("/mnt/file", "/etc/hostname", flags=MS_BIND)

        if again:  # the host shows another directory that has been removed by that name
            mount("/mnt/dir/x", "/opt", flags=MS_BIND)
            os.rmdir("/mnt/dir/x")
            os.mkdir("/mnt/dir/x")
        with held(act) as process:
            Path("/mnt/new").write_text("new")
            os.rename("/mnt/new", "/mnt/file")
            os.rmdir("/mnt/dir/x")
            if again:
                Path("/mnt/dir/x//deleted").mkdir(parents=True)
            capture = api.capture(process, name="state")
        api.build_and_forget(api.plan(api.load("captured.toml", capture.text.encode())))
        return capture

    found = in_host(script, identity="root")
    reason = "what it shows, {}, has been removed from its filesystem (tmpfs)"
    for target, path in (("/srv/x", "/dir/x"), ("/etc/hostname", "/file")):
        one = at(found, target)
        assert (None, reason.format(path)) == (one.bind, one.unsupported)
        assert any(target in caution and path in caution for caution in map(str, found.cautions))
    assert CapturedPlace("", "/mnt/other") == at(found, "/srv").bind


def test_what_a_proc_shows_of_a_process_is_bound_as_long_as_that_runs(in_host: InHost) -> None:
    """The table has /1234/ns of a process that has ended as if it were there."""

    def script() -> tuple[Capture, int, int]:
        both = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
        living, ended = (one.pid for one in both)

        def act() -> None:
            mount("own", "/mnt", "tmpfs")
            for name, pid in (("living", living), ("ended", ended)):
                os.mkdir(f"/mnt/{name}")
                mount(f"/proc/{pid}/ns", f"/mnt/{name}", flags=MS_BIND)

        with held(act) as process:
            both[1].kill()
            both[1].wait()
            capture = api.capture(process, name="state")
        api.build_and_forget(api.plan(api.load("captured.toml", capture.text.encode())))
        both[0].kill()
        return capture, living, ended

    found, living, ended = in_host(script, identity="root")
    assert CapturedPlace("", f"/proc/{living}/ns") == at(found, "/mnt/living").bind
    reason = f"what it shows, /{ended}/ns, has been removed from its filesystem (proc)"
    assert (None, reason) == (at(found, "/mnt/ended").bind, at(found, "/mnt/ended").unsupported)


def test_paths_and_sources_may_have_every_byte_but_nul(in_host: InHost) -> None:
    odd = [bytes((number,)) for number in range(1, 256) if number != ord("/")]
    names = [b"/mnt/x" + b"".join(odd[start : start + 127]) for start in (0, 127)] + ["/mnt/\u00fcn\u00ef".encode()]

    def mounts() -> None:
        mount("own", "/mnt", "tmpfs")
        for name in names:
            os.mkdir(name)
            mount("x,=y z#\n\\\udce9", os.fsdecode(name), "tmpfs")

    capture = in_host(lambda: captured(mounts), identity="root")
    assert {os.fsdecode(name) for name in names} <= {one.target for one in capture.captured.namespaces[0].mounts}


@pytest.mark.needs_kernel("loop", "fs:erofs", "mkfs.erofs")
def test_a_read_only_image_is_taken_from_its_file(in_host: InHost, tmp_path: Path) -> None:
    image = tmp_path / "image.erofs"
    (tmp_path / "tree" / "etc").mkdir(parents=True)
    subprocess.run(["mkfs.erofs", image, tmp_path / "tree"], check=True, capture_output=True)

    def mounted() -> None:
        subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", image, "/mnt"], check=True)
        mount("/mnt/etc", "/srv", flags=MS_BIND)

    capture = in_host(lambda: captured(mounted), identity="root")
    assert (LiveImage(str(image), 0, 0), "erofs") == (at(capture, "/mnt").image, at(capture, "/mnt").type)
    assert "" == at(capture, "/srv").unsupported


def test_a_read_only_superblock_of_a_namespace_that_is_made_too_stays_read_only(in_host: InHost) -> None:
    """Or the copy could be made writable from within."""

    def own_net() -> None:
        unshare(CLONE_NEWNET)
        mount("sysfs", "/mnt", "sysfs", MS_RDONLY)

    def host() -> Capture:
        with held(own_net) as pid:
            first = api.capture(pid, name="state")
        with build(api.plan(api.load("captured.toml", first.text.encode())), kinds=("net",)) as built:
            (subject,) = of_built(built)
            with subject:
                (row,) = [row for row in subject.read().table.rows if row.mountpoint == "/mnt"]
        assert "ro" == row.options
        return first

    capture = in_host(host, identity="root")
    assert ((("ro", True),), ("net",)) == (at(capture, "/mnt").options, capture.captured.unshare)


@pytest.mark.needs_kernel("loop", "fs:erofs", "mkfs.erofs")
def test_an_image_in_what_is_captured_itself_is_left_out_for_that_reason(in_host: InHost) -> None:
    def inside() -> None:
        mount("own", "/mnt", "tmpfs")
        os.makedirs("/mnt/tree/etc")
        os.mkdir("/mnt/here")
        subprocess.run(["mkfs.erofs", "/mnt/image", "/mnt/tree"], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop,ro", "/mnt/image", "/mnt/here"], check=True)

    reason = at(in_host(lambda: captured(inside), identity="root"), "/mnt/here").unsupported
    assert reason.startswith("it is in an image to which no path of the host leads")


@pytest.mark.needs_kernel("loop", "fs:erofs", "mkfs.erofs")
def test_an_image_on_a_mount_that_is_gone_is_not_mistaken_for_another_file(in_host: InHost) -> None:
    """Of what was opened there, sysfs shows the path within that mount; here it leads to a decoy."""

    def host() -> tuple[LiveImage | None, str]:
        for directory in ("/mnt", "/srv"):
            mount("none", directory, "tmpfs")
        os.makedirs("/mnt/srv/tree/etc")
        subprocess.run(["mkfs.erofs", "/mnt/srv/image", "/mnt/srv/tree"], check=True, capture_output=True)
        Path("/srv/image").write_text("decoy")
        spec = '[[mount]]\ntarget = "/"\ntype = "erofs"\nimage = "/mnt/srv/image"\noptions = { ro = true }\n'
        with build(api.plan(api.load("image.toml", f"format = 1\n{spec}".encode()))) as built:
            (subject,) = of_built(built)
            with subject:
                shown = capture_subjects([subject], "state")
                return at(shown, "/").image, at(shown, "/").unsupported

    assert (LiveImage("/mnt/srv/image", 0, 0), "") == in_host(host, identity="root")


def test_the_other_namespaces_on_which_a_filesystem_depends_are_unshared_too(in_host: InHost) -> None:
    """A new proc shows the pid namespace in which it is mounted."""

    def own_processes() -> None:
        unshare(CLONE_NEWPID | CLONE_NEWIPC)
        if os.fork() == 0:
            mount("proc", "/mnt", "proc")
            os._exit(0)
        os.wait()

    def host() -> tuple[Capture, Capture]:
        with held(own_processes) as pid:
            assert pid
            inner = next(subject for subject in of_tree(pid))
            with inner:
                first = capture_subjects([inner], "state")
        with build(api.plan(api.load("captured.toml", first.text.encode())), kinds=first.captured.unshare) as built:
            again = of_built(built)
            second = capture_subjects(again, "state")
            for subject in again:
                subject.close()
        return first, second

    first, second = in_host(host, identity="root")
    assert first.text == second.text
    assert "proc" == at(first, "/mnt").type


@pytest.mark.needs_kernel("told-id-maps")
def test_an_id_mapped_mount_comes_back_with_its_map(in_host: InHost) -> None:
    spec = """format = 1
name = "state"

[[mount]]
id = "root"
target = "/"
type = "tmpfs"

[[mount]]
target = "/a"
bind = { mount = "root", path = "/d" }
idmap = { uids = [[0, 1000, 10], [20, 2000, 1]], gids = [[0, 5000, 7]] }
[[mount.file]]
path = "x"
"""

    def host() -> str:
        with build(api.plan(api.load("idmap.toml", spec.encode()))) as built:
            (subject,) = of_built(built)
            with subject:
                return capture_subjects([subject], "state").text

    text = in_host(host, identity="root")
    assert "idmap = { uids = [[0, 1000, 10], [20, 2000, 1]], gids = [[0, 5000, 7]] }" in text


def test_without_proc_the_error_says_how_to_get_one(in_host: InHost) -> None:
    def host() -> None:
        umount("/proc", MNT_DETACH)
        api.capture(os.getpid())

    with pytest.raises(TableError, match="mount -t proc proc /proc"):
        in_host(host, identity="root")


def test_a_process_that_ends_while_it_is_read_is_told(in_host: InHost) -> None:
    def host() -> None:
        with running([Act(0, "begin", (False,))]) as alive:
            subject = of_process(alive.pids[0])
        with subject:
            subject.read()

    with pytest.raises(TableError, match="there is no such process"):
        in_host(host, identity="root")


def test_a_table_that_never_keeps_still_is_given_up(in_host: InHost) -> None:
    texts = (f"1 0 0:{number} / / rw - tmpfs none rw\n".encode() for number in count())
    with open("/proc/self/ns/mnt") as namespace, pytest.raises(TableError, match="changed during each reading"):
        read_whole(namespace.fileno(), lambda: next(texts))


def test_a_table_that_changes_once_is_read_until_it_keeps_still() -> None:
    texts = iter([b"1 0 0:1 / / rw - tmpfs old rw\n", *[b"1 0 0:1 / / rw - tmpfs new rw\n"] * 5])
    reader, writer = os.pipe()  # no namespace, so nothing but the texts counts
    table = read_whole(reader, lambda: next(texts)).table
    os.close(reader)
    os.close(writer)
    assert ["new"] == [row.source for row in table.rows]


def test_layers_of_the_host_and_of_the_spec_are_found_again_in_one_overlay(in_host: InHost) -> None:
    """What was built shows the latter by their device."""
    spec = """format = 1
name = "state"

[[mount]]
id = "root"
target = "/"
type = "tmpfs"
[[mount.file]]
path = "more"
directory = true

[[mount]]
target = "/usr"
type = "overlay"
layers = ["/usr", { mount = "root", path = "/more" }]
upper = { mount = "root", path = "/changes" }
"""

    def host() -> Capture:
        with build(api.plan(api.load("layers.toml", spec.encode()))) as built:
            (subject,) = of_built(built)
            with subject:
                return capture_subjects([subject], "state")

    one = at(in_host(host, identity="root"), "/usr")
    assert (CapturedPlace("", "/usr"), CapturedPlace("root", "/more")) == one.layers
    assert CapturedPlace("root", "/changes") == one.upper
