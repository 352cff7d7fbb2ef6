"""The closed union of steps a plan is made of. A step is a value: it holds names, never descriptors.

Three kinds of names (handles) occur. A *filesystem* names a superblock; its workbench stands in the yard. A *seed*
names a sharing group; it stands in the yard too, or is held by a descriptor if the plan says so. A *mount* names one
mount of the finished tree and is held by a descriptor from the step that makes it to its Release.

`origin` tells which part of the spec a step is for; every error quotes it.
"""

from __future__ import annotations

from mountplan.planner.light import Literal
from mountplan.planner.names import Handle, IdLines, NodeKind
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

STAGE: Handle = "@stage"  # as the yard
YARD: Handle = "@yard"  # a name that no spec can give: ids are letters, digits, "-", "_", "." and "/"


class UnshareNamespace(NamedTuple):
    """A mount namespace of our own: a copy of the host's tree (unshare(2), CLONE_NEWNS)."""

    namespace: str
    origin: str
    kind: Literal["unshare_namespace"] = "unshare_namespace"

    def describe(self) -> str:
        return "unshare a mount namespace"


class OpenNamespace(NamedTuple):
    """Go on in another namespace: a copy of the first one with its yard, or, for the last, that first one itself."""

    namespace: str
    copy: bool
    origin: str
    kind: Literal["open_namespace"] = "open_namespace"

    def describe(self) -> str:
        return f"open namespace {self.namespace}" + (": a copy of the first, with its yard" if self.copy else "")


class CloseNamespace(NamedTuple):
    """The namespace is finished: hold it, and a view of its mount table, which is read when all of them are."""

    namespace: str
    origin: str
    kind: Literal["close_namespace"] = "close_namespace"

    def describe(self) -> str:
        return f"hold namespace {self.namespace}, to read it back".replace(" ,", ",")


class TakeHostGroup(NamedTuple):
    """A seed in the sharing group of the host mount at `path`: its clone is a peer of it, or, if `slave`, its slave.

    Must come before MakePrivate. `path` is canonical; the clone's root is that directory. A `parked` one is held by a
    descriptor until MakeYard, which comes later.
    """

    seed: Handle
    path: str
    slave: bool
    parked: bool
    origin: str
    kind: Literal["take_host_group"] = "take_host_group"

    def describe(self) -> str:
        how = "slave" if self.slave else "peer"
        return f"take {self.seed}: a {how} of the host's mount at {self.path}"


class MakeYard(NamedTuple):
    """A private tmpfs on top of "/", where no path walk comes by: the place for workbenches and seeds.

    Must come after MakePrivate, which would make the seeds in it private as well.
    """

    origin: str
    kind: Literal["make_yard"] = "make_yard"

    def describe(self) -> str:
        return "make the yard"


class MakePrivate(NamedTuple):
    """Cut the namespace's copy of the host tree off: every mount private, recursively."""

    origin: str
    kind: Literal["make_private"] = "make_private"

    def describe(self) -> str:
        return "make every inherited mount private"


class MakeIdMap(NamedTuple):
    """A user namespace that exists for its id-mapping only; held until its Release.

    `uids` and `gids` are lines of (first id in the filesystem, first id seen, count). Must come before MakeYard: the
    kernel creates no user namespace for a process whose "/" is covered, since it looks like a chroot (EPERM).
    """

    id_map: Handle
    uids: IdLines
    gids: IdLines
    origin: str
    kind: Literal["make_id_map"] = "make_id_map"

    def describe(self) -> str:
        return f"make id-mapping {self.id_map}"


class MakeUserNamespace(NamedTuple):
    """A user namespace that will own mount namespaces, made in `within` or, if that is "", in ours; held until its
    Release.

    `uids` and `gids` are lines of (first id inside, first id outside, count). Must come before MakeYard, as MakeIdMap.
    """

    user: Handle
    uids: IdLines
    gids: IdLines
    within: Handle
    origin: str
    kind: Literal["make_user_namespace"] = "make_user_namespace"

    def describe(self) -> str:
        return f"make user namespace {self.user}" + (f" in {self.within}" if self.within else "")


class MakeStage(NamedTuple):
    """A private tmpfs in the yard, in which what will be locked is built: all that its copy for another user has."""

    namespace: str
    origin: str
    kind: Literal["make_stage"] = "make_stage"

    def describe(self) -> str:
        return "make a stage for what will be locked"


class OwnNamespace(NamedTuple):
    """Enter the stage, and go on in a copy of it that belongs to `user`: what stands there is locked by that.

    The stage takes the place of the yard. Workbenches and seeds stay where they are, in the first namespace.
    """

    namespace: str
    user: Handle
    origin: str
    kind: Literal["own_namespace"] = "own_namespace"

    def describe(self) -> str:
        return f"go on in a copy that belongs to {self.user}"


