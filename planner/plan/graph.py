"""What must be done before what, and why: the only module that knows networkx.

Nodes are handles: filesystems that have a workbench ("fs:data"), seeds ("seed:feed") and mounts. An edge leads from
what must be there first to what needs it, and carries the kind of its reason (planner/plan/plan.py, WHY). Work on one
node has an order of its own, which planner/plan/schedule.py knows.

networkx is loaded only where there is no order: it finds the circle that the refusal tells. To load it takes longer
than to plan most specs.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import chain
from operator import lt
from typing import Any

from mountplan.planner.errors import PlanRefused
from mountplan.planner.names import Handle
from mountplan.planner.plan.plan import Edge, EdgeKind
from mountplan.planner.plan.text_numbers import TextNumbers
from mountplan.planner.record import NamedTuple
from mountplan.planner.resolve.topology import ResolvedFilesystem, ResolvedMount, Topology
from mountplan.planner.tables.columns import RecordColumns

# In the order in which edges are told: those of a kind together, as a plan file has long runs of what comes in a row.
_KINDS = ("source", "master", "parent", "stack", "workbench", "layer", "image", "group", "deeper_first")
_FORWARD = ("source", "workbench", "group")  # from workbenches to seeds to mounts, which is how nodes come
_Ends = tuple[list[Handle], list[Handle]]  # of all edges of a kind: what must be there first, and what needs it


class Graph(NamedTuple):
    """`order` holds every node, each after all that must come before it, and otherwise as the spec has them."""

    edges: tuple[Edge, ...]
    order: tuple[Handle, ...]


def seed_of(group: str) -> Handle:
    """The handle of a group's seed."""
    return f"seed:{group}"


def group_of(mount: ResolvedMount) -> str:
    """The group that the mount joins: its peer group, or the slaves of its master, or "" for none."""
    return mount.group or (f"slaves of {mount.master}" if mount.master else "")


def find_order(topology: Topology) -> Graph:
    """What must precede what in a topology, and an order in which it does.

    Raises PlanRefused, with a sentence, if something would have to precede itself.
    """
    ends: dict[str, _Ends] = {kind: ([], []) for kind in _KINDS}
    for before, after, kind in _edges(topology):
        befores, afters = ends[kind]
        befores.append(before)
        afters.append(after)
    kinds = [kind for kind in _KINDS for _ in ends[kind][0]]
    edges: Any = RecordColumns(Edge, [*(list(chain(*one)) for one in zip(*ends.values(), strict=True)), kinds])
    nodes = tuple(_nodes(topology))
    order = nodes if _in_order(nodes, ends) else sorted_nodes(nodes, edges)
    if len(order) < len(nodes):
        raise PlanRefused((f"there is no order in which this can be built: {_circle(nodes, edges)}",))
    return Graph(edges=edges, order=order)


def sorted_nodes(nodes: tuple[Handle, ...], edges: Iterable[Edge]) -> tuple[Handle, ...]:
    """Each node after all that must come before it, and otherwise as `nodes` has them; what lies on or behind a circle
    is left out.

    It is networkx.lexicographical_topological_sort, which takes ten times as long.
    """
    rank = {node: number for number, node in enumerate(nodes)}
    waiting = [0] * len(nodes)
    following: dict[Handle, list[int]] = {}
    for edge in edges:
        number = rank[edge.after]
        waiting[number] += 1
        following.setdefault(edge.before, []).append(number)
    ready = [number for number, count in enumerate(waiting) if not count]  # rising, and so a heap already
    order = []
    while ready:
        node = nodes[heappop(ready)]
        order.append(node)
        for later in following.get(node, ()):
            waiting[later] -= 1
            if not waiting[later]:
                heappush(ready, later)
    return tuple(order)


def _in_order(nodes: tuple[Handle, ...], ends: dict[str, _Ends]) -> bool:
    """Whether each node comes after all that must come before it, as in most specs."""
    numbers = TextNumbers()
    numbers.numbers(nodes)
    open_to_doubt = [both for kind, both in ends.items() if kind not in _FORWARD]
    return all(all(map(lt, *map(numbers.numbers, both))) for both in open_to_doubt)


