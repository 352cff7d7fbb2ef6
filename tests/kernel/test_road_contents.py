"""contents: a directory whose tree is copied into a new filesystem, whatever there is in it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mountplan import api
from mountplan.planner.errors import StepRefused
from tests.hosts import NOBODY, InHost, mount
from tests.mountflags import MS_BIND
from tests.portrait import make_menagerie, portrait
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("mountns")

TMPFS = '[[mount]]\nid = "data"\ntarget = "/data"\ntype = "tmpfs"\n'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory, which `contents = "{source}"` names, with a file and a directory in it."""
    top = tmp_path / "source"
    (top / "etc" / "deep").mkdir(parents=True)
    (top / "etc" / "motd").write_text("hello")
    return top


def filled(source: Path, more: str = "") -> str:
    return f'{ROOT}{TMPFS}contents = "{source}"\n{more}'


@pytest.mark.needs_kernel("root", "device-nodes", "tmpfs-xattrs")
@pytest.mark.parametrize("kind", ["mount", "workbench", "read-only"])
def test_everything_in_it_comes_along_as_it_is(kind: str, tmp_path: Path, in_host: InHost) -> None:
    """Whether the filesystem is the mount's own, or a workbench is cloned, or it is sealed afterwards."""
    more = {
        "mount": "",
        "workbench": '[[mount]]\ntarget = "/again"\nbind = { mount = "data" }\n',
        "read-only": "options = { ro = true }\n",
    }

    def script() -> tuple[object, object]:
        mount("t", str(tmp_path), "tmpfs")  # whose blocks are counted alike
        make_menagerie(tmp_path)
        with tree(filled(tmp_path, more[kind])) as built:
            return portrait(tmp_path), built.inside(lambda: portrait("/data"))

    there, here = in_host(script, identity="root")
    assert there == here


def as_user(source: Path, function: Callable[[], str], in_host: InHost) -> str:
    """What `function` returns for an ordinary user, to whom all of the source belongs that is root's."""
    for path in (source, *source.rglob("*")):
        if os.geteuid() == 0 and path.stat().st_uid == 0:
            os.chown(path, NOBODY, NOBODY)
    os.chmod(source.parent, 0o755)
    return in_host(function, identity="userns", reach=(source.parent,))


def test_what_is_an_ordinary_users_belongs_to_the_root_of_their_user_namespace(source: Path, in_host: InHost) -> None:
    def look() -> str:
        status = os.stat("/data/etc/motd")
        return f"{Path('/data/etc/motd').read_text()} {stat.S_IMODE(status.st_mode):o} {status.st_uid} {status.st_gid}"

    def script() -> str:
        with tree(filled(source)) as built:
            return built.inside(look)

    os.chmod(source / "etc" / "motd", 0o640)
    assert "hello 640 0 0" == as_user(source, script, in_host)


def refusal(source: Path, in_host: InHost) -> str:
    """What a user who is no more than root in a user namespace is told."""

    def script() -> str:
        with pytest.raises(StepRefused) as caught, tree(filled(source)):
            pass
        return str(caught.value)

    return as_user(source, script, in_host)


@pytest.mark.needs_kernel("root")
def test_an_owner_whom_the_user_namespace_does_not_know_is_refused_by_name(source: Path, in_host: InHost) -> None:
    """Anything else would give a file to a user whom the spec does not name."""
    os.chown(source / "etc" / "motd", 12, 34)
    told = refusal(source, in_host)
    assert "/etc/motd: cannot give it to user" in told
    assert "has no number in this user namespace" in told


@pytest.mark.needs_kernel("root", "device-nodes")
def test_a_device_node_that_the_user_may_not_make_is_refused_by_name(source: Path, in_host: InHost) -> None:
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert "/null: cannot copy the device node" in refusal(source, in_host)


def test_a_full_filesystem_is_told_with_the_file_that_found_no_room(source: Path) -> None:
    (source / "big").write_bytes(b"x" * 100_000)
    with pytest.raises(StepRefused, match=r"(?s)full.*/big: cannot copy the file"):
        api.build_and_forget(plan_of(filled(source, 'options = { size = "8k" }')))


def test_what_is_in_it_can_be_bound_and_mounted_upon(source: Path) -> None:
    """And what is missing for a mountpoint is made, with what is there left as it is."""
    os.chmod(source / "etc", 0o711)
    more = """
    [[mount]]
    target = "/motd"
    bind = { mount = "data", path = "/etc/motd" }
    [[mount]]
    target = "/data/etc/deep"
    type = "tmpfs"
    [[mount]]
    target = "/data/etc/new/one"
    type = "tmpfs"
    """

    def look() -> list[object]:
        return [Path("/motd").read_text(), stat.S_IMODE(os.stat("/data/etc").st_mode), sorted(os.listdir("/data/etc"))]

    with tree(filled(source, more)) as built:
        assert ["hello", 0o711, ["deep", "motd", "new"]] == built.inside(look)
        assert ["/", "/data", "/data/etc/deep", "/data/etc/new/one", "/motd"] == built.mountpoints()


