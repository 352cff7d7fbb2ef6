"""What has to be made aside, before anything that stands is touched: filesystems, mounts, seeds.

The steps are the plan's own, as far as it makes them new. What stands already is cloned from a workbench that was taken
from the tree itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from mountplan.planner.attributes import (
    ATIME_MASK,
    IDMAP,
    NODEV,
    NODIRATIME,
    NOEXEC,
    NOSUID,
    NOSYMFOLLOW,
    RDONLY,
    parse_shown,
)
from mountplan.planner.change import change_steps as c
from mountplan.planner.change.change_plan import ChangeObstacle
from mountplan.planner.change.paired_space import PairedSpace
from mountplan.planner.change.parts import Parts
from mountplan.planner.change.same_superblock import Superblocks
from mountplan.planner.change.sharing_changes import Member, SharingMatch
from mountplan.planner.fstypes import of
from mountplan.planner.names import Handle
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import HOST_GROUPS
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import MountRow, MountTable, Walks, copied

_ALL = RDONLY | NOSUID | NODEV | NOEXEC | NODIRATIME | NOSYMFOLLOW | ATIME_MASK


class NoSource(Exception):
    """Something cannot be made from what stands."""

    def __init__(self, obstacle: ChangeObstacle) -> None:
        self.obstacle = obstacle


class Take(NamedTuple):
    """A workbench cloned from a mount that stands; `root` is the path in its filesystem that it shows."""

    handle: Handle
    space: PairedSpace
    path: str
    device: str
    root: TargetPath
    covers: tuple[str, ...]
    origin: str


class NewParts:
    """Asked for one part after the other; steps() then has what makes them all."""

    def __init__(
        self, plan: Plan, parts: Parts, superblocks: Superblocks, sharing: SharingMatch,
        spaces: tuple[PairedSpace, ...], host: MountTable,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._parts = parts
        self._devices = superblocks.devices
        self._sharing = sharing
        self._spaces = spaces
        self._host = host
        self._walks: Walks | None = None
        self._host_seeds: dict[Handle, s.TakeHostGroup] = {}
        self._names = {mount.name for space in plan.expected.namespaces for mount in space.mounts}
        self._views = [_Reach(space) for space in spaces]
        self._takes: dict[tuple[int, int], Take] = {}
        self._filesystems: set[Handle] = set()
        self._workbenches: set[Handle] = set()
        self._id_maps: set[Handle] = set()
        self._recursive: set[Handle] = set()
        self._making: list[c.ChangeStep] = []
        self._first: list[c.ChangeStep] = []
        self._nodes: set[tuple[Handle, str]] = set()
        self._extra: list[c.ChangeStep] = []
        self._removals: list[c.ChangeStep] = []  # last, as of what has been removed no mount can be attached
        self.trees: list[c.ChangeStep] = []  # what puts mounts together that come at once
        self.joined_roots: dict[Handle, list[str]] = {}  # of each seed that is needed: the roots of who joins
        self.reachable = {(view.space.number, at) for view in self._views for at in view.reachable}

    # --- mounts

    def make(self, space: PairedSpace, wanted: int, *, bindable: bool = False) -> Handle:
        """A detached mount, as the plan has it, but for being unbindable if it is to be `bindable`. Raises NoSource."""
        name, row = space.names[wanted], space.wanted.rows[wanted]
        origin = space.origins[wanted]
        making = self._parts.making.get(name, [])
        if row.device[:1] == "=":
            self._make_own(space, wanted, making)
        elif name in self._names:
            for step in making:
                if isinstance(step, s.CloneMount):
                    self._workbenches.add(step.filesystem)
                if isinstance(step, s.CloneHost) and step.recursive:
                    self._recursive.add(name)
                if not isinstance(step, s.SetAttributes):
                    self._making.append(step)
        else:
            path = name[len(self._top_of(name)) + 1 :]
            self._making.append(s.CloneHost(name, path, False, "private", "", origin))
            bits = parse_shown(row.attributes)
            self._making.append(s.SetAttributes(name, bits & _ALL, _ALL, False, False, "", row.attributes, origin))
        for step in making:
            if isinstance(step, s.SetAttributes):
                if step.id_map:
                    self._id_maps.add(step.id_map)
                self._making.append(step._replace(unbindable=step.unbindable and not bindable))
        self._make_mountpoint(space, wanted)
        self.make_nodes(space, wanted)
        return name

    def make_nodes(self, space: PairedSpace, wanted: int) -> None:
        """In filesystems that stand: the place where the mount goes, and what it shows."""
        row = space.wanted.rows[wanted]
        ways = [(row.device, row.root)]
        if (parent := space.wanted.parents[wanted]) >= 0:
            above = space.wanted.rows[parent]
            inside = TargetPath(row.mountpoint).relative_to(above.mountpoint)
            ways.append((above.device, TargetPath(above.root).joined(inside)))
        for device, way in ways:
            filesystem = device[1:] if device[:1] == "=" else ""
            if filesystem in self._devices:
                self._make_way(filesystem, way)

    def _make_way(self, filesystem: Handle, path: str) -> None:
        """What the plan makes in a filesystem that stands, down to a path."""
        for node in self._parts.filesystems[filesystem].nodes:
            if TargetPath(path).is_under(f"/{node.path}"):
                self.make_node(filesystem, node, existing=True)

    def nodes_upon(self, space: PairedSpace, wanted: int, parent: Handle, path: str) -> list[c.ChangeStep]:
        """What is made for a mount, on request, in a filesystem of the host, through the live mount `parent`."""
        name = space.names[space.wanted.parents[wanted]]
        return [
            step._replace(within=parent, existing=True, careful=True)
            for step in self._parts.making.get(name, ())
            if isinstance(step, s.MakeNode) and TargetPath(f"/{path}").is_under(f"/{step.path}")
        ]

    def make_node(self, filesystem: Handle, node: s.MakeNode, *, existing: bool) -> None:
        """Make something in a filesystem that stands, before the others rely upon it. Raises NoSource."""
        if (filesystem, node.path) in self._nodes:
            return
        self._nodes.add((filesystem, node.path))
        take, path = self.take(filesystem, f"/{node.path}", node.origin)
        if path:
            self._first.append(node._replace(within=take, path=path, existing=existing, careful=True))

    def _make_own(self, space: PairedSpace, wanted: int, making: list[s.Step]) -> None:
        """A mount of a filesystem that the plan makes, or that stands already."""
        name, row = space.names[wanted], space.wanted.rows[wanted]
        origin = space.origins[wanted]
        filesystem = self._parts.made_as.get(name, row.device[1:])
        own = self._parts.filesystems[filesystem]
        # Another mount of what there is one of has a source of its own.
        stands = filesystem in self._devices and not (own.mount == name and of(row.fstype).is_shared)
        if stands:
            if row.root.endswith("//deleted"):
                what = f"{row.mountpoint}: what has been removed from a filesystem that stands cannot be mounted again"
                remedy = 'leave it out, so that what stands there stays: write unsupported = "it has been removed"'
                raise NoSource(ChangeObstacle("removed directory", what, remedy, origin))
            take, path = self.take(filesystem, row.root, origin)
            self._making.append(s.CloneMount(name, take, path, True, False, origin))
            return
        if own.mount == name:
            self._making += self._creation(filesystem)
            return
        self._filesystems.add(filesystem)
        self._making += [step for step in making if not isinstance(step, s.SetAttributes)]

    def _creation(self, filesystem: Handle) -> Iterator[c.ChangeStep]:
        own = self._parts.filesystems[filesystem]
        creation = own.creation
        within = creation.mount or filesystem
        if isinstance(creation, s.MakeOverlay):
            creation = creation._replace(
                layers=tuple(self._layer(layer, creation.origin) for layer in creation.layers),
                upper=creation.upper and self._layer(creation.upper, creation.origin),
                work=creation.work and self._layer(creation.work, creation.origin),
            )
        yield creation
        if own.contents:
            yield s.CopyContents(within, own.contents, creation.origin)
        yield from own.nodes
        if own.removed:
            self._removals += [s.RemoveNode(filesystem, path, creation.origin) for path in own.removed]
        if own.sealed:
            self._extra.append(s.SealFilesystem(within, creation.origin))

    def _layer(self, layer: s.Layer, origin: str) -> s.Layer:
        if layer.id_map:
            self._id_maps.add(layer.id_map)
        if not layer.filesystem:
            return layer
        if layer.filesystem not in self._devices:
            self._filesystems.add(layer.filesystem)
            return layer
        self._make_way(layer.filesystem, f"/{layer.path}")
        take, path = self.take(layer.filesystem, f"/{layer.path}", origin)
        return s.Layer(take, path, layer.id_map)

    def _make_mountpoint(self, space: PairedSpace, wanted: int) -> None:
        """Where it takes a look at the mount itself to make its mountpoint."""
        step = self._parts.mountpoints.get(space.names[wanted])
        if step is None:
            return
        within, path = step.within, step.path
        if within in self._devices:
            within, path = self.take(within, f"/{path}", step.origin)
        self._making.append(step._replace(within=within, path=path))

    # --- what a recursive bind brings along

    def is_brought(self, space: PairedSpace, wanted: int) -> bool:
        """Whether a mount comes along with one that is made anew."""
        return self._top_of(space.names[wanted]) in self._recursive

    def above_brought(self, space: PairedSpace, wanted: int, place: str) -> tuple[Handle, str]:
        """A place on such a mount: the one that has brought it, and the path from there."""
        top = self._top_of(space.names[wanted])
        base = next(at for at, name in enumerate(space.names) if name == top)
        row = space.wanted.rows[wanted]
        path = TargetPath(row.mountpoint).joined(place)
        return top, path.relative_to(space.wanted.rows[base].mountpoint)

    def _top_of(self, name: Handle) -> Handle:
        if name in self._names:
            return ""
        end = name.find("+/")
        while end >= 0 and name[:end] not in self._names:
            end = name.find("+/", end + 1)
        return name[:end] if end >= 0 else ""

    # --- filesystems that stand

    def take(self, filesystem: Handle, path: str, origin: str) -> tuple[Handle, str]:
        """A workbench of a filesystem that stands, in which `path` of it is, and where in there. Raises NoSource."""
        device = self._devices[filesystem]
        best: tuple[tuple[bool, int], int, int] | None = None
        for number, view in enumerate(self._views):
            for at in view.of_device(device):
                row = view.space.found.rows[at]
                if not TargetPath(path).is_under(row.root) or parse_shown(row.attributes) & IDMAP:
                    continue
                reached = at in view.reachable
                if not reached and view.covers(at) is None:
                    continue
                key = (not reached, len(row.root))
                if best is None or key < best[0]:
                    best = key, number, at
        if best is None:
            what = f"no mount that can be reached shows {path} of {filesystem.removeprefix('fs:')}, which stands"
            raise NoSource(ChangeObstacle("no source", what, "build it anew: mountplan apply --replace", origin))
        _, number, at = best
        view = self._views[number]
        take = self._takes.get((number, at))
        if take is None:
            row = view.space.found.rows[at]
            handle = f"{filesystem}@{len(self._takes) + 1}"
            covers = () if at in view.reachable else view.covers(at) or ()
            take = Take(handle, view.space, row.mountpoint, device, TargetPath(row.root), covers, origin)
            self._takes[number, at] = take
        return take.handle, TargetPath(path).relative_to(take.root)

    def do(self, step: c.ChangeStep) -> None:
        """One more step, before any mount is touched: a new overlay takes the mode of its root from its layers."""
        first = isinstance(step, c.WriteFile) and step.node == "directory"
        (self._first if first else self._extra).append(step)

    # --- groups

    def seed_of(self, space: PairedSpace, wanted: int) -> Handle:
        """The seed that a mount joins, "" if none. Raises NoSource."""
        seed = self._parts.joined.get(space.names[wanted], "")
        row = space.wanted.rows[wanted]
        if seed:
            self.joined_roots.setdefault(seed, []).append(row.root)
            return seed
        is_peer = row.peer_group >= HOST_GROUPS
        group = (row.peer_group if is_peer else row.master) - HOST_GROUPS
        return self._host_seed(row, group, is_peer, space.origins[wanted]) if group >= 0 else ""

    def _host_seed(self, row: MountRow, group: int, is_peer: bool, origin: str) -> Handle:
        """A seed for a group of the host that has no name in the plan: of what a recursive bind brings along."""
        if self._walks is None:
            self._walks = Walks(copied(self._host))
        for one in self._host.rows:
            is_in = one.peer_group == group or (not is_peer and not one.peer_group and one.master == group)
            if not is_in or one.device != row.device or not TargetPath(row.root).is_under(one.root):
                continue
            if self._walks.end_of(one.mountpoint) is not one:
                continue
            seed = f"host:{one.mountpoint}" + ("" if is_peer else ":slave")
            self._host_seeds[seed] = s.TakeHostGroup(seed, one.mountpoint, not is_peer, True, origin)
            return seed
        words = "share with" if is_peer else "receive from"
        what = f"{row.mountpoint} is to {words} a mount of the host that is under another one there"
        raise NoSource(ChangeObstacle("no source", what, "build it anew: mountplan apply --replace", origin))

    def sources(self) -> dict[Handle, Member]:
        """For each seed of a group that stands: the member it is cloned from. Groups without one are made anew: then
        all has to be looked at again (SharingMatch.anew has grown).
        """
        found: dict[Handle, Member] = {}
        waiting = list(self.joined_roots)
        for seed in waiting:
            step = self._parts.seeds[seed]
            if isinstance(step, s.TakeHostGroup):
                continue
            if seed in self._sharing.standing and seed not in self._sharing.anew:
                member = self._sharing.member_for(seed, self.joined_roots[seed], self.reachable)
                if member is not None:
                    found[seed] = member
                    continue
                self._sharing.make_anew(seed)
            if step.master:
                if step.master not in self.joined_roots:
                    waiting.append(step.master)
                self.joined_roots.setdefault(step.master, []).append(f"/{step.path}")
        return found

    # --- all of it

    def steps(self) -> list[c.ChangeStep]:
        members = self.sources()
        seeds = self._seeds(members)
        parts = self._parts
        asked = [name for name in parts.filesystems if name in self._filesystems]
        made = [step for name in asked for step in self._creation(name)]
        # An overlay's layers may have been asked for just now.
        more = [name for name in parts.filesystems if name in self._filesystems and name not in asked]
        made = [step for name in more for step in self._creation(name)] + made
        joined = [step for seed, step in parts.seeds.items() if seed in self.joined_roots]
        return [
            s.UnshareNamespace("", ""),
            *(step for step in joined if isinstance(step, s.TakeHostGroup)),
            *self._host_seeds.values(),
            *(step for name, step in parts.id_maps.items() if name in self._id_maps),
            s.MakePrivate(""),
            s.MakeYard(""),
            *self._taking(),
            *self._first,
            *(step for name, step in parts.workbenches.items() if name in self._workbenches),
            *made,
            *seeds,
            *self._making,
            *self._extra,
            *self.trees,
            *self._removals,
        ]

    def _taking(self) -> Iterator[c.ChangeStep]:
        for view in self._views:
            plain = [one for one in self._takes.values() if one.space is view.space and not one.covers]
            hidden = [one for one in self._takes.values() if one.space is view.space and one.covers]
            for together in (plain, *([one] for one in hidden)):
                if together:
                    yield c.CopyNamespace(view.space.name)
                    for one in together:
                        yield c.TakeLive(one.handle, one.path, one.device, one.covers, one.origin)
                    yield c.LeaveCopy(tuple(one.handle for one in together))

    def _seeds(self, members: dict[Handle, Member]) -> list[c.ChangeStep]:
        steps: list[c.ChangeStep] = []
        for space in self._spaces:
            mine = {seed: one for seed, one in members.items() if one.space is space}
            if not mine:
                continue
            steps.append(c.Visit(space.name))
            for seed, one in mine.items():
                row = space.found.rows[one.found]
                handle = f"member:{seed}"
                steps.append(c.OpenLive(handle, row.mountpoint, row.mount_id))
                steps.append(c.SeedLive(seed, handle, one.slave))
                steps.append(s.Release(handle, ""))
            steps.append(c.LeaveCopy(()))
        for seed, step in self._parts.seeds.items():
            if seed in self.joined_roots and seed not in members and isinstance(step, s.MakeSeed):
                filesystem, path = step.filesystem, step.path
                if filesystem in self._devices:
                    filesystem, path = self.take(filesystem, f"/{path}", step.origin)
                elif filesystem in self._parts.workbenches:
                    self._workbenches.add(filesystem)
                else:
                    self._filesystems.add(filesystem)
                steps.append(step._replace(filesystem=filesystem, path=path))
        return steps


class _Reach:
    """Of one namespace: what a walk reaches, and what has to be taken away to reach the rest."""

    def __init__(self, space: PairedSpace) -> None:
        self.space = space
        self._tree = tree = MountTree(MountTable(space.found.rows))
        self._index = {space.position[row.mount_id]: index for index, row in enumerate(tree.rows)}
        self.reachable = {
            at for at, index in self._index.items() if tree.reached[index] and "/" not in tree.below[index]
        }
        self._devices: dict[str, list[int]] = {}
        for at, row in enumerate(space.found.rows):
            if at in self._index and not row.root.endswith("//deleted"):
                self._devices.setdefault(row.device, []).append(at)

    def of_device(self, device: str) -> list[int]:
        return self._devices.get(device, [])

    def covers(self, at: int) -> tuple[str, ...] | None:
        """The paths at which something has to be unmounted, in this order; None if that is not possible."""
        tree = self._tree
        paths: list[str] = []
        for cover in tree.covers(self._index[at]):
            stack = [cover]
            while (above := tree.below[stack[-1]].get("/")) is not None:
                stack.append(above)
            paths += [tree.rows[one].mountpoint for one in stack]
        return None if "/" in paths else tuple(paths)
