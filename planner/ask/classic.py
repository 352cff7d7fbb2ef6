"""What the tree of a plan would come to if it were mounted the classic way: one mount after the other, as they are in
the file, each made shared, slave or private as soon as it stands.

That is what a script of mount(8) commands does, carried out in the model. Each bind is made from what shows its source
by then, of the group that it shall join if there is such a mount; mountpoints are made where they are missing.
"""

from __future__ import annotations

import errno
import re

from mountplan.planner.ask.trial import host_world, namespace_file, new_superblock
from mountplan.planner.attributes import IDMAP, WORDED, Change
from mountplan.planner.compare.compare import compare
from mountplan.planner.compare.difference import Difference
from mountplan.planner.model import ModelHandle, ModelMount, Process, Superblock, WouldRefuse
from mountplan.planner.model.peers import Kind
from mountplan.planner.model.to_table import path_of, table_of
from mountplan.planner.model.walking import walk
from mountplan.planner.names import Alteration
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan.plan import ExpectedMount, ExpectedNamespace, Plan
from mountplan.planner.plan.predict import Prediction, superblocks
from mountplan.planner.plan.steps import CopyContents, MakeNode
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.inherited_tree import InheritedTree
from mountplan.planner.tables.table import MountTable

_NEW_ROOT = "/newroot"


class Classic(NamedTuple):
    """What comes of the classic way.

    `wanted` mounts are to stand there. Propagation adds `added` to them, which are found at `places`, those on the host
    first. `wrong` are the mounts of the plan that are not as the spec has them, each with the first thing that is wrong
    about it. With `endless` it was given up when there were far too many mounts.
    """

    wanted: int
    added: int
    places: tuple[str, ...]
    on_host: int
    wrong: tuple[tuple[str, str], ...]  # (mountpoint, what is wrong)
    endless: bool


def classic_way(plan: Plan, predictions: tuple[Prediction, ...], host: MountTable) -> Classic:
    """Mount the plan's tree in the order of the file, on a host with that table; costs about as much as the plan."""
    attempt = _Attempt(plan, host)
    attempt.mount_all()
    return attempt.outcome(predictions)


class _ClassicSpace(NamedTuple):
    """A namespace at work: who mounts in it, and below which path the new root stands."""

    process: Process
    prefix: str


