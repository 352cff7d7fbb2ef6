"""What a command line may name: a spec, a saved plan, or standard input with either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mountplan import api
from mountplan.applier.observe.facts import asking
from mountplan.inputs import label_of, looks_like_plan, read_input
from mountplan.planner.errors import Mistake, SpecError, SpecRef

if TYPE_CHECKING:
    from mountplan.planner.plan.plan import Plan


def read(name: str, what: str = "a spec, a saved plan") -> tuple[str, bytes]:
    """The name that errors shall use, and the contents. Raises SpecError if there is no such file."""
    try:
        with asking("standard input" if name == "-" else f"the file {name!r}"):
            return label_of(name), read_input(name)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        mistake = Mistake(SpecRef(name, ""), f"cannot read it: {reason}", f"name {what}, or - for stdin")
        raise SpecError((mistake,)) from None


def plan_from(name: str, *, cache: bool = False) -> Plan:
    """The plan that is saved in a file, or that a spec comes to: one kept from the last time, if `cache` allows that.

    A saved plan, and one that was kept, loads neither pydantic nor networkx.
    """
    file, data = read(name)
    if looks_like_plan(file, data):
        from mountplan.planner.plan.planfile import load_plan

        return load_plan(data, file)
    if cache:
        from mountplan.plancache import plan_of

        return plan_of(data, file)
    return api.plan(api.load(file, data))
