"""The steps that only a change of a tree that stands has; all others are those of planner/plan/steps.py.

A *live* mount is one that stands, named `live:NAMESPACE:ID` after its namespace's number and its id in mountinfo; it is
held by a descriptor from the step that opens it to its Release. New parts are made in the builder's own namespace, as
ever; what is taken from the tree that stands is taken from a private copy of its namespace, in which covers may be
taken away before any process notices. Only between Visit and the end is the tree itself changed.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from mountplan.planner.names import Handle, NodeKind
from mountplan.planner.plan.steps import Step
from mountplan.planner.record import NamedTuple


class CopyNamespace(NamedTuple):
    """Go into a private copy of a namespace that stands, to take from there what Park brings to the yard."""

    namespace: str
    origin: str = ""
    kind: Literal["copy_namespace"] = "copy_namespace"

    def describe(self) -> str:
        return f"go into a private copy of {self.namespace or 'the namespace'}"


class TakeLive(NamedTuple):
    """A clone of a mount that stands, taken in the private copy: what new mounts of its filesystem are cloned from.

    `covers` are paths at which something is unmounted first, in the copy. `device` is what must be found at `path`.
    """

    filesystem: Handle
    path: str
    device: str
    covers: tuple[str, ...]
    origin: str = ""
    kind: Literal["take_live"] = "take_live"

    def describe(self) -> str:
        return f"workbench {self.filesystem}: clone what stands at {self.path}"


class LeaveCopy(NamedTuple):
    """Go back to the builder's namespace, and park what was taken in its yard; the copy goes."""

    taken: tuple[Handle, ...]
    origin: str = ""
    kind: Literal["leave_copy"] = "leave_copy"

    def describe(self) -> str:
        return "leave the copy"


class Visit(NamedTuple):
    """Enter a namespace that stands: from here on, its tree is changed."""

    namespace: str
    origin: str = ""
    kind: Literal["visit"] = "visit"

    def describe(self) -> str:
        return f"enter {self.namespace or 'the namespace'}"


class OpenLive(NamedTuple):
    """Open the mount that a walk to `path` ends on; it must have the id `number`, or with 0 have just been attached."""

    mount: Handle
    path: str
    number: int
    origin: str = ""
    kind: Literal["open_live"] = "open_live"

    def describe(self) -> str:
        return f"open {self.path}"


class SeedLive(NamedTuple):
    """A seed for the group that a live mount is in: a clone of it, and with `slave`, one that only receives."""

    seed: Handle
    mount: Handle
    slave: bool
    origin: str = ""
    kind: Literal["seed_live"] = "seed_live"

    def describe(self) -> str:
        return f"make {self.seed} from {self.mount}" + (", as its slave" if self.slave else "")


class SetSharing(NamedTuple):
    """Make a live mount private, or unbindable, or shared in a group of its own; its master stays with that."""

    mount: Handle
    propagation: Literal["private", "unbindable", "shared"]
    recursive: bool
    origin: str = ""
    kind: Literal["set_sharing"] = "set_sharing"

    def describe(self) -> str:
        return f"make {self.mount} {'and all below it ' if self.recursive else ''}{self.propagation}"


class CarryLive(NamedTuple):
    """A clone of a live mount, or of one in the yard, with all that stands on it and all its groups, to be attached."""

    mount: Handle
    source: Handle
    origin: str = ""
    kind: Literal["carry_live"] = "carry_live"

    def describe(self) -> str:
        return f"clone {self.source} with all below it"


class AttachBeneath(NamedTuple):
    """Attach `mount` below the live mount `top`, which goes on covering it (MOVE_MOUNT_BENEATH, Linux 6.5)."""

    mount: Handle
    top: Handle
    origin: str = ""
    kind: Literal["attach_beneath"] = "attach_beneath"

    def describe(self) -> str:
        return f"attach {self.mount} beneath {self.top}"


class AttachLowest(NamedTuple):
    """Attach `mount`, on which nothing stands, at `path` of the live mount `parent`, below all that is mounted there.

    Through a peer: a clone of the parent stands in the yard, where nothing covers it, and passes on to the parent what
    is attached to it there. What arrives at a place goes beneath what is mounted there (attach_recursive_mnt(), long
    before Linux 5.15): so it takes no MOVE_MOUNT_BENEATH, and no cover has to be lifted. The parent must be private.
    With `shared` what arrives is a peer of `mount`, and otherwise a slave of its master, or private.
    """

    mount: Handle
    parent: Handle
    path: str
    shared: bool
    origin: str = ""
    kind: Literal["attach_lowest"] = "attach_lowest"

    def describe(self) -> str:
        return f"attach {self.mount} at {self.parent}:/{self.path}, beneath what is there"


class RemoveLowest(NamedTuple):
    """Unmount the lowest mount at `path` of the live mount `parent`, on which nothing but the next of its stack stands.

    As AttachLowest: a mount that stands in for it is unmounted from a peer of the parent (propagate_umount()).
    """

    parent: Handle
    path: str
    origin: str = ""
    kind: Literal["remove_lowest"] = "remove_lowest"

    def describe(self) -> str:
        return f"unmount the lowest mount at {self.parent}:/{self.path}"


class DetachLive(NamedTuple):
    """Unmount a live mount with all that stands on it (MNT_DETACH): who has something open there keeps it.

    One that is `covered` by then no path leads to, but that of its descriptor.
    """

    mount: Handle
    path: str
    covered: bool = False
    origin: str = ""
    kind: Literal["detach_live"] = "detach_live"

    def describe(self) -> str:
        return f"detach {self.mount} from {self.path}"


class Reconfigure(NamedTuple):
    """Change options of a superblock that stands (fspick(2), FSCONFIG_CMD_RECONFIGURE)."""

    filesystem: Handle
    options: tuple[tuple[str, str | bool], ...]
    origin: str = ""
    kind: Literal["reconfigure"] = "reconfigure"

    def describe(self) -> str:
        options = ",".join(key if value is True else f"{key}={value}" for key, value in self.options)
        return f"reconfigure {self.filesystem}: {options}"


class WriteFile(NamedTuple):
    """Make what is at `path` of a filesystem that stands what MakeNode would make there: by a rename upon it, or in
    place. A file then has its contents written over the old ones, a directory only another mode and owner.
    """

    within: Handle
    path: str
    node: NodeKind
    mode: int
    uid: int
    gid: int
    content: str
    source: str
    link: str
    device: tuple[int, int]
    in_place: bool
    origin: str = ""
    kind: Literal["write_file"] = "write_file"

    def describe(self) -> str:
        return f"write {self.within}:/{self.path}" + ("" if self.in_place else ", by a rename")


LiveStep: TypeAlias = (
    CopyNamespace
    | TakeLive
    | LeaveCopy
    | Visit
    | OpenLive
    | SeedLive
    | SetSharing
    | CarryLive
    | AttachBeneath
    | AttachLowest
    | RemoveLowest
    | DetachLive
    | Reconfigure
    | WriteFile
)
ChangeStep: TypeAlias = Step | LiveStep

LIVE_TYPES: tuple[type[LiveStep], ...] = get_args(LiveStep)
LIVE_KINDS: tuple[str, ...] = tuple(step._field_defaults["kind"] for step in LIVE_TYPES)
