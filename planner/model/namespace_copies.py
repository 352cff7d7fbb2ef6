"""How a mount namespace begins: with its lowest mount, as a copy of another one, or nameless around a detached tree."""

from __future__ import annotations

from mountplan.planner.attributes import RDONLY, STRICTATIME
from mountplan.planner.model.attaching import lock_tree
from mountplan.planner.model.copying import copy_tree
from mountplan.planner.model.objects import ModelMount, ModelNamespace, Numbers, Superblock, UserNamespace
from mountplan.planner.model.rules import Rules


def first_namespace(name: str, owner: UserNamespace, numbers: Numbers) -> tuple[ModelNamespace, ModelMount]:
    """A namespace and its lowest mount, which is empty and read-only (init_mount_tree).

    As on a real machine the root that processes see hangs on that one, so that pivot_root can be made.
    """
    bottom = ModelMount(next(numbers.mounts), Superblock("rootfs", "rootfs").root, "rootfs")
    bottom.attributes = RDONLY | STRICTATIME
    namespace = ModelNamespace(name, owner)
    namespace.root = bottom
    namespace.add([bottom])
    return namespace, bottom


def copy_namespace(
    old: ModelNamespace, name: str, owner: UserNamespace, numbers: Numbers, rules: Rules
) -> tuple[ModelNamespace, dict[ModelMount, ModelMount]]:
    """A copy of all mounts of a namespace, each a peer of the original where that is shared; and which is whose copy.

    For another owner they are slaves instead, and locked (copy_mnt_ns). Files that stand for namespaces are left out.
    """
    foreign = owner is not old.owner
    assert old.root is not None
    top = copy_tree(old.root, old.root.root, numbers, rules, slave=foreign, unbindable=True)
    if foreign:
        lock_tree(top)
    namespace = ModelNamespace(name, owner)
    namespace.root = top
    copies = top.tree()
    namespace.add(copies)
    originals = iter(old.root.tree())
    copy_of = {}
    for mount in copies:
        original = next(originals)
        while original.root is not mount.root:  # a namespace file, which has not been copied
            original = next(originals)
        copy_of[original] = mount
    return namespace, copy_of


def detached_namespace(
    top: ModelMount, owner: UserNamespace, origin: ModelNamespace | None, rules: Rules
) -> ModelNamespace:
    """The anonymous namespace of a tree that hangs nowhere (alloc_mnt_ns). `origin`: see Namespace."""
    namespace = ModelNamespace("", owner, anonymous=True, origin=origin, pass_on=rules.detached_pass_on)
    namespace.root = top
    namespace.add(top.tree())
    return namespace
