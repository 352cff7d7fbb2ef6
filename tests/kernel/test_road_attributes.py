"""Every per-mount attribute, as mountinfo shows it and as a program inside feels it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts import InHost, mount
from tests.mountflags import (
    MS_BIND,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_RDONLY,
    MS_REMOUNT,
    MS_STRICTATIME,
)
from tests.trees import ROOT, tree

pytestmark = pytest.mark.needs_kernel("mountns")


@pytest.mark.parametrize(
    ("attribute", "shown"),
    [
        ("ro", "ro,relatime"),
        ("rw", "rw,relatime"),
        ("nosuid", "rw,nosuid,relatime"),
        ("nodev", "rw,nodev,relatime"),
        ("noexec", "rw,noexec,relatime"),
        ("nosymfollow", "rw,relatime,nosymfollow"),
        ("noatime", "rw,noatime"),
        ("relatime", "rw,relatime"),
        ("strictatime", "rw"),
        ("nodiratime", "rw,nodiratime,relatime"),
    ],
)
def test_an_attribute_is_set_on_a_new_mount(attribute: str, shown: str) -> None:
    with tree(f'{ROOT}[[mount]]\ntarget = "/a"\ntype = "tmpfs"\nattributes = ["{attribute}"]') as built:
        assert shown == built.at("/a").attributes


@pytest.mark.parametrize(
    ("attribute", "flags"),
    [
        ("rw", MS_RDONLY),
        ("suid", MS_NOSUID),
        ("dev", MS_NODEV),
        ("exec", MS_NOEXEC),
        ("symfollow", MS_NOSYMFOLLOW),
        ("relatime", MS_NOATIME),
        ("relatime", MS_STRICTATIME),
        ("diratime", MS_NODIRATIME),
    ],
)
@pytest.mark.needs_kernel("root")
def test_an_attribute_that_a_host_mount_has_is_cleared_in_the_bind_of_it(
    attribute: str, flags: int, in_host: InHost, tmp_path: Path
) -> None:
    def script() -> tuple[str, str]:
        mount("none", str(tmp_path), "tmpfs")
        mount("", str(tmp_path), flags=MS_REMOUNT | MS_BIND | flags)
        spec = f"""{ROOT}
        [[mount]]
        target = "/kept"
        bind = "{tmp_path}"
        [[mount]]
        target = "/cleared"
        bind = "{tmp_path}"
        attributes = ["{attribute}"]
        """
        with tree(spec) as built:
            return built.at("/kept").attributes, built.at("/cleared").attributes

    kept, cleared = in_host(script, identity="root")
    assert "rw,relatime" != kept
    assert "rw,relatime" == cleared


def _errno(action: Callable[[], object]) -> int:
    try:
        action()
    except OSError as error:
        return error.errno or -1
    return 0


def test_attributes_take_effect() -> None:
    spec = f"""{ROOT}
    [[mount]]
    target = "/ro"
    type = "tmpfs"
    attributes = ["ro"]
    [[mount]]
    target = "/noexec"
    type = "tmpfs"
    attributes = ["noexec"]
    [[mount.file]]
    path = "script"
    content = "#!/nowhere\\n"
    mode = "0755"
    [[mount]]
    target = "/nosymfollow"
    type = "tmpfs"
    attributes = ["nosymfollow"]
    [[mount.file]]
    path = "link"
    symlink = "/ro"
    """

    def look() -> list[int]:
        return [
            _errno(lambda: Path("/ro/x").touch()),
            _errno(lambda: os.execv("/noexec/script", ["script"])),
            _errno(lambda: os.stat("/nosymfollow/link")),
        ]

    with tree(spec) as built:
        assert [errno.EROFS, errno.EACCES, errno.ELOOP] == built.inside(look)


@pytest.mark.needs_kernel("root", "device-nodes")
def test_a_device_node_does_not_open_on_a_nodev_mount() -> None:
    node = '[[mount.file]]\npath = "null"\ndevice = "c:1:3"'
    spec = f"""{ROOT}
    [[mount]]
    target = "/dev"
    type = "tmpfs"
    {node}
    [[mount]]
    target = "/nodev"
    type = "tmpfs"
    attributes = ["nodev"]
    {node}
    """

    def look() -> list[int]:
        return [_errno(lambda: Path("/dev/null").write_text("")), _errno(lambda: Path("/nodev/null").write_text(""))]

    with tree(spec) as built:
        assert [0, errno.EACCES] == built.inside(look)


@pytest.mark.needs_kernel("root", "idmap-tmpfs")
def test_an_id_mapping_shows_other_owners_and_writes_as_them() -> None:
    """A file of uid 0 is seen as uid 1000's; what uid 1000 makes through the mapping is uid 0's on the filesystem."""
    spec = f"""{ROOT}
    [[mount]]
    id = "plain"
    target = "/plain"
    type = "tmpfs"
    options = {{ mode = "0777" }}
    [[mount.file]]
    path = "of-root"
    content = ""
    [[mount.file]]
    path = "of-7"
    content = ""
    uid = 7
    gid = 8
    [[mount]]
    target = "/mapped"
    bind = {{ mount = "plain" }}
    [mount.idmap]
    uids = [[0, 1000, 10]]
    gids = [[0, 2000, 10]]
    """

    def look() -> list[tuple[int, int]]:
        def owner(path: str) -> tuple[int, int]:
            return os.stat(path).st_uid, os.stat(path).st_gid

        found = [owner("/plain/of-root"), owner("/mapped/of-root"), owner("/mapped/of-7")]
        os.setgroups([])
        os.setresgid(2000, 2000, 2000)
        os.setresuid(1000, 1000, 1000)
        Path("/mapped/new").touch()
        return [*found, owner("/mapped/new"), owner("/plain/new")]

    with tree(spec) as built:
        assert [(0, 0), (1000, 2000), (1007, 2008), (1000, 2000), (0, 0)] == built.inside(look)
        assert "rw,relatime,idmapped" == built.at("/mapped").attributes


@pytest.mark.needs_kernel("root", "idmap-tmpfs")
def test_two_mounts_of_one_filesystem_have_two_id_mappings() -> None:
    idmap = "[mount.idmap]\nuids = [[0, {0}, 10]]\ngids = [[0, {0}, 10]]\n"
    spec = ROOT + '[[mount]]\nid = "one"\ntarget = "/plain"\ntype = "tmpfs"\n'
    for first in (1000, 5000, 1000):
        spec += f'[[mount]]\ntarget = "/{first}"\nbind = {{ mount = "one" }}\n{idmap.format(first)}'
    with tree(spec) as built:
        owners = built.inside(lambda: [os.stat(path).st_uid for path in ("/plain", "/1000", "/5000")])
        assert [0, 1000, 5000] == owners
        assert 2 == len(built.all_at("/1000"))