class TakeLocked(NamedTuple):
    """`mount` is now a clone, with all below it, of what was locked at `place` of the stage: below it, it still is."""

    mount: Handle
    place: str
    origin: str
    kind: Literal["take_locked"] = "take_locked"

    def describe(self) -> str:
        return f"clone {self.mount} with what is locked on it"


class FindLocked(NamedTuple):
    """A descriptor of `mount`, which is locked: what a walk ends on that begins at `top` and takes `path`."""

    mount: Handle
    top: Handle
    path: str
    origin: str
    kind: Literal["find_locked"] = "find_locked"

    def describe(self) -> str:
        return f"find {self.mount} on {self.top}"


class MakeFilesystem(NamedTuple):
    """A new superblock (fsopen, fsconfig, fsmount), as workbench in the yard or, if `mount` is named, as that mount.

    `options` are pairs (key, value); a value of True is a flag. `source` is the label or device that the kernel shows.
    """

    filesystem: Handle
    mount: Handle  # "" for a workbench
    fstype: str
    source: str
    options: tuple[tuple[str, str | bool], ...]
    origin: str
    kind: Literal["make_filesystem"] = "make_filesystem"

    def describe(self) -> str:
        options = ",".join(key if value is True else f"{key}={value}" for key, value in self.options)
        what = f"new {self.fstype} {self.mount or self.filesystem}"
        return what + (f" ({options})" if options else "")


class AttachImage(NamedTuple):
    """A new superblock from an image file through a loop device that frees itself; otherwise as MakeFilesystem.

    `image` is a path on the host, or a relative one in the filesystem `holder` if that is named. Of it, `size` bytes
    from `offset` on are taken, or all to the end if that is 0.
    """

    filesystem: Handle
    mount: Handle
    fstype: str
    image: str
    holder: Handle
    offset: int
    size: int
    read_only: bool
    options: tuple[tuple[str, str | bool], ...]
    origin: str
    kind: Literal["attach_image"] = "attach_image"

    def describe(self) -> str:
        where = f"{self.holder}:/{self.image}" if self.holder else self.image
        part = f" at {self.offset:,}" if self.offset else ""
        return f"new {self.fstype} {self.mount or self.filesystem} from image {where}{part}"


class Layer(NamedTuple):
    """A directory that an overlay is made of: a path in a filesystem of the plan or, if that is "", on the host.

    It is taken through a clone that is id-mapped if `id_map` is named, which only a lower layer may be. Of a `data`
    layer nothing is seen, but files of layers above may have their contents there.
    """

    filesystem: Handle
    path: str
    id_map: Handle = ""
    data: bool = False

    def __str__(self) -> str:
        return f"{self.filesystem}:{self.path}" if self.filesystem else self.path


class MakeOverlay(NamedTuple):
    """A new overlay superblock. `layers` has the topmost first; `upper` and `work` are both given or both None."""

    filesystem: Handle
    mount: Handle
    source: str
    layers: tuple[Layer, ...]
    upper: Layer | None
    work: Layer | None
    options: tuple[tuple[str, str | bool], ...]
    origin: str
    kind: Literal["make_overlay"] = "make_overlay"

    def describe(self) -> str:
        return (
            f"new overlay {self.mount or self.filesystem} of {len(self.layers)} layer{'s' * (len(self.layers) > 1)}"
            + (", id-mapped," if any(layer.id_map for layer in self.layers) else "")
            + (f" below {self.upper}" if self.upper else ", read-only")
        )


class CloneHostWorkbench(NamedTuple):
    """A workbench for a filesystem of the host: a clone, without children, of the host mount at `path`; or of the
    file there of the namespace `namespace`, as CloneHost.
    """

    filesystem: Handle
    path: str
    namespace: str
    origin: str
    kind: Literal["clone_host_workbench"] = "clone_host_workbench"

    def describe(self) -> str:
        return f"workbench {self.filesystem}: clone the host's mount at {self.path}"


class MakeNode(NamedTuple):
    """A file, directory, symlink, fifo, socket or device node at `path` of a workbench or of a mount not yet attached.

    `content` is what a file gets, as text in which bytes that are not UTF-8 are surrogate escapes; `source` a host
    file to copy instead; `link` where a symlink points. `device` is (major, minor). `mode`, `uid` and `gid` of -1 leave
    what the creation gives (0755 for a directory, 0644 for a file, the builder's ids). `existing` accepts a node of
    the same type that is there already. `careful` walks the path without following a symlink: the contents are not
    ours.
    """

    within: Handle
    path: str  # relative, without a leading slash
    node: NodeKind
    mode: int
    uid: int
    gid: int
    content: str
    source: str
    link: str
    device: tuple[int, int]
    existing: bool
    careful: bool
    origin: str
    kind: Literal["make_node"] = "make_node"

    def describe(self) -> str:
        return f"make {self.node} {self.within}:/{self.path}"


