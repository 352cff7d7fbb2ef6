"""What all kinds of steps have in common, although nothing makes them inherit it."""

from __future__ import annotations

from typing import get_args

import pytest

from mountplan.planner.plan.steps import STEP_TYPES, Step


def test_the_union_and_the_table_of_steps_are_the_same() -> None:
    """mypy looks at the one, plan files and the executor go by the other."""
    assert get_args(Step) == STEP_TYPES


@pytest.mark.parametrize("kind", STEP_TYPES)
def test_each_kind_of_step_tells_its_origin_its_kind_and_what_it_does(kind: type[Step]) -> None:
    assert ("origin", "kind") == kind._fields[-2:]
    assert {"kind"} == set(kind._field_defaults)
    assert callable(kind.describe)


def test_no_two_kinds_of_steps_can_be_equal() -> None:
    """Named tuples of two types are equal if their contents are; the last field is there to prevent that."""
    kinds = [kind._field_defaults["kind"] for kind in STEP_TYPES]
    assert len(STEP_TYPES) == len(set(kinds))
