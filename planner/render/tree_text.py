"""The finished namespaces as a tree: where, what, with which attributes, in which sharing, and whether it is seen."""

from __future__ import annotations

from mountplan.planner.plan.plan import ExpectedMount, ExpectedNamespace
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.outline import outline
from mountplan.planner.render.words import columns, count, visible


def tree_lines(index: PlanIndex, namespace: ExpectedNamespace, *, fold: bool) -> list[str]:
    """One line a mount; a mount that stands on another is indented below it."""
    rows: list[tuple[str, ...]] = []
    folded: dict[int, str] = {}
    roots = index.roots[namespace.name]
    for branch in outline(roots, index.children_of, fold=fold):
        if branch.folded:
            folded[len(rows)] = f"{branch.prefix}... {count(branch.folded, 'more mount')} (--all shows them)"
            continue
        rows.append(_row(index, branch.prefix, branch.item))
    lines = columns(rows, (36, 30))
    for at in sorted(folded, reverse=True):
        lines.insert(at, folded[at])
    return lines


def _row(index: PlanIndex, prefix: str, mount: ExpectedMount) -> tuple[str, ...]:
    last = [index.attributes(mount), index.sharing(mount), index.marks(mount)]
    return (prefix + visible(index.where[mount.name]), index.what(mount), "  ".join(filter(None, last)))
