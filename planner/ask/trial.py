"""A plan carried out in the model: what stands there after each step, and whether anything propagates on the way.

The steps are the same that applier/build/execute.py makes system calls of; here each is the same calls on a World. It
begins with the host's table, so it needs no kernel and no privileges, and what it finds holds for the host as it is
now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mountplan.planner.attributes import IDMAP, Change, parse_shown
from mountplan.planner.fstypes import of
from mountplan.planner.host import MOUNT_MAX
from mountplan.planner.model import ModelHandle, ModelMount, Process, Superblock, World, WouldRefuse
from mountplan.planner.model.from_tables import TablesWorld, world_of
from mountplan.planner.model.objects import ModelNode, Place
from mountplan.planner.model.peers import Kind
from mountplan.planner.model.to_table import path_of, table_of
from mountplan.planner.model.walking import into_mounts, walk
from mountplan.planner.model.world import Spread
from mountplan.planner.names import Handle
from mountplan.planner.plan import seedbase
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.mountcount import Peak
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.inherited_tree import InheritedTree
from mountplan.planner.tables.namespace_file import file_row
from mountplan.planner.tables.options import Pairs
from mountplan.planner.tables.table import MountRow, MountTable

# A host of which nothing is known: its root, private.
_BARE = MountTable((MountRow(1, 0, "0:1", "/", "/", "rw", 0, 0, 0, False, "rootfs", "rootfs", "rw"),))


class TrialRefusal(NamedTuple):
    """The step (from 1 on) that the kernel would refuse, and its words."""

    step: int
    why: str


class Event(NamedTuple):
    """Something that a step (from 1 on) did elsewhere by propagation, in words."""

    step: int
    words: str


class Trial:
    """One plan, under way in the model. `run` carries out as many steps as are wanted."""

    def __init__(
        self,
        steps: tuple[s.Step, ...],
        host: MountTable,
        mount_max: int = MOUNT_MAX,
        others: tuple[tuple[str, MountTable], ...] = (),
    ) -> None:
        self.steps = steps
        self.done = 0
        self.events: list[Event] = []
        self.refusal: TrialRefusal | None = None
        self.peak = Peak(0, 0)
        self.finished: list[tuple[str, Process]] = []
        self._seen = seen = host_world(host, mount_max, others)
        self.world = seen.world
        self.host = seen.processes[0]
        self.around = dict(zip(("the host's namespace", *(name for name, _ in others)), seen.processes, strict=True))
        self.builder = self.world.fork(self.host, "builder")
        self._groups = {there: number for number, there in seen.groups.items()}
        self._handles: dict[Handle, ModelHandle] = {}
        self._parked: dict[Handle, ModelNode] = {}  # where in the yard a workbench or a seed stands
        self._early: list[Handle] = []  # seeds that wait for the yard
        self._only: dict[str, Superblock] = {}  # by type, those of which there is one, whatever its mounts are called
        self._mounts: dict[ModelMount, Handle] = {}  # what the plan calls a mount
        self._names: dict[int, str] = {}  # the plan's names of groups
        self._first: tuple[Process, Place] | None = None  # of several namespaces
        self._base: ModelHandle | None = None
        self._users: dict[Handle, Process] = {}  # a process in each user namespace
        self._stage: ModelHandle | None = None
        self._owned: Place | None = None  # in the namespace of a user, what takes the place of the yard
        self._do: dict[type[s.Step], Callable[[Any], None]] = {
            step: getattr(self, "_" + kind) for step, kind in zip(s.STEP_TYPES, s.STEP_KINDS, strict=True)
        }

    def run(self, until: int | None = None) -> None:
        """Carry out the steps up to number `until` (all of them), or up to the first that the kernel would refuse."""
        world, do = self.world, self._do
        for step in self.steps[self.done : until]:
            if self.refusal is not None:
                return
            number = self.done + 1
            try:
                do[type(step)](step)
            except WouldRefuse as refusal:
                self.refusal = TrialRefusal(number, str(refusal))
                return
            self.done = number
            if world.spread:
                self._tell(number)
            if len(self.builder.namespace.mounts) > self.peak.mounts:
                self.peak = Peak(len(self.builder.namespace.mounts), number)

    # --- what stands there

    def tables(self) -> tuple[MountTable, ...]:
        """The tables of the finished namespaces, in the plan's order; groups of the plan have negative numbers."""
        return tuple(self._table(process) for _, process in self.finished)

    def table(self) -> MountTable:
        """What the builder sees now: of the host's tree and the yard while it is at work, then of the new root."""
        return self._table(self.builder)

    def names(self) -> dict[int, str]:
        """What the plan calls the groups, by their numbers in the tables."""
        return {self._number(group): name for group, name in self._names.items()}

    def detached(self) -> list[Handle]:
        """What is made by now, and held by a descriptor only."""
        found = []
        for name, handle in self._handles.items():
            namespace = handle.place[0].namespace
            if handle.open and namespace is not None and namespace.anonymous:
                found.append(name)
        return found

    def yard_id(self) -> int:
        """The id of the yard in `table`, 0 if it does not stand there."""
        yard = self._yard()
        return yard.number if yard.superblock.device == f"={s.YARD}" else 0

    def _table(self, process: Process) -> MountTable:
        return MountTable(tuple(map(self._renumbered, table_of(process.namespace, process.root).rows)))

    def _renumbered(self, row: MountRow) -> MountRow:
        if not row.peer_group and not row.master:
            return row
        group, master, above = map(self._number, (row.peer_group, row.master, row.propagate_from))
        return row._replace(peer_group=group, master=master, propagate_from=above)

    def _number(self, group: int) -> int:
        return self._groups.get(group, -group)

    # --- what propagates

    def _tell(self, number: int) -> None:
        for one in self.world.spread:
            if one.place[0].namespace is not None:  # or else its parent went as well, and that has been told
                self.events.append(Event(number, self._words(one)))
        self.world.spread.clear()

    def _words(self, one: Spread) -> str:
        parent, there = one.place[0], self._called(one.place)
        if not one.came:
            return f"what is mounted at {there} vanishes with it: that is in {self._group(parent)}"
        here = f"{self._called((one.origin, one.origin.root))} is in {self._group(one.origin)} by then"
        if parent.is_peer_of(one.origin):
            return f"{here}, and so is what shows {there}: a copy appears there"
        return f"{here}, and what shows {there} receives from it: a copy appears there"

    def _group(self, mount: ModelMount) -> str:
        """The peer group of a mount, or of its master."""
        group = mount.group or (mount.master.group if mount.master is not None else 0)
        if group in self._names:
            return f"peer group {self._names[group]}"
        number = self._number(group)
        return f"the host's peer group {number}" if number > 0 else "a peer group"

    def _called(self, place: Place) -> str:
        """A place in words: from the plan's mount that it is in, or by its path on the host."""
        mount, node = place
        inner = "" if node is mount.root else node.path[len(mount.root.path.rstrip("/")) :]
        if mount in self._mounts:
            return f"{self._mounts[mount]}{':' if inner else ''}{inner}"
        namespace = mount.namespace
        root = self.host.root if namespace is self.host.namespace else self.builder.root
        path = path_of(place, root) or node.path
        return f"{path} on the host" if namespace is self.host.namespace else path

    # --- the steps, each named as its kind

    def _unshare_namespace(self, step: s.UnshareNamespace) -> None:
        self.world.unshare(self.builder, "")

    def _open_namespace(self, step: s.OpenNamespace) -> None:
        """Back to the first namespace, with its yard; a copy of it, but for the last."""
        if self._first is None:
            self._first = self.world.fork(self.builder, "first"), self.builder.root
        else:
            holder, root = self._first
            self.world.setns(self.builder, holder)
            self.world.chroot(self.builder, ModelHandle(root))
        self._owned = None
        if step.copy:
            self.world.unshare(self.builder, step.namespace)

    def _close_namespace(self, step: s.CloseNamespace) -> None:
        self.finished.append((step.namespace, self.world.fork(self.builder, step.namespace)))

    def _take_host_group(self, step: s.TakeHostGroup) -> None:
        handle = self._clone(step.seed, walk(self.builder, step.path))
        if step.slave:
            self._become(handle, "slave")
            self._name_group(step.seed, handle.place[0].master)
        else:
            self._name_group(step.seed, handle.place[0])
        if step.parked:
            self._early.append(step.seed)

    def _make_private(self, step: s.MakePrivate) -> None:
        self.world.change_type(self.builder, "/", "private", recursive=True)

    def _make_yard(self, step: s.MakeYard) -> None:
        yard = self.world.fsmount(self.builder, new_superblock(self.world, "tmpfs", s.YARD), "mountplan")
        self._become(yard, "unbindable")
        self.world.move_mount(self.builder, yard, "/")
        self._handles[s.YARD] = yard
        for seed in self._early:
            self._park(seed)

    def _make_id_map(self, step: s.MakeIdMap) -> None:
        pass

    def _make_user_namespace(self, step: s.MakeUserNamespace) -> None:
        process = self.world.fork(self._users.get(step.within, self.builder), step.user)
        self.world.unshare(process, step.user, user=True, mount=False)
        self._users[step.user] = process

    def _make_stage(self, step: s.MakeStage) -> None:
        superblock = new_superblock(self.world, "tmpfs", f"@stage-{step.namespace}")
        stage = self._stage = self.world.fsmount(self.builder, superblock, "mountplan")
        self.world.move_mount(self.builder, stage, self._staged(f"stage-{step.namespace}"))

    def _own_namespace(self, step: s.OwnNamespace) -> None:
        world, builder, stage = self.world, self.builder, self._stage
        assert stage is not None
        world.chdir(builder, stage)
        world.pivot_root(builder, ".", ".")
        self._uncover("/..", stage.place[0])
        world.close(stage)
        copier = world.fork(builder, step.namespace)
        copier.user = self._users[step.user].user
        world.unshare(copier, step.namespace)
        world.setns(builder, copier)
        self._owned = builder.root

    def _take_locked(self, step: s.TakeLocked) -> None:
        self._clone(step.mount, walk(self.builder, f"/{step.place}"), recursive=True)

    def _find_locked(self, step: s.FindLocked) -> None:
        place = walk(self.builder, step.path, self._handles[step.top].place)
        self._handles[step.mount] = ModelHandle(place)
        self._mounts[place[0]] = step.mount

    def _make_filesystem(self, step: s.MakeFilesystem) -> None:
        superblock = self._only.get(step.fstype)
        if superblock is None:
            superblock = new_superblock(self.world, step.fstype, step.filesystem, step.options)
            if of(step.fstype).is_shared:
                self._only[step.fstype] = superblock
        self._stand(step.filesystem, step.mount, superblock, step.source)

    def _attach_image(self, step: s.AttachImage) -> None:
        superblock = new_superblock(self.world, step.fstype, step.filesystem, step.options)
        self._stand(step.filesystem, step.mount, superblock, step.image)

    def _make_overlay(self, step: s.MakeOverlay) -> None:
        superblock = new_superblock(self.world, "overlay", step.filesystem, step.options)
        self._stand(step.filesystem, step.mount, superblock, step.source)

    def _clone_host_workbench(self, step: s.CloneHostWorkbench) -> None:
        self._clone(step.filesystem, self._on_host(step))
        self._park(step.filesystem)

    def _make_node(self, step: s.MakeNode) -> None:
        self._make(step.within, step.path, directory=step.node == "directory")

    def _copy_contents(self, step: s.CopyContents) -> None:
        """What is copied is not known: whatever is asked for is there from now on."""
        self._at(step.within).place[0].superblock.complete = False

    def _make_mountpoint(self, step: s.MakeMountpoint) -> None:
        self._make(step.within, step.path, directory=self._handles[step.like].place[1].is_directory)

    def _remove_node(self, step: s.RemoveNode) -> None:
        _, node = self._at(step.within).place
        node.superblock.make(_joined(node, step.path)).remove()

    def _seal_filesystem(self, step: s.SealFilesystem) -> None:
        self._at(step.filesystem).place[0].superblock.read_only = True

    def _make_seed(self, step: s.MakeSeed) -> None:
        handle = self._clone(step.seed, self._inside(step.filesystem, step.path))
        if step.master:
            self.world.set_group(self.builder, self._at(step.master), handle)
            self._become(handle, "slave")
        if step.shared:
            self._become(handle, "shared")
        self._name_group(step.seed, handle.place[0])
        if step.parked:
            self._park(step.seed)

    def _clone_mount(self, step: s.CloneMount) -> None:
        self._clone(step.mount, self._inside(step.filesystem, step.path))

    def _clone_host(self, step: s.CloneHost) -> None:
        handle = self._clone(step.mount, self._on_host(step), recursive=step.recursive)
        if step.propagation == "slave":
            self._become(handle, "slave", recursive=True)
        elif step.propagation != "private":
            self._become(handle, "slave" if step.propagation == "slaves_below" else "shared", recursive=True)
            self._become(handle, "private")

    def _set_attributes(self, step: s.SetAttributes) -> None:
        change = Change(step.set | (IDMAP if step.id_map else 0), step.clear)
        kind: Kind | None = "unbindable" if step.unbindable else None
        handle = self._handles[step.mount]
        self.world.set_attributes(self.builder, handle, change, kind=kind, recursive=step.recursive)

    def _attach(self, step: s.Attach) -> None:
        if step.parent == s.YARD:
            target = self._staged(step.path)
        elif step.parent == s.STAGE:
            assert self._stage is not None
            is_directory = self._handles[step.mount].place[1].is_directory
            stage, node = self._stage.place
            target = ModelHandle((stage, node.superblock.make(f"/{step.path}", directory=is_directory)))
        else:
            target = self._handles[step.parent]
            if step.path:
                target = ModelHandle(walk(self.builder, step.path, target.place))
        self.world.move_mount(self.builder, self._handles[step.mount], target)
        if step.parent == s.STAGE and self._stage is not None:
            self.world.chdir(self.builder, self._stage)
            self._uncover(step.path, self._handles[step.mount].place[0])

    def _remove_mount(self, step: s.RemoveMount) -> None:
        self.world.chdir(self.builder, self._handles[step.mount])
        self.world.umount(self.builder, step.path[1:], lazy=step.recursive)

    def _bind_over(self, step: s.BindOver) -> None:
        place = ModelHandle(self._altered(step.mount, step.path))
        copy = self.world.open_tree(self.builder, place, clone=True, recursive=True)
        self.world.move_mount(self.builder, copy, place)
        self.world.close(copy)

    def _change_mounts(self, step: s.ChangeMounts) -> None:
        root = self._handles[step.mount].place
        tree = InheritedTree(table_of(self.builder.namespace, root))
        kind: Kind | None = step.sharing or None
        for one in tree.reach(step.path, step.spared, recursive=step.recursive, but_root=step.sharing == "shared"):
            place = ModelHandle(self._altered(step.mount, one.path))
            change = Change(step.set, step.clear)
            self.world.set_attributes(self.builder, place, change, kind=kind, recursive=one.recursive)
            if step.sharing == "shared" and one.path == "/":
                self._become(place, "slave")

    def _altered(self, tree: Handle, path: str) -> Place:
        root = self._handles[tree].place
        return walk(self.builder, path[1:], root) if path != "/" else root

    def _isolate(self, step: s.Isolate) -> None:
        self._become(self._handles[step.mount], "private", recursive=step.recursive)

    def _share_root(self, step: s.ShareRoot) -> None:
        self._become(self._handles[step.mount], "shared")

    def _join_group(self, step: s.JoinGroup) -> None:
        self.world.set_group(self.builder, self._at(step.seed), self._handles[step.mount])

    def _make_base(self, step: s.MakeBase) -> None:
        superblock = new_superblock(self.world, "tmpfs", "@base", seedbase.OPTIONS)
        base = self._base = self.world.fsmount(self.builder, superblock, seedbase.SOURCE)
        self.world.move_mount(self.builder, base, self._staged("root"))
        for number, seed in enumerate(step.keep):
            peer = self.world.open_tree(self.builder, self._at(seed), clone=True)
            place = superblock.make(f"/{number}", directory=peer.place[1].is_directory)
            self.world.move_mount(self.builder, peer, ModelHandle((base.place[0], place)))
            self.world.close(peer)

    def _enter_root(self, step: s.EnterRoot) -> None:
        """As LinuxKernel.enter_root does it."""
        world, builder = self.world, self.builder
        root = self._handles[step.mount]
        if not step.based:
            world.chdir(builder, root)
            world.pivot_root(builder, ".", ".")
            self._uncover("/..", self._handles[step.top].place[0])
            return
        base = self._base
        assert base is not None
        world.chdir(builder, base)
        world.mkdir(builder, "old")
        world.pivot_root(builder, ".", "old")
        self._uncover("old", base.place[0])
        world.chroot(builder, root)
        world.close(base)

    def _uncover(self, path: str, wanted: ModelMount) -> None:
        while walk(self.builder, path)[0] is not wanted:
            self.world.umount(self.builder, path, lazy=True)

    def _release(self, step: s.Release) -> None:
        handle = self._handles.pop(step.handle, None)
        if handle is not None:  # an id-mapping has none
            self.world.close(handle)

    # --- what the steps share

    def _become(self, handle: ModelHandle, kind: Kind, *, recursive: bool = False) -> None:
        self.world.set_attributes(self.builder, handle, Change(), kind=kind, recursive=recursive)

    def _on_host(self, step: s.CloneHost | s.CloneHostWorkbench) -> Place:
        if not step.namespace:
            return walk(self.builder, step.path)
        return namespace_file(self.world, step.namespace)

    def _stand(self, filesystem: Handle, mount: Handle, superblock: Superblock, source: str) -> None:
        """A new superblock's first mount: one of the tree, or a workbench."""
        handle = self.world.fsmount(self.builder, superblock, source)
        self._handles[mount or filesystem] = handle
        self._mounts[handle.place[0]] = mount or filesystem
        if not mount:
            self._park(filesystem)

    def _clone(self, name: Handle, place: Place, *, recursive: bool = False) -> ModelHandle:
        handle = self.world.open_tree(self.builder, ModelHandle(place), clone=True, recursive=recursive)
        self._handles[name] = handle
        self._mounts[handle.place[0]] = name
        return handle

    def _park(self, name: Handle) -> None:
        """Attach a workbench or a seed in the yard."""
        handle = self._handles.pop(name)
        yard = self._yard()
        node = yard.superblock.make(f"/p{len(self._parked)}", directory=handle.place[1].is_directory)
        self.world.move_mount(self.builder, handle, ModelHandle((yard, node)))
        self.world.close(handle)
        self._parked[name] = node

    def _at(self, name: Handle) -> ModelHandle:
        """A descriptor of a mount, a workbench or a seed; of what is parked, in the namespace that is at work."""
        handle = self._handles.get(name)
        if handle is not None:
            return handle
        yard = self._yard()
        if self._owned is not None and self._first is not None:  # workbenches and seeds are in the first namespace
            yard = into_mounts(*self._first[1])[0]
        return ModelHandle(into_mounts(yard, self._parked[name]))

    def _yard(self) -> ModelMount:
        """What covers the builder's root is the yard, in every copy of the namespace but those of users."""
        return self._owned[0] if self._owned is not None else into_mounts(*self.builder.root)[0]

    def _staged(self, name: str) -> ModelHandle:
        yard = self._yard()
        return ModelHandle(into_mounts(yard, yard.superblock.make(f"/{name}")))

    def _inside(self, name: Handle, path: str) -> Place:
        """A path in a filesystem, whatever is mounted upon it; it is there, or a step made it."""
        mount, node = self._at(name).place
        return (mount, node.superblock.make(_joined(node, path))) if path else (mount, node)

    def _make(self, within: Handle, path: str, *, directory: bool) -> None:
        _, node = self._at(within).place
        node.superblock.make(_joined(node, path), directory=directory)

    def _name_group(self, seed: Handle, member: ModelMount | None) -> None:
        if member is not None and member.group:
            self._names[member.group] = seed.removeprefix("seed:")


