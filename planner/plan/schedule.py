"""Topology and Graph -> Plan: every step, in order, complete before the first system call.

The road of a namespace: cut a copy of the host's tree off; make the yard and, in it, a workbench for each superblock
and a seed for each sharing group; build the tree from its root down, all mounts private; let each mount join its group
as soon as all that stands on it is attached; enter the new root.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from mountplan.planner.attributes import IDMAP, RDONLY, change
from mountplan.planner.fstypes import only_reads
from mountplan.planner.names import Handle, IdLines, IdMapping
from mountplan.planner.paths import ROOT, TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.graph import Graph, group_of, seed_of
from mountplan.planner.plan.plan import (
    Expected,
    ExpectedFilesystem,
    ExpectedGroup,
    ExpectedMount,
    ExpectedNamespace,
    Plan,
)
from mountplan.planner.plan.requirements import find_requirements
from mountplan.planner.resolve.topology import (
    LayerRef,
    ResolvedFilesystem,
    ResolvedMount,
    ResolvedNamespace,
    ResolvedNode,
    SharingGroup,
    Topology,
)
from mountplan.planner.tables.columns import RecordColumns, columns_of

# A tree is built from its root down with one descriptor for each mount on the way, until it is deeper than this. From
# there on the deepest branch is built first, by itself, and then moved: so a few descriptors do for any tree.
DEPTH = 64
_Task = tuple[str, ResolvedMount, Handle, str, Handle]  # what to do, with which mount, on which parent, at which path
# What a recursive clone of the host brings along in a group is cloned before all is made private.
_EARLY: dict[str, Literal["slaves_below", "peers_below"]] = {"slave": "slaves_below", "peer": "peers_below"}


def make_plan(topology: Topology, graph: Graph) -> Plan:
    """The plan for `topology` in the order that `graph` found. The same topology gives the same plan."""
    schedule = _Schedule(topology, graph.order)
    return Plan(
        name=topology.name,
        file=topology.file,
        requirements=find_requirements(topology),
        edges=graph.edges,
        steps=tuple(schedule.steps()),
        expected=_expected(topology, schedule.rank),
        run=topology.run,
        lines=topology.lines,
        moved=topology.moved,
    )


class _Schedule:
    """The steps of all namespaces: what they have in common first, then one after the other."""

    def __init__(self, topology: Topology, order: tuple[Handle, ...]) -> None:
        self.topology = topology
        self.order = order
        self.rank = {handle: number for number, handle in enumerate(order)}
        self.filesystems = {one.name: one for one in topology.filesystems}
        self.groups = {seed_of(group.name): group for group in topology.groups}
        self.seeds = {group.name: seed for seed, group in self.groups.items()}
        mounts = [mount for namespace in topology.namespaces for mount in namespace.mounts]
        self.mounts = {mount.name: mount for mount in mounts}
        self.children: dict[Handle, list[ResolvedMount]] = {}  # of those mounts that have some
        self.id_maps: dict[IdMapping, Handle] = {}
        self.of_id_maps: dict[Handle, str] = {}  # the part of the spec that each is for
        for mount in filter(None, map(self.mounts.get, order)):
            if mount.parent is not None:
                self.children.setdefault(mount.parent, []).append(mount)
        for mount in mounts:
            if mount.uids:
                self._need_id_map(mount.uids, mount.gids, mount.name, mount.origin)
        for filesystem in topology.filesystems:
            for layer in filesystem.layers:
                if layer.uids:
                    self._need_id_map(layer.uids, layer.gids, filesystem.name, filesystem.origin)
        self.roots = [next(one for one in space.mounts if one.parent is None) for space in topology.namespaces]
        self.altered = {root.name: space.altered for root, space in zip(self.roots, topology.namespaces, strict=True)}
        # pivot_root(2) wants the mount on which it puts the old root not to be shared: these join afterwards, from
        # seeds that must outlive the yard.
        self.heights = self._heights()  # of all namespaces at once: there may be many
        self.top = {root.name: self._top(root) for root in self.roots}
        self.tops = set(self.top.values())
        self.orphans = {
            root.name: self._orphans(space) for root, space in zip(self.roots, topology.namespaces, strict=True)
        }
        self.late = {self.seeds[group_of(self.mounts[name])] for name in self.tops if group_of(self.mounts[name])}

    def _need_id_map(self, uids: IdLines, gids: IdLines, name: Handle, origin: str) -> None:
        handle = self.id_maps.setdefault((uids, gids), f"idmap:{name}")
        self.of_id_maps.setdefault(handle, origin)

    def _top(self, root: ResolvedMount) -> Handle:
        """The topmost mount on a namespace's "/"."""
        mount = root
        while above := [child for child in self.children.get(mount.name, ()) if child.place == "/"]:
            mount = above[0]
        return mount.name

    def steps(self) -> Iterator[s.Step]:
        yield s.UnshareNamespace("", "")
        for root in self.roots:
            if root.inherits:
                assert root.host is not None
                yield s.CloneHost(root.name, root.host.path, True, "slave", "", root.origin)
        for mount in self.mounts.values():
            if mount.brings in _EARLY and mount.host is not None:
                yield s.CloneHost(mount.name, mount.host.path, True, _EARLY[mount.brings], "", mount.origin)
        for group in self.topology.groups:
            if group.host is not None:
                yield self._take(group)
        for (uids, gids), name in self.id_maps.items():
            yield s.MakeIdMap(name, uids, gids, self.of_id_maps[name])
        for user in self.topology.users:
            yield s.MakeUserNamespace(user.name, user.uids, user.gids, user.within, user.origin)
        yield s.MakePrivate("")
        yield s.MakeYard("")
        for handle in self.order:
            if handle in self.filesystems:
                yield from self._workbench(self.filesystems[handle])
            elif handle in self.groups and self.groups[handle].host is None:
                yield self._seed(self.groups[handle])
        last = self.topology.namespaces[-1]
        for namespace, root in zip(self.topology.namespaces, self.roots, strict=True):
            if namespace.user:
                yield from self._owned(root, namespace)
                continue
            if len(self.roots) > 1:
                yield s.OpenNamespace(namespace.name, namespace is not last, "")
            if self._is_based(root):
                yield s.MakeBase(namespace.name, self.orphans[root.name], root.origin)
            yield from self._tree(root)
            if namespace is last:
                yield from self._finish_filesystems()
            yield from self._enter(root, namespace)
            yield s.CloseNamespace(namespace.name, "")
        for seed, group in self.groups.items():
            if not self._parked(group):
                yield s.Release(seed, group.origin)
        for user in self.topology.users:
            yield s.Release(user.name, user.origin)
        for name in self.id_maps.values():
            yield s.Release(name, self.of_id_maps[name])

    def _finish_filesystems(self) -> Iterator[s.Step]:
        """Nothing will be cloned or created any more: remove what shall have no name, seal what shall be read-only."""
        removed = {(one.filesystem, one.root): one for one in self.mounts.values() if one.deleted}
        # What is within another one goes first: its name is gone with that.
        for (filesystem, path), mount in sorted(removed.items(), key=lambda one: one[0][1].count("/"), reverse=True):
            yield s.RemoveNode(filesystem, path.relative_to("/"), mount.origin)
        for one in self.topology.filesystems:
            if one.seal and one.workbench:
                yield s.SealFilesystem(one.name, one.origin)

    def _enter(self, root: ResolvedMount, namespace: ResolvedNamespace) -> Iterator[s.Step]:
        top = self.mounts[self.top[root.name]]
        yield s.EnterRoot(root.name, top.name, self._is_based(root), root.origin)
        last = [one for one in namespace.altered if one.sharing and one.path == "/"][-1:]
        if last and last[0].sharing == "shared":
            yield s.ShareRoot(root.name, last[0].origin)
        if group_of(top):
            yield s.JoinGroup(self.seeds[group_of(top)], top.name, top.origin)
        if top is not root:
            yield s.Release(top.name, top.origin)
        yield s.Release(root.name, root.origin)

    def _is_based(self, root: ResolvedMount) -> bool:
        """True if something must lie below the root; a directory that is removed cannot be entered by itself."""
        top = self.mounts[self.top[root.name]]
        return root.deleted or top.deleted or bool(self.orphans[root.name])

    def _orphans(self, namespace: ResolvedNamespace) -> tuple[Handle, ...]:
        """The seeds of groups without a member from which mounts of this namespace receive, directly or not."""
        received: dict[str, None] = {}
        for mount in namespace.mounts if self.groups else ():
            name = group_of(mount)
            while name and name not in received:
                received[name] = None
                name = self.groups[self.seeds[name]].master
        groups = (self.groups[self.seeds[name]] for name in received)
        return tuple(self.seeds[one.name] for one in groups if one.shared and not one.members and one.host is None)

    def _parked(self, group: SharingGroup) -> bool:
        return self.seeds[group.name] not in self.late

    def _take(self, group: SharingGroup) -> s.Step:
        assert group.host is not None
        mount = group.host.mount
        path = TargetPath(mount.mountpoint).joined(group.span.relative_to(mount.root))
        return s.TakeHostGroup(self.seeds[group.name], path, not group.members, self._parked(group), group.origin)

    def _seed(self, group: SharingGroup) -> s.Step:
        filesystem = self.filesystems[group.filesystem]
        path = "" if filesystem.made else group.span.relative_to(filesystem.host_root)
        master = self.seeds[group.master] if group.master else ""
        return s.MakeSeed(
            self.seeds[group.name], filesystem.name, path, master, group.shared, self._parked(group), group.origin
        )  # fmt: skip

    def _workbench(self, filesystem: ResolvedFilesystem) -> Iterator[s.Step]:
        if filesystem.made:
            yield from self._create(filesystem, "")
        else:
            yield s.CloneHostWorkbench(filesystem.name, filesystem.host_path, filesystem.namespace, filesystem.origin)

    def _create(self, filesystem: ResolvedFilesystem, mount: Handle) -> Iterator[s.Step]:
        """Make a superblock, as workbench or as the mount `mount`, and all that shall be in it."""
        name, origin = filesystem.name, filesystem.origin
        options = tuple(pair for pair in filesystem.options if not (filesystem.seal and pair == ("ro", True)))
        if filesystem.layers:
            layers = tuple(_layer(one, self.id_maps.get((one.uids, one.gids), "")) for one in filesystem.layers)
            upper = _layer(filesystem.upper) if filesystem.upper else None
            work = _layer(filesystem.work) if filesystem.work else None
            yield s.MakeOverlay(name, mount, filesystem.source, layers, upper, work, options, origin)
        elif filesystem.image.path:
            path, holder, offset, size = filesystem.image
            read_only, path = only_reads(filesystem.fstype, options), path[1:] if holder else path
            yield s.AttachImage(
                name, mount, filesystem.fstype, path, holder, offset, size, read_only, options, origin
            )  # fmt: skip
        else:
            yield s.MakeFilesystem(name, mount, filesystem.fstype, filesystem.source, options, origin)
        within = mount or name
        if filesystem.contents:
            yield s.CopyContents(within, filesystem.contents, origin)
        for node in filesystem.nodes:
            if node.origin == f"{origin}.contents":  # it is there now
                continue
            yield _make_node(within, node, careful=filesystem.inside != "own")

    def _tree(self, root: ResolvedMount) -> Iterator[s.Step]:
        """Build the tree: a mount, then all that stands on it, then its group; see DEPTH for deep ones."""
        heights = self.heights
        slots: list[str] = []
        slot_count = 0
        staged: dict[Handle, str] = {}
        work: list[Iterator[_Task]] = [iter([("begin", root, s.YARD, "root", "")])]
        while work:
            if (task := next(work[-1], None)) is None:
                work.pop()
                continue
            what, mount, parent, path, branch = task
            if what == "begin":
                # A branch that is moved onto a shared mount would become shared, with all that stands on it.
                if heights.get(mount.name, 1) > DEPTH and not self._has_shared(root):
                    deepest = max(self.children[mount.name], key=lambda one: heights.get(one.name, 1)).name
                    if not slots:
                        slots.append(f"stage{slot_count}")
                        slot_count += 1
                    staged[deepest] = slots.pop()
                    first: _Task = ("begin", self.mounts[deepest], s.YARD, staged[deepest], "")
                    work.append(iter([first, ("make", mount, parent, path, deepest)]))
                    continue
                what, branch = "make", ""
            if what == "make":
                yield from self._make(mount)
                yield self._attach(mount, parent, path)
                if mount.name in self.altered:
                    yield from self._alter(mount)
                    if self._loses(mount):
                        yield from self._make_missing(mount)
                if parent == root.name and self._has_shared(root):
                    yield s.Isolate(mount.name, mount.recursive, mount.origin)
                if mount.name not in self.children:  # as most: what comes next would be its end
                    yield from self._finish(mount, keep=mount.name in staged)
                    continue
                work.append(self._on(mount, branch))
            elif what == "move":
                yield self._attach(mount, parent, path)
                yield s.Release(mount.name, mount.origin)
                slots.append(staged.pop(mount.name))
            else:
                yield from self._finish(mount, keep=mount.name in staged)

    def _on(self, mount: ResolvedMount, branch: Handle) -> Iterator[_Task]:
        """All that stands on a mount, one after the other, and then its end."""
        for child in self.children[mount.name]:
            do = "move" if child.name == branch else "begin"
            yield do, child, mount.name, child.place.relative_to("/"), ""
        yield "end", mount, "", "", ""

    def _owned(self, root: ResolvedMount, namespace: ResolvedNamespace) -> Iterator[s.Step]:
        """A namespace of another user: what is locked is built first and copied; the rest is attached to the copy.

        All of the rest is made before, while its workbenches are at hand, and held by descriptors until it is attached.
        """
        yield s.OpenNamespace(namespace.name, True, "")
        yield s.MakeStage(namespace.name, "")
        mounts = [self.mounts[handle] for handle in self.order if handle in self.mounts]
        names = {mount.name for mount in namespace.mounts}
        mounts = [mount for mount in mounts if mount.name in names]
        tops = [mount for mount in mounts if mount.lock == "attributes"]
        for number, top in enumerate(tops):
            yield from self._cluster(top, f"locked{number}")
        for mount in mounts:
            if not mount.lock:
                yield from self._make(mount)
        yield s.OwnNamespace(namespace.name, namespace.user, "")
        for number, top in enumerate(tops):
            yield s.TakeLocked(top.name, f"locked{number}", top.origin)
        held = [mount for mount in mounts if mount.lock != "locked"]
        for mount in mounts:
            if mount.lock == "locked" and (
                mount.group or any(child.lock != "locked" for child in self.children.get(mount.name, ()))
            ):
                held.append(mount)
                yield self._find(mount)
        if self._is_based(root):
            yield s.MakeBase(namespace.name, (), root.origin)
        for mount in mounts:
            if mount.lock != "locked":
                parent = mount.parent or s.YARD
                yield self._attach(mount, parent, mount.place.relative_to("/") if mount.parent else "root")
        for mount in mounts:
            filesystem = self.filesystems[mount.filesystem]
            if not mount.lock and filesystem.seal and not filesystem.workbench:
                yield s.SealFilesystem(mount.name, mount.origin)
        if namespace is self.topology.namespaces[-1]:
            yield from self._finish_filesystems()
        top = self.mounts[self.top[root.name]]
        yield s.EnterRoot(root.name, top.name, self._is_based(root), root.origin)
        for mount in held:
            group = group_of(mount)
            if group and (mount.group or mount.lock != "locked"):  # slaves that are locked have joined before
                yield s.JoinGroup(self.seeds[group], mount.name, mount.origin)
        for mount in held:
            yield s.Release(mount.name, mount.origin)
        yield s.CloseNamespace(namespace.name, "")

    def _cluster(self, top: ResolvedMount, place: str) -> Iterator[s.Step]:
        """A mount that keeps its attributes, with what is locked on it. Slaves join at once, as copies of them are."""
        work: list[tuple[bool, ResolvedMount, Handle, str]] = [(True, top, s.STAGE, place)]
        while work:
            begins, mount, parent, path = work.pop()
            if begins:
                yield from self._make(mount)
                yield self._attach(mount, parent, path)
                work.append((False, mount, "", ""))
                for child in reversed(self.children.get(mount.name, ())):
                    if child.lock == "locked":
                        work.append((True, child, mount.name, child.place.relative_to("/")))
                continue
            filesystem = self.filesystems[mount.filesystem]
            if filesystem.seal and not filesystem.workbench:
                yield s.SealFilesystem(mount.name, mount.origin)
            if mount.master and not mount.group and mount is not top:
                yield s.JoinGroup(self.seeds[group_of(mount)], mount.name, mount.origin)
            yield s.Release(mount.name, mount.origin)

    def _find(self, mount: ResolvedMount) -> s.Step:
        path, top = ROOT, mount
        while top.lock == "locked" and top.parent is not None:
            path = top.place.joined(path.relative_to("/"))
            top = self.mounts[top.parent]
        return s.FindLocked(mount.name, top.name, path.relative_to("/"), mount.origin)

    def _loses(self, mount: ResolvedMount) -> bool:
        """Whether something is removed of it: mountpoints are made in what is there afterwards."""
        return any(one.what == "remove" for one in self.altered.get(mount.name, ()))

    def _has_shared(self, root: ResolvedMount) -> bool:
        return any(one.sharing == "shared" for one in self.altered[root.name])

    def _alter(self, mount: ResolvedMount) -> Iterator[s.Step]:
        """What is changed of an inherited tree, before anything of the plan's stands on it."""
        for one in self.altered.get(mount.name, ()):
            if one.what == "remove":
                yield s.RemoveMount(mount.name, one.path, one.recursive, one.origin)
            elif one.what == "bind_over":
                yield s.BindOver(mount.name, one.path, one.origin)
            else:
                yield s.ChangeMounts(
                    mount.name, one.path, one.recursive, one.spared, one.set, one.clear, one.sharing, one.words,
                    one.origin,
                )  # fmt: skip

    def _heights(self) -> dict[Handle, int]:
        heights: dict[Handle, int] = {}  # of those that something stands on; the others are 1 high
        for handle in reversed(self.order):
            if handle in self.children:
                heights[handle] = 1 + max([heights.get(child.name, 1) for child in self.children[handle]])
        return heights

    def _make(self, mount: ResolvedMount) -> Iterator[s.Step]:
        filesystem = self.filesystems[mount.filesystem]
        name, origin = mount.name, mount.origin
        if mount.host is not None:
            if not mount.inherits and mount.brings not in _EARLY:
                yield s.CloneHost(name, mount.host.path, mount.recursive, "private", mount.host.namespace, origin)
        elif not filesystem.workbench:
            yield from self._create(filesystem, name)
        else:
            careful = filesystem.inside != "own"
            yield s.CloneMount(name, filesystem.name, mount.root.relative_to("/"), careful, mount.subvolume, origin)
        if not self._loses(mount):
            yield from self._make_missing(mount)
        if mount.words or mount.below_words or mount.uids or mount.below_idmap or mount.unbindable:
            yield from self._attributes(mount)
        if mount.mountpoint == "like" and mount.parent is not None:
            parent = self.mounts[mount.parent]
            path = parent.root.joined(mount.place).relative_to("/")
            yield s.MakeMountpoint(parent.filesystem, path, name, origin)

    def _make_missing(self, mount: ResolvedMount) -> Iterator[s.Step]:
        """The mountpoints that are to be made in what is bound of the host."""
        children = self.children.get(mount.name, ())
        created = {node.path: node for child in children for node in child.missing} if children else {}
        if created and mount.change.clear & ~mount.change.set & RDONLY:
            # What the host has mounted read-only, and the tree has not: nothing could be created in it otherwise.
            recursive = mount.recursive and bool(change(mount.below_words).clear & RDONLY)
            yield s.SetAttributes(mount.name, 0, RDONLY, recursive, False, "", "rw", mount.origin)
        for node in sorted(created.values(), key=lambda one: one.path) if created else ():
            yield _make_node(mount.name, node, careful=True)

    def _attributes(self, mount: ResolvedMount) -> Iterator[s.Step]:
        recursive = mount.recursive and mount.recursive_attributes
        together = mount.unbindable and not recursive  # what a recursive bind brings does not become unbindable
        id_map = self.id_maps[mount.uids, mount.gids] if mount.uids else ""
        if mount.recursive and not recursive and (mount.below_words or mount.below_idmap):
            # For all of the tree; what is said of the bind itself comes on top of that, and wins.
            bits = change(mount.below_words)
            below = [*mount.below_words, *(["idmap"] if mount.below_idmap else [])]
            also = id_map if mount.below_idmap else ""
            yield s.SetAttributes(mount.name, bits.set, bits.clear, True, False, also, ",".join(below), mount.origin)
            if mount.below_idmap:
                id_map = ""  # a mount is id-mapped once
        if mount.words or id_map or together:
            words = [*mount.words, *(["unbindable"] if together else []), *(["idmap"] if id_map else [])]
            yield s.SetAttributes(
                mount.name, mount.change.set, mount.change.clear, recursive, together, id_map, ",".join(words),
                mount.origin,
            )  # fmt: skip
        if mount.unbindable and not together:
            yield s.SetAttributes(mount.name, 0, 0, False, True, "", "unbindable", mount.origin)

    def _attach(self, mount: ResolvedMount, parent: Handle, path: str) -> s.Step:
        below = self.mounts.get(parent)
        ours = below is None or self.filesystems[below.filesystem].inside == "own"
        tree = below is not None and below.recursive and below.brings != "peer"  # nothing may appear on the host
        return s.Attach(mount.name, parent, path, not ours and path != "", tree, mount.origin)

    def _finish(self, mount: ResolvedMount, *, keep: bool) -> Iterator[s.Step]:
        filesystem = self.filesystems[mount.filesystem]
        if filesystem.seal and not filesystem.workbench:
            yield s.SealFilesystem(mount.name, mount.origin)
        group = group_of(mount)
        if group and mount.name not in self.tops:
            yield s.JoinGroup(self.seeds[group], mount.name, mount.origin)
        if not keep and mount.name not in self.tops and mount.parent is not None:
            yield s.Release(mount.name, mount.origin)