class _Attempt:
    def __init__(self, plan: Plan, host: MountTable) -> None:
        self.plan = plan
        self.wanted = sum(len(namespace.mounts) for namespace in plan.expected.namespaces)
        self.most = len(host.rows) + 1000 + 10 * self.wanted
        seen = host_world(host, self.most)
        self.world = seen.world
        self.host = seen.processes[0]
        self.masters = {group.name: group.master for group in plan.expected.groups}
        self.external = {group.name: group.host for group in plan.expected.groups if group.host}
        self.makers = {one.name: one for one in plan.expected.filesystems}
        self.same = superblocks(plan.expected.filesystems)
        self.superblocks: dict[str, Superblock] = {}
        self.stashed: dict[str, ModelHandle] = {}  # filesystems that no mount of the spec makes: masks
        self.spaces: dict[str, _ClassicSpace] = {}
        self.where: dict[str, str] = {}  # mountpoint of each mount of the plan
        self.space_of: dict[str, str] = {}
        self.owners: dict[str, ExpectedMount] = {}
        self.standing: dict[tuple[str, str], list[ExpectedMount]] = {}  # (namespace, group) -> members that stand
        self.refused: list[tuple[str, str]] = []
        self.came: dict[ModelMount, None] = {}
        self.endless = False
        for namespace in plan.expected.namespaces:
            self._enter(namespace)

    def _enter(self, namespace: ExpectedNamespace) -> None:
        """unshare -m, with as much of the host's sharing left as the spec needs."""
        process = self.world.fork(self.host, namespace.name)
        self.world.unshare(process, namespace.name)
        root = namespace.mounts[0]
        inherits = not root.filesystem and root.root == "/" and root.recursive
        if not any(mount.group in self.external or mount.brings == "peer" for mount in namespace.mounts):
            receives = (mount.master in self.external or mount.brings == "slave" for mount in namespace.mounts)
            slave = root.inherits or any(receives)
            self.world.change_type(process, "/", "slave" if slave else "private", recursive=True)
        self.spaces[namespace.name] = _ClassicSpace(process, "" if inherits else _NEW_ROOT)
        for mount in namespace.mounts:
            above = self.where[mount.parent] if mount.parent else ""
            self.where[mount.name] = f"{above.rstrip('/')}{mount.place}" or "/"
            self.space_of[mount.name] = namespace.name
            maker = self.makers.get(mount.filesystem)
            if maker is not None and maker.origin == mount.origin and mount.root == "/":
                self.owners.setdefault(mount.filesystem, mount)

    # --- mounting

    def mount_all(self) -> None:
        for alteration in self.plan.expected.altered:
            name, path = alteration.namespace, alteration.path
            try:
                self._alter(alteration, self.spaces[name].process)
            except WouldRefuse as refusal:
                self.refused.append((self._in_space(name, path), f"cannot be changed: {refusal}"))
        every = [mount for namespace in self.plan.expected.namespaces for mount in namespace.mounts]
        for step in self.plan.steps:
            if isinstance(step, MakeNode | CopyContents):
                self._fill(step)
        for mount in sorted(every, key=lambda one: [int(number) for number in re.findall(r"\[(\d+)\]", one.origin)]):
            space = self.spaces[self.space_of[mount.name]]
            if mount.parent or space.prefix:  # or else it is the inherited root, which stands already
                try:
                    self._mount(mount, space)
                except WouldRefuse as refusal:
                    if refusal.errno == errno.ENOSPC:
                        self.endless = True
                        return
                    place = self._in_space(self.space_of[mount.name], self.where[mount.name])
                    self.refused.append((place, f"cannot be mounted: {refusal}"))
            for one in self.world.spread:
                self.came |= dict.fromkeys(one.mount.tree() if one.came else ())
            self.world.spread.clear()

    def _alter(self, one: Alteration, process: Process) -> None:
        """umount, mount --bind X X, and mount_setattr(2), which mount(8) makes of -o remount,bind,...=recursive."""
        if one.what == "remove":
            self.world.umount(process, one.path, lazy=one.recursive)
            return
        if one.what == "bind_over":
            self.world.bind(process, one.path, one.path, recursive=True)
            return
        tree = InheritedTree(table_of(process.namespace, process.root))
        kind: Kind | None = one.sharing or None
        for reached in tree.reach(one.path, one.spared, recursive=one.recursive):
            change = Change(one.set, one.clear)
            self.world.set_attributes(process, reached.path, change, kind=kind, recursive=reached.recursive)

    def _fill(self, step: MakeNode | CopyContents) -> None:
        """What the spec puts into its filesystems is there from the beginning."""
        name = step.within if step.within in self.makers else f"fs:{step.within}"
        if name not in self.makers:
            return
        if isinstance(step, CopyContents):
            self._superblock(name).complete = False
        else:
            self._superblock(name).make(f"/{step.path}", directory=step.node == "directory")

    def _mount(self, mount: ExpectedMount, space: _ClassicSpace) -> None:
        world, process = self.world, space.process
        target = self._target(mount, space)
        member = None
        if not mount.filesystem:
            self._make_place(process, target, directory=not mount.is_namespace_file)
            if mount.is_namespace_file:
                copy = world.open_tree(process, ModelHandle(namespace_file(world, mount.root)), clone=True)
                world.move_mount(process, copy, target)
            else:
                world.bind(process, mount.root, target, recursive=mount.recursive)
            joined = bool(mount.group)
        elif (owner := self.owners.get(mount.filesystem)) is mount:
            self._make_place(process, target, directory=True)
            maker = self.makers[mount.filesystem]
            superblock = self._superblock(mount.filesystem)
            world.mount_new(process, maker.fstype, maker.source, target, superblock=superblock)
            joined = False
        elif owner is None:
            self._mount_stashed(mount, process, target)
            joined = False
        else:
            member = self._member(mount, mount.group)
            source = member or self._member(mount, self.masters.get(mount.group, "") or mount.master) or owner
            if self.space_of[source.name] != self.space_of[mount.name]:
                other = self.space_of[source.name]
                raise WouldRefuse(errno.EINVAL, f"its source stands in namespace {other}, and binds do not cross them")
            path = self._target(source, space).rstrip("/") + _below(mount.root, source.root)
            self._make_place(process, target, directory=self._is_directory(mount))
            world.bind(process, path or "/", target)
            joined = member is not None
        change = Change(mount.set & ~IDMAP, WORDED if mount.filesystem else mount.clear)
        if mount.recursive and not mount.recursive_attributes:
            below = Change(mount.below_set & ~IDMAP, mount.below_clear)
            world.set_attributes(process, target, below, recursive=True)
        world.set_attributes(process, target, change, recursive=mount.recursive and mount.recursive_attributes)
        if mount.idmapped:  # which mount(8) does before it attaches
            walk(process, target)[0].attributes |= IDMAP
        self._share(mount, process, target, joined=joined)
        if mount.group:
            self.standing.setdefault((self.space_of[mount.name], mount.group), []).append(mount)

    def _mount_stashed(self, mount: ExpectedMount, process: Process, target: str) -> None:
        handle = self.stashed.get(mount.filesystem)
        superblock = self._superblock(mount.filesystem)
        if handle is None:
            source = self.makers[mount.filesystem].source
            handle = self.stashed[mount.filesystem] = self.world.fsmount(process, superblock, source)
        node = superblock.make(mount.root.removesuffix("//deleted"))
        self._make_place(process, target, directory=node.is_directory)
        copy = self.world.open_tree(process, ModelHandle((handle.place[0], node)), clone=True)
        self.world.move_mount(process, copy, target)

    def _share(self, mount: ExpectedMount, process: Process, target: str, *, joined: bool) -> None:
        """mount --make-...; a bind of a member of its group is one already."""
        if mount.brings in ("peer", "slave"):
            below: Kind = "shared" if mount.brings == "peer" else "slave"
            self.world.change_type(process, target, below, recursive=True)
        if joined:
            return
        kinds: list[Kind]
        if mount.group:
            kinds = ["slave" if self.masters.get(mount.group) else "private", "shared"]
        elif mount.master or mount.inherits:
            kinds = ["slave"]
        else:
            kinds = ["unbindable" if mount.unbindable else "private"]
        alike = mount.recursive and mount.brings not in ("peer", "slave")
        for kind in kinds:
            self.world.change_type(process, target, kind, recursive=alike and kind != "unbindable")

    def _member(self, mount: ExpectedMount, group: str) -> ExpectedMount | None:
        """A mount of `group` that stands already, and shows what `mount` shall show."""
        for one in self.standing.get((self.space_of[mount.name], group), ()) if group else ():
            if one.filesystem == mount.filesystem and TargetPath(mount.root).is_under(one.root):
                return one
        return None

    # --- places

    def _target(self, mount: ExpectedMount, space: _ClassicSpace) -> str:
        return f"{space.prefix}{self.where[mount.name]}".rstrip("/") or "/"

    def _make_place(self, process: Process, target: str, *, directory: bool) -> None:
        """mkdir -p, or touch; where nothing can be made, the mount says what is wrong."""
        try:
            above = target.rpartition("/")[0]
            if above:
                self.world.mkdir(process, above, parents=True)
            self.world.mkdir(process, target, directory=directory, parents=directory)
        except WouldRefuse:
            pass

    def _is_directory(self, mount: ExpectedMount) -> bool:
        return self._superblock(mount.filesystem).make(mount.root.removesuffix("//deleted")).is_directory

    def _superblock(self, name: str) -> Superblock:
        name = self.same[name]
        found = self.superblocks.get(name)
        if found is None:
            maker = self.makers[name]
            found = self.superblocks[name] = new_superblock(self.world, maker.fstype, name, maker.options)
            found.read_only = False
        return found

    # --- what has come of it

    def outcome(self, predictions: tuple[Prediction, ...]) -> Classic:
        extra = [mount for mount in self.came if mount.namespace is not None]
        on_host = [mount for mount in extra if mount.namespace is self.host.namespace]
        places = [self._place(mount) for mount in (*on_host, *(one for one in extra if one not in set(on_host)))]
        wrong = [] if self.endless else self._wrong(predictions)
        wanted = sum(len(one.table.rows) for one in predictions)  # with what is inherited, and what comes below a bind
        return Classic(wanted, len(extra), tuple(places), len(on_host), tuple(wrong), self.endless)

    def _place(self, mount: ModelMount) -> str:
        for name, (process, prefix) in self.spaces.items():
            if mount.namespace is process.namespace:
                path = path_of((mount, mount.root), process.root) or "(not to be seen)"
                inner = path[len(prefix) :] if path.startswith(f"{prefix}/") else path
                return self._in_space(name, inner)
        return f"{path_of((mount, mount.root), self.host.root) or '(not to be seen)'} on the host"

    def _wrong(self, predictions: tuple[Prediction, ...]) -> list[tuple[str, str]]:
        every = [mount for namespace in self.plan.expected.namespaces for mount in namespace.mounts]
        by_origin = {mount.origin: mount for mount in every}
        found = dict(self.refused)
        missing: set[str] = set()
        for one in compare(predictions, tuple(self._table(space) for space in self.spaces.values())):
            mount = by_origin.get(one.origin)
            if mount is not None:  # or else it has been added by propagation, and is counted there
                found.setdefault(self._in_space(self.space_of[mount.name], one.mount), _told(one))
                if one.prop == "mount":
                    missing.add(mount.name)
        for mount in every:
            if mount.parent in missing:
                missing.add(mount.name)
                place = self._in_space(self.space_of[mount.name], self.where[mount.name])
                found.setdefault(place, "does not stand where it should, since its parent does not")
        return list(found.items())

    def _in_space(self, name: str, path: str) -> str:
        return f"{name}:{path}" if len(self.spaces) > 1 else path

    def _table(self, space: _ClassicSpace) -> MountTable:
        process, prefix = space
        if not prefix:
            return table_of(process.namespace, process.root)
        mount, node = process.root
        below = node.superblock.find(node, prefix[1:])
        root = mount.above.get(below) if below is not None else None
        return table_of(process.namespace, (root, root.root)) if root is not None else MountTable(())


def _told(one: Difference) -> str:
    none = "not there" if one.found == "none" else "too much" if one.wanted == "none" else ""
    match one.prop, none:
        case "mount", _:
            return "is not there, or lies below something else"
        case "peer group", _:
            return {"not there": "is not shared", "too much": "is shared"}.get(none, "is in another peer group")
        case "master", _:
            receives = {"not there": "receives from no group", "too much": "is a slave of a group"}
            return receives.get(none, "receives from another group")
    return f"{one.prop}: {one.found}, and not {one.wanted}"


def _below(root: str, top: str) -> str:
    inner = TargetPath(root.removesuffix("//deleted")).relative_to(top)
    return f"/{inner}" if inner else ""
