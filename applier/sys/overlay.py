"""The layers of an overlay: one by one where the kernel can (lowerdir+, Linux 6.8), otherwise as one string.

A layer is an O_PATH descriptor, and the kernel gets just that. It takes descriptors since 6.13, and then shows the path
that they had. Before, it takes paths, and shows what it was given, and a capture can tell only by that what an overlay
is made of. So a layer is named by a path in the yard, which begins with its device (planner/tables/layerpath.py): in
memory that we have filled, where no other process can put anything in the way, it lies there anyway; of any other
layer a clone is attached there. Upper and work directory, which have to be on one mount, and what cannot be cloned,
get a path through /proc that leads to the same descriptor, so nothing else can be found at it. A layer that is
id-mapped is a clone in any case, which lies in the yard as well.

Kernels without lowerdir+ want all paths in one string of less than 256 bytes. Where the names are too long for that,
there are numbers of descriptors instead, walked from /proc/self/fd.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.lingering import settled
from mountplan.applier.sys.privilege import may_mount
from mountplan.applier.sys.refusal import KernelRefusal, Occupied
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan.attachments import TAKEN_LAYER
from mountplan.planner.tables.layerpath import ID_MAPPED, directory_of
from mountplan.planner.tables.mountinfo import parse_mountinfo

_numbers = count()  # a place of its own for each clone
_CLONE = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_EMPTY_PATH
_LONGEST = 255  # bytes of a value that fsconfig(2) takes


def add_layer(context: int, key: str, directory: int, name: str, proc: int) -> None:
    """Give an overlay's fsopen context a directory (`lowerdir+`, `datadir+`, `upperdir`, `workdir`) by its descriptor.

    `name` is its path in the yard if it may be told by that, or ""; `proc` is /proc.
    """
    try:
        syscalls.fsconfig(context, abi.FSCONFIG_SET_FD, key.encode(), None, directory)
    except KernelRefusal as refusal:
        # EBADF: before 6.13 an O_PATH descriptor is none for this call; EINVAL: the key does not take descriptors.
        if refusal.errno not in (errno.EBADF, errno.EINVAL):
            raise
        name = name or _clone_in_yard(key, directory, proc)
        if _can_be_told(name):
            with _rooted_in_yard():
                syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, key.encode(), b"/" + os.fsencode(name), 0)
        else:
            path = b"/proc/self/fd/%d" % directory
            syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, key.encode(), path, 0)


def _clone_in_yard(key: str, directory: int, proc: int) -> str:
    """Attach a clone of a lower layer where its name in the yard says what it is; "" if that cannot be."""
    name = _name_in_yard(directory, f"l{next(_numbers)}", proc) if key in ("lowerdir+", "datadir+") else ""
    if not name:
        return ""
    try:
        clone = syscalls.open_tree(directory, b"", _CLONE)
    except KernelRefusal:  # a user namespace may not take it off what is mounted below it
        return ""
    with closing_fd(clone):
        _attach(clone, name)
    return name


@contextmanager
def id_mapped(directory: int, userns: int, proc: int) -> Iterator[tuple[int, str]]:
    """Lend an id-mapped clone of a directory, and its name in the yard, where it stays; `userns` has the id-mapping.

    It is attached, since before Linux 6.15 the kernel makes no layer of a mount that stands nowhere.
    """
    number = next(_numbers)
    with closing_fd(syscalls.open_tree(directory, b"", _CLONE)) as clone:
        syscalls.mount_setattr(clone, 0, syscalls.mount_attr(set=abi.MOUNT_ATTR_IDMAP, userns=userns))
        name = _name_in_yard(directory, f"{ID_MAPPED}{number}", proc)
        _attach(clone, name or f"{ID_MAPPED}{number}")
        yield clone, name


def _name_in_yard(directory: int, name: str, proc: int) -> str:
    """A path for a clone of `directory` that tells of its device and of its path in that; "" if it has none."""
    row = parse_mountinfo(syscalls.own_mountinfo(proc)).by_id().get(syscalls.mount_id(directory, b""))
    path = os.readlink(f"self/fd/{directory}", dir_fd=proc)
    if row is None or not TargetPath(path).is_under(row.mountpoint):
        return ""
    major, minor = map(int, row.device.split(":"))
    top = directory_of(os.makedev(major, minor), name)
    return top + TargetPath(row.root).joined(TargetPath(path).relative_to(row.mountpoint))


def _attach(clone: int, name: str) -> None:
    os.makedirs(f"/../{name}", mode=0o755)
    syscalls.move_mount(clone, abi.AT_FDCWD, b"/../" + os.fsencode(name), abi.MOVE_MOUNT_F_EMPTY_PATH)


def _can_be_told(name: str) -> bool:
    """Not if it would have to be escaped, which kernels do not do alike."""
    return bool(name) and not any(character in name for character in ":,\\")


@contextmanager
def _rooted_in_yard() -> Iterator[None]:
    """In this block, absolute paths begin in the yard, which is the topmost mount on the root; the cwd stays."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir("/..")
        os.chroot(".")
        os.fchdir(here)
        yield
    finally:
        os.fchdir(root)
        os.chroot(".")
        os.fchdir(here)
        os.close(root)
        os.close(here)


