"""What `diff` and `verify` print of a comparison."""

from __future__ import annotations

from mountplan.planner.characters import visible
from mountplan.planner.render.aside_text import TAKES_LISTMOUNT
from mountplan.planner.render.difference_text import NamedSide, differences_text
from mountplan.planner.render.fitting import wrapped_text
from mountplan.planner.render.left_out_text import left_out_data
from mountplan.planner.render.problems import drift_data, mistake_data
from mountplan.planner.render.words import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from mountplan.cli.output import Output
    from mountplan.comparing import Compared
    from mountplan.operands import Side
    from mountplan.planner.errors import Mistake
    from mountplan.planner.names import LeftOut

_INCOMPLETE = f"what its root does not show was not compared: {TAKES_LISTMOUNT}"


def print_comparison(
    found: Compared,
    args: argparse.Namespace,
    output: Output,
    same: str,
    different: str,
    names: tuple[str, str],
    beside: str = "",
    warnings: tuple[Mistake, ...] | None = None,
) -> int:
    """Print what a comparison has found, its sides called `names`, and what else is told, `beside` that. `warnings` are
    for programs, if these were looked for.

    Returns the exit status: 1 for a difference.
    """
    if output.as_json:
        more = {} if warnings is None else {"warnings": [mistake_data(warning) for warning in warnings]}
        output.data(_data(found) | more)
    elif found.drift:
        plans = found.first.plan, found.second.plan
        sides = [NamedSide(name, plan) for name, plan in zip(names, plans, strict=True)]
        told = differences_text(found.drift, *sides, everything=args.all)
        output.paged(wrapped_text(different + told + (beside and "\n" + beside), output.room))
    elif not output.quiet:
        output.result(wrapped_text(same + beside, output.room))
    for side in (found.first, found.second):
        if side.incomplete:
            output.note(f"mountplan: {visible(side.label)}: {_INCOMPLETE}\n")
    return 1 if found.drift else 0


def left_out_of(side: Side) -> tuple[LeftOut, ...]:
    return side.plan.expected.left_out if side.plan else ()


def size_text(side: Side) -> str:
    spaces = f" in {len(side.views)} namespaces" if len(side.views) > 1 else ""
    return count(side.mounts, "mount") + spaces


def count_text(found: Compared) -> str:
    return count(len(found.drift), "difference")


def _data(found: Compared) -> dict[str, Any]:
    plan = found.first.plan
    return {
        "same": not found.drift,
        "sides": [
            {
                "name": side.label,
                "namespaces": len(side.views),
                "mounts": side.mounts,
                "complete": not side.incomplete,
                "left_out": left_out_data(left_out_of(side)),
            }
            for side in (found.first, found.second)
        ],
        "differences": drift_data(found.drift, plan, found.second.plan),
        "notices": drift_data(found.notices, plan),
        "arrivals": drift_data(found.arrivals, plan),
        "since": found.since,
        "left_out": left_out_data(left_out_of(found.first)),
    }
