"""What a refusal of one kind of filesystem may mean besides what it says: planned for, and known only when it comes."""

from __future__ import annotations

import errno as E
import os

from mountplan.planner.fstypes import of
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.steps import AttachImage, CloneMount, MakeFilesystem, MakeNode, MakeOverlay

_IN_HOLDER = {
    E.ENOENT: "is not there",
    E.ENOTDIR: "is below a file",
    E.ELOOP: "is a symlink, or behind one",
    E.EMEDIUMTYPE: "is no file",
}
_LOG = "the kernel's log (dmesg) tells which of these it is"
_CLONE = "options = { nouuid = true } if a copy of it is mounted: xfs takes no two with one UUID"


def also_perhaps(plan: Plan, index: int, number: int, call: str, meaning: str, remedy: str) -> tuple[str, str]:
    """The meaning and the remedy of a refused step, with what is known of its filesystem."""
    step = plan.steps[index]
    made = isinstance(step, AttachImage | MakeFilesystem) and step.fstype == "xfs" and call.startswith("fsconfig")
    if made and number == E.EINVAL:
        remedy = f"{remedy}; {_LOG}"
        copied = ("nouuid", True) in step.options  # type: ignore[union-attr]
        return meaning, remedy if copied else f"{remedy}; {_CLONE}"
    if isinstance(step, CloneMount) and number == E.ENOENT and step.path:
        types = {one.name: one.fstype for one in plan.expected.filesystems}
        if types.get(step.filesystem) == "btrfs":
            return f"there is no /{step.path} in it", "`btrfs subvolume list` tells the subvolumes, from the top of it"
    if isinstance(step, CloneMount) and step.subvolume and number == E.EINVAL:
        what = f"/{step.path} in it is a directory, and no subvolume"
        return what, f'bind it: {{ mount = "ID", path = "/{step.path}" }} of a mount with subvol = "/"'
    # What is in an image or an overlay nobody has looked at before, so nothing has changed since it was planned.
    if isinstance(step, AttachImage) and step.holder and number in _IN_HOLDER:
        what = f"/{step.image} in {step.holder} {_IN_HOLDER[number]}"
        return what, "correct the path: it is not followed over symlinks"
    if isinstance(step, MakeOverlay) and number == E.EINVAL and call.startswith("fsconfig") and step.work is not None:
        # As fs/overlayfs leaves it there; why it refuses is told in the kernel's log only.
        left = f"{step.work.path}/work/incompat"
        if not step.work.filesystem and os.path.isdir(left):
            what = f"{step.work} has been the work directory of a volatile overlay, and is not taken again"
            return what, f"use new directories; or, if what was written may be incomplete, remove {left}"
    if isinstance(step, MakeOverlay) and number in _IN_HOLDER:
        opaque = {one.name for one in plan.expected.filesystems if of(one.fstype).inside == "opaque"}
        unseen = [one for one in (*step.layers, step.upper, step.work) if one is not None and one.filesystem in opaque]
        if unseen:
            one_of = "one of its layers" if len(unseen) > 1 else "its layer"
            named = ", ".join(f"/{one.path} in {one.filesystem}" for one in unseen)
            return f"{one_of} {_IN_HOLDER[number]}: {named}", "correct the path: it is not followed over symlinks"
    if isinstance(step, MakeNode) and step.careful and number == E.EEXIST:
        return f"what is there already is no {step.node}", "mount a directory on a directory and a file on a file"
    return meaning, remedy
