"""The plan that a kept name was made from, read back."""

from __future__ import annotations

from mountplan.applier.keep import kept
from mountplan.applier.keep.store import ODD
from mountplan.planner.errors import KeepRefused, PlanFileError, PlanRefused
from mountplan.planner.plan.planfile import load_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.applier.keep.kept import Opened
    from mountplan.planner.plan.plan import Plan


def plan_behind(found: Opened) -> Plan:
    """Raises KeepRefused."""
    return _loaded(found.plan_text(), found.kept.name)


def plan_kept_for(name: str) -> Plan:
    """Raises NotKept or KeepRefused."""
    return _loaded(kept.plan_text(name), name)


def _loaded(text: bytes, name: str) -> Plan:
    """Who is told that a record is of no use has no plan to make again, but a name to remove."""
    try:
        return load_plan(text, f"the plan of {name}")
    except (PlanFileError, PlanRefused) as error:
        what = str(error).partition("\n  remedy: ")[0]
        raise KeepRefused(what, f"{ODD}: mountplan rm {name}") from None
