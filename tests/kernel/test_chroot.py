"""In a chroot, whose "/" is no mountpoint, or one below the namespace's root: as on any other host, or refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import pytest

from mountplan import api
from mountplan.applier.observe.observe import observe
from mountplan.applier.probe.probe import probe
from mountplan.planner.errors import MountplanError, TableError
from tests.hosts import InHost, leave_root, mount, run_in_child, setns, umount
from tests.mountflags import MNT_DETACH, MS_BIND, MS_REC, MS_SHARED
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("root")

PLACE = "/mnt/a chroot"


@contextmanager
def chroot(*, mountpoint: bool = False) -> Iterator[Callable[[], str]]:
    """All that is here, in a directory of a shared tmpfs: where the block is run. Lends the table from outside."""
    mount("around", "/mnt", "tmpfs")
    os.mkdir(PLACE)
    if mountpoint:
        mount(PLACE, PLACE, flags=MS_BIND)
    for entry in os.scandir("/"):
        place = f"{PLACE}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
        elif entry.name != "mnt" and entry.is_dir():
            os.mkdir(place)
            mount(entry.path, place, flags=MS_BIND | MS_REC)
    os.mkdir(f"{PLACE}/mnt")
    mount("", "/", flags=MS_SHARED | MS_REC)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as outside:

        def table() -> str:
            outside.seek(0)
            return outside.read()

        os.chroot(PLACE)
        os.chdir("/")
        yield table


BOTH = pytest.mark.parametrize("mountpoint", [False, True])


@BOTH
@pytest.mark.parametrize("user", ["", '[run]\nunshare = ["user"]\n'])
def test_a_new_root_is_built_and_the_host_stays_as_it_is(in_host: InHost, mountpoint: bool, user: str) -> None:
    spec = f"""{user}{ROOT}
    [[mount]]
    target = "/usr"
    bind = "/usr"
    [[mount]]
    target = "/here"
    bind = "/mnt"
    """
    if not user:
        spec += '[[mount]]\ntarget = "/mapped"\ntype = "tmpfs"\nidmap = { uids = [[0, 0, 1]], gids = [[0, 0, 1]] }'

    def script() -> tuple[list[str], bool]:
        with chroot(mountpoint=mountpoint) as table:
            before = table()
            with tree(spec) as built:
                return built.mountpoints(), before == table()

    assert (["/", "/here", *(() if user else ("/mapped",)), "/usr"], True) == in_host(script, identity="root")


@BOTH
def test_a_copy_of_the_tree_is_of_what_the_chroot_shows(in_host: InHost, mountpoint: bool) -> None:
    def script() -> tuple[list[str], list[str], bool]:
        with chroot(mountpoint=mountpoint) as table:
            before = table()
            seen = [row.mountpoint for row in observe().rows]
            with tree('root = "inherit"\npropagation = "slave"\n[[mount]]\ntarget = "/mnt"\ntype = "tmpfs"') as built:
                return sorted([*seen, "/mnt"]), built.mountpoints(), before == table()

    wanted, found, unchanged = in_host(script, identity="root")
    assert wanted == sorted(found)
    assert unchanged


@BOTH
def test_who_enters_the_namespace_is_at_the_root_of_the_tree(in_host: InHost, mountpoint: bool) -> None:
    """setns(2) goes to the root of the namespace, and nothing of the host's may be left there."""

    def script() -> list[str]:
        with chroot(mountpoint=mountpoint), tree(f'{ROOT}[[mount]]\ntarget = "/only"\ntype = "tmpfs"') as built:
            namespace = built.built.open_mounts()

            def enter() -> list[str]:
                setns(namespace)
                return os.listdir("/")

            return run_in_child(enter)

    assert ["only"] == in_host(script, identity="root")


