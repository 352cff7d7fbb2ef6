"""Which id of one side is which of the other."""

from __future__ import annotations

import pytest

from mountplan.planner.compare.renaming import Renaming
from mountplan.planner.compare.sense import Sense


def nothing(number: int) -> int | None:
    return None


def itself(number: int) -> int | None:
    return number if number < 10 else None


UNKNOWN = Sense[int](nothing, nothing)


def renaming(*, exclusive: bool = False, wanted: Sense[int] = UNKNOWN, found: Sense[int] = UNKNOWN) -> Renaming[int]:
    return Renaming(0, wanted, found, exclusive=exclusive)


def settled(one: Renaming[int], *met: tuple[int, int]) -> Renaming[int]:
    for pair in met:
        one.meet(*pair)
    one.settle()
    return one


def test_the_majority_counts_and_of_equals_what_met_first() -> None:
    one = settled(renaming(), (20, 31), (20, 30), (20, 30), (21, 31), (22, 32), (22, 33))
    assert [(20, 30), (21, 31), (22, 32)] == sorted(one.there.items())
    assert [(30, 20), (31, 21), (32, 22)] == sorted(one.back.items())
    assert not one.same(20, 31)
    assert not one.same(22, 33)


def test_no_id_is_the_same_as_no_id_only() -> None:
    one = settled(renaming(), (0, 30), (20, 0))
    assert ({}, {}) == (one.there, one.back)
    assert one.same(0, 0)
    assert not one.same(0, 30)
    assert not one.same(20, 0)


def test_an_id_that_is_certain_on_one_side_is_the_same_number_or_another_thing() -> None:
    one = settled(renaming(wanted=Sense(itself, itself), found=Sense(itself, nothing)), (7, 8), (7, 8), (20, 30))
    assert {20: 30} == one.there
    assert one.same(7, 7)
    assert not one.same(7, 8)
    assert not one.same(7, 20)


@pytest.mark.parametrize("exclusive", [True, False])
def test_what_an_id_certainly_is_is_nothing_else_as_well_where_that_is_exclusive(exclusive: bool) -> None:
    """Peer groups are paired so, devices are not (planner/compare/compare.py)."""
    one = renaming(exclusive=exclusive, wanted=Sense(itself, itself), found=Sense(itself, nothing))
    settled(one, (7, 7), (20, 7), (20, 7))
    assert one.same(7, 7)
    assert one.same(20, 7) is not exclusive
