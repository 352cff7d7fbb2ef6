"""What a picture of a plan shows, whatever it is drawn with: mounts, groups, and lines between them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from mountplan.planner.plan.plan import Plan
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.words import visible

LineKind = Literal["mounted", "peer", "slave", "master"]


class Box(NamedTuple):
    """A mount, or a sharing group. `lines` is what is written in it; keys are unique and plain ("m12", "g3")."""

    key: str
    lines: tuple[str, ...]


class Cluster(NamedTuple):
    """The mounts of one namespace."""

    name: str
    mounts: tuple[Box, ...]


class Line(NamedTuple):
    """`mounted` leads from a mount to what stands on it; `peer` joins a mount and its group without a direction;
    `slave` leads from a group to a mount that receives from it, and `master` to a group that does."""

    start: str
    end: str
    kind: LineKind


class Picture(NamedTuple):
    """Everything in the order of the plan, so that the same plan gives the same picture."""

    title: str
    clusters: tuple[Cluster, ...]
    groups: tuple[Box, ...]
    lines: tuple[Line, ...]


def picture_of(plan: Plan) -> Picture:
    """The finished trees, with every group as a box of its own: so n peers take n lines, not n squared."""
    index = PlanIndex(plan)
    keys = {name: f"m{number}" for number, name in enumerate(index.mounts)}
    group_keys = {name: f"g{number}" for number, name in enumerate(index.groups)}
    lines: list[Line] = []
    clusters = []
    for namespace in plan.expected.namespaces:
        boxes = []
        for mount in namespace.mounts:
            words = " ".join(filter(None, (index.attributes(mount), "unbindable" if mount.unbindable else "")))
            text = (visible(index.where[mount.name]), index.what(mount), words, index.marks(mount))
            boxes.append(Box(keys[mount.name], tuple(map(visible, filter(None, text)))))
            if mount.parent in keys:
                lines.append(Line(keys[mount.parent], keys[mount.name], "mounted"))
            if mount.group in group_keys:
                lines.append(Line(keys[mount.name], group_keys[mount.group], "peer"))
            elif mount.master in group_keys:
                lines.append(Line(group_keys[mount.master], keys[mount.name], "slave"))
        clusters.append(Cluster(visible(namespace.name), tuple(boxes)))
    groups = []
    for group in index.groups.values():
        host = (f"host:{visible(group.host)}",) if group.host else ()
        groups.append(Box(group_keys[group.name], (visible(group.name), *host)))
        if group.master in group_keys:
            lines.append(Line(group_keys[group.master], group_keys[group.name], "master"))
    return Picture(visible(plan.name or plan.file), tuple(clusters), tuple(groups), tuple(lines))
