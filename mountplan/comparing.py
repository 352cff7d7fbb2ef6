"""diff and verify from end to end: two arguments -> what is different about what they name."""

from __future__ import annotations

from collections.abc import Mapping

from mountplan import pipeline
from mountplan.inputs import label_of
from mountplan.keeping import as_it_was, judge_standing, plan_or_kept
from mountplan.operands import (
    Operand,
    Side,
    beside_spec,
    looked_up_by_own_name,
    plan_of,
    predicted,
    read_side,
    recognise,
    refuse_one_stream_twice,
    refuse_unused,
    store_device,
    uncomparable,
)
from mountplan.plancache import planned_before
from mountplan.planner.characters import typed
from mountplan.planner.compare.compare import differences, judge, machine_of, views_of
from mountplan.planner.compare.difference import Drift
from mountplan.planner.errors import PlanRefused, SubjectError
from mountplan.planner.light import without_collector
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import digest_of
from mountplan.planner.record import NamedTuple
from mountplan.spec_digest import Planned
from mountplan.surroundings import surroundings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.planner.language.spec import Spec

_OR_DIFF = "or compare the two with `mountplan diff`"


class Compared(NamedTuple):
    """Both sides, and how the second differs from the first; the rest is as Judged and Planned have it."""

    first: Side
    second: Side
    drift: Drift
    notices: Drift = ()
    arrivals: Drift = ()
    since: str = ""


@without_collector
def diff(first: str | Side, second: str | Side, *, parameters: Mapping[str, str] | None = None) -> Compared:
    """Compare any two of spec, plan, kept name, process, namespace file and mountinfo file, or sides that were read.

    `parameters` are values for those of a spec, or of both.
    """
    from mountplan.applier.observe.observe import observe

    refuse_one_stream_twice(*(side for side in (first, second) if isinstance(side, str)))
    one, other = (read_side(side, parameters=parameters) if isinstance(side, str) else side for side in (first, second))
    refuse_unused(parameters, one, other)
    one, other = _beside_kept(one, other), _beside_kept(other, one)
    one, other = beside_spec(one, other), beside_spec(other, one)
    machine = machine_of(observe()) if one.of_machine and other.of_machine else None
    return Compared(one, other, differences(one.views, other.views, machine))


@without_collector
def verify(spec: str, subject: str = "", *, parameters: Mapping[str, str] | None = None) -> Compared:
    """Does what stands there match a spec, or a saved plan? Without `subject`, what is kept under the spec's name.
    `parameters` are values for the spec's.

    What arrived by propagation where the spec lets it come is no difference. What is kept is held against what the spec
    makes of the host as it was when the name was made.
    """
    refuse_one_stream_twice(spec, subject)
    wanted = recognise(spec)
    if wanted.kind not in ("spec", "plan"):
        way = "say spec:FILE or plan:FILE" if subject else f"say what it is to match: verify SPEC {spec}"
        turned = f"the spec comes first: verify {subject} {spec}" if subject.endswith((".toml", ".json")) else ""
        raise SubjectError(f"{spec}: is neither a spec nor a plan", turned or f"{way}, {_OR_DIFF}")
    label = label_of(spec)
    if wanted.kind == "plan":
        return verify_plan(label, Planned(plan_of(wanted, parameters)), subject)
    data = wanted.contents()
    made = planned_before(data, label, parameters)
    if made is not None:
        return verify_plan(label, made, subject)
    try:
        return verify_spec(pipeline.load(label, data, parameters=parameters), subject)
    except PlanRefused as error:
        raise uncomparable(label, error) from None


def verify_spec(spec: Spec, subject: str | Side = "") -> Compared:
    """verify(), of a spec that was read. Raises SpecError or PlanRefused for one of which there is no plan."""
    if isinstance(subject, Side) or "," in subject:
        return verify_plan(spec.file, Planned(pipeline.plan(spec)), subject)
    found = recognise(subject) if subject else Operand("name", spec.name or "")
    name = found.value.partition("/")[0] if found.kind == "name" else ""
    return verify_plan(spec.file, plan_or_kept(spec, name), subject, found if subject else None)


def verify_plan(spec: str, planned: Planned, subject: str | Side = "", found: Operand | None = None) -> Compared:
    """verify(), of a plan that is there; `spec` is what errors call it, `found` what the subject was seen to be."""
    plan = planned.plan
    if isinstance(subject, Side):
        return _as_predicted(spec, plan, subject.label, subject)
    if not subject and not plan.name:
        raise SubjectError(f"{spec}: the spec has no name", "say what to verify: a kept name, or a process")
    if not subject:
        file = typed(spec)
        way = f"say what to verify: mountplan verify {file} NAME, or pid:N; or build it: mountplan apply {file}"
        with looked_up_by_own_name(way):
            return held_against(spec, planned, Operand("name", plan.name))
    if "," in subject:
        return _as_predicted(spec, plan, subject, read_side(subject))
    return held_against(spec, planned, found or recognise(subject), subject)


def held_against(spec: str, planned: Planned, found: Operand, subject: str = "") -> Compared:
    """How what stands compares with a plan, which is of `spec`. Raises SubjectError for what does not stand."""
    from mountplan.applier.keep import kept

    plan = planned.plan
    if found.kind != "name":
        return _as_predicted(spec, plan, subject, read_side(subject, found))
    name, _, namespace = found.value.partition("/")
    with kept.opened(name) as standing:
        standing.namespace(namespace)
        host = standing.host()
        plan, digest, now = as_it_was(plan, digest_of(plan), planned.made_from, standing)
        as_it_is = judge_standing(plan, digest, standing, notices=True)
    views, judged = as_it_is.views, as_it_is.judged
    first = predicted(spec, plan, host)
    if namespace:  # one namespace of several
        views = tuple(one for one in views if one.namespace == namespace)
        first = first._replace(views=tuple(one for one in first.views if one.namespace == namespace))
        judged = judge(first.views, views, machine_of(host), arrivals=True, surroundings=surroundings)
    side = Side(found.value, views, incomplete=not as_it_is.complete)
    judged = judged._replace(notices=pipeline.without_defaults(judged.notices))
    return Compared(first, side, *judged, since=planned.since or now)


def _beside_kept(side: Side, other: Side) -> Side:
    """What a plan would build, beside a name that may have been kept before there was a store to be brought along."""
    from mountplan.applier.observe.observe import observe
    from mountplan.planner.compare.own_store import without_absent_store
    from mountplan.planner.plan.predict import predict

    names = [view.namespace for view in side.views]
    if side.plan is None or other.plan is not None or not other.of_machine or len(names) != len(other.views):
        return side
    tables = {view.namespace: view.table for view in other.views}
    if set(names) != set(tables):
        tables = dict(zip(names, (view.table for view in other.views), strict=True))
    predictions = predict(side.plan, observe())
    kept = without_absent_store(predictions, [tables[one.namespace] for one in predictions], store_device())
    return side._replace(views=views_of(side.plan, kept))


def _as_predicted(spec: str, plan: Plan, subject: str, side: Side) -> Compared:
    """Of what no record tells: it is held against what the plan would make of the host as it is now."""
    from mountplan.applier.observe.observe import observe

    host = observe()
    if side.plan is not None:
        raise SubjectError(f"{subject}: does not stand anywhere", f"name what is kept, or a process, {_OR_DIFF}")
    first = predicted(spec, plan, host)
    side = beside_spec(side, first)
    machine = machine_of(host) if side.of_machine else None
    judged = judge(first.views, side.views, machine, arrivals=True, surroundings=surroundings)
    return Compared(first, side, *judged._replace(notices=pipeline.without_defaults(judged.notices)))
