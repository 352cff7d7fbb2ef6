"""Copies of mounts and of whole trees of them (fs/namespace.c, clone_mnt and copy_tree)."""

from __future__ import annotations

import errno

from mountplan.planner.model.objects import ModelMount, ModelNode, Numbers, attach
from mountplan.planner.model.peers import add_slave_behind, add_slave_first, join_ring, set_shared
from mountplan.planner.model.refused import WouldRefuse, invalid
from mountplan.planner.model.rules import Rules
from mountplan.planner.model.unmounting import unmount_tree


def clone_mount(
    old: ModelMount, root: ModelNode, numbers: Numbers, rules: Rules, *, slave: bool = False, shared: bool = False
) -> ModelMount:
    """A copy of one mount, hanging nowhere, that shows `root`.

    It is a peer of the original if that is shared, and has the same master. With `slave` it is a slave of the original
    instead, if that has a group; with `shared` it gets a group of its own where it would have none
    (sharedsubtree.rst, 5b, "bind semantics").
    """
    mount = ModelMount(next(numbers.mounts), root, old.source)
    mount.attributes = old.attributes
    mount.frozen = old.frozen
    mount.unbindable = old.unbindable and rules.unbindable_is_copied
    mount.group = 0 if slave else old.group
    if shared and not mount.group:
        mount.group = next(numbers.groups)
    if mount.group:
        set_shared(mount)
    if mount.is_peer_of(old):
        join_ring(mount, old)
    if slave and old.group:
        add_slave_first(mount, old)
    elif old.master is not None:
        add_slave_behind(mount, old)
    return mount


def copy_tree(
    source: ModelMount,
    root: ModelNode,
    numbers: Numbers,
    rules: Rules,
    *,
    slave: bool = False,
    shared: bool = False,
    unbindable: bool = False,
    namespace_files: bool = False,
) -> ModelMount:
    """A copy of what is seen of a mount from `root` on, with the mounts in it; hangs nowhere yet.

    Unbindable mounts stay behind, and all below them, unless `unbindable` is set; so do files that stand for a mount
    namespace without `namespace_files`. EINVAL if the source itself is one of those, EPERM if a mount that would stay
    behind is locked, since that would show what it hides.
    """
    if source.unbindable and not unbindable:
        raise invalid("the mount is unbindable")
    if root.superblock.namespace_files and root.path.startswith("/mnt:[") and not namespace_files:
        raise invalid("the file of a mount namespace is not copied, as to peers and slaves of where it is mounted")
    copy = clone_mount(source, root, numbers, rules, slave=slave, shared=shared)
    waiting = [(child, copy) for child in reversed(source.children) if child.mountpoint.is_within(root)]
    while waiting:
        old, parent = waiting.pop()
        if old.unbindable and not unbindable:
            if old.locked:
                unmount_tree(copy, rules, lazy=False)
                raise WouldRefuse(errno.EPERM, "a mount below it is unbindable and locked")
            continue
        if not namespace_files and old.is_namespace_file:
            continue
        mount = clone_mount(old, old.root, numbers, rules, slave=slave, shared=shared)
        mount.locked = old.locked
        attach(mount, parent, old.mountpoint)
        waiting += [(child, mount) for child in reversed(old.children)]
    return copy
