"""World: the state of some mount namespaces, and the system calls that change it.

Each method is one call as one process makes it, with paths as that process sees them or with descriptors (Handle). It
does what the kernel does or raises WouldRefuse with the kernel's errno; the checks come in the kernel's order, since
that order decides which errno it is. Every call says in its docstring which function of fs/namespace.c it follows.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from mountplan.planner.attributes import ATIME_MASK, IDMAP, NODIRATIME, RDONLY, Change, applied
from mountplan.planner.host import MOUNT_MAX
from mountplan.planner.model import files
from mountplan.planner.model.attaching import attach_tree
from mountplan.planner.model.checks import (
    NO_CAPABILITY,
    check_beneath,
    check_frozen,
    check_may_change,
    check_may_mount,
    check_move,
    check_not_removed,
    check_own,
    check_pivot,
    has_locked_children,
    is_detached_root,
    is_own_detached,
    lock_target,
)
from mountplan.planner.model.copying import clone_mount, copy_tree
from mountplan.planner.model.namespace_copies import copy_namespace, detached_namespace, first_namespace
from mountplan.planner.model.namespace_files import NamespaceFiles
from mountplan.planner.model.objects import (
    ModelHandle,
    ModelMount,
    ModelNamespace,
    ModelNode,
    Numbers,
    Place,
    Process,
    Superblock,
    UserNamespace,
    attach,
    detach,
)
from mountplan.planner.model.peers import Kind, add_slave_behind, change_kind, invent_groups, join_ring, set_shared
from mountplan.planner.model.refused import WouldRefuse, invalid
from mountplan.planner.model.rules import RULES_6_18, Rules
from mountplan.planner.model.to_table import row_at, rows_below, table_of
from mountplan.planner.model.unmounting import is_busy, unmount_tree
from mountplan.planner.model.walking import into_mounts, walk
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow, MountTable


class PathFrom(NamedTuple):
    """A path from a descriptor on, as calls with a directory's descriptor take it."""

    handle: ModelHandle
    path: str


Where = str | ModelHandle | PathFrom  # a path as the process sees it, or a descriptor


class Spread(NamedTuple):
    """What propagation has done beyond what a call asked for: `mount` came to `place`, or went from there.

    The call itself was made in `origin`; it and the mount of `place` are peers, or the one is above the other.
    """

    origin: ModelMount
    mount: ModelMount
    place: Place
    came: bool


