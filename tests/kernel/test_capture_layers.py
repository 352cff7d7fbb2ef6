"""Layers of overlays: found where they are by now, as far as there is anything that tells it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.build.build import build
from mountplan.applier.build.build_subjects import of_built
from mountplan.capturing import Capture, capture_subjects
from mountplan.planner.capture.captured import CapturedPlace
from tests.hosts import InHost, mount, umount
from tests.kernel.captured_process import at, captured, held
from tests.kernel.test_road_images import run, squashfs
from tests.mountflags import MNT_DETACH, MS_BIND

pytestmark = pytest.mark.needs_kernel("set-group", "root")


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


@pytest.mark.needs_kernel("userns")
def test_relative_names_are_followed_from_where_the_overlay_is_where_the_kernel_tells_nothing(in_host: InHost) -> None:
    """As of an overlay that was mounted in a user namespace; that the upper directory is in use proves it."""

    def act() -> None:
        mount("none", "/mnt", "tmpfs")
        for name in ("in/lower", "in/upper", "in/work", "in/at", "other/upper"):
            os.makedirs(f"/mnt/{name}")
        os.chdir("/mnt/in")
        mount("none", "at", "overlay", data="userxattr,lowerdir=lower,upperdir=upper,workdir=work")

    def script() -> Capture:
        with held(act) as pid:
            return api.capture(pid, check=False)

    found = at(in_host(script, identity="userns"), "/mnt/in/at")
    assert CapturedPlace("mnt", "/in/upper") == found.upper
    assert CapturedPlace("mnt", "/in/work") == found.work
    assert (CapturedPlace("mnt", "/in/lower"),) == found.layers


@pytest.mark.parametrize("later", ["overlay", "tmpfs"])
def test_what_was_mounted_over_an_empty_layer_later_is_not_that_layer(in_host: InHost, later: str) -> None:
    """Its name leads there by now. Of two overlays that each name the directory on which both are mounted, either was
    made of the other then: a circle.
    """

    def act() -> None:
        mount("none", "/mnt", "tmpfs")
        for name in ("at", "one", "two"):
            os.mkdir(f"/mnt/{name}")
        mount("none", "/mnt/at", "overlay", data="lowerdir=/mnt/one:/mnt/at")
        mount("none", "/mnt/at", later, data="lowerdir=/mnt/at:/mnt/two" if later == "overlay" else "")

    capture = in_host(lambda: captured(act), identity="root")
    first = next(one for one in capture.captured.namespaces[0].mounts if one.target == "/mnt/at")
    assert (CapturedPlace("mnt", "/one"), CapturedPlace("mnt", "/at")) == first.layers


def test_overlays_whose_lost_layers_are_named_as_each_other_is_are_not_made_of_each_other(in_host: InHost) -> None:
    """Each name leads nowhere in the overlay's own namespace, and to the other overlay in the other's."""

    def act(here: str, there: str) -> None:
        mount("none", "/mnt", "tmpfs")
        for name in ("low", here, there):
            os.mkdir(f"/mnt/{name}")
        mount("none", f"/mnt/{here}", "overlay", data=f"lowerdir=/mnt/low:/mnt/{there}")
        os.rmdir(f"/mnt/{there}")

    def script() -> None:
        with held(lambda: act("a", "b")) as first, held(lambda: act("b", "a")) as second:
            capture = api.capture(first, second, name="state")
        api.build_and_forget(api.plan(api.load("captured.toml", capture.text.encode())))

    in_host(script, identity="root")
