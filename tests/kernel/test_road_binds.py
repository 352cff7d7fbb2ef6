"""Binds: of host paths and of paths in mounts of the spec, files and directories, alone and with what is below them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.observe.observe import observe
from mountplan.applier.sys import kernel
from mountplan.planner.errors import SpecError, StepRefused
from tests.hosts import InHost, mount
from tests.mountflags import MS_BIND, MS_NOEXEC, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SHARED, MS_UNBINDABLE
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("mountns")


def test_a_host_file_is_bound_on_a_file(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("from the host\n")
    with tree(f'{ROOT}[[mount]]\ntarget = "/etc/words"\nbind = "{tmp_path}/words"') as built:
        assert "from the host\n" == built.inside(lambda: Path("/etc/words").read_text())


def test_a_host_directory_is_bound_without_what_is_mounted_below_it(in_host: InHost, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "here").touch()

    def script() -> tuple[list[str], list[str], list[str]]:
        mount("none", str(tmp_path / "sub"), "tmpfs")
        (tmp_path / "sub/covered").touch()
        with tree(f'{ROOT}[[mount]]\ntarget = "/dir"\nbind = "{tmp_path}"') as built:
            return built.mountpoints(), *built.inside(lambda: (sorted(os.listdir("/dir")), os.listdir("/dir/sub")))

    assert (["/", "/dir"], ["here", "sub"], []) == in_host(script)


def test_a_file_of_the_spec_is_bound_on_a_file() -> None:
    spec = f"""{ROOT}
    [[mount]]
    id = "files"
    target = "/files"
    type = "tmpfs"
    [[mount.file]]
    path = "hosts"
    content = "127.0.0.1 localhost"
    [[mount]]
    target = "/etc/hosts"
    bind = {{ mount = "files", path = "/hosts" }}
    """
    with tree(spec) as built:
        assert "/hosts" == built.at("/etc/hosts").root
        assert "127.0.0.1 localhost" == built.inside(lambda: Path("/etc/hosts").read_text())


def test_a_directory_of_the_spec_is_bound_and_both_show_one_filesystem() -> None:
    spec = f"""{ROOT}
    [[mount]]
    id = "data"
    target = "/data"
    type = "tmpfs"
    [[mount.file]]
    path = "in/deep"
    directory = true
    [[mount]]
    target = "/view"
    bind = {{ mount = "data", path = "/in/deep" }}
    """
    with tree(spec) as built:
        assert built.at("/data").device == built.at("/view").device
        built.inside(lambda: Path("/view/new").write_text("x"))
        assert ["new"] == built.inside(lambda: os.listdir("/data/in/deep"))


def test_a_bind_of_a_bind_is_a_path_in_the_filesystem_behind_it() -> None:
    spec = f"""{ROOT}
    [[mount]]
    id = "far"
    target = "/far"
    bind = {{ mount = "near", path = "/b" }}
    [[mount]]
    id = "near"
    target = "/near"
    bind = {{ mount = "data", path = "/a" }}
    [[mount]]
    id = "data"
    target = "/data"
    type = "tmpfs"
    [[mount.file]]
    path = "a/b/c"
    content = ""
    """
    with tree(spec) as built:
        assert ("/a", "/a/b") == (built.at("/near").root, built.at("/far").root)


def host_tree(path: Path) -> None:
    """Sub-mounts with attributes of their own: sub is noexec, and has deep below it; sub2 is unbindable."""
    for name, flags in (("sub", MS_NOEXEC), ("sub/deep", MS_RDONLY), ("sub2", MS_UNBINDABLE)):
        (path / name).mkdir()
        mount(name, str(path / name), "tmpfs")
        mount("", str(path / name), flags=flags if flags == MS_UNBINDABLE else MS_REMOUNT | MS_BIND)
    mount("", str(path / "sub"), flags=MS_REMOUNT | MS_BIND | MS_NOEXEC)
    mount("", str(path / "sub/deep"), flags=MS_REMOUNT | MS_BIND | MS_RDONLY)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", {"/dir": "rw", "/dir/sub": "rw,noexec", "/dir/sub/deep": "ro", "/dir/sub2": "rw"}),
        (
            'attributes = ["nosuid"]',
            {
                "/dir": "rw,nosuid",
                "/dir/sub": "rw,nosuid,noexec",
                "/dir/sub/deep": "ro,nosuid",
                "/dir/sub2": "rw,nosuid",
            },
        ),
        (
            'attributes = ["ro", "exec"]',
            {"/dir": "ro", "/dir/sub": "ro", "/dir/sub/deep": "ro", "/dir/sub2": "ro"},
        ),
        (
            'attributes = ["rw"]',
            {"/dir": "rw", "/dir/sub": "rw,noexec", "/dir/sub/deep": "rw", "/dir/sub2": "rw"},
        ),
        (
            'attributes = ["ro"]\nrecursive_attributes = false',
            {"/dir": "ro", "/dir/sub": "rw,noexec", "/dir/sub/deep": "ro", "/dir/sub2": "rw"},
        ),
    ],
    ids=["none", "set", "set and cleared", "cleared", "not recursive"],
)
@pytest.mark.needs_kernel("root")
def test_a_recursive_bind_of_a_host_directory_brings_its_sub_mounts(
    words: str, expected: dict[str, str], in_host: InHost, tmp_path: Path
) -> None:
    """Attributes reach them all, or, with recursive_attributes = false, the bind only."""

    def script() -> dict[str, str]:
        host_tree(tmp_path)
        with tree(f'{ROOT}[[mount]]\ntarget = "/dir"\nbind = "{tmp_path}"\nrecursive = true\n{words}') as built:
            rows = [row for row in built.table.rows if row.mountpoint != "/"]
            return {row.mountpoint: row.attributes.removesuffix(",relatime") for row in rows}

    assert expected == in_host(script, identity="root")


@pytest.mark.needs_kernel("root")
def test_what_a_recursive_bind_brings_is_private_even_if_it_is_shared_on_the_host(
    in_host: InHost, tmp_path: Path
) -> None:

    def script() -> set[int]:
        host_tree(tmp_path)
        mount("", str(tmp_path / "sub"), flags=MS_SHARED | MS_REC)
        with tree(f'{ROOT}[[mount]]\ntarget = "/dir"\nbind = "{tmp_path}"\nrecursive = true') as built:
            return {number for row in built.table.rows for number in (row.peer_group, row.master)}

    assert {0} == in_host(script, identity="root")


def test_a_recursive_bind_of_a_spec_mount_brings_copies_of_what_stands_on_it() -> None:
    spec = f"""{ROOT}
    [[mount]]
    id = "one"
    target = "/one"
    type = "tmpfs"
    source = "one"
    [[mount]]
    target = "/one/two"
    type = "tmpfs"
    source = "two"
    attributes = ["noexec"]
    [[mount]]
    target = "/one/two/three"
    type = "tmpfs"
    source = "three"
    [[mount]]
    target = "/copy"
    bind = {{ mount = "one" }}
    recursive = true
    attributes = ["ro"]
    """
    with tree(spec) as built:
        rows = {row.mountpoint: (row.source, row.attributes) for row in built.table.rows if "/copy" in row.mountpoint}
        assert {
            "/copy": ("one", "ro,relatime"),
            "/copy/two": ("two", "ro,noexec,relatime"),
            "/copy/two/three": ("three", "ro,relatime"),
        } == rows


@pytest.mark.parametrize(("on_copy", "expected"), [("rw", "rw,strictatime"), ("noatime", "ro,noatime")])
def test_what_a_recursive_bind_says_of_an_attribute_overrides_what_the_copied_mount_says(
    on_copy: str, expected: str
) -> None:
    """Both wishes together would contradict each other; the bind's comes later."""
    spec = f"""{ROOT}
    [[mount]]
    id = "one"
    target = "/one"
    type = "tmpfs"
    [[mount]]
    target = "/one/two"
    type = "tmpfs"
    attributes = ["ro", "strictatime"]
    [[mount]]
    target = "/copy"
    bind = {{ mount = "one" }}
    recursive = true
    attributes = ["{on_copy}"]
    """
    with tree(spec) as built:
        assert expected.removesuffix(",strictatime") == built.at("/copy/two").attributes


