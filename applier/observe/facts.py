"""The machine as planning asks for it: planner/host.py's port, with real look-ups."""

from __future__ import annotations

import errno
import os
import stat

from mountplan.applier.observe.asked import asking, unless_refused
from mountplan.applier.observe.listings import Listings
from mountplan.applier.observe.observe import mount_max, observe
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.refusal import OF_THE_SYSTEM, KernelRefusal
from mountplan.planner.fstypes import of
from mountplan.planner.host import BLOCK, IN_A_FILE, HostEntry, HostPath, NotThere, Partition, showing
from mountplan.planner.names import NODE_KINDS, NodeKind
from mountplan.planner.paths import TargetPath
from mountplan.planner.tables.instances import shown
from mountplan.planner.tables.namespace_file import file_row
from mountplan.planner.tables.table import MountRow, MountTable, Walks, copied

_REMOVED = " (deleted)"  # how /proc/PID/fd marks the name of what has none any more


def knows_set_group() -> bool:
    """False if this kernel says that it has no MOVE_MOUNT_SET_GROUP: one call, of no effect, as it names no mounts.

    Who may not mount at all is answered EPERM before the flag is looked at, and learns it when something is built.
    """
    from mountplan.applier.sys import abi, syscalls

    flags = abi.MOVE_MOUNT_SET_GROUP | abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH
    try:
        syscalls.move_mount(-1, -1, b"", flags)
    except OSError as error:
        return error.errno != errno.EINVAL  # EBADF if it does
    return True


def _stat(path: str) -> os.stat_result | None:
    """None of what is not there, or not to be had; what the system refuses is no answer. Raises OSError."""
    with unless_refused(), asking(f"the host path {path!r}"):
        return os.stat(path)
    return None


def _registered() -> frozenset[str]:
    """The filesystem types that the kernel has at this moment; none if there is no /proc."""
    try:
        with open("/proc/filesystems", "rb") as file:
            return frozenset(line.split()[-1].decode() for line in file if line.strip())
    except OSError:
        return frozenset()


def _refused_option(fstype: str, name: str, value: str | bool) -> str:
    from mountplan.applier.sys import syscalls

    try:
        syscalls.try_option(fstype, name, value)
    except KernelRefusal as refusal:
        if refusal.errno == errno.EINVAL:  # EPERM: an ordinary user may not ask
            return "; ".join(dict.fromkeys(refusal.log)) or "invalid argument"
    return ""


def _modules_alias() -> str:
    """The file of kmod that tells which module has what the kernel asks for."""
    return f"/lib/modules/{os.uname().release}/modules.alias"


def _has_module(fstype: str) -> bool:
    """Is there a module as the kernel would ask for it? False says nothing: a container may have no modules."""
    try:
        with open(_modules_alias(), "rb") as file:
            return f"\nalias fs-{fstype} ".encode() in file.read()
    except OSError:
        return False


def _loads_modules() -> bool:
    """False if it is sure that this kernel loads no modules of its own accord."""
    try:
        with open("/proc/sys/kernel/modprobe", "rb") as file:
            return bool(file.read().strip())
    except FileNotFoundError:
        return not os.path.exists("/proc/sys/kernel/ostype")  # then there is no /proc to tell it
    except OSError:
        return True


def _walked(path: str) -> tuple[str, int]:
    """The canonical path, and the mode, of what the kernel finds at `path`. Raises OSError, or LookupError.

    The kernel walks, since only it follows the magic links of /proc; a build goes by the name that comes out, so that
    must lead to the same file on the same mount.
    """
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise _no_look(error) from None
    with closing_fd(fd):
        name = os.readlink(f"/proc/self/fd/{fd}")
        # A mount whose source has been removed is marked so as well, and still is what a walk to its place ends on.
        for one in (name, name.removesuffix(_REMOVED)):
            if one.startswith("/") and _leads_to(fd, one):
                return one, os.fstat(fd).st_mode
    if not name.startswith("/"):
        raise LookupError(f"leads to what has no path: {name}")
    if name.endswith(_REMOVED):
        raise LookupError(f"leads to {name.removesuffix(_REMOVED)}, which has been removed")
    raise LookupError(f"no path leads there: what {name} names now is something else, or covers it")


def _looked_up(path: str, walks: Walks) -> HostPath:
    try:
        with asking(f"the host path {path!r}"):
            canonical, mode = _walked(path)
    except OSError as error:
        if error.errno in OF_THE_SYSTEM:
            raise
        raise LookupError((error.strerror or "cannot be looked up").lower()) from None
    return HostPath(canonical, NODE_KINDS[stat.S_IFMT(mode)], walks.end_of(canonical))


