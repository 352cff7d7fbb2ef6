"""Which plans take nothing of the host, so that building them needs no copy of its mount table."""

from __future__ import annotations

from collections.abc import Iterable

from mountplan.planner.fstypes import of
from mountplan.planner.plan import steps as s

_OF_ITS_OWN = (
    s.UnshareNamespace, s.CloseNamespace, s.MakeYard, s.MakePrivate, s.MakeFilesystem, s.MakeNode, s.MakeMountpoint,
    s.SealFilesystem, s.MakeSeed, s.CloneMount, s.SetAttributes, s.Attach, s.JoinGroup, s.EnterRoot, s.Release,
)  # fmt: skip


def takes_nothing_of_the_host(steps: Iterable[s.Step]) -> bool:
    """True if all that is built is new and in memory. Of whatever else it is not asked: it gets the copy."""
    return all(
        isinstance(step, _OF_ITS_OWN)
        and not (isinstance(step, s.MakeFilesystem) and not of(step.fstype).takes_files)
        and not (isinstance(step, s.MakeNode) and step.source)
        for step in steps
    )
