"""contents = "underneath": a tmpfs begins with what it covers, as it is, and what is changed stays in it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mountplan.planner.errors import SpecError, StepRefused
from tests.hosts import InHost, mount
from tests.kernel.test_road_readonly import written
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("mountns")


def filled(path: Path) -> None:
    (path / "in").mkdir()
    (path / "in/file").write_text("old")
    (path / "in/file").chmod(0o640)
    (path / "in/link").symlink_to("/etc/passwd")
    os.mkfifo(path / "in/pipe")
    (path / "in").chmod(0o751)


def covers(path: Path, words: str = "") -> str:
    return f"""{ROOT}
    [[mount]]
    target = "/d"
    bind = "{path}"
    [[mount]]
    target = "/d/in"
    type = "tmpfs"
    contents = "underneath"
    {words}
    """


def test_files_modes_and_links_are_there_and_changes_stay_in_it(tmp_path: Path) -> None:
    filled(tmp_path)

    def look() -> object:
        Path("/d/in/file").write_text("new")
        return (
            oct(os.stat("/d/in").st_mode & 0o777),
            oct(os.stat("/d/in/file").st_mode & 0o777),
            os.readlink("/d/in/link"),
            sorted(os.listdir("/d/in")),
        )

    with tree(covers(tmp_path)) as built:
        expected = ("0o751", "0o640", "/etc/passwd", ["file", "link", "pipe"])  # a link is copied, and not followed
        assert expected == built.inside(look)
    assert "old" == (tmp_path / "in/file").read_text()


def test_what_the_spec_declares_is_underneath_as_well() -> None:
    text = """
    [[mount.file]]
    path = "etc"
    directory = true
    mode = "0750"
    [[mount.file]]
    path = "etc/in/motd"
    content = "old"
    [[mount.file]]
    path = "etc/link"
    symlink = "in"
    [[mount]]
    target = "/etc"
    type = "tmpfs"
    contents = "underneath"
    readonly = ["in"]
    [[mount.file]]
    path = "new"
    """

    def look() -> object:
        what = oct(os.stat("/etc").st_mode & 0o777), os.readlink("/etc/link"), sorted(os.listdir("/etc"))
        return what, Path("/etc/in/motd").read_text(), written("/etc/in/motd", "/etc/new")

    with tree(ROOT + text) as built:
        assert (("0o750", "in", ["in", "link", "new"]), "old", [errno.EROFS, 0]) == built.inside(look)
    with pytest.raises(SpecError, match="is declared twice"):
        plan_of(ROOT + text.replace('path = "new"', 'path = "in/motd"'))


def test_what_is_underneath_can_be_read_only_and_be_bound(tmp_path: Path) -> None:
    """It is found when all mounts have their places, and is not made once more, as a directory, before."""
    filled(tmp_path)
    more = 'readonly = ["file"]\nid = "in"\n[[mount]]\ntarget = "/copy"\nbind = { mount = "in", path = "/file" }\n'

    def look() -> list[object]:
        return [*written("/d/in/file", "/d/in/new"), Path("/copy").read_text()]

    with tree(covers(tmp_path, more)) as built:
        assert [errno.EROFS, 0, "old"] == built.inside(look)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ('readonly = ["nowhere"]', 'there is no "/nowhere" in'),
        ('readonly = ["link"]', '"/link" in .* is a symlink'),
        ('mask = [{ path = "file", optional = true }]', "what is underneath is not known before"),
    ],
)
def test_what_cannot_be_found_underneath_is_a_mistake_and_not_left_out(tmp_path: Path, words: str, what: str) -> None:
    filled(tmp_path)
    with pytest.raises(SpecError, match=what):
        plan_of(covers(tmp_path, words))


def test_mountpoints_and_declared_files_are_added_to_it(tmp_path: Path) -> None:
    filled(tmp_path)
    more = """
    [[mount.file]]
    path = "added"
    content = "x"
    [[mount]]
    target = "/d/in/sub"
    type = "tmpfs"
    """
    with tree(covers(tmp_path, more)) as built:
        assert ["added", "file", "link", "pipe", "sub"] == built.inside(lambda: sorted(os.listdir("/d/in")))


def test_what_is_there_already_is_not_declared_again_and_a_covered_link_is_told(tmp_path: Path) -> None:
    filled(tmp_path)
    again = '[[mount.file]]\npath = "file"\ncontent = "x"\n'
    with pytest.raises(SpecError, match="/file is in what it covers already"):
        plan_of(covers(tmp_path, again))
    with pytest.raises(SpecError, match="of root, which the spec makes, is there"):
        plan_of(f'{ROOT}[[mount]]\ntarget = "/d"\ntype = "tmpfs"\ncontents = "underneath"\n')
    with pytest.raises(SpecError, match="is not filled by the spec"):
        plan_of(covers(tmp_path).replace('type = "tmpfs"\n    contents', 'type = "proc"\n    contents'))


def test_it_is_as_large_as_the_filesystem_and_no_larger(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "in/large").write_bytes(b"x" * (1 << 20))
    with (
        pytest.raises(StepRefused, match="the filesystem is full"),
        tree(covers(tmp_path, 'options = { size = "64k" }')),
    ):
        pass


@pytest.mark.needs_kernel("root")
def test_it_begins_with_what_a_bind_brings_along_or_is_told_what_it_does_not(in_host: InHost) -> None:
    def script() -> tuple[list[str], str]:
        mount("host", "/mnt", "tmpfs")
        os.makedirs("/mnt/in")
        mount("covering", "/mnt/in", "tmpfs")
        Path("/mnt/in/of-the-covering").touch()
        text = covers(Path("/mnt"))
        with tree(text.replace('bind = "/mnt"', 'bind = "/mnt"\nrecursive = true')) as built:
            names = built.inside(lambda: os.listdir("/d/in"))
        try:
            plan_of(text)
        except SpecError as error:
            return names, error.mistakes[0].what
        return names, ""

    names, what = in_host(script, identity="root")
    assert ["of-the-covering"] == names
    assert 'on the host something is mounted on "/mnt/in"' in what


def test_what_the_tree_shows_otherwise_than_the_host_is_not_copied_in_its_place(tmp_path: Path) -> None:
    """A mask hides it, an id-mapping gives it to others, a removal has taken it away: a copy would have the host's."""
    filled(tmp_path)
    (tmp_path / "in/deep").mkdir()
    bind = f'bind = "{tmp_path}"\n'
    whole = covers(tmp_path).replace("/d/in", "/d")
    for words, what in {
        'mask = ["in/file"]': r"mask:/d/in/file \(mount\[1\].mask\[0\]\) stands on what it covers",
        'readonly = ["in"]\nmask = ["in/file"]': r"mask:/d/in/file \(mount\[1\].mask\[0\]\) stands on what it covers",
        'id = "d"\n[[mount]]\ntarget = "/d/in/deep"\ntype = "ramfs"\nparent = "d"': "/d/in/deep .* stands on",
        "idmap = { uids = [[0, 1, 9]], gids = [[0, 1, 9]] }": "/d is id-mapped",
    }.items():
        with pytest.raises(SpecError, match=what):
            plan_of(whole.replace(bind, bind + words + "\n"))
    with tree(whole.replace(bind, bind + 'readonly = ["in"]\n')) as built:
        assert "old" == built.inside(lambda: Path("/d/in/file").read_text())


@pytest.mark.needs_kernel("root")
def test_what_was_removed_is_not_what_is_covered(in_host: InHost) -> None:
    def script() -> list[str]:
        mount("mnt", "/mnt", "tmpfs")
        os.makedirs("/mnt/in/gone")
        mount("gone", "/mnt/in/gone", "tmpfs")
        Path("/mnt/in/gone/file").touch()
        said = []
        for target in ("/mnt/in", "/mnt/in/gone"):
            text = f'root = "inherit"\n[[remove]]\ntarget = "/mnt/in/gone"\n[[mount]]\ntarget = "{target}"\n'
            with pytest.raises(SpecError) as error:
                plan_of(f'{text}type = "tmpfs"\ncontents = "underneath"\n')
            said.append(str(error.value))
        return said

    for said in in_host(script, identity="root"):
        assert 'remove[0] removes what is mounted on "/mnt/in/gone"' in said
