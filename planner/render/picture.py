"""What a picture of a plan shows, whatever it is drawn with: mounts, groups, and lines between them."""

from __future__ import annotations

from typing import Literal

from mountplan.planner.plan.plan import ExpectedGroup, Plan
from mountplan.planner.record import NamedTuple
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.words import visible

LineKind = Literal["mounted", "peer", "slave", "master"]


class Box(NamedTuple):
    """A mount, or a sharing group. `lines` is what is written in it; keys are unique and plain ("m12", "g3")."""

    key: str
    lines: tuple[str, ...]


class GroupCluster(NamedTuple):
    """A sharing group whose peers are all in one namespace: its own box, and those of its peers."""

    group: Box
    peers: tuple[Box, ...]


class Cluster(NamedTuple):
    """The mounts of one namespace: those that are in no group or in one of several namespaces, and the groups."""

    name: str
    mounts: tuple[Box, ...]
    groups: tuple[GroupCluster, ...]


class Line(NamedTuple):
    """`mounted` leads from a mount to what stands on it; `peer` joins a mount and its group without a direction;
    `slave` leads from a group to a mount that receives from it, and `master` to a group that does."""

    start: str
    end: str
    kind: LineKind


class Picture(NamedTuple):
    """Everything in the order of the plan, so that the same plan gives the same picture. `groups` are those that are no
    cluster: without peers, or with peers in several namespaces.
    """

    title: str
    clusters: tuple[Cluster, ...]
    groups: tuple[Box, ...]
    lines: tuple[Line, ...]


def picture_of(plan: Plan) -> Picture:
    """The finished trees, with every group as a box of its own: so n peers take n lines, or none, if the group is a
    cluster around them.
    """
    index = PlanIndex(plan)
    keys = {name: f"m{number}" for number, name in enumerate(index.mounts)}
    group_keys = {name: f"g{number}" for number, name in enumerate(index.groups)}
    lines: list[Line] = []
    spaces: dict[str, set[str]] = {}  # group -> the namespaces in which it has peers
    for name, mount in index.mounts.items():
        if mount.group in group_keys:
            spaces.setdefault(mount.group, set()).add(index.namespace_of[name])
    together = {group for group, found in spaces.items() if len(found) == 1}
    group_boxes = {one.name: _group_box(group_keys[one.name], one) for one in index.groups.values()}
    clusters = []
    for namespace in plan.expected.namespaces:
        boxes = []
        peers: dict[str, list[Box]] = {}
        for mount in namespace.mounts:
            words = " ".join(filter(None, (index.attributes(mount), "unbindable" if mount.unbindable else "")))
            text = (visible(index.where[mount.name]), index.what(mount), words, index.marks(mount))
            box = Box(keys[mount.name], tuple(map(visible, filter(None, text))))
            if mount.parent in keys:
                lines.append(Line(keys[mount.parent], keys[mount.name], "mounted"))
            if mount.group in together:
                peers.setdefault(mount.group, []).append(box)
                continue
            boxes.append(box)
            if mount.group in group_keys:
                lines.append(Line(keys[mount.name], group_keys[mount.group], "peer"))
            elif mount.master in group_keys:
                lines.append(Line(group_keys[mount.master], keys[mount.name], "slave"))
        around = tuple(GroupCluster(group_boxes[group], tuple(found)) for group, found in peers.items())
        clusters.append(Cluster(visible(namespace.name), tuple(boxes), around))
    groups = [box for name, box in group_boxes.items() if name not in together]
    for group in index.groups.values():
        if group.master in group_keys:
            lines.append(Line(group_keys[group.master], group_keys[group.name], "master"))
    return Picture(visible(plan.name or plan.file), tuple(clusters), tuple(groups), tuple(lines))


def _group_box(key: str, group: ExpectedGroup) -> Box:
    host = (f"host:{visible(group.host)}",) if group.host else ()
    return Box(key, (visible(group.name), *host))
