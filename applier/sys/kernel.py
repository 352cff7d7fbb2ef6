"""The verbs of kernel_port.py, done with real system calls."""

from __future__ import annotations

import errno
import os
import stat
import sys

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.chroot import leave
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.refusal import KernelRefusal, Occupied
from mountplan.planner.fstypes import of
from mountplan.planner.light import contextmanager, remember
from mountplan.planner.names import NODE_TYPES, IdLines, NodeKind
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mountplan.applier.sys.held_namespaces import HeldFiles
    from mountplan.applier.sys.kernel_port import Options
    from mountplan.applier.sys.overlay import CollectedLayers
    from mountplan.planner.plan.steps import MakeNode

CLONE = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_EMPTY_PATH | abi.AT_SYMLINK_NOFOLLOW
CLONE_ENTRY = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_SYMLINK_NOFOLLOW | abi.AT_NO_AUTOMOUNT
JOIN = abi.MOVE_MOUNT_SET_GROUP | abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH
_CAREFUL = abi.RESOLVE_BENEATH | abi.RESOLVE_NO_SYMLINKS | abi.RESOLVE_NO_MAGICLINKS
ENCODING, ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()  # os.fsencode asks for them each time


def tries_new() -> bool:
    """Whether to use what no kernel had yet that mountplan was tried on."""
    return os.environ.get("MOUNTPLAN_TRY_NEW", "") == "1"


def enter_one_path() -> bool:
    """Enter a new mount namespace that has the mount of "/" and no other: nothing is copied that is thrown away then.

    open_tree(2) with OPEN_TREE_NAMESPACE, Linux 7.0. False if the kernel does not have it, or not for this user.
    """
    try:
        namespace = syscalls.open_tree(abi.AT_FDCWD, b"/", abi.OPEN_TREE_NAMESPACE | abi.OPEN_TREE_CLOEXEC)
    except KernelRefusal as refusal:
        if refusal.errno in (errno.EINVAL, errno.EPERM):
            return False
        raise
    with closing_fd(namespace):
        syscalls.setns(namespace, abi.CLONE_NEWNS)
    return True


def takes_plain_calls(fstype: str, options: Options) -> bool:
    """Whether nothing has to be asked or minded when one of this type is made, if it is not on a block device: each
    mount is a superblock of its own, or it has no options that another may have taken.
    """
    instances = of(fstype).instances
    return instances == "mount" or not (options or instances == "machine")


class FinishedNamespace(NamedTuple):
    """A namespace that is built: its name, a descriptor of its namespace file, one of its root, one of its mountinfo.

    That file shows the namespace and the root which its opener had, as they are whenever it is read.
    """

    name: str
    fd: int
    root: int
    mountinfo: int


