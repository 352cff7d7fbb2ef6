"""The preview of a plan, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mountplan.planner.plan.plan import Plan
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.sharing_text import sharing_lines
from mountplan.planner.render.steplist import step_lines
from mountplan.planner.render.table_text import group_names, table_lines
from mountplan.planner.render.tree_text import tree_lines
from mountplan.planner.render.words import columns, count, visible
from mountplan.planner.tables.table import MountTable

if TYPE_CHECKING:
    from mountplan.planner.ask.classic import Classic

Tables = tuple[tuple[str, MountTable], ...]


def plan_text(plan: Plan, tables: Tables = (), classic: Classic | None = None, *, everything: bool = False) -> str:
    """Title, tree, sharing, steps, predicted tables and the classic way (if the caller has them) and requirements.

    With `everything`, nothing is folded; otherwise what repeats is told once, and a plan of ten thousand mounts fits
    on a few screens. The time it takes is linear in the plan.
    """
    index = PlanIndex(plan)
    fold = not everything
    blocks: list[list[str]] = [[title(plan)]]
    several = len(plan.expected.namespaces) > 1
    private = " (a mount without a word on sharing is private)" if plan.expected.groups else ""
    for namespace in plan.expected.namespaces:
        heading = f"Tree of namespace {visible(namespace.name)}" if several else "Tree"
        blocks.append([heading + private, *_indented(tree_lines(index, namespace, fold=fold))])
    blocks.append(["Sharing", *_indented(sharing_lines(index, fold=fold))])
    steps = step_lines(index, everything=everything)
    blocks.append([f"Steps, and why each is where it is ({len(plan.steps):,})", *steps])
    for name, table in tables:
        heading = f"Mount table to come in {visible(name)}" if several else "Mount table to come"
        blocks.append([heading, *_indented(table_lines(table, group_names(plan, name, table), fold=fold))])
    if classic is not None:
        from mountplan.planner.render.foreseen import CLASSIC, classic_line

        blocks.append([CLASSIC, classic_line(classic)])
    if plan.expected.left_out:
        from mountplan.planner.render.left_out_text import left_out_text

        blocks.append([left_out_text(plan.expected.left_out).rstrip()])
    if plan.requirements:
        blocks.append(["Needs", *_indented(requirement_lines(plan))])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def title(plan: Plan) -> str:
    """The plan's name and what it comes to."""
    expected = plan.expected
    mounts = sum(len(namespace.mounts) for namespace in expected.namespaces)
    external = sum(1 for group in expected.groups if group.host)
    groups = count(len(expected.groups), "sharing group") + (f" ({external} of the host's)" if external else "")
    counts = [count(mounts, "mount"), count(len(expected.filesystems), "new filesystem"), groups]
    if len(expected.namespaces) > 1:
        counts.insert(0, count(len(expected.namespaces), "namespace"))
    counts.append(count(len(plan.steps), "step"))
    name = f'Plan "{visible(plan.name)}"' if plan.name else "Plan"
    return f"{name} of {visible(plan.file)}: {', '.join(counts)}"


def requirement_lines(plan: Plan) -> list[str]:
    """What kernel and user must be able to do, and for what."""
    return columns([(visible(one.what), f"for: {visible(one.reason)}") for one in plan.requirements], (72,))


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]
