"""How a path becomes a place, as path_resolution(7) has it."""

from __future__ import annotations

import errno

from mountplan.planner.attributes import NOSYMFOLLOW
from mountplan.planner.model.objects import ModelMount, ModelNode, Place, Process
from mountplan.planner.model.refused import WouldRefuse


def into_mounts(mount: ModelMount, node: ModelNode) -> Place:
    """The place, or what is mounted there, and upon that, and so on."""
    child = mount.above.get(node)
    if child is None:
        return mount, node
    top = child.topmost()
    return top, top.root


_PATH_MAX, _NAME_MAX = 4096, 255  # bytes: of a path with the null byte behind it, of a name
_SHORT = _NAME_MAX // 4  # characters of a name that is short enough in any case
_MOST_LINKS = 40  # that are followed for one path (MAXSYMLINKS)


def check_length(path: str) -> None:
    """ENAMETOOLONG for a path that no call takes (getname)."""
    if len(path) >= _PATH_MAX // 4 and len(path.encode("utf-8", "surrogateescape")) >= _PATH_MAX:
        raise WouldRefuse(errno.ENAMETOOLONG, f"the path is longer than {_PATH_MAX - 1} bytes")


def check_name_length(name: str) -> None:
    """ENAMETOOLONG for a name that filesystems do not take (simple_lookup)."""
    if len(name.encode("utf-8", "surrogateescape")) > _NAME_MAX:
        raise WouldRefuse(errno.ENAMETOOLONG, f"a name is longer than {_NAME_MAX} bytes")


def walk(process: Process, path: str, start: Place | None = None, *, directory: bool = False) -> Place:
    """Where `path` leads. What begins with a slash starts at the process's root, anything else at `start`.

    The start itself is not followed to what is mounted upon it. Raises ENOENT and ENOTDIR as the kernel does.
    """
    if path.startswith("/"):
        mount, node = process.root
    elif not path:
        raise WouldRefuse(errno.ENOENT, "the path is empty")
    else:
        mount, node = start or process.cwd
    check_length(path)
    names = _names(path)
    followed = 0
    while names:
        name = names.pop()
        if not node.is_directory:
            raise WouldRefuse(errno.ENOTDIR, f"{node.path} is not a directory")
        if name == "..":
            mount, node = _up(process, mount, node)
            continue
        if len(name) > _SHORT:
            check_name_length(name)
        child = node.children.get(name) or node.superblock.find(node, name)
        if child is None:
            raise WouldRefuse(errno.ENOENT, f"there is no {name} in {node.path}")
        if child.link is not None:
            followed += 1
            if followed > _MOST_LINKS or mount.attributes & NOSYMFOLLOW:
                raise WouldRefuse(errno.ELOOP, "a symbolic link is not followed: too many, or by nosymfollow")
            names += _names(child.link)
            if child.link.startswith("/"):
                mount, node = process.root
            continue
        upon = mount.above.get(child)  # as into_mounts(), which most steps of most walks need not ask
        if upon is None:
            node = child
        else:
            mount = upon.topmost()
            node = mount.root
    if not node.is_directory and (directory or path == "." or path.endswith(("/", "/."))):
        raise WouldRefuse(errno.ENOTDIR, f"{path} is not a directory")
    return mount, node


def _names(path: str) -> list[str]:
    """The names in a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name and name != "."]


def _up(process: Process, mount: ModelMount, node: ModelNode) -> Place:
    """`..`: never above the process's root, nor out of the highest mount; then on to what is mounted there."""
    if (mount, node) == process.root:
        return into_mounts(mount, node)
    if node is mount.root:
        above = mount
        while above.parent is not None:
            place = above.parent, above.mountpoint
            if place == process.root:
                return into_mounts(mount, node)
            above = above.parent
            if place[1] is not above.root:
                mount, node = place
                break
        else:
            return into_mounts(mount, node)
    assert node.parent is not None
    if not node.parent.is_within(mount.root):  # renamed to a place that the mount does not show (path_connected)
        raise WouldRefuse(errno.ENOENT, "the way up leads out of the mount")
    return into_mounts(mount, node.parent)


def is_reachable(mount: ModelMount, node: ModelNode, root: Place) -> bool:
    """Whether a walk from `root` could come to the place, mounts in between or not (is_path_reachable)."""
    while mount is not root[0] and mount.parent is not None:
        node, mount = mount.mountpoint, mount.parent
    return mount is root[0] and node.is_within(root[1])