def is_in_use(directory: int) -> bool:
    """True if a directory is the upper or work directory of an overlay, in whichever namespace; nothing is changed.

    The kernel marks both in memory (ovl_inuse_trylock in fs/overlayfs/util.c), and with index=on it answers EBUSY where
    it meets the mark. So an overlay is asked for with the directory as its upper one. Should that be free, the kernel
    gets to the work directory, which may not be the same (EINVAL), before it has written anything. It tells its log.
    False if this user may have no overlay.
    """
    return _is_in_use(b"/proc/self/fd/%d" % directory)


def is_in_use_here() -> bool:
    """The same of the directory that this process is in; it takes no /proc."""
    return _is_in_use(b".")


def _is_in_use(path: bytes) -> bool:
    try:
        context = syscalls.fsopen(b"overlay")
    except KernelRefusal as refusal:
        if refusal.errno == errno.ENODEV or (refusal.errno == errno.EPERM and not may_mount()):
            return False  # there is no overlay, or none for this user
        raise
    try:
        for key in (b"lowerdir", b"upperdir", b"workdir"):
            syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, key, path, 0)
        syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, b"index", b"on", 0)
        syscalls.fsconfig(context, abi.FSCONFIG_CMD_CREATE, None, None, 0)
    except KernelRefusal as refusal:
        if refusal.errno in (errno.ENOSYS, errno.ENOMEM):
            raise
        return refusal.errno == errno.EBUSY
    finally:
        os.close(context)
    return False


def claim(directory: int, proc: int) -> int:
    """Raise Occupied if an overlay has the directory as its upper or work directory; `proc` is /proc.

    Returns a descriptor with which it is locked (flock(2)) until that is closed: two builds that ask at the same moment
    would both be told that it is free.
    """
    fd = syscalls.open_again(directory, os.O_RDONLY, stat.S_IFDIR)
    # The wait for the lock has an end: two builds that want two directories in opposite order would wait for ever.
    if not settled(lambda: _lock(fd), bool) or settled(lambda: is_in_use(directory), lambda used: not used):
        path = os.readlink(f"self/fd/{directory}", dir_fd=proc)
        os.close(fd)
        raise Occupied(f'another overlay has "{path}" as its upper or work directory', TAKEN_LAYER)
    return fd


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def takes_single_layers() -> bool:
    """True if lowerdir+ works. It is tried in a context of its own with a path that is not there.

    ENOENT says that the kernel has looked for it. EINVAL says that it does not know the key; and before 6.5, where all
    options are only collected until the overlay is made, there is no error.
    """
    context = syscalls.fsopen(b"overlay")
    try:
        syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, b"lowerdir+", b"/proc/self/fd/-1", 0)
    except KernelRefusal as refusal:
        if refusal.errno not in (errno.ENOENT, errno.EINVAL):
            raise
        return refusal.errno == errno.ENOENT
    finally:
        os.close(context)
    return False


class CollectedLayers:
    """The layers of one overlay for a kernel without lowerdir+, held until the overlay is made. `proc` is /proc."""

    def __init__(self, proc: int) -> None:
        self._proc = proc
        self._layers: dict[str, list[tuple[int, str]]] = {}

    def add(self, key: str, directory: int, name: str) -> None:
        name = name or _clone_in_yard(key, directory, self._proc)
        if key == "datadir+":  # Linux 6.5: behind two colons
            self._layers["lowerdir"].append((-1, ""))
            key = "lowerdir+"
        self._layers.setdefault(key.rstrip("+"), []).append((os.dup(directory), name))

    @contextmanager
    def configured(self, context: int) -> Iterator[None]:
        """Give them to the context. In this block, in which it is to be created, their paths lead to them.

        Raises KernelRefusal, with E2BIG if they are too many for one string.
        """
        numbers = os.open("self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._proc)
        before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fchdir(numbers)
            with _rooted_in_yard():
                for key, layers in self._layers.items():
                    value = _joined(layers, by_name=True)
                    if len(value) > _LONGEST:
                        value = _joined(layers, by_name=False)
                    if len(value) > _LONGEST:
                        raise KernelRefusal(errno.E2BIG, f"fsconfig({key})")
                    syscalls.fsconfig(context, abi.FSCONFIG_SET_STRING, key.encode(), value, 0)
                yield
        finally:
            os.fchdir(before)
            os.close(before)
            os.close(numbers)
            self._close()

    def _close(self) -> None:
        for layers in self._layers.values():
            for directory, _ in layers:
                if directory >= 0:
                    os.close(directory)
        self._layers = {}


def _joined(layers: list[tuple[int, str]], *, by_name: bool) -> bytes:
    return b":".join(
        b"" if directory < 0 else b"/" + os.fsencode(name) if by_name and _can_be_told(name) else b"%d" % directory
        for directory, name in layers
    )


def machines_defaults() -> dict[str, str]:
    """The options of a new overlay that is not asked for them, as the module has them, as far as it tells them."""
    found = {}
    for name in ("index", "metacopy", "nfs_export", "redirect_dir", "redirect_always_follow", "xino_auto"):
        try:
            with open(f"/sys/module/overlay/parameters/{name}") as file:
                found[name] = "on" if file.read().strip() == "Y" else "off"
        except OSError:
            pass
    follows = found.pop("redirect_always_follow", "")
    if follows and found.get("redirect_dir") == "off":
        found["redirect_dir"] = "follow" if follows == "on" else "nofollow"
    if "xino_auto" in found:
        found["xino"] = "auto" if found.pop("xino_auto") == "on" else "off"
    return found
