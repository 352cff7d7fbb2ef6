"""Mount tables of live or predicted namespaces -> a World in which to ask what would happen.

A table tells which mounts are peers and who is whose master, but not in which order they became so, and not which
member of a group is the master of a slave; these are taken by their ids. No answer about who receives what depends on
it. What lies outside of all tables is stood for by one mount for each group that has no member in the tables.
"""

from __future__ import annotations

from mountplan.planner.attributes import parse_shown
from mountplan.planner.errors import TableError
from mountplan.planner.model.namespace_copies import first_namespace
from mountplan.planner.model.objects import ModelMount, ModelNode, Process, Superblock, attach
from mountplan.planner.model.peers import add_slave_behind, add_slave_first, join_ring
from mountplan.planner.model.world import World
from mountplan.planner.paths import TargetPath
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow, MountTable

OUTSIDE = "outside"


class TablesWorld(NamedTuple):
    """A World, and for each table the process that sees it, and which mount each row has become.

    `groups` has the World's number for each group of the tables.
    """

    world: World
    processes: tuple[Process, ...]
    mounts: tuple[dict[int, ModelMount], ...]
    groups: dict[int, int]


def world_of(tables: tuple[tuple[str, MountTable], ...], world: World | None = None) -> TablesWorld:
    """A World with one namespace, and one process in it, for each (name, table). Raises TableError.

    Group ids and devices mean the same in all tables; mount ids only need to be different within one.
    """
    builder = _Builder(World() if world is None else world)
    for name, table in tables:
        builder.add(name, table)
    builder.share()
    return TablesWorld(builder.world, tuple(builder.processes), tuple(builder.mounts), builder.groups)


class _Builder:
    def __init__(self, world: World) -> None:
        self.world = world
        self.processes: list[Process] = []
        self.mounts: list[dict[int, ModelMount]] = []
        self.superblocks: dict[str, Superblock] = {}
        self.rows: list[tuple[MountRow, ModelMount]] = []
        self.groups: dict[int, int] = {0: 0}
        self.removed: dict[tuple[Superblock, str], ModelNode] = {}

    def add(self, name: str, table: MountTable) -> None:
        by_id = table.by_id()
        made: dict[int, ModelMount] = {}
        roots = [row for row in table.rows if row.parent_id not in by_id or row.parent_id == row.mount_id]
        if len(roots) != 1:
            raise TableError(f"{name}: the table has {len(roots)} roots, so it cannot be understood")
        namespace, bottom = first_namespace(name, self.world.initial_user, self.world.numbers)
        for row in sorted(table.rows, key=lambda row: row.mount_id):
            made[row.mount_id] = self._mount(row)
        rows = _parents_first(table, roots[0])
        namespace.add(made[row.mount_id] for row in rows)
        for row in rows:
            mount = made[row.mount_id]
            if row is roots[0]:
                attach(mount, bottom, bottom.root)
                continue
            parent, parent_row = made[row.parent_id], by_id[row.parent_id]
            attach(mount, parent, self._mountpoint(row, parent_row, parent))
        self.world.namespaces.append(namespace)
        root = made[roots[0].mount_id]
        self.processes.append(self.world.add_process(name, namespace, (root, root.root), self.world.initial_user))
        self.mounts.append(made)

    def _mount(self, row: MountRow) -> ModelMount:
        superblock = self.superblocks.get(row.device)
        if superblock is None:
            state, _, options = row.options.partition(",")
            superblock = Superblock(row.device, row.fstype, device=row.device, options=options, complete=False)
            superblock.read_only = state == "ro"
            self.superblocks[row.device] = superblock
            self.world.superblocks.append(superblock)
        mount = ModelMount(next(self.world.numbers.mounts), self._root(superblock, row.root), row.source)
        mount.attributes = parse_shown(row.attributes)
        mount.unbindable = row.unbindable
        if row.peer_group:
            mount.group = self._group(row.peer_group)
            mount.shared = True
        self.rows.append((row, mount))
        return mount

    def _root(self, superblock: Superblock, shown: str) -> ModelNode:
        """The node that mountinfo shows as `shown`; one that was removed has a path that may be another's by now."""
        path = shown.removesuffix("//deleted")
        if path == shown:
            return superblock.make(path)
        node = self.removed.get((superblock, path))
        if node is None:
            above, _, name = path.rpartition("/")
            node = self.removed[superblock, path] = ModelNode(superblock, superblock.make(above), name)
            node.removed = True
        return node

    def _group(self, number: int) -> int:
        if number not in self.groups:
            self.groups[number] = next(self.world.numbers.groups)
        return self.groups[number]

    def _mountpoint(self, row: MountRow, parent_row: MountRow, parent: ModelMount) -> ModelNode:
        try:
            rest = TargetPath(row.mountpoint).relative_to(parent_row.mountpoint)
        except ValueError:
            raise TableError(f"{row.mountpoint} hangs on {parent_row.mountpoint}, and is not below it") from None
        node = parent.root
        for name in rest.split("/") if rest else ():
            child = node.superblock.find(node, name)
            assert child is not None
            node = child
        return node

    def share(self) -> None:
        """Form the peer groups and the lists of slaves."""
        first: dict[int, ModelMount] = {}
        last: dict[int, ModelMount] = {}
        for mount in (mount for _, mount in self.rows if mount.group):
            if mount.group in last:
                join_ring(mount, last[mount.group])
            first.setdefault(mount.group, mount)
            last[mount.group] = mount
        self._stand_in_for_outside(first)
        placed: dict[int, ModelMount] = {}  # peers that are slaves stand next to each other in the list
        for row, mount in self.rows:
            if not row.master or mount.master is not None:
                continue
            master = first[self._group(row.master)]
            neighbour = placed.get(mount.group) if mount.group else None
            if neighbour is None:
                add_slave_first(mount, master)
            else:
                add_slave_behind(mount, neighbour)
            if mount.group:
                placed[mount.group] = mount

    def _stand_in_for_outside(self, first: dict[int, ModelMount]) -> None:
        """A mount outside of all tables for each master that no table shows, and its own master where known."""
        missing: dict[int, tuple[ModelMount, int]] = {}
        for row, mount in self.rows:
            group = self._group(row.master)
            if group and group not in first and group not in missing:
                missing[group] = mount, row.propagate_from
        if not missing:
            return
        outside, bottom = first_namespace(OUTSIDE, self.world.initial_user, self.world.numbers)
        self.world.namespaces.append(outside)
        for group, (slave, _) in missing.items():
            mount = ModelMount(next(self.world.numbers.mounts), slave.superblock.root, slave.source)
            mount.attributes = slave.attributes
            mount.group = group
            mount.shared = True
            outside.add([mount])
            attach(mount, bottom, bottom.superblock.make(f"/{group}"))
            first[group] = mount
        for group, (_, above) in missing.items():
            if above and first.get(self._group(above)) is not None:
                add_slave_first(first[group], first[self._group(above)])


def _parents_first(table: MountTable, root: MountRow) -> list[MountRow]:
    children: dict[int, list[MountRow]] = {}
    for row in table.rows:
        if row is not root:
            children.setdefault(row.parent_id, []).append(row)
    found = []
    waiting = [root]
    while waiting:
        row = waiting.pop()
        found.append(row)
        waiting += sorted(children.get(row.mount_id, ()), key=lambda one: -one.mount_id)
    return found
