"""What the calls ask before they do anything (fs/namespace.c; the functions' names are in the docstrings)."""

from __future__ import annotations

import errno

from mountplan.planner.model.attaching import FROZEN_TIMES
from mountplan.planner.model.objects import ModelMount, ModelNode, Place, Process
from mountplan.planner.model.peers import would_cover
from mountplan.planner.model.refused import WouldRefuse, invalid
from mountplan.planner.model.rules import Rules
from mountplan.planner.model.walking import into_mounts, is_reachable

NO_CAPABILITY = "the process has no id in its user namespace, and so no capability"


def check_may_mount(process: Process) -> None:
    """EPERM without CAP_SYS_ADMIN in the user namespace that owns the mount namespace (may_mount)."""
    if not process.user.rules_over(process.namespace.owner):
        if not process.user.capable:
            raise WouldRefuse(errno.EPERM, NO_CAPABILITY)
        raise WouldRefuse(errno.EPERM, "CAP_SYS_ADMIN over the mount namespace is needed")


def check_own(process: Process, mount: ModelMount) -> None:
    """EINVAL if the mount is elsewhere than the caller (check_mnt)."""
    if mount.namespace is not process.namespace:
        raise invalid("the mount is not in the caller's namespace")


def check_may_change(process: Process, mount: ModelMount) -> None:
    """EINVAL if the mount is in no namespace, EPERM if in one of a more privileged user (may_change_propagation)."""
    if mount.namespace is None:
        raise invalid("the mount has been unmounted")
    if not process.user.rules_over(mount.namespace.owner):
        raise WouldRefuse(errno.EPERM, "the mount is in a namespace of a more privileged user")


def lock_target(place: Place) -> Place:
    """The mount and the mountpoint that something would be mounted on: whatever is topmost there (lock_mount)."""
    if place[0].namespace is None:
        raise WouldRefuse(errno.ENOENT, "the mount has been unmounted")
    found = into_mounts(*place)
    check_not_removed(found[1])
    return found


def check_frozen(mount: ModelMount, attributes: int) -> None:
    """EPERM if locked attributes would change (can_change_locked_flags)."""
    frozen = mount.frozen
    changes_times = frozen & FROZEN_TIMES and (mount.attributes ^ attributes) & FROZEN_TIMES
    if frozen & ~FROZEN_TIMES & ~attributes or changes_times:
        raise WouldRefuse(errno.EPERM, "an attribute is locked, as a more privileged user has set it")


def check_not_removed(node: ModelNode) -> None:
    """ENOENT if it has no name any more: nothing can be mounted on it or made in it (cant_mount, IS_DEADDIR)."""
    if node.removed:
        raise WouldRefuse(errno.ENOENT, f"{node.path} has been removed")


def has_locked_children(mount: ModelMount, node: ModelNode) -> bool:
    """Whether a copy from `node` on would show what a locked mount hides (has_locked_children)."""
    return any(child.locked and child.mountpoint.is_within(node) for child in mount.children)


def is_detached_root(mount: ModelMount) -> bool:
    """Whether the mount is the root of a tree that was never attached (anon_ns_root)."""
    return mount.namespace is not None and mount.namespace.anonymous and mount.parent is None


def is_own_detached(process: Process, mount: ModelMount) -> bool:
    """Whether the mount is in a detached tree that the caller's namespace may use (check_anonymous_mnt)."""
    namespace = mount.namespace
    if namespace is None or not namespace.anonymous:
        return False
    return namespace.origin is None or namespace.origin is process.namespace


def check_move(process: Process, mount: ModelMount, parent: ModelMount, rules: Rules) -> None:
    """EINVAL if `mount` cannot be taken from its place, or the caller may not attach it to `parent` (do_move_mount)."""
    if mount.namespace is process.namespace:
        if mount.parent is None or mount.locked:
            raise invalid("the source is locked, or the lowest mount of the namespace")
        check_own(process, parent)
        if mount.parent.shared:
            raise invalid("the parent of the source is shared")
    else:
        if not is_detached_root(mount):
            raise invalid("the source is neither in the caller's namespace nor the root of a detached tree")
        if mount.namespace is parent.namespace:
            raise invalid("the target is in the tree that is moved")
        is_detached = is_own_detached(process, parent) and rules.detached_sources
        if parent.namespace is not process.namespace and not is_detached:
            raise invalid("the target is not in the caller's namespace")


def check_beneath(
    process: Process, mount: ModelMount, over: ModelMount, parent: ModelMount, mountpoint: ModelNode
) -> None:
    """EINVAL if `mount` cannot go between `over` and its parent (can_move_mount_beneath)."""
    if over.locked:
        raise invalid("the mount at the target is locked")
    if mount.cover is not None:
        raise invalid("something covers the source")
    if over is process.root[0] or parent is process.namespace.root:
        raise invalid("nothing can be mounted beneath the root")
    if mount.has_ancestor(over):
        raise invalid("the source is in the tree that would come to lie above it")
    if would_cover(parent, over, mountpoint):
        raise invalid("the parent of the target propagates to the target itself")
    if mount.namespace is process.namespace and would_cover(parent, mount, mountpoint):
        raise invalid("the parent of the target propagates to the source")


def check_pivot(process: Process, new: Place, put_old: Place) -> None:
    """What pivot_root(2) asks: can `new` become the process's root, and what was its root go to `put_old`?"""
    new_mount, new_node = new
    old_mount, old_node = put_old
    root_mount, root_node = process.root
    # A mount without a parent counts as its own.
    for mount in (old_mount, new_mount.parent or new_mount, root_mount.parent or root_mount):
        if mount.shared:
            raise invalid("the parent of the old or the new root, or what the old root is put upon, is shared")
    check_own(process, root_mount)
    check_own(process, new_mount)
    if new_mount.locked:
        raise invalid("the new root is locked")
    if new_node.removed:
        raise WouldRefuse(errno.ENOENT, "the new root has been removed")
    if new_mount is root_mount or old_mount is root_mount:
        raise WouldRefuse(errno.EBUSY, "the new root, or the place for the old one, is on the current root mount")
    if root_node is not root_mount.root:
        raise invalid("the current root is not a mount point")
    if root_mount.parent is None:
        raise invalid("the current root is the lowest mount of the namespace")
    if new_node is not new_mount.root:
        raise invalid("the new root is not a mount point")
    if new_mount.parent is None:
        raise invalid("the new root is the lowest mount of the namespace")
    if not is_reachable(old_mount, old_node, new):
        raise invalid("the place for the old root is not below the new one")
    if not is_reachable(new_mount, new_node, process.root):
        raise invalid("the new root is not below the current one")
