"""Masks: an empty, read-only file or directory of our own over each path that shall be hidden, keeping its type."""

from __future__ import annotations

from mountplan.planner.language.mount_models import Mount as SpecMount
from mountplan.planner.names import MASK_ATTRIBUTES, MASK_OPTIONS, MASKS, NodeKind
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.draft import Context, Draft, FilesystemDraft
from mountplan.planner.resolve.inner_paths import listed_paths, part_name
from mountplan.planner.resolve.readonly import holder_of
from mountplan.planner.resolve.topology import ResolvedFilesystem, ResolvedNode


def expand_masks(context: Context) -> None:
    """Add one mount for each path that a mask hides. What is there is asked of the spec, or of the host.

    To be called when read-only paths are known: what is hidden below one of them is so in what is seen there.
    """
    masked = [draft for draft in context.drafts if draft.spec.mask]
    if not masked:
        return
    # Takes most of a millisecond, a copy of it much less.
    blank = SpecMount.model_construct(attributes=list(MASK_ATTRIBUTES))
    for draft in masked:
        for key, path, kind in listed_paths(draft, "mask", context):
            _add(draft, path, kind, key, blank, context)


def _add(draft: Draft, path: TargetPath, kind: NodeKind, key: str, blank: SpecMount, context: Context) -> None:
    filesystem = context.filesystems.get(MASKS)
    if filesystem is None:
        fixed = ResolvedFilesystem(
            name=MASKS, fstype="tmpfs", inside="own", origin=key, source="mask", options=MASK_OPTIONS, seal=True
        )
        filesystem = context.filesystems[MASKS] = FilesystemDraft(fixed)
        filesystem.needs_workbench = True
    what: NodeKind = "directory" if kind == "directory" else "file"
    root = TargetPath(f"/{what}")
    mode = 0o555 if what == "directory" else 0o444
    if filesystem.contents.kind(root) is None:
        filesystem.contents.add(ResolvedNode(path=root, kind=what, declared=True, origin=key, mode=mode))
    target = draft.target.joined(path)
    spec = blank.model_copy(update={"target": target})
    mask = Draft(draft.space, draft.index, key, part_name("mask", target, context), spec)
    mask.is_part, mask.parent = True, holder_of(draft, path)
    mask.path = path if mask.parent is draft else TargetPath("/" + path.relative_to(mask.parent.path))
    mask.filesystem, mask.root = filesystem, root
    filesystem.mounts.append(mask)
    context.add(mask)
