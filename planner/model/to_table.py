"""A namespace of the model -> MountTable, as a process in it reads it from /proc/self/mountinfo."""

from __future__ import annotations

from collections.abc import Callable
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
        if path is not None:
            rows.append(_row(mount, path, namespace, root))
    return MountTable(tuple(rows))


def mounts_at(namespace: ModelNamespace, root: Place, path: str) -> list[ModelMount]:
    """The mounts that a table shows with this mountpoint, in its order; found without the rest of the table."""
    if not path.startswith("/"):
        return []
    names = [name for name in path.split("/") if name]
    top, start = root
    found = [top] if not names and start is top.root else []
    waiting = [(top, start, 0)]
    while waiting:
        mount, node, at = waiting.pop()
        while True:
            upon = mount.above.get(node)
            if upon is not None:
                if at == len(names):
                    found.append(upon)
                waiting.append((upon, upon.root, at))
            if at == len(names) or (child := node.children.get(names[at])) is None:
                break
            node, at = child, at + 1
    return sorted((one for one in found if one.namespace is namespace), key=attrgetter("number"))


def row_at(namespace: ModelNamespace, root: Place, path: str) -> MountRow | None:
    """The last of the rows with this mountpoint."""
    found = mounts_at(namespace, root, path)
    return _row(found[-1], path, namespace, root) if found else None


def rows_below(namespace: ModelNamespace, root: Place, path: str, lowest: Callable[[], bool]) -> list[MountRow]:
    """The last of the rows with this mountpoint, and those of all that is mounted below it, parents first.

    Of several it is the first if `lowest` says so, which is asked only then.
    """
    found = mounts_at(namespace, root, path)
    if not found:
        return []
    top = found[0 if len(found) > 1 and lowest() else -1]
    where: dict[ModelMount, str | None] = {top: path.rstrip("/")}
    rows = []
    for mount in top.tree():
        _where(mount, root, where)
        shown = where[mount]
        if shown is not None:
            rows.append(_row(mount, shown, namespace, root))
    return rows


def _row(mount: ModelMount, path: str, namespace: ModelNamespace, root: Place) -> MountRow:
    superblock = mount.root.superblock
    master_group = mount.master.group if mount.master is not None else 0
    dominating = dominating_group(mount, namespace, root)
    return MountRow(
        mount.number, mount.parent.number if mount.parent is not None else mount.number, superblock.device,
        mount.root.shown(), path or "/", show(mount.attributes), mount.group, master_group,
        dominating if dominating != master_group else 0, mount.unbindable, superblock.fstype, mount.source,
        superblock.shown_options(),
    )  # fmt: skip


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
    for master in mount.masters():
        if any(peer.namespace is namespace and is_reachable(peer, peer.root, root) for peer in master.peers()):
            return master.group
    return 0
