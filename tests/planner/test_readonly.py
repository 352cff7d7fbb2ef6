"""What is wrong with a list of read-only paths, and where they stand among other mounts."""

from __future__ import annotations

import pytest

from tests.planner.mistakes import ROOT, bind, mistakes, one, tmpfs
from tests.planner.test_optional import built

OVERLAY = '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = ["/data", "/other"]\n'
DATA = tmpfs("/data", 'id = "data"\nreadonly = ["a", "a/b"]') + (
    '[[mount.file]]\npath = "a/b"\ndirectory = true\n[[mount.file]]\npath = "link"\nsymlink = "a"\n'
)


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "nothing there",
            ROOT + bind("/d", '"/data"', 'readonly = ["no-such"]'),
            "mount[1].readonly[0]",
            'there is no "/no-such" in /d',
            'correct the path, or write { path = "/no-such", optional = true }',
        ),
        one(
            "a symlink",
            ROOT + DATA.replace('"a/b"]', '"link"]'),
            "mount[1].readonly[1]",
            '"/link" in data is a symlink',
            "name what it leads to",
        ),
        one(
            "a mount of the spec",
            ROOT + DATA + tmpfs("/data/a"),
            "mount[1].readonly[0]",
            '/data/a (mount[2]) is mounted on "/data/a"',
            'take it out here, and write attributes = ["ro"] on that mount',
        ),
        one(
            "a glob in an overlay",
            ROOT + OVERLAY + 'readonly = ["etc", "e*"]\n',
            "mount[1].readonly[1]",
            "what is in the overlay is not known before it is mounted",
            "name a path of a bind, of a tmpfs, or of a filesystem that the host has mounted too, "
            "or one that is surely there: no glob, and without optional",
        ),
        one(
            "a recursive bind of a mount",
            ROOT + DATA + bind("/c", '{ mount = "data" }', 'recursive = true\nreadonly = ["a"]'),
            "mount[2].readonly",
            "what this bind brings along would be left behind on a path of it that is made read-only",
            "write readonly on the mount that it is bound from, or bind the path by itself",
        ),
        one(
            "not a list",
            ROOT + tmpfs("/data", "readonly = true"),
            "mount[1].readonly",
            "is true, not a list",
            'write attributes = ["ro"] for the whole mount, or list paths in it: readonly = ["sys", "sysrq-trigger"]',
        ),
    ],
)  # fmt: skip
def test_a_wrong_list_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


def test_a_path_of_an_overlay_is_read_only_whatever_it_is() -> None:
    assert ["root", "/o", "readonly:/o/etc"] == built(ROOT + OVERLAY + 'readonly = ["etc", "etc/motd"]\n')


def test_a_star_itself_is_written_in_brackets() -> None:
    """As in a shell, so that a name with a star in it is no other one's."""
    files = "".join(f'[[mount.file]]\npath = "{name}"\n' for name in ("a*b", "axb"))
    text = ROOT + tmpfs("/d", 'mask = ["a[*]b"]\nreadonly = ["a[*]b"]') + files
    assert ["root", "/d", "readonly:/d/a*b", "mask:/d/a*b"] == built(text)


def test_a_path_in_one_that_is_read_only_takes_no_mount_of_its_own() -> None:
    assert ["root", "data", "readonly:/data/a"] == built(ROOT + DATA)


def test_a_path_is_read_only_in_what_a_symlink_leads_to() -> None:
    link = '[[mount.file]]\npath = "link"\nsymlink = "/deep/down"\n'
    target = tmpfs("/link/x", 'id = "x"\non_symlink = "follow"\nreadonly = ["a"]') + '[[mount.file]]\npath = "a"\n'
    assert ["root", "x", "readonly:/link/x/a"] == built(ROOT + link + target)


def test_a_bind_of_a_read_only_path_is_told_nothing_of_what_hides_it() -> None:
    assert [] == mistakes(ROOT + DATA + bind("/c", '{ mount = "data", path = "/a" }'))
