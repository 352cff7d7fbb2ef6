"""Calls that change names in a filesystem, and what becomes of the mounts there (fs/namei.c).

Linux 3.18 and later: a name that is a mountpoint in other namespaces only may go; what was mounted there goes with it.
"""

from __future__ import annotations

import errno

from mountplan.planner.attributes import RDONLY
from mountplan.planner.model.checks import check_not_removed
from mountplan.planner.model.objects import ModelMount, ModelNode, Process, detach
from mountplan.planner.model.refused import WouldRefuse, invalid
from mountplan.planner.model.rules import Rules
from mountplan.planner.model.unmounting import unmount_tree
from mountplan.planner.model.walking import check_length, check_name_length, walk


def make(process: Process, path: str, *, directory: bool, parents: bool) -> None:
    """mkdir(2), or with directory=False open(2) with O_CREAT; with `parents`, as mkdir -p.

    EEXIST if the name is there already, unless it is a file that is to be made, or with `parents`.
    """
    if parents:
        names = [name for name in path.split("/") if name]
        for count in range(1, len(names)):
            above = "/" * path.startswith("/") + "/".join(names[:count])
            try:
                walk(process, above, directory=True)
            except WouldRefuse as refusal:
                if refusal.errno != errno.ENOENT:
                    raise
                make(process, above, directory=True, parents=False)
    mount, node, name = _walk_to_last(process, path.rstrip("/") or path)
    if not name or name in node.children:
        if not directory:
            there, node = walk(process, path)
            if node.is_directory and node.is_known:
                raise WouldRefuse(errno.EISDIR, f"{path} is a directory")
            if node.superblock.namespace_files:
                raise WouldRefuse(errno.EPERM, "the file of a namespace is never written")
            _check_writable(there)
            return
        if parents and (not name or walk(process, path)[1].is_directory):
            return
        raise WouldRefuse(errno.EEXIST, f"{path} is there already")
    _check_writable(mount)
    check_not_removed(node)
    node.children[name] = ModelNode(node.superblock, node, name, directory)


def make_link(process: Process, path: str, target: str) -> None:
    """symlink(2)."""
    mount, node, name = _walk_to_last(process, path)
    if not name or name in node.children:
        raise WouldRefuse(errno.EEXIST, f"{path} is there already")
    _check_writable(mount)
    check_not_removed(node)
    made = node.children[name] = ModelNode(node.superblock, node, name, False)
    made.link = target


def remove(process: Process, path: str, rules: Rules, *, directory: bool) -> None:
    """rmdir(2), or with directory=False unlink(2) (vfs_rmdir, vfs_unlink).

    EBUSY if something is mounted there in the caller's namespace. What is mounted there in others is unmounted, without
    propagation.
    """
    mount, above, name = _walk_to_last(process, path)
    if name in ("", ".", ".."):
        if not directory:
            raise WouldRefuse(errno.EISDIR, "it is a directory")
        number = {"": errno.EBUSY, ".": errno.EINVAL, "..": errno.ENOTEMPTY}[name]
        raise WouldRefuse(number, "the root, . and .. cannot be removed")
    _check_writable(mount)
    node = _find(above, name)
    _check_kind(node, directory=directory)
    _check_no_mountpoint(process, node)
    _take_away(node, path, rules)


def rename(process: Process, old: str, new: str, rules: Rules) -> None:
    """rename(2) (do_renameat2, vfs_rename).

    EBUSY if something is mounted at either in the caller's namespace. What is mounted at `old` in others moves along;
    what is mounted at `new` is unmounted, without propagation.
    """
    mount, above, name = _walk_to_last(process, old)
    other, new_above, new_name = _walk_to_last(process, new)
    if mount is not other:
        raise WouldRefuse(errno.EXDEV, "the two are not in the same mount")
    for one in (name, new_name):
        if one in ("", ".", ".."):
            raise WouldRefuse(errno.EBUSY, "the root, . and .. cannot be renamed")
    _check_writable(mount)
    node = _find(above, name)
    target = new_above.children.get(new_name)
    if new_above.is_within(node):
        raise invalid("the target is in the directory that is renamed")
    if target is not None and above.is_within(target):
        raise WouldRefuse(errno.ENOTEMPTY, f"{new} is not empty")
    if node is target:
        return
    if target is not None:
        _check_kind(target, directory=node.is_directory)
    _check_no_mountpoint(process, node)
    if target is not None:
        _check_no_mountpoint(process, target)
        _take_away(target, new, rules)
    node.rename(new_above, new_name)


def _walk_to_last(process: Process, path: str) -> tuple[ModelMount, ModelNode, str]:
    """Where the directory of the last name of `path` is, and that name, which need not be there (filename_parentat)."""
    head, _, name = path.rpartition("/")
    check_length(path)
    mount, node = walk(process, head or ("/" if path.startswith("/") else "."), directory=True)
    check_name_length(name)
    return mount, node, name


def _find(above: ModelNode, name: str) -> ModelNode:
    node = above.superblock.find(above, name)
    if node is None:
        raise WouldRefuse(errno.ENOENT, f"there is no {name} in {above.path}")
    return node


def _check_writable(mount: ModelMount) -> None:
    """EROFS on a read-only mount or filesystem (mnt_want_write)."""
    if mount.superblock.read_only or mount.attributes & RDONLY:
        raise WouldRefuse(errno.EROFS, "the filesystem is read-only there")


def _check_kind(node: ModelNode, *, directory: bool) -> None:
    """EISDIR or ENOTDIR if it is not of the kind that is to go (may_delete)."""
    if node.is_directory != directory:
        if node.is_directory:
            raise WouldRefuse(errno.EISDIR, f"{node.path} is a directory")
        raise WouldRefuse(errno.ENOTDIR, f"{node.path} is not a directory")


def _check_no_mountpoint(process: Process, node: ModelNode) -> None:
    """EBUSY, but only if it is a mountpoint in the caller's own namespace (is_local_mountpoint)."""
    if any(mount.namespace is process.namespace for mount in node.mounted):
        raise WouldRefuse(errno.EBUSY, f"something is mounted on {node.path} in the caller's namespace")


def _take_away(node: ModelNode, path: str, rules: Rules) -> None:
    """ENOTEMPTY, or the node goes, and what is mounted on it as well, wherever that is (__detach_mounts)."""
    if node.children:
        raise WouldRefuse(errno.ENOTEMPTY, f"{path} is not empty")
    node.remove()
    for mount in list(reversed(node.mounted)):
        if mount not in node.mounted:
            continue
        if mount.namespace is None:
            detach(mount)
        else:
            unmount_tree(mount, rules, connected=True)
