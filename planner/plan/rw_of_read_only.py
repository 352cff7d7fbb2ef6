"""Mounts that a spec makes writable, of filesystems that are read-only themselves: nothing can be written there."""

from __future__ import annotations

from mountplan.planner.attributes import RDONLY
from mountplan.planner.errors import Mistake
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import mounts_behind, predict
from mountplan.planner.tables.inherited_tree import InheritedTree
from mountplan.planner.tables.table import MountRow, MountTable, copied

_MOST_NAMED = 3


def rw_of_read_only(plan: Plan, host: MountTable) -> tuple[Mistake, ...]:
    """A warning for each part of the spec that says so, with where that is."""
    found: dict[str, list[str]] = {}
    if any(one.clear & RDONLY and not one.filesystem for space in plan.expected.namespaces for one in space.mounts):
        for space, prediction in zip(plan.expected.namespaces, predict(plan, host), strict=True):
            for row, (mount, is_one) in zip(prediction.table.rows, mounts_behind(space, prediction), strict=True):
                if mount is not None and not mount.filesystem and _is_read_only(row):
                    clear = mount.clear if is_one or mount.recursive_attributes else mount.below_clear
                    if clear & RDONLY:
                        found.setdefault(mount.origin, []).append(row.mountpoint)
    if any(one.clear & RDONLY for one in plan.expected.altered):
        for name in dict.fromkeys(one.namespace for one in plan.expected.altered):
            tree = InheritedTree(copied(host))
            for one in (one for one in plan.expected.altered if one.namespace == name):
                if one.what == "remove":
                    tree.remove(one.path)
                elif one.what == "bind_over":
                    tree.bind_over(one.path)
                elif one.clear & RDONLY:
                    changed = tree.changed(tree.reach(one.path, one.spared, recursive=one.recursive))
                    places = [tree.rows[number].mountpoint for number in changed if _is_read_only(tree.rows[number])]
                    found.setdefault(one.origin, []).extend(places)
    return tuple(_warning(plan, origin, places) for origin, places in found.items() if places)


def _is_read_only(row: MountRow) -> bool:
    return row.options.split(",", 1)[0] == "ro"


def _warning(plan: Plan, origin: str, places: list[str]) -> Mistake:
    more = f" and {len(places) - _MOST_NAMED:,} more" if len(places) > _MOST_NAMED else ""
    named = ", ".join(places[:_MOST_NAMED]) + more
    return Mistake(
        plan.ref(origin),
        f"rw, of a filesystem that is read-only itself: nothing can be written at {named}",
        "to write there, mount it rw on the host first (mount -o remount,rw), or lay an overlay or a tmpfs over it",
    )
