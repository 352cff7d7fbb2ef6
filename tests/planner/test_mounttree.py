"""A mount table as a tree: what is reached, what hides what, and where a walk ends; held against a naive walk."""

from __future__ import annotations

import itertools

from mountplan.planner.tables.mounttree import MountTree, walk
from mountplan.planner.tables.table import MountRow, MountTable
from tests.fakes import host_mount

ROOT = host_mount(1, 0, "/")


def covers(rows: tuple[MountRow, ...], mountpoint: str) -> list[str]:
    tree = MountTree(MountTable(rows))
    (index,) = (at for at, row in enumerate(tree.rows) if row.mountpoint == mountpoint)
    return [tree.rows[cover].mountpoint for cover in tree.covers(index)]


def test_what_hides_a_mount_is_told_from_the_outside_in() -> None:
    low = host_mount(2, 1, "/a/b/c")
    assert [] == covers((ROOT, low), "/a/b/c")
    assert ["/a/b"] == covers((ROOT, low, host_mount(3, 1, "/a/b")), "/a/b/c")
    assert ["/a", "/a/b"] == covers((ROOT, low, host_mount(3, 1, "/a/b"), host_mount(4, 1, "/a")), "/a/b/c")
    inner = host_mount(5, 2, "/a/b/c/x/y")
    outer, near = host_mount(3, 1, "/a"), host_mount(4, 2, "/a/b/c/x")
    assert ["/a", "/a/b/c/x"] == covers((ROOT, low, inner, outer, near), "/a/b/c/x/y")
    on_top = host_mount(6, 2, "/a/b/c")._replace(source="top")
    tree = MountTree(MountTable((ROOT, low, on_top)))
    assert ["top"] == [tree.rows[cover].source for cover in tree.covers(1)]


def naive(rows: tuple[MountRow, ...], path: str) -> int:
    """Where a walk ends, name by name, as the kernel goes: at each place up onto what is mounted there."""
    here = rows[0]
    for end in range(1, len(path) + 1):
        if end < len(path) and path[end] != "/":
            continue
        while True:
            there = [row for row in rows if row.parent_id == here.mount_id and row.mountpoint == path[:end]]
            if not there:
                break
            here = there[0]
    return here.mount_id


def test_a_walk_ends_where_a_naive_one_does() -> None:
    places = ("/a", "/a/b", "/a/b/c", "/d")
    seen = 0
    for first, second, third in itertools.product(places, repeat=3):
        for parents in itertools.product((1,), (1, 2), (1, 2, 3)):
            rows: tuple[MountRow, ...] = (ROOT,)
            for number, (place, parent) in enumerate(zip((first, second, third), parents, strict=True), 2):
                above = next(row for row in rows if row.mount_id == parent).mountpoint
                taken = any((row.parent_id, row.mountpoint) == (parent, place) for row in rows)
                if taken or not (place == above or place.startswith(f"{above.rstrip('/')}/")):
                    break
                rows = (*rows, host_mount(number, parent, place))
            else:
                seen += 1
                tree = MountTree(MountTable(rows))
                for path in (*places, "/a/b/x"):
                    assert naive(rows, path) == tree.rows[walk(tree, path)[0]].mount_id, (rows, path)
    assert seen > 100
