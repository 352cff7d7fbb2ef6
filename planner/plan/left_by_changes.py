"""What a recursive [[change]] with exceptions leaves as it is though it is no exception: mounts that others cover.

Beside an exception the mounts are changed one by one, each by its path, and no path leads to those.
"""

from __future__ import annotations

from mountplan.planner.errors import Mistake
from mountplan.planner.plan.plan import Plan
from mountplan.planner.tables.inherited_tree import InheritedTree
from mountplan.planner.tables.table import MountTable, copied

_MOST_NAMED = 3


def left_by_changes(plan: Plan, host: MountTable) -> tuple[Mistake, ...]:
    """A warning for each such change, in the order of the spec."""
    found: dict[str, Mistake] = {}
    for space in plan.expected.namespaces:
        altered = [one for one in plan.expected.altered if one.namespace == space.name]
        if not any(one.spared for one in altered):
            continue
        tree = InheritedTree(copied(host))
        for one in altered:
            if one.what == "remove":
                tree.remove(one.path)
            elif one.what == "bind_over":
                tree.bind_over(one.path)
            elif one.spared and one.origin not in found:
                reached = tree.reach(one.path, one.spared, recursive=True)
                spared = [row.mount_id for path in one.spared for row in tree.below(tree.end_of(path).mount_id)]
                asked_for = {row.mount_id for row in tree.below(tree.end_of(one.path).mount_id)}
                left = sorted(asked_for.difference(spared, tree.changed(reached)))
                if left:
                    places = [tree.rows[number].mountpoint for number in left]
                    found[one.origin] = _warning(plan, one.origin, places)
    return tuple(found.values())


def _warning(plan: Plan, origin: str, places: list[str]) -> Mistake:
    more = f" and {len(places) - _MOST_NAMED:,} more" if len(places) > _MOST_NAMED else ""
    return Mistake(
        plan.ref(origin),
        f"what other mounts cover is left as it is, beside an exception: {', '.join(places[:_MOST_NAMED])}{more}",
        "to change that as well, leave except out, and undo it there by a second [[change]] (ro by rw)",
    )