def namespace_file(world: World, identity: str) -> Place:
    """The file of a namespace, on the kernel's own mount of all of them."""
    row = file_row(identity)
    superblock = next((one for one in world.superblocks if one.device == row.device), None)
    if superblock is None:
        superblock = world.superblock(row.fstype, device=row.device, complete=False)
    mount = ModelMount(next(world.numbers.mounts), superblock.make(f"/{row.root}", directory=False), row.source)
    mount.attributes = parse_shown(row.attributes)
    return mount, mount.root


def _joined(node: ModelNode, path: str) -> str:
    return f"/{path}" if node.parent is None else f"{node.path}/{path}"


def host_world(host: MountTable, mount_max: int, others: tuple[tuple[str, MountTable], ...] = ()) -> TablesWorld:
    """A World with the host's namespace, and maybe others."""
    tables = (("host", host if host.rows else _BARE), *others)
    return world_of(tuple((name, _below_first_root(table)) for name, table in tables), World(mount_max=mount_max))


def _below_first_root(table: MountTable) -> MountTable:
    """A process in a chroot sees several roots; then only the first one counts."""
    known = {table.root().mount_id}
    before = 0
    while len(known) > before:  # a parent may come after its child, so one look may not be enough
        before = len(known)
        known |= {row.mount_id for row in table.rows if row.parent_id in known}
    return MountTable(tuple(row for row in table.rows if row.mount_id in known))


def new_superblock(world: World, fstype: str, name: str, options: Pairs = ()) -> Superblock:
    """A filesystem of a plan's, with the device and the options that its predicted table has."""
    shown = ",".join(key if value is True else f"{key}={value}" for key, value in options if key != "ro")
    superblock = world.superblock(fstype, device=f"={name}", options=shown, complete=of(fstype).begins == "empty")
    superblock.read_only = ("ro", True) in options
    return superblock