def _link(path: str) -> str | None:
    with unless_refused(), asking(f"the host path {path!r}"):
        return os.readlink(path)
    return None


def _no_look(error: OSError) -> Exception:
    """What a look at a path of the host comes to that failed, for the caller to raise."""
    if error.errno in OF_THE_SYSTEM:
        return error
    words = IN_A_FILE if error.errno == errno.ENOTDIR else (error.strerror or "cannot be looked up").lower()
    return NotThere(words) if error.errno in (errno.ENOENT, errno.ENOTDIR) else LookupError(words)


def _leads_to(fd: int, path: str) -> bool:
    from mountplan.applier.sys import abi, syscalls

    with unless_refused():
        same = os.path.samestat(os.fstat(fd), os.lstat(path))
        return same and syscalls.mount_id(fd, b"") == syscalls.mount_id(abi.AT_FDCWD, os.fsencode(path))
    return False  # nothing has that name, or not for this user


def _kind(path: str) -> NodeKind:
    return NODE_KINDS[stat.S_IFMT(os.lstat(path).st_mode)]


def _entry(path: str) -> HostEntry:
    kind = _kind(path)
    return HostEntry(kind, os.readlink(path) if kind == "symlink" else "")


def _covered_entry(base: str, place: str) -> HostEntry | None:
    """What the filesystem at `base` has at `place`, below which the host has mounted something else.

    It is seen through a clone of that one mount, which is attached nowhere. None if this user may not clone it.
    """
    from mountplan.applier.sys import abi, syscalls
    from mountplan.applier.sys.refusal import KernelRefusal

    flags = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_SYMLINK_NOFOLLOW
    try:
        clone = syscalls.open_tree(abi.AT_FDCWD, os.fsencode(base), flags)
    except KernelRefusal:  # not a word about the path: an ordinary user, an unbindable mount, locked ones below it
        return None
    with closing_fd(clone):
        resolve = abi.RESOLVE_BENEATH | abi.RESOLVE_NO_MAGICLINKS
        with closing_fd(syscalls.openat2(clone, os.fsencode(place), os.O_PATH | os.O_NOFOLLOW, resolve)) as fd:
            kind = NODE_KINDS[stat.S_IFMT(os.fstat(fd).st_mode)]
            return HostEntry(kind, os.readlink("", dir_fd=fd) if kind == "symlink" else "")


def _matching(base: str, pattern: str) -> list[str]:
    """As glob.glob(), which finds nothing where it may not look. Raises LookupError there, or OSError."""
    from fnmatch import filter as matching

    found = [""]
    for part in filter(None, pattern.split("/")):
        if not any(sign in part for sign in "*?["):
            found = [f"{place}/{part}" for place in found]
            continue
        places, found = found, []
        for place in places:
            try:
                names = os.listdir(f"{base}{place}")
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                if error.errno in OF_THE_SYSTEM:
                    raise
                raise LookupError(f"cannot list {base}{place}: {(error.strerror or '').lower()}") from None
            found += [f"{place}/{name}" for name in matching(names, part)]
    return [place[1:] for place in found if _is_there(f"{base}{place}")]


def _is_there(path: str) -> bool:
    with unless_refused():
        os.lstat(path)
        return True
    return False


_BEGINNING = 66_000  # bytes; btrfs has its magic at 64 KiB


