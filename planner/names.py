"""What a topology and a plan have in common: names and kinds of things, what is left out, what is altered."""

from __future__ import annotations

import stat

from mountplan.planner.light import Literal
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

Handle: TypeAlias = str
IdLines = tuple[tuple[int, int, int], ...]  # of an id-mapping: first id on the one side, first on the other, count
IdMapping = tuple[IdLines, IdLines]  # of users, of groups

# The filesystem that is mounted over what is masked (no id can begin with "@"), its options, its mounts' attributes.
MASKS: Handle = "fs:@masks"
MASK_OPTIONS = (("size", "4k"), ("mode", "0755"), ("ro", True))
MASK_ATTRIBUTES = ("ro", "nosuid", "nodev", "noexec")


# What becomes of what a recursive clone brings along; "" if nothing is said of it, which is private.
Brings = Literal["", "private", "peer", "slave"]
# What the owner of a namespace cannot undo: nothing, the attributes of a mount, or the mount itself.
Lock = Literal["", "attributes", "locked"]
NodeKind = Literal["file", "directory", "symlink", "fifo", "char", "block", "socket"]
# What stat(2) calls each of them, as S_IFMT cuts it out, and back.
NODE_TYPES: dict[NodeKind, int] = {
    "file": stat.S_IFREG, "directory": stat.S_IFDIR, "symlink": stat.S_IFLNK, "fifo": stat.S_IFIFO,
    "char": stat.S_IFCHR, "block": stat.S_IFBLK, "socket": stat.S_IFSOCK,
}  # fmt: skip
NODE_KINDS: dict[int, NodeKind] = {number: kind for kind, number in NODE_TYPES.items()}


class Moved(NamedTuple):
    """A part of a spec made of several files: its key path in the whole, the file it is from, its key path there."""

    key: str
    file: str
    own: str


class LeftOut(NamedTuple):
    """`upon` is the target of the left-out mount that it stands on, and whose `reason` it has; "" if it is the spec
    that says why. `name` is what the mount would be called, `target` where it would be, "" for nowhere in the tree.
    `gone` if it could be built, and what it is made of is not there, which the spec allows (optional).
    """

    name: str
    namespace: str
    target: str
    reason: str
    upon: str
    origin: str
    gone: bool = False


class Alteration(NamedTuple):
    """Something that is changed of the tree that `namespace` inherits, before anything is mounted on it; in this order.

    `path` and `spared` are canonical paths. A change has attribute bits, or what mounts become.
    """

    namespace: str
    what: Literal["remove", "bind_over", "change"]
    path: str
    recursive: bool
    spared: tuple[str, ...]
    set: int
    clear: int
    sharing: Literal["", "private", "shared"]
    words: str
    origin: str
