"""Read-only paths: binds of a path over itself, which have the attributes of the mount that they are in, and `ro`."""

from __future__ import annotations

from collections.abc import Callable

from mountplan.planner.language.mount_models import Mount as SpecMount
from mountplan.planner.language.path_models import MountPath
from mountplan.planner.paths import TargetPath
from mountplan.planner.resolve.bind_attributes import inherit
from mountplan.planner.resolve.draft import Context, Draft, Space
from mountplan.planner.resolve.host_places import is_covered
from mountplan.planner.resolve.inner_paths import listed_paths, part_name

BindHost = Callable[[Draft, str, str, Context], None]


def expand_readonly(context: Context, bind_host: BindHost) -> None:
    """Add one mount for each path that shall be read-only; `bind_host` finds what a path of the host shows."""
    holders = [draft for draft in context.drafts if draft.spec.readonly]
    if not holders:
        return
    taken = {
        (draft.space, draft.target): draft
        for draft in context.drafts
        if draft.placed and not draft.is_part and draft.spec.parent is None
    }
    for draft in holders:
        if draft.spec.recursive and isinstance(draft.spec.bind, MountPath):
            what = "what this bind brings along would be left behind on a path of it that is made read-only"
            remedy = "write readonly on the mount that it is bound from, or bind the path by itself"
            context.wrong(f"{draft.key}.readonly", what, remedy)
            continue
        found = sorted(listed_paths(draft, "readonly", context), key=lambda one: one[1].depth)
        for key, path, _ in found:
            if holder_of(draft, path) is draft:  # otherwise it is in what is read-only already
                _add(draft, path, key, taken, context, bind_host)


def holder_of(draft: Draft, path: TargetPath) -> Draft:
    """The read-only path of `draft` on which `path` is seen, or `draft` itself."""
    for step in (path, *path.ancestors()):
        if step in draft.readonly:
            return draft.readonly[step]
    return draft


def _add(
    draft: Draft,
    path: TargetPath,
    key: str,
    taken: dict[tuple[Space, TargetPath], Draft],
    context: Context,
    bind_host: BindHost,
) -> None:
    target = draft.target.joined(path)
    other = taken.get((draft.space, target))
    if other is not None and other is not draft:
        remedy = 'take it out here, and write attributes = ["ro"] on that mount'
        if "preset." in draft.key:
            remedy = "leave optional out there: what is surely mounted takes the place of a preset's read-only path"
        context.wrong(key, f'{other.name} ({other.key}) is mounted on "{target}"', remedy)
        return
    spec = SpecMount.model_construct(target=target, recursive=draft.brings, attributes=["ro"])
    part = Draft(draft.space, draft.index, key, part_name("readonly", target, context), spec)
    part.is_part, part.parent, part.source, part.path = True, draft, draft, path
    if draft.host is not None:
        remedy = f"write recursive = true on {draft.key}, or leave this out"
        if is_covered(draft, path, key, remedy, context):
            return
        bind_host(part, TargetPath(draft.host.path).joined(path), key, context)
    elif draft.filesystem is not None:
        part.root, part.filesystem = draft.root.joined(path), draft.filesystem
        draft.filesystem.mounts.append(part)
    inherit(part, context)
    draft.readonly[path] = part
    context.add(part)