def test_a_file_is_declared_beside_what_is_copied(source: Path) -> None:
    with tree(filled(source, '[[mount.file]]\npath = "etc/hosts"\ncontent = "x"')) as built:
        assert ["deep", "hosts", "motd"] == built.inside(lambda: sorted(os.listdir("/data/etc")))


def test_a_symlink_in_it_is_followed_on_the_way_to_a_target_if_the_mount_says_so(source: Path) -> None:
    (source / "conf").symlink_to("etc")
    more = '[[mount]]\ntarget = "/data/conf/deep"\ntype = "tmpfs"\non_symlink = "follow"'
    with tree(filled(source, more)) as built:
        assert "/data/etc/deep" in built.mountpoints()


def test_a_mask_hides_what_is_copied(source: Path) -> None:
    with tree(filled(source, 'mask = ["etc/m*", "etc/deep"]')) as built:
        assert ["/", "/data", "/data/etc/deep", "/data/etc/motd"] == built.mountpoints()
        assert "" == built.inside(lambda: Path("/data/etc/motd").read_text())


def test_a_relative_path_counts_from_the_directory_of_the_spec(source: Path) -> None:
    spec = source.parent / "shop.toml"
    spec.write_text("format = 1\n" + filled(Path("source")))
    with tree(api.plan(api.load(str(spec)))) as built:
        assert "hello" == built.inside(lambda: Path("/data/etc/motd").read_text())


def test_the_layers_of_an_overlay_may_be_in_it(source: Path) -> None:
    (source / "top").mkdir()
    more = """
    [[mount]]
    target = "/over"
    type = "overlay"
    layers = [{ mount = "data", path = "/top" }, { mount = "data", path = "/etc" }]
    """
    with tree(filled(source, more)) as built:
        assert "hello" == built.inside(lambda: Path("/over/motd").read_text())


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize(
    ("directory", "name"),
    [("/proc/sys/kernel/random", "boot_id"), ("/sys/class/net/lo", "mtu"), ("/proc/self", "limits")],
)
def test_files_whose_size_is_told_wrongly_are_read_to_their_end(
    directory: str, name: str, tmp_path: Path, in_host: InHost
) -> None:
    """Those of /proc are said to be empty, those of /sys to fill a page. A copy has what reading them gives."""

    def script() -> tuple[bytes, bytes]:
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / name).touch()
        mount(f"{directory}/{name}", str(tmp_path / "source" / name), flags=MS_BIND)
        with tree(filled(tmp_path / "source")) as built:
            return Path(directory, name).read_bytes(), built.inside(lambda: Path("/data", name).read_bytes())

    wanted, found = in_host(script, identity="root")
    assert wanted
    assert wanted == found


@pytest.mark.needs_kernel("root")
def test_a_file_that_is_none_is_told_as_that_and_not_as_one_without_an_owner(in_host: InHost) -> None:
    """As /proc/PID/attr/current, where no security module is active."""

    def script() -> tuple[str, str]:
        with contextlib.suppress(OSError):
            Path("/proc/self/attr/current").read_bytes()
            return "", ""
        spec = f'{ROOT}[[mount]]\ntarget = "/a"\ntype = "tmpfs"\ncontents = "/proc/{os.getppid()}/attr"\n'
        with pytest.raises(StepRefused) as refused:
            api.build_and_forget(plan_of(spec))
        return refused.value.meaning, refused.value.remedy

    meaning, remedy = in_host(script, identity="root")
    if not meaning:
        pytest.skip("a security module is active here")
    assert "what is there cannot be read like a file" in meaning
    assert "leave it out of the directory of contents" == remedy


@pytest.mark.needs_kernel("root")
def test_a_file_that_would_have_to_be_waited_for_is_refused_by_name(tmp_path: Path, in_host: InHost) -> None:
    """It cannot be known when the kernel has its next message."""

    def script() -> list[str]:
        (tmp_path / "kmsg").touch()
        mount("/proc/kmsg", str(tmp_path / "kmsg"), flags=MS_BIND)
        told = []
        for text in (
            filled(tmp_path),
            f'{ROOT}[[mount.file]]\npath = "kmsg"\nsource = "/proc/kmsg"\n',
        ):
            with pytest.raises(StepRefused) as caught, tree(text):
                pass
            told.append(str(caught.value))
        return told

    for text in in_host(script, identity="root", timeout=30):
        assert "/kmsg" in text
        assert "Resource temporarily unavailable" in text
