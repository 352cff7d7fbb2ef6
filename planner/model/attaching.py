"""Attaching a tree of mounts to a mount, and to all that receive from it.

From fs/namespace.c (attach_recursive_mnt, with its tables of what becomes of which mount) and fs/pnode.c
(propagate_mnt); Documentation/filesystems/sharedsubtree.rst, 5b to 5e and 8.
"""

from __future__ import annotations

import errno

from mountplan.planner.attributes import ATIME_MASK, NODEV, NODIRATIME, NOEXEC, NOSUID, RDONLY
from mountplan.planner.model.copying import copy_tree
from mountplan.planner.model.objects import (
    ModelMount,
    ModelNamespace,
    ModelNode,
    Numbers,
    UserNamespace,
    detach,
    make_visible,
    reattach,
    set_place,
)
from mountplan.planner.model.peers import following_group, forget_invented_groups, invent_groups, set_shared
from mountplan.planner.model.refused import WouldRefuse
from mountplan.planner.model.rules import Rules
from mountplan.planner.model.unmounting import unmount_tree

# MNT_LOCK_*: a less privileged user namespace may not take these away, nor change how access times are kept.
_FROZEN_IF_SET = RDONLY | NOSUID | NODEV | NOEXEC
FROZEN_TIMES = ATIME_MASK | NODIRATIME


def attach_tree(
    source: ModelMount,
    parent: ModelMount,
    mountpoint: ModelNode,
    numbers: Numbers,
    rules: Rules,
    *,
    owner: UserNamespace,
    mount_max: int,
) -> list[ModelMount]:
    """Attach a tree, and copies of it wherever the parent propagates to. Gives the roots of all, `source` last.

    `source` either hangs somewhere, and is moved, or hangs nowhere. `owner` is the user namespace that owns the
    caller's mount namespace; copies that arrive in a namespace of another owner are locked there. ENOSPC if a namespace
    would have more than `mount_max` mounts, ENOENT if what covers the root of `source`, or that itself, has been
    removed, so that nothing could come to lie upon it; nothing has changed then.
    """
    if source.topmost().root.removed:
        raise WouldRefuse(errno.ENOENT, "the directory that it shows has been removed")
    moving = source.parent is not None
    namespace = parent.namespace
    assert namespace is not None
    tree = [] if moving and not parent.shared else source.tree()  # it may be large, and is not asked for then
    if not moving:
        try:
            count(namespace, len(tree), mount_max)
        except WouldRefuse:
            namespace.pending = 0
            raise
    copies: list[ModelMount] = []
    if parent.shared:
        invent_groups(tree, numbers)
        try:
            _copy_to_receivers(parent, mountpoint, source, copies, numbers, rules, mount_max)
        except WouldRefuse:
            for copy in reversed(copies):
                assert copy.parent is not None and copy.parent.namespace is not None
                copy.parent.namespace.pending = 0
                unmount_tree(copy, rules, lazy=False)
            forget_invented_groups(tree)
            namespace.pending = 0
            raise
        for mount in tree:
            set_shared(mount)
    if moving:
        detach(source)
    elif source.namespace is not None:
        source.namespace.root = None
        for mount in tree:
            assert mount.namespace is not None
            mount.namespace.mounts.pop(mount, None)
            mount.namespace = None
    set_place(source, parent, mountpoint)
    copies.append(source)
    for copy in reversed(copies):
        _commit(copy, owner, rules)
    return copies


def count(namespace: ModelNamespace, more: int, mount_max: int) -> None:
    """Count mounts that are to come against the limit of their namespace (count_mounts, fs.mount-max)."""
    if len(namespace.mounts) + namespace.pending + more > mount_max:
        raise WouldRefuse(errno.ENOSPC, f"the namespace would have more than {mount_max} mounts (fs.mount-max)")
    namespace.pending += more


def lock_tree(top: ModelMount) -> None:
    """What came from a more privileged namespace stays together, and keeps what restricts it (lock_mnt_tree)."""
    for mount in top.tree():
        mount.frozen |= FROZEN_TIMES | (mount.attributes & _FROZEN_IF_SET)
        if mount is not top:
            mount.locked = True


def _commit(copy: ModelMount, owner: UserNamespace, rules: Rules) -> None:
    """Let a tree appear at its place; what was mounted there before comes to lie on top of it ("tucked")."""
    parent = copy.parent
    assert parent is not None
    namespace = parent.namespace
    assert namespace is not None
    foreign = namespace.owner is not owner
    if foreign:
        lock_tree(copy)
    there = parent.above.get(copy.mountpoint)
    if copy.namespace is None:
        namespace.add(copy.tree())
        namespace.pending = 0
    make_visible(copy)
    if there is not None:
        top = copy.topmost()
        reattach(there, top, top.root)
        if foreign and rules.covers_are_locked:
            lock_tree(copy)


def _copy_to_receivers(
    parent: ModelMount,
    mountpoint: ModelNode,
    source: ModelMount,
    copies: list[ModelMount],
    numbers: Numbers,
    rules: Rules,
    mount_max: int,
) -> None:
    """Make a copy of `source` for each mount that receives from `parent` and shows the mountpoint (propagate_mnt).

    Walks group by group. The copies within a group are peers of each other; the first of a group is a slave of the copy
    that its master's group got, or of the nearest one above if that got none.
    """
    marked: list[ModelMount] = []

    def mark(master: ModelMount | None) -> None:
        if master is not None and not master.marked:
            master.marked = True
            marked.append(master)

    mark(parent.master)
    copy = source
    try:
        group: ModelMount | None = parent
        while group is not None:
            slave, shared = (False, True) if group is parent else (True, group.shared)
            receiver = group.peer_next if group is parent else group
            if not (group is parent and receiver is group):
                while True:
                    if _wants_copy(receiver, mountpoint):
                        if slave:
                            copy = _copy_of_master(receiver, copy, source)
                        copy = copy_tree(copy, copy.root, numbers, rules, slave=slave, shared=shared)
                        set_place(copy, receiver, mountpoint)
                        mark(receiver.master)
                        copies.append(copy)
                        assert receiver.namespace is not None
                        count(receiver.namespace, len(copy.tree()), mount_max)
                        slave, shared = False, True
                    receiver = receiver.peer_next
                    if receiver is group:
                        break
            group = following_group(group, parent)
    finally:
        for mount in marked:
            mount.marked = False


def _wants_copy(receiver: ModelMount, mountpoint: ModelNode) -> bool:
    """Not those made just now, nor those that do not show the mountpoint, nor detached ones (need_secondary)."""
    return receiver.namespace is not None and not receiver.namespace.anonymous and mountpoint.is_within(receiver.root)


def _copy_of_master(receiver: ModelMount, last: ModelMount, source: ModelMount) -> ModelMount:
    """Of the copies that there are, the one whose slave the copy for `receiver` becomes (find_master).

    `marked` mounts are masters of mounts that have a copy already.
    """
    group = receiver
    while group.master is not None and not group.master.marked:
        group = group.master
    while not last.is_peer_of(source):
        parent = last.parent
        assert parent is not None
        if parent.master is group.master:
            if not parent.is_peer_of(group):
                assert last.master is not None
                last = last.master
            break
        assert last.master is not None
        last = last.master
    return last