class CopyContents(NamedTuple):
    """Copy all that is in the host's directory `source` (canonical) into a new filesystem, and make its root alike."""

    within: Handle
    source: str
    origin: str
    kind: Literal["copy_contents"] = "copy_contents"

    def describe(self) -> str:
        return f"copy {self.source} into {self.within}"


class MakeMountpoint(NamedTuple):
    """Make sure that `path` exists, as a file or directory like the root of `like` (a mount not yet attached)."""

    within: Handle
    path: str
    like: Handle
    origin: str
    kind: Literal["make_mountpoint"] = "make_mountpoint"

    def describe(self) -> str:
        return f"make mountpoint {self.within}:/{self.path} for {self.like}"


class RemoveNode(NamedTuple):
    """Remove `path` from a workbench, with all that is in it: what is mounted from there lives on without a name."""

    within: Handle
    path: str
    origin: str
    kind: Literal["remove_node"] = "remove_node"

    def describe(self) -> str:
        return f"remove {self.within}:/{self.path}"


class SealFilesystem(NamedTuple):
    """Make a superblock read-only, now that everything is in it (fspick, fsconfig ro, FSCONFIG_CMD_RECONFIGURE)."""

    filesystem: Handle
    origin: str
    kind: Literal["seal_filesystem"] = "seal_filesystem"

    def describe(self) -> str:
        return f"make filesystem {self.filesystem} read-only"


class MakeSeed(NamedTuple):
    """A seed for one sharing group: a clone of the workbench, slave of `master`'s group if given, shared if `shared`.

    `parked` seeds stand in the yard; the others are held by a descriptor until their Release.
    """

    seed: Handle
    filesystem: Handle
    path: str  # the clone's root: usually "", the widest
    master: Handle  # a seed, or ""
    shared: bool
    parked: bool
    origin: str
    kind: Literal["make_seed"] = "make_seed"

    def describe(self) -> str:
        how = "shared" if self.shared else "not shared"
        return f"make {self.seed}: {how}" + (f", slave of {self.master}" if self.master else "")


class CloneMount(NamedTuple):
    """A detached clone of `path` in a workbench, which will be `mount`; of a `subvolume` of btrfs only, if so."""

    mount: Handle
    filesystem: Handle
    path: str  # relative, "" for the filesystem's root
    careful: bool
    subvolume: bool
    origin: str
    kind: Literal["clone_mount"] = "clone_mount"

    def describe(self) -> str:
        return f"clone {self.mount} from {self.filesystem}:/{self.path}"


_AS = {"private": "", "slave": ", as slaves", "slaves_below": ", that as slaves", "peers_below": ", that as peers"}


class CloneHost(NamedTuple):
    """A detached clone of what the host has at `path` (canonical), with what is mounted below it if `recursive`.

    `propagation` says what the copies become: private, or (before MakePrivate only) slaves of the host's groups, all of
    them or only those below the first, which is private then; or those are peers of the host's, and what is private
    there gets a group of its own. With `namespace` it is the file of that namespace, as
    planner/tables/namespace_file.py calls it: magic links of /proc may lead there, and that of another one is refused.
    """

    mount: Handle
    path: str
    recursive: bool
    propagation: Literal["private", "slave", "slaves_below", "peers_below"]
    namespace: str
    origin: str
    kind: Literal["clone_host"] = "clone_host"

    def describe(self) -> str:
        tree = " with all below it" if self.recursive else ""
        return f"clone {self.mount} from the host's {self.path}{tree}{_AS[self.propagation]}"


class SetAttributes(NamedTuple):
    """mount_setattr(2) on a mount that is still detached: bits to set and clear, unbindable, id-mapping or ""."""

    mount: Handle
    set: int
    clear: int
    recursive: bool
    unbindable: bool
    id_map: Handle
    words: str  # the attributes as the spec has them, for people
    origin: str
    kind: Literal["set_attributes"] = "set_attributes"

    def describe(self) -> str:
        return f"set {self.words} on {self.mount}" + (" and all below it" if self.recursive else "")


class Attach(NamedTuple):
    """Attach `mount` at `path` (relative, "" for its root) of `parent`; moves it if it stands elsewhere already.

    `careful` walks the path without following symlinks; `tree` lets the walk cross mounts that a recursive clone
    brought.
    """

    mount: Handle
    parent: Handle
    path: str
    careful: bool
    tree: bool
    origin: str
    kind: Literal["attach"] = "attach"

    def describe(self) -> str:
        return f"attach {self.mount} -> {self.parent}:/{self.path}"


