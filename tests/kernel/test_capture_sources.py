"""Mounts of what there is only one of, under sources of their own; and parts of filesystems that a program keeps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.observe.observe import observe
from mountplan.applier.sys import syscalls
from tests import cgroup2
from tests.hosts import InHost, mount, umount, unshare
from tests.kernel.captured_process import captured
from tests.kernel.handmade import begin, bind, enter, inhabited, make, own, restored
from tests.kernel.test_road_images import run, squashfs
from tests.mountflags import MS_PRIVATE, MS_RDONLY, MS_SHARED, MS_SLAVE

CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

pytestmark = pytest.mark.needs_kernel("set-group", "root")


def test_parts_of_it_have_the_source_that_they_had(in_host: InHost) -> None:
    """As runc and systemd-nspawn mount a cgroup2: in a cgroup namespace, under the source "cgroup"."""

    def build() -> None:
        own("a", "b", "c", "w")
        mount("mine", "w", "sysfs")
        bind("w/kernel", "a")
        bind("w/fs", "b")
        umount("w")
        mount("another", "c", "sysfs")
        enter()

    assert "" == restored(in_host, build)


def test_the_groups_among_them_come_back(in_host: InHost) -> None:
    def build() -> None:
        own("a", "b", "c")
        mount("mine", "a", "sysfs")
        make("a", MS_SHARED)
        bind("a/kernel", "b")
        bind("a/fs", "c")
        make("c", MS_SLAVE)
        enter()

    assert "" == restored(in_host, build)


def test_a_filesystem_of_the_namespaces_own_has_them_too(in_host: InHost) -> None:
    def script() -> list[tuple[str, str]]:
        def build() -> None:
            own("a", "b", "c")
            unshare(CLONE_NEWNET)
            mount("mine", "a", "sysfs")
            mount("other", "b", "sysfs")
            bind("b/kernel", "c")
            enter()

        with inhabited(build) as pid:
            text = api.capture(pid).text
        ((_, table),) = api.build_and_forget(api.plan(api.load("captured.toml", text.encode()))).tables
        return [(row.mountpoint, row.source) for row in table.rows if row.fstype == "sysfs"]

    assert [("/a", "mine"), ("/b", "other"), ("/c", "other")] == in_host(script, identity="root")


def test_a_member_of_a_group_of_others_gets_their_source_and_a_caution(in_host: InHost) -> None:
    """Sources differ within a group where the kernel was given two mounts of one superblock to join."""

    def script() -> list[str]:
        mount("", "/", flags=MS_PRIVATE)
        mount("sysfs", "/srv", "sysfs")
        make("/srv", MS_SHARED)

        def build() -> None:
            begin("a", "b")
            bind("/srv", "a")
            mount("mine", "b", "sysfs")
            _join(b"a", b"b")
            enter()

        with inhabited(build) as pid:
            return [str(one) for one in api.capture(pid).cautions]

    told = in_host(script, identity="root")
    assert [
        "/b: the copy will differ: source: mine -> sysfs, as others that it shares its events with have that"
    ] == told


def _join(one: bytes, other: bytes) -> None:
    from mountplan.applier.sys import abi, syscalls

    seed, joins = (os.open(path, os.O_PATH) for path in (one, other))
    flags = abi.MOVE_MOUNT_SET_GROUP | abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH
    syscalls.move_mount(seed, joins, b"", flags)


def test_a_cgroup2_keeps_its_options_whatever_its_mounts_are_called(in_host: InHost) -> None:
    """Each of them could set them anew, for the whole machine."""
    spec = """format = 1
