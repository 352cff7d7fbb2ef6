"""Mounts that cover others, mounts on "/", and trees that begin with a copy of the host's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hosts import InHost, mount
from tests.mountflags import MS_REC, MS_SHARED
from tests.trees import ROOT, tree

pytestmark = pytest.mark.needs_kernel("mountns")


def tmpfs(target: str, source: str, words: str = "") -> str:
    return f'[[mount]]\ntarget = "{target}"\ntype = "tmpfs"\nsource = "{source}"\n{words}\n'


def test_the_last_of_several_mounts_on_one_target_is_on_top() -> None:
    with tree(ROOT + tmpfs("/a", "one") + tmpfs("/a", "two") + tmpfs("/a", "three")) as built:
        assert ["one", "two", "three"] == [row.source for row in built.all_at("/a")]


def test_a_mount_over_an_ancestor_hides_what_stands_below_it_on_the_same_parent() -> None:
    spec = ROOT + tmpfs("/a", "cover") + tmpfs("/a/b/c", "deep", 'parent = "root"')
    with tree(spec) as built:
        rows = {row.source: row.parent_id for row in built.table.rows if row.mountpoint != "/"}
        assert rows["cover"] == rows["deep"] == built.at("/").mount_id
        assert [] == built.inside(lambda: os.listdir("/a"))


def test_a_mount_below_a_cover_names_its_parent() -> None:
    spec = ROOT + tmpfs("/a", "under", 'id = "under"') + tmpfs("/a", "cover") + tmpfs("/a/b", "in", 'parent = "under"')
    with tree(spec) as built:
        ids = {row.mount_id: row.source for row in built.table.rows}
        assert {"in": "under", "cover": "under"} == {
            row.source: ids[row.parent_id] for row in built.table.rows if row.source in ("in", "cover")
        }
        assert [] == built.inside(lambda: os.listdir("/a"))


def test_a_cover_of_a_cover_keeps_both_trees() -> None:
    spec = ROOT
    for number in range(4):
        parent = f'parent = "m{number}"'
        spec += tmpfs("/a", f"s{number}", f'id = "m{number}"') + tmpfs("/a/b", f"in{number}", parent)
    with tree(spec) as built:
        ids = {row.mount_id: row.source for row in built.table.rows}
        assert {f"in{n}": f"s{n}" for n in range(4)} == {
            row.source: ids[row.parent_id] for row in built.table.rows if row.source.startswith("in")
        }


def test_a_mount_on_the_root_is_what_a_program_sees_as_its_root() -> None:
    spec = tmpfs("/", "low", 'id = "low"') + tmpfs("/", "high")
    spec += tmpfs("/seen", "seen") + tmpfs("/x", "under", 'parent = "low"')
    with tree(spec) as built:
        assert ["low", "high"] == [row.source for row in built.all_at("/")]
        assert ["seen"] == built.inside(lambda: os.listdir("/"))


def test_a_tree_of_two_hundred_levels() -> None:
    """Deeper than the descriptors that are open at once."""
    spec = ROOT + "".join(tmpfs("/d" * depth, f"s{depth}") for depth in range(1, 201))
    with tree(spec) as built:
        assert 201 == len(built.table.rows)


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("propagation", ["private", "slave"])
def test_an_inherited_root_has_all_of_the_hosts_mounts(propagation: str, in_host: InHost, tmp_path: Path) -> None:
    """As slaves it receives what the host mounts later; as private copies it does not; nothing ever leaves."""

    def script() -> tuple[list[str], list[str], list[str]]:
        mount("host", str(tmp_path), "tmpfs")
        mount("", "/", flags=MS_SHARED | MS_REC)
        for name in ("before", "after", "inside"):
            (tmp_path / name).mkdir()
        mount("before", str(tmp_path / "before"), "tmpfs")
        host = Path("/proc/self/mountinfo").read_text().count("\n")
        with tree(f'root = "inherit"\npropagation = "{propagation}"\n' + tmpfs("/mnt", "added")) as built:
            assert host + 1 == len(built.table.rows)
            assert host == Path("/proc/self/mountinfo").read_text().count("\n")
            mount("after", str(tmp_path / "after"), "tmpfs")
            built.inside(lambda: mount("inside", str(tmp_path / "inside"), "tmpfs"))
            inside = [row.source for row in built.table.rows if str(tmp_path) in row.mountpoint]
            top = built.all_at("/mnt")[-1]
        outside = [line.split(" - ")[1].split(" ")[1] for line in _lines_with(str(tmp_path))]
        return inside, outside, [top.source]

    inside, outside, added = in_host(script, identity="root")
    arrives = ["after"] if propagation == "slave" else []
    assert ["host", "before", *arrives, "inside"] == inside
    assert ["host", "before", "after"] == outside
    assert ["added"] == added


def _lines_with(path: str) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if path in line]


def test_an_inherited_root_can_be_covered_by_what_the_spec_adds() -> None:
    with tree('root = "inherit"\n' + tmpfs("/usr", "empty") + tmpfs("/usr/local/new", "deep")) as built:
        assert ["local"] == built.inside(lambda: os.listdir("/usr"))