class JoinGroup(NamedTuple):
    """Put `mount` into the sharing group of `seed` (move_mount(2) with MOVE_MOUNT_SET_GROUP, Linux 5.15)."""

    seed: Handle
    mount: Handle
    origin: str
    kind: Literal["join_group"] = "join_group"

    def describe(self) -> str:
        return f"join {self.mount} to {self.seed}"


class MakeBase(NamedTuple):
    """A tmpfs on which the root of a namespace's tree is attached, so that it lies below that, where no walk comes.

    It holds peers of the seeds `keep`, whose groups have no member in the tree, but slaves: so they live as long as the
    namespace. See planner/plan/seedbase.py.
    """

    namespace: str
    keep: tuple[Handle, ...]
    origin: str
    kind: Literal["make_base"] = "make_base"

    def describe(self) -> str:
        return "make a base below the new root" + (f" for {', '.join(self.keep)}" if self.keep else "")


class EnterRoot(NamedTuple):
    """pivot_root(2) into `mount`, or, if `based`, into its base; then detach the host's tree and the yard with it."""

    mount: Handle
    top: Handle  # the topmost mount on the new "/": what is seen there once the old root is gone
    based: bool
    origin: str
    kind: Literal["enter_root"] = "enter_root"

    def describe(self) -> str:
        return f"pivot_root into {self.mount}, detach the old root and the yard"


class Release(NamedTuple):
    """Close the descriptor of a mount or of a seed that is not parked: this was its last use."""

    handle: Handle
    origin: str
    kind: Literal["release"] = "release"

    def describe(self) -> str:
        return f"release {self.handle}"


class RemoveMount(NamedTuple):
    """Unmount what stands at `path` (canonical) of an inherited tree, with what stands on it if `recursive`.

    Must come before anything is attached to that tree. Without `recursive` the kernel refuses it (EBUSY) if something
    stands on it by then.
    """

    mount: Handle
    path: str
    recursive: bool
    origin: str
    kind: Literal["remove_mount"] = "remove_mount"

    def describe(self) -> str:
        return f"unmount {self.path} of {self.mount}" + (" and all that stands on it" if self.recursive else "")


class BindOver(NamedTuple):
    """Bind `path` (canonical) of an inherited tree over itself, with what is mounted below, so that it is a mount."""

    mount: Handle
    path: str
    origin: str
    kind: Literal["bind_over"] = "bind_over"

    def describe(self) -> str:
        return f"bind {self.path} of {self.mount} over itself"


class ChangeMounts(NamedTuple):
    """mount_setattr(2) on what stands at `path` of an inherited tree: attributes, or what it becomes (`sharing`).

    With `recursive` on all that stands on it, but for what is seen at the paths `spared`; the rule is in
    planner/tables/inherited_tree.py. The root of the tree does not stay shared, since pivot_root(2) wants none there:
    ShareRoot does that.
    """

    mount: Handle
    path: str
    recursive: bool
    spared: tuple[str, ...]
    set: int
    clear: int
    sharing: Literal["", "private", "shared"]
    words: str
    origin: str
    kind: Literal["change_mounts"] = "change_mounts"

    def describe(self) -> str:
        below = " and all below it" if self.recursive else ""
        but = f" but {', '.join(self.spared)}" if self.spared else ""
        return f"set {self.words} on {self.path} of {self.mount}{below}{but}"


class Isolate(NamedTuple):
    """Make a mount private that was attached to a shared one, which has made it shared."""

    mount: Handle
    recursive: bool
    origin: str
    kind: Literal["isolate"] = "isolate"

    def describe(self) -> str:
        return f"make {self.mount} private" + (" with all below it" if self.recursive else "")


class ShareRoot(NamedTuple):
    """Make the root of an inherited tree shared, now that it is the root of the namespace."""

    mount: Handle
    origin: str
    kind: Literal["share_root"] = "share_root"

    def describe(self) -> str:
        return f"make {self.mount} shared"


Step: TypeAlias = (
    UnshareNamespace | OpenNamespace | CloseNamespace | TakeHostGroup | MakeYard | MakePrivate | MakeIdMap
    | MakeUserNamespace | MakeStage | OwnNamespace | TakeLocked | FindLocked | MakeFilesystem | AttachImage
    | MakeOverlay | CloneHostWorkbench | CopyContents | MakeNode | MakeMountpoint | RemoveNode | SealFilesystem
    | MakeSeed | CloneMount | CloneHost | SetAttributes | Attach | RemoveMount | BindOver | ChangeMounts | Isolate
    | ShareRoot | JoinGroup | MakeBase | EnterRoot | Release
)  # fmt: skip

STEP_TYPES: tuple[type[Step], ...] = Step.__args__

STEP_KINDS: tuple[str, ...] = tuple(step._field_defaults["kind"] for step in STEP_TYPES)