def _circle(nodes: tuple[Handle, ...], edges: tuple[Edge, ...]) -> str:
    """Why something would have to precede itself, in words."""
    import networkx as nx

    graph: nx.DiGraph[Handle] = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from((edge.before, edge.after) for edge in edges)
    kinds = {(edge.before, edge.after): edge for edge in edges}
    return "; ".join(kinds[before, after].reason() for before, after in nx.find_cycle(graph))


def _nodes(topology: Topology) -> Iterable[Handle]:
    yield from _workbenches(topology)
    for group in topology.groups:
        yield seed_of(group.name)
    for namespace in topology.namespaces:
        for mount in namespace.mounts:
            yield mount.name


def _workbenches(topology: Topology) -> list[Handle]:
    return [one.name for one in topology.filesystems if one.workbench and (one.made or one.host_path)]


def _made_of(filesystem: ResolvedFilesystem, after: Handle) -> Iterable[tuple[Handle, Handle, EdgeKind]]:
    """From the filesystems that hold the layers of an overlay, or the image, to what needs them."""
    upper = (filesystem.upper,) if filesystem.upper else ()
    for name in dict.fromkeys(layer.filesystem for layer in (*filesystem.layers, *upper) if layer.filesystem):
        yield name, after, "layer"
    if filesystem.image.holder:
        yield filesystem.image.holder, after, "image"


def _edges(topology: Topology) -> Iterable[tuple[Handle, Handle, EdgeKind]]:
    workbenches = set(_workbenches(topology))
    for filesystem in topology.filesystems:
        # An overlay that is its one mount's own filesystem has no node; the edge goes to that mount below.
        if filesystem.workbench:
            yield from _made_of(filesystem, filesystem.name)
    seeds = {group.name: seed_of(group.name) for group in topology.groups}
    for group in topology.groups:
        seed = seeds[group.name]
        if group.filesystem in workbenches and group.host is None:
            yield group.filesystem, seed, "source"
        if group.master:
            yield seeds[group.master], seed, "master"
    layers = {one.name: one for one in topology.filesystems if (one.layers or one.image.holder) and not one.workbench}
    for namespace in topology.namespaces:
        children: dict[Handle, dict[str, Handle]] = {}
        for mount in namespace.mounts:
            if mount.parent is not None:
                yield mount.parent, mount.name, "stack" if mount.place == "/" else "parent"
                children.setdefault(mount.parent, {})[mount.place] = mount.name
            if mount.host is None and mount.filesystem in workbenches:
                yield mount.filesystem, mount.name, "workbench"
            if mount.filesystem in layers:
                yield from _made_of(layers[mount.filesystem], mount.name)
            if joined := group_of(mount):
                yield seeds[joined], mount.name, "group"
        covering = {parent for parent, siblings in children.items() if _covers(siblings)}
        open_to: dict[Handle, set[str]] = {parent: set() for parent in covering}  # directories that nothing covers
        for mount in namespace.mounts if covering else ():
            if mount.parent in covering and mount.place != "/":
                siblings, uncovered = children[mount.parent], open_to[mount.parent]
                above: str = mount.place
                passed: list[str] = []
                cover = None
                while above != "/" and cover is None:
                    above = above.rpartition("/")[0] or "/"
                    if above in uncovered:
                        break
                    passed.append(above)
                    cover = siblings.get(above)
                if cover is not None:  # the nearest one is enough: that one has an edge to the next
                    yield mount.name, cover, "deeper_first"
                else:
                    uncovered.update(passed)


def _covers(places: Iterable[str]) -> bool:
    """Whether one of them is above another, which is rare."""
    every, seen = set(places), set[str]()
    above = every
    while above := {place.rpartition("/")[0] or "/" for place in above if place != "/"} - seen:
        if not above.isdisjoint(every):
            return True
        seen |= above
    return False
