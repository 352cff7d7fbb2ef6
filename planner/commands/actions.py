"""What a script asks the kernel to do: one value for each system call that the commands of util-linux make.

The same values are carried out in the model (`perform`) and, to compare, on the kernel (applier/run/rehearse.py).
"""

from __future__ import annotations

import errno

from mountplan.planner.attributes import RDONLY, Change
from mountplan.planner.commands.descriptors import Descriptors
from mountplan.planner.fstypes import not_taken, of
from mountplan.planner.model import Process, Superblock, World, WouldRefuse
from mountplan.planner.model.checks import check_may_mount
from mountplan.planner.model.peers import Kind
from mountplan.planner.model.walking import walk
from mountplan.planner.model.world import PathFrom, Where
from mountplan.planner.record import NamedTuple

_KIND_WORDS = {"mnt": "mount"}
FIRST_PID = 1 << 22  # the kernel gives smaller ones only, so that no number in a script is taken for what $$ gave


class MountNew(NamedTuple):
    fstype: str
    source: str
    target: str
    attributes: int = 0
    options: str = ""

    @property
    def read_only(self) -> bool:
        return bool(self.attributes & RDONLY)

    def describe(self) -> str:
        return f"mount a new {self.fstype} on {self.target}"


class BindMount(NamedTuple):
    source: str
    target: str
    recursive: bool = False

    def describe(self) -> str:
        return f"bind {self.source} {'and all below it ' if self.recursive else ''}on {self.target}"


class BindNamespaceFile(NamedTuple):
    """A bind of /proc/PID/ns/KIND, where PID is another process, or the one that makes the call."""

    other: int
    kind: str
    target: str

    def describe(self) -> str:
        kind = _KIND_WORDS.get(self.kind, self.kind)
        return f"bind the file of the {kind} namespace of process {self.other} on {self.target}"


class MoveMount(NamedTuple):
    source: str
    target: str

    def describe(self) -> str:
        return f"move the mount at {self.source} to {self.target}"


class ChangeKind(NamedTuple):
    target: str
    kind: Kind
    recursive: bool = False

    def describe(self) -> str:
        return f"make {self.target}{' and all below it' if self.recursive else ''} {self.kind}"


class Remount(NamedTuple):
    """With `bind`, the attributes of one mount; otherwise those of the filesystem as well, with its `options`."""

    target: str
    attributes: int
    keep_times: bool
    bind: bool
    options: str = ""

    def describe(self) -> str:
        return f"change the attributes of {self.target}"


class SetReadOnly(NamedTuple):
    """fspick(2) and FSCONFIG_CMD_RECONFIGURE: whether the filesystem may be written, with its `options`."""

    target: str
    read_only: bool
    options: str = ""

    def describe(self) -> str:
        return f"make the filesystem at {self.target} {'read-only' if self.read_only else 'writable'}"


class SetAttributesCall(NamedTuple):
    """mount_setattr(2); with `kind` the sharing is changed as well."""

    target: str
    change: Change
    kind: Kind | None = None
    recursive: bool = True

    def describe(self) -> str:
        below = " and all below it" if self.recursive else ""
        changed = f"change the attributes of {self.target}{below}" if any(self.change) or not self.kind else ""
        made = f"make {'it' if changed else f'{self.target}{below}'} {self.kind}" if self.kind else ""
        return " and ".join(filter(None, (changed, made)))


class OpenTree(NamedTuple):
    """open_tree(2): `descriptor` is open on `path` then, or with `clone` on a detached copy of the mount there."""

    path: str
    descriptor: str
    clone: bool = False
    recursive: bool = False

    def describe(self) -> str:
        what = "a copy of " if self.clone else ""
        return f"open {what}{self.path}{' and all below it' if self.recursive else ''} as {self.descriptor}"


class NewDetachedMount(NamedTuple):
    """fsopen(2) to fsmount(2): a new filesystem, mounted nowhere yet; `exclusive` if it must not be an old one."""

    fstype: str
    source: str
    descriptor: str
    attributes: int = 0
    options: str = ""
    exclusive: bool = False

    @property
    def read_only(self) -> bool:
        """Of the filesystem: that of the mount is another thing, unlike with mount(2)."""
        return "ro" in self.options.split(",")

    def describe(self) -> str:
        return f"make a new {self.fstype} as {self.descriptor}"


class AttachMount(NamedTuple):
    """move_mount(2) as it is, or with MOVE_MOUNT_BENEATH."""

    source: str
    target: str
    beneath: bool = False

    def describe(self) -> str:
        return f"move {self.source} {'beneath what is on' if self.beneath else 'to'} {self.target}"


class JoinSharing(NamedTuple):
    """move_mount(2) with MOVE_MOUNT_SET_GROUP."""

    source: str
    target: str

    def describe(self) -> str:
        return f"put {self.target} into the sharing group of {self.source}"


class CloseDescriptor(NamedTuple):
    descriptor: str

    def describe(self) -> str:
        return f"close {self.descriptor}"


class Unmount(NamedTuple):
    target: str
    lazy: bool = False

    def describe(self) -> str:
        return f"unmount {self.target}"


