"""One overlay while its layers are looked for: what was found for each, and whether that can be the one.

Candidates are held against the handles behind the overlay, against each other and against what the kernel allows.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, takewhile

from mountplan.applier.observe.layer_looks import Handle, LayerEntry, SeenDirectory, Status
from mountplan.planner.paths import TargetPath
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mount_facts import FoundLayer, LiveOverlay, OverlayLayer, Proof


class LayerSpot(NamedTuple):
    """A directory as it can be reached: through which mount (by id) of which view, and where in that."""

    view: int
    mount: int
    path: str


class Candidate(NamedTuple):
    layer: OverlayLayer
    spot: LayerSpot
    seen: SeenDirectory


class SoughtOverlay:
    """One overlay while its layers are looked for. All lists go by the order of its paths."""

    def __init__(self, wanted: LiveOverlay) -> None:
        self.wanted = wanted
        self.paths = [posixpath.normpath(path) for path in wanted.paths]
        self.parts = [path.strip("/").split("/") for path in self.paths]
        self.candidates: list[list[Candidate]] = [[] for _ in wanted.paths]
        self.doubtful: dict[int, Candidate] = {}  # to be taken only if they are proven
        self.found: list[FoundLayer | None] = [None] * len(wanted.paths)
        self.taken: list[Candidate | None] = [None] * len(wanted.paths)  # those of `found` that were looked at
        self.root: Handle | None = None
        self.behind: dict[str, Handle | None] = {}  # what is there, of all that was asked for
        self.status: dict[str, Status | None] = {}  # of the same, but for what is mounted upon
        self.asked: set[str] = set()

    @property
    def changing(self) -> int:
        return 2 if self.wanted.changes else 0

    def is_data(self, number: int) -> bool:
        """Whether it is of a layer that holds data only: of what is in there the overlay has no names."""
        return number >= len(self.paths) - self.wanted.data

    @property
    def is_told(self) -> bool:
        """Whether the kernel tells anything of what is behind it."""
        return self.root is not None

    def take(self, number: int, layer: OverlayLayer, proof: Proof, candidate: Candidate | None) -> None:
        self.found[number] = FoundLayer(layer, proof)
        self.taken[number] = candidate

    def has(self, layer: OverlayLayer) -> bool:
        """Whether it is one of those that are found: the kernel refuses a directory that is told twice."""
        return any(one is not None and one.layer == layer for one in self.found)

    def put_in_order(self) -> None:
        """Names may have been swapped. Of several lower layers with a file, the overlay shows that of the highest."""
        lower = [(number, one) for number, one in enumerate(self.taken) if number >= max(1, self.changing) and one]
        known = {number: one for number, one in lower if self.found[number] == FoundLayer(one.layer, "handle")}
        below = {number: self._covered(one, known) for number, one in known.items()}
        waiting, order = list(known), list[int]()
        while waiting:
            free = (one for one in waiting if not any(one in below[other] for other in waiting if other != one))
            order.append(next(free, waiting[0]))
            waiting.remove(order[-1])
        for number, other in zip(known, order, strict=True):
            self.take(number, known[other].layer, "handle", known[other])

    def _covered(self, above: Candidate, known: Mapping[int, Candidate]) -> set[int]:
        """The layers that have something of which `above` has what is seen."""
        shown = {one.path for one in above.seen.entries if self._is_seen(one)}
        entries = ((number, one) for number, other in known.items() for one in other.seen.entries)
        return {number for number, one in entries if one.path in shown and not self._is_seen(one)}

    def _is_seen(self, entry: LayerEntry) -> bool:
        handle = self.behind.get(entry.path)
        return entry.handle is not None and handle is not None and handle.is_same(entry.handle)

    def give_up(self, number: int) -> None:
        self.found[number], self.taken[number] = FoundLayer(None, "gone"), None

    def judge(self, number: int, one: Candidate) -> Proof | None:
        """How the candidate is proven; "name" if by nothing; None if it is not the one."""
        if one.layer.device == self.wanted.device or self.has(one.layer):
            return None
        if self.root is not None and one.seen.handle is not None and not self.wanted.inner:
            is_first = self.root.is_same(one.seen.handle)
            if is_first or number == 0:
                return "handle" if is_first and number == 0 else None
        if number < self.changing:
            return "name"
        if self._overlaps(number, one.layer):
            return None
        if self.is_data(number):
            return "name"
        if any(self._is_seen(entry) for entry in one.seen.entries):
            return "handle"
        return None if self._misses(number, one) else "name"

    def _overlaps(self, number: int, layer: OverlayLayer) -> bool:
        """Whether a lower layer would lie within another directory of the overlay: the kernel makes no such overlay."""
        for other, one in enumerate(self.found):
            if other == number or one is None or one.layer is None or one.layer.device != layer.device:
                continue
            is_within = TargetPath(layer.path).is_under(one.layer.path)
            if is_within or (other >= self.changing and TargetPath(one.layer.path).is_under(layer.path)):
                return True
        return False

    def _misses(self, number: int, one: Candidate) -> bool:
        """Whether the candidate has something that the overlay would show, and does not, or shows another one of."""
        above = [self.taken[other] for other in range(number) if other != 1 or not self.changing]
        if any(other is None or not other.seen.whole for other in above):
            return False  # that may have hidden it
        entries = [entry for other in above if other is not None for entry in other.seen.entries]
        names = {entry.path for entry in entries}
        hiding = {entry.path for entry in entries if not entry.merges}
        alone = self.asked - names
        own = (entry for entry in one.seen.entries if not entry.whiteout and entry.path in alone)
        return any(hiding.isdisjoint(_above(entry.path)) and self._is_another(entry) for entry in own)

    def _is_another(self, entry: LayerEntry) -> bool:
        """Whether the overlay has nothing of that name, or something else, as far as the kernel tells."""
        if entry.path not in self.behind:
            return True
        handle = self.behind[entry.path]
        if entry.handle is not None and handle is not None:
            return not handle.is_same(entry.handle)
        # In an overlay over an overlay, nothing has a handle.
        return entry.path in self.status and entry.status not in (None, self.status[entry.path])

    def named(self) -> list[int]:
        """The lower layers that were taken by their names, and are not known to be the ones."""
        numbered = list(enumerate(self.found))[self.changing :]
        return [number for number, one in numbered if one is not None and one.proof == "name"]

    def is_whole(self) -> bool:
        """Whether all directories were looked at that something in the overlay may come from."""
        work = 1 if self.changing else -1
        return all(one is not None or number == work or self.is_data(number) for number, one in enumerate(self.taken))

    def has_entry(self, path: str, handle: Handle) -> bool:
        """Whether this was seen in one of the directories that are taken."""
        entries = (entry for one in self.taken if one is not None for entry in one.seen.entries if entry.path == path)
        return any(entry.handle is not None and entry.handle.is_same(handle) for entry in entries)

    def accounts_for(self, names: Iterable[str]) -> bool:
        """Whether these names, which are directly in the overlay, are in the directories that are taken, as far as it
        is known what is in those.
        """
        seen = [one.seen for number, one in enumerate(self.taken) if one and not (number == 1 and self.changing)]
        known = {entry.path for one in seen for entry in one.entries}
        return not all(one.whole for one in seen) or known.issuperset(names)

    def take_another_for(self, names: Iterable[str]) -> bool:
        """Take for a lower layer that was taken by its name another candidate, with which all names are there."""
        for number in self.named():
            taken = self.taken[number]
            self.found[number] = self.taken[number] = None
            for one in self.candidates[number]:
                if one != taken and self.judge(number, one) is not None:
                    self.take(number, one.layer, "name", one)
                    if self.accounts_for(names):
                        return True
            if taken is not None:
                self.take(number, taken.layer, "name", taken)
        return False

    def holds(self, device: str, path: str) -> bool:
        """Whether what is at this place in a filesystem is in one of the directories that are taken."""
        layers = [one.layer for one in self.found if one is not None and one.layer is not None]
        return any(one.device == device and TargetPath(path or "/").is_under(one.path) for one in layers)

    def shows(self, one: Candidate) -> bool:
        """Whether anything of what is in the candidate has a like in the overlay: not merely its name fits then."""
        return any(entry.path in self.behind for entry in one.seen.entries if not entry.whiteout)

    def open(self) -> list[int]:
        return [number for number, one in enumerate(self.found) if one is None]

    def shows_path(self, path: str) -> bool:
        """Whether the mount through which it is looked at shows `path` of it."""
        base = self.wanted.inner
        return not base or path == base or path.startswith(f"{base}/")

    def inner(self, path: str) -> str:
        """`path` as that mount shows it."""
        return path[len(self.wanted.inner) :].strip("/") if self.wanted.inner else path

    def neighbour(self, number: int) -> int | None:
        """The layer of which it is known where it is, or that it is gone, whose name has most in common with this."""
        own = self.parts[number]
        is_relative = not self.paths[number].startswith("/")
        best, most = None, 0
        for other, one in enumerate(self.found):
            if one is None or one.proof not in ("handle", "in use", "gone"):
                continue
            common = _common(own, self.parts[other])
            if is_relative and not self.paths[other].startswith("/"):
                common += 1  # the directory that both were told from
            if common > most:
                best, most = other, common
        return best

    def assigned(self, roots: list[OverlayLayer]) -> list[tuple[int, OverlayLayer]]:
        """Which of the layers found by their contents is which: by what their names have in common, at their ends."""
        found = []
        numbers = [number for number in self.open() if number >= self.changing and not self.is_data(number)]
        for layer in roots:
            if not numbers:
                break
            if len(numbers) == 1 == len(roots):
                best = numbers[0]
            else:
                best = max(numbers, key=lambda number: (common_end(self.paths[number], layer.path), -number))
                if not common_end(self.paths[best], layer.path):
                    continue
            numbers.remove(best)
            found.append((best, layer))
        # Of the others it is known that they are layers, and not which: put_in_order tells, as far as it can be seen.
        left = [layer for layer in roots if layer not in {one for _, one in found}]
        if len(left) <= len(numbers) and not (self.changing and self.found[0] is None):
            found += zip(numbers, left, strict=False)
        return found


def _above(path: str) -> Iterator[str]:
    """The directories that it is in: `a` and `a/b` for `a/b/c`."""
    return accumulate(path.split("/")[:-1], "{}/{}".format)


def common_end(path: str, other: str) -> int:
    """How many parts of the paths are the same, from their ends."""
    return _common(path.strip("/").split("/")[::-1], other.strip("/").split("/")[::-1])


def _common(parts: list[str], other: list[str]) -> int:
    """How many of the first parts are the same."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(parts, other, strict=False)))
