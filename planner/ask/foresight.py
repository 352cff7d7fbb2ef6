"""Whether a plan comes out as its spec says: it is carried out in the model, and the result compared."""

from __future__ import annotations

from mountplan.planner.ask.trial import Trial, TrialRefusal
from mountplan.planner.compare.compare import compare, group_names
from mountplan.planner.errors import PlanRefused
from mountplan.planner.fstypes import of
from mountplan.planner.plan.mountcount import Peak, check_mount_count
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.plan.step_columns import columns_of_kind
from mountplan.planner.plan.steps import MakeFilesystem
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.instances import is_hierarchy, shown, unlike
from mountplan.planner.tables.table import MountTable

_MOST = 20  # sentences in a refusal


class Foresight(NamedTuple):
    """What a plan that is not refused comes to: the table of each namespace, and the most mounts at once."""

    tables: tuple[tuple[str, MountTable], ...]
    peak: Peak


def foresee(plan: Plan, host: MountTable, mount_max: int, max_mounts: int | None = None) -> Foresight:
    """Carry `plan` out in the model, on a host with that table.

    Raises PlanRefused if a step would be refused, if anything propagates on the way, if what stands there in the end is
    not what the spec says, or if there would be more mounts at once than fs.mount-max or `max_mounts` allows.
    """
    peak = check_mount_count(plan, host, mount_max, max_mounts)
    trial = Trial(plan.steps, host, mount_max if max_mounts is None else min(mount_max, max_mounts))
    trial.run()
    reasons = _set_on_others(plan, host)
    reasons += [f"{_step(plan, event.step)}: {event.words}" for event in trial.events]
    if trial.refusal is not None:
        reasons.append(refused_step(plan, trial.refusal))
        raise PlanRefused(_some(reasons))
    predictions = predict(plan, host)
    for one in compare(predictions, trial.tables(), host, group_names(plan)):
        place = f"{plan.ref(one.origin)}: " if one.origin else ""
        reasons.append(f"{place}{one.mount}: {one.prop}: wanted {one.wanted}, and it would be {one.found}")
    if reasons:
        raise PlanRefused(_some(reasons))
    return Foresight(tuple((one.namespace, one.table) for one in predictions), peak)


def _set_on_others(plan: Plan, host: MountTable) -> list[str]:
    """Of a plan from elsewhere, what `check` says of a spec: options that others who show the same would get."""
    types = set(columns_of_kind(plan.steps, MakeFilesystem)["fstype"])
    if not any(of(one).is_shared or of(one).instances == "hierarchy" for one in types):
        return []
    reasons = []
    for number, step in enumerate(plan.steps, 1):
        if not isinstance(step, MakeFilesystem) or of(step.fstype).instances in plan.run.unshare:
            continue
        there = shown(host.rows, step.fstype) if of(step.fstype).is_shared else None
        others = () if there is None else unlike(step.fstype, step.options, there)
        if others:
            words = ",".join(name if value is True else f"{name}={value}" for name, value in others)
            reasons.append(f"{_step(plan, number)}: the host's has {there}, and would get {words}")
        if of(step.fstype).instances == "hierarchy" and not is_hierarchy(step.options, host.rows):
            reasons.append(f"{_step(plan, number)}: the machine has no such cgroup hierarchy, and would get one")
    return reasons


def refused_step(plan: Plan, refusal: TrialRefusal) -> str:
    return f"{_step(plan, refusal.step)}: the kernel would refuse it: {refusal.why}"


def _step(plan: Plan, number: int) -> str:
    step = plan.steps[number - 1]
    place = f"{plan.ref(step.origin)}: " if step.origin else ""
    return f"{place}step {number:,}, {step.describe()}"


def _some(reasons: list[str]) -> tuple[str, ...]:
    more = len(reasons) - _MOST
    return tuple(reasons if more <= 1 else [*reasons[:_MOST], f"... and {more:,} more reasons"])
