"""Overlays of a capture: which directories a spec makes them of, and what cannot be known or had of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from mountplan.planner.capture.captured import COPY_DIFFERS, CapturedPlace, Caution
from mountplan.planner.capture.found_superblock import FoundSuperblock
from mountplan.planner.capture.shown_layers import shown_directories
from mountplan.planner.capture.widest import HostMounts
from mountplan.planner.paths import TargetPath
from mountplan.planner.tables.layerpath import has_device, is_id_mapped, layer_of
from mountplan.planner.tables.mount_facts import FoundLayer, LiveOverlay, OverlayLayer
from mountplan.planner.tables.mounttree import MountTree

UNTOLD_LAYERS = (
    "what an overlay is made of is not told before Linux 6.6, nor of what was mounted in a user namespace or cannot be "
    "looked at: such layers are taken by their names, and what has those names by now may be something else"
)


class LayerFacts(Protocol):
    """What is asked about live overlays."""

    def layers(self, wanted: Sequence[LiveOverlay]) -> list[tuple[FoundLayer, ...]]:
        """The directories that overlays are made of, in the order of their paths."""
        ...


class Overlays:
    """All overlays that are to be made. `where` names a mount (number of the namespace, path) in a caution."""

    def __init__(
        self, trees: Sequence[MountTree], superblocks: dict[str, FoundSuperblock], host: HostMounts,
        where: Callable[[int, str], str],
    ) -> None:  # fmt: skip
        self.trees = trees
        self.superblocks = superblocks
        self.host = host
        self.where = where
        self.cautions: list[Caution] = []
        self.made = [one for one in superblocks.values() if one.fstype == "overlay" and one.how == "made"]

    def settle(self, facts: LayerFacts) -> None:
        """Find the directories that overlays are made of, have empty ones stand in for what cannot be had, and give up
        those that cannot be made again.
        """
        found = self._find(facts)
        self._stand_in([one for one, _ in found])
        self._share([one for one, _ in found])
        for superblock, layers in found:
            self._caution_of_proofs(superblock, layers)
            self._caution_of_unseen(superblock)
            self._caution_of_id_mappings(superblock)
            self._caution_of_changes(superblock)
            self._caution_of_paths(superblock)

    def unmapped(self) -> frozenset[str]:
        """The devices with directories of overlays that are not seen through an id-mapping, as far as is known."""
        return frozenset(
            layer.device
            for one in self.made
            for layer, path in zip(one.layers, one.directories.paths if one.directories else (), strict=False)
            if not is_id_mapped(path)
        )

    def place_of(self, layer: OverlayLayer) -> CapturedPlace | None:
        superblock = self.superblocks.get(layer.device)
        if superblock is not None and superblock.how == "made":
            return CapturedPlace(superblock.maker_id, layer.path)
        found = self.host.showing(layer.device, layer.path)
        return CapturedPlace("", found[0]) if found is not None else None

    def _caution(self, superblock: FoundSuperblock, what: str) -> None:
        space, index = superblock.mounts[0]
        self.cautions.append(Caution(self.where(space, self.trees[space].rows[index].mountpoint), what))

    def _find(self, facts: LayerFacts) -> list[tuple[FoundSuperblock, tuple[FoundLayer, ...]]]:
        """Where the directories are that each overlay shows in its options, as far as that can be told."""
        asked: list[tuple[FoundSuperblock, LiveOverlay]] = []
        for superblock in self.made:
            whole = next((one for one in superblock.mounts if self._root(one) == "/"), superblock.mounts[0])
            row = self.trees[whole[0]].rows[whole[1]]
            directories = shown_directories(row.options)
            if isinstance(directories, str):
                superblock.give_up(directories)
                continue
            superblock.directories = directories
            asked.append((superblock, directories.of(row, whole[0], tuple(self._places(superblock)))))
        answers = facts.layers([overlay for _, overlay in asked]) if asked else []
        found = []
        for (superblock, _), layers in zip(asked, answers, strict=True):
            # Until _stand_in has seen to it, a device that there is none of marks what was not found.
            superblock.layers = tuple(one.layer or OverlayLayer("", "") for one in layers)
            superblock.has = tuple(one.has for one in layers)
            found.append((superblock, layers))
        return found

    def _places(self, superblock: FoundSuperblock) -> Iterator[str]:
        """The paths of an overlay that mounts show, or that something is mounted on."""
        for space, index in superblock.mounts:
            root = TargetPath(self._root((space, index)))
            yield from (path for place in self.trees[space].below[index] if (path := root.joined(place)) != "/")
            if root != "/":
                yield root

    def _root(self, mount: tuple[int, int]) -> str:
        return self.trees[mount[0]].rows[mount[1]].root

    def _caution_of_proofs(self, superblock: FoundSuperblock, layers: tuple[FoundLayer, ...]) -> None:
        """Say which directories are taken although nothing proves them; nothing of those that have stand-ins."""
        assert superblock.directories is not None
        every = zip(superblock.directories.paths, layers, superblock.layers, strict=False)
        named = [path for path, one, taken in every if one.proof == "name" and one.layer == taken]
        if not named:
            return
        devices = {one.layer.device for one in layers if one.layer is not None}
        of_overlay = any(one.fstype == "overlay" and one.device in devices for one in self.superblocks.values())
        if layers[0].proof in ("name", "in use") and not of_overlay:
            if not any(one.what == UNTOLD_LAYERS for one in self.cautions):
                self.cautions.append(Caution("", UNTOLD_LAYERS))
            return
        why = "of overlays over overlays the kernel tells nothing" if of_overlay else "nothing of them is seen in it"
        self._caution(superblock, f"taken by name, and without proof, since {why}: {_listed(named)}")

    def _stand_in(self, overlays: list[FoundSuperblock]) -> None:
        """Put new empty directories in the place of those that are nowhere to be had."""
        changed = True
        while changed:
            changed = False
            for superblock in overlays:
                missing = self._missing(superblock) if superblock.layers else []
                if missing:
                    self._replace(superblock, missing)
                    changed = True

    def _missing(self, superblock: FoundSuperblock) -> list[int]:
        assert superblock.directories is not None
        missing = [number for number, layer in enumerate(superblock.layers) if self.place_of(layer) is None]
        if superblock.directories.upper and missing[:1] == [1]:
            upper = superblock.layers[0]
            below = self.superblocks.get(upper.device)
            if below is not None and below.how == "made":  # any directory beside the upper one will do
                work = OverlayLayer(upper.device, f"{upper.path.rstrip('/')}.work")
                superblock.layers = (upper, work, *superblock.layers[2:])
                if any(TargetPath(work.path).is_under(self._root(one)) for one in below.mounts):
                    what = (
                        "its work directory cannot be found any more; a new one stands in for it, beside the upper one"
                    )
                    self._caution(superblock, f"{what}: {work.path.rpartition('/')[2]}")
                return missing[1:]
        if superblock.directories.upper and missing[:1] in ([0], [1]):
            missing = sorted({0, 1, *missing})  # both have to be on one filesystem
        return missing

    def _replace(self, superblock: FoundSuperblock, missing: list[int]) -> None:
        directories = superblock.directories
        assert directories is not None
        layers = list(superblock.layers)
        for number in missing:
            # What was built from a spec shows the device, and the path in there, even if that is mounted nowhere.
            known = layer_of(directories.paths[number])
            if known is not None and known[0] not in self.host.devices:
                device, path = f"stand-in:{known[0]}", known[1]
            else:
                first = 2 if directories.upper else 0
                device = f"stand-in:{superblock.device}"
                path = ("/upper", "/work")[number] if number < first else f"/{number - first + 1}"
            layers[number] = OverlayLayer(device, path)
            if device not in self.superblocks:
                one = self.superblocks[device] = FoundSuperblock(device, "tmpfs")
                one.how, one.needed_by = "made", superblock.mounts[0]
        superblock.layers = tuple(layers)
        paths = [directories.paths[number] for number in missing if number != 1 or not directories.upper]
        what = "new empty directories stand in for what cannot be found of it any more, without the files"
        self._caution(superblock, f"{what}: {_listed(paths)}")

    def _share(self, overlays: list[FoundSuperblock]) -> None:
        """Overlays of which one changes what another one is made of, in a filesystem of the spec: the kernel has them
        with index=off, and says that what comes of it is undefined. Of the host's, none can be had twice.
        """
        users: dict[OverlayLayer, list[FoundSuperblock]] = {}
        for superblock in overlays:
            for layer in dict.fromkeys(superblock.layers):
                users.setdefault(layer, []).append(superblock)
        for superblock in overlays:
            directories = superblock.directories
            if directories is None or not directories.upper:
                continue
            for layer, shown in zip(superblock.layers[:2], directories.paths[:2], strict=True):
                those = [one for one in users.get(layer, ()) if one.how == "made"]
                if len(those) < 2:
                    continue
                below = self.superblocks.get(layer.device)
                if below is None or below.how != "made":
                    for one in those:
                        one.give_up(f"the host's {shown} changes, and another overlay is made of it as well")
                    break
                for one in those:
                    if not one.more:
                        one.more = (("index", "off"),)
                        what = f"another overlay is made of {shown} too, and one of them changes it"
                        self._caution(one, f"{what}; what comes of that is undefined, as the kernel says")

    def _caution_of_unseen(self, superblock: FoundSuperblock) -> None:
        """Say which directories lie in a captured filesystem where none of its mounts shows them."""
        directories = superblock.directories
        if not superblock.layers or directories is None:
            return
        unseen = []
        for number, (layer, path) in enumerate(zip(superblock.layers, directories.paths, strict=True)):
            below = self.superblocks.get(layer.device)
            if below is None or not below.is_mounted or (directories.upper and number == 1):
                continue
            if not any(TargetPath(layer.path).is_under(self._root(one)) for one in below.mounts):
                unseen.append(path)
        if unseen:
            what = "new empty directories stand in for what no mount shows any more, without the files"
            self._caution(superblock, f"{what}: {_listed(unseen)}")

    def _caution_of_paths(self, superblock: FoundSuperblock) -> None:
        """Say which directories of the host the copy will show under other paths than those they were mounted by."""
        directories = superblock.directories
        if not superblock.layers or directories is None:
            return
        names = ["upperdir", "workdir"] if directories.upper else []
        names += ["lowerdir+"] * len(directories.lower) + ["datadir+"] * len(directories.data)
        named: dict[str, tuple[list[str], list[str]]] = {}
        for name, layer, shown in zip(names, superblock.layers, directories.paths, strict=True):
            below = self.superblocks.get(layer.device)
            found = self.host.showing(layer.device, layer.path) if below is None or below.how != "made" else None
            if found is not None and found[0] != shown and not has_device(shown):
                was, will_be = named.setdefault(name, ([], []))
                was.append(shown)
                will_be.append(found[0])
        for name, (was, will_be) in named.items():
            what = f"{COPY_DIFFERS}: option {name}: {_listed(was)} -> {_listed(will_be)}"
            self._caution(superblock, f"{what}; that is where the same directory is now")

    def _caution_of_id_mappings(self, superblock: FoundSuperblock) -> None:
        if superblock.directories and any(is_id_mapped(path) for path in superblock.directories.lower):
            what = "layers of it are seen through an id-mapping, of which the kernel tells nothing: owners will differ"
            self._caution(superblock, what)

    def _caution_of_changes(self, superblock: FoundSuperblock) -> None:
        """Warn if the upper layer is the host's: what two mounted overlays on one do is undefined (overlayfs.rst)."""
        if not (superblock.layers and superblock.directories and superblock.directories.upper):
            return
        upper = superblock.layers[0]
        below = self.superblocks.get(upper.device)
        found = self.host.showing(upper.device, upper.path)
        if found is not None and (below is None or below.how != "made"):
            what = f"its changes go to the host's {found[0]}; do not build it while this one is still mounted"
            self._caution(superblock, what)

    def top_of(self, device: str, path: str) -> tuple[FoundSuperblock, str] | None:
        """Where something has to be made that is to be at `path` of a filesystem: in an overlay, in the topmost of its
        layers that has it, so that it hides nothing; if none is known to have it, in the top layer.
        """
        superblock = self.superblocks.get(device)
        while superblock is not None and superblock.layers:
            number = next((number for number, has in enumerate(superblock.has) if path in has), 0)
            layer = superblock.layers[number]
            path = TargetPath(layer.path).joined(path)
            superblock = self.superblocks.get(layer.device)
        return (superblock, path) if superblock is not None else None


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:3])
    return f"{shown} and {len(paths) - 3} more" if len(paths) > 3 else shown
