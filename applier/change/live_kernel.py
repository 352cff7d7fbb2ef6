"""The verbs that changing a tree that stands needs beyond those of a build."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack, suppress

from mountplan.applier.observe.file_looks import unlike
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.kernel import LinuxKernel, own_file
from mountplan.planner.attributes import ATIME_MASK, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, RDONLY
from mountplan.planner.plan.steps import MakeNode
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.applier.sys.kernel_port import Options

_BENEATH = abi.MOVE_MOUNT_BENEATH | abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH
_ALL = RDONLY | NOSUID | NODEV | NOEXEC | NODIRATIME | NOSYMFOLLOW | ATIME_MASK


class OtherMount(OSError):
    """What stands is no longer what the change was planned from."""


class Entrance(NamedTuple):
    """A namespace that is visited: a descriptor of its file, and one of the root it is seen from (-1: the topmost)."""

    name: str
    namespace: int
    root: int


class LiveKernel(LinuxKernel):
    """The calling process goes from one namespace to another: it is one that ends soon."""

    def __init__(self, entrances: tuple[Entrance, ...]) -> None:
        super().__init__()
        self._entrances = {one.name: one for one in entrances}
        self._devices: dict[int, str] = {}  # of the mounts of the private copy, by their ids

    def visit(self, name: str) -> None:
        """Enter a namespace that stands. Its "/" is where it was seen from."""
        one = self._entrances[name]
        syscalls.setns(one.namespace, abi.CLONE_NEWNS)
        if one.root >= 0:
            self._change_root(one.root)

    def copy_privately(self) -> None:
        """Go into a copy of the namespace, in which nothing that happens is seen elsewhere."""
        syscalls.unshare(abi.CLONE_NEWNS)
        syscalls.mount(b"/", abi.MS_PRIVATE | abi.MS_REC)
        self._devices = {row.mount_id: row.device for row in self._table().rows}

    def take(self, path: str, device: str) -> int:
        """A detached clone of the mount at an absolute path of the private copy, without any attribute. Raises
        OtherMount if it is of another device (as mountinfo has it, which stat(2) does not know of every filesystem).
        """
        with closing_fd(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)) as fd:
            number, *_, is_root = syscalls.stat_root(fd, b"")
            if is_root is False or self._devices.get(number) != device:
                raise OtherMount(errno.ESTALE, f"at {path} is not what there was when it was planned")
            clone = self.clone(fd, "")
        self.set_attributes(clone, clear=_ALL)
        return clone

    def open_path(self, path: str) -> tuple[int, int]:
        """A descriptor of what a walk to an absolute path ends on, and the id of its mount."""
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        return fd, syscalls.mount_id(fd, b"")

    def attach_beneath(self, mount: int, top: int) -> None:
        syscalls.move_mount(mount, top, b"", _BENEATH)

    def id_at(self, path: str) -> int:
        return syscalls.mount_id(abi.AT_FDCWD, os.fsencode(path))

    def detach(self, path: str) -> None:
        syscalls.umount2(os.fsencode(path), abi.MNT_DETACH | abi.UMOUNT_NOFOLLOW)

    def detach_covered(self, mount: int) -> None:
        """By the link to its root in our own /proc, which leads to it wherever it is."""
        os.fchdir(self._proc)
        syscalls.umount2(f"self/fd/{mount}".encode(), abi.MNT_DETACH)

    def reconfigure(self, mount: int, options: Options) -> None:
        with closing_fd(syscalls.fspick(mount)) as context:
            self._configure(context, options)
            syscalls.fsconfig(context, abi.FSCONFIG_CMD_RECONFIGURE, None, None, 0)

    def overwrite(self, dirfd: int, path: str, node: MakeNode, source: int) -> None:
        """Write a file that is there, from its beginning on; who has it open sees it change. A directory keeps what is
        in it.
        """
        with closing_fd(self.open(dirfd, path) if path else os.dup(dirfd)) as where:
            if node.node == "directory":
                fd = syscalls.open_again(where, os.O_RDONLY | os.O_DIRECTORY, stat.S_IFDIR)
            else:
                fd = syscalls.open_again(where, os.O_RDWR, stat.S_IFREG)
        with closing_fd(fd):
            if node.node == "directory":
                own_file(fd, node)
                return
            data = b"".join(iter(lambda: os.read(source, 1 << 20), b"")) if source >= 0 else b""
            if source < 0:
                data = node.content.encode("utf-8", "surrogateescape")
            view, at = memoryview(data), 0
            while at < len(data):
                at += os.pwrite(fd, view[at:], at)
            os.ftruncate(fd, len(data))
            own_file(fd, node)

    def make_node(self, dirfd: int, path: str, node: MakeNode, source: int) -> None:
        """In a filesystem that stands, a file comes at once and whole. What is there just as it shall be, such as from
        a change that was killed, is taken for it.
        """
        if node.existing or not node.careful:
            super().make_node(dirfd, path, node, source)
            return
        try:
            if node.node == "file":
                self._make_whole(dirfd, path, node, source)
            else:
                super().make_node(dirfd, path, node, source)
        except FileExistsError:
            if self._is_other(dirfd, path, node, source):
                raise

    def _make_whole(self, dirfd: int, path: str, node: MakeNode, source: int) -> None:
        new = f".{path[:200]}.mountplan-new"
        with suppress(FileNotFoundError):
            self.remove(dirfd, new)  # of a change that was killed
        super().make_node(dirfd, new, node, source)
        try:
            os.link(new, path, src_dir_fd=dirfd, dst_dir_fd=dirfd, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
                raise
            if source >= 0:  # a filesystem without links
                os.lseek(source, 0, os.SEEK_SET)
            super().make_node(dirfd, path, node, source)
        finally:
            self.remove(dirfd, new)

    def _is_other(self, dirfd: int, path: str, node: MakeNode, source: int) -> bool:
        with ExitStack() as stack:
            fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dirfd)
            stack.callback(os.close, fd)
            process = os.open("self/fd", os.O_PATH | os.O_CLOEXEC, dir_fd=self._proc)
            stack.callback(os.close, process)
            return unlike(node, fd, process, source) != ""

    def put_upon(self, dirfd: int, name: str, other: str) -> None:
        os.rename(name, other, src_dir_fd=dirfd, dst_dir_fd=dirfd)