def test_what_the_host_mounts_outside_is_received_from_a_group_of_the_chroot_s_own_mount(in_host: InHost) -> None:
    """The mount of which a chroot shows a part is the one whose group it is."""
    spec = f"""
    [peer_group.outside]
    host = "/mnt"
    {ROOT}
    [[mount]]
    target = "/in"
    bind = "/mnt"
    master = "outside"
    """

    def script() -> list[str]:
        with chroot(), tree(spec) as built:
            os.mkdir("/mnt/y")
            mount("arrives", "/mnt/y", "tmpfs")
            return built.mountpoints()

    assert ["/", "/in", "/in/y"] == in_host(script, identity="root")


def test_the_table_has_the_mount_of_which_the_chroot_shows_a_part(in_host: InHost) -> None:
    def script() -> list[object]:
        with chroot() as table:
            root = observe().root()
            outside = next(line.split() for line in table().splitlines() if line.split()[4] == "/mnt")
            return [
                root[:6] == (int(outside[0]), int(outside[1]), outside[2], "/a chroot", "/", outside[5]),
                root.source,
            ]

    assert [True, "around"] == in_host(script, identity="root")


def test_everything_that_works_on_the_host_works_for_root(in_host: InHost) -> None:
    def script() -> tuple[set[str], set[str]]:
        found = [{one.feature for one in probe() if not one.works}]
        with chroot():
            return found[0], {one.feature for one in probe() if not one.works}

    outside, inside = in_host(script, identity="root")
    assert outside == inside


def test_who_may_not_leave_it_is_told_so_by_check_and_plan_and_doctor(in_host: InHost) -> None:
    """Neither can it be seen on which mount a host path is, nor is there a way into a user namespace."""

    def script() -> list[str]:
        with chroot():
            os.mkdir("/mnt/usr")
            leave_root()
            said = []
            for spec in (f'{ROOT}[[mount]]\ntarget = "/x"\nbind = "/usr"', 'root = "inherit"\n'):
                with pytest.raises(TableError) as caught:
                    plan_of(spec)
                said.append(str(caught.value))
            with pytest.raises(MountplanError) as refused:
                api.build_and_forget(plan_of(ROOT))
            return [*said, str(refused.value), probe(["user_namespace"])[0].remedy]

    said = in_host(script, identity="root")
    assert [True] * 4 == ['"/" is no mountpoint here, as in a chroot' in one for one in said]
    assert [True] * 4 == ["run it as root, or outside of the chroot" in one for one in said]


@BOTH
@pytest.mark.parametrize("rootless", ["auto", "always"])
def test_without_a_proc_in_it_root_is_told_to_mount_that(
    in_host: InHost, mountpoint: bool, rootless: Literal["auto", "always"]
) -> None:
    """Root has all capabilities: what is missing is the way out, to where user namespaces can be made."""

    def script() -> dict[str, str]:
        with chroot(mountpoint=mountpoint):
            umount("/proc", MNT_DETACH)
            return {one.feature: one.remedy for one in probe(rootless=rootless) if not one.works}

    told = in_host(script, identity="root")
    assert "user_namespace" in told
    assert {"mount it: mount -t proc proc /proc"} == set(told.values())


@BOTH
def test_a_capture_has_the_paths_of_what_is_outside(in_host: InHost, mountpoint: bool) -> None:
    """The kernel tells a process in a chroot none for these. The root cannot be seen: nothing leads to it."""

    def script() -> tuple[list[str], list[str], str]:
        with chroot(mountpoint=mountpoint) as table:
            found = api.capture(os.getpid(), name="state")
            paths = [line.split()[4].replace("\\040", " ") for line in table().splitlines()]
            (mistake,) = api.check(found.text.encode(), "captured.toml")
            return sorted(paths), sorted(one.target or "" for one in found.captured.namespaces[0].mounts), str(mistake)

    paths, targets, mistake = in_host(script, identity="root")
    assert set(targets) <= set(paths)
    assert f"{PLACE}/usr" in targets
    assert "the root of the namespace cannot be left out" in mistake
