"""What a script asks the kernel to do: one value for each system call that the commands of util-linux make.

The same values are carried out in the model (`perform`) and, to compare, on the kernel (applier/rehearse.py).
"""

from __future__ import annotations

from typing import NamedTuple

from mountplan.planner.attributes import RDONLY, Change
from mountplan.planner.fstypes import of
from mountplan.planner.propagation import Process, Superblock, World
from mountplan.planner.propagation.sharing import Kind


class MountNew(NamedTuple):
    fstype: str
    source: str
    target: str
    attributes: int = 0
    options: str = ""

    def describe(self) -> str:
        return f"mount a new {self.fstype} on {self.target}"


class BindMount(NamedTuple):
    source: str
    target: str
    recursive: bool = False

    def describe(self) -> str:
        return f"bind {self.source} {'and all below it ' if self.recursive else ''}on {self.target}"


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
    """With `bind`, the attributes of one mount; otherwise those of the filesystem as well."""

    target: str
    attributes: int
    keep_times: bool
    bind: bool

    def describe(self) -> str:
        return f"change the attributes of {self.target}"


class SetAttributes(NamedTuple):
    target: str
    change: Change

    def describe(self) -> str:
        return f"change the attributes of {self.target} and all below it"


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


class RemoveDirectory(NamedTuple):
    path: str

    def describe(self) -> str:
        return f"remove the directory {self.path}"


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

    def describe(self) -> str:
        return "make a mount namespace" + (" and a user namespace" if self.user else "")


class Enter(NamedTuple):
    """Go into the mount namespace of another process."""

    other: int

    def describe(self) -> str:
        return f"enter the mount namespace of process {self.other}"


class End(NamedTuple):
    def describe(self) -> str:
        return "end the process"


Action = (
    MountNew
    | BindMount
    | MoveMount
    | ChangeKind
    | Remount
    | SetAttributes
    | Unmount
    | PivotRoot
    | MakeDirectory
    | MakeFile
    | RemoveDirectory
    | ChangeDirectory
    | ChangeRoot
    | Fork
    | Unshare
    | Enter
    | End
)


class Stage:
    """A World on which processes, known by number, carry actions out. Raises WouldRefuse as the World does."""

    def __init__(self, world: World, processes: dict[int, Process]) -> None:
        self.world = world
        self.processes = processes
        self._single: dict[tuple[str, str], Superblock] = {}

    def perform(self, number: int, action: Action) -> None:
        world, process = self.world, self.processes[number]
        match action:
            case MountNew():
                world.mount_new(
                    process,
                    action.fstype,
                    action.source,
                    action.target,
                    attributes=action.attributes,
                    options=action.options,
                    read_only=bool(action.attributes & RDONLY),
                    fill=_fill_by_kernel if of(action.fstype).begins == "filled" else None,
                    superblock=self._one_for_all(action.fstype, action.options),
                )
            case BindMount():
                world.bind(process, action.source, action.target, recursive=action.recursive)
            case MoveMount():
                world.move(process, action.source, action.target)
            case ChangeKind():
                world.change_type(process, action.target, action.kind, recursive=action.recursive)
            case Remount():
                remount = world.remount_bind if action.bind else world.remount
                remount(process, action.target, action.attributes, keep_times=action.keep_times)
            case SetAttributes():
                world.set_attributes(process, action.target, action.change, recursive=True)
            case Unmount():
                world.umount(process, action.target, lazy=action.lazy)
            case PivotRoot():
                world.pivot_root(process, action.new, action.old)
            case MakeDirectory():
                world.mkdir(process, action.path, parents=action.parents)
            case MakeFile():
                world.mkdir(process, action.path, directory=False)
            case RemoveDirectory():
                world.remove(process, action.path)
            case ChangeDirectory():
                world.chdir(process, action.path)
            case ChangeRoot():
                world.chroot(process, action.path)
            case Fork():
                self.processes[action.child] = world.fork(process, str(action.child))
            case Unshare():
                world.unshare(process, str(number), user=action.user)
            case Enter():
                world.setns(process, self.processes[action.other])
            case End():
                world.exit(self.processes.pop(number))

    def _one_for_all(self, fstype: str, options: str) -> Superblock | None:
        """The superblock that all mounts of a type show; None if a new mount has one of its own."""
        kind = of(fstype)
        if not kind.is_shared and kind.instances != "hierarchy":
            return None
        key = (fstype, "" if kind.is_shared else options)
        if key not in self._single:
            self._single[key] = self.world.superblock(fstype, complete=False)
        return self._single[key]


def _fill_by_kernel(superblock: Superblock) -> None:
    """What is in there is the kernel's business."""
    superblock.complete = False
