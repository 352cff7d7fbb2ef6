"""`recursive_sharing`: what a recursive bind brings along, held against mount --rbind with --make-r..."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mountplan import api
from mountplan.applier.sys.kernel import LinuxKernel
from mountplan.planner.errors import SpecError, VerificationFailed
from tests.hosts import CHECKOUT, CLONE_NEWNS, InHost, mount, run_in_child, setns, umount, unshare
from tests.mountflags import MS_BIND, MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE
from tests.trees import ROOT, Tree, plan_of, tree

pytestmark = pytest.mark.needs_kernel("root", "set-group")
Result = TypeVar("Result")
GROUPED = 'peer_group = "mnt"\nrecursive_sharing = '
MNT = '[peer_group.mnt]\nhost = "/mnt"\n'


def host() -> None:
    """/mnt, and below it all kinds of mounts, some of them in a stack, some below others."""
    mount("mnt", "/mnt", "tmpfs")
    mount("", "/mnt", flags=MS_SHARED)
    for name in ("shared", "slave", "both", "private", "shared/below", "late"):
        os.mkdir(f"/mnt/{name}")
        if name != "late":
            mount(name, f"/mnt/{name}", "tmpfs")
    mount("cover", "/mnt/shared", "tmpfs")
    mount("", "/mnt/private", flags=MS_PRIVATE)
    os.mkdir("/mnt/private/shared")
    mount("within", "/mnt/private/shared", "tmpfs")
    mount("", "/mnt/private/shared", flags=MS_SHARED)
    for name in ("slave", "both"):
        mount(f"/mnt/{name}", "/mnt/late", flags=MS_BIND)  # a peer that stays, so that there is a master
        mount("", f"/mnt/{name}", flags=MS_SLAVE)
        os.makedirs(f"/mnt/{name}/x", exist_ok=True)
    mount("", "/mnt/both", flags=MS_SHARED)


def shape(lines: list[str], top: str) -> list[tuple[str, str, str, str]]:
    """Mounts at and below `top`: mountpoint, source, and the kind of group; of the host's groups their numbers."""
    found = []
    for line in lines:
        words = line.split()
        if not f"{words[4]}/".startswith(f"{top}/"):
            continue
        tags = words[6 : words.index("-")]
        found.append((words[4][len(top) :], words[words.index("-") + 2], words[3], " ".join(sorted(tags))))
    return sorted(found)


def lines() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()


def groups_of(shapes: list[tuple[str, str, str, str]], known: set[str]) -> list[tuple[str, str, str, str]]:
    """The same, with groups that are not `known` called new."""
    return [
        (place, source, root, " ".join(tag if tag in known else f"{tag.split(':')[0]}:new" for tag in tags.split()))
        for place, source, root, tags in shapes
    ]


def as_mount_makes_it(kind: int) -> list[tuple[str, str, str, str]]:
    def script() -> list[tuple[str, str, str, str]]:
        unshare(CLONE_NEWNS)
        os.makedirs("/srv/real", exist_ok=True)
        mount("real", "/srv", "tmpfs")
        mount("", "/srv", flags=MS_PRIVATE)
        os.mkdir("/srv/real")
        mount("/mnt", "/srv/real", flags=MS_BIND | MS_REC)
        mount("", "/srv/real", flags=kind | MS_REC)
        return shape(lines(), "/srv/real")

    return run_in_child(script)


@pytest.mark.parametrize(
    ("word", "top", "kind"), [("peer", "peer_group", MS_SHARED), ("slave", "master", MS_SLAVE)], ids=["peer", "slave"]
)
def test_what_is_brought_along_is_in_the_groups_that_mount_puts_it_in(
    word: str, top: str, kind: int, in_host: InHost
) -> None:
    """As containerd's rshared and rslave, and Kubernetes' Bidirectional and HostToContainer, have it."""

    def script() -> tuple[object, object, bool]:
        host()
        before = lines()
        spec = f"""{MNT}{ROOT}
        [[mount]]
        target = "/real"
        bind = "/mnt"
        recursive = true
        {top} = "mnt"
        recursive_sharing = "{word}"
        """
        with tree(spec) as built:
            ours = shape(Path(f"/proc/{built.built.pid}/mountinfo").read_text().splitlines(), "/real")
        known = {tag.replace("shared", kind) for line in before for tag in line.split() if ":" in tag
                 for kind in ("shared", "master")}  # fmt: skip
        return groups_of(ours, known), groups_of(as_mount_makes_it(kind), known), lines() == before

    ours, real, unchanged = in_host(script, identity="root")
    assert real == ours
    assert unchanged


