"""Mounts that a spec writes down and cannot build: where such a one stands, a change lets it stand. Not those that are
optional, and whose source is gone: what stands in their place is something else.
"""

from __future__ import annotations

from mountplan.planner.compare.difference import Drift
from mountplan.planner.plan.plan import Plan


def left_out_at(plan: Plan, namespace: str) -> frozenset[str]:
    """Where they are. `namespace` is "" for that of a plan which has one only."""
    return frozenset(one.target for one in plan.expected.left_out if namespace in ("", one.namespace) and not one.gone)


def without_left_out(drift: Drift, plan: Plan) -> Drift:
    places = {namespace: left_out_at(plan, namespace) for namespace in {one.namespace for one in drift}}
    return tuple(
        one for one in drift if (one.prop, one.wanted) != ("mount", "none") or one.mount not in places[one.namespace]
    )
