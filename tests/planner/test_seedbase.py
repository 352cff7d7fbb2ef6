"""The tmpfs below the root of a built tree: what is taken for it, and what merely looks like it."""

from __future__ import annotations

import pytest

from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.tables.table import UNTOLD, MountRow, MountTable
from tests.fakes import host_mount

BASE = host_mount(1, 0, "/", fstype="tmpfs", options="rw,size=4k,mode=000")._replace(source="mountplan")
ROOT = host_mount(2, 1, "/", fstype="tmpfs")
SEED = host_mount(3, 1, "/0", shared=7)
INNER = host_mount(4, 2, "/data")


def taken(*rows: MountRow) -> tuple[list[int], list[int]]:
    """The mounts that are left, and the seeds."""
    table, seeds = without_base(MountTable(rows))
    return [row.mount_id for row in table.rows], [row.mount_id for row in seeds]


def test_the_base_and_the_seeds_on_it_are_no_part_of_the_tree() -> None:
    assert ([2, 4], [3, 5]) == taken(BASE, ROOT, SEED, INNER, host_mount(5, 1, "/12"))
    assert ([2], []) == taken(BASE, ROOT)
    assert ([2], []) == taken(BASE._replace(source=UNTOLD), ROOT)


@pytest.mark.parametrize(
    "rows",
    [
        (BASE._replace(fstype="ramfs"), ROOT),
        (BASE._replace(source="other"), ROOT),
        (BASE._replace(options="rw,size=4k"), ROOT),
        (BASE._replace(options="rw,mode=000,size=8k"), ROOT),
        (BASE, ROOT, host_mount(5, 1, "/data")),  # something else stands on it
        (BASE, SEED),  # and no root
        (BASE, ROOT, SEED, host_mount(5, 3, "/0/x")),  # a seed never has children
        (ROOT, INNER),
        (),
    ],
)
def test_what_only_looks_like_it_is_left_as_it_is(rows: tuple[MountRow, ...]) -> None:
    assert ([row.mount_id for row in rows], []) == taken(*rows)
