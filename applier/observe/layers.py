"""Which directories overlays are made of, and what proves it.

An overlay shows the paths by which its layers were mounted, as the process saw them that mounted it. What is there now
may be something else, and the layer may be elsewhere. So what is found by name, in the captured namespaces, beneath the
overlay itself and on the host, is held against the handles behind the overlay (layer_looks.py, sought_overlay.py); and
where the names mislead, the handles tell where the layers are. Of an upper and a work directory the kernel tells
whether an overlay has them. For a layer that nothing is seen of, since it is empty or all of it is covered, there is no
proof: it is taken where its name and the other layers of the overlay say that it is.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from functools import partial

from mountplan.applier.observe import layer_looks
from mountplan.applier.observe.layer_looks import Handle, SeenDirectory, as_handle, as_status
from mountplan.applier.observe.layer_views import LayerViews, may_have_layers
from mountplan.applier.observe.observe import open_proc
from mountplan.applier.observe.sought_overlay import Candidate, LayerSpot, SoughtOverlay, common_end
from mountplan.applier.observe.subjects import Subject
from mountplan.applier.sys.closing import closing_fd
from mountplan.planner.paths import TargetPath
from mountplan.planner.tables.layerpath import layer_of
from mountplan.planner.tables.mount_facts import FoundLayer, LiveOverlay, OverlayLayer, Proof
from mountplan.planner.tables.mounttree import walk
from mountplan.planner.tables.table import MountTable

_QUERIES = 2000  # paths that are looked up in one overlay


class _Search:
    def __init__(self, views: LayerViews, wanted: Sequence[LiveOverlay]) -> None:
        self.views = views
        self.overlays = [SoughtOverlay(one) for one in wanted]

    def found(self) -> list[tuple[FoundLayer, ...]]:
        self._by_name()
        every = [(overlay, (*overlay.candidates, overlay.doubtful.values())) for overlay in self.overlays]
        self._ask([(overlay, one.seen) for overlay, those in every for some in those for one in some])
        for overlay in self.overlays:
            self._take_proven(overlay)
        self._follow_roots()
        self._follow_uses()
        self._follow_folders()
        self._follow_entries()  # first, since what is there by now under the name of a layer may be empty
        for overlay in self.overlays:
            self._take_named(overlay)
        self._follow_neighbours()
        if any(overlay.is_told and overlay.open() for overlay in self.overlays):
            self._follow_entries()
            self._follow_neighbours()
        for overlay in self.overlays:
            overlay.put_in_order()
            for number in overlay.open():
                overlay.give_up(number)
        self._doubt_named()
        self._break_circles()
        self._try_uses()
        self._follow_works()
        self._find_places()
        return [tuple(one for one in overlay.found if one is not None) for overlay in self.overlays]

    # -- by name ------------------------------------------------------------------------------------------------------

    def _by_name(self) -> None:
        every = list(dict.fromkeys(path for overlay in self.overlays for path in overlay.wanted.paths))
        every += [short for path in every if (short := _without_first(path)) not in ("", *every)]
        seen = [self.views.walk_to(view, every) for view in range(self.views.host + 1)]
        beneath: list[tuple[SoughtOverlay, int, LayerSpot]] = []
        of_host = seen[self.views.host]
        for overlay in self.overlays:
            own = overlay.wanted.space
            order = [own, *(space for space in range(self.views.host) if space != own), self.views.host]
            for number, path in enumerate(overlay.wanted.paths):
                layer = layer_of(path)
                if layer is not None:
                    overlay.take(number, OverlayLayer(*layer), "device", None)
                    continue
                found = [seen[view][path] for view in order if path in seen[view]]
                overlay.candidates[number] = found
                if (short := _without_first(path)) in of_host:  # bubblewrap has the host's tree at /oldroot
                    overlay.doubtful[number] = of_host[short]
                beneath += [(overlay, number, spot) for spot in self.views.beneath(overlay, own, path)]
        there = self.views.probe([spot for _, _, spot in beneath])
        for (overlay, number, _), one in zip(beneath, there, strict=True):
            if one is not None:
                overlay.candidates[number].append(one)
        for overlay in self.overlays:
            for some in overlay.candidates:
                some.sort(key=partial(self._doubt, overlay))

    def _doubt(self, overlay: SoughtOverlay, one: Candidate) -> tuple[bool, bool]:
        """Sorts what is in the overlay's own namespace first, and of that what was there before the overlay."""
        return one.spot.view != overlay.wanted.space, self.views.is_later(overlay, one.spot.view, one.spot.mount)

    # -- what the kernel says -----------------------------------------------------------------------------------------

    def _ask(self, pairs: Iterable[tuple[SoughtOverlay, SeenDirectory]]) -> None:
        """Have the handles behind overlays, for what was seen in candidates."""
        wanted: dict[SoughtOverlay, list[str]] = {overlay: [] for overlay, _ in pairs}
        for overlay, seen in pairs:
            some = wanted[overlay]
            for entry in seen.entries:
                if entry.path not in overlay.asked and len(overlay.asked) < _QUERIES and overlay.shows_path(entry.path):
                    overlay.asked.add(entry.path)
                    some.append(entry.path)
        for overlay in self.overlays:
            if overlay.root is None and not overlay.asked and overlay.open():
                wanted.setdefault(overlay, [])
        inside = {overlay: [overlay.inner(path) for path in some] for overlay, some in wanted.items()}
        for space in {overlay.wanted.space for overlay in wanted}:
            those = {one.wanted.mount: one for one in wanted if one.wanted.space == space}
            see = layer_looks.behind_overlays({mount: inside[one] for mount, one in those.items()})
            for overlay, answer in zip(those.values(), self.views.see(space, list(those), see), strict=True):
                if answer is not None:
                    overlay.root = as_handle(answer[0])
                    for outer, path in zip(wanted[overlay], inside[overlay], strict=True):
                        if path in answer[1]:
                            handle, status = answer[1][path]
                            overlay.behind[outer] = as_handle(handle)
                            if status is not False:
                                overlay.status[outer] = as_status(status)

    # -- what follows from it -----------------------------------------------------------------------------------------

    def _take_proven(self, overlay: SoughtOverlay) -> None:
        for number in overlay.open():
            doubtful = [overlay.doubtful[number]] if number in overlay.doubtful else []
            for one in (*overlay.candidates[number], *doubtful):
                if overlay.judge(number, one) == "handle":
                    overlay.take(number, one.layer, "handle", one)
                    break

    def _follow_roots(self) -> None:
        """Of the layer from which the root of an overlay is taken, the handle tells where it is, or that it is gone."""
        lost = [one for one in self.overlays if one.found[0] is None and one.root is not None and not one.wanted.inner]
        places = self.views.decode([overlay.root for overlay in lost if overlay.root is not None])
        taken: list[tuple[SoughtOverlay, int, OverlayLayer, Proof]] = []
        for overlay in lost:
            device, path = places.get(overlay.root, ("", "")) if overlay.root is not None else ("", "")
            if device:
                shown = posixpath.normpath("/" + overlay.paths[0].lstrip("/"))
                taken.append((overlay, 0, OverlayLayer(device, path or shown), "handle"))
            else:
                overlay.give_up(0)
        self._take_all(taken)

    def _follow_folders(self) -> None:
        """Where the layer is that has a relative name tells the directory that all of these were told from: look there
        for the others. They may be in other filesystems.
        """
        wanted: dict[int, dict[str, list[tuple[SoughtOverlay, int]]]] = {}
        for overlay in self.overlays:
            folder = self._folder_of(overlay)
            for number in overlay.open() if folder is not None else ():
                if folder is not None and not overlay.paths[number].startswith("/"):
                    path = posixpath.normpath(f"{folder[1]}/{overlay.paths[number]}")
                    wanted.setdefault(folder[0], {}).setdefault(path, []).append((overlay, number))
        for view, paths in wanted.items():
            asked = list(paths)
            walked = self.views.walk_to(view, asked)
            spots = [
                (overlay, number, path, spot)
                for path in asked
                for overlay, number in paths[path]
                for spot in self.views.beneath(overlay, view, path)
            ]
            for path in asked:
                for overlay, number in paths[path]:
                    overlay.candidates[number] += [walked[path]] if path in walked else []
            for (overlay, number, _, _), one in zip(spots, self.views.probe([spot for *_, spot in spots]), strict=True):
                overlay.candidates[number] += [one] if one is not None else []
            those = [pair for some in paths.values() for pair in some]
            self._ask([(overlay, one.seen) for overlay, number in those for one in overlay.candidates[number]])
        for overlay in self.overlays:
            self._take_proven(overlay)

    def _folder_of(self, overlay: SoughtOverlay) -> tuple[int, str] | None:
        """The directory, in a captured namespace, from which a layer that is known has its relative name."""
        for number, (path, one) in enumerate(zip(overlay.paths, overlay.taken, strict=True)):
            if one is None or path.startswith(("/", "..")) or one.spot.view == self.views.host:
                continue
            here = TargetPath(self.views.rows[one.spot.view][one.spot.mount].mountpoint).joined(one.spot.path)
            if here.endswith(f"/{path}"):
                overlay.candidates[number].append(one)  # it is where its name says
                return one.spot.view, here[: -len(path) - 1] or "/"
        return None

    def _follow_uses(self) -> None:
        """Where no handles are told, an upper directory is one that is in use: where its name leads to, or where a part
        of its name leads to in any filesystem.
        """
        asked: list[tuple[SoughtOverlay, OverlayLayer]] = []
        for overlay in self.overlays:
            if overlay.changing and overlay.root is None and overlay.found[0] is None:
                named = [one.layer for one in overlay.candidates[0] if one.layer.device != overlay.wanted.device]
                some = [*named, *self._beside_mountpoint(overlay), *self._alike(overlay.paths[0])]
                asked += [(overlay, layer) for layer in dict.fromkeys(some)]
        spots = [self.views.spot_of(layer) for _, layer in asked]
        there = [number for number, spot in enumerate(spots) if spot is not None]
        used: set[int] = set()
        for numbers, answers in self.views.at_spots([spot for spot in spots if spot is not None], layer_looks.uses):
            used |= {there[number] for number, answer in zip(numbers, answers, strict=True) if answer}
        pairs = [asked[number] for number in sorted(used)]
        self._take_all([(overlay, 0, layer, "in use") for overlay, layer in self._paired(pairs).items()])

    def _paired(self, pairs: Sequence[tuple[SoughtOverlay, OverlayLayer]]) -> dict[SoughtOverlay, OverlayLayer]:
        """Which overlay has which of the directories that are in use: what is seen where its name says, first. One that
        another has by a name of its own is taken only where there is no other.
        """
        likeness = {(overlay, layer): self._likeness(overlay.paths[0], layer) for overlay, layer in pairs}
        waiting = sorted(pairs, key=lambda pair: -likeness[pair])
        taken: dict[SoughtOverlay, OverlayLayer] = {}
        known = ((one.found[0], one.paths[0]) for one in self.overlays if one.changing)
        name_of = {found.layer: path for found, path in known if found is not None and found.layer is not None}
        for overlay, layer in waiting:
            if overlay not in taken and name_of.setdefault(layer, overlay.paths[0]) == overlay.paths[0]:
                taken[overlay] = layer
        for overlay, layer in waiting:
            taken.setdefault(overlay, layer)
        return taken

    def _likeness(self, path: str, layer: OverlayLayer) -> int:
        """How many parts of the path, from its end, are where the directory can be seen."""
        seen = (
            TargetPath(row.mountpoint).joined(TargetPath(layer.path).relative_to(root))
            for root, _, row in self.views.mounts[layer.device]
            if TargetPath(layer.path).is_under(root)
        )
        return max((common_end(path, place) for place in seen), default=0)

    def _beside_mountpoint(self, overlay: SoughtOverlay) -> Iterable[OverlayLayer]:
        """Where a relative name of the upper directory leads to from the directory that the overlay is mounted in."""
        space, path = overlay.wanted.space, overlay.paths[0]
        if not path.startswith("/"):
            here = posixpath.dirname(self.views.rows[space][overlay.wanted.mount].mountpoint)
            tree = self.views.trees[space]
            index, place = walk(tree, posixpath.normpath(TargetPath(here).joined(f"/{path}")))
            yield OverlayLayer(tree.rows[index].device, TargetPath(tree.rows[index].root).joined(place))

    def _alike(self, path: str) -> Iterable[OverlayLayer]:
        """Directories, of whichever filesystem, whose paths there end as `path` does, if there are such."""
        parts = path.strip("/").split("/")
        for device, shown in self.views.mounts.items():
            if may_have_layers(shown[0][2]):
                for number in range(len(parts)):
                    yield OverlayLayer(device, "/" + "/".join(parts[number:]))

    def _take_all(self, those: Sequence[tuple[SoughtOverlay, int, OverlayLayer, Proof]]) -> None:
        """Take layers that were not found by their names, and look at what can be seen of them."""
        seen = self.views.probe([self.views.spot_of(layer) for _, _, layer, _ in those])
        for (overlay, number, layer, proof), one in zip(those, seen, strict=True):
            overlay.take(number, layer, proof, one)

    def _take_named(self, overlay: SoughtOverlay) -> None:
        """Take what is found by its name only, unless something speaks against it."""
        for number in overlay.open():
            neighbour = overlay.neighbour(number) if not overlay.is_data(number) else None
            fitting = [one for one in overlay.candidates[number] if overlay.judge(number, one) is not None]
            if neighbour is not None:
                there = overlay.taken[neighbour]
                if there is None or there not in overlay.candidates[neighbour]:
                    continue  # that has moved, or has gone; and so has this one, probably
                view = there.spot.view
                fitting.sort(key=lambda one: one.spot.view != view)
            elif not overlay.is_data(number) and (overlay.is_told or self._is_nested(overlay)):
                fitting = [one for one in fitting if one.layer.device not in self.views.on_host or overlay.shows(one)]
            if fitting:
                overlay.take(number, fitting[0].layer, "name", fitting[0])

    def _is_nested(self, overlay: SoughtOverlay) -> bool:
        """Whether another overlay seems to be among its layers, so that no kernel tells what is behind it."""
        fitting = (one.layer.device for some in overlay.candidates for one in some)
        return any(
            self.views.mounts[device][0][2].fstype == "overlay" for device in fitting if device != overlay.wanted.device
        )

    def _follow_neighbours(self) -> None:
        """Where one layer is now tells where those are whose names begin alike."""
        guesses: list[tuple[SoughtOverlay, int, OverlayLayer]] = []
        for overlay in self.overlays:
            for number in overlay.open():
                neighbour = overlay.neighbour(number)
                known = overlay.found[neighbour] if neighbour is not None else None
                if neighbour is None or known is None or known.layer is None:
                    continue
                path = _moved(overlay.paths[neighbour], known.layer.path, overlay.paths[number])
                if path:
                    guesses.append((overlay, number, OverlayLayer(known.layer.device, path)))
        looked = self.views.probe_all([self.views.spot_of(layer) for _, _, layer in guesses])
        self._ask([(overlay, one.seen) for (overlay, _, _), (_, one) in zip(guesses, looked, strict=True) if one])
        for (overlay, number, layer), (is_seen, one) in zip(guesses, looked, strict=True):
            if not is_seen and not overlay.has(layer):
                overlay.take(number, layer, "name", None)
            elif one is not None and (proof := overlay.judge(number, one)) is not None:
                overlay.take(number, layer, proof, one)

    def _follow_entries(self) -> None:
        """Where what is seen in an overlay comes from tells where its layers are."""
        lost = [overlay for overlay in self.overlays if overlay.is_told and overlay.open()]
        listed = self._listed(lost)
        places = self.views.decode(handle for some in listed.values() for _, handle in some)
        taken: list[tuple[SoughtOverlay, int, OverlayLayer, Proof]] = []
        for overlay, some in listed.items():
            known = {one.layer for one in overlay.found if one is not None}
            roots: dict[OverlayLayer, None] = {}
            for path, handle in some:
                device, place = places.get(handle, ("", ""))
                if place.endswith(f"/{path}"):
                    root = OverlayLayer(device, place[: -len(path) - 1] or "/")
                    if root not in known:
                        roots[root] = None
            for number, layer in overlay.assigned(list(roots)):
                taken.append((overlay, number, layer, "handle"))
        self._take_all(taken)

    def _listed(self, overlays: Sequence[SoughtOverlay]) -> dict[SoughtOverlay, list[tuple[str, Handle]]]:
        """What is in overlays, by its path there, with the handles behind it."""
        listed: dict[SoughtOverlay, list[tuple[str, Handle]]] = {}
        for space in {overlay.wanted.space for overlay in overlays}:
            those = [overlay for overlay in overlays if overlay.wanted.space == space]
            mounts = [overlay.wanted.mount for overlay in those]
            for overlay, answer in zip(those, self.views.see(space, mounts, layer_looks.listings()), strict=True):
                base = overlay.wanted.inner
                listed[overlay] = [(f"{base}/{path}".strip("/"), Handle(*handle)) for path, handle in answer or ()]
        return listed

    def _doubt_named(self) -> None:
        """Give up the lower layers that were taken by their names if something in the overlay comes from none of its
        directories: then it comes from one that is elsewhere, or nowhere. Where no handles are told, names must do.
        """
        doubtful = [overlay for overlay in self.overlays if overlay.is_told and overlay.named()]
        strange = {
            overlay: [handle for path, handle in some if not overlay.has_entry(path, handle)]
            for overlay, some in self._listed([one for one in doubtful if one.is_whole()]).items()
        }
        places = self.views.decode(handle for some in strange.values() for handle in some)
        for overlay, some in strange.items():
            if not all(overlay.holds(*places.get(handle, ("", ""))) for handle in some):
                for number in overlay.named():
                    overlay.give_up(number)
        untold = [one for one in self.overlays if not one.is_told and one.named() and one.is_whole()]
        for overlay, names in self._names(untold):
            if not overlay.accounts_for(names) and not overlay.take_another_for(names):
                for number in overlay.named():
                    overlay.give_up(number)

    def _break_circles(self) -> None:
        """Give up the layers taken by their names that are of overlays which are made of this one."""
        by_device = {overlay.wanted.device: overlay for overlay in self.overlays}
        for overlay in self.overlays:
            for number in overlay.named():
                waiting, seen = [overlay.found[number]], set[str]()
                while waiting and overlay.wanted.device not in seen:
                    one = waiting.pop()
                    if one is not None and one.layer is not None and one.layer.device not in seen:
                        seen.add(one.layer.device)
                        below = by_device.get(one.layer.device)
                        waiting += below.found if below is not None else ()
                if overlay.wanted.device in seen:
                    overlay.give_up(number)

    def _names(self, overlays: Sequence[SoughtOverlay]) -> Iterable[tuple[SoughtOverlay, list[str]]]:
        """What is directly in overlays of which the root can be seen."""
        for space in {overlay.wanted.space for overlay in overlays}:
            those = [one for one in overlays if one.wanted.space == space and not one.wanted.inner]
            answers = self.views.see(space, [one.wanted.mount for one in those], layer_looks.names())
            yield from ((one, names) for one, names in zip(those, answers, strict=True) if names is not None)

    def _try_uses(self) -> None:
        """Whether upper and work directories are in use, as far as that is not known. What is not is not the one."""
        unproven = [
            (overlay, number)
            for overlay in self.overlays
            for number in range(overlay.changing)
            if (found := overlay.found[number]) is not None and found.proof == "name"
        ]
        doubtful: list[SoughtOverlay] = []
        for (overlay, number), used in zip(unproven, self._used(unproven), strict=True):
            found = overlay.found[number]
            if used and found is not None:
                overlay.found[number] = FoundLayer(found.layer, "in use")
            elif used is False and number == 1:
                doubtful.append(overlay)
        # The kernel marks both. But if the upper one has no mark either, it marks none for this overlay.
        for overlay, used in zip(doubtful, self._used([(overlay, 0) for overlay in doubtful]), strict=True):
            if used:
                overlay.give_up(1)

    def _follow_works(self) -> None:
        """A work directory that has another name by now is one that is in use, where its old name leads to or beside
        the upper directory, with nothing in it but what the kernel makes there.
        """
        asked: list[tuple[SoughtOverlay, OverlayLayer]] = []
        known = {one.layer for overlay in self.overlays for one in overlay.found if one is not None}
        for overlay in self.overlays:
            upper, work = overlay.found[:2] if overlay.changing else (None, None)
            if upper is not None and upper.layer is not None and work is not None and work.layer is None:
                named = [one.layer for one in overlay.candidates[1] if one.layer.device == upper.layer.device]
                some = dict.fromkeys([*named, *self._beside(upper.layer)])
                asked += [(overlay, layer) for layer in some if layer not in known]
        looked = zip(asked, self.views.probe([self.views.spot_of(layer) for _, layer in asked]), strict=True)
        fitting = [(*pair, one.spot) for pair, one in looked if one is not None and _may_be_work(one.seen)]
        used: set[int] = set()
        for numbers, answers in self.views.at_spots([spot for _, _, spot in fitting], layer_looks.uses):
            used |= {number for number, answer in zip(numbers, answers, strict=True) if answer}
        for number in sorted(used):
            overlay, layer, _ = fitting[number]
            if overlay.found[1] == FoundLayer(None, "gone") and layer not in known:
                overlay.found[1] = FoundLayer(layer, "in use")
                known.add(layer)

    def _beside(self, layer: OverlayLayer) -> list[OverlayLayer]:
        """The directories in the one that it is in."""
        above = OverlayLayer(layer.device, posixpath.dirname(layer.path))
        [one] = self.views.probe([self.views.spot_of(above)])
        names = [entry.path for entry in one.seen.entries if entry.status is None] if one is not None else []
        return [OverlayLayer(layer.device, TargetPath(above.path).joined(name)) for name in names if "/" not in name]

    def _find_places(self) -> None:
        """Which of the places that matter are in which directory; what is in the work directory is seen nowhere."""
        places_of = {overlay: dict.fromkeys(overlay.wanted.places) for overlay in self.overlays}
        by_device = {overlay.wanted.device: overlay for overlay in self.overlays}
        for overlay in 2 * self.overlays:  # the kernel has overlays over overlays, and none over these
            for one in overlay.found:
                if one is not None and one.layer is not None and one.layer.device in by_device:
                    inner, below = TargetPath(one.layer.path), by_device[one.layer.device]
                    places_of[below] |= {inner.joined(place): None for place in places_of[overlay]}
        asked: list[tuple[SoughtOverlay, int, str]] = []
        spots: list[LayerSpot] = []
        for overlay, some in places_of.items():
            for number, one in enumerate(overlay.found):
                if one is None or one.layer is None or (overlay.changing and number == 1) or overlay.is_data(number):
                    continue
                if some and (spot := self.views.spot_of(one.layer)) is not None:
                    asked += [(overlay, number, place) for place in some]
                    spots += [spot._replace(path=TargetPath(spot.path).joined(place)) for place in some]
        has: dict[tuple[SoughtOverlay, int], set[str]] = {}
        for numbers, answers in self.views.at_spots(spots, layer_looks.presence):
            for at, is_there in zip(numbers, answers, strict=True):
                overlay, number, place = asked[at]
                if is_there:
                    has.setdefault((overlay, number), set()).add(place)
        for (overlay, number), places in has.items():
            found = overlay.found[number]
            if found is not None:
                overlay.found[number] = found._replace(has=frozenset(places))

    def _used(self, those: Sequence[tuple[SoughtOverlay, int]]) -> list[bool | None]:
        """Whether directories are in use by an overlay; None if that cannot be told."""
        answers: list[bool | None] = [None] * len(those)
        seen = [(at, one.spot) for at, (overlay, number) in enumerate(those) if (one := overlay.taken[number])]
        for numbers, used in self.views.at_spots([spot for _, spot in seen], layer_looks.uses):
            for number, answer in zip(numbers, used, strict=True):
                answers[seen[number][0]] = answer
        return answers