def test_an_unbindable_mount_is_left_out_of_a_recursive_bind_with_all_that_stands_on_it() -> None:
    spec = f"""{ROOT}
    [[mount]]
    id = "one"
    target = "/one"
    type = "tmpfs"
    [[mount]]
    target = "/one/two"
    type = "tmpfs"
    unbindable = true
    [[mount]]
    target = "/one/two/three"
    type = "tmpfs"
    [[mount]]
    target = "/copy"
    bind = {{ mount = "one" }}
    recursive = true
    """
    with tree(spec) as built:
        assert ["/", "/copy", "/one", "/one/two", "/one/two/three"] == built.mountpoints()


@pytest.mark.needs_kernel("root")
def test_an_unbindable_mount_of_the_host_that_is_out_of_reach_is_no_obstacle(in_host: InHost) -> None:
    """Before 6.17 a new namespace keeps them so, and each is made private by its path; one may be covered, or go."""

    def script() -> list[tuple[str, bool]]:
        mount("none", "/mnt", "tmpfs")
        for path in ("/mnt/seen", "/mnt/covered"):
            os.mkdir(path)
            mount("none", path, "tmpfs")
            os.mkdir(f"{path}/below")
            mount("this", f"{path}/below", "tmpfs")
            mount("", f"{path}/below", flags=MS_UNBINDABLE)
        mount("none", "/mnt/covered", "tmpfs")
        plan = plan_of(f'{ROOT}[[mount]]\ntarget = "/usr"\nbind = "/usr"\n')
        api.build_and_forget(plan)
        kernel._make_bindable()
        return [(row.mountpoint, row.unbindable) for row in observe().rows if row.source == "this"]

    assert [("/mnt/seen/below", False), ("/mnt/covered/below", True)] == in_host(script, identity="root")


