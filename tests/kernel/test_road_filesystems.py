"""New filesystems: their options, overlays, those that the kernel fills, and images in files."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mountplan.planner.errors import StepRefused
from tests.hosts import InHost, moments
from tests.trees import ROOT, plan_of, tree

LOOP_GET_STATUS64 = 0x4C05
pytestmark = pytest.mark.needs_kernel("mountns")

LAYERS = """
[[mount]]
id = "store"
type = "tmpfs"
[[mount.file]]
path = "base/both"
content = "base"
[[mount.file]]
path = "base/only-base"
content = "base"
[[mount.file]]
path = "top/both"
content = "top"
[[mount]]
target = "/merged"
type = "overlay"
layers = [{ mount = "store", path = "/top" }, { mount = "store", path = "/base" }]
"""


@pytest.mark.needs_kernel("root")
def test_superblock_options_reach_the_filesystem() -> None:
    spec = f"""{ROOT}
    [[mount]]
    target = "/a"
    type = "tmpfs"
    source = "scratch"
    options = {{ size = "1m", mode = "0711", uid = 5, nr_inodes = 100 }}
    """
    with tree(spec) as built:
        row = built.at("/a")
        assert "scratch" == row.source
        assert {"size=1024k", "nr_inodes=100", "mode=711", "uid=5"} <= set(row.options.split(","))
        assert (0o711, 5) == built.inside(lambda: (os.stat("/a").st_mode & 0o7777, os.stat("/a").st_uid))


def test_a_read_only_filesystem_is_read_only_once_its_files_are_in_it() -> None:
    spec = f"""{ROOT}
    [[mount]]
    target = "/a"
    type = "tmpfs"
    options = {{ ro = true }}
    [[mount.file]]
    path = "file"
    content = "in"
    """
    with tree(spec) as built:
        assert built.at("/a").options.startswith("ro")
        assert "in" == built.inside(lambda: Path("/a/file").read_text())
        with pytest.raises(OSError, match="Read-only") as caught:
            built.inside(lambda: Path("/a/new").touch())
    assert errno.EROFS == caught.value.errno


@pytest.mark.needs_kernel("fs:overlay")
def test_an_overlay_merges_its_layers_the_topmost_first() -> None:
    with tree(ROOT + LAYERS) as built:
        assert ["top", "base"] == built.inside(
            lambda: [Path(f"/merged/{name}").read_text() for name in ("both", "only-base")]
        )
        assert built.at("/merged").options.startswith("ro")


@pytest.mark.needs_kernel("fs:overlay")
def test_an_upper_layer_takes_the_changes() -> None:
    spec = f"""{ROOT}{LAYERS}
    upper = {{ mount = "store", path = "/changes" }}
    work = {{ mount = "store", path = "/work" }}
    [[mount]]
    target = "/changes"
    bind = {{ mount = "store", path = "/changes" }}
    """

    def change() -> list[str]:
        Path("/merged/both").write_text("changed")
        Path("/merged/new").write_text("new")
        return sorted(os.listdir("/changes"))

    with tree(spec) as built:
        assert ["both", "new"] == built.inside(change)


@pytest.mark.needs_kernel("fs:overlay")
def test_the_work_directory_of_an_overlay_is_made_beside_the_upper_one() -> None:
    with tree(f'{ROOT}{LAYERS}upper = {{ mount = "store", path = "/changes" }}') as built:
        built.inside(lambda: Path("/merged/new").touch())


@pytest.mark.needs_kernel("fs:overlay", "lowerdir+")
def test_an_overlay_of_500_layers_in_a_mount_of_the_spec() -> None:
    count = 500
    files = "".join(f'[[mount.file]]\npath = "l{n}/f{n}"\ncontent = "{n}"\n' for n in range(count))
    layers = ", ".join(f'{{ mount = "store", path = "/l{n}" }}' for n in range(count))
    spec = f"""{ROOT}
    [[mount]]
    id = "store"
    target = "/store"
    type = "tmpfs"
    {files}
    [[mount]]
    target = "/merged"
    type = "overlay"
    layers = [{layers}]
    """
    with tree(spec) as built:
        assert count == len(built.inside(lambda: os.listdir("/merged")))


@pytest.mark.needs_kernel("fs:overlay", "root")
def test_an_overlay_of_host_directories(tmp_path: Path) -> None:
    for name in ("top", "base", "upper", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "base/file").write_text("base")
    spec = f"""{ROOT}
    [[mount]]
    target = "/merged"
    type = "overlay"
    layers = ["{tmp_path}/top", "{tmp_path}/base"]
    upper = "{tmp_path}/upper"
    work = "{tmp_path}/work"
    """
    with tree(spec) as built:
        built.inside(lambda: Path("/merged/file").write_text("changed"))
    assert ["base", "changed"] == [(tmp_path / name / "file").read_text() for name in ("base", "upper")]


@pytest.mark.needs_kernel("fs:overlay")
def test_a_layer_in_a_bind_counts_from_the_root_of_the_bind() -> None:
    spec = f"""{ROOT}
    [[mount]]
    id = "store"
    target = "/store"
    type = "tmpfs"
    [[mount.file]]
    path = "deep/one/file"
    content = "x"
    [[mount.file]]
    path = "deep/two"
    directory = true
    [[mount]]
    id = "view"
    target = "/view"
    bind = {{ mount = "store", path = "/deep" }}
    [[mount]]
    target = "/merged"
    type = "overlay"
    layers = [{{ mount = "view", path = "/one" }}, {{ mount = "view", path = "/two" }}]
    """
    with tree(spec) as built:
        assert ["file"] == built.inside(lambda: os.listdir("/merged"))


@pytest.mark.needs_kernel("fs:overlay")
def test_a_mountpoint_and_a_file_are_made_in_an_overlay() -> None:
    spec = f"""{ROOT}{LAYERS}
    upper = {{ mount = "store", path = "/changes" }}
    [[mount.file]]
    path = "etc/hostname"
    content = "box"
    [[mount]]
    target = "/merged/proc/sub"
    type = "tmpfs"
    """
    with tree(spec) as built:
        assert ["/", "/merged", "/merged/proc/sub"] == built.mountpoints()
        assert "box" == built.inside(lambda: Path("/merged/etc/hostname").read_text())


@pytest.mark.needs_kernel("root")
def test_proc_and_sysfs_are_mounted_and_their_options_with_them() -> None:
    spec = f"""{ROOT}
    [[mount]]
    target = "/proc"
    type = "proc"
    options = {{ hidepid = "invisible", subset = "pid" }}
    [[mount]]
    target = "/sys"
    type = "sysfs"
    """
    with tree(spec) as built:
        assert {"hidepid=invisible", "subset=pid"} <= set(built.at("/proc").options.split(","))
        inside = built.inside(lambda: (os.path.exists("/proc/self"), os.path.exists("/proc/sys"), os.listdir("/sys")))
        assert (True, False) == inside[:2]
        assert "kernel" in inside[2]


@pytest.mark.needs_kernel("root")
def test_each_devpts_is_an_instance_of_its_own() -> None:
    one = '[[mount]]\ntarget = "/{}"\ntype = "devpts"\noptions = {{ ptmxmode = "0666" }}\n'

    def open_a_terminal() -> tuple[list[str], list[str]]:
        terminal = os.open("/a/ptmx", os.O_RDWR | os.O_NOCTTY)
        try:
            return sorted(os.listdir("/a")), sorted(os.listdir("/b"))
        finally:
            os.close(terminal)

    with tree(ROOT + one.format("a") + one.format("b")) as built:
        assert (["0", "ptmx"], ["ptmx"]) == built.inside(open_a_terminal)
        assert built.at("/a").device != built.at("/b").device


@pytest.mark.needs_kernel("root", "fs:mqueue", "fs:cgroup2")
@pytest.mark.parametrize("fstype", ["mqueue", "cgroup2"])
def test_filesystems_of_which_there_is_only_one_are_mounted_as_often_as_wanted(fstype: str) -> None:
    one = f'[[mount]]\ntarget = "/{{}}"\ntype = "{fstype}"\n'
    with tree(ROOT + one.format("a") + one.format("b")) as built:
        assert (fstype, built.at("/a").device) == (built.at("/b").fstype, built.at("/b").device)


@pytest.mark.needs_kernel("root")
def test_a_path_of_proc_is_bound_onto_itself_read_only() -> None:
    spec = f"""{ROOT}
    [[mount]]
    id = "proc"
    target = "/proc"
    type = "proc"
    [[mount]]
    target = "/proc/sys"
    bind = {{ mount = "proc", path = "/sys" }}
    attributes = ["ro"]
    [[mount]]
    target = "/proc/uptime"
    bind = {{ mount = "proc", path = "/version" }}
    """
    with tree(spec) as built:
        assert ("/sys", "ro,relatime") == (built.at("/proc/sys").root, built.at("/proc/sys").attributes)
        assert built.inside(lambda: Path("/proc/uptime").read_text().startswith("Linux version"))


IMAGES: dict[str, tuple[str, Callable[[Path, Path], list[str]], int]] = {
    "ext4": ("mkfs.ext4", lambda image, content: ["mkfs.ext4", "-q", "-d", str(content), str(image)], 8),
    "xfs": ("mkfs.xfs", lambda image, content: ["mkfs.xfs", "-q", str(image)], 300),
    "btrfs": ("mkfs.btrfs", lambda image, content: ["mkfs.btrfs", "-q", "-r", str(content), str(image)], 120),
    "erofs": ("mkfs.erofs", lambda image, content: ["mkfs.erofs", "--quiet", str(image), str(content)], 0),
    "squashfs": ("mksquashfs", lambda image, content: ["mksquashfs", str(content), str(image), "-quiet"], 0),
}


def make_image(fstype: str, directory: Path, needs_kernel: Callable[..., None]) -> Path:
    """An image with the file `hello` in it, if there is a program that can put one there."""
    program, command, megabytes = IMAGES[fstype]
    needs_kernel(program, f"fs:{fstype}", "loop", "root")
    content = directory / "content"
    content.mkdir()
    (content / "hello").write_text("hello\n")
    image = directory / "image"
    if megabytes:
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    subprocess.run(command(image, content), check=True, capture_output=True, env={"PATH": path})
    return image


def loop_devices(image: Path) -> list[str]:
    """The loop devices that an image is behind; by its inode, for sysfs shows paths in mounts that are gone."""
    found = []
    for directory in Path("/sys/block").glob("loop*/loop"):
        status = bytearray(232)  # struct loop_info64
        try:
            with open(f"/dev/{directory.parts[3]}", "rb") as device:
                fcntl.ioctl(device, LOOP_GET_STATUS64, status)
        except OSError:
            continue  # it has just been freed
        if struct.unpack_from("=QQ", status) == (image.stat().st_dev, image.stat().st_ino):
            found.append(directory.parts[3])
    return found


@pytest.mark.parametrize("fstype", IMAGES)
def test_an_image_file_is_mounted_through_a_loop_device_that_frees_itself(
    fstype: str, tmp_path: Path, needs_kernel: Callable[..., None]
) -> None:
    image = make_image(fstype, tmp_path, needs_kernel)
    spec = f'{ROOT}[[mount]]\ntarget = "/img"\ntype = "{fstype}"\nimage = "{image}"\noptions = {{ ro = true }}'
    with tree(spec) as built:
        row = built.at("/img")
        assert (fstype, True) == (row.fstype, row.options.startswith("ro"))
        assert ([] if fstype == "xfs" else ["hello"]) == built.inside(
            lambda: [name for name in os.listdir("/img") if name != "lost+found"]
        )
        assert 1 == len(loop_devices(image))
    for _ in moments():  # the superblock goes when the namespace does, which is a moment after its last process
        if not loop_devices(image):
            break
    assert [] == loop_devices(image)


def test_an_image_is_written_to_unless_it_is_read_only(tmp_path: Path, needs_kernel: Callable[..., None]) -> None:
    image = make_image("ext4", tmp_path, needs_kernel)
    before = image.read_bytes()
    spec = f"""{ROOT}
    [[mount]]
    target = "/img"
    type = "ext4"
    image = "{image}"
    [[mount.file]]
    path = "made"
    content = "by the spec"
    """
    with tree(spec) as built:
        assert "by the spec" == built.inside(lambda: Path("/img/made").read_text())
    for _ in moments():
        if not loop_devices(image):
            break
    assert before != image.read_bytes()


def test_a_loop_device_is_freed_when_its_image_does_not_hold_what_the_spec_says(
    tmp_path: Path, needs_kernel: Callable[..., None]
) -> None:
    image = make_image("ext4", tmp_path, needs_kernel)
    with (
        pytest.raises(StepRefused) as caught,
        tree(plan_of(f'{ROOT}[[mount]]\ntarget = "/img"\ntype = "squashfs"\nimage = "{image}"')),
    ):
        pass
    assert errno.EINVAL == caught.value.errno
    for _ in moments():
        if not loop_devices(image):
            break
    assert [] == loop_devices(image)


@pytest.mark.needs_kernel("userns", "fs:overlay")
def test_an_ordinary_user_mounts_an_overlay_in_a_tmpfs(in_host: InHost) -> None:
    def script() -> list[str]:
        with tree(f'{ROOT}{LAYERS}upper = {{ mount = "store", path = "/changes" }}') as built:
            return sorted(built.inside(lambda: os.listdir("/merged")))

    assert ["both", "only-base"] == in_host(script, identity="userns")
