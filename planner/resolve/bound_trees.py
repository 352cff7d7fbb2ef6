"""What a recursive bind of a mount of the spec brings along: copies of the mounts below its source."""

from __future__ import annotations

from mountplan.planner.language.path_models import MountPath
from mountplan.planner.paths import ROOT, TargetPath
from mountplan.planner.resolve.bind_attributes import bring
from mountplan.planner.resolve.brought_sharing import share_copy
from mountplan.planner.resolve.draft import Context, Draft


def copy_bound_trees(context: Context) -> None:
    """Write out what a recursive bind of a mount of the spec brings: copies of all mounts below its source.

    They are private, unless `recursive_sharing` says otherwise, and copies of what the spec declares, so a bind into
    itself brings no copy of itself. Unbindable mounts, and what stands on them, are left out, as the kernel does.
    """
    for draft in tuple(context.drafts):
        if not draft.spec.recursive or not isinstance(draft.spec.bind, MountPath) or draft.source is None:
            continue
        below = TargetPath(draft.spec.bind.path)
        pairs = [(draft, child, place) for place, child in _original_children(draft.source) if place.is_under(below)]
        first = True
        while pairs:
            more = []
            for parent, original, place in pairs:
                if original is draft or original.spec.unbindable:
                    continue
                spot = ROOT.joined(place.relative_to(below)) if first else place
                copy = _copy(original, draft, parent, spot)
                share_copy(copy, original, draft, context)
                where, copy.place = _top(parent, spot)
                copy.parent = where
                where.children[copy.place] = copy
                context.add(copy)
                more += [(copy, child, at) for at, child in _original_children(original)]
            pairs, first = more, False


def _original_children(draft: Draft) -> list[tuple[TargetPath, Draft]]:
    return [(TargetPath(place), child) for place, child in draft.children.items() if not child.copied]


def _copy(original: Draft, bind: Draft, parent: Draft, place: TargetPath) -> Draft:
    unsaid = dict.fromkeys(("id", "peer_group", "master", "parent", "recursive_sharing"))
    spec = original.spec.model_copy(update={**unsaid, "file": [], "mask": []})
    copy = Draft(bind.space, bind.index, bind.key, f"{bind.name}+{original.name}", spec)
    copy.copied = True
    copy.target = parent.target.joined(place)
    copy.filesystem, copy.root, copy.host = original.filesystem, original.root, original.host
    copy.source = original
    bring(copy, original, bind)
    if copy.filesystem is not None:
        copy.filesystem.mounts.append(copy)
    return copy


def _top(draft: Draft, place: TargetPath) -> tuple[Draft, TargetPath]:
    """The place that a mount put on `place` of `draft` really gets: on top of what is mounted there already."""
    while (child := draft.children.get(place)) is not None:
        draft, place = child, ROOT
    return draft, place
