"""What the model is made of: filesystems with their directories, mounts, namespaces, processes and descriptors.

These objects are mutable and belong to one World; planner.table's values are what leaves it. Their names follow
Documentation/filesystems/sharedsubtree.rst. Lists that the kernel keeps in an order keep it here as well, because the
order decides which mount becomes whose master, and which copy is made first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import ClassVar


class ModelNode:
    """A file or directory of a superblock (the kernel's dentry): the same one for every mount that shows it.

    One that has been `removed` has no name any more, but what was mounted from there, or is open there, still has it.
    `mounted` are the mounts that hang on it, in whichever namespace. `link` is where a symbolic link leads. Of a
    directory that is `unknown`, it is not known what is in it, as in a superblock that is not complete.
    """

    __slots__ = ("children", "depth", "is_directory", "link", "mounted", "name", "parent", "path", "removed",
                 "superblock", "unknown")  # fmt: skip

    def __init__(self, superblock: Superblock, parent: ModelNode | None, name: str, is_directory: bool = True) -> None:
        self.superblock = superblock
        self.parent = parent
        self.name = name
        self.is_directory = is_directory
        self.children: dict[str, ModelNode] = {}
        self.mounted: dict[ModelMount, None] = {}
        self.removed = False
        self.link: str | None = None
        self.unknown = False
        if parent is None:
            self.depth = 0
            self.path = "/"
        else:
            self.depth = parent.depth + 1
            self.path = f"/{name}" if parent.parent is None else f"{parent.path}/{name}"

    def is_within(self, top: ModelNode) -> bool:
        """Whether this is `top`, or lies below it in the same filesystem (the kernel's is_subdir)."""
        node: ModelNode | None = self
        for _ in range(self.depth - top.depth):
            assert node is not None
            node = node.parent
        return node is top

    def shown(self) -> str:
        """The path as mountinfo has it for the root of a mount (seq_dentry)."""
        if self.removed:  # its parent may have been renamed since
            names = [self.name]
            above = self.parent
            while above is not None and above.parent is not None:
                names.append(above.name)
                above = above.parent
            return f"/{'/'.join(reversed(names))}//deleted"
        return self.path[1:] if self.superblock.namespace_files else self.path

    def remove(self) -> None:
        """Take the name away, and the names of all that is in it."""
        self._leave()
        self.superblock.has_lost = True
        going: list[ModelNode] = [self]
        while going:
            node = going.pop()
            node.removed = True
            going += node.children.values()
            node.children = {}

    def rename(self, parent: ModelNode, name: str) -> None:
        """Give it another name, maybe in another directory; what has that name must be gone by then (d_move)."""
        self._leave()
        self.parent, self.name = parent, name
        parent.children[name] = self
        moved: list[ModelNode] = [self]
        for node in moved:  # grows while it is walked
            above = node.parent
            assert above is not None
            node.depth = above.depth + 1
            node.path = f"/{node.name}" if above.parent is None else f"{above.path}/{node.name}"
            moved += node.children.values()

    def _leave(self) -> None:
        assert self.parent is not None
        if self.parent.children.get(self.name) is self:
            del self.parent.children[self.name]

    def differs_in_kind(self, other: ModelNode) -> bool:
        """Whether one is a directory and the other is not, as far as that is known."""
        return self.is_directory != other.is_directory and self.is_known and other.is_known

    @property
    def is_known(self) -> bool:
        """Whether it is known what it is, and what is in it."""
        return self.superblock.complete and not self.unknown

    def __repr__(self) -> str:
        return f"<{self.superblock.name}:{self.path}>"


class Superblock:
    """One instance of a filesystem.

    Where `complete` is false, what lies in it is not known, as with a host's filesystem: every name that is asked for
    is then taken to exist, as a directory. Otherwise only what was made is there. `has_lost` says whether anything was
    ever removed from it.
    """

    __slots__ = ("complete", "device", "fstype", "has_lost", "name", "namespace_files", "options", "owner",
                 "read_only", "root")  # fmt: skip

    def __init__(self, name: str, fstype: str, *, device: str = "", options: str = "", complete: bool = True) -> None:
        self.name = name
        self.fstype = fstype
        self.device = device or f"={name}"
        self.options = options
        self.complete = complete
        self.owner: UserNamespace | None = None
        self.read_only = False
        self.has_lost = False
        self.namespace_files = fstype == "nsfs"
        self.root = ModelNode(self, None, "")

    def make(self, path: str, *, directory: bool = True) -> ModelNode:
        """The node at an absolute path; whatever is missing on the way to it is made, as directories."""
        node = self.root
        names = [name for name in path.split("/") if name]
        for name in names[:-1]:
            node = self._child(node, name, True)
        return self._child(node, names[-1], directory) if names else node

    def _child(self, node: ModelNode, name: str, directory: bool) -> ModelNode:
        child = node.children.get(name)
        if child is None:
            child = node.children[name] = ModelNode(self, node, name, directory)
        return child

    def shown_options(self) -> str:
        """mountinfo's last field: whether the filesystem can be written, and its own options."""
        state = "ro" if self.read_only else "rw"
        return ",".join((state, *(one for one in self.options.split(",") if one not in ("", "ro", "rw"))))

    def find(self, node: ModelNode, name: str) -> ModelNode | None:
        """The child of that name, or None."""
        child = node.children.get(name)
        if child is None and node.is_directory and (node.unknown or not self.complete):
            child = node.children[name] = ModelNode(self, node, name)
            child.unknown = node.unknown
        return child


class UserNamespace:
    """Who owns a mount namespace. Root of a user namespace may do everything in those that descend from it.

    Who is not `capable` is in it and not root there.
    """

    __slots__ = ("capable", "name", "parent")

    def __init__(self, name: str, parent: UserNamespace | None = None, *, capable: bool = True) -> None:
        self.name = name
        self.parent = parent
        self.capable = capable

    def rules_over(self, other: UserNamespace) -> bool:
        """Whether CAP_SYS_ADMIN in this one counts in `other` (user_namespaces(7))."""
        one: UserNamespace | None = other
        while one is not None:
            if one is self:
                return True
            one = one.parent
        return False


class ModelNamespace:
    """A mount namespace; with `anonymous`, the nameless one in which a detached tree lives as long as its descriptor.

    `origin` is the namespace from which a detached tree was cloned; None means from none, as fsmount(2) makes it.
    Mounts in one that does not `pass_on` count as new: their slaves receive nothing through them.
    """

    __slots__ = ("anonymous", "mounts", "name", "origin", "owner", "pass_on", "pending", "root")

    def __init__(
        self,
        name: str,
        owner: UserNamespace,
        *,
        anonymous: bool = False,
        origin: ModelNamespace | None = None,
        pass_on: bool = True,
    ) -> None:
        self.name = name
        self.owner = owner
        self.anonymous = anonymous
        self.origin = origin
        self.pass_on = pass_on
        self.root: ModelMount | None = None
        self.mounts: dict[ModelMount, None] = {}
        self.pending = 0  # mounts counted against the limit, but not in `mounts` yet

    def add(self, mounts: Iterable[ModelMount]) -> None:
        """The mounts, which are in no other, are in this one from now on (mnt_add_to_ns)."""
        for mount in mounts:
            mount.namespace = self
            self.mounts[mount] = None

    def __repr__(self) -> str:
        return f"<namespace {self.name}>"


class ModelMount:
    """One mount (the kernel's struct mount).

    `group` may be set before `shared` is, while a tree is being attached. `peer_next` and `peer_before` form the ring
    of a peer group; a mount alone is a ring of one. `slave_first`, `slave_next` and `slave_before` form the list of a
    master's slaves. `children` are in the order in which they came, `above` finds a child by its mountpoint; while
    mounts are being taken away, one that is gone from `children` still stands in `above`. `cover` is the child mounted
    on this one's own root. `users` counts the processes and descriptors that hold it.
    """

    __slots__ = ("above", "attributes", "candidate", "children", "cover", "frozen", "group", "leaving",
                 "locked", "marked", "master", "mountpoint", "namespace", "number", "parent", "peak", "peer_before",
                 "peer_next", "root", "shared", "slave_before", "slave_first", "slave_next", "source", "unbindable",
                 "users")  # fmt: skip

    def __init__(self, number: int, root: ModelNode, source: str) -> None:
        self.number = number
        self.root = root
        self.source = source
        self.namespace: ModelNamespace | None = None
        self.parent: ModelMount | None = None
        self.mountpoint = root
        self.children: dict[ModelMount, None] = {}
        self.above: dict[ModelNode, ModelMount] = {}
        self.cover: ModelMount | None = None
        self.group = 0
        self.shared = False
        self.unbindable = False
        self.master: ModelMount | None = None
        self.peer_next: ModelMount = self
        self.peer_before: ModelMount = self
        self.slave_first: ModelMount | None = None
        self.slave_next: ModelMount | None = None
        self.slave_before: ModelMount | None = None
        self.attributes = 0  # planner.attributes' bits
        self.frozen = 0  # those of them that a less privileged user namespace may not change
        self.locked = False  # may not be moved or unmounted by itself, nor be uncovered
        self.leaving = False
        self.marked = False
        self.candidate = False
        self.users = 0
        self.peak: tuple[int, ModelMount] = 0, self

    # How often any mount has been detached, and one that covered another's root. What is remembered of a stack holds
    # until the latter: more may come on top of it.
    detachings: ClassVar[int] = 0
    uncoverings: ClassVar[int] = 0

    @property
    def superblock(self) -> Superblock:
        return self.root.superblock

    @property
    def is_new(self) -> bool:
        """Copied just now, and in no namespace yet; or in one that counts as none."""
        return self.namespace is None or not self.namespace.pass_on

    @property
    def is_namespace_file(self) -> bool:
        return self.superblock.namespace_files and self.root.path.startswith("/mnt:[")

    def is_peer_of(self, other: ModelMount) -> bool:
        return self.group == other.group and self.group != 0

    def tree(self) -> list[ModelMount]:
        """This mount and all below it, parents before children, children in the order in which they came (next_mnt)."""
        found: list[ModelMount] = []
        waiting: list[ModelMount] = [self]
        while waiting:
            mount = waiting.pop()
            found.append(mount)
            if mount.children:
                waiting += reversed(mount.children)
        return found

    def has_ancestor(self, other: ModelMount) -> bool:
        """Whether `other` is this mount, or its parent, or its parent's parent..."""
        mount: ModelMount | None = self
        while mount is not None:
            if mount is other:
                return True
            mount = mount.parent
        return False

    def topmost(self) -> ModelMount:
        """What covers what covers... this mount's root; itself, if nothing does."""
        if self.cover is None:
            return self
        now, mount = ModelMount.uncoverings, self
        while mount.cover is not None:
            mount = mount.peak[1] if mount.peak[0] == now and mount.peak[1] is not mount else mount.cover
        self.peak = now, mount
        return mount

    def peers(self) -> Iterator[ModelMount]:
        """The peer group, this mount first, in the order of the ring."""
        yield self
        mount = self.peer_next
        while mount is not self:
            yield mount
            mount = mount.peer_next

    def masters(self) -> Iterator[ModelMount]:
        """Its master, the master of that, and so on."""
        mount = self.master
        while mount is not None:
            yield mount
            mount = mount.master

    def slaves(self) -> Iterator[ModelMount]:
        """The slaves of this very mount, not of its peers."""
        mount = self.slave_first
        while mount is not None:
            yield mount
            mount = mount.slave_next

    def __repr__(self) -> str:
        return f"<mount {self.number} {self.root!r}>"


Place = tuple[ModelMount, ModelNode]  # where a path ends (the kernel's struct path)


class Process:
    """One who makes calls: the namespace it is in, its root and working directory, and its user namespace."""

    __slots__ = ("cwd", "name", "namespace", "root", "user")

    def __init__(self, name: str, namespace: ModelNamespace, root: Place, user: UserNamespace) -> None:
        self.name = name
        self.namespace = namespace
        self.root = root
        self.cwd = root
        self.user = user


class ModelHandle:
    """An open descriptor on a place; with `detached`, closing it takes a tree away that was never attached."""

    __slots__ = ("detached", "open", "place")

    def __init__(self, place: Place, *, detached: bool = False) -> None:
        self.place = place
        self.detached = detached
        self.open = True


class Numbers:
    """What is handed out once in a World: ids of mounts and of peer groups. Both only grow (mount ids as
    statmount(2)'s unique ones do; group ids are equal to the kernel's up to renaming only)."""

    def __init__(self) -> None:
        self.mounts, self.groups = count(1), count(1)


def attach(mount: ModelMount, parent: ModelMount, mountpoint: ModelNode) -> None:
    """Hang a mount below `parent`; it becomes visible, last among the children (attach_mnt)."""
    set_place(mount, parent, mountpoint)
    make_visible(mount)


def set_place(mount: ModelMount, parent: ModelMount, mountpoint: ModelNode) -> None:
    """Say where a mount will hang, while `parent` does not show it yet (mnt_set_mountpoint)."""
    mount.parent = parent
    mount.mountpoint = mountpoint


def make_visible(mount: ModelMount) -> None:
    parent = mount.parent
    assert parent is not None
    if mount.mountpoint is parent.root:
        parent.cover = mount
    parent.above[mount.mountpoint] = mount
    parent.children[mount] = None
    mount.mountpoint.mounted[mount] = None


def detach(mount: ModelMount) -> None:
    """Take a mount from its parent (umount_mnt)."""
    parent = mount.parent
    assert parent is not None
    ModelMount.detachings += 1
    ModelMount.uncoverings += mount.mountpoint is parent.root
    if parent.cover is mount:
        parent.cover = None
    parent.children.pop(mount, None)
    if parent.above.get(mount.mountpoint) is mount:  # another one may have been slid into its place
        del parent.above[mount.mountpoint]
    mount.mountpoint.mounted.pop(mount, None)
    mount.parent = None
    mount.mountpoint = mount.root


def take_out(mount: ModelMount) -> None:
    """Mark a mount as leaving: neither its parent nor its namespace shows it any more."""
    assert mount.parent is not None
    mount.leaving = True
    mount.parent.children.pop(mount, None)
    if mount.namespace is not None:
        mount.namespace.mounts.pop(mount, None)


def reattach(mount: ModelMount, parent: ModelMount, mountpoint: ModelNode) -> None:
    """Hang a mount elsewhere (mnt_change_mountpoint)."""
    detach(mount)
    attach(mount, parent, mountpoint)
