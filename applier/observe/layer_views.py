"""Where directories that may be layers of overlays can be seen: in the captured namespaces, and on the host."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mountplan.applier.observe import layer_looks
from mountplan.applier.observe.layer_looks import Handle, SeenDirectory
from mountplan.applier.observe.roots import look
from mountplan.applier.observe.sought_overlay import Candidate, LayerSpot, SoughtOverlay
from mountplan.applier.observe.subjects import Subject
from mountplan.applier.sys import syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.inside import enter, in_child
from mountplan.planner.fstypes import of
from mountplan.planner.paths import TargetPath
from mountplan.planner.tables.mount_facts import OverlayLayer
from mountplan.planner.tables.mounttree import MountTree, walk
from mountplan.planner.tables.table import MountRow, MountTable


class LayerViews:
    """The namespaces by their numbers, and the host as the last of them. `proc` is a descriptor of /proc."""

    def __init__(
        self, subjects: Sequence[Subject], tables: Sequence[MountTable], host: tuple[Subject, MountTable], proc: int
    ) -> None:
        self.proc = proc
        self._of = [*zip(subjects, tables, strict=True), host]
        self.rows = [table.by_id() for _, table in self._of]
        self.host = len(subjects)
        self.trees = [MountTree(table) for table in tables]
        self._orders = [{row.mount_id: place for place, row in enumerate(table.rows)} for table in tables]
        self.on_host = {row.device for row in host[1].rows}
        self.mounts: dict[str, list[tuple[str, int, MountRow]]] = {}  # by device: root, view, mount; the widest first
        for view, (_, table) in enumerate(self._of):
            for row in table.rows:
                self.mounts.setdefault(row.device, []).append((row.root, view, row))
        for shown in self.mounts.values():
            shown.sort(key=lambda one: len(one[0]))

    def walk_to(self, view: int, paths: Sequence[str]) -> dict[str, Candidate]:
        """What directories these paths lead to in a namespace, or on the host, by walks of the kernel's."""
        subject = self._of[view][0]

        def inside() -> list[Any]:
            if view != self.host:
                enter(subject.fd)
            return [_walked(self.proc, path) for path in paths]

        try:
            seen = in_child(inside)
        except OSError:
            return {}
        rows = self.rows[view]
        found = {}
        for path, one in zip(paths, seen, strict=True):
            row = rows.get(one[0]) if one is not None else None
            if one is None or row is None or row.fstype == "proc":
                continue  # the kernel makes no overlay of it
            if TargetPath(one[1]).is_under(row.mountpoint):
                place = TargetPath("/").joined(TargetPath(one[1]).relative_to(row.mountpoint))
                layer = OverlayLayer(row.device, TargetPath(row.root).joined(place))
                found[path] = Candidate(layer, LayerSpot(view, row.mount_id, place), SeenDirectory.of(one[2]))
        return found

    def beneath(self, overlay: SoughtOverlay, space: int, path: str) -> list[LayerSpot]:
        """What lies at `path` beneath the overlay itself, or on a covered root, and beneath all that was mounted later;
        without what a walk finds as well.
        """
        tree, path, device = self.trees[space], posixpath.normpath(f"/{path}"), overlay.wanted.device
        seen = {walk(tree, path, from_top=True)}
        walks = (
            walk(tree, path, without=lambda row: row.device == device),
            walk(tree, path, without=lambda row: row.device == device or self.is_later(overlay, space, row.mount_id)),
        )
        found = [here for here in dict.fromkeys(walks) if here not in seen]
        return [LayerSpot(space, tree.rows[index].mount_id, place) for index, place in found]

    def is_later(self, overlay: SoughtOverlay, view: int, mount: int) -> bool:
        """Whether a mount was made after the overlay in its namespace, whose mounts the kernel tells in that order."""
        order, own = self._orders[overlay.wanted.space], overlay.wanted
        return view == own.space and order[mount] > order.get(own.mount, len(order))

    def see(self, view: int, mounts: list[int], see: Callable[[bytes, int, int], Any]) -> list[Any]:
        subject, table = self._of[view]
        return look(subject, table, mounts, see)

    def probe(self, spots: Sequence[LayerSpot | None]) -> list[Candidate | None]:
        """Look at directories; None where there is none, or none that can be seen."""
        return [one for _, one in self.probe_all(spots)]

    def probe_all(self, all_spots: Sequence[LayerSpot | None]) -> list[tuple[bool, Candidate | None]]:
        """The same, with whether it can be seen that there is one or none."""
        numbers_of = [number for number, spot in enumerate(all_spots) if spot is not None]
        spots = [spot for spot in all_spots if spot is not None]
        all_found: list[tuple[bool, Candidate | None]] = [(False, None)] * len(all_spots)
        for numbers, answers in self.at_spots(spots, layer_looks.directories):
            for number, seen in zip(numbers, answers, strict=True):
                spot = spots[number]
                row = self.rows[spot.view][spot.mount]
                layer = OverlayLayer(row.device, TargetPath(row.root).joined(spot.path))
                if seen is not False:
                    one = Candidate(layer, spot, SeenDirectory.of(seen)) if seen is not None else None
                    all_found[numbers_of[number]] = (True, one)
        return all_found

    def at_spots(
        self, spots: Sequence[LayerSpot], what: Callable[[dict[int, list[str]]], layer_looks.See]
    ) -> Iterable[tuple[list[int], list[Any]]]:
        """Ask about directories mount by mount: pairs of their numbers in `spots`, and as many answers."""
        by_view: dict[int, dict[int, list[int]]] = {}
        for number, spot in enumerate(spots):
            by_view.setdefault(spot.view, {}).setdefault(spot.mount, []).append(number)
        for view, mounts in by_view.items():
            see = what({mount: [spots[number].path for number in numbers] for mount, numbers in mounts.items()})
            for numbers, answers in zip(mounts.values(), self.see(view, list(mounts), see), strict=True):
                if answers is not None:
                    yield numbers, answers

    def spot_of(self, layer: OverlayLayer) -> LayerSpot | None:
        """Where a directory can be seen, whatever covers it."""
        for root, view, row in self.mounts.get(layer.device, ()):
            if TargetPath(layer.path).is_under(root):
                return LayerSpot(view, row.mount_id, TargetPath("/").joined(TargetPath(layer.path).relative_to(root)))
        return None

    def decode(self, handles: Iterable[Handle]) -> dict[Handle, tuple[str, str]]:
        """Where these are now: device and path, which is "" if no mount shows that."""
        waiting = list(dict.fromkeys(handles))
        found: dict[Handle, tuple[str, str]] = {}
        devices = [(device, shown) for device, shown in self.mounts.items() if may_have_layers(shown[0][2])]
        turn = 0
        while waiting and devices:
            asked: dict[int, list[tuple[str, str, int]]] = {}
            for device, shown in devices:
                root, view, row = shown[turn]
                asked.setdefault(view, []).append((device, root, row.mount_id))
            see = layer_looks.decoded(self.proc, waiting)
            beside: set[str] = set()
            for view, some in asked.items():
                for (device, root, _), answers in zip(some, self.see(view, [one[2] for one in some], see), strict=True):
                    for handle, path in zip(waiting, answers or (), strict=False):
                        if isinstance(path, str):
                            found[handle] = (device, TargetPath(root).joined(path))
                        elif path is False:
                            found.setdefault(handle, (device, ""))
                            beside.add(device)
            waiting = [handle for handle in waiting if not found.get(handle, ("", ""))[1]]
            turn += 1  # another part of the filesystem may be mounted elsewhere
            devices = [(device, shown) for device, shown in devices if device in beside and len(shown) > turn]
        return found


def may_have_layers(row: MountRow) -> bool:
    """Whether layers in it can be found without their names; what the kernel fills has none."""
    return of(row.fstype).begins != "filled" and row.fstype not in ("overlay", "nsfs")


def _walked(proc: int, path: str) -> tuple[int, str, tuple[object, ...] | None] | None:
    """Mount id, path as it is seen there, and what SeenDirectory.of takes, of the directory at `path`."""
    try:
        with closing_fd(os.open(os.fsencode(f"/{path}"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
            real = os.fsdecode(os.readlink(b"self/fd/%d" % fd, dir_fd=proc))
            return syscalls.mount_id(fd, b""), real, layer_looks.plain(layer_looks.describe(fd))
    except OSError:
        return None
