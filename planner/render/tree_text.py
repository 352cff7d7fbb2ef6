"""The finished namespaces as a tree: where, what, with which attributes, in which sharing, and whether it is seen."""

from __future__ import annotations

from mountplan.planner.plan.plan import ExpectedMount, ExpectedNamespace
from mountplan.planner.render.fitting import fitted_between
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.outline import folded_text, outline
from mountplan.planner.render.words import place_below, visible


def tree_lines(index: PlanIndex, namespace: ExpectedNamespace, *, fold: bool, room: int | None = None) -> list[str]:
    """One line a mount; a mount that stands on another is indented below it. `room` as in fitting.py."""
    rows: list[tuple[str, ...] | str] = []
    for branch in outline(index.roots[namespace.name], lambda mount: index.children[mount.name], fold=fold):
        if branch.folded:
            rows.append(folded_text(branch, lambda mount: index.where[mount.name], room))
        else:
            rows.append(_row(index, branch.prefix, branch.item))
    return fitted_between(rows, (36, 30), room)


def _row(index: PlanIndex, prefix: str, mount: ExpectedMount) -> tuple[str, ...]:
    last = [index.attributes(mount), index.sharing(mount), index.marks(mount)]
    parent = index.where.get(mount.parent) if prefix else None
    return (
        prefix + visible(place_below(parent, index.where[mount.name])),
        index.what(mount),
        "  ".join(filter(None, last)),
    )
