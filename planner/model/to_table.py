"""A namespace of the model -> MountTable, as a process in it reads it from /proc/self/mountinfo."""

from __future__ import annotations

from operator import attrgetter

from mountplan.planner.attributes import show
from mountplan.planner.model.objects import ModelMount, ModelNamespace, ModelNode, Place
from mountplan.planner.model.walking import is_reachable
from mountplan.planner.tables.table import MountRow, MountTable


def table_of(namespace: ModelNamespace, root: Place) -> MountTable:
    """The mounts that can be reached from `root`, in the order of their ids (show_mountinfo in fs/proc_namespace.c)."""
    rows = []
    where: dict[ModelMount, str | None] = {}
    for mount in sorted(namespace.mounts, key=attrgetter("number")):
        if mount not in where:
            _where(mount, root, where)
        path = where[mount]
        if path is None:
            continue
        superblock = mount.root.superblock
        master = mount.master
        if master is None:
            master_group = dominating = 0
        else:
            master_group = master.group
            dominating = dominating_group(mount, namespace, root)
            if dominating == master_group:
                dominating = 0
        rows.append(
            MountRow(
                mount.number,
                mount.parent.number if mount.parent is not None else mount.number,
                superblock.device,
                mount.root.shown(),
                path or "/",
                show(mount.attributes),
                mount.group,
                master_group,
                dominating,
                mount.unbindable,
                superblock.fstype,
                mount.source,
                superblock.shown_options(),
            )
        )
    return MountTable(tuple(rows))


def _where(mount: ModelMount, root: Place, known: dict[ModelMount, str | None]) -> None:
    """Find the path of a mount as seen from `root`, "" for the root itself; None if it cannot be seen from there."""
    chain: list[ModelMount] = []
    one: ModelMount | None = mount
    while one is not None and one not in known:
        chain.append(one)
        one = one.parent
    top, start = root
    for link in reversed(chain):
        parent, place = link.parent, link.mountpoint
        path: str | None
        if link is top:
            path = "" if link.root is start else None
        elif parent is top:
            path = relative(place, start) if place.is_within(start) else None
        elif parent is None or (above := known[parent]) is None:
            path = None
        elif place is parent.root:
            path = above
        elif not place.is_within(parent.root):  # renamed to a place that the parent does not show
            path = None
        else:
            path = above + relative(place, parent.root)
        known[link] = path


def path_of(place: Place, root: Place) -> str | None:
    """The path of a place as seen from `root`, as getcwd(2) gives it; None if it cannot be seen from there."""
    mount, node = place
    if mount is root[0]:
        return relative(node, root[1]) or "/" if node.is_within(root[1]) else None
    where: dict[ModelMount, str | None] = {}
    _where(mount, root, where)
    above = where[mount]
    return None if above is None else above + relative(node, mount.root) or "/"


def relative(node: ModelNode, top: ModelNode) -> str:
    """The path from `top` down to `node`, with a slash before each name; "" if they are the same."""
    if node is top:
        return ""
    return node.path if top.parent is None else node.path[len(top.path) :]


def dominating_group(mount: ModelMount, namespace: ModelNamespace, root: Place) -> int:
    """The nearest group above a slave of which a member can be seen from `root`; 0 if there is none.

    mountinfo's `propagate_from` (get_dominating_id; proc_pid_mountinfo(5)).
    """
    master = mount.master
    while master is not None:
        for peer in master.peers():
            if peer.namespace is namespace and is_reachable(peer, peer.root, root):
                return peer.group
        master = master.master
    return 0
