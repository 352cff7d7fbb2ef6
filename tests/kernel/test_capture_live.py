"""capture -> build -> capture: the same bytes, and nothing that a mount table tells has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mountplan.applier.observe.subjects import of_process
from mountplan.capturing import Folder, capture_subjects
from tests.hosts import InHost
from tests.kernel.capture_fuzz import ADRIFT, attempt, shorten, show
from tests.kernel.states import Act, State, chance_state, running

pytestmark = pytest.mark.needs_kernel("set-group", "root")

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
    "what is shared below the root of a process is mounted on a file, which another process shows": [
        Act(0, "make", ("/", "shared", False)),
        Act(0, "tmpfs", ("/", "tmpfs", "mode=0755", 256)),
        Act(0, "bind file", ("/g", "/b/a/f")),
        Act(0, "unshare", (True,)),
        Act(0, "overlay", ("/", ("/layers/c",), "/layers/changes", "?", "absolute", "redirect_dir=nofollow", True)),
        Act(0, "make", ("/", "slave", False)),
        Act(0, "special", ("file", "/b/a/s10", "/g")),
        Act(0, "top", ("/",)),
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
