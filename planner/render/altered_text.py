"""What a plan changes of the trees that it inherits -> lines of text."""

from __future__ import annotations

from mountplan.planner.names import Alteration
from mountplan.planner.plan.plan import Plan
from mountplan.planner.render.words import visible


def altered_lines(plan: Plan) -> list[str]:
    """In the order in which it is done."""
    several = len(plan.expected.namespaces) > 1
    return [(f"{visible(one.namespace)}: " if several else "") + visible(_told(one)) for one in plan.expected.altered]


def _told(one: Alteration) -> str:
    if one.what == "remove":
        return f"{one.path} is removed" + (", with all that stands on it" if one.recursive else "")
    if one.what == "bind_over":
        return f"{one.path} is bound over itself, so that it is a mount"
    below = " and all below it" if one.recursive else ""
    but = f", but for {', '.join(one.spared)}" if one.spared else ""
    return f"{one.path}{below}{but}: {one.words}"
