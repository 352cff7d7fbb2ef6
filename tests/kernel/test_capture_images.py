"""What is behind a loop device, in whichever part of the file, comes back from there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mountplan import api
from tests.hosts import InHost, mount
from tests.kernel.handmade import inhabited
from tests.kernel.test_road_images import btrfs, disk, run, squashfs
from tests.trees import tree

pytestmark = pytest.mark.needs_kernel("set-group", "root", "loop")

# What differs, what is written of images and binds, and the names in each of some directories of the copy.
Copied = tuple[list[str], list[str], list[list[str]]]


def copied(build: Callable[[], object], *looks: str) -> Copied:
    """A process's mounts are captured, compared with what was written, built again, and captured once more."""
    with inhabited(build) as pid:
        capture = api.capture(pid, name="state")
        Path("/mnt/state.toml").write_text(capture.text)
        differs = [*map(str, capture.cautions), *map(str, api.diff("/mnt/state.toml", str(pid)).drift)]
        with tree(capture.text.replace("format = 1\n", "", 1)) as built:
            if capture.text != api.capture(built.built.pid, name="state").text:
                differs.append("the copy has another spec")
            found = [sorted(built.inside(lambda path=path: os.listdir(path))) for path in looks]  # type: ignore[misc]
    words = ("image", "options", "bind = {", "unsupported")
    return differs, [line for line in capture.text.splitlines() if line.startswith(words)], found


def two_in_one() -> None:
    mount("own", "/mnt", "tmpfs")
    squashfs("/mnt/one", "first")
    squashfs("/mnt/two", "second")
    disk("/mnt/disk", "mbr", (("", "/mnt/one"), ("", "/mnt/two")))


def mounted(image: str, options: str, place: str) -> None:
    run("mount", "-o", options, image, place)


