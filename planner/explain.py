"""Answers about propagation: who receives from whom, what a mount or an unmount would do everywhere, and why.

Asked of tables (of a plan, of live namespaces) through the model: the question is tried there, and what changed is the
answer. Every answer carries the chain that leads from the place where it is asked to the place where it shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mountplan.planner.propagation import RULES_6_18, Mount, Process, Rules, World, WouldRefuse
from mountplan.planner.propagation.objects import Namespace
from mountplan.planner.propagation.seen import OUTSIDE, Seen, world_of
from mountplan.planner.propagation.sharing import receivers
from mountplan.planner.propagation.tables import path_of
from mountplan.planner.propagation.walking import into_mounts, walk
from mountplan.planner.table import MountTable

Tables = tuple[tuple[str, MountTable], ...]
NEW = "new"


class Spot(NamedTuple):
    """A mount as a person finds it: the namespace (by name), the path there, the id in its table (0: in none)."""

    namespace: str
    path: str
    mount_id: int


class Group(NamedTuple):
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
    """The effects of one event, in the order in which the kernel comes to them. `refused`, if it would not happen."""

    event: str
    effects: tuple[Effect, ...]
    refused: str = ""


class Origin(NamedTuple):
    """How a mount can have come where it is: sentences, the likeliest first."""

    spot: Spot
    reasons: tuple[str, ...]


class Explainer:
    """Asks about the namespaces in `tables`; the first one, or `subject`, is where paths are looked up."""

    def __init__(self, tables: Tables, subject: str = "", rules: Rules = RULES_6_18) -> None:
        self.tables = tables
        self.rules = rules
        names = [name for name, _ in tables]
        self.subject = names.index(subject) if subject else 0
        self.numbers: dict[int, int] = {}
        self._start()
        self.groups()  # gives all groups their numbers, the same for every question

    def _start(self) -> None:
        """A World as the tables have it. An event changes it, so each has one of its own."""
        self.seen: Seen = world_of(self.tables, World(self.rules))
        self.ids = {mount: number for made in self.seen.mounts for number, mount in made.items()}
        self.views = {process.namespace: process for process in self.seen.processes}

    @property
    def world(self) -> World:
        return self.seen.world

    @property
    def process(self) -> Process:
        return self.seen.processes[self.subject]

    # --- who receives from whom

    def groups(self) -> tuple[Group, ...]:
        """All that has to do with the subject: its peer groups, its slaves, and every group above them."""
        found: list[Group] = []
        known: set[int] = set()
        waiting: list[Mount] = [one for one in self._mounts_of(self.process.namespace) if one.group or one.master]
        while waiting:
            mount = waiting.pop(0)
            if mount.group:
                if mount.group in known:
                    continue
                known.add(mount.group)
            above = self._above(mount)
            members = sorted(mount.peers(), key=self._order)
            found.append(
                Group(
                    self.number(mount.group),
                    tuple(self.spot(one) for one in members),
                    tuple(self.number(one.group) for one in above),
                    self._below(mount),
                )
            )
            waiting += above
        return tuple(sorted(found, key=lambda group: group.number or 1 << 30))

    def _above(self, mount: Mount) -> list[Mount]:
        chain = []
        one = mount.master
        while one is not None:
            chain.append(one)
            one = one.master
        return chain

    def _below(self, mount: Mount) -> tuple[Spot, ...]:
        if not mount.group:
            return ()
        return tuple(self.spot(one) for one in receivers(mount) if not one.is_peer_of(mount))

    # --- what would happen

    def mount(self, path: str) -> Answer:
        """What would appear where, if something new were mounted at `path` in the subject."""
        self._start()
        event = f"a mount at {path}"
        before = self._everything()
        try:
            made = self.world.mount_new(self.process, NEW, NEW, path)
        except WouldRefuse as refusal:
            return Answer(event, (), str(refusal))
        new = [one for one in self._everything() if one not in before]
        parent = made.parent
        assert parent is not None
        effects = [
            Effect(self.spot(one), "appears below" if one.cover is not None else "appears", 0, self._chain(parent, one))
            for one in sorted(new, key=lambda one: one.number)
        ]
        return Answer(event, tuple(effects))

    def unmount(self, path: str) -> Answer:
        """What would vanish where, if the topmost mount at `path` in the subject were unmounted.

        If it is in use, the answer is what a lazy unmount would do, and says so.
        """
        self._start()
        event = f"an unmount of {path}"
        before = {one: (self.spot(one), one.parent, len(one.tree())) for one in self._everything()}
        try:
            target, _ = into_mounts(*walk(self.process, path))
            parent = target.parent
            refused = ""
            try:
                self.world.umount(self.process, path)
            except WouldRefuse as refusal:
                refused = f"{refusal}; a lazy unmount (umount -l) would be carried out, as told here"
                self.world.umount(self.process, path, lazy=True)
        except WouldRefuse as refusal:
            return Answer(event, (), str(refusal))
        after = self._everything()
        effects = []
        assert parent is not None
        for one, (spot, its_parent, size) in sorted(before.items(), key=lambda item: item[0].number):
            if one not in after:
                if its_parent is not None and its_parent in after:
                    effects.append(Effect(spot, "vanishes", size - 1, self._chain_to(parent, its_parent)))
            elif one.parent is not its_parent:
                effects.append(Effect(spot, "sinks", 0, ("what it lay upon goes, and it stays where that was",)))
        return Answer(event, tuple(effects), refused)

    # --- how it can have come

    def why(self, path: str) -> Origin:
        """Which event brought the topmost mount at `path` there, as far as ids and groups tell. Raises WouldRefuse."""
        self._start()
        mount, node = into_mounts(*walk(self.process, path))
        spot = self.spot(mount)
        if node is not mount.root:
            shown = self.spot(mount).path
            return Origin(spot, (f"{path} is no mount point: it is a directory of the mount at {shown}",))
        parent = mount.parent
        if parent is None or parent not in self.ids:
            return Origin(spot, ("it is the root of the namespace",))
        reasons = []
        for other in self._counterparts(mount, parent):
            above = other.parent
            assert above is not None
            older = other.number < mount.number
            kin = self._kinship(mount, other)
            if parent in receivers(above) and older:
                chain = "; ".join(self._chain_to(above, parent))
                reasons.append(f"it came from {self._called(other)}, which is older{kin}: {chain}")
            elif above in receivers(parent) and not older:
                reasons.append(f"it was mounted here, and went on from here to {self._called(other)}{kin}")
        if not reasons:
            if parent.master is not None or parent.group:
                reasons.append(
                    "it was mounted here, or has come from a mount that is gone by now: none that its parent receives"
                    " from shows the same at this place"
                )
            else:
                reasons.append("it was mounted here: its parent is private, so nothing can have come by propagation")
        reasons += self._clones(mount)
        return Origin(spot, tuple(reasons))

    def _counterparts(self, mount: Mount, parent: Mount) -> list[Mount]:
        """Mounts of the same at the same place of a parent that exchanges events with this one's."""
        related = {*receivers(parent)}
        for one in self._everything():
            if one is not parent and (one.group or one.slave_first) and parent in receivers(one):
                related.add(one)
        found = []
        for one in related:
            other = one.above.get(mount.mountpoint)
            while other is not None:
                if other is not mount and other.root is mount.root:
                    found.append(other)
                other = other.cover
        return sorted(found, key=lambda one: one.number)

    def _kinship(self, mount: Mount, other: Mount) -> str:
        if mount.is_peer_of(other):
            return f" and its peer (group {self.number(mount.group)})"
        if any(one.is_peer_of(other) for one in self._above(mount)):
            return " and its master"
        return ""

    def _clones(self, mount: Mount) -> list[str]:
        """The same mount at the same path of another namespace: the one may be a copy of the other."""
        path = self.spot(mount).path
        found = []
        for process in self.seen.processes:
            if process.namespace is mount.namespace:
                continue
            for one in self._mounts_of(process.namespace):
                if one.root is mount.root and self.spot(one).path == path and self._is_kin(one, mount):
                    found.append(
                        f"{self._called(one)} shows the same: it may have been there when one namespace was made as a"
                        " copy of the other"
                    )
        return found

    def _is_kin(self, one: Mount, other: Mount) -> bool:
        """Whether a new namespace could have made the one of the other: as peers, master and slave, or sisters."""
        if one.is_peer_of(other) or (one.master is not None and one.master is other.master):
            return True
        return any(master.is_peer_of(one) for master in self._above(other))

    # --- words and numbers

    def number(self, group: int) -> int:
        """Groups are numbered from 1 on, in the order in which they come up."""
        return self.numbers.setdefault(group, len(self.numbers) + 1) if group else 0

    def spot(self, mount: Mount) -> Spot:
        namespace = mount.namespace
        if namespace is None:
            return Spot("", "", 0)
        view = self.views.get(namespace)
        if view is None:
            return Spot(OUTSIDE, mount.root.path, 0)
        path = path_of((mount, mount.root), view.root)
        return Spot(namespace.name, path or "(not to be seen)", self.ids.get(mount, 0))

    def _called(self, mount: Mount) -> str:
        return spot_text(self.spot(mount), self.process.namespace.name)

    def _order(self, mount: Mount) -> tuple[bool, int]:
        return mount.namespace is not self.process.namespace, mount.number

    def _mounts_of(self, namespace: Namespace) -> list[Mount]:
        return sorted((one for one in namespace.mounts if one in self.ids), key=lambda one: one.number)

    def _everything(self) -> dict[Mount, None]:
        return dict.fromkeys(
            one for namespace in self.world.namespaces if namespace.name != OUTSIDE for one in namespace.mounts
        )

    def _chain(self, origin: Mount, made: Mount) -> tuple[str, ...]:
        assert made.parent is not None
        return self._chain_to(origin, made.parent)

    def _chain_to(self, origin: Mount, receiver: Mount) -> tuple[str, ...]:
        """How an event in `origin` comes to `receiver`: one sentence for each step, from the origin on."""
        if receiver is origin:
            return ("it is the place itself",)
        links: list[Mount] = []
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


def spot_text(spot: Spot, here: str) -> str:
    """`/srv/feed`, or `/srv/feed in host` for a place in another namespace than `here`."""
    if spot.namespace == OUTSIDE:
        return "a mount outside of what is known here"
    return spot.path if spot.namespace == here else f"{spot.path} in {spot.namespace}"


def places(spots: Iterable[Spot], here: str) -> list[str]:
    return [spot_text(spot, here) for spot in spots]
