"""A capture tells by itself in what a copy would not be what was captured."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.sys import abi, syscalls
from mountplan.capturing import Capture
from tests.hosts import InHost, mount
from tests.kernel.captured_process import held
from tests.kernel.states import Actor
from tests.mountflags import MS_BIND, MS_SHARED

pytestmark = pytest.mark.needs_kernel("set-group", "root")


def pivot(path: str) -> None:
    Actor().pivot(path, "")


def cautions(capture: Capture, where: str) -> list[str]:
    return [one.what for one in capture.cautions if one.where == where]


def test_a_mount_that_will_be_called_otherwise_is_named(in_host: InHost) -> None:
    """Of what there is only one, a spec makes all mounts that share their events from one of them."""

    def act() -> None:
        mount("none", "/mnt", "tmpfs")
        for source in ("one", "two"):
            os.mkdir(f"/mnt/{source}")
            mount(source, f"/mnt/{source}", "binfmt_misc")
        mount("", "/mnt/one", flags=MS_SHARED)
        one, two = (os.open(f"/mnt/{name}", os.O_PATH) for name in ("one", "two"))
        flags = abi.MOVE_MOUNT_SET_GROUP | abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH
        syscalls.move_mount(one, two, b"", flags)

    def host() -> Capture:
        with held(act) as pid:
            return api.capture(pid, name="state")

    capture = in_host(host, identity="root")
    assert [] == cautions(capture, "/mnt/one")
    (what,) = cautions(capture, "/mnt/two")
    assert what.startswith("the copy will differ: source: two -> one")


def test_what_check_would_refuse_is_told_with_the_mount(in_host: InHost) -> None:
    """The captured root has been removed on the host, and what is below a left-out root has nowhere to stand."""

    def act() -> None:
        mount("/mnt/gone", "/srv", flags=MS_BIND)
        pivot("/srv")

    def host() -> tuple[Capture, Capture]:
        mount("host", "/mnt", "tmpfs")
        os.mkdir("/mnt/gone")
        with held(act) as pid:
            os.rmdir("/mnt/gone")
            return api.capture(pid, name="state"), api.capture(pid, name="state", check=False)

    judged, unjudged = in_host(host, identity="root")
    (what,) = [what for what in cautions(judged, "/") if "cannot be built as it is written" in what]
    assert "the root of the namespace cannot be left out" in what
    assert [] == [what for what in cautions(unjudged, "/") if "cannot be built as it is written" in what]
    assert judged.text == unjudged.text


def test_a_root_in_memory_loses_the_links_by_which_programs_are_found(in_host: InHost, tmp_path: Path) -> None:
    """Of what is mounted there nothing is lost, and --contents takes the others along."""

    def act() -> None:
        mount("own", "/mnt", "tmpfs")
        for name in ("usr", "dev"):
            os.mkdir(f"/mnt/{name}")
        for name in ("bin", "lib"):
            os.symlink(f"usr/{name}", f"/mnt/{name}")
        open("/mnt/mounted", "x").close()
        mount("/usr", "/mnt/usr", flags=MS_BIND)
        mount("/etc/hostname", "/mnt/mounted", flags=MS_BIND)
        pivot("/mnt")

    def host() -> tuple[Capture, Capture]:
        with held(act) as pid:
            return api.capture(pid, name="state"), api.capture(pid, name="state", contents=f"{tmp_path}/files")

    without, taken = in_host(host, identity="root")
    what = "without --contents the copy has not what is in its root, and runs no programs: bin, lib"
    assert [what] == cautions(without, "/")
    assert [] == cautions(taken, "/")


@pytest.mark.needs_kernel("userns")
def test_what_the_user_who_captures_could_not_build_is_told(in_host: InHost) -> None:
    """`check` would refuse it; root of the machine can."""

    def capture() -> list[str]:
        with held(lambda: None) as pid:
            return cautions(api.capture(pid), "/")

    told = in_host(capture, identity="userns")
    assert ["in a user namespace such mounts are locked together (mount[0].bind)"] == [
        one.partition("below it: ")[2].partition(";")[0] for one in told if "cannot be built as it is written" in one
    ]
    assert [] == [one for one in in_host(capture, identity="root") if "cannot be built" in one]
