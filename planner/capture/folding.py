"""Mounts that are masks and read-only paths of what they stand on, written as such: `mask` and `readonly`.

Only where the spec comes to the same: the mount stands on the one that lists it and nothing stands on the mount, no
other words are said of it, and what is at the path is known when the spec is checked. Masks show one filesystem, so all
of them are folded or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mountplan.planner.capture.captured import Captured, CapturedFile, CapturedMount, CapturedNamespace
from mountplan.planner.capture.widest import HostMounts
from mountplan.planner.fstypes import of
from mountplan.planner.names import MASK_ATTRIBUTES, MASK_OPTIONS, NodeKind
from mountplan.planner.paths import TargetPath
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mounttree import MountTree


class _Fold(NamedTuple):
    """A mount, by its number in the list, that becomes a word of another one: a path in that, and what is there."""

    mount: int
    lister: int
    path: str
    kind: NodeKind


def fold(captured: Captured, trees: Sequence[MountTree], host: HostMounts) -> Captured:
    """The same, with as many mounts as are needed to say it."""
    masks = next((one for space in captured.namespaces for one in space.mounts if _holds_masks(one)), None)
    masks_id = masks.id if masks is not None else ""
    shown = sum(_shows(one, masks_id) for space in captured.namespaces for one in space.mounts)
    spaces = list(zip(captured.namespaces, trees, strict=True))
    of_masks = [_masks(space, tree, masks_id, host) if masks_id else [] for space, tree in spaces]
    if sum(map(len, of_masks)) < shown:
        of_masks, masks = [[] for _ in spaces], None
    found = []
    for (space, tree), hidden in zip(spaces, of_masks, strict=True):
        readonly = _readonly_paths(space, tree, host)
        mounts = list(space.mounts)
        for fold in hidden:
            mounts[fold.lister] = _with_mask(mounts[fold.lister], fold)
        for fold in readonly:
            one = mounts[fold.lister]
            mounts[fold.lister] = one._replace(readonly=(*one.readonly, fold.path))
        gone = {fold.mount for fold in (*hidden, *readonly)}
        kept = [one for number, one in enumerate(mounts) if number not in gone and one is not masks]
        found.append(space._replace(mounts=tuple(kept)))
    return captured._replace(namespaces=tuple(found))


def _with_mask(one: CapturedMount, fold: _Fold) -> CapturedMount:
    """What is masked in a filesystem that the spec makes is declared there."""
    declared = one.bind is not None or of(one.type).inside == "kernel"
    declared = declared or any(file.path.strip("/") == fold.path for file in one.files)
    files = one.files if declared else tuple(sorted((*one.files, CapturedFile(f"/{fold.path}", fold.kind))))
    return one._replace(mask=(*one.mask, fold.path), files=files)


def _holds_masks(one: CapturedMount) -> bool:
    names = {file.path.strip("/") for file in one.files}
    made = (one.type, one.source, one.target, one.unsupported, one.contents)
    empty = names <= {"file", "directory"}
    return made == ("tmpfs", "mask", "", "", "") and set(one.options) == set(MASK_OPTIONS) and empty and bool(one.id)


def _shows(one: CapturedMount, maker: str) -> bool:
    return one.bind is not None and one.bind.mount == maker


def _candidates(space: CapturedNamespace, tree: MountTree) -> Iterator[tuple[_Fold, CapturedMount, CapturedMount]]:
    """Binds on which nothing stands, and of which nothing else is said; each with what it stands on."""
    numbers = {one.row: number for number, one in enumerate(space.mounts) if one.row >= 0}
    for number, one in enumerate(space.mounts):
        if one.row < 0 or one.bind is None or tree.below[one.row] or not _says_nothing_else(one):
            continue
        above = numbers.get(tree.parents[one.row])
        if above is None:
            continue
        parent = space.mounts[above]
        if parent.target == one.target or parent.unsupported or parent.recursive:
            continue
        path = TargetPath(one.target).relative_to(parent.target)
        if not any(sign in path for sign in "*?["):
            kind: NodeKind = "directory" if one.bind.path == "/directory" else "file"
            yield _Fold(number, above, path, kind), one, parent


def _masks(space: CapturedNamespace, tree: MountTree, masks: str, host: HostMounts) -> list[_Fold]:
    return [
        fold
        for fold, one, parent in _candidates(space, tree)
        if _shows(one, masks) and one.attributes == MASK_ATTRIBUTES and _is_known(parent, host)
    ]


def _readonly_paths(space: CapturedNamespace, tree: MountTree, host: HostMounts) -> list[_Fold]:
    found = _candidates(space, tree)
    return [fold for fold, one, parent in found if _is_readonly_path(one, parent, fold.path, host)]


def _says_nothing_else(one: CapturedMount) -> bool:
    words = (one.id, one.parent, one.recursive, one.uids, one.gids, one.unmapped, one.peer_group, one.master, one.lock,
             one.unbindable, one.on_symlink, one.files, one.unsupported)  # fmt: skip
    plain = one.bind is not None and not (one.bind.hidden or one.bind.deleted or one.bind.namespace)
    return plain and not any(words)


def _is_known(parent: CapturedMount, host: HostMounts) -> bool:
    """Whether it is known when a spec is checked what is at a path in it."""
    if parent.bind is not None:
        return not (parent.bind.mount or parent.bind.namespace)
    if of(parent.type).inside == "kernel":  # of which the host has one as well
        return host.shows_all_of(parent.type)
    return of(parent.type).inside == "own" and parent.image is None


def _is_readonly_path(one: CapturedMount, parent: CapturedMount, path: str, host: HostMounts) -> bool:
    assert one.bind is not None
    if parent.bind is not None:
        same = not parent.bind.mount and not one.bind.mount and not parent.bind.namespace
        same = same and one.bind.path == TargetPath(parent.bind.path).joined(path)
        return same and set(one.attributes) == {*parent.attributes, "ro"} and "ro" not in parent.attributes
    declared = any(file.path.strip("/") == path for file in parent.files)
    same = bool(parent.id) and (one.bind.mount, one.bind.path) == (parent.id, f"/{path}")
    return (
        same
        and one.attributes == ("ro",)
        and (declared or (of(parent.type).inside == "kernel" and _is_known(parent, host)))
    )
