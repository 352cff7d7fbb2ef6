"""Comparing tables made by chance: what is equal but for its ids is the same, and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mountplan.planner.compare.compare import Machine, _Walk, differences
from mountplan.planner.compare.difference import Drift
from mountplan.planner.compare.view import View
from mountplan.planner.tables.table import MountRow, MountTable

NAMES = ("a", "b", "c")
Dice = random.Random
seeds = st.integers(0, 2**32)


def some_table(dice: Dice, most: int = 12) -> MountTable:
    """A tree with stacks, covers and few names, so that mounts meet."""
    rows: list[MountRow] = []
    places: set[tuple[int, str]] = set()
    for number in range(1, dice.randint(2, most)):
        parent = dice.choice(rows) if rows else None
        mountpoint = "/"
        if parent is not None:
            depth = dice.choice((0, 1, 1, 1, 2))
            mountpoint = parent.mountpoint.rstrip("/") + "".join(f"/{dice.choice(NAMES)}" for _ in range(depth)) or "/"
        if ((parent.mount_id if parent else 0), mountpoint) in places:
            continue
        places.add((parent.mount_id if parent else 0, mountpoint))
        rows.append(
            MountRow(
                number, parent.mount_id if parent else 0, f"0:{dice.randint(50, 55)}", dice.choice(("/", "/", "/x")),
                mountpoint, dice.choice(("rw,relatime", "ro,relatime")), dice.choice((0, 0, 1, 2, 3)),
                dice.choice((0, 0, 0, 7, 8)), 0, False, "tmpfs", "tmpfs", "rw",
            )
        )  # fmt: skip
    return MountTable(tuple(rows))


def renamed(table: MountTable, dice: Dice) -> MountTable:
    """Other ids throughout, and another order."""

    def names(ids: set[int]) -> dict[int, int]:
        new = [number + 1000 for number in ids]
        dice.shuffle(new)
        return {0: 0} | dict(zip(ids - {0}, new, strict=False))

    ids = names({row.mount_id for row in table.rows})
    groups = names({number for row in table.rows for number in row[6:9]})
    devices = names({int(row.device[2:]) for row in table.rows})
    rows = [
        row._replace(
            mount_id=ids[row.mount_id],
            parent_id=ids[row.parent_id],
            device=f"0:{devices[int(row.device[2:])]}",
            peer_group=groups[row.peer_group],
            master=groups[row.master],
        )
        for row in table.rows
    ]
    dice.shuffle(rows)
    return MountTable(tuple(rows))


def drift(wanted: MountTable, found: MountTable, machine: Machine | None = None) -> Drift:
    return differences((View("", wanted),), (View("", found),), machine)


@settings(max_examples=60)
@given(seeds)
def test_what_is_equal_but_for_its_ids_is_the_same_and_matched_mount_by_mount(seed: int) -> None:
    dice = Dice(seed)
    table = some_table(dice)
    assert () == drift(table, renamed(table, dice))


def _change(field: str, *values: object) -> Callable[[MountTable, Dice], MountTable]:
    def change(table: MountTable, dice: Dice) -> MountTable:
        rows = list(table.rows)
        at = dice.randrange(len(rows))
        value = dice.choice([value for value in values if value != getattr(rows[at], field)])
        rows[at] = rows[at]._replace(**{field: value})  # type: ignore[arg-type]
        return MountTable(tuple(rows))

    return change


@pytest.mark.parametrize(
    ("prop", "change"),
    [
        ("root", _change("root", "/y")),
        ("attributes", _change("attributes", "rw,noatime")),
        ("unbindable", _change("unbindable", True)),
        ("filesystem", _change("fstype", "ramfs")),
        ("peer group", _change("peer_group", 30)),
        ("master", _change("master", 30)),
        ("superblock", _change("device", "0:30")),
    ],
)
@settings(max_examples=40)
@given(seed=seeds)
def test_one_changed_property_is_all_the_difference_wherever_it_is(
    seed: int, prop: str, change: Callable[[MountTable, Dice], MountTable]
) -> None:
    """A new id may have taken the whole place of an old one: then it is a renaming, and no difference at all."""
    dice = Dice(seed)
    table = some_table(dice)
    told = drift(table, renamed(change(table, dice), dice))
    assert {prop} >= {one.prop for one in told}
    assert len(told) == 1 or (not told and prop in ("peer group", "master", "superblock"))


@settings(max_examples=50)
@given(seeds)
def test_a_mount_put_below_others_is_one_difference_and_so_is_one_taken_away(seed: int) -> None:
    """What stands above it is found again, and is the same."""
    dice = Dice(seed)
    table = some_table(dice)
    above = dice.choice(table.rows)
    new = above._replace(
        mount_id=500, device="0:99", root="/put/below", fstype="ramfs", peer_group=0, master=0,
        attributes="rw,nosuid,relatime",
    )  # fmt: skip
    rows = [row._replace(parent_id=500) if row is above else row for row in table.rows]
    put = MountTable((*rows, new))
    for wanted, found in ((table, put), (put, table)):
        told = drift(wanted, renamed(found, dice))
        assert [(above.mountpoint, "mount")] == [one[:2] for one in told]


@settings(max_examples=50)
@given(seeds)
def test_a_leaf_taken_away_is_the_one_difference(seed: int) -> None:
    dice = Dice(seed)
    table = some_table(dice)
    parents = {row.parent_id for row in table.rows}
    leaf = dice.choice([row for row in table.rows if row.mount_id not in parents])
    rest = MountTable(tuple(row for row in table.rows if row is not leaf))
    for wanted, found in ((table, rest), (rest, table)):
        assert [(leaf.mountpoint, "mount")] == [one[:2] for one in drift(wanted, renamed(found, dice))]


@settings(max_examples=50)
@given(seeds, seeds)
def test_a_comparison_the_other_way_round_finds_a_difference_as_well_or_none(one: int, other: int) -> None:
    first, second = some_table(Dice(one), 5), some_table(Dice(other), 5)
    there, back = drift(first, second), drift(second, first)
    assert bool(there) == bool(back)


def test_the_layers_of_an_overlay_may_be_on_other_devices_but_in_no_other_places() -> None:
    """mountplan names the directories of layers after their devices (planner/tables/layerpath.py)."""

    def table(device: str, options: str) -> MountTable:
        row = MountRow(1, 0, device, "/", "/", "rw", 0, 0, 0, False, "overlay", "overlay", f"rw,{options}")
        return MountTable((row,))

    wanted = table("0:60", "lowerdir+=/p0-on-0-56/a,lowerdir+=/p1-on-0-57/b,upperdir=/p1-on-0-57/up")
    same = table("0:70", "lowerdir+=/p0-on-0-72/a,lowerdir+=/p1-on-0-71/b,upperdir=/p1-on-0-71/up")
    assert () == drift(wanted, same)
    for one in ("a,lowerdir+=/p1-on-0-71/x", "a,lowerdir+=/p0-on-0-72/b", "x,lowerdir+=/p1-on-0-71/b"):
        (told,) = drift(wanted, table("0:70", f"lowerdir+=/p0-on-0-72/{one},upperdir=/p1-on-0-71/up"))
        assert "option lowerdir+" == told.prop
    old = table("0:60", "lowerdir=/p0-on-0-56/a:/p1-on-0-57")
    assert () == drift(old, table("0:60", "lowerdir=/p0-on-0-66/a:/p1-on-0-67"))
    assert () == drift(table("0:60", "lowerdir=/a:/b"), old)
    assert drift(table("0:60", "lowerdir=/a:/b:/c"), old)


@settings(max_examples=60)
@given(seeds, st.booleans())
def test_the_short_walk_says_nothing_else_than_the_long_way(seed: int, on_one_machine: bool) -> None:
    """It is there for speed only: where it finds no difference, matching mount by mount finds none either."""
    dice = Dice(seed)
    table = some_table(dice, 6)
    other = some_table(Dice(seed), 6) if dice.random() < 0.5 else renamed(table, dice)
    for field, values in (("peer_group", (0, 1, 2, 3)), ("master", (0, 7, 8)), ("device", ("0:50", "0:51"))):
        if dice.random() < 0.3:
            other = _change(field, *values)(other, dice)
    machine = Machine(frozenset({1, 7}), frozenset({"0:50"})) if on_one_machine else None
    told = drift(table, other, machine)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Walk, "same", lambda *arguments: False)
        assert told == drift(table, other, machine)


def test_on_one_machine_what_others_know_as_well_is_that_very_thing() -> None:
    """Elsewhere only who is equal to whom counts; here two namespaces that have changed places would be the same."""

    def table(first: int, second: int, group: int) -> MountTable:
        root = MountRow(1, 0, "0:40", "/", "/", "rw", 0, 0, 0, False, "tmpfs", "t", "rw")
        one = root._replace(mount_id=2, parent_id=1, mountpoint="/a", device=f"0:{first}", peer_group=group)
        return MountTable((root, one, one._replace(mount_id=3, mountpoint="/b", device=f"0:{second}")))

    here = Machine(frozenset({9}), frozenset({"0:50"}))
    swapped = table(50, 51, 9), table(51, 50, 9)
    assert () == drift(*swapped, None) == drift(table(50, 51, 9), table(50, 51, 9), here)
    assert ["/a", "/b"] == [one.mount for one in drift(*swapped, here) if one.prop == "superblock"]
    assert () == drift(table(60, 61, 5), table(70, 71, 6), here)  # nobody else knows them
    for one, other in ((9, 6), (5, 9)):
        told = drift(table(60, 61, one), table(70, 71, other), here)
        assert [("/a", "peer group"), ("/b", "peer group")] == [one[:2] for one in told]