class World:
    """Some mount namespaces with all that is in them. Use `boot` to begin, then the calls."""

    def __init__(self, rules: Rules = RULES_6_18, mount_max: int = MOUNT_MAX) -> None:
        self.rules = rules
        self.mount_max = mount_max
        self.numbers = Numbers()
        self.namespaces: list[ModelNamespace] = []
        self.processes: list[Process] = []
        self.superblocks: list[Superblock] = []
        self.handles: dict[ModelHandle, None] = {}  # those that are open
        self.spread: list[Spread] = []  # all of it, in the order in which it came about
        self.files = NamespaceFiles(self.namespaces)
        self.initial_user = UserNamespace("initial")

    # --- the beginning

    def superblock(self, fstype: str, *, device: str = "", options: str = "", complete: bool = True) -> Superblock:
        """A new instance of a filesystem, mounted nowhere yet."""
        name = f"{fstype}-{len(self.superblocks) + 1}"
        superblock = Superblock(name, fstype, device=device, options=options, complete=complete)
        self.superblocks.append(superblock)
        return superblock

    def boot(
        self, name: str, root: Superblock, source: str = "none", attributes: int = 0, *, below: Superblock | None = None
    ) -> Process:
        """A namespace with one private mount of `root`, and a process in it.

        Who unmounts the root and enters the namespace again finds a locked mount of `below`, or without that the
        namespace's lowest mount.
        """
        namespace, parent = first_namespace(name, self.initial_user, self.numbers)
        self.namespaces.append(namespace)
        for superblock in (below, root):
            if superblock is not None:
                mount = self._new_mount(superblock, source, attributes)
                namespace.add([mount])
                attach(mount, parent, parent.root)
                mount.locked = superblock is below
                parent = mount
        return self.add_process(name, namespace, (parent, parent.root), self.initial_user)

    def add_process(self, name: str, namespace: ModelNamespace, root: Place, user: UserNamespace) -> Process:
        process = Process(name, namespace, root, user)
        root[0].users += 2  # as its root and as its working directory
        self.processes.append(process)
        return process

    def table(self, process: Process) -> MountTable:
        """What the process reads from /proc/self/mountinfo."""
        return table_of(process.namespace, process.root)

    def row(self, process: Process, path: str) -> MountRow | None:
        """The last row of that table with this mountpoint."""
        return row_at(process.namespace, process.root, path)

    def rows_below(self, process: Process, path: str, lowest: Callable[[], bool]) -> list[MountRow]:
        """That row, or of several with this mountpoint the first if `lowest` says so, and all rows below it."""
        return rows_below(process.namespace, process.root, path, lowest)

    # --- the classic calls

    def mount_new(
        self,
        process: Process,
        fstype: str,
        source: str,
        target: str,
        *,
        attributes: int = 0,
        options: str = "",
        read_only: bool = False,
        fill: Callable[[Superblock], None] | None = None,
        superblock: Superblock | None = None,
    ) -> ModelMount:
        """mount(2) of a filesystem: a new instance, or `superblock` (do_new_mount, do_add_mount).

        EBUSY if the same filesystem is already mounted there. `fill` puts directories into a new instance.
        """
        place = walk(process, target)
        check_may_mount(process)
        if superblock is None:
            superblock = self.superblock(fstype, options=options)
            superblock.owner = process.user
            superblock.read_only = read_only
            if fill is not None:
                fill(superblock)
        mount = self._new_mount(superblock, source, attributes)
        parent, node = lock_target(place)
        check_own(process, parent)
        if parent.superblock is superblock and parent.root is node:
            raise WouldRefuse(errno.EBUSY, "the same filesystem is already mounted there")
        self._graft(process, mount, parent, node)
        return mount

    def bind(self, process: Process, source: str, target: str, *, recursive: bool = False) -> ModelMount:
        """mount --bind and --rbind (do_loopback)."""
        place = walk(process, target)
        check_may_mount(process)
        return self._bind(process, walk(process, source), place, recursive)

    def bind_namespace(self, process: Process, other: Process, kind: str, target: str) -> ModelMount:
        """mount --bind of /proc/PID/ns/KIND, where PID is `other`. EINVAL if its mount namespace is no younger."""
        place = walk(process, target)
        check_may_mount(process)
        file = self.files.place(kind, other.namespace, self._nsfs, next(self.numbers.mounts))
        return self._bind(process, file, place, False)

    def move(self, process: Process, source: str, target: str) -> None:
        """mount --move (do_move_mount_old)."""
        place = walk(process, target)
        check_may_mount(process)
        self._move(process, walk(process, source), place, beneath=False)

    def change_type(self, process: Process, target: Where, kind: Kind, *, recursive: bool = False) -> None:
        """mount --make-KIND and --make-rKIND (do_change_type)."""
        mount, node = self._at(process, target)
        check_may_mount(process)
        if node is not mount.root:
            raise invalid("it is not a mount point")
        if self.rules.changes_are_checked:
            check_may_change(process, mount)
        mounts = mount.tree() if recursive else [mount]
        if kind == "shared":
            invent_groups(mounts, self.numbers)
        for one in mounts:
            change_kind(one, kind, self.rules)

    def remount_bind(self, process: Process, target: Where, attributes: int, *, keep_times: bool = True) -> None:
        """mount -o remount,bind,...: replaces the attributes of one mount (do_reconfigure_mnt).

        With `keep_times`, which is so unless the flags say something about access times, those stay as they are.
        """
        mount, attributes = self._remounted(process, target, attributes, keep_times)
        mount.attributes = attributes

    def remount(self, process: Process, target: Where, attributes: int, *, keep_times: bool = True) -> None:
        """mount -o remount,...: the filesystem becomes read-only or writable, and so does this mount (do_remount)."""
        mount, attributes = self._remounted(process, target, attributes, keep_times)
        self._set_read_only(process, mount.superblock, bool(attributes & RDONLY))
        mount.attributes = attributes

    def reconfigure(self, process: Process, target: Where, *, read_only: bool) -> None:
        """fspick(2) and fsconfig(2) with FSCONFIG_CMD_RECONFIGURE: the filesystem becomes read-only or writable."""
        check_may_mount(process)
        mount, node = self._at(process, target)
        if node is not mount.root:
            raise invalid("it is not a mount point")
        self._set_read_only(process, mount.superblock, read_only)

    def _set_read_only(self, process: Process, superblock: Superblock, read_only: bool) -> None:
        """EPERM if it is not the process's to say; EBUSY where something that was removed is still in use
        (sb_prepare_remount_readonly, s_remove_count).
        """
        if not process.user.rules_over(superblock.owner or self.initial_user):
            raise WouldRefuse(errno.EPERM, "the filesystem belongs to a more privileged user")
        if read_only and not superblock.read_only and superblock.has_lost:
            places = [place for process in self.processes for place in (process.root, process.cwd)]
            places += [handle.place for handle in self.handles]
            tops = [one.root for one in self.namespaces if one.root is not None] + [mount for mount, _ in places]
            roots = {one.root: None for top in tops for one in top.tree()}
            if any(node.removed and node.superblock is superblock for node in (*roots, *(node for _, node in places))):
                raise WouldRefuse(errno.EBUSY, "something that was removed from the filesystem is still in use")
        superblock.read_only = read_only

    def _remounted(self, process: Process, target: Where, attributes: int, keep_times: bool) -> tuple[ModelMount, int]:
        """The mount, and the attributes that a remount gives it; whether it may be done is asked before all else."""
        mount, node = self._at(process, target)
        check_may_mount(process)
        if keep_times:
            kept = ATIME_MASK | NODIRATIME
            attributes = (attributes & ~kept) | (mount.attributes & kept)
        check_own(process, mount)
        if node is not mount.root:
            raise invalid("it is not a mount point")
        check_frozen(mount, attributes)
        return mount, attributes | (mount.attributes & IDMAP)

    def umount(self, process: Process, target: str, *, lazy: bool = False) -> None:
        """umount(2), with `lazy` as MNT_DETACH (can_umount, do_umount).

        Unlike other calls it goes from the process's root on to what covers that (LOOKUP_MOUNTPOINT).
        """
        mount, node = into_mounts(*walk(process, target))
        check_may_mount(process)
        if node is not mount.root:
            raise invalid("it is not a mount point")
        check_own(process, mount)
        if mount.locked:
            raise invalid("the mount is locked, as part of what a more privileged user has mounted")
        if mount is process.root[0] and not lazy:
            # "Unmounting" one's own root makes the filesystem read-only instead.
            self._set_read_only(process, mount.superblock, True)
            return
        if mount.parent is None:
            raise invalid("it is the lowest mount of the namespace")
        if not lazy and is_busy(mount):
            raise WouldRefuse(errno.EBUSY, "it, or a counterpart, is in use or has a mount in it")
        parent = mount.parent
        keeps = bool(self.files.namespaces) and any(one.superblock.namespace_files for one in mount.tree())
        further: list[tuple[ModelMount, Place]] = []
        unmount_tree(mount, self.rules, propagate=True, lazy=lazy, further=further)
        self.spread += [Spread(parent, other, place, False) for other, place in further]
        if keeps:
            self._drop_unheld()

    def pivot_root(self, process: Process, new_root: str, put_old: str) -> None:
        """pivot_root(2). Processes whose root or working directory is the old root get the new one."""
        new = walk(process, new_root, directory=True)
        old = walk(process, put_old, directory=True)
        check_may_mount(process)
        old = lock_target(old)
        check_pivot(process, new, old)
        new_mount, before = new[0], process.root
        root_mount = before[0]
        detach(new_mount)
        if root_mount.locked:
            new_mount.locked = True
            root_mount.locked = False
        parent, mountpoint = root_mount.parent, root_mount.mountpoint
        assert parent is not None
        detach(root_mount)
        attach(new_mount, parent, mountpoint)
        attach(root_mount, *old)
        own = 1 + (process.cwd[0] is root_mount)  # of its uses; with many namespaces there are many processes
        for one in self.processes if root_mount.users > own else [process]:
            if one.root == before:
                one.root = self._use(one.root, new)
            if one.cwd == before:
                one.cwd = self._use(one.cwd, new)

    # --- namespaces and processes

    def fork(self, process: Process, name: str) -> Process:
        """A child with the same namespace, root and working directory."""
        child = self.add_process(name, process.namespace, process.root, process.user)
        child.cwd = self._use(child.cwd, process.cwd)
        return child

    def unshare(self, process: Process, name: str, *, user: bool = False, mount: bool = True) -> None:
        """unshare(CLONE_NEWNS), with `user` also CLONE_NEWUSER, or that alone (copy_mnt_ns).

        Copies of all mounts, each a peer of the original where that is shared. In a namespace of another user they are
        slaves instead, they may not be taken apart, and what restricts them stays.
        """
        if not process.user.capable:
            raise WouldRefuse(errno.EPERM, NO_CAPABILITY)
        if user:
            bottom = process.namespace.root
            assert bottom is not None
            if process.root != into_mounts(bottom, bottom.root):
                # A process confined to a part of the tree must not get the power to leave it (current_chrooted).
                raise WouldRefuse(errno.EPERM, "the caller's root is not the root of the mount namespace")
            process.user = UserNamespace(name, process.user)
        if not mount:
            return
        old = process.namespace
        namespace, copy_of = copy_namespace(old, name, process.user, self.numbers, self.rules)
        self.namespaces.append(namespace)
        (root, at), (directory, below) = process.root, process.cwd
        process.root = self._use(process.root, (copy_of.get(root, root), at))
        process.cwd = self._use(process.cwd, (copy_of.get(directory, directory), below))
        process.namespace = namespace
        self._drop_if_empty(old)

    def exit(self, process: Process) -> None:
        """The process ends; a namespace that no process is in any more goes with it (put_mnt_ns)."""
        process.root[0].users -= 1
        process.cwd[0].users -= 1
        self.processes.remove(process)
        self._drop_if_empty(process.namespace)

    def setns(self, process: Process, other: Process, *, user: bool = False) -> None:
        """setns(2) into the mount namespace of `other`.

        With `user` into its user namespace first, unless it is the caller's own, which cannot be entered again.
        """
        if user and other.user is not process.user:
            if not process.user.rules_over(other.user):
                raise WouldRefuse(errno.EPERM, "the user namespace is that of a more privileged user")
            process.user = other.user
        self._enter(process, other.namespace)

    def enter_file(self, process: Process, path: str, kind: str) -> None:
        """open(2) of a namespace's file and setns(2) into that. EINVAL if it is no such file, or of another kind."""
        node = walk(process, path)[1]
        if not node.superblock.namespace_files or not node.name.startswith(f"{kind}:["):
            raise invalid(f"it is not the file of a namespace of the kind {kind}")
        namespace = self.files.namespaces.get(node)
        if namespace is not None:
            self._enter(process, namespace)

    def _enter(self, process: Process, namespace: ModelNamespace) -> None:
        """The topmost root of the namespace becomes root and directory (mntns_install)."""
        if not process.user.rules_over(namespace.owner):
            raise WouldRefuse(errno.EPERM, "the namespace belongs to a more privileged user")
        bottom = namespace.root
        assert bottom is not None
        place = into_mounts(bottom, bottom.root)
        process.root = self._use(process.root, place)
        process.cwd = self._use(process.cwd, place)
        before, process.namespace = process.namespace, namespace
        self._drop_if_empty(before)

    def lose_capabilities(self, process: Process) -> None:
        """execve(2) by a process whose user has no id in the user namespace, and none of root (capabilities(7))."""
        process.user = UserNamespace(process.user.name, process.user, capable=False)

    def chdir(self, process: Process, path: Where) -> None:
        """chdir(2), or fchdir(2)."""
        process.cwd = self._use(process.cwd, self._at(process, path, directory=True))

    def chroot(self, process: Process, path: Where) -> None:
        """chroot(2) and chdir(2) to the same place."""
        place = self._at(process, path, directory=True)
        if not process.user.capable:
            raise WouldRefuse(errno.EPERM, NO_CAPABILITY)
        process.root = self._use(process.root, place)
        process.cwd = self._use(process.cwd, place)

    # --- names in filesystems

    def mkdir(self, process: Process, path: str, *, directory: bool = True, parents: bool = False) -> None:
        """mkdir(2), or with directory=False a new empty file. With `parents`, as mkdir -p."""
        files.make(process, path, directory=directory, parents=parents)

    def remove(self, process: Process, path: str, *, directory: bool = True) -> None:
        """rmdir(2), or with directory=False unlink(2)."""
        detachings = ModelMount.detachings
        files.remove(process, path, self.rules, directory=directory)
        if detachings != ModelMount.detachings:
            self._drop_unheld()

    def symlink(self, process: Process, path: str, target: str) -> None:
        """symlink(2)."""
        files.make_link(process, path, target)

    def rename(self, process: Process, old: str, new: str) -> None:
        """rename(2)."""
        detachings = ModelMount.detachings
        files.rename(process, old, new, self.rules)
        if detachings != ModelMount.detachings:
            self._drop_unheld()

    # --- the calls with descriptors

    def fsmount(
        self, process: Process, superblock: Superblock, source: str = "none", attributes: int = 0
    ) -> ModelHandle:
        """fsopen(2) to fsmount(2): a detached mount of a new filesystem."""
        check_may_mount(process)
        mount = self._new_mount(superblock, source, attributes)
        return self._detached(process, mount, mount.root, None)

    def open_tree(self, process: Process, path: Where, *, clone: bool = False, recursive: bool = False) -> ModelHandle:
        """open_tree(2): a descriptor on a place, or with `clone` on a detached copy (open_detached_copy)."""
        if recursive and not clone:
            raise invalid("only a copy can be recursive")
        if clone:
            check_may_mount(process)
        place = self._at(process, path)
        if not clone:
            place[0].users += 1
            return self._opened(ModelHandle(place))
        origin = place[0].namespace
        if origin is not None and origin.anonymous:
            origin = origin.origin
        mount = self._copy_for(process, place, recursive)
        return self._detached(process, mount, place[1], origin)

    def close(self, handle: ModelHandle) -> None:
        """close(2). A detached tree that was not attached meanwhile goes (dissolve_on_fput)."""
        handle.open = False
        self.handles.pop(handle, None)
        mount = handle.place[0]
        mount.users -= 1
        if handle.detached and mount.namespace is not None and mount.namespace.anonymous and mount.parent is None:
            unmount_tree(mount, self.rules, connected=True)
        self._drop_unheld()

    def move_mount(self, process: Process, source: Where, target: Where, *, beneath: bool = False) -> None:
        """move_mount(2); with `beneath` as MOVE_MOUNT_BENEATH (Linux 6.5): below what is topmost at the target."""
        if beneath and not self.rules.beneath:
            raise invalid("this kernel does not know MOVE_MOUNT_BENEATH")
        check_may_mount(process)
        place = self._at(process, target)
        self._move(process, self._at(process, source), place, beneath=beneath)

    def set_group(self, process: Process, source: Where, target: Where) -> None:
        """move_mount(2) with MOVE_MOUNT_SET_GROUP (Linux 5.15): the target takes over peer group and master.

        An unbindable target is let in, and is not unbindable any more once it is shared (do_set_group).
        """
        check_may_mount(process)
        to, to_node = self._at(process, target)
        other, other_node = self._at(process, source)
        for mount in (other, to):
            check_may_change(process, mount)
        if other_node is not other.root or to_node is not to.root:
            raise invalid("one of the two is not a mount point")
        if other.superblock is not to.superblock:
            raise invalid("the mounts are of different filesystems")
        if not to.root.is_within(other.root):
            raise invalid("the root of the first does not contain the root of the second")
        if has_locked_children(other, to.root):
            raise invalid("a locked mount lies below the second's root in the first")
        if to.shared or to.master is not None:
            raise invalid("the second is not private")
        if not other.shared and other.master is None:
            raise invalid("the first is private")
        if other.master is not None:
            add_slave_behind(to, other)
        if other.shared:
            to.group = other.group
            join_ring(to, other)
            set_shared(to)

    def set_attributes(
        self, process: Process, target: Where, change: Change, *, kind: Kind | None = None, recursive: bool = False
    ) -> None:
        """mount_setattr(2): on all mounts of the tree or on none (do_mount_setattr)."""
        check_may_mount(process)
        if not change.set and not change.clear and kind is None:
            return
        if change.set & ATIME_MASK and change.clear & ATIME_MASK != ATIME_MASK:
            raise invalid("an access time mode is set without clearing the others")
        mount, node = self._at(process, target)
        if node is not mount.root:
            raise invalid("it is not a mount point")
        if not (is_detached_root(mount) or mount.namespace is process.namespace):
            raise invalid("the mount is in another namespace, or inside a detached tree")
        mounts = mount.tree() if recursive else [mount]
        for one in mounts:
            check_frozen(one, applied(one.attributes, change))
            if change.set & IDMAP:
                if one.attributes & IDMAP:
                    raise WouldRefuse(errno.EPERM, "the mount is id-mapped already")
                if one.namespace is None or not one.namespace.anonymous:
                    raise invalid("only a mount that was never attached can be id-mapped")
        if kind == "shared":
            invent_groups(mounts, self.numbers)
        for one in mounts:
            one.attributes = applied(one.attributes, change)
            if kind is not None:
                change_kind(one, kind, self.rules)

    # --- what the calls share

    def _at(self, process: Process, where: Where, *, directory: bool = False) -> Place:
        match where:
            case ModelHandle():
                return where.place
            case PathFrom():
                return walk(process, where.path, where.handle.place, directory=directory)
        return walk(process, where, directory=directory)

    def _new_mount(self, superblock: Superblock, source: str, attributes: int) -> ModelMount:
        mount = ModelMount(next(self.numbers.mounts), superblock.root, source)
        mount.attributes = attributes
        return mount

    def _nsfs(self) -> Superblock:
        """What the files of all namespaces are in."""
        known = next((one for one in self.superblocks if one.namespace_files), None)
        return known or self.superblock("nsfs")

    def _bind(self, process: Process, old: Place, place: Place, recursive: bool) -> ModelMount:
        """do_loopback."""
        if self.files.loops(process.namespace, old[1]):
            raise invalid("the namespace of the file is the caller's own, or an older one")
        parent, node = lock_target(place)
        check_own(process, parent)
        mount = self._copy_for(process, old, recursive)
        try:
            self._graft(process, mount, parent, node)
        except WouldRefuse:
            unmount_tree(mount, self.rules, lazy=False)
            raise
        return mount

    def _copy_for(self, process: Process, place: Place, recursive: bool) -> ModelMount:
        """What a bind or a clone copies (__do_loopback)."""
        mount, node = place
        if mount.unbindable:
            raise invalid("the source is unbindable")
        if mount.namespace is not process.namespace and not node.superblock.namespace_files:
            if mount.namespace is None:
                raise invalid("the source has been unmounted")
            if not is_own_detached(process, mount) or not self.rules.detached_sources:
                raise invalid("the source is not in the caller's namespace")
        if not recursive:
            if has_locked_children(mount, node):
                raise invalid("a locked mount lies below the source; copy recursively")
            return clone_mount(mount, node, self.numbers, self.rules)
        return copy_tree(mount, node, self.numbers, self.rules, namespace_files=True)

    def _graft(self, process: Process, mount: ModelMount, parent: ModelMount, node: ModelNode) -> None:
        if node.differs_in_kind(mount.root):
            raise WouldRefuse(errno.ENOTDIR, "one of the two is a directory and the other is not")
        self._attach(process, mount, parent, node)

    def _attach(self, process: Process, mount: ModelMount, parent: ModelMount, node: ModelNode) -> None:
        owner = process.namespace.owner
        made = attach_tree(mount, parent, node, self.numbers, self.rules, owner=owner, mount_max=self.mount_max)
        for copy in made[:-1]:
            assert copy.parent is not None
            self.spread.append(Spread(parent, copy, (copy.parent, copy.mountpoint), True))

    def _move(self, process: Process, old: Place, place: Place, *, beneath: bool) -> None:
        """do_move_mount."""
        mount, node = old
        if node is not mount.root:
            raise invalid("the source is not a mount point")
        if node.differs_in_kind(place[1]):
            raise invalid("one of the two is a directory and the other is not")
        if beneath and place[1] is not place[0].root:
            raise invalid("the target is not a mount point")
        if place[0].namespace is None:
            raise WouldRefuse(errno.ENOENT, "the target's mount has been unmounted")
        parent, mountpoint = into_mounts(*place)
        over = parent
        if beneath:
            if over.parent is None:
                check_not_removed(over.root)  # it is its own mount point there
                raise invalid("nothing can be mounted beneath the lowest mount of a namespace")
            parent, mountpoint = over.parent, over.mountpoint
            if parent is place[0] and parent.parent is None:
                over = parent  # the root of a detached tree is its own parent, and is taken for what lies above
        check_not_removed(mountpoint)
        check_move(process, mount, parent, self.rules)
        if beneath:
            check_beneath(process, mount, over, parent, mountpoint)
        if parent.shared and any(one.unbindable for one in mount.tree()):
            raise invalid("an unbindable mount cannot be moved below a shared one")
        if self.files.namespaces and any(self.files.loops(process.namespace, one.root) for one in mount.tree()):
            raise WouldRefuse(errno.ELOOP, "the file of the caller's own namespace, or of an older one, is in the tree")
        if parent.has_ancestor(mount):
            raise WouldRefuse(errno.ELOOP, "the target is in the tree that is moved")
        self._attach(process, mount, parent, mountpoint)

    def _detached(
        self, process: Process, mount: ModelMount, node: ModelNode, origin: ModelNamespace | None
    ) -> ModelHandle:
        detached_namespace(mount, process.namespace.owner, origin, self.rules)
        mount.users += 1
        return self._opened(ModelHandle((mount, node), detached=True))

    def _opened(self, handle: ModelHandle) -> ModelHandle:
        self.handles[handle] = None
        return handle

    def _use(self, before: Place, now: Place) -> Place:
        before[0].users -= 1
        now[0].users += 1
        return now

    def _drop_if_empty(self, namespace: ModelNamespace) -> None:
        if any(process.namespace is namespace for process in self.processes):
            return
        if namespace in self.files.namespaces.values():
            self._drop_unheld()
        else:
            self._drop(namespace)

    def _drop_unheld(self) -> None:
        """Namespaces that lived on by their files only; with one go the files that are mounted in it (nsfs_evict)."""
        while self.files.namespaces and (namespace := self.files.unheld(self.processes, self.handles)) is not None:
            self._drop(namespace)

    def _drop(self, namespace: ModelNamespace) -> None:
        self.namespaces.remove(namespace)
        assert namespace.root is not None
        unmount_tree(namespace.root, self.rules)
