"""Whatever spec comes up: what holds for each plan. tests/kernel/test_generated_builds.py builds them."""

from __future__ import annotations

import os
from functools import cache

import pytest
from hypothesis import HealthCheck, given, seed, settings

from mountplan import api
from mountplan.applier.build.execute import execute
from mountplan.applier.sys.report import Reporter
from mountplan.planner.ask.trial import Trial
from mountplan.planner.compare.compare import compare
from mountplan.planner.errors import PlanRefused, SpecError
from mountplan.planner.language.spec_reading import build_spec
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.mountcount import most_mounts
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.plan.predict import predict
from tests.fakes import FakeHost, FakeKernel, host_mount
from tests.generated import NAMES, Table, specs
from tests.share import Share

SETTINGS = settings(
    max_examples=int(os.environ.get("MOUNTPLAN_EXAMPLES", "50")),
    derandomize="MOUNTPLAN_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@cache
def host() -> FakeHost:
    """A host with the places that tests/generated.py binds from."""
    places = ("", "/wide", "/wide/a/b", "/wide/b", "/shared", "/shared/c", "/slave", "/slave/c", "/stack", "/ro")
    paths = {
        f"/h{place}/{one}/{two}/{three}": "directory"
        for place in places
        for one in NAMES
        for two in NAMES
        for three in NAMES
    }
    paths |= {f"/h{place}/f": "file" for place in places}
    return FakeHost(
        paths,
        (
            host_mount(2, 1, "/h"),
            host_mount(3, 2, "/h/wide/a/b", attributes="rw,noexec,relatime"),
            host_mount(4, 2, "/h/wide/b", unbindable=True),
            host_mount(5, 2, "/h/shared", shared=1),
            host_mount(6, 5, "/h/shared/c", shared=2),
            host_mount(7, 2, "/h/slave", device="8:5", master=1),
            host_mount(8, 7, "/h/slave/c", device="8:6", master=2),
            host_mount(9, 2, "/h/stack"),
            host_mount(10, 9, "/h/stack"),
            host_mount(11, 2, "/h/ro", attributes="ro,relatime"),
        ),
    )


def plan_of(value: Table) -> Plan | None:
    """The plan, or None for a spec that is refused: with places, reasons and remedies."""
    try:
        return api.plan(build_spec(value), host())
    except SpecError as error:
        assert error.mistakes
        assert all(mistake.ref.key and mistake.what and mistake.remedy for mistake in error.mistakes)
    except PlanRefused as error:
        assert error.reasons
    return None


def same_every_time_and_after_a_visit_to_its_file(value: Table, plan: Plan) -> None:
    text = dump_plan(plan)
    assert text == dump_plan(api.plan(build_spec(value), host()))
    assert plan == load_plan(text.encode(), "plan.json")


def uses_what_it_has_made_and_lets_go_of_all_of_it(value: Table, plan: Plan) -> None:
    """FakeKernel knows which descriptors are open, and would not take another."""
    kernel = FakeKernel()
    execute(plan.steps, kernel, Reporter())
    assert {} == kernel.open_descriptors


def attributes_come_before_attaching_and_joining_comes_after_all_that_stands_on_a_mount(
    value: Table, plan: Plan
) -> None:
    attached: dict[str, int] = {}
    joined: set[str] = set()
    for number, step in enumerate(plan.steps):
        if isinstance(step, s.SetAttributes):
            assert step.mount not in attached, step
        elif isinstance(step, s.Attach):
            assert step.parent not in joined, step
            assert step.mount not in joined, step
            attached[step.mount] = number
        elif isinstance(step, s.JoinGroup):
            assert step.mount in attached, step
            joined.add(step.mount)


def comes_out_in_the_model_and_propagates_nothing(value: Table, plan: Plan) -> None:
    """It takes no more mounts at once than are counted beforehand."""
    trial = Trial(plan.steps, host().table)
    trial.run()
    assert (None, []) == (trial.refusal, trial.events)
    assert () == compare(predict(plan, host().table), trial.tables())
    assert most_mounts(plan.steps, host().table) == trial.peak


def no_mount_is_attached_below_a_place_of_its_parent_that_is_covered_already(value: Table, plan: Plan) -> None:
    covered: dict[str, list[TargetPath]] = {}
    for step in plan.steps:
        if isinstance(step, s.Attach) and step.parent != s.YARD:
            place = TargetPath("/" + step.path)
            for other in covered.get(step.parent, []):
                assert not place.is_under(other), step
            covered.setdefault(step.parent, []).append(place)


def every_mount_of_the_spec_is_expected_where_it_says(value: Table, plan: Plan) -> None:
    expected = {mount.name: mount for mount in plan.expected.namespaces[0].mounts}
    for one in value["mount"]:
        if "target" not in one:
            continue
        place = expected[one["id"]]
        assert (one.get("unbindable", False), one.get("peer_group", "")) == (place.unbindable, place.group)
        path = TargetPath("/")
        chain = [place]
        while chain[-1].parent:
            chain.append(expected[chain[-1].parent])
        for mount in reversed(chain):
            path = path.joined(mount.place)
        assert one["target"] == path


RULES = (
    same_every_time_and_after_a_visit_to_its_file,
    uses_what_it_has_made_and_lets_go_of_all_of_it,
    attributes_come_before_attaching_and_joining_comes_after_all_that_stands_on_a_mount,
    comes_out_in_the_model_and_propagates_nothing,
    no_mount_is_attached_below_a_place_of_its_parent_that_is_covered_already,
    every_mount_of_the_spec_is_expected_where_it_says,
)


@pytest.mark.parametrize("inherit", ["", "/h/wide"])
def test_what_holds_for_each_plan(inherit: str) -> None:
    """Of specs by chance, of which about two in five have a plan; drawing one takes longer than all of the rules."""
    planned = Share()

    def run(value: Table) -> None:
        plan = plan_of(value)
        if planned.count(plan is not None) and plan is not None:
            for rule in RULES:
                rule(value, plan)

    trying = SETTINGS(given(specs(host="/h", inherit=inherit))(run))
    if SETTINGS.derandomize:  # other examples for each, though what runs is the same function
        trying = seed(inherit)(trying)
    trying()
    planned.must_be(0.1)