@contextmanager
def with_partition(image: str, begin: int, size: int) -> Iterator[str]:
    """A partition of a loop device that only reads, as the kernel makes them of a table that it knows."""
    command = ["losetup", "-f", "--show", "-r", image]
    device = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        run("addpart", device, "2", str(begin // 512), str(size // 512))
        yield f"{device}p2"
    finally:
        run("delpart", device, "2")
        run("losetup", "-d", device)


@pytest.mark.needs_kernel("mksquashfs", "fs:squashfs")
def test_parts_of_an_image_come_back_by_their_bytes(in_host: InHost) -> None:
    """The one at the offset, not the one that the file begins with; and where each ends."""

    def script() -> Copied:
        two_in_one()
        os.makedirs("/mnt/a")
        os.makedirs("/mnt/b")

        def build() -> None:
            mounted("/mnt/disk", "loop,ro,offset=4194304,sizelimit=4194304", "/mnt/a")
            mounted("/mnt/disk", "loop,ro,offset=8388608", "/mnt/b")

        return copied(build, "/mnt/a", "/mnt/b")

    differs, words, found = in_host(script, identity="root")
    assert ([], [["first"], ["second"]]) == (differs, found)
    assert [
        'image = { path = "/mnt/disk", offset = 4194304, size = 4194304 }',
        'image = { path = "/mnt/disk", offset = 8388608 }',
    ] == [one for one in words if one.startswith("image")]


@pytest.mark.needs_kernel("mksquashfs", "fs:squashfs", "addpart")
def test_a_partition_of_a_loop_device_comes_back_by_its_bytes(in_host: InHost) -> None:
    def script() -> Copied:
        two_in_one()
        os.makedirs("/mnt/m")
        with with_partition("/mnt/disk", 8388608, 1048576) as partition:
            return copied(lambda: mounted(partition, "ro", "/mnt/m"), "/mnt/m")

    differs, words, found = in_host(script, identity="root")
    assert 'image = { path = "/mnt/disk", offset = 8388608, size = 1048576 }' in words
    assert ([], [["second"]]) == (differs, found)


@pytest.mark.needs_kernel("mkfs.btrfs", "fs:btrfs")
def test_a_subvolume_of_an_image_comes_back_by_its_path(in_host: InHost) -> None:
    def script() -> Copied:
        os.makedirs("/mnt/m")
        return copied(lambda: mounted("/mnt/image", "loop,ro,subvol=@home", "/mnt/m"), "/mnt/m")

    differs, words, found = in_host(btrfs(script), identity="root")
    assert ([], [["user"]]) == (differs, found)
    assert [True, True, False] == [any(word in one for one in words) for word in ("subvol =", "image", "bind")]


@pytest.mark.needs_kernel("mkfs.btrfs", "fs:btrfs")
def test_several_subvolumes_come_back_as_parts_of_one_filesystem(in_host: InHost) -> None:
    """Also where the default one is another, and a part of one is bound."""

    def script() -> Copied:
        for name in "abc":
            os.makedirs(f"/mnt/{name}")

        def build() -> None:
            mounted("/mnt/image", "loop,subvol=@", "/mnt/a")
            run("btrfs", "subvolume", "set-default", "/mnt/a")
            run("umount", "/mnt/a")
            mounted("/mnt/image", "loop,ro", "/mnt/a")
            mounted("/mnt/image", "loop,ro,subvol=@home", "/mnt/b")
            run("mount", "--bind", "/mnt/b/user", "/mnt/c")

        return copied(build, "/mnt/a", "/mnt/b", "/mnt/c")

    differs, words, found = in_host(btrfs(script), identity="root")
    assert ([], [["etc"], ["user"], []]) == (differs, found)
    assert 'subvol = "/" }' in words[0]
    assert [f'bind = {{ mount = "whole-a", path = "{path}" }}' for path in ("/@", "/@home", "/@home/user")] == words[2:]


@pytest.mark.needs_kernel("mkfs.ext4", "fs:ext4")
def test_what_writes_to_a_part_of_an_image_is_not_mounted_twice(in_host: InHost) -> None:
    def script() -> list[str]:
        mount("own", "/mnt", "tmpfs")
        os.makedirs("/mnt/m")
        run("mkfs.ext4", "-q", "-E", "offset=1048576", "/mnt/disk", "4M")
        with inhabited(lambda: mounted("/mnt/disk", "loop,offset=1048576", "/mnt/m")) as pid:
            return [line for line in api.capture(pid).text.splitlines() if line.startswith(("image", "unsupported"))]

    (reason,) = in_host(script, identity="root")
    assert "it is in the image /mnt/disk, which is mounted already" in reason


@pytest.mark.needs_kernel("mksquashfs", "fs:squashfs")
def test_two_processes_with_one_image_differ_by_its_bytes_not_by_the_loop_device(in_host: InHost) -> None:
    def script() -> list[list[tuple[str, str]]]:
        two_in_one()
        os.makedirs("/mnt/m")

        def at(offset: int) -> None:
            command = ["losetup", "-f", "--show", "-r", "-o", str(offset), "--sizelimit", "4194304", "/mnt/disk"]
            device = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            mounted(device, "ro", "/mnt/m")
            run("losetup", "-d", device)  # as soon as it is no longer mounted

        with ExitStack() as stack:
            one, same, other = (
                stack.enter_context(inhabited(lambda offset=offset: at(offset)))  # type: ignore[misc]
                for offset in (4194304, 4194304, 8388608)
            )
            return [
                [(found.mount, found.prop) for found in api.diff(f"pid:{one}", f"pid:{second}").drift]
                for second in (same, other)
            ]

    assert [[], [("/mnt/m", "source")]] == in_host(script, identity="root")


@pytest.mark.needs_kernel("fs:xfs", "mkfs.xfs")
def test_an_xfs_comes_back_beside_the_one_that_is_mounted(in_host: InHost, tmp_path: Path) -> None:
    """The kernel takes no two with one UUID, unless it is told to."""

    def host() -> Copied:
        def build() -> None:
            mount("own", "/mnt", "tmpfs")
            os.mkdir("/mnt/at")
            mounted(f"{tmp_path}/image", "loop,ro", "/mnt/at")

        run("truncate", "-s", "300M", f"{tmp_path}/image")
        run("mkfs.xfs", "-q", f"{tmp_path}/image")
        return copied(build, "/mnt/at")

    differs, _, found = in_host(host, identity="root")
    what = "the copy will differ: option nouuid: not set -> set, as xfs takes no two with one UUID"
    assert f"/mnt/at: {what}" == differs[0]
    assert [[]] == found