class PivotRoot(NamedTuple):
    new: str
    old: str

    def describe(self) -> str:
        return f"make {self.new} the root, and put the old one on {self.old}"


class MakeDirectory(NamedTuple):
    path: str
    parents: bool = False

    def describe(self) -> str:
        return f"make the directory {self.path}"


class MakeFile(NamedTuple):
    path: str

    def describe(self) -> str:
        return f"make the file {self.path}"


class FillFile(NamedTuple):
    """What comes into a file that is there, which no mount hangs on."""

    path: str
    text: str
    append: bool = False

    def describe(self) -> str:
        return f"write to {self.path}"


class RemoveDirectory(NamedTuple):
    path: str

    def describe(self) -> str:
        return f"remove the directory {self.path}"


class RemoveFile(NamedTuple):
    path: str

    def describe(self) -> str:
        return f"remove the file {self.path}"


class Rename(NamedTuple):
    old: str
    new: str

    def describe(self) -> str:
        return f"rename {self.old} to {self.new}"


class MakeLink(NamedTuple):
    path: str
    leads_to: str

    def describe(self) -> str:
        return f"make the symbolic link {self.path} to {self.leads_to}"


class ChangeDirectory(NamedTuple):
    path: str

    def describe(self) -> str:
        return f"go to {self.path}"


class ChangeRoot(NamedTuple):
    path: str

    def describe(self) -> str:
        return f"make {self.path} the root of the process"


class Fork(NamedTuple):
    child: int

    def describe(self) -> str:
        return "start a process"


class Unshare(NamedTuple):
    user: bool = False
    mount: bool = True

    def describe(self) -> str:
        kinds = ["a mount namespace"] * self.mount + ["a user namespace"] * self.user
        return "make " + " and ".join(kinds)


class Enter(NamedTuple):
    """Go into the mount namespace of another process; with `user`, into its user namespace before that."""

    other: int
    user: bool = False

    def describe(self) -> str:
        return f"enter the mount {'and user namespaces' if self.user else 'namespace'} of process {self.other}"


class EnterFile(NamedTuple):
    """Go into the namespace of a file. Which one a process is in makes no difference but for mount namespaces."""

    path: str
    kind: str = "mnt"

    def describe(self) -> str:
        return f"enter the {_KIND_WORDS.get(self.kind, self.kind)} namespace of {self.path}"


class LoseCapabilities(NamedTuple):
    """What execve(2) does to a process whose ids are not mapped in its user namespace."""

    def describe(self) -> str:
        return "execute a program without any capability"


class DropGroups(NamedTuple):
    """setgroups(2), as nsenter(1) makes it after it has entered a user namespace."""

    def describe(self) -> str:
        return "give up the supplementary groups"


class End(NamedTuple):
    def describe(self) -> str:
        return "end the process"


Action = (
    MountNew | BindMount | BindNamespaceFile | MoveMount | ChangeKind | Remount | SetReadOnly | SetAttributesCall
    | OpenTree | NewDetachedMount | AttachMount | JoinSharing | CloseDescriptor | Unmount | PivotRoot
    | MakeDirectory | MakeFile | FillFile | RemoveDirectory | RemoveFile | Rename | MakeLink | ChangeDirectory
    | ChangeRoot | Fork | Unshare | Enter | EnterFile | DropGroups | LoseCapabilities | End
)  # fmt: skip


