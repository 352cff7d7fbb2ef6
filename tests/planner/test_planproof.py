"""A plan is proven to be one that may be carried out before it is: by its steps alone, without a host."""

from __future__ import annotations

import pytest

from mountplan.planner.errors import PlanRefused
from mountplan.planner.plan import Plan
from mountplan.planner.planproof import EFFECTS, prove
from mountplan.planner.steps import STEP_TYPES
from tests.planner.plans import shop, wide


@pytest.mark.parametrize("plan", [shop(), wide(3)], ids=lambda plan: plan.name)
def test_a_plan_as_the_planner_makes_it_is_proven(plan: Plan) -> None:
    prove(plan, "x.json")


def test_every_kind_of_step_has_its_effects_written_down() -> None:
    assert set(STEP_TYPES) == set(EFFECTS)


def test_a_refusal_names_the_file_the_step_its_place_and_the_remedy() -> None:
    plan = shop()
    lower = plan.steps[23]._replace(path="../usr", parent="/")  # type: ignore[call-arg]
    with pytest.raises(PlanRefused) as caught:
        prove(plan._replace(steps=(*plan.steps[:23], lower)), "x.json")
    assert ("x.json: step 24, attach",) == tuple(reason[:23] for reason in caught.value.reasons)
    assert "(shop.toml:15: mount[1])" in caught.value.reasons[0]
    assert "\n  remedy: make it again with `mountplan plan SPEC -o FILE`" in caught.value.reasons[0]
