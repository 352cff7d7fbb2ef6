"""What planning may ask about the machine: the port, and the values that come back.

Planning is pure. Whatever it needs to know about the host it asks of a Host that the caller hands in: the real one is
applier/observe/facts.py; tests have one made of dictionaries.
"""

from __future__ import annotations

from mountplan.planner.light import Protocol
from mountplan.planner.names import NodeKind
from mountplan.planner.paths import TargetPath
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import DELETED, MountRow, MountTable

MOUNT_MAX = 100_000  # fs.mount-max as kernels come
BLOCK = "block "  # how the identity of a block device begins


IN_A_FILE = "not a directory"  # why nothing is at a path of which more than the last part is there


class NotThere(LookupError):
    """Nothing is at the path: ENOENT or ENOTDIR. Whatever else keeps a path from being looked at is no such answer."""


class HostPath(NamedTuple):
    """Something that exists on the host. `path` is canonical: absolute, all symlinks followed."""

    path: str
    kind: NodeKind
    mount: MountRow  # the topmost mount there: the one a walk to `path` ends on
    namespace: str = ""  # of such a file: its identity (planner/tables/namespace_file.py), and `mount` is what comes

    @property
    def is_removed(self) -> bool:
        """True if it is a mount of what has been removed: the kernel attaches no other mount of that (ENOENT)."""
        return self.mount.root.endswith(DELETED) and self.path == self.mount.mountpoint

    @property
    def inner(self) -> TargetPath:
        """The path inside the filesystem, as mountinfo's root field would give it for a bind of this path."""
        return TargetPath(self.mount.root).joined(TargetPath(self.path).relative_to(self.mount.mountpoint))


class HostEntry(NamedTuple):
    """What a filesystem of the host has somewhere: nothing is followed, and `link` is where a symlink points."""

    kind: NodeKind
    link: str = ""


class Partition(NamedTuple):
    """A partition of a disk image: `offset` and `size` are in bytes; `label` is "" if it has none, as in an MBR."""

    number: int
    label: str
    offset: int
    size: int


class Host(Protocol):
    """The machine, as far as planning asks."""

    @property
    def table(self) -> MountTable:
        """All of it: who asks for a part does so by what follows, as a plan is of use until an answer is another."""
        ...

    @property
    def inherited(self) -> MountTable:
        """What a copy of the namespace has of it: no files of mount namespaces, such as those of kept names."""
        ...

    def end_of(self, path: str) -> MountRow:
        """The mount that a walk to an absolute path ends on, whether or not anything is there."""
        ...

    def showing(self, device: str, path: str) -> tuple[MountRow, ...]:
        """The mounts of a filesystem that show `path` of it."""
        ...

    def of_type(self, fstype: str) -> tuple[MountRow, ...]:
        """The mounts of all filesystems of a type."""
        ...

    @property
    def mount_max(self) -> int:
        """sysctl fs.mount-max: how many mounts a namespace may have."""
        ...

    @property
    def argument_max(self) -> int:
        """How many bytes an argument or a variable may have that execve(2) hands to a program, its NUL included."""
        ...

    def knows_filesystem(self, fstype: str) -> bool | None:
        """Whether the kernel has this type of filesystem, or could load it; None if this user cannot find out."""
        ...

    def refused_option(self, fstype: str, name: str, value: str | bool) -> str:
        """Why a new filesystem of this type, which the kernel has, would not take an option, in its own words; "" if it
        would, or if that cannot be found out without more than to ask.
        """
        ...

    def look(self, path: str) -> HostPath:
        """What is at `path`, absolute or from where mountplan was started, symlinks followed. Raises LookupError with
        the reason in words, NotThere if nothing is.
        """
        ...

    def namespace_file(self, path: str) -> HostPath:
        """The file of a namespace at `path`, which may be a magic link of /proc. Raises LookupError with the reason,
        NotThere if nothing is there; of a mount namespace as well, which cannot be mounted.
        """
        ...

    def identity(self, path: str) -> str:
        """What tells whether two canonical paths lead to one file, or to one device: hard links do, and device nodes
        with the same number. "" if there is nothing.
        """
        ...

    def partitions(self, path: str) -> tuple[Partition, ...]:
        """The partitions of the disk image, or disk, at a canonical path. Raises LookupError with the reason."""
        ...

    def size(self, path: str) -> int | None:
        """How many bytes the file at a canonical path has; None of what is no file, or if this user cannot find out."""
        ...

    def beginning(self, path: str, offset: int) -> bytes | None:
        """Of the file at a canonical path what a filesystem that begins at a byte of it is known by; None of what is
        no file, or if this user may not read it. A plan that was made does not hang on it.
        """
        ...

    def link(self, path: str) -> str | None:
        """Where the symlink at `path` points, or None if there is no symlink; nothing is followed but its parents."""
        ...

    def under(self, base: str, place: str) -> HostEntry | None:
        """What a bind of the canonical path `base`, without what is mounted below it, has at `place`: what the host's
        mounts cover there is seen. None if this user cannot find out; raises as look() does.
        """
        ...

    def instance(self, fstype: str) -> str | None:
        """The options of the superblock that a mount of this type would share with others, as the kernel shows them;
        None if it is mounted nowhere that can be seen, or if it is not clear which one it would be.
        """
        ...

    def glob(self, base: str, pattern: str) -> tuple[str, ...]:
        """The paths below the canonical `base` that match `pattern`, relative to it, sorted. Raises LookupError where
        a directory on the way may not be listed.
        """
        ...


SURELY_TAKEN = 32 * 4096  # one argument of a program, with its NUL: where pages are larger, it may be longer


def showing(table: MountTable, device: str, path: str) -> tuple[MountRow, ...]:
    """See Host.showing."""
    return tuple(row for row in table.rows if row.device == device and TargetPath(path).is_under(row.root))
