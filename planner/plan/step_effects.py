"""When a step of a plan may come, and in what kinds of filesystems it may make, remove or change something."""

from __future__ import annotations

from mountplan.planner.plan import steps as s
from mountplan.planner.plan.steps import Step
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# How far a plan has got.
START, UNSHARED, PRIVATE, COMMON, TREE, FINISHED, ENTERED, CLOSED = (1 << number for number in range(8))
PHASE_WORDS: Final = {
    START: "before unshare_namespace",
    UNSHARED: "before make_private",
    PRIVATE: "before make_yard",
    COMMON: "before a namespace is open",
    TREE: "while the tree is built",
    FINISHED: "after something was removed",
    ENTERED: "after enter_root",
    CLOSED: "after close_namespace",
}


class StepEffect(NamedTuple):
    """When a step may come, and in what kinds of filesystems it may make, remove or change something.

    The kinds: "own", which begins empty and holds what the plan puts into it; "opaque", of the plan's own too, but with
    contents that are not known; "host", where a mountpoint that is mounted on may be made, and nothing else. What the
    kernel fills takes nothing. A step without kinds changes nothing but the namespace that it is carried out in.
    """

    phases: int
    writes: frozenset[str] = frozenset()


EFFECTS: dict[type[Step], StepEffect] = {
    s.UnshareNamespace: StepEffect(START),
    s.TakeHostGroup: StepEffect(UNSHARED),
    s.MakeIdMap: StepEffect(UNSHARED | PRIVATE),
    s.MakeUserNamespace: StepEffect(UNSHARED | PRIVATE),
    s.MakeStage: StepEffect(TREE),
    s.OwnNamespace: StepEffect(TREE),
    s.TakeLocked: StepEffect(TREE),
    s.FindLocked: StepEffect(TREE),
    s.MakePrivate: StepEffect(UNSHARED),
    s.MakeYard: StepEffect(PRIVATE),
    s.OpenNamespace: StepEffect(COMMON | CLOSED),
    s.MakeFilesystem: StepEffect(COMMON | TREE),
    s.AttachImage: StepEffect(COMMON | TREE),
    s.MakeOverlay: StepEffect(COMMON | TREE),
    s.CloneHostWorkbench: StepEffect(COMMON | TREE),
    s.CopyContents: StepEffect(COMMON | TREE, frozenset({"own"})),
    s.MakeNode: StepEffect(COMMON | TREE, frozenset({"own", "opaque", "host"})),
    s.MakeMountpoint: StepEffect(TREE, frozenset({"own", "opaque"})),
    s.RemoveNode: StepEffect(TREE | FINISHED, frozenset({"own", "opaque"})),
    s.SealFilesystem: StepEffect(TREE | FINISHED, frozenset({"own"})),
    s.MakeSeed: StepEffect(COMMON | TREE),
    s.CloneMount: StepEffect(TREE),
    s.CloneHost: StepEffect(UNSHARED | TREE),  # as slaves before MakePrivate, private ones afterwards
    s.SetAttributes: StepEffect(TREE),
    s.RemoveMount: StepEffect(TREE),
    s.BindOver: StepEffect(TREE),
    s.ChangeMounts: StepEffect(TREE),
    s.Isolate: StepEffect(TREE),
    s.ShareRoot: StepEffect(ENTERED),
    s.Attach: StepEffect(TREE),
    s.JoinGroup: StepEffect(TREE | ENTERED),
    s.MakeBase: StepEffect(TREE),
    s.EnterRoot: StepEffect(TREE | FINISHED),
    s.CloseNamespace: StepEffect(ENTERED),
    s.Release: StepEffect(TREE | ENTERED | CLOSED),
}
