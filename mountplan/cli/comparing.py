"""diff and verify: compare what two arguments name."""

from __future__ import annotations

import argparse
from typing import Any

from mountplan import api
from mountplan.cli.output import Output
from mountplan.comparing import Compared
from mountplan.operands import Side
from mountplan.planner.render.difference_text import NamedSide, differences_text
from mountplan.planner.render.problems import drift_data
from mountplan.planner.render.words import count, visible

_INCOMPLETE = "what its root does not show was not compared: that takes Linux 6.11"


def diff(args: argparse.Namespace, output: Output) -> int:
    """Exit status 1 if there is a difference."""
    found = api.diff(args.first, args.second)
    one, other = visible(found.first.label), visible(found.second.label)
    same = f"The same: {one} and {other}, {_size(found.first)}\n"
    different = f"A is {one}, B is {other}: {_count(found)}\n\n"
    return _tell(found, args, output, same, different, ("A", "B"))


def verify(args: argparse.Namespace, output: Output) -> int:
    """Exit status 1 if there is a difference."""
    found = api.verify(args.spec, args.subject)
    spec, what = visible(found.first.label), visible(found.second.label)
    same = f"{what} stands as {spec} says: {_size(found.second)}\n"
    different = f"{what} is not what {spec} says: {_count(found)}\n\n"
    return _tell(found, args, output, same, different, ("the spec", "what stands there"))


def _tell(
    found: Compared, args: argparse.Namespace, output: Output, same: str, different: str, names: tuple[str, str]
) -> int:
    if output.as_json:
        output.data(_data(found))
    elif found.drift:
        plans = found.first.plan, found.second.plan
        sides = [NamedSide(name, plan) for name, plan in zip(names, plans, strict=True)]
        output.result(different + differences_text(found.drift, *sides, everything=args.all))
    elif not output.quiet:
        output.result(same)
    for side in (found.first, found.second):
        if side.incomplete:
            output.note(f"mountplan: {visible(side.label)}: {_INCOMPLETE}\n")
    return 1 if found.drift else 0


def _size(side: Side) -> str:
    spaces = f" in {len(side.views)} namespaces" if len(side.views) > 1 else ""
    return count(side.mounts, "mount") + spaces


def _count(found: Compared) -> str:
    return count(len(found.drift), "difference")


def _data(found: Compared) -> dict[str, Any]:
    return {
        "same": not found.drift,
        "sides": [
            {"name": side.label, "namespaces": len(side.views), "mounts": side.mounts, "complete": not side.incomplete}
            for side in (found.first, found.second)
        ],
        "differences": drift_data(found.drift, found.first.plan, found.second.plan),
    }
