"""Overlays upon overlays: what the kernel refuses of that, told before anything is touched."""

from __future__ import annotations

from mountplan.planner.names import Handle
from mountplan.planner.resolve.draft import Context
from mountplan.planner.resolve.overlays import key_of
from mountplan.planner.resolve.topology import LayerRef

HIGHEST = 2  # overlays upon each other (FILESYSTEM_MAX_STACK_DEPTH in include/linux/fs.h)


def check_stacking(context: Context) -> None:
    """Of an overlay on the host it is not known what that lies upon: it counts as one."""
    heights: dict[Handle, int] = {}
    for name, overlay in context.filesystems.items():  # what one is made of is settled before it
        if not overlay.layers:
            continue
        key = overlay.fixed.origin
        below = [_height(ref, heights, context) for ref in overlay.layers]
        heights[name] = max(below) + 1
        if heights[name] == HIGHEST + 1:  # of those upon it nothing more has to be said
            what = f"this is an overlay upon another one, and the kernel lays {HIGHEST} upon each other at most"
            remedy = "name the directories that it is made of instead"
            context.wrong(key_of(overlay, below.index(HIGHEST)), what, remedy)
        if overlay.upper is not None and _height(overlay.upper, heights, context):
            what = f"{overlay.upper.path} is in an overlay, and the kernel keeps no changes of one in another"
            remedy = "name a directory of another filesystem, such as a tmpfs of the spec; layers may be in overlays"
            context.wrong(f"{key}.upper", what, remedy)


def _height(ref: LayerRef, heights: dict[Handle, int], context: Context) -> int:
    """How many overlays a directory lies upon, that it is in counted; of what else is there, none."""
    holder = context.filesystems.get(ref.filesystem)
    if holder is None:
        return int(context.host.look(ref.path).mount.fstype == "overlay")
    return heights.get(ref.filesystem) or int(holder.fixed.fstype == "overlay")
