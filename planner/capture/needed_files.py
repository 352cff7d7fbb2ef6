"""What must be in the filesystems that a spec makes: roots of binds, layers, what is mounted upon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from mountplan.planner.capture.captured import CapturedFile, Caution
from mountplan.planner.capture.found_superblock import FoundSuperblock
from mountplan.planner.capture.overlay_layers import Overlays
from mountplan.planner.fstypes import of
from mountplan.planner.paths import TargetPath
from mountplan.planner.tables.mount_facts import MountRoot
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import DELETED

_Mount = tuple[int, int]  # number of the namespace, index in its tree
_Place = tuple[str, str]  # device, path in its filesystem


class RootFacts(Protocol):
    """What is asked about live mounts."""

    def roots(self, wanted: Sequence[tuple[int, int]]) -> list[MountRoot | None]:
        """What the roots of these mounts are: (number of the namespace, mount id); None where that cannot be seen."""
        ...


def find_files(
    trees: Sequence[MountTree], superblocks: dict[str, FoundSuperblock], overlays: Overlays, facts: RootFacts,
    where: Callable[[int, str], str],
) -> list[Caution]:  # fmt: skip
    """Note them with their superblocks. The cautions are of what cannot be seen."""
    made = [one for one in superblocks.values() if one.how == "made"]
    for superblock in made:
        for layer in superblock.layers[2 if superblock.directories and superblock.directories.upper else 0 :]:
            _need(overlays, layer.device, layer.path, MountRoot("directory"))
    wanted: dict[_Place, list[_Mount]] = {}  # path in a filesystem -> mounts that tell its kind
    for place, mount in (*_roots(made, trees), *_mountpoints(made, trees)):
        known = wanted.setdefault(place, [])
        if mount[0] not in [space for space, _ in known]:  # what is hidden in one namespace may be seen in another
            known.append(mount)
    asked = [(space, trees[space].rows[index].mount_id) for mounts in wanted.values() for space, index in mounts]
    answers = iter(facts.roots(asked))
    seen_at = {place: [one for _ in mounts if (one := next(answers)) is not None] for place, mounts in wanted.items()}
    cautions = []
    for (device, root), mounts in wanted.items():
        seen = seen_at[device, root]
        space, index = mounts[0]
        row = trees[space].rows[index]
        found = seen[0] if seen else MountRoot("directory")
        if not seen and not any(trees[one].below[at].keys() - {"/"} for one, at in mounts):
            upon = (_stands_on(trees[one], at) for one, at in mounts)
            if any(one.kind != "directory" for place in upon for one in seen_at.get(place, ())):
                found = MountRoot("file")
            what = f"cannot see what it shows, taken for a {found.kind}"
            cautions.append(Caution(where(space, row.mountpoint), what))
        if (row.device, row.root) != (device, root) and found.kind != "directory":
            found = MountRoot("file")  # what it is mounted upon
        _need(overlays, device, root.removesuffix(DELETED), found)
    return cautions


def _roots(made: Sequence[FoundSuperblock], trees: Sequence[MountTree]) -> Iterator[tuple[_Place, _Mount]]:
    for superblock in made:
        if of(superblock.fstype).begins == "empty" or superblock.layers:
            for space, index in superblock.mounts:
                row = trees[space].rows[index]
                if row.root != "/":
                    yield (row.device, row.root), (space, index)


def _mountpoints(made: Sequence[FoundSuperblock], trees: Sequence[MountTree]) -> Iterator[tuple[_Place, _Mount]]:
    """In overlays, with what is mounted upon them."""
    for superblock in made:
        for space, index in superblock.mounts if superblock.layers else ():
            for place, child in trees[space].below[index].items():
                if place != "/":
                    yield _stands_on(trees[space], child), (space, child)


def _stands_on(tree: MountTree, index: int) -> _Place:
    """What a mount is mounted upon."""
    below = tree.rows[tree.parents[index]]
    return below.device, TargetPath(below.root.removesuffix(DELETED)).joined(tree.places[index])


def _need(overlays: Overlays, device: str, path: str, what: MountRoot) -> None:
    """Something must be at `path` of a filesystem. In an overlay it gets there by the layer that is its top."""
    top = overlays.top_of(device, path)
    if top is None or top[0].how != "made" or top[1] == "/":
        return
    superblock, path = top
    if of(superblock.fstype).begins == "empty":
        superblock.files.setdefault(path, CapturedFile(path, what.kind, what.device, what.link))