def _layer(ref: LayerRef, id_map: Handle = "") -> s.Layer:
    return s.Layer(ref.filesystem, ref.path.relative_to("/") if ref.filesystem else str(ref.path), id_map, ref.data)


def _make_node(within: Handle, node: ResolvedNode, *, careful: bool) -> s.MakeNode:
    return s.MakeNode(
        within, node.path.relative_to("/"), node.kind, node.mode, node.uid, node.gid, node.content, node.source,
        node.link, node.device, careful and not node.declared, careful, node.origin,
    )  # fmt: skip


def _expected(topology: Topology, rank: dict[Handle, int]) -> Expected:
    masters = {group.name: group.master for group in topology.groups}
    namespaces = tuple(
        ExpectedNamespace(
            space.name, _expected_mounts(sorted(space.mounts, key=lambda one: rank[one.name]), masters), space.user
        )
        for space in topology.namespaces
    )
    filesystems = tuple(
        ExpectedFilesystem(one.name, one.fstype, one.source, one.options, one.origin)
        for one in topology.filesystems
        if one.made
    )
    groups = tuple(
        ExpectedGroup(group.name, group.master, group.host.path if group.host else "", group.origin)
        for group in topology.groups
        if group.shared
    )
    altered = tuple(one for namespace in topology.namespaces for one in namespace.altered)
    return Expected(namespaces, filesystems, groups, topology.left_out, altered)


