"""What the calls ask before they do anything (fs/namespace.c; the functions' names are in the docstrings)."""

from __future__ import annotations

import errno

from mountplan.planner.propagation.attaching import FROZEN_TIMES
from mountplan.planner.propagation.objects import Mount, Node, Process
from mountplan.planner.propagation.refused import WouldRefuse, invalid
from mountplan.planner.propagation.sharing import would_cover


def check_frozen(mount: Mount, attributes: int) -> None:
    """EPERM if locked attributes would change (can_change_locked_flags)."""
    frozen = mount.frozen
    if frozen and (
        (frozen & ~FROZEN_TIMES) & ~attributes
        or (frozen & FROZEN_TIMES and (mount.attributes ^ attributes) & FROZEN_TIMES)
    ):
        raise WouldRefuse(errno.EPERM, "an attribute is locked, as a more privileged user has set it")


def check_not_removed(node: Node) -> None:
    """ENOENT if it has no name any more: nothing can be mounted on it or made in it (cant_mount, IS_DEADDIR)."""
    if node.removed:
        raise WouldRefuse(errno.ENOENT, f"{node.path} has been removed")


def has_locked_children(mount: Mount, node: Node) -> bool:
    """Whether a copy from `node` on would show what a locked mount hides (has_locked_children)."""
    return any(child.locked and child.mountpoint.is_within(node) for child in mount.children)


def is_detached_root(mount: Mount) -> bool:
    """Whether the mount is the root of a tree that was never attached (anon_ns_root)."""
    return mount.namespace is not None and mount.namespace.anonymous and mount.parent is None


def is_own_detached(process: Process, mount: Mount) -> bool:
    """Whether the mount is in a detached tree that the caller's namespace may use (check_anonymous_mnt)."""
    namespace = mount.namespace
    if namespace is None or not namespace.anonymous:
        return False
    return namespace.origin is None or namespace.origin is process.namespace


def check_beneath(process: Process, mount: Mount, over: Mount, parent: Mount, mountpoint: Node) -> None:
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
