"""Owners of live mount namespaces -> the user namespaces of a spec, and what of their mounts is locked."""

from __future__ import annotations

from collections.abc import Sequence

from mountplan.planner.capture.captured import CapturedUser
from mountplan.planner.names import IdLines, Lock
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mounttree import MountTree


class Owner(NamedTuple):
    """The user namespace that owns a mount namespace: its inode, those of the ones that it is in, the nearest first, as
    far as ours is not reached, and its ids as ours has them.
    """

    inode: int
    above: tuple[int, ...]
    uids: IdLines
    gids: IdLines


def find_users(names: Sequence[str], owners: Sequence[Owner | None]) -> list[CapturedUser | None]:
    """What to write as `user` for each namespace; None where there is nothing to write."""
    first: dict[int, int] = {}
    for space, owner in enumerate(owners):
        if owner is not None:
            first.setdefault(owner.inode, space)
    found: list[CapturedUser | None] = []
    for space, owner in enumerate(owners):
        if owner is None:
            found.append(None)
        elif first[owner.inode] != space:
            found.append(CapturedUser(names[first[owner.inode]], "", (), ()))
        else:
            around = next((first[one] for one in owner.above if one in first), -1)
            outer = owners[around] if around >= 0 else None
            if outer is None:
                found.append(CapturedUser("", "", owner.uids, owner.gids))
            else:
                uids, gids = _ids_in(owner.uids, outer.uids), _ids_in(owner.gids, outer.gids)
                found.append(CapturedUser("", names[around], uids, gids))
    return found


def _ids_in(lines: IdLines, outer: IdLines) -> IdLines:
    """A map whose ids outside are ours, with those that the user namespace around it has for them."""
    return tuple(
        (inside + max(begin - outside, 0), first + max(outside - begin, 0),
         min(outside + count, begin + length) - max(outside, begin))
        for inside, outside, count in lines
        for first, begin, length in outer
        if outside < begin + length and begin < outside + count
    )  # fmt: skip


def settled_locks(tree: MountTree, locks: dict[int, Lock]) -> list[Lock]:
    """The locks by index in the tree, as a spec can say them: what is locked stands on what keeps its attributes.

    What the owner's own walks do not reach is as good as locked.
    """
    found: list[Lock] = []
    for index, row in enumerate(tree.rows):
        lock = locks.get(row.mount_id, "locked")
        parent = tree.parents[index]
        if lock == "locked" and (parent < 0 or not found[parent]):
            lock = "attributes"
        found.append(lock)
    return found
