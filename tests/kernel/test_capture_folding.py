"""Masks and read-only paths are captured as such, where the spec comes to the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.build.build_subjects import of_built
from mountplan.capturing import capture_subjects
from tests.trees import ROOT, Tree, tree

pytestmark = pytest.mark.needs_kernel("mountns", "root")

PROC = """
[[mount]]
id = "proc"
target = "/proc"
type = "proc"
mask = ["keys"]
readonly = ["bus", "irq"]
"""
OWN = """
[[mount]]
target = "/own"
type = "tmpfs"
mask = ["hidden", "deep/dir"]
readonly = ["fixed"]
[[mount.file]]
path = "hidden"
[[mount.file]]
path = "deep/dir"
directory = true
[[mount.file]]
path = "fixed"
"""


def captured(built: Tree) -> str:
    subjects = of_built(built.built)
    try:
        return capture_subjects(subjects).text
    finally:
        for one in subjects:
            one.close()


def lists(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^(mask|readonly) = (.*)$", text, re.M)


def shown(built: Tree) -> set[tuple[str, str, str, str]]:
    return {(row.mountpoint, row.fstype, row.root, row.attributes) for row in built.table.rows}


def test_they_are_words_of_the_mount_that_they_stand_on(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    (tmp_path / "fixed").mkdir()
    host = f'[[mount]]\ntarget = "/host"\nbind = "{tmp_path}"\nmask = ["secret"]\nreadonly = ["fixed"]\n'
    with tree(ROOT + PROC + OWN + host) as built:
        text, before = captured(built), shown(built)
    assert [
        ("mask", '["secret"]'), ("readonly", '["fixed"]'),
        ("mask", '["deep/dir", "hidden"]'), ("readonly", '["fixed"]'),
        ("mask", '["keys"]'), ("readonly", '["bus", "irq"]'),
    ] == lists(text)  # fmt: skip
    assert 'source = "mask"' not in text
    with tree(api.plan(api.load("captured.toml", text.encode()))) as built:
        assert before == shown(built)


def test_masks_stay_mounts_if_one_of_them_is_more_than_that() -> None:
    """They show one filesystem, which would be two. Of read-only paths each is by itself."""
    more = '[[mount]]\ntarget = "/own/deep/dir"\ntype = "tmpfs"\n'
    with tree(ROOT + PROC + OWN + more) as built:
        text, before = captured(built), shown(built)
    assert [("readonly", '["fixed"]'), ("readonly", '["bus", "irq"]')] == lists(text)
    with tree(api.plan(api.load("captured.toml", text.encode()))) as built:
        assert before == shown(built)
