"""Masks: something empty of the same type lies over what shall not be seen."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mountplan.planner.errors import SpecError
from tests.hosts import InHost
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("mountns")


def test_a_file_and_a_directory_of_a_bind_are_hidden_and_keep_their_type(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/one").touch()
    (tmp_path / "open").write_text("open")
    spec = f'{ROOT}[[mount]]\ntarget = "/dir"\nbind = "{tmp_path}"\nmask = ["secret", "keys"]'

    def look() -> list[object]:
        try:
            Path("/dir/secret").write_text("x")
            wrote = 0
        except OSError as error:
            wrote = error.errno or -1
        return [Path("/dir/secret").read_text(), os.listdir("/dir/keys"), Path("/dir/open").read_text(), wrote]

    with tree(spec) as built:
        assert ["", [], "open", errno.EROFS] == built.inside(look)
        assert "ro,nosuid,nodev,noexec,relatime" == built.at("/dir/secret").attributes
    assert "secret" == (tmp_path / "secret").read_text()


def test_a_glob_hides_all_that_it_matches_when_the_plan_is_made(tmp_path: Path) -> None:
    for name in ("a.key", "b.key", "c.pub", ".d.key", "sub/e.key"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    spec = f'{ROOT}[[mount]]\ntarget = "/dir"\nbind = "{tmp_path}"\nmask = ["*.key", "*/*.key"]'
    with tree(spec) as built:
        masked = [path for path in built.mountpoints() if path.startswith("/dir/")]
        assert ["/dir/.d.key", "/dir/a.key", "/dir/b.key", "/dir/sub/e.key"] == masked


@pytest.mark.needs_kernel("root")
def test_a_glob_in_what_may_not_be_listed_is_a_mistake(tmp_path: Path, in_host: InHost) -> None:
    """It would match nothing, and what is there not be hidden: who knows its name could still read it."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").touch()
    (tmp_path / "secrets").chmod(0o711)
    spec = f'{ROOT}[[mount]]\ntarget = "/dir"\nbind = "{tmp_path}"\nmask = ["secrets/*"]'

    def look() -> str:
        try:
            return str(plan_of(spec))
        except SpecError as error:
            return error.mistakes[0].what

    assert in_host(look, identity="nobody", reach=[tmp_path]).endswith("secrets: permission denied")


def test_a_glob_that_matches_nothing_and_an_optional_path_hide_nothing(tmp_path: Path) -> None:
    mask = '["*.key", { path = "missing", optional = true }]'
    with tree(f'{ROOT}[[mount]]\ntarget = "/dir"\nbind = "{tmp_path}"\nmask = {mask}') as built:
        assert ["/", "/dir"] == built.mountpoints()


def test_a_path_of_a_tmpfs_is_hidden() -> None:
    spec = f"""{ROOT}
    [[mount]]
    target = "/data"
    type = "tmpfs"
    mask = ["in/secret", "in/d*"]
    [[mount.file]]
    path = "in/secret"
    content = "secret"
    [[mount.file]]
    path = "in/dir/file"
    content = "secret"
    """

    with tree(spec) as built:
        assert ("", []) == built.inside(lambda: (Path("/data/in/secret").read_text(), os.listdir("/data/in/dir")))


@pytest.mark.needs_kernel("root")
def test_a_path_of_proc_is_hidden_by_what_the_hosts_proc_has() -> None:
    spec = f"""{ROOT}
    [[mount]]
    target = "/proc"
    type = "proc"
    mask = ["uptime", "sys/kernel", {{ path = "no-such-thing", optional = true }}]
    """
    with tree(spec) as built:
        assert ("", []) == built.inside(lambda: (Path("/proc/uptime").read_text(), os.listdir("/proc/sys/kernel")))


def test_all_masks_share_one_filesystem_that_nobody_can_write_to(tmp_path: Path) -> None:
    """So that they cost little, and nothing written through one shows up in another."""
    for number in range(3):
        (tmp_path / f"f{number}").touch()
    spec = f'{ROOT}[[mount]]\ntarget = "/dir"\nbind = "{tmp_path}"\nmask = ["f*"]'
    with tree(spec) as built:
        rows = [row for row in built.table.rows if row.mountpoint.startswith("/dir/")]
        assert 3 == len(rows)
        assert 1 == len({row.device for row in rows})
        assert {"ro"} == {row.options.split(",")[0] for row in rows}