def built_with(word: str, then: Callable[[Tree], Result]) -> Callable[[], Result]:
    def script() -> Result:
        host()
        spec = f"""{MNT}{ROOT}
        [[mount]]
        target = "/in"
        bind = "/mnt"
        recursive = true
        {"peer_group" if word == "peer" else "master"} = "mnt"
        recursive_sharing = "{word}"
        """
        with tree(spec) as built:
            return then(built)

    return script


@pytest.mark.parametrize(("word", "goes_out"), [("peer", True), ("slave", False)])
def test_events_come_in_and_go_out_as_the_word_says(word: str, goes_out: bool, in_host: InHost) -> None:
    def then(built: Tree) -> tuple[bool, bool]:
        mount("new", "/mnt/both/x", "tmpfs")
        came = "/in/both/x" in built.mountpoints()
        umount("/mnt/both/x")
        built.inside(lambda: mount("new", "/in/both/x", "tmpfs"))
        return came, any(line.split()[4] == "/mnt/both/x" for line in lines())

    assert (True, goes_out) == in_host(built_with(word, then), identity="root")


def test_copies_of_mounts_of_the_spec_are_peers_or_slaves_of_the_originals(in_host: InHost) -> None:
    def spec(word: str) -> str:
        return f"""
        [peer_group.g]
        {ROOT}
        [[mount]]
        id = "top"
        target = "/top"
        type = "tmpfs"
        [[mount]]
        target = "/top/shared"
        type = "tmpfs"
        peer_group = "g"
        [[mount]]
        target = "/top/private"
        type = "tmpfs"
        [[mount]]
        target = "/copy"
        bind = {{ mount = "top" }}
        recursive = true
        recursive_sharing = "{word}"
        """

    def script() -> list[list[bool]]:
        found = []
        for word in ("peer", "slave"):
            with tree(spec(word)) as built:
                original, one, other = (built.at(f"/{at}") for at in ("top/shared", "copy/shared", "copy/private"))
                found.append([
                    one.peer_group == original.peer_group, one.master == original.peer_group,
                    other.peer_group > 0, other.master > 0,
                ])  # fmt: skip
        return found

    assert [[True, False, True, False], [False, True, False, False]] == in_host(script, identity="root")


@pytest.mark.parametrize(
    ("words", "key", "what"),
    [
        (f'{GROUPED}"peer"', "mount[1].recursive_sharing", "nothing is brought along"),
        (
            'recursive = true\nrecursive_sharing = "peer"',
            "mount[1].recursive_sharing",
            "the bind itself would be private",
        ),
        (
            f'recursive = true\n{GROUPED}"peer"\n[[mount]]\ntarget = "/in/both/x"\ntype = "tmpfs"',
            "mount[2].target",
            "it would stand on a peer of the host's mount",
        ),
        (
            f'recursive = true\n{GROUPED}"peer"\n[[mount]]\ntarget = "/in/both"\ntype = "tmpfs"',
            "mount[2].target",
            "it would stand on a peer of the host's mount",
        ),
    ],
)
def test_what_cannot_be_meant_is_told(words: str, key: str, what: str, in_host: InHost) -> None:
    def script() -> list[tuple[str, str]]:
        host()
        group = MNT if "group" in words else ""
        try:
            plan_of(f'{group}{ROOT}[[mount]]\ntarget = "/in"\nbind = "/mnt"\n{words}')
        except SpecError as error:
            return [(one.ref.key, one.what) for one in error.mistakes]
        return []

    ((found, told),) = in_host(script, identity="root")
    assert (key, True) == (found, what in told), told


def test_a_mount_of_the_spec_stands_on_a_slave_that_was_brought_along(in_host: InHost) -> None:
    def script() -> list[str]:
        host()
        spec = f"""{MNT}{ROOT}
        [[mount]]
        target = "/in"
        bind = "/mnt"
        recursive = true
        master = "mnt"
        recursive_sharing = "slave"
        [[mount]]
        target = "/in/both/x"
        type = "tmpfs"
        """
        with tree(spec) as built:
            assert "/in/both/x" in built.mountpoints()
        return [line for line in lines() if "both/x" in line]

    assert [] == in_host(script, identity="root")