name = "two"
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
target = "/a"
type = "cgroup2"
source = "one"
[[mount]]
target = "/b"
type = "cgroup2"
source = "other"
"""

    def script() -> tuple[object, ...]:
        before = cgroup2.options()
        ((_, table),) = api.build_and_forget(api.plan(api.load("two.toml", spec.encode()))).tables
        sources = [row.source for row in table.rows if row.fstype == "cgroup2"]
        return before, cgroup2.options(), sources

    before, after, sources = in_host(script, identity="root")
    assert (before, ["one", "other"]) == (after, sources)


def test_a_terminal_is_there_only_while_its_other_end_is_open(in_host: InHost) -> None:
    def script() -> list[str]:
        def build() -> None:
            own("pts", "w")
            mount("pts", "pts", "devpts", data="ptmxmode=666")
            Path("here").touch()
            os.open("pts/ptmx", os.O_RDWR | os.O_NOCTTY)
            bind("pts/0", "here")
            enter()

        with inhabited(build) as pid:
            capture = api.capture(pid)
        assert () == api.check(capture.text.encode(), "captured.toml")
        return [str(one) for one in capture.cautions]

    (told,) = in_host(script, identity="root")
    assert "/here: cannot be rebuilt: it shows /0 of a devpts: a terminal" in told


@pytest.mark.needs_kernel("loop", "fs:squashfs", "mksquashfs")
def test_another_name_of_a_device_that_the_host_has_mounted_is_told(in_host: InHost, tmp_path: Path) -> None:
    """The copy is a bind of the host's mount, which has one source."""

    def host() -> tuple[list[str], list[str]]:
        squashfs(f"{tmp_path}/image", "file")
        run("mount", "-o", "loop,ro", f"{tmp_path}/image", "/srv")
        [device] = [row.source for row in observe().rows if row.mountpoint == "/srv"]
        capture = captured(lambda: mount(f"/dev/..{device}", "/mnt", "squashfs", MS_RDONLY))
        what = f"/mnt: the copy will differ: source: /dev/..{device} -> {device}, as what it is bound from has that"
        return [what], [*map(str, capture.cautions)]

    expected, cautions = in_host(host, identity="root")
    assert expected == cautions


def test_what_shows_another_namespace_than_the_copy_will_is_told(in_host: InHost) -> None:
    """A spec has one namespace of each kind; what another one had mounted would show more than it did."""

    def build() -> None:
        own("net", "ipc")
        for kind, fstype, flag in (("net", "sysfs", CLONE_NEWNET), ("ipc", "mqueue", CLONE_NEWIPC)):
            home = os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)
            unshare(flag)
            mount("other", kind, fstype)
            syscalls.setns(home, flag)
            os.close(home)
        enter()

    def host() -> list[str]:
        with inhabited(build) as pid:
            return [str(one) for one in api.capture(pid).cautions]

    what = "it shows another {} namespace than the copy will be in, which shows its own"
    assert [f"/{kind}: {what.format(kind)}" for kind in ("ipc", "net")] == in_host(host, identity="root")


def test_a_proc_of_other_processes_than_the_copy_will_show_is_told(in_host: InHost) -> None:
    def build() -> None:
        own("other", "same")
        mount("same", "same", "proc")
        unshare(CLONE_NEWPID)
        child = os.fork()
        if not child:
            mount("other", "other", "proc")
            os._exit(0)
        os.waitpid(child, 0)
        enter()

    def host() -> list[str]:
        with inhabited(build) as pid:
            return [str(one) for one in api.capture(pid).cautions]

    what = "it shows another pid namespace than the copy will be in, which shows its own"
    assert [f"/other: {what}"] == in_host(host, identity="root")


def test_of_two_that_are_not_ours_the_one_is_told_that_the_process_is_not_in(in_host: InHost) -> None:
    """The copy is unshared from ours as the process is, and shows what is new there."""

    def build() -> None:
        own("other", "same")
        unshare(CLONE_NEWNET)
        mount("other", "other", "sysfs")
        unshare(CLONE_NEWNET)
        mount("same", "same", "sysfs")
        enter()

    def host() -> list[str]:
        with inhabited(build) as pid:
            return [str(one) for one in api.capture(pid, check=False).cautions]

    what = "it shows another net namespace than the copy will be in, which shows its own"
    assert [f"/other: {what}"] == in_host(host, identity="root")
