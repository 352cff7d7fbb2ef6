"""[[mount.file]]: what shall exist inside a filesystem that the spec makes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.trees import ROOT, tree

pytestmark = pytest.mark.needs_kernel("mountns")


def files(*entries: str) -> str:
    """A spec with these files in its root."""
    return ROOT + "".join(f"[[mount.file]]\n{entry}\n" for entry in entries)


def test_a_file_has_its_content_and_the_directories_above_it_are_made() -> None:
    with tree(files('path = "etc/deep/motd"', 'path = "etc/motd"\ncontent = "grüße\\n\\u0001"')) as built:
        assert "" == built.inside(lambda: Path("/etc/deep/motd").read_text())
        assert "grüße\n\x01" == built.inside(lambda: Path("/etc/motd").read_text())


def test_a_file_without_a_mode_can_be_read_by_everybody_and_a_directory_entered() -> None:
    """Whatever the caller's umask is."""
    before = os.umask(0o077)
    try:
        with tree(files('path = "dir/file"', 'path = "sub"\ndirectory = true')) as built:
            modes = built.inside(lambda: [os.stat(f"/{name}").st_mode & 0o7777 for name in ("dir", "dir/file", "sub")])
    finally:
        os.umask(before)
    assert [0o755, 0o644, 0o755] == modes


def test_a_file_is_copied_from_the_host_with_whatever_bytes_it_has(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    (tmp_path / "binary").write_bytes(data)
    with tree(files(f'path = "copy"\nsource = "{tmp_path}/binary"')) as built:
        assert data == built.inside(lambda: Path("/copy").read_bytes())


def test_a_symlink_is_made_as_it_is_written() -> None:
    with tree(files('path = "bin"\nsymlink = "usr/bin"', 'path = "out"\nsymlink = "../../nowhere"')) as built:
        assert ["usr/bin", "../../nowhere"] == built.inside(lambda: [os.readlink("/bin"), os.readlink("/out")])


def test_a_fifo_is_made() -> None:
    with tree(files('path = "pipe"\nfifo = true\nmode = "0620"')) as built:
        assert stat.S_IFIFO | 0o620 == built.inside(lambda: os.stat("/pipe").st_mode)


@pytest.mark.needs_kernel("root", "device-nodes")
def test_a_device_node_is_made_and_works() -> None:
    spec = files('path = "null"\ndevice = "c:1:3"\nmode = "0666"', 'path = "disk"\ndevice = "b:7:300"\nmode = "0600"')

    def look() -> list[object]:
        Path("/null").write_text("gone")
        null, disk = os.stat("/null"), os.stat("/disk")
        return [null.st_mode, null.st_rdev, disk.st_mode, disk.st_rdev]

    with tree(spec) as built:
        assert [
            stat.S_IFCHR | 0o666,
            os.makedev(1, 3),
            stat.S_IFBLK | 0o600,
            os.makedev(7, 300),
        ] == built.inside(look)


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize(
    "entry",
    ['content = "x"', "directory = true", "fifo = true", 'device = "c:1:3"'],
    ids=["file", "directory", "fifo", "device"],
)
def test_mode_and_owner_are_set_even_the_bits_that_a_change_of_owner_drops(entry: str) -> None:
    with tree(files(f'path = "one"\n{entry}\nmode = "6751"\nuid = 12\ngid = 34')) as built:
        found = built.inside(lambda: os.stat("/one"))
    assert (0o6751, 12, 34) == (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


@pytest.mark.needs_kernel("root")
def test_a_symlink_has_an_owner_of_its_own() -> None:
    with tree(files('path = "etc"\ndirectory = true', 'path = "link"\nsymlink = "etc"\nuid = 12\ngid = 34')) as built:
        found = built.inside(lambda: [(os.lstat(path).st_uid, os.lstat(path).st_gid) for path in ("/link", "/etc")])
    assert [(12, 34), (0, 0)] == found


def test_a_declared_directory_keeps_its_mode_when_it_is_a_mountpoint_as_well() -> None:
    """What is declared wins over what is made by itself, in whichever order they come."""
    spec = files('path = "tmp"\ndirectory = true\nmode = "1777"') + '[[mount]]\ntarget = "/tmp/sub"\ntype = "tmpfs"'
    with tree(spec) as built:
        assert 0o1777 == built.inside(lambda: stat.S_IMODE(os.stat("/tmp").st_mode))


def test_a_file_of_a_bind_counts_from_the_root_of_the_bind() -> None:
    spec = f"""{ROOT}
    [[mount]]
    id = "data"
    target = "/data"
    type = "tmpfs"
    [[mount.file]]
    path = "in"
    directory = true
    [[mount]]
    target = "/view"
    bind = {{ mount = "data", path = "/in" }}
    [[mount.file]]
    path = "new"
    content = "x"
    """
    with tree(spec) as built:
        assert "x" == built.inside(lambda: Path("/data/in/new").read_text())


def test_a_name_may_hold_anything_but_a_slash_and_a_newline() -> None:
    name = "sp ace\\ttab\\\\back#hash é"
    spec = files(f'path = "{name}/x"') + f'[[mount]]\ntarget = "/{name}/mounted here"\ntype = "tmpfs"'
    with tree(spec) as built:
        assert "/sp ace\ttab\\back#hash é/mounted here" == built.mountpoints()[-1]


def test_what_is_just_short_enough_for_check_is_so_for_the_kernel() -> None:
    """Limits that were too low would refuse what can be built, and too high ones end a build in the middle."""
    path, name, link = "d/" * 2046 + "xx", "n" * 255, "l" * 4095
    mount = f'[[mount]]\ntarget = "/{"m/" * 2046}xx"\ntype = "tmpfs"\nsource = "{"s" * 255}"\n'
    text = files(f'path = "{path}"', f'path = "{name}"', f'path = "link"\nsymlink = "{link}"') + mount
    with tree(text) as built:
        found = built.inside(lambda: (os.path.exists(f"/{name}"), os.readlink("/link"), _walk("d", "xx")))
        assert (True, link, True) == found
        assert ["s" * 255] == [row.source for row in built.table.rows if row.mountpoint.startswith("/m/")]


def _walk(directory: str, last: str) -> bool:
    """Go down from / as far as there are directories of this name; is the last one there?"""
    os.chdir("/")
    while os.path.isdir(directory):
        os.chdir(directory)
    return os.path.exists(last)


@pytest.mark.parametrize("source", ["/proc/version", "/sys/class/net/lo/mtu"])
def test_a_file_of_the_kernel_is_copied_as_it_is_read(source: str) -> None:
    with tree(files(f'path = "copy"\nsource = "{source}"')) as built:
        assert Path(source).read_bytes() == built.inside(lambda: Path("/copy").read_bytes())