def test_no_peer_of_the_hosts_is_had_without_root(in_host: InHost) -> None:
    def script() -> str:
        mount("mnt", "/mnt", "tmpfs")
        os.mkdir("/mnt/sub")
        mount("sub", "/mnt/sub", "tmpfs")
        mount("", "/mnt/sub", flags=MS_SHARED)
        mount("", "/mnt", flags=MS_PRIVATE)
        spec = f'{ROOT}[[mount]]\ntarget = "/in"\nbind = "/mnt"\nrecursive = true\nrecursive_sharing = '
        ((_, table),) = api.build_and_forget(plan_of(f'{spec}"slave"'), rootless="always").tables
        assert 1 == len([row for row in table.rows if row.master])
        try:
            api.build_and_forget(plan_of(f'{spec}"peer"'), rootless="always")
        except api.NotAllowed as error:
            return str(error)
        return ""

    assert "mount[1].recursive_sharing: in a user namespace" in in_host(script, identity="root")


@pytest.mark.parametrize("word", ["peer", "slave"])
@pytest.mark.parametrize("times", [1, 100])
def test_what_comes_on_the_host_while_it_is_built_is_taken_in_or_told(
    word: str, times: int, in_host: InHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone that is attached nowhere receives nothing: seen by mounting on the host right after it was taken."""

    def script() -> list[str]:
        outside = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        make_private = LinuxKernel.make_private

        def also_mount(kernel: LinuxKernel) -> bool:
            def mount_outside() -> None:
                setns(outside)
                made = len(os.listdir("/mnt/both")) - 1
                if made < times:
                    os.mkdir(f"/mnt/both/new{made}")
                    mount("new", f"/mnt/both/new{made}", "tmpfs")

            run_in_child(mount_outside)
            return make_private(kernel)

        monkeypatch.setattr(LinuxKernel, "make_private", also_mount)
        try:
            places = built_with(word, lambda built: built.mountpoints())()
            return [place for place in places if "new" in place]
        except VerificationFailed as error:
            return ["told", str(error)]

    found = in_host(script, identity="root")
    if times == 1:
        assert ["/in/both/new0"] == found
    else:
        assert "told" == found[0]
        assert "/in/both/new4" in found[1]


@pytest.mark.parametrize(
    ("word", "warns"), [("", True), ('recursive_sharing = "private"', False), ('recursive_sharing = "peer"', False)]
)
def test_sharing_that_stops_at_the_top_is_warned_of(word: str, warns: bool, in_host: InHost) -> None:
    def script() -> tuple[list[str], list[str]]:
        host()
        spec = f'{MNT}{ROOT}[[mount]]\ntarget = "/in"\nbind = "/mnt"\nrecursive = true\npeer_group = "mnt"\n{word}'
        words = [sys.executable, "-m", "mountplan", "check", "--json", "-"]
        said = subprocess.run(words, input=f"format = 1\n{spec}", text=True, stdout=subprocess.PIPE, cwd=CHECKOUT)
        told = [one["what"] for one in json.loads(said.stdout)["specs"][0]["warnings"]]
        return [str(one) for one in api.warnings(plan_of(spec))], told

    found, told = in_host(script, identity="root")
    assert warns == bool(found)
    assert len(found) == len(told)
    if warns:
        assert "mount[1]: /in is a peer, but what it brings along is private" in found[0]
        assert "/mnt/shared" in found[0]


def test_sharing_that_stops_at_the_top_of_a_mount_of_the_spec_is_warned_of() -> None:
    """As that of the host's, and as little if it is said that this is meant."""
    spec = f"""
    [peer_group.g]
    {ROOT}
    [[mount]]
    id = "top"
    target = "/top"
    type = "tmpfs"
    peer_group = "g"
    [[mount]]
    target = "/top/sub"
    type = "tmpfs"
    peer_group = "s"
    [[mount]]
    target = "/copy"
    bind = {{ mount = "top" }}
    recursive = true
    peer_group = "g"
    """
    groups = "[peer_group.s]\n"
    assert ["mount[3]"] == [one.ref.key for one in api.warnings(plan_of(groups + spec))]
    assert () == api.warnings(plan_of(f'{groups}{spec}recursive_sharing = "private"'))
