"""One namespace, wanted and found: which of its mounts are each other's counterparts, site by site.

A *site* is a place on a mount: what stands there is a stack, from the lowest up. Mounts are known by their positions in
the two tables.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import product

from mountplan.planner.change.standing import StandingSpace, User
from mountplan.planner.compare.matching import OUTSIDE, Forest, match
from mountplan.planner.compare.view import View
from mountplan.planner.names import Handle, IdMapping
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan.predict import Prediction
from mountplan.planner.tables.mounttree import hiders
from mountplan.planner.tables.table import MountRow, MountTable, Walks


class PairedSpace:
    """`pairs` are counterparts: wanted -> found; of any other two, nothing is known. `left_out` are mountpoints where
    the spec writes a mount down that it cannot build: what stands there stays.
    """

    def __init__(
        self, number: int, prediction: Prediction, view: View, standing: StandingSpace, left_out: frozenset[str]
    ) -> None:
        self.number = number
        self.name = prediction.namespace
        self.standing = standing
        self.left_out = left_out
        self.names = prediction.names
        self.origins = prediction.origins
        self.idmaps = view.idmaps or {}
        found = match(prediction.table, standing.table)
        self.wanted, self.found, self.pairs = found
        self.wanted_sites = _Sites(self.wanted)
        self.found_sites = _Sites(self.found)
        self._walks: Walks | None = None
        self.position = {row.mount_id: at for at, row in enumerate(self.found.rows)}

    def pair_again(self, devices: Mapping[Handle, str]) -> None:
        """Now that it is known which filesystems stand: what else is in their stack comes or goes."""
        if self.wanted.tops or self.found.tops:
            rows = (row._replace(device=devices.get(row.device[1:], row.device)) for row in self.wanted.rows)
            self.pairs = match(MountTable(tuple(rows)), MountTable(self.found.rows), devices=True).pairs

    def roots(self) -> tuple[int, int]:
        """The lowest mount of both sides."""
        return self.wanted.children[OUTSIDE][0], self.found.children[OUTSIDE][0]

    def places(self) -> Iterator[tuple[MountRow, MountRow]]:
        for wanted, found in self.pairs.items():
            yield self.wanted.rows[wanted], self.found.rows[found]

    def stacked(self) -> Iterator[tuple[MountRow, MountRow]]:
        """Each wanted mount of a stack with each that stands there."""
        for wanted, found in self.pairs.items():
            there = self.found_sites.on(found)
            for place, stack in self.wanted_sites.on(wanted).items():
                for one, other in product(stack, there.get(place, ())):
                    yield self.wanted.rows[one], self.found.rows[other]

    def origin_at(self, mountpoint: str) -> str:
        """Where the spec has what is wanted at a mountpoint, "" if nothing is."""
        rows = self.wanted.rows
        return next((self.origins[at] for at in reversed(range(len(rows))) if rows[at].mountpoint == mountpoint), "")

    def is_seen(self, wanted: int) -> bool:
        """Whether a walk ends on a mount, once all is as it shall be."""
        if self._walks is None:
            self._walks = Walks(MountTable(tuple(self.wanted.rows)))
        row = self.wanted.rows[wanted]
        return self._walks.end_of(row.mountpoint) is row

    def idmap(self, wanted: int) -> IdMapping | None:
        return self.idmaps.get(self.wanted.rows[wanted].mount_id)

    def idmap_found(self, found: int) -> IdMapping | None:
        return (self.standing.idmaps or {}).get(self.found.rows[found].mount_id)

    def users(self, found: int, *, below: bool = True) -> tuple[User, ...]:
        """The processes that have something of a mount, or of what stands on it; each once for each mount."""
        return tuple(user for _, user in self.users_by_mount(found, below=below))

    def users_by_mount(self, found: int, *, below: bool, but: Container[int] = ()) -> Iterator[tuple[int, User]]:
        """`but`: mounts above that stay where they are, with what stands on them."""
        waiting = [found]
        for at in waiting:
            for user in self.standing.users.get(self.found.rows[at].mount_id, ()):
                yield at, user
            if below:
                waiting += (child for child in self.found.children.get(at, ()) if child not in but)


def seen_at(spaces: Iterable[PairedSpace], device: str, path: str = "/") -> tuple[str, str]:
    """Where a path of a filesystem that stands is seen, and in which namespace: through the mount that shows most of
    it; if none shows that path, where the filesystem is.
    """
    shown = [(space, row) for space in spaces for row in space.found.rows if row.device == device]
    if not shown:
        return "", ""
    space, row = min(shown, key=lambda one: (not TargetPath(path).is_under(one[1].root), len(one[1].root)))
    if not TargetPath(path).is_under(row.root):
        return row.mountpoint, space.name
    return TargetPath(row.mountpoint).joined(TargetPath(path).relative_to(row.root)), space.name


class _Sites:
    """What stands on each mount of a table, by place: `/a` -> the stack there; `/` is what is mounted upon its root."""

    def __init__(self, forest: Forest) -> None:
        self._forest = forest

    def on(self, parent: int) -> dict[str, list[int]]:
        """The places on a mount; not what is stacked upon it, which belongs to its own site."""
        base = self._forest.rows[parent].mountpoint
        length = 0 if base == "/" else len(base)
        return {
            mountpoint[length:] or "/": self._forest.stack(mounts[0])
            for mountpoint, mounts in self._forest.places(parent, ()).items()
        }


def covers_of(places: dict[str, list[int]], place: str) -> list[str]:
    """Which of the places on one mount keep a walk from reaching `place` on it, the shortest first."""
    index = {one: number for number, one in enumerate(places)}
    names = list(places)
    return [names[number] for number in hiders(index, place)]
