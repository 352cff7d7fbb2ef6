"""Rows that fit a terminal: what is cut, what stays whole, and what goes first."""

from __future__ import annotations

import pytest

from mountplan.planner.render.fitting import cut, fitted, wrapped
from mountplan.planner.render.outline import folded_text, outline
from mountplan.planner.render.table_text import table_lines
from mountplan.planner.render.words import columns, place_below, width
from mountplan.planner.tables.table import MountRow, MountTable

ROWS: list[tuple[str, ...]] = [
    ("TARGET", "SOURCE", "TYPE", "PROPAGATION"),
    ("/", "/dev/mapper/a-volume-with-a-long-name[/deep/below]", "ext4", "shared:1"),
    ("├─srv/kubernetes/pods/0123456789/volumes/data", "tmpfs", "tmpfs", "shared:12 master:3"),
    ("└─日本語日本語日本語日本語日本語日本語", "tmpfs", "tmpfs", "private"),
]


@pytest.mark.parametrize("room", [40, 60, 80, 200])
def test_no_row_is_wider_than_the_room(room: int) -> None:
    lines = fitted(ROWS, (36, 24, 10), room, spare=(1, 2))
    assert len(ROWS) == len(lines)
    assert [] == [line for line in lines if width(line) > room]


def test_with_room_enough_or_none_at_all_nothing_is_cut() -> None:
    for room in (200, None):
        lines = fitted(ROWS, (36, 24, 10), room, spare=(1, 2))
        assert all(cell in line for row, line in zip(ROWS, lines, strict=True) for cell in row)


def test_what_is_wider_than_a_column_has_a_gap_behind_it() -> None:
    assert ["wide  next"] == columns([("wide", "next")], (3,))
    assert ["wide  next", "", "a  next"] == columns([("wide", "next"), ("", ""), ("a", "next")], (3,))


def test_what_can_be_spared_goes_before_the_rest_is_unreadable() -> None:
    assert "SOURCE" in fitted(ROWS, (36, 24, 10), 80, spare=(1, 2))[0]
    assert ["TARGET", "PROPAGATION"] == fitted(ROWS, (36, 24, 10), 30, spare=(1, 2))[0].split()


def test_what_is_wider_than_its_column_moves_the_others_no_further_than_it_must() -> None:
    assert ["aaaa  b   c", "a  bbbbb  c"] == columns([("aaaa", "b", "c"), ("a", "bbbbb", "c")], (2, 5))


def test_the_last_cell_of_a_row_may_use_the_columns_that_are_empty_after_it() -> None:
    lines = fitted([("/", "a" * 30, ""), ("/a", "b" * 30, "c" * 30)], (10, 30), 40)
    assert "a" * 30 in lines[0]
    assert "b" * 30 not in lines[1]


def test_a_path_is_cut_in_its_middle_and_the_tree_before_it_stays() -> None:
    assert "│ └─/srv…/data" == cut("│ └─/srv/kubernetes/data", 14)
    assert "/short" == cut("/short", 6)
    assert ["│…ta", "│…a", "…a", "│"] == [cut("│ └─/srv/data", most) for most in (4, 3, 2, 1)]
    assert 9 == width(cut("日本語日本語", 10))


def test_a_sentence_is_wrapped_below_its_beginning() -> None:
    assert ["  one two", "    three"] == wrapped("  one two three", 14)
    assert ["one two three"] == wrapped("one two three", None)


@pytest.mark.parametrize(
    ("parent", "path", "shown"),
    [
        (None, "/", "/"),
        ("/", "/dev", "dev"),
        ("/dev", "/dev/shm", "shm"),
        ("/a", "/a/b/c", "b/c"),
        ("/a", "/a", "/a"),
        ("/", "/", "/"),
        ("/a", "/ab", "/ab"),
    ],
)
def test_a_place_is_told_from_its_parent_on(parent: str | None, path: str, shown: str) -> None:
    assert shown == place_below(parent, path)


def test_what_is_folded_is_told_from_where_to_where_and_what_each_comes_to() -> None:
    below = {f"/pods/{number}": [f"/pods/{number}/{one}" for one in range(3)] for number in range(500)}
    branches = outline(["/"], lambda place: list(below) if place == "/" else below.get(place, []), fold=True)
    folded = [branch for branch in branches if branch.folded]
    assert ["├─... /pods/7 to /pods/497: 1,964 more mounts, 4 each (--all shows them)"] == [
        folded_text(branch, lambda place: place) for branch in folded
    ]


def test_a_table_of_any_depth_fits() -> None:
    rows = [MountRow(1, 0, "0:1", "/", "/", "rw,relatime", 0, 0, 0, False, "tmpfs", "tmpfs", "rw")]
    for number in range(2, 60):
        rows.append(rows[0]._replace(mount_id=number, parent_id=number - 1, mountpoint="/d" * (number - 1)))
    assert [] == [line for line in table_lines(MountTable(tuple(rows)), {}, fold=True, room=80) if width(line) > 80]
