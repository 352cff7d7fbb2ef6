"""Whether a plan has to do with what others do meanwhile: most have not, and need not load what looks at that."""

from __future__ import annotations

from mountplan.planner.plan.plan import ExpectedMount, Plan
from mountplan.planner.plan.step_columns import columns_of_kind, kinds_of
from mountplan.planner.plan.steps import AttachImage, MakeFilesystem, MakeOverlay
from mountplan.planner.tables.columns import columns_of

FOLLOWING = ("peer", "slave")  # how a bind brings along what the host mounts there from then on


def asks_of_others(plan: Plan) -> bool:
    """True if there is anything in `plan` that obstacles() (attachments.py) looks at."""
    if not kinds_of(plan.steps).isdisjoint((AttachImage, MakeOverlay)):
        return True
    return any(source[:1] == "/" for source in columns_of_kind(plan.steps, MakeFilesystem)["source"])


def follows_host(plan: Plan) -> bool:
    """True if anything that the plan builds is to have what the host mounts meanwhile."""
    told = [columns_of(space.mounts, ExpectedMount) for space in plan.expected.namespaces]
    return any(any(one["inherits"]) or not set(FOLLOWING).isdisjoint(one["brings"]) for one in told)
