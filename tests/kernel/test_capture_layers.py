"""Layers of overlays that have moved, alone or together, are found where they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mountplan.planner.capture.captured import CapturedPlace
from tests.hosts import InHost, mount, umount
from tests.kernel.test_capture_live import at, captured
from tests.kernel.test_road_images import run, squashfs

pytestmark = pytest.mark.needs_kernel("set-group", "root")


def one_overlay() -> None:
    mount("none", "/mnt", "tmpfs")
    for name in ("lower", "upper", "work", "at", "elsewhere"):
        os.mkdir(f"/mnt/{name}")
    Path("/mnt/lower/file").touch()
    mount("none", "/mnt/at", "overlay", data="lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work")


@pytest.mark.parametrize(
    "moved",
    [
        pytest.param({"upper": "upper2"}, id="the upper one alone"),
        pytest.param({"work": "work2"}, id="the work directory alone"),
        pytest.param({"upper": "elsewhere/upper", "work": "elsewhere/work2"}, id="both"),
    ],
)
def test_a_work_directory_is_found_by_its_use_where_names_mislead(in_host: InHost, moved: dict[str, str]) -> None:
    """Otherwise the copy has one more directory beside the upper one, which nobody has asked for."""

    def act() -> None:
        one_overlay()
        for name, now in moved.items():
            os.rename(f"/mnt/{name}", f"/mnt/{now}")

    capture = in_host(lambda: captured(act), identity="root")
    assert [] == [str(one) for one in capture.cautions]
    upper, work = (CapturedPlace("mnt", f"/{moved.get(name, name)}") for name in ("upper", "work"))
    assert (upper, work) == (at(capture, "/mnt/at").upper, at(capture, "/mnt/at").work)


def test_a_new_work_directory_is_told_where_the_old_one_is_gone(in_host: InHost) -> None:
    def act() -> None:
        one_overlay()
        shutil.rmtree("/mnt/work")

    capture = in_host(lambda: captured(act), identity="root")
    what = "its work directory cannot be found any more; a new one stands in for it, beside the upper one: upper.work"
    assert [f"/mnt/at: {what}"] == [str(one) for one in capture.cautions]


@pytest.mark.needs_kernel("loop", "fs:squashfs", "mksquashfs")
def test_of_a_layer_that_has_a_stand_in_it_is_not_said_that_it_is_taken_by_its_name(in_host: InHost) -> None:
    """Its name leads to an image that cannot be had."""

    def act() -> None:
        one_overlay()
        squashfs("/mnt/image", "file")
        run("mount", "-o", "loop,ro", "/mnt/image", "/mnt/elsewhere")
        umount("/mnt/at")
        mount("none", "/mnt/at", "overlay", data="lowerdir=/mnt/lower:/mnt/elsewhere")

    capture = in_host(lambda: captured(act), identity="root")
    assert [] == [str(one) for one in capture.cautions if "taken by name" in one.what]
    assert ["/mnt/at"] == [one.where for one in capture.cautions if "stand in for" in one.what]