def test_a_recursive_bind_of_the_root_into_itself_does_not_bring_itself() -> None:
    spec = f"""{ROOT}
    [[mount]]
    target = "/one"
    type = "tmpfs"
    [[mount]]
    target = "/all"
    bind = {{ mount = "root" }}
    recursive = true
    """
    with tree(spec) as built:
        assert ["/", "/all", "/all/one", "/one"] == built.mountpoints()


def test_a_mountpoint_in_a_host_directory_is_made_only_on_request(tmp_path: Path) -> None:
    spec = f"""{ROOT}
    [[mount]]
    target = "/dir"
    bind = "{tmp_path}"
    [[mount]]
    target = "/dir/new"
    type = "tmpfs"
    create = true
    """
    with pytest.raises(
        SpecError, match="on the host: no such file or directory\n  remedy: create it there, or write create = true"
    ):
        api.build_and_forget(plan_of(spec.replace("create = true", "")))
    assert [] == list(tmp_path.iterdir())
    with tree(spec) as built:
        assert ["/", "/dir", "/dir/new"] == built.mountpoints()
    assert (tmp_path / "new").is_dir()


def test_a_mountpoint_is_made_in_what_the_host_has_read_only_and_the_spec_writable(in_host: InHost) -> None:
    """Nothing can be created through a read-only mount, so it must not be one any more by then."""
    spec = f"""{ROOT}
    [[mount]]
    target = "/dir"
    bind = "/mnt"
    attributes = ["rw"]
    [[mount]]
    target = "/dir/new"
    type = "tmpfs"
    create = true
    """

    def script() -> list[str]:
        mount("host", "/mnt", "tmpfs")
        mount("", "/mnt", flags=MS_REMOUNT | MS_BIND | MS_RDONLY)
        with tree(spec) as built:
            return built.mountpoints()

    assert ["/", "/dir", "/dir/new"] == in_host(script)


def test_a_mountpoint_for_a_file_is_made_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("words")
    (tmp_path / "dir").mkdir()
    spec = f"""{ROOT}
    [[mount]]
    target = "/dir"
    bind = "{tmp_path}/dir"
    [[mount]]
    target = "/dir/new"
    bind = "{tmp_path}/words"
    create = true
    """
    with tree(spec) as built:
        assert "words" == built.inside(lambda: Path("/dir/new").read_text())
    assert (tmp_path / "dir/new").read_bytes() == b""


