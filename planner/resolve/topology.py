"""Topology: a spec with every name resolved, every default filled in, superblocks and sharing groups found. Frozen.

planner/resolve/resolve.py makes it. Nothing here knows in which order things will be done.
"""

from __future__ import annotations

from typing import Literal

from mountplan.planner.attributes import Change, change
from mountplan.planner.host import HostPath
from mountplan.planner.names import Alteration, Brings, Handle, IdLines, LeftOut, Lock, Moved, NodeKind
from mountplan.planner.paths import ROOT, TargetPath
from mountplan.planner.record import NamedTuple
from mountplan.planner.run_settings import RunSettings

# What can be said about the inside of a filesystem before it is mounted:
#   own     it starts empty, and all that will be in it is in the spec
#   kernel  the kernel fills it; nothing can be created in it
#   opaque  an image, an overlay, a network filesystem: something is in it, and things can be created
#   host    it is mounted on the host already, and the host can be asked
Inside = Literal["own", "kernel", "opaque", "host"]


class ResolvedNode(NamedTuple):
    """Something that must exist in a filesystem at `path`. `declared` ones are the spec's, the others mountpoints."""

    path: TargetPath
    kind: NodeKind
    declared: bool
    origin: str
    mode: int = -1
    uid: int = -1
    gid: int = -1
    content: str = ""
    source: str = ""
    link: str = ""
    device: tuple[int, int] = (0, 0)


class LayerRef(NamedTuple):
    """A directory of an overlay: `path` in the filesystem `filesystem`, or on the host if that is "".

    `uids` and `gids` are the id-mapping through which it is taken, as those of a mount. A `data` layer is not seen.
    """

    filesystem: Handle
    path: TargetPath
    uids: IdLines = ()
    gids: IdLines = ()
    data: bool = False


class ImagePart(NamedTuple):
    """Where an image is: `path` on the host, or in the filesystem `holder`; and of it `size` bytes from `offset` on,
    all to the end if that is 0. Without a path it is none.
    """

    path: str = ""
    holder: Handle = ""
    offset: int = 0
    size: int = 0


class ResolvedFilesystem(NamedTuple):
    """One superblock.

    `made` filesystems are created by the plan, the others are the host's. `workbench` says whether mounts are cloned
    from a workbench in the yard; otherwise its one mount is the filesystem's own. `seal` makes it read-only when all
    nodes are in it, since the spec's options say `ro`. `contents` is a directory of the host that it is filled with
    first, which makes it opaque. `host_path` is where the host has the part that is needed. `namespace` is the identity
    of a namespace, if this is the file of one.
    """

    name: Handle
    fstype: str
    inside: Inside
    origin: str
    source: str = ""
    options: tuple[tuple[str, str | bool], ...] = ()
    image: ImagePart = ImagePart()
    contents: str = ""
    layers: tuple[LayerRef, ...] = ()
    upper: LayerRef | None = None
    work: LayerRef | None = None
    nodes: tuple[ResolvedNode, ...] = ()
    workbench: bool = True
    seal: bool = False
    host_path: str = ""
    host_root: TargetPath = ROOT
    namespace: str = ""

    @property
    def known(self) -> bool:
        """True if all that will be in it is known before it is made."""
        return self.inside == "own" or bool(self.contents)

    @property
    def made(self) -> bool:
        return self.inside != "host"


class ResolvedMount(NamedTuple):
    """One mount of the finished tree.

    `root` is the path in `filesystem` that is mounted; `host` is set if that is a path of the host. `parent` is None
    for the root of the namespace, and `place` is the mountpoint, counted from the parent's own root. `target` is
    where the spec wants it. `mountpoint` says how the mountpoint comes to be: it is a node of the parent's filesystem
    already ("node"), it must be made in the parent before that is attached ("like": what the mount's root turns out to
    be), or it has to exist ("exists"). `missing` is what is made for it, on request, in a filesystem of the host: paths
    within the parent, a directory before what is in it. `words` are its attributes, of which a bind has some of its
    source, and `change` what they come to; `below_words` are those of what a `recursive` one brings along, and with
    `below_idmap` that is id-mapped as it is. `brings` is what the spec says of the sharing of that.
    `subvolume` is true if the root has to be one of btrfs, as the spec says.
    """

    name: Handle
    origin: str
    target: TargetPath
    filesystem: Handle
    root: TargetPath
    parent: Handle | None
    place: TargetPath
    mountpoint: Literal["node", "like", "exists"]
    missing: tuple[ResolvedNode, ...]
    host: HostPath | None
    recursive: bool
    inherits: Literal["", "slave"]
    brings: Brings
    words: tuple[str, ...]
    change: Change
    below_words: tuple[str, ...]
    below_idmap: bool
    uids: IdLines
    gids: IdLines
    unbindable: bool
    deleted: bool
    subvolume: bool
    group: str
    master: str
    lock: Lock = ""

    @property
    def recursive_attributes(self) -> bool:
        """True if what it brings along has the attributes that it has itself."""
        return change(self.below_words) == self.change and self.below_idmap == bool(self.uids)


class SharingGroup(NamedTuple):
    """One sharing group: a peer group, or the slaves of `master` that are in no peer group (`shared` is False).

    A peer group of the plan's own without `members` lives on for those who receive from it: its seed is kept.

    `host` is set for a group of the host's own. `span` is the path in `filesystem` that contains the roots of all its
    members and of all that receive from it: what its seed's root must contain.
    """

    name: str
    origin: str
    shared: bool
    master: str
    host: HostPath | None
    filesystem: Handle
    span: TargetPath
    members: tuple[Handle, ...]


class ResolvedUser(NamedTuple):
    """A user namespace that is made for mount namespaces; `within` is the one that it is made in, "" for ours."""

    name: Handle
    origin: str
    uids: IdLines
    gids: IdLines
    within: Handle


class ResolvedNamespace(NamedTuple):
    """One mount namespace: its mounts, in the order of the spec. `user` owns it, "" for the one that builds.

    `altered` is what is changed of the tree that it inherits, before anything is mounted on that.
    """

    name: str
    mounts: tuple[ResolvedMount, ...]
    user: Handle = ""
    altered: tuple[Alteration, ...] = ()


class Topology(NamedTuple):
    """What the spec means."""

    name: str
    file: str
    lines: tuple[tuple[str, int], ...]
    filesystems: tuple[ResolvedFilesystem, ...]
    groups: tuple[SharingGroup, ...]
    namespaces: tuple[ResolvedNamespace, ...]
    run: RunSettings
    left_out: tuple[LeftOut, ...] = ()
    moved: tuple[Moved, ...] = ()
    users: tuple[ResolvedUser, ...] = ()