def _expected_mounts(mounts: list[ResolvedMount], masters: dict[str, str]) -> Any:
    """In columns, of which most are the topology's: a record for each mount takes three times as long."""
    columns: dict[str, Any] = columns_of(mounts, ResolvedMount)
    columns["parent"] = [parent or "" for parent in columns["parent"]]
    columns["place"] = ["" if place == "/" else str(place) for place in columns["place"]]
    columns["root"] = list(map(str, columns["root"]))
    columns["set"] = [bits.set for bits in columns["change"]]
    columns["clear"] = [bits.clear for bits in columns["change"]]
    columns["idmapped"] = list(map(bool, columns["uids"]))
    columns["recursive_attributes"] = [True] * len(mounts)
    columns["below_set"], columns["below_clear"] = [0] * len(mounts), [0] * len(mounts)
    for at, mount in enumerate(mounts):
        if mount.host is not None:
            columns["filesystem"][at], columns["root"][at] = "", mount.host.namespace or mount.host.path
        elif mount.deleted:
            columns["root"][at] += "//deleted"
        if mount.uids:
            columns["set"][at] |= IDMAP
        if mount.group:
            columns["master"][at] = masters[mount.group]
        if mount.recursive and not mount.recursive_attributes:
            below = change(mount.below_words)
            columns["recursive_attributes"][at] = False
            columns["below_set"][at] = below.set | (IDMAP if mount.below_idmap else 0)
            columns["below_clear"][at] = below.clear
    return RecordColumns(ExpectedMount, [columns[name] for name in ExpectedMount._fields])