def test_a_symlink_on_the_way_is_followed_on_request_and_never_out_of_the_new_root(tmp_path: Path) -> None:
    """On the host the link leads to /etc; here it leads to the /etc of the new root."""
    (tmp_path / "link").symlink_to("../../../../../../../../../etc")
    spec = f"""{ROOT}
    [[mount]]
    target = "/dir"
    bind = "{tmp_path}"
    [[mount]]
    target = "/dir/link/conf"
    type = "tmpfs"
    on_symlink = "follow"
    """
    with tree(spec) as built:
        assert ["/", "/dir", "/etc/conf"] == built.mountpoints()


def test_a_symlink_of_the_spec_is_followed_on_request() -> None:
    spec = f"""{ROOT}
    [[mount.file]]
    path = "bin"
    symlink = "usr/bin"
    [[mount]]
    target = "/bin/tools"
    type = "tmpfs"
    on_symlink = "follow"
    """
    with tree(spec) as built:
        assert ["/", "/usr/bin/tools"] == built.mountpoints()


@pytest.mark.needs_kernel("root")
def test_a_path_that_has_become_a_symlink_since_it_was_planned_is_refused(in_host: InHost, tmp_path: Path) -> None:
    """A user who can write to a directory on the way could otherwise lead root anywhere."""
    (tmp_path / "dir").mkdir()

    def script() -> int:
        plan = plan_of(f'{ROOT}[[mount]]\ntarget = "/dir"\nbind = "{tmp_path}/dir"')
        (tmp_path / "dir").rename(tmp_path / "old")
        (tmp_path / "dir").symlink_to("/etc")
        with pytest.raises(StepRefused) as caught, tree(plan):
            pass
        return caught.value.errno

    assert errno.ELOOP == in_host(script)


def test_what_is_bound_from_a_filesystem_of_the_spec_is_made_there(in_host: InHost) -> None:
    """As mountpoints are: a directory, or a file where the spec says so; what the spec declares is taken as it is."""
    spec = f"""{ROOT}
    [[mount]]
    id = "pool"
    target = "/pool"
    type = "tmpfs"
    [[mount.file]]
    path = "declared"
    content = "as it is"
    [[mount]]
    target = "/data"
    bind = {{ mount = "pool", path = "/deep/data" }}
    [[mount]]
    target = "/log"
    bind = {{ mount = "pool", path = "/deep/log", file = true }}
    [[mount]]
    target = "/declared"
    bind = {{ mount = "pool", path = "/declared", file = true }}
    [[mount]]
    target = "/tree"
    bind = {{ mount = "pool", path = "/tree" }}
    recursive = true
    [[mount]]
    target = "/pool/tree/in"
    type = "tmpfs"
    """

    def script() -> list[object]:
        with tree(spec) as built:

            def look() -> list[object]:
                os.mkdir("/data/new")
                Path("/log").write_text("line")
                return [
                    sorted(os.listdir("/pool/deep")), os.listdir("/pool/deep/data"),
                    Path("/pool/deep/log").read_text(), Path("/declared").read_text(), os.listdir("/tree"),
                ]  # fmt: skip

            return built.inside(look)

    assert [["data", "log"], ["new"], "line", "as it is", ["in"]] == in_host(script)


@pytest.mark.needs_kernel("fs:overlay")
def test_in_an_overlay_only_a_file_that_is_asked_for_is_made(in_host: InHost) -> None:
    def spec(path: str, file: str) -> str:
        return f"""{ROOT}
        [[mount]]
        id = "pool"
        type = "tmpfs"
        [[mount.file]]
        path = "low/directory"
        directory = true
        [[mount]]
        id = "over"
        target = "/over"
        type = "overlay"
        layers = [{{ mount = "pool", path = "/low" }}]
        upper = {{ mount = "pool", path = "/up" }}
        work = {{ mount = "pool", path = "/work" }}
        [[mount]]
        target = "/x"
        bind = {{ mount = "over", path = "{path}"{file} }}
        """

    def script() -> tuple[bool, list[str]]:
        with tree(spec("/new/file", ", file = true")) as built:
            made = built.inside(lambda: os.path.isfile("/over/new/file") and os.path.isfile("/x"))
        told = []
        for path, file in (("/directory", ", file = true"), ("/none", "")):
            with pytest.raises(StepRefused) as caught:
                api.build_and_forget(plan_of(spec(path, file)))
            told.append(str(caught.value))
        return made, told

    made, told = in_host(script, identity="root")
    assert made
    assert [True, True] == [one.startswith("test.toml:22: mount[3]: ") for one in told], told
