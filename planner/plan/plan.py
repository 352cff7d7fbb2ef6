"""Plan: the steps in order, why they are in this order, what they need, and what will stand there when they are done.

Only values live here, so that a saved plan can be carried out without pydantic and networkx; planner/plan/schedule.py
makes plans, planner/plan/planfile.py reads and writes them.
"""

from __future__ import annotations

from mountplan.planner.errors import SpecRef
from mountplan.planner.light import Literal
from mountplan.planner.names import Alteration, Brings, Handle, LeftOut, Lock, Moved
from mountplan.planner.plan.steps import Step
from mountplan.planner.record import NamedTuple
from mountplan.planner.run_settings import RunSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

EdgeKind = Literal["parent", "deeper_first", "workbench", "layer", "image", "source", "master", "group", "stack"]

WHY: dict[EdgeKind, str] = {
    "parent": "{after} is mounted on {before}, so {before} must stand first",
    "stack": "{after} goes on top of {before}, on the same mountpoint",
    "deeper_first": "{after} covers the mountpoint of {before}, which no path walk reaches afterwards",
    "workbench": "{after} is a clone of a path in filesystem {before}, which must exist first",
    "layer": "{before} holds a layer of overlay {after}, and must not change once that is mounted",
    "image": "{before} holds the image of {after}",
    "master": "group {after} receives from group {before}, and a slave is made from a member of its master",
    "group": "{after} joins group {before} when all that stands on it is attached, so that nothing propagates",
    "source": "{after} is made from {before}",
}


class Edge(NamedTuple):
    """`before` must be done before `after`. Both are handles."""

    before: Handle
    after: Handle
    kind: EdgeKind

    def reason(self) -> str:
        return WHY[self.kind].format(before=self.before, after=self.after)


class ExpectedMount(NamedTuple):
    """One mount of the finished tree.

    `parent` is "" for the root, and `place` the mountpoint within the parent's mount ("" for its root). A mount of the
    host's has `filesystem` "" and in `root` the canonical path on the host, or the identity of a namespace whose file
    it is (planner/tables/namespace_file.py); otherwise `root` is a path in `filesystem`. `set` and `clear` are bits of
    attributes asked for. What a recursive one brings along is asked for the same, or, if not
    `recursive_attributes`, for `below_set` and `below_clear`. `group` and `master` are names of groups, "" for none.
    """

    name: Handle
    parent: Handle
    place: str
    filesystem: Handle
    root: str
    recursive: bool
    recursive_attributes: bool
    set: int
    clear: int
    below_set: int
    below_clear: int
    idmapped: bool
    unbindable: bool
    group: str
    master: str
    lock: Lock
    inherits: Literal["", "slave"]  # what a recursive host clone is, with all below it: private, or the host's slaves
    brings: Brings  # what is below it, if the spec says so; otherwise private
    origin: str

    @property
    def is_namespace_file(self) -> bool:
        return not self.filesystem and self.root[:1] != "/"


class ExpectedFilesystem(NamedTuple):
    """One superblock that the plan makes: what the kernel must show of it."""

    name: Handle
    fstype: str
    source: str
    options: tuple[tuple[str, str | bool], ...]
    origin: str


class ExpectedGroup(NamedTuple):
    """One sharing group. `host` is the canonical host path whose mount's group it is, "" for one of the plan's own."""

    name: str
    master: str
    host: str
    origin: str


class ExpectedNamespace(NamedTuple):
    """One namespace: its mounts, parents first, and the user namespace that owns it, "" for that of the builder."""

    name: str
    mounts: tuple[ExpectedMount, ...]
    user: Handle = ""


class Expected(NamedTuple):
    """All that must stand there in the end."""

    namespaces: tuple[ExpectedNamespace, ...]
    filesystems: tuple[ExpectedFilesystem, ...]
    groups: tuple[ExpectedGroup, ...]
    left_out: tuple[LeftOut, ...] = ()  # what the spec writes down besides, and will not stand there
    altered: tuple[Alteration, ...] = ()


class Requirement(NamedTuple):
    """Something that the kernel or the user must be able to do, and for what."""

    feature: str  # the name that applier/probe/probe.py knows it by
    what: str
    reason: str


class Plan(NamedTuple):
    """Everything that applying needs. `lines` gives the spec's line for each origin (key path) that a step has; `moved`
    says which of them are from another file than `file`, or have another key path in it. `edges`, `steps`, `lines` and
    the mounts of namespaces are tuples, or, of a plan that was read, what is equal to them (planner/tables/columns.py,
    step_columns.py).
    """

    name: str
    file: str
    requirements: tuple[Requirement, ...]
    edges: tuple[Edge, ...]
    steps: tuple[Step, ...]
    expected: Expected
    run: RunSettings
    lines: tuple[tuple[str, int], ...]
    moved: tuple[Moved, ...] = ()

    def ref(self, origin: str) -> SpecRef:
        """The place in the spec that `origin` names; a part of a mount is at the mount's line if it has none itself."""
        return self.refs()(origin)

    def refs(self) -> Callable[[str], SpecRef]:
        """ref(), for who asks often."""
        lines = dict(self.lines)
        moved = {one.key: one for one in self.moved}

        def ref(origin: str) -> SpecRef:
            key = origin
            while key and key not in lines:
                key = key.rpartition(".")[0]
            line = lines.get(key, 0)
            key = origin if moved else ""
            while key and key not in moved:
                key = key.rpartition(".")[0]
            if not key:
                return SpecRef(self.file, origin, line)
            return SpecRef(moved[key].file, moved[key].own + origin[len(key) :], line)

        return ref
