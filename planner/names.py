"""What a topology and a plan have in common: names for things, kinds of things at a path, and what was left out."""

from __future__ import annotations

from typing import Literal, TypeAlias

from mountplan.planner.record import NamedTuple

Handle: TypeAlias = str


NodeKind = Literal["file", "directory", "symlink", "fifo", "char", "block", "socket"]


class Moved(NamedTuple):
    """A part of a spec that was put together from several files: its key path in the whole, the file that it is from,
    and its key path there.
    """

    key: str
    file: str
    own: str


class LeftOut(NamedTuple):
    """`upon` is the target of the left-out mount that it stands on, and whose `reason` it has; "" if it is the spec
    that says why. `name` is what the mount would be called, `target` where it would be, "" for nowhere in the tree.
    """

    name: str
    namespace: str
    target: str
    reason: str
    upon: str
    origin: str