class LiveHost:
    """The host that this process runs on. Its mount table is read once, when it is first asked for, if it is not handed
    in; and so is a directory of which many names are asked for.
    """

    def __init__(self, table: MountTable | None = None) -> None:
        self._listings = Listings()
        self._links: dict[str, str | None] = {}
        self._table = table
        self._walks: Walks | None = None
        self._seen: dict[str, HostPath] = {}
        self._filesystems: frozenset[str] | None = None
        self._refused_options: dict[tuple[str, str, str | bool], str] = {}

    @property
    def table(self) -> MountTable:
        if self._table is None:
            self._table = observe()
        return self._table

    @property
    def inherited(self) -> MountTable:
        return copied(self.table)

    def end_of(self, path: str) -> MountRow:
        return self._walked().end_of(path)

    def showing(self, device: str, path: str) -> tuple[MountRow, ...]:
        return showing(self.table, device, path)

    def of_type(self, fstype: str) -> tuple[MountRow, ...]:
        return tuple(row for row in self.table.rows if row.fstype == fstype)

    @property
    def mount_max(self) -> int:
        return mount_max()

    @property
    def argument_max(self) -> int:
        return 32 * os.sysconf("SC_PAGE_SIZE")  # MAX_ARG_STRLEN in linux/binfmts.h

    def knows_filesystem(self, fstype: str) -> bool | None:
        """Without loading anything, if that can be helped: a module that could be is as good as one that is."""
        name = fstype.partition(".")[0]  # "fuse.sshfs" is a fuse
        if self._filesystems is None:
            self._filesystems = _registered()
        if name in self._filesystems or _has_module(name):
            return True
        if self._filesystems and not _loads_modules():
            return False
        from mountplan.applier.sys import syscalls

        try:
            os.close(syscalls.fsopen(fstype.encode()))
        except OSError as error:
            return False if error.errno == errno.ENODEV else None
        return True

    def refused_option(self, fstype: str, name: str, value: str | bool) -> str:
        """Of types that are there already, so that nothing is loaded for a question, and whose options lead nowhere."""
        row = of(fstype)
        if self._filesystems is None:
            self._filesystems = _registered()
        if fstype not in self._filesystems or not (row.in_memory or row.on_device or fstype == "overlay"):
            return ""
        asked = (fstype, name, value)
        if asked not in self._refused_options:
            self._refused_options[asked] = _refused_option(*asked)
        return self._refused_options[asked]

    def look(self, path: str) -> HostPath:
        found = self._seen.get(path)
        if found is None:
            walks = self._walked()
            found = self._seen[path] = self._in_directory(path, walks) or _looked_up(path, walks)
        return found

    def _walked(self) -> Walks:
        if self._walks is None:
            self._walks = Walks(self.table)
        return self._walks

    def _in_directory(self, path: str, walks: Walks) -> HostPath | None:
        """What look() says, by the directory that the path is in; None if that does not tell."""
        above, _, name = path.rpartition("/")
        if not above or above[0] != "/":
            return None
        kind = self._listings.kind(above, name)
        if kind is None or kind == "symlink":
            return None
        try:
            base = self.look(above)
        except LookupError:
            return None
        if base.path != above or walks.is_covered(base.mount, path):
            return None
        return HostPath(path, kind, base.mount)

    def namespace_file(self, path: str) -> HostPath:
        from mountplan.applier.sys.held_namespaces import identify, open_file

        found = ""
        try:
            with asking(f"the host path {path!r}"):
                fd = open_file(path)
            with closing_fd(fd):
                found = identify(fd)
        except OSError as error:
            raise _no_look(error) from None
        if not found:
            raise LookupError("is no file of a namespace")
        return HostPath(path, "file", file_row(found)._replace(mountpoint=path), found)

    def identity(self, path: str) -> str:
        found = _stat(path)
        if found is None:
            return ""
        if stat.S_ISBLK(found.st_mode):
            return f"{BLOCK}{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        return f"{os.major(found.st_dev)}:{os.minor(found.st_dev)} {found.st_ino}"

    def partitions(self, path: str) -> tuple[Partition, ...]:
        from mountplan.applier.observe.partitions import read_partitions

        try:
            with asking(f"the host path {path!r}"):
                return read_partitions(path)
        except OSError as error:
            if error.errno in OF_THE_SYSTEM:
                raise
            raise LookupError((error.strerror or "cannot be read").lower()) from None

    def size(self, path: str) -> int | None:
        found = _stat(path)
        return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None

    def beginning(self, path: str, offset: int) -> bytes | None:
        found = _stat(path)
        if found is None or not stat.S_ISREG(found.st_mode):
            return None
        try:
            with closing_fd(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)) as fd:
                return os.pread(fd, _BEGINNING, offset)
        except OSError:
            return None

    def link(self, path: str) -> str | None:
        if path not in self._links:
            above, _, name = path.rpartition("/")
            kind = self._listings.kind(above, name) if above[:1] == "/" else None
            self._links[path] = _link(path) if kind in (None, "symlink") else None
        return self._links[path]

    def under(self, base: str, place: str) -> HostEntry | None:
        path = TargetPath(base).joined(place)
        mount = self.look(base).mount
        seen = self.end_of(path)
        try:
            with asking(f"the host path {path!r}"):
                if seen == mount:
                    return _entry(path)
                if (seen.parent_id, seen.mountpoint) == (mount.mount_id, path):
                    return HostEntry(_kind(path))  # what is mounted there is of the same kind as what it is mounted on
                return _covered_entry(base, path.relative_to(base))
        except OSError as error:
            raise _no_look(error) from None

    def instance(self, fstype: str) -> str | None:
        there = shown(self.table.rows, fstype)
        if there is None and of(fstype).instances == "machine":
            from mountplan.applier.sys.machine_instances import shown_here

            there = shown_here(fstype)
        return there

    def glob(self, base: str, pattern: str) -> tuple[str, ...]:
        with asking(f"the host path {base!r}"):
            return tuple(sorted(_matching(base, pattern)))
