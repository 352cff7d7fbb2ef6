"""Read-only paths of a mount: the same thing is seen there, nothing can be changed, and all else stays writable."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mountplan.planner.errors import StepRefused
from tests.hosts import InHost, mount
from tests.mountflags import MS_SHARED
from tests.privileges import missing
from tests.trees import ROOT, tree

pytestmark = pytest.mark.needs_kernel("mountns")


def written(*paths: str) -> list[int]:
    """What comes of writing to each: 0, or an errno."""
    found = []
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
            found.append(0)
        except OSError as error:
            found.append(error.errno or -1)
    return found


TMPFS = """
[[mount]]
target = "/data"
type = "tmpfs"
attributes = ["nosuid"]
readonly = ["fixed", "*.conf", { path = "missing", optional = true }]
mask = ["fixed/secret"]
[[mount.file]]
path = "fixed/open"
content = "open"
[[mount.file]]
path = "fixed/secret"
content = "secret"
[[mount.file]]
path = "a.conf"
[[mount]]
target = "/data/fixed/on"
type = "tmpfs"
"""


OVERLAY = """
[[mount]]
id = "layers"
type = "tmpfs"
[[mount.file]]
path = "lower/etc/motd"
[[mount.file]]
path = "lower/link"
symlink = "etc"
[[mount]]
target = "/data"
type = "overlay"
layers = [{ mount = "layers", path = "/lower" }]
upper = { mount = "layers", path = "/upper" }
work = { mount = "layers", path = "/work" }
"""


@pytest.mark.needs_kernel("root", "fs:overlay")
def test_a_path_of_an_overlay_is_read_only_and_must_be_there() -> None:
    with tree(f'{ROOT}{OVERLAY}readonly = ["etc"]') as built:
        paths = ("/data/etc/motd", "/data/new")
        assert [errno.EROFS, 0] == built.inside(lambda: written(*paths))
    for path, number in (("nowhere", errno.ENOENT), ("link", errno.ELOOP)):
        with (
            pytest.raises(StepRefused, match=r"mount\[2\]\.readonly\[0\]") as caught,
            tree(f'{ROOT}{OVERLAY}readonly = ["{path}"]'),
        ):
            pass
        assert number == caught.value.errno


def test_paths_of_a_tmpfs_are_read_only_and_what_is_masked_or_mounted_in_them_is_seen_there() -> None:
    def look() -> object:
        paths = ("/data/fixed/new", "/data/a.conf", "/data/fixed/secret", "/data/fixed/on/new", "/data/new")
        return written(*paths), Path("/data/fixed/open").read_text(), Path("/data/fixed/secret").read_text()

    with tree(ROOT + TMPFS) as built:
        assert ([errno.EROFS, errno.EROFS, errno.EROFS, 0, 0], "open", "") == built.inside(look)
        assert "ro,nosuid,relatime" == built.at("/data/fixed").attributes
        assert "rw,nosuid,relatime" == built.at("/data").attributes


def test_a_bind_of_such_a_mount_brings_them_along_if_it_is_recursive() -> None:
    copies = '[[mount]]\ntarget = "/copy"\nbind = { mount = "data" }\nrecursive = true\n'
    with tree(ROOT + TMPFS.replace('target = "/data"\n', 'target = "/data"\nid = "data"\n') + copies) as built:
        assert [errno.EROFS, 0] == built.inside(lambda: written("/copy/fixed/new", "/copy/new"))


@pytest.mark.needs_kernel("new-proc")
def test_paths_of_proc_are_read_only() -> None:
    spec = f'{ROOT}[[mount]]\ntarget = "/proc"\ntype = "proc"\nattributes = ["noexec"]\nreadonly = ["sys", "uptime"]\n'
    with tree(f'{spec}[run]\nunshare = ["pid"]\n') as built:
        assert ["/", "/proc", "/proc/sys", "/proc/uptime"] == built.mountpoints()
        assert ["ro,noexec,relatime"] * 2 == [built.at(f"/proc/{name}").attributes for name in ("sys", "uptime")]
        refused = errno.EACCES if missing("root") else errno.EROFS  # whose file it is is asked first
        assert [refused] == built.inside(lambda: written("/proc/sys/kernel/hostname"))


@pytest.mark.needs_kernel("root")
def test_what_the_host_has_mounted_below_a_read_only_path_is_there_and_read_only(in_host: InHost) -> None:
    def script() -> object:
        mount("host", "/mnt", "tmpfs")
        os.makedirs("/mnt/fixed/below")
        mount("below", "/mnt/fixed/below", "tmpfs")
        Path("/mnt/fixed/below/file").touch()
        spec = f'{ROOT}[[mount]]\ntarget = "/m"\nbind = "/mnt"\nrecursive = true\nreadonly = ["fixed"]\n'
        with tree(spec) as built:
            told = built.inside(lambda: written("/m/fixed/new", "/m/fixed/below/file", "/m/new"))
        return told, written("/mnt/fixed/new", "/mnt/fixed/below/new")

    assert ([errno.EROFS, errno.EROFS, 0], [0, 0]) == in_host(script, identity="root")


@pytest.mark.needs_kernel("root", "set-group")
@pytest.mark.parametrize(("readonly", "seen"), [("", True), ('readonly = ["fixed"]\n', False)])
def test_what_the_host_mounts_below_a_read_only_path_is_not_seen(readonly: str, seen: bool, in_host: InHost) -> None:
    """It arrives on the mount that the path is in, and so lies under the read-only one."""

    def script() -> bool:
        mount("host", "/srv", "tmpfs")
        mount("", "/srv", flags=MS_SHARED)
        os.makedirs("/srv/fixed/place")
        bind = f'[[mount]]\ntarget = "/srv"\nbind = "/srv"\nmaster = "feed"\n{readonly}'
        with tree(f'[peer_group.feed]\nhost = "/srv"\n{ROOT}{bind}') as built:
            mount("late", "/srv/fixed/place", "tmpfs")
            Path("/srv/fixed/place/late").touch()
            return built.inside(lambda: os.path.exists("/srv/fixed/place/late"))

    assert seen is in_host(script, identity="root")