class Stage:
    """A World on which processes, known by number, carry actions out. Raises WouldRefuse as the World does.

    A path of OpenTree, AttachMount, JoinSharing and SetAttributesCall that begins with `@` is a descriptor of the
    process, and what stands behind a slash in it a path from there. Processes that are started have the same.
    `outside` are processes that carry nothing out, by what their namespaces are called.
    """

    def __init__(self, world: World, processes: dict[int, Process], outside: dict[str, Process] | None = None) -> None:
        self.world = world
        self.processes = processes
        self.outside = outside or {}
        self._descriptors = Descriptors()
        self._known: dict[tuple[str, str], Superblock] = {}

    def perform(self, number: int, action: Action) -> None:
        world, process = self.world, self.processes[number]
        match action:
            case MountNew():
                if other := not_taken(action.fstype, action.options):
                    walk(process, action.target)
                    check_may_mount(process)
                    raise WouldRefuse(errno.EINVAL, f"{action.fstype} has no option {other}")
                world.mount_new(
                    process, action.fstype, action.source, action.target, attributes=action.attributes,
                    options=action.options, read_only=action.read_only, superblock=self._superblock(process, action),
                )  # fmt: skip
            case BindMount():
                world.bind(process, action.source, action.target, recursive=action.recursive)
            case BindNamespaceFile():
                world.bind_namespace(process, self.processes[action.other], action.kind, action.target)
            case MoveMount():
                world.move(process, action.source, action.target)
            case ChangeKind():
                world.change_type(process, action.target, action.kind, recursive=action.recursive)
            case Remount():
                remount = world.remount_bind if action.bind else world.remount
                if action.options and not action.bind:
                    self._check_options(process, action)
                remount(process, action.target, action.attributes, keep_times=action.keep_times)
            case SetReadOnly():
                self._check_options(process, action)
                world.reconfigure(process, action.target, read_only=action.read_only)
            case SetAttributesCall():
                target = self._where(number, action.target)
                world.set_attributes(process, target, action.change, kind=action.kind, recursive=action.recursive)
            case OpenTree():
                path = self._where(number, action.path)
                opened = world.open_tree(process, path, clone=action.clone, recursive=action.recursive)
                self._descriptors.put(world, number, action.descriptor, opened)
            case NewDetachedMount():
                self._new_detached(number, action)
            case AttachMount():
                source, target = self._where(number, action.source), self._where(number, action.target)
                world.move_mount(process, source, target, beneath=action.beneath)
            case JoinSharing():
                world.set_group(process, self._where(number, action.source), self._where(number, action.target))
            case CloseDescriptor():
                self._descriptors.close(world, number, action.descriptor)
            case Unmount():
                world.umount(process, action.target, lazy=action.lazy)
            case PivotRoot():
                world.pivot_root(process, action.new, action.old)
            case MakeDirectory():
                world.mkdir(process, action.path, parents=action.parents)
            case MakeFile():
                world.mkdir(process, action.path, directory=False)
            case FillFile():
                walk(process, action.path)
            case RemoveDirectory():
                world.remove(process, action.path.rstrip("/") or action.path)
            case RemoveFile():
                world.remove(process, action.path, directory=False)
            case Rename():
                world.rename(process, action.old.rstrip("/") or "/", action.new.rstrip("/") or "/")
            case MakeLink():
                world.symlink(process, action.path, action.leads_to)
            case ChangeDirectory():
                world.chdir(process, action.path)
            case ChangeRoot():
                world.chroot(process, action.path)
            case Fork():
                self.processes[action.child] = world.fork(process, str(action.child))
                self._descriptors.inherit(number, action.child)
            case Unshare():
                world.unshare(process, str(number), user=action.user, mount=action.mount)
            case Enter():
                world.setns(process, self.processes[action.other], user=action.user)
            case EnterFile():
                world.enter_file(process, action.path, action.kind)
            case DropGroups():
                if process.user is not world.initial_user:
                    why = "the user namespace has its ids from `unshare -r`, which denies it; nsenter has"
                    raise WouldRefuse(errno.EPERM, f"{why} --preserve-credentials for that")
            case LoseCapabilities():
                world.lose_capabilities(process)
            case End():
                self._descriptors.close_all(world, number)
                world.exit(self.processes.pop(number))

    def has_descriptor(self, number: int, name: str) -> bool:
        return self._descriptors.has(number, name)

    def _where(self, number: int, path: str) -> Where:
        if not path.startswith("@"):
            return path
        name, slash, rest = path.partition("/")
        handle = self._descriptors.handle(number, name)
        return PathFrom(handle, rest) if slash and rest else handle

    def _new_detached(self, number: int, action: NewDetachedMount) -> None:
        world, process = self.world, self.processes[number]
        check_may_mount(process)
        kind = of(action.fstype)
        key = action.fstype, "" if kind.is_shared else action.source
        if action.exclusive and (kind.is_shared or key in self._known):
            raise WouldRefuse(errno.EBUSY, f"there is a {action.fstype} of this kind already")
        if other := not_taken(action.fstype, action.options):
            raise WouldRefuse(errno.EINVAL, f"{action.fstype} has no option {other}")
        superblock = self._superblock(process, action)
        if superblock is None:
            superblock = world.superblock(action.fstype, options=action.options)
            superblock.owner = process.user
            superblock.read_only = action.read_only
        opened = world.fsmount(process, superblock, action.source or "none", action.attributes)
        self._descriptors.put(world, number, action.descriptor, opened)

    def _check_options(self, process: Process, action: Remount | SetReadOnly) -> None:
        """The kernel asks this first, once it has found the mount."""
        mount, node = walk(process, action.target)
        other = not_taken(mount.superblock.fstype, action.options)
        if node is mount.root and other and process.user.capable:
            raise WouldRefuse(errno.EINVAL, f"{mount.superblock.fstype} has no option {other}")

    def _superblock(self, process: Process, action: MountNew | NewDetachedMount) -> Superblock | None:
        """The instance that a mount of this type, from this source, shows; None if it makes a new and empty one.

        What a device or a server has is one instance, however often it is mounted.
        """
        kind = of(action.fstype)
        if kind.begins == "empty":
            return None
        detail = action.options if kind.instances == "hierarchy" else action.source
        key = action.fstype, "" if kind.is_shared else detail
        known = None if kind.instances == "mount" else self._known.get(key)
        if known is not None:
            if not kind.is_shared and known.read_only != action.read_only:
                raise WouldRefuse(errno.EBUSY, f"{action.source} is mounted already, and not as ro or rw as this says")
            return known
        made = self.world.superblock(kind.shown_as or action.fstype, options=action.options, complete=False)
        if not kind.is_shared:
            made.owner = process.user
            made.read_only = action.read_only
        self._known[key] = made
        return made
