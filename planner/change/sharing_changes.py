"""Which group that stands is which of the plan, and where a seed for each comes from.

A plan's mounts join groups from seeds. A seed for a group that stands is a clone of a member whose root contains the
root of each mount that joins. Where there is no such member, the group is made anew, and all of its members join that.
"""

from __future__ import annotations

from collections import Counter

from mountplan.planner.change.paired_space import PairedSpace
from mountplan.planner.change.parts import Parts
from mountplan.planner.change.same_superblock import Superblocks
from mountplan.planner.names import Handle
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.predict import HOST_GROUPS
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow

Pair = tuple[int, int]  # peer group and master, as the kernel numbers them


class Member(NamedTuple):
    """A mount that stands, from which a seed is cloned; with `slave`, one that only receives from it."""

    space: PairedSpace
    found: int
    slave: bool


class SharingMatch:
    """`standing` has the kernel's numbers for the group of each seed; `anew` are those that are made anew."""

    def __init__(self, parts: Parts, spaces: tuple[PairedSpace, ...], superblocks: Superblocks) -> None:
        self._parts = parts
        self._spaces = spaces
        self._devices = superblocks.devices
        self.standing: dict[Handle, Pair] = {}
        self.anew: set[Handle] = set()
        self._match()

    def _match(self) -> None:
        parts = self._parts
        votes: Counter[tuple[Handle, Pair]] = Counter()
        for space in self._spaces:
            for wanted, found in space.pairs.items():
                seed = parts.joined.get(space.names[wanted])
                if seed is None:
                    continue
                row, there = space.wanted.rows[wanted], space.found.rows[found]
                if isinstance(parts.seeds[seed], s.TakeHostGroup):
                    self.standing[seed] = (_of_host(row.peer_group), _of_host(row.master))
                    continue
                device = self._devices.get(row.device[1:], "") if row.device[:1] == "=" else row.device
                if (
                    device == there.device
                    and bool(there.peer_group) == bool(row.peer_group)
                    and (there.peer_group or there.master)
                ):
                    votes[seed, (there.peer_group, there.master)] += 1
        taken = {pair[0] or -pair[1] for pair in self.standing.values()}
        for (seed, pair), _ in votes.most_common():
            key = pair[0] or -pair[1]
            if seed not in self.standing and key not in taken:
                self.standing[seed] = pair
                taken.add(key)
        for seed, step in parts.seeds.items():
            known = self.standing.get(seed)
            if known is None or not isinstance(step, s.MakeSeed):
                continue
            master = self.standing.get(step.master) if step.master else (0, 0)
            if master is None and known[1] and not self._has_members(step.master):  # it lives on in the base only
                self.standing[step.master] = (known[1], 0)
                continue
            if master is None or master[0] != known[1]:
                self.make_anew(seed)

    def _has_members(self, seed: Handle) -> bool:
        return seed in self._parts.joined.values()

    def differs(self, space: PairedSpace, wanted: int, found: int) -> bool:
        """Whether a mount that stands is in another group than it should be."""
        row, there = space.wanted.rows[wanted], space.found.rows[found]
        if row.unbindable != there.unbindable:
            return True
        if self.has_own_group(space, wanted):
            return not there.peer_group or there.master != _of_host(row.master)
        return self.wanted_pair(space, wanted) != (there.peer_group, there.master)

    def has_own_group(self, space: PairedSpace, wanted: int) -> bool:
        """Whether it shall be shared in a group of its own, which has no name."""
        group = space.wanted.rows[wanted].peer_group
        return 0 < group < HOST_GROUPS and space.names[wanted] not in self._parts.joined

    def wanted_pair(self, space: PairedSpace, wanted: int) -> Pair | None:
        """The kernel's numbers for the group of a mount; None if that is still to be made."""
        row = space.wanted.rows[wanted]
        seed = self._parts.joined.get(space.names[wanted])
        if seed is None:
            return _of_host(row.peer_group), _of_host(row.master)
        return None if seed in self.anew else self.standing.get(seed)

    def has_members(self, seed: Handle) -> bool:
        """Whether a mount is in the group in the end, or it is the host's: it does not live on otherwise."""
        return self._has_members(seed) or isinstance(self._parts.seeds[seed], s.TakeHostGroup)

    def is_made_anew(self, space: PairedSpace, wanted: int) -> bool:
        """Whether there is such a group, and another one takes its place."""
        seed = self._parts.joined.get(space.names[wanted])
        return seed in self.anew and seed in self.standing

    def member_for(self, seed: Handle, roots: list[str], reachable: set[tuple[int, int]]) -> Member | None:
        """A mount that stands in the group of a seed, and whose root contains all these."""
        pair = self.standing.get(seed)
        if pair is None or seed in self.anew:
            return None
        step = self._parts.seeds[seed]
        device = self._device_of(seed)
        alike: Member | None = None
        for space in self._spaces:
            for at, row in enumerate(space.found.rows):
                if row.device != device or (space.number, at) not in reachable or not _contains(row, roots):
                    continue
                if (row.peer_group, row.master) == pair:
                    return Member(space, at, False)
                if not pair[0] and row.peer_group == pair[1] and isinstance(step, s.MakeSeed):
                    alike = Member(space, at, True)
        return alike

    def _device_of(self, seed: Handle) -> str:
        pair = self.standing[seed]
        for space in self._spaces:
            for row in space.found.rows:
                if (row.peer_group, row.master) == pair or (not pair[0] and row.peer_group == pair[1]):
                    return row.device
        return ""

    def make_anew(self, seed: Handle) -> None:
        """With all that receive from it."""
        if seed in self.anew:
            return
        self.anew.add(seed)
        for other, step in self._parts.seeds.items():
            if isinstance(step, s.MakeSeed) and step.master == seed and other in self.standing:
                self.make_anew(other)


def _of_host(number: int) -> int:
    return number - HOST_GROUPS if number >= HOST_GROUPS else number


def _contains(row: MountRow, roots: list[str]) -> bool:
    return all(TargetPath(root).is_under(row.root) for root in roots)