class LinuxKernel:
    """The real one. Changes the calling process: its mount namespace, root, working directory and umask."""

    def __init__(self, enter_user_namespace: Callable[[], None] | None = None) -> None:
        self.present = False
        self.finished: list[FinishedNamespace] = []
        self.held: HeldFiles | None = None  # files of namespaces that were opened beforehand
        self.enter_user_namespace = enter_user_namespace
        self.of_one_path = False  # whether a new mount namespace need not have what ours has, but for "/"
        self._proc = -1
        self._limit = (0, 0)  # of open files, as it was before lift_limit()
        self._single_layers: bool | None = None  # whether overlays take their layers one by one; None: not tried yet
        self._collected: dict[int, CollectedLayers] = {}  # the overlays under way that do not
        self._locked: list[int] = []  # the directories that the overlay under way will write to

    def unshare_mounts(self) -> None:
        """unshare(2) a mount namespace. Without the right to it, in a user namespace, if there is a way into one."""
        syscalls.check_machine()
        os.umask(0)
        self._proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # it is gone once the root is new
        if self.of_one_path and enter_one_path():
            return
        try:
            syscalls.unshare(abi.CLONE_NEWNS)
        except KernelRefusal as refusal:
            if refusal.errno != errno.EPERM or self.enter_user_namespace is None:
                raise
            self.enter_user_namespace()
            syscalls.unshare(abi.CLONE_NEWNS)
        _make_bindable()

    def make_private(self) -> bool:
        """Make every mount private. True if "/" is another mount now: a copy of what a chroot shows.

        That copy takes the place of the namespace's root; otherwise what is built would stand below the host's tree.
        """
        here = leave(self._proc)
        syscalls.mount(b"/", abi.MS_PRIVATE | abi.MS_REC)
        if here < 0:
            return False
        tree = -1
        try:
            tree = self.clone_tree(here)
            self.set_attributes(tree, propagation=abi.MS_PRIVATE, recursive=True)
            self.attach(tree, abi.AT_FDCWD, "/")
            os.fchdir(tree)
            syscalls.pivot_root(b".", b".")
            self._detach(b"/..", syscalls.mount_id(tree, b""))
        finally:
            for fd in {here, tree} - {-1}:
                os.close(fd)
        return True

    def host_root(self) -> int:
        return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def clone(self, dirfd: int, path: str) -> int:
        return syscalls.open_tree(dirfd, path.encode(ENCODING, ERRORS), CLONE)

    def clone_entry(self, dirfd: int, name: str) -> tuple[int, bool]:
        """A clone of what is seen at a name of a directory, and whether that is one; of a symlink ELOOP."""
        fd = syscalls.open_tree(dirfd, name.encode(ENCODING, ERRORS), CLONE_ENTRY)
        kind = stat.S_IFMT(os.fstat(fd).st_mode)
        if kind == stat.S_IFLNK:
            os.close(fd)
            raise KernelRefusal(errno.ELOOP, "open_tree")
        return fd, kind == stat.S_IFDIR

    def clone_tree(self, dirfd: int) -> int:
        """A clone of the mount at `dirfd` and of all that is mounted below it."""
        return syscalls.open_tree(dirfd, b"", CLONE | abi.AT_RECURSIVE)

    def open(self, dirfd: int, path: str, *, careful: bool = True, tree: bool = False) -> int:
        """An O_PATH descriptor; a careful walk crosses into another mount only if `tree` is set."""
        if not careful:
            return os.open(path or ".", os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=dirfd)
        resolve = _CAREFUL if tree else _CAREFUL | abi.RESOLVE_NO_XDEV
        return syscalls.openat2(dirfd, os.fsencode(path) or b".", os.O_PATH, resolve)

    def open_namespace_file(self, path: str, identity: str) -> int:
        from mountplan.applier.sys.held_namespaces import HeldFiles

        return (self.held or HeldFiles()).open(path, identity)

    def new_filesystem(self, fstype: str, source: str, options: Options) -> int:
        """One more mount of it, if the machine has one only: that keeps its options, or KernelRefusal (EBUSY)."""
        if source.startswith("/"):
            from mountplan.applier.sys.devices import is_block_device

            if is_block_device(source):
                return self._on_device(fstype, source, options)
        self.present = of(fstype).instances == "machine"
        if takes_plain_calls(fstype, options):
            with self._context(fstype, source, options) as context:
                return self._create(context)
        if of(fstype).instances == "hierarchy":
            from mountplan.applier.sys.machine_instances import check_hierarchy

            check_hierarchy(options)
        if not self.present:
            return self._maybe_present(fstype, source, options)
        from mountplan.applier.sys.machine_instances import leaving, setting_no_flags

        with self._context(fstype, source, leaving(fstype, options)) as context, setting_no_flags(fstype):
            return self._create(context)

    def _maybe_present(self, fstype: str, source: str, options: Options) -> int:
        """A type whose mounts may share a superblock: whether this is a new one, the kernel tells from Linux 6.6 on.

        Otherwise it is taken for new if no mount that stands here shows it. (What is on a block device: _on_device.)
        """
        with self._context(fstype, source, options) as context:
            try:
                if syscalls.create_exclusively(context):
                    return syscalls.fsmount(context, 0)
                self.present = of(fstype).is_shared
                devices = () if self.present else {row.device for row in self._table().rows}
                mount = self._create(context)
                if not self.present:
                    device = os.stat(mount).st_dev
                    self.present = f"{os.major(device)}:{os.minor(device)}" in devices
                return mount
            except KernelRefusal as refusal:
                if refusal.errno != errno.EBUSY:
                    raise
        self.present = True
        with self._context(fstype, source, options) as context:
            return self._create(context)

    @contextmanager
    def _context(self, fstype: str, source: str, options: Options) -> Iterator[int]:
        with closing_fd(syscalls.fsopen(fstype.encode())) as context:
            encoded = source.encode(ENCODING, ERRORS)
            syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, b"source", encoded, 0)
            self._configure(context, options)
            yield context

    def _on_device(self, fstype: str, device: str, options: Options) -> int:
        """The filesystem on a block device. If it is mounted elsewhere, the superblock is the same.

        The kernel does not look at our options then. Raises Occupied unless they are those that it has.
        """
        from mountplan.applier.sys.devices import create_alone, settled, why_not_alike

        def attempt() -> int | Occupied:
            self.present = False
            with self._context(fstype, device, options) as context:
                if create_alone(context, device):
                    return syscalls.fsmount(context, 0)
            self.present = True
            with self._context(fstype, device, options) as context:
                shown = self._create(context)
            with closing_fd(shown):
                problem = why_not_alike(shown, options, self._proc)
            if problem is not None:
                return problem
            with self._context(fstype, device, options) as context:
                return self._create(context)

        found = settled(attempt, lambda one: isinstance(one, int))
        if isinstance(found, Occupied):
            raise found
        return found

    def _configure(self, context: int, options: Options) -> None:
        for name, value in options:
            syscalls.set_option(context, name, value)

    def _create(self, context: int) -> int:
        syscalls.fsconfig(context, abi.FSCONFIG_CMD_CREATE, None, None, 0)
        return syscalls.fsmount(context, 0)

    def new_image(self, fstype: str, image: int, options: Options, part: tuple[int, int], *, read_only: bool) -> int:
        """`part` is the offset and the size, in bytes; a size of 0 goes to the end."""
        from mountplan.applier.sys.loop import loop_device

        if read_only and ("ro", True) not in options:
            options = (*options, ("ro", True))  # the kernel does not mount a read-only device without it
        with loop_device(image, part, read_only=read_only, table=self._table) as device:
            if device.shared:
                return self._on_device(fstype, device.path, options)
            self.present = False  # nobody else has had the device yet
            with self._context(fstype, device.path, options) as context:
                return self._create(context)

    def _table(self) -> MountTable:
        return parse_mountinfo(syscalls.own_mountinfo(self._proc))

    def new_overlay(self, source: str, options: Options) -> int:
        """A context for an overlay; it gets its directories one by one, so that few descriptors are open at once."""
        from mountplan.applier.sys.overlay import CollectedLayers, takes_single_layers

        if self._single_layers is None:
            self._single_layers = takes_single_layers()
        context = syscalls.fsopen(b"overlay")
        try:
            syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, b"source", os.fsencode(source), 0)
            self._configure(context, options)
        except BaseException:
            os.close(context)
            raise
        if not self._single_layers:
            self._collected[context] = CollectedLayers(self._proc)
        return context

    def add_layer(self, overlay: int, key: str, directory: int, name: str, userns: int = -1) -> None:
        """Add a directory to a context. `name` is its path in the yard if no other process can change what is there.

        With `userns` it is taken through a clone that has the id-mapping of that user namespace.
        """
        from mountplan.applier.sys.overlay import add_layer, claim, id_mapped

        if userns >= 0:
            with id_mapped(directory, userns, self._proc) as (clone, name):
                self.add_layer(overlay, key, clone, name)
            return
        if key in ("upperdir", "workdir") and not name:
            self._locked.append(claim(directory, self._proc))
        if overlay in self._collected:
            self._collected[overlay].add(key, directory, name)
        else:
            add_layer(overlay, key, directory, name, self._proc)

    def mount_overlay(self, overlay: int) -> int:
        collected = self._collected.pop(overlay, None)
        self.present = False
        try:
            if collected is None:
                return self._create(overlay)
            with collected.configured(overlay):
                return self._create(overlay)
        finally:
            while self._locked:
                os.close(self._locked.pop())

    def make_read_only(self, mount: int) -> None:
        with closing_fd(syscalls.fspick(mount)) as context:
            syscalls.fsconfig(context, abi.FSCONFIG_SET_FLAG, b"ro", None, 0)
            syscalls.fsconfig(context, abi.FSCONFIG_CMD_RECONFIGURE, None, None, 0)

    def set_attributes(
        self,
        mount: int,
        *,
        set: int = 0,
        clear: int = 0,
        propagation: int = 0,
        userns: int = 0,
        recursive: bool = False,
    ) -> None:
        attr = attributes_of(set, clear, propagation, userns)
        syscalls.mount_setattr(mount, abi.AT_RECURSIVE if recursive else 0, attr)

    def id_mapping(self, uids: IdLines, gids: IdLines) -> int:
        from mountplan.applier.sys.userns import id_mapping

        return id_mapping(uids, gids)

    def user_namespace(self, uids: IdLines, gids: IdLines, within: int) -> int:
        """A descriptor of a new user namespace, made in that behind `within`, or, if that is -1, in ours."""
        from mountplan.applier.sys.owned import user_namespace

        return user_namespace(uids, gids, within)

    def own_namespace(self, user: int) -> None:
        """Go into a copy of this mount namespace that belongs to the user namespace behind `user`."""
        from mountplan.applier.sys.owned import copy_for

        with closing_fd(copy_for(user, self._proc)) as namespace:
            syscalls.setns(namespace, abi.CLONE_NEWNS)

    def attach(self, mount: int, dirfd: int, path: str) -> None:
        if path:
            syscalls.move_mount(mount, dirfd, path.encode(ENCODING, ERRORS), abi.MOVE_MOUNT_F_EMPTY_PATH)
        else:
            syscalls.move_mount(mount, dirfd, b"", abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH)

    def join(self, seed: int, mount: int) -> None:
        syscalls.move_mount(seed, mount, b"", JOIN)

    def make_directory(self, dirfd: int, path: str) -> None:
        os.mkdir(path, 0o755, dir_fd=dirfd)

    def make_node(self, dirfd: int, path: str, node: MakeNode, source: int) -> None:
        """Make what `node` says at `path` (one component, or several that are known to be directories)."""
        kind, mode = node.node, node.mode
        try:
            if kind == "directory":
                os.mkdir(path, 0o755 if mode < 0 else mode & 0o777, dir_fd=dirfd)
            elif kind == "symlink":
                os.symlink(node.link, path, dir_fd=dirfd)
            elif kind == "file":
                _make_file(dirfd, path, node, source)
                return
            else:
                permissions = 0o644 if mode < 0 else mode & 0o777
                os.mknod(path, NODE_TYPES[kind] | permissions, os.makedev(*node.device), dir_fd=dirfd)
        except OSError as error:
            if not node.existing or not _is(dirfd, path, kind):
                raise
            if error.errno not in (errno.EEXIST, errno.EROFS):
                raise
            return
        if node.uid >= 0 or node.gid >= 0:
            os.chown(path, node.uid, node.gid, dir_fd=dirfd, follow_symlinks=False)
        if kind != "symlink" and (mode > 0o777 or (mode >= 0 and (node.uid >= 0 or node.gid >= 0))):
            # The name was made by us just now, in a directory that no other process has; chown(2) drops set-id bits.
            os.chmod(path, mode, dir_fd=dirfd)

    def copy_tree(self, source: int, target: int) -> None:
        """Make an empty directory what another one is, with all that is in it."""
        from mountplan.applier.sys.copytree import copy_tree, refuse

        copy_tree(source, target, refuse)

    def open_file(self, fd: int) -> int:
        """A readable descriptor of the file that an O_PATH descriptor stands for.

        What has become anything but a file since it was planned is not opened: a device may act upon that. Files of
        /proc that have nothing to say would have to be waited for: to read them fails instead.
        """
        return syscalls.open_again(fd, os.O_RDONLY | os.O_NONBLOCK, stat.S_IFREG)

    def is_directory(self, fd: int) -> bool:
        return stat.S_ISDIR(os.stat(fd).st_mode)

    def device(self, fd: int) -> int:
        return os.stat(fd).st_dev

    def check_subvolume(self, fd: int) -> None:
        """Refuse another directory than a subvolume of btrfs, as the kernel does that is asked to mount one."""
        if os.stat(fd).st_ino != abi.BTRFS_FIRST_FREE_OBJECTID:
            raise KernelRefusal(errno.EINVAL, "stat")

    def unmount(self, root: int, path: str, *, recursive: bool) -> None:
        """Unmount what stands at `path` below the mount `root`; without `recursive`, only if nothing stands on it."""
        os.close(self.open(root, path, tree=True))  # no symlink is on the way: umount2(2) takes no descriptor
        os.fchdir(root)
        flags = abi.UMOUNT_NOFOLLOW | (abi.MNT_DETACH if recursive else 0)
        syscalls.umount2(path.encode(ENCODING, ERRORS), flags)

    def tree_of(self, mount: int) -> MountTable:
        """An attached mount and all that stands on it, as they would be seen from its root."""
        table = self._table()
        below, number = table.by_parent(), syscalls.mount_id(mount, b"")
        found = [row for row in table.rows if row.mount_id == number]
        for row in found:
            found += below.get(row.mount_id, ())
        base = len(found[0].mountpoint.rstrip("/")) if found else 0
        return MountTable(tuple(row._replace(mountpoint=row.mountpoint[base:] or "/") for row in found))

    def enter_root(self, base: int, root: int, top: int) -> None:
        """pivot_root(2) onto `base`, then detach whatever lies on `top`: the yard first, then the old root.

        How many mounts lie there depends on the host, which may have its own root covered; their ids tell. `root`
        becomes the root of this process; it is `base`, or stands on it. Then the old root is put into a directory of
        `base`, since the kernel puts nothing on a directory that has been removed, as `top` may be.
        """
        os.fchdir(base)
        if root == base:
            syscalls.pivot_root(b".", b".")
            self._detach(b"/..", syscalls.mount_id(top, b""))  # "/.." is the topmost mount on the root
            return
        os.mkdir("old")
        syscalls.pivot_root(b".", b"old")
        self._detach(b"old", syscalls.mount_id(base, b""))
        os.rmdir("old")
        self._change_root(root)

    def lay_bare(self, dirfd: int, path: str, mount: int) -> None:
        """Unmount what lies upon a mount that is attached at `path`."""
        os.fchdir(dirfd)
        self._detach(os.fsencode(path), syscalls.mount_id(mount, b""))

    def _detach(self, path: bytes, wanted: int) -> None:
        """Unmount what lies at `path`, one mount after the other, until the mount `wanted` is seen there."""
        for _ in range(1000):
            if syscalls.mount_id(abi.AT_FDCWD, path) == wanted:
                return
            syscalls.umount2(path, abi.MNT_DETACH)
        raise OSError(errno.EBUSY, "the old root did not go away")

    def _change_root(self, root: int) -> None:
        os.fchdir(root)
        os.chroot(".")

    def remove(self, dirfd: int, path: str) -> None:
        """Remove what is at `path`, with all that is in it."""
        if _is(dirfd, path, "directory"):
            import shutil

            shutil.rmtree(path, dir_fd=dirfd)
        else:
            os.unlink(path, dir_fd=dirfd)

    def hold_namespace(self) -> int:
        """A descriptor of the mount namespace that this process is in."""
        return os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)

    def return_to(self, namespace: int, root: int) -> None:
        """Enter a mount namespace that was held, with `root` as our root again (setns(2) takes the topmost)."""
        syscalls.setns(namespace, abi.CLONE_NEWNS)
        self._change_root(root)

    def copy_namespace(self) -> None:
        syscalls.unshare(abi.CLONE_NEWNS)

    def open_yard(self) -> int:
        return os.open("/..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def lift_limit(self) -> None:
        """Let this process have as many files open as it may, until restore_limit()."""
        import resource

        soft, hard = self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def restore_limit(self) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, self._limit)

    def finish_namespace(self, name: str) -> None:
        """Hold the namespace, and a view of its mount table from this process's root, until the process ends."""
        mountinfo = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        self.finished.append(FinishedNamespace(name, self.hold_namespace(), self.host_root(), mountinfo))

    close = staticmethod(syscalls.close)

    def makes_rows(self) -> bool:
        """Whether calls that many rows of steps take may be made by a CallProgram instead."""
        return bool(syscalls.loop) and not syscalls.told and ENCODING == "utf-8"  # as the texts are handed over