def find_layers(
    subjects: Sequence[Subject], tables: Sequence[MountTable], host: tuple[Subject, MountTable],
    wanted: Sequence[LiveOverlay],
) -> list[tuple[FoundLayer, ...]]:  # fmt: skip
    """The directories that overlays are made of, in the order of their paths."""
    with closing_fd(open_proc()) as proc:
        return _Search(LayerViews(subjects, tables, host, proc), wanted).found()


def layers_at(host: tuple[Subject, MountTable], paths: Sequence[str]) -> dict[str, OverlayLayer]:
    """Where those paths of the host lead that lead to a directory."""
    with closing_fd(open_proc()) as proc:
        return {path: one.layer for path, one in LayerViews((), (), host, proc).walk_to(0, paths).items()}


def _may_be_work(seen: SeenDirectory) -> bool:
    names = {entry.path.partition("/")[0] for entry in seen.entries}
    return bool(names) and names <= {"work", "index"}


def _without_first(path: str) -> str:
    """`/a/b` -> `/b`; "" if nothing is left."""
    rest = path.lstrip("/").partition("/")[2]
    return f"/{rest}" if rest else ""


def _moved(shown: str, now: str, other: str) -> str:
    """Where `other` is if what is shown as `shown` is at `now`, and both have moved together; "" if it says nothing."""
    was, is_now = shown.strip("/").split("/"), now.strip("/").split("/")
    while was and is_now and was[-1] == is_now[-1]:
        was.pop()
        is_now.pop()
    parts = other.strip("/").split("/")
    if parts[: len(was)] != was or not parts[len(was) :]:
        return ""
    rest = parts[len(was) :]
    while is_now and rest[:1] == [".."]:
        is_now.pop()
        rest.pop(0)
    return "/" + "/".join([part for part in is_now if part] + rest) if ".." not in rest else ""
