"""Answers about propagation: who receives from whom, what a mount or an unmount would do everywhere, and why.

Asked of tables (of a plan, of live namespaces) through the model: the question is tried there, and what changed is the
answer. Every answer carries the chain that leads from the place where it is asked to the place where it shows.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from types import MappingProxyType
from typing import TypeAlias

from mountplan.planner.model import RULES_6_18, ModelMount, Process, Rules, World, WouldRefuse
from mountplan.planner.model.from_tables import OUTSIDE, TablesWorld, world_of
from mountplan.planner.model.objects import ModelNamespace, ModelNode
from mountplan.planner.model.peers import receivers
from mountplan.planner.model.to_table import path_of
from mountplan.planner.model.walking import into_mounts, walk
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mount_facts import SeenLocks
from mountplan.planner.tables.table import MountTable

Tables = tuple[tuple[str, MountTable], ...]
Ages = dict[str, dict[int, int]]
NEW = "new"
_LAZY = "; a lazy unmount (umount -l) would be carried out, as told here"

# Who has something of a mount (a working directory, an open file), by namespace and id there.
Users: TypeAlias = "Mapping[tuple[str, int], str]"


class Spot(NamedTuple):
    """A mount as a person finds it: the namespace (by name), the path there, the id in its table (0: in none)."""

    namespace: str
    path: str
    mount_id: int


class ExplainedGroup(NamedTuple):
    """One peer group, or with number 0 one mount that is a slave only: its members, and what is above and below them.

    `above` are the numbers of the groups above it, the nearest first; `below` is what receives from it and is no peer.
    """

    number: int
    members: tuple[Spot, ...]
    above: tuple[int, ...]
    below: tuple[Spot, ...]


class Effect(NamedTuple):
    """What one event does at one place. `chain` says, from the event on, how it comes there."""

    spot: Spot
    what: str  # "appears", "appears below", "vanishes", "sinks"
    with_it: int  # how many mounts below it go or come as well
    chain: tuple[str, ...]


class Answer(NamedTuple):
    """The effects of one event, in the order in which the kernel comes to them. `refused`, if it would not happen;
    `depends` says what is not known, and would make another answer of it.
    """

    event: str
    effects: tuple[Effect, ...]
    refused: str = ""
    depends: tuple[str, ...] = ()


class Origin(NamedTuple):
    """How a mount can have come where it is: sentences, the likeliest first."""

    spot: Spot
    reasons: tuple[str, ...]


class _Ways:
    """Each mount of a tree that goes has the same go from wherever its own parent sends events to."""

    def __init__(self, top: ModelMount) -> None:
        self.at: dict[ModelNode, list[ModelMount]] = {}
        for mount in top.tree():
            self.at.setdefault(mount.mountpoint, []).append(mount)
        self.reached: dict[ModelMount, frozenset[ModelMount]] = {}

    def to(self, mount: ModelMount) -> ModelMount | None:
        """The mount of the tree because of which `mount` goes; the topmost, if there are several."""
        for one in self.at.get(mount.mountpoint, ()):
            above = one.parent
            assert above is not None
            if above not in self.reached:
                self.reached[above] = frozenset(receivers(above))
            if mount.parent is above or mount.parent in self.reached[above]:
                return one
        return None


class Explainer:
    """Asks about the namespaces in `tables`; the first one, or `subject`, is where paths are looked up.

    `ages` has numbers for mounts, by namespace and id; those of younger mounts are greater. Ids themselves tell no age:
    the kernel gives them to others later. `locks` has what is locked, by namespace;
    `other` is one that is asked about along with the first. `absent` says why a path of the subject's is not there, or
    "" where that is not known: tables have no files.
    """

    def __init__(
        self,
        tables: Tables,
        subject: str = "",
        rules: Rules = RULES_6_18,
        ages: Ages | None = None,
        locks: dict[str, SeenLocks] | None = None,
        other: str = "",
        absent: Callable[[str], str] = lambda path: "",
    ) -> None:
        self.absent = absent
        self.tables = tables
        self.rules = rules
        self.ages = ages or {}
        self.locks = locks or {}
        names = [name for name, _ in tables]
        self.subject = names.index(subject) if subject else 0
        self.numbers: dict[int, int] = {}
        self.start_again()
        self.free = self._take_ids(other)
        self.groups()  # gives all groups their numbers, the same for every question

    def start_again(self) -> None:
        """A World as the tables have it. An event changes it, so each has one of its own."""
        self.seen = self._world()
        self.ids = {mount: number for made in self.seen.mounts for number, mount in made.items()}
        self.views = {process.namespace: process for process in self.seen.processes}

    def _world(self) -> TablesWorld:
        made = world_of(self.tables, World(self.rules))
        for (name, _), mounts in zip(self.tables, made.mounts, strict=True):
            for number in self.locks.get(name, SeenLocks()).found:
                if number in mounts:
                    mounts[number].locked = self.locks[name].found[number] == "locked"
        return made

    @property
    def world(self) -> World:
        return self.seen.world

    @property
    def process(self) -> Process:
        return self.seen.processes[self.subject]

    # --- who receives from whom

    def groups(self) -> tuple[ExplainedGroup, ...]:
        """All that has to do with the subject: its peer groups, its slaves, and every group above them."""
        found: list[ExplainedGroup] = []
        known: set[int] = set()
        waiting: list[ModelMount] = [one for one in self._mounts_of(self.process.namespace) if one.group or one.master]
        while waiting:
            mount = waiting.pop(0)
            if mount.group:
                if mount.group in known:
                    continue
                known.add(mount.group)
            above = list(mount.masters())
            here = self.process.namespace
            members = sorted(mount.peers(), key=lambda one: (one.namespace is not here, one.number))
            spots, numbers = tuple(map(self.spot, members)), tuple(self.number(one.group) for one in above)
            found.append(ExplainedGroup(self.number(mount.group), spots, numbers, self._below(mount)))
            waiting += above
        return tuple(sorted(found, key=lambda group: group.number or 1 << 30))

    def _below(self, mount: ModelMount) -> tuple[Spot, ...]:
        if not mount.group:
            return ()
        return tuple(self.spot(one) for one in receivers(mount) if not one.is_peer_of(mount))

    # --- what would happen

    def mount(self, path: str) -> Answer:
        """What would appear where, if something new were mounted at `path` in the subject."""
        self.start_again()
        event = f"a mount at {path}"
        if absent := self.absent(path):
            return Answer(event, (), absent)
        before = self._everything()
        try:
            made = self.world.mount_new(self.process, NEW, NEW, path)
        except WouldRefuse as refusal:
            return Answer(event, (), str(refusal))
        new = [one for one in self._everything() if one not in before]
        parent = made.parent
        assert parent is not None
        effects = []
        for one in sorted(new, key=lambda one: one.number):
            assert one.parent is not None
            what = "appears" if one.cover is None else "appears below"
            effects.append(Effect(self.spot(one), what, 0, self._chain_to(parent, one.parent)))
        return Answer(event, tuple(effects))

    def unmount(
        self,
        path: str,
        *,
        lazy: bool = False,
        recursive: bool = False,
        users: Users = MappingProxyType({}),
        unseen: str = "",
        oldest_first: bool = False,
    ) -> Answer:
        """What would vanish where, if the topmost mount at `path` in the subject were unmounted.

        If it is in use, the answer is what a lazy unmount would do, and says so; `users` says of mounts which process
        has something of them, and `unseen` which processes cannot be asked. With `recursive` as by umount -R: the
        mounts below it go one by one, the youngest first (`oldest_first`: as before util-linux 2.40), and it stops
        where one is in use.
        """
        self.start_again()
        event = f"{'a lazy' if lazy else 'an'} unmount of {path}{' and all below it' if recursive else ''}"
        if absent := self.absent(path):
            return Answer(event, (), absent)
        try:
            target, node = into_mounts(*walk(self.process, path))
        except WouldRefuse as refusal:
            return Answer(event, (), str(refusal))
        # It happens in a World of its own, as nothing tells of a mount that is gone from whom it has received.
        after = self._world()
        process = after.processes[self.subject]
        refused = ""
        if path == "/" and not lazy and not recursive and node is target.root:
            what = "umount(2) leaves the root of the process that calls it, and makes its filesystem read-only instead"
            return Answer(event, (), what)
        if recursive and node is target.root:
            target = self._listed(self.spot(target).path, oldest_first)
            going_first = self._leaves_first(target, oldest_first)
            refused = self._unmount_all(going_first, after, {} if lazy else users, lazy)
        else:
            try:
                after.world.umount(process, path, lazy=lazy)
            except WouldRefuse as refusal:
                refused = str(refusal)
                if not lazy and refusal.errno == errno.EBUSY:
                    refused += _LAZY
                    after.world.umount(process, path, lazy=True)
        effects = tuple(self._gone(target, after.world))
        # A counterpart with a mount in it is left as it is, and asked for no users; those that go are (kernel's
        # propagate_mount_busy()).
        if not (lazy or recursive or refused):
            going = [one.spot for one in effects if one.what == "vanishes"]
            used = next((spot for spot in going if _key(spot) in users), None)
            if used is not None:
                where = spot_text(used, self.process.namespace.name)
                refused = f"EBUSY (Device or resource busy): {users[_key(used)]} has something of {where}{_LAZY}"
        depends = list(self._unknown_locks(target, effects))
        if unseen and not (lazy or refused):
            depends.append(f"whether {unseen} use what goes: then it is EBUSY (Device or resource busy)")
        return Answer(event, effects, refused, tuple(depends))

    def _unknown_locks(self, target: ModelMount, effects: tuple[Effect, ...]) -> Iterator[str]:
        """Of whose mounts it is not known whether they are locked, that is: whether they go."""
        here = self.process.namespace.name
        for name in dict.fromkeys((here, *(effect.spot.namespace for effect in effects))):
            seen = self.locks.get(name, SeenLocks())
            if seen.unknown:
                yield f"which mounts are locked in {name} cannot be told ({seen.unknown}): one that is locked stays"
            elif name == here and seen.of(self.ids.get(target, 0)) is None:
                yield f"whether {self._called(target)} is locked cannot be told: no path of the namespace's leads there"

    def _listed(self, path: str, last: bool) -> ModelMount:
        """Of the mounts with this path the first or the last of the table, which need not be the lowest or topmost."""
        numbers = [row.mount_id for row in self.tables[self.subject][1].rows if row.mountpoint == path]
        return self.seen.mounts[self.subject][numbers[-1 if last else 0]]

    def _leaves_first(self, top: ModelMount, oldest_first: bool) -> list[ModelMount]:
        """Children before their parents, first what covers one; which is older, umount(8) takes from their ids."""
        order, waiting = [], [top]
        while waiting:
            order.append(waiting.pop())
            below = sorted(order[-1].children, key=lambda one: (self.ids.get(one, 0), one.number))
            waiting += sorted(below if oldest_first else reversed(below), key=lambda one: one is not order[-1].cover)
        return order[::-1]

    def _unmount_all(self, mounts: list[ModelMount], after: TablesWorld, users: Users, lazy: bool) -> str:
        """Each by its path; why it stops, if it does."""
        process = after.processes[self.subject]
        holders: dict[ModelMount, tuple[str, Spot]] = {}
        for (name, table), here, there in zip(self.tables, self.seen.mounts, after.mounts, strict=True):
            for row in table.rows:
                if (user := users.get((name, row.mount_id))) is not None:
                    there[row.mount_id].users += 1
                    holders[there[row.mount_id]] = user, self.spot(here[row.mount_id])
        for mount in mounts:
            path = self.spot(mount).path
            try:
                going, _ = into_mounts(*walk(process, path))
                after.world.umount(process, path, lazy=lazy)
            except WouldRefuse as refusal:
                if all(row.mountpoint != path for row in after.world.table(process).rows):
                    continue  # another has taken it along, and umount(8) passes over it
                above = receivers(going.parent) if refusal.errno == errno.EBUSY and going.parent is not None else ()
                counterparts = (one.above.get(going.mountpoint) for one in above)
                held = next((holders[one] for one in (going, *counterparts) if one in holders), None)
                if held is None:
                    return f"it stops at {path}: {refusal}"
                where = "it" if held[1].path == path and held[1].namespace == self.tables[self.subject][0] else ""
                where = where or spot_text(held[1], self.process.namespace.name)
                return f"it stops at {path}: EBUSY (Device or resource busy): {held[0]} has something of {where}"
        return ""

    def _gone(self, target: ModelMount, world: World) -> Iterator[Effect]:
        """What is no longer in `world`, and what has another parent there, each with the way on which that came."""
        left = {
            mount.number: mount.parent.number if mount.parent is not None else 0
            for namespace in world.namespaces
            for mount in namespace.mounts
        }
        ways = _Ways(target)
        for one in sorted(self._everything(), key=lambda one: one.number):
            if one.parent is None:
                continue
            if one.number not in left:
                if one.parent.number in left:
                    going = [one]
                    for mount in going:  # it grows; what stays in there has effects of its own
                        going += [child for child in mount.children if child.number not in left]
                    yield Effect(
                        self.spot(one), "vanishes", len(going) - 1, self._way(target, ways.to(one), one.parent)
                    )
            elif left[one.number] != one.parent.number:
                yield Effect(self.spot(one), "sinks", 0, ("what it lay upon goes, and it stays where that was",))

    def _way(self, target: ModelMount, mount: ModelMount | None, receiver: ModelMount) -> tuple[str, ...]:
        """How the unmount of `target` comes to `receiver`: by `mount`, which goes with it."""
        if mount is None or mount.parent is None:
            return ("it goes with what has gone",)
        chain = self._chain_to(mount.parent, receiver)
        if mount is target:
            return chain
        along = f"{self._called(mount)} goes with {self._called(target)}"
        return (along,) if mount.parent is receiver else (along, *chain)

    # --- how it can have come

    def why(self, path: str) -> Origin:
        """Which event brought the topmost mount at `path` there, as far as ids and groups tell. Raises WouldRefuse."""
        self.start_again()
        mount, node = into_mounts(*walk(self.process, path))
        spot = self.spot(mount)
        if node is not mount.root:
            shown = self.spot(mount).path
            return Origin(spot, (f"{path} is no mount point: it is a directory of the mount at {shown}",))
        parent = mount.parent
        if parent is None or parent not in self.ids:
            return Origin(spot, ("it is the root of the namespace",))
        reasons = self._events(mount, parent)
        if not reasons and (parent.master is not None or parent.group):
            gone = "none that its parent receives from shows the same at this place"
            reasons.append(f"it was mounted here, or has come from a mount that is gone by now: {gone}")
        elif not reasons:
            reasons.append("it was mounted here: its parent is private, so nothing can have come by propagation")
        reasons += self._clones(mount)
        return Origin(spot, tuple(reasons))

    def _events(self, mount: ModelMount, parent: ModelMount) -> list[str]:
        """Whence an event can have brought the mount, or where to one from here can have gone."""
        sends = set(receivers(parent))
        others = self._counterparts(mount, parent)
        sources = [one for one in others if one.parent is not None and parent in receivers(one.parent)]
        targets = [one for one in others if one.parent in sends]
        came = [one for one in sources if one not in targets]  # events go one way, whatever the ages
        reasons = []
        age = self.age(mount)
        if age and all(self.age(one) for one in sources):
            first = min(sources, key=self.age, default=mount)
            there = [one for one in sources if self.age(parent) < self.age(one) < age]
            if there:
                return [self._came_from(min(there, key=self.age), mount, "older")]
            if self.age(first) < age:  # no event came here then, as the parent was not there yet
                shown = f"{self._called(first)}{self._kinship(mount, first)}"
                how = "by a recursive bind, or as a new namespace was made"
                return [f"it came with its parent, which is younger than {shown}: {how}"]
            reasons += [self._went_to(mount, one) for one in targets if not self.age(one) or self.age(one) > age]
            if sources and not reasons:
                reasons.append(f"it was mounted here: {self._called(first)} shows the same, but is younger")
        elif came:
            reasons += [self._came_from(one, mount, "") for one in came]
        else:
            for one in targets:
                same = f"it is the same as {self._called(one)}{self._kinship(mount, one)}"
                both = "and the parent of each receives from that of the other"
                unknown = f"{same}, {both}: which of the two was there first cannot be known"
                reasons.append(unknown if one in sources else self._went_to(mount, one))
        return reasons

    def _came_from(self, other: ModelMount, mount: ModelMount, age: str) -> str:
        assert other.parent is not None and mount.parent is not None
        chain = "; ".join(self._chain_to(other.parent, mount.parent))
        return f"it came from {self._called(other)}{self._kinship(mount, other, age)}: {chain}"

    def _went_to(self, mount: ModelMount, other: ModelMount) -> str:
        kin = self._kinship(mount, other)
        return f"it was mounted here, and went on from here to {self._called(other)}{kin}"

    def age(self, mount: ModelMount) -> int:
        """Greater for a mount that is younger; 0 if that is not known."""
        namespace = mount.namespace
        return self.ages.get(namespace.name, {}).get(self.ids.get(mount, 0), 0) if namespace is not None else 0

    def _counterparts(self, mount: ModelMount, parent: ModelMount) -> list[ModelMount]:
        """Mounts of the same at the same place of a parent that exchanges events with this one's."""
        senders = (one for one in self._everything() if one is not parent and (one.group or one.slave_first))
        related = {*receivers(parent), *(one for one in senders if parent in receivers(one))}
        found = []
        for one in related:
            other = one.above.get(mount.mountpoint)
            while other is not None:
                if other is not mount and other.root is mount.root:
                    found.append(other)
                other = other.cover
        return sorted(found, key=lambda one: one.number)

    def _kinship(self, mount: ModelMount, other: ModelMount, age: str = "") -> str:
        words = [age] if age else []
        if mount.is_peer_of(other):
            words.append(f"its peer (group {self.number(mount.group)})")
        elif any(one.is_peer_of(other) for one in mount.masters()):
            words.append("its master")
        return f", which is {' and '.join(words)}" if words else ""

    def _clones(self, mount: ModelMount) -> list[str]:
        """The same mount at the same path of another namespace: the one may be a copy of the other."""
        path = self.spot(mount).path
        found = []
        for process in self.seen.processes:
            if process.namespace is mount.namespace:
                continue
            for one in self._mounts_of(process.namespace):
                if one.root is mount.root and self.spot(one).path == path and self._is_kin(one, mount):
                    when = "when one namespace was made as a copy of the other"
                    found.append(f"{self._called(one)} shows the same: it may have been there {when}")
        return found

    def _is_kin(self, one: ModelMount, other: ModelMount) -> bool:
        """Whether a new namespace could have made the one of the other: as peers, master and slave, or sisters."""
        if one.is_peer_of(other) or (one.master is not None and one.master is other.master):
            return True
        return any(master.is_peer_of(one) for master in other.masters())

    # --- words and numbers

    def number(self, group: int) -> int:
        """The id in mountinfo. Groups to come get the lowest free numbers, in the order in which they come up."""
        if group and group not in self.numbers:
            self.numbers[group] = next(self.free)
        return self.numbers.get(group, 0)

    def _take_ids(self, other: str) -> Iterator[int]:
        """Have the groups that are there keep their ids; gives numbers that the others can get, one by one."""
        there = {group: number for number, group in self.seen.groups.items() if number > 0}
        for mount in (*self._mounts_of(self.process.namespace), *self.mounts_in(other)):
            for group in (mount.group, *(one.group for one in mount.masters())):
                if group in there:
                    self.numbers[group] = there[group]
        taken = set(self.numbers.values())
        self.numbers |= {group: number for group, number in there.items() if number not in taken}
        return (number for number in count(1) if number not in taken)

    def spot(self, mount: ModelMount) -> Spot:
        namespace = mount.namespace
        if namespace is None:
            return Spot("", "", 0)
        view = self.views.get(namespace)
        if view is None:
            return Spot(OUTSIDE, mount.root.path, 0)
        path = path_of((mount, mount.root), view.root)
        return Spot(namespace.name, path or "(not to be seen)", self.ids.get(mount, 0))

    def _called(self, mount: ModelMount) -> str:
        return spot_text(self.spot(mount), self.process.namespace.name)

    def _mounts_of(self, namespace: ModelNamespace) -> list[ModelMount]:
        return sorted((one for one in namespace.mounts if one in self.ids), key=lambda one: one.number)

    def mounts_in(self, namespace: str) -> list[ModelMount]:
        """All mounts of a namespace, by its name, those of the table in its order."""
        return [one for space in self.world.namespaces if space.name == namespace for one in self._mounts_of(space)]

    def _everything(self) -> dict[ModelMount, None]:
        return dict.fromkeys(
            one for namespace in self.world.namespaces if namespace.name != OUTSIDE for one in namespace.mounts
        )

    def _chain_to(self, origin: ModelMount, receiver: ModelMount) -> tuple[str, ...]:
        """How an event in `origin` comes to `receiver`: one sentence for each step, from the origin on."""
        if receiver is origin:
            return ("it is the place itself",)
        links: list[ModelMount] = []
        one = receiver
        while not one.is_peer_of(origin) and one is not origin:
            links.append(one)
            assert one.master is not None
            one = one.master
        steps = []
        if links or one is not origin:
            steps.append(f"{self._called(origin)} is in peer group {self.number(origin.group)}")
        if not links:
            steps.append(f"{self._called(receiver)} is its peer")
        for link in reversed(links):
            assert link.master is not None
            name = self._called(link) if link is receiver or not link.group else f"group {self.number(link.group)}"
            steps.append(f"{name} is a slave of group {self.number(link.master.group)}")
        return tuple(steps)


def _key(spot: Spot) -> tuple[str, int]:
    return spot.namespace, spot.mount_id


def spot_text(spot: Spot, here: str) -> str:
    """`/srv/feed`, or `/srv/feed in host` for a place in another namespace than `here`."""
    if spot.namespace == OUTSIDE:
        return "a mount outside of what is known here"
    return spot.path if spot.namespace == here else f"{spot.path} in {spot.namespace}"


def places(spots: Iterable[Spot], here: str) -> list[str]:
    return [spot_text(spot, here) for spot in spots]
