"""How files of a tree are held against what was declared of them, and paths walked from a root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mountplan.applier.observe.file_looks import unlike
from mountplan.applier.observe.walked import walked
from mountplan.planner.plan.steps import MakeNode

UID, GID = os.getuid(), os.getgid()
FILE = MakeNode("root", "file", "file", -1, -1, -1, "text", "", "", (0, 0), False, False, "")


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (FILE, ""),
        (FILE._replace(content="texts"), "has other contents than were declared"),
        (FILE._replace(content="next"), "has other contents than were declared"),
        (FILE._replace(mode=0o640), ""),
        (FILE._replace(mode=0o600), "has the mode 0640, and not 0600 as was declared"),
        (FILE._replace(uid=UID + 1), f"belongs to user {UID}, and not {UID + 1} as was declared"),
        (FILE._replace(gid=GID + 1), f"belongs to group {GID}, and not {GID + 1} as was declared"),
        (FILE._replace(node="directory"), "is no directory any more"),
        (FILE._replace(source="same"), ""),
        (FILE._replace(source="longer"), "has other contents than longer now"),
        (FILE._replace(source="other"), "has other contents than other now"),
        (FILE._replace(source="gone"), "was not compared with gone, which cannot be read"),
    ],
)
def test_a_file_is_as_it_was_declared_or_it_is_told_how_not(declared: MakeNode, told: str, tmp_path: Path) -> None:
    for name, text in (("file", "text"), ("same", "text"), ("longer", "texts"), ("other", "next")):
        (tmp_path / name).write_text(text)
    (tmp_path / "file").chmod(0o640)
    there = os.open(tmp_path / "file", os.O_PATH)
    process = os.open("/proc/self/fd", os.O_PATH)
    wanted = tmp_path / declared.source
    source = os.open(wanted, os.O_RDONLY) if wanted.is_file() else -1
    try:
        assert told == unlike(declared, there, process, source)
    finally:
        for fd in {there, process, source} - {-1}:
            os.close(fd)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a/./b", "/a/b"),
        ("a/b/../../a", "/a"),
        ("../../a/b", "/a/b"),  # the root is above itself
        ("a/up/a/b", "/a/b"),
        ("a/top/a/../link/c", "/a/b/c"),
        ("a/round/x", OSError),
        ("a/none", FileNotFoundError),
        ("a/b/c/d", NotADirectoryError),
    ],
)
def test_a_path_is_walked_below_a_root_and_no_descriptor_stays(
    path: str, found: str | type[OSError], tmp_path: Path
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").touch()
    for name, target in (("a/up", ".."), ("a/top", "/"), ("link", "a/./b"), ("a/round", "round")):
        (tmp_path / name).symlink_to(target)
    before = os.listdir("/proc/self/fd")
    if isinstance(found, str):
        assert found == walked(str(tmp_path), path)
    else:
        with pytest.raises(found):
            walked(str(tmp_path), path)
    assert before == os.listdir("/proc/self/fd")
