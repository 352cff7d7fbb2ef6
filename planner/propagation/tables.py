"""A namespace of the model -> MountTable, as a process in it reads it from /proc/self/mountinfo."""

from __future__ import annotations

from mountplan.planner.attributes import show
from mountplan.planner.propagation.objects import Mount, Namespace, Node, Place
from mountplan.planner.propagation.walking import is_reachable
from mountplan.planner.table import MountRow, MountTable


def table_of(namespace: Namespace, root: Place) -> MountTable:
    """The mounts that can be reached from `root`, in the order of their ids (show_mountinfo in fs/proc_namespace.c)."""
    rows = []
    where: dict[Mount, str | None] = {}
    for mount in sorted(namespace.mounts, key=_number):
        path = _where(mount, root, where)
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
                mount.root.path,
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


def _number(mount: Mount) -> int:
    return mount.number


def _where(mount: Mount, root: Place, known: dict[Mount, str | None]) -> str | None:
    """The path of a mount as seen from `root`, "" for the root itself; None if it cannot be seen from there."""
    if mount in known:
        return known[mount]
    chain = []
    one = mount
    above: str | None
    while True:
        if one in known:
            above = known[one]
            break
        if one is root[0]:
            above = known[one] = "" if one.root is root[1] else None
            break
        if one.parent is None:
            above = known[one] = None
            break
        chain.append(one)
        one = one.parent
    for one in reversed(chain):
        assert one.parent is not None
        if one.parent is root[0]:
            above = relative(one.mountpoint, root[1]) if one.mountpoint.is_within(root[1]) else None
        elif above is not None:
            above += relative(one.mountpoint, one.parent.root)
        known[one] = above
    return known[mount]


def relative(node: Node, top: Node) -> str:
    """The path from `top` down to `node`, with a slash before each name; "" if they are the same."""
    if node is top:
        return ""
    return node.path if top.parent is None else node.path[len(top.path) :]


def dominating_group(mount: Mount, namespace: Namespace, root: Place) -> int:
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
