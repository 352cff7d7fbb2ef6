"""Which plans take nothing of the host, so that building them needs no copy of its mount table."""

from __future__ import annotations

from mountplan.planner.fstypes import of
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.step_columns import columns_of_kind, kinds_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.planner.plan.step_columns import Steps

_OF_ITS_OWN = frozenset((
    s.UnshareNamespace, s.CloseNamespace, s.MakeYard, s.MakePrivate, s.MakeFilesystem, s.MakeNode, s.MakeMountpoint,
    s.SealFilesystem, s.MakeSeed, s.CloneMount, s.SetAttributes, s.Attach, s.JoinGroup, s.EnterRoot, s.Release,
))  # fmt: skip


def takes_nothing_of_the_host(steps: Steps) -> bool:
    """True if all that is built is new and in memory. Of whatever else it is not asked: it gets the copy."""
    return (
        kinds_of(steps) <= _OF_ITS_OWN
        and all(of(fstype).takes_files for fstype in columns_of_kind(steps, s.MakeFilesystem)["fstype"])
        and not any(columns_of_kind(steps, s.MakeNode)["source"])
    )