_OUT_OF_REACH = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EINVAL)


def _make_bindable() -> None:
    """Make what is unbindable in our copy of the host's tree private, so that a recursive clone has all that is there.

    On newer kernels (seen on 6.18, not yet on 6.12) unshare(2) does so by itself.
    """
    with open("/proc/self/mountinfo", "rb") as file:
        text = file.read()
    if b" unbindable" not in text:
        return

    for row in parse_mountinfo(text).rows:
        path = os.fsencode(row.mountpoint)
        try:
            if row.unbindable and syscalls.mount_id(abi.AT_FDCWD, path) == row.mount_id:
                syscalls.mount(path, abi.MS_PRIVATE)
        except OSError as error:
            # Covered, where we may not go, or gone since it was read. If a clone should have it, reading back tells.
            if error.errno not in _OUT_OF_REACH:
                raise


@remember
def attributes_of(set: int, clear: int, propagation: int, userns: int) -> bytes:
    return syscalls.mount_attr(set=set, clear=clear, propagation=propagation, userns=userns)


def _is(dirfd: int, path: str, kind: NodeKind) -> bool:
    """True if something of this kind is at `path` already. Raises OSError if that cannot be seen."""
    try:
        return stat.S_IFMT(os.lstat(path, dir_fd=dirfd).st_mode) == NODE_TYPES[kind]
    except (FileNotFoundError, NotADirectoryError):
        return False


def _make_file(dirfd: int, path: str, node: MakeNode, source: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o644 if node.mode < 0 else node.mode & 0o777, dir_fd=dirfd)
    except OSError as error:
        if node.existing and error.errno in (errno.EEXIST, errno.EROFS) and not _is(dirfd, path, "directory"):
            return
        raise
    with closing_fd(fd):
        if source >= 0:
            while block := os.read(source, 1 << 20):
                syscalls.write_all(fd, block)
        elif node.content:
            syscalls.write_all(fd, node.content.encode("utf-8", "surrogateescape"))
        own_file(fd, node)


def own_file(fd: int, node: MakeNode) -> None:
    """Give an open file the owner and the mode that are said of it."""
    if node.uid >= 0 or node.gid >= 0:
        os.fchown(fd, node.uid, node.gid)
    if node.mode >= 0:
        os.fchmod(fd, node.mode)
