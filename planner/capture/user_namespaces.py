"""Owners of live mount namespaces -> the user namespaces of a spec, and what of their mounts is locked."""

from __future__ import annotations

from collections.abc import Sequence

from mountplan.planner.capture.captured import CapturedUser, Caution
from mountplan.planner.capture.groups import Sharing
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


class Owned(NamedTuple):
    """By namespace, what to write as `user`, and the locks by index in its tree; the sharing, with the groups that are
    across user namespaces marked; and what is to be said of it.
    """

    users: list[CapturedUser | None]
    locks: list[list[Lock]]
    sharing: Sharing
    cautions: list[Caution]


def find_owned(
    names: Sequence[str], owners: Sequence[Owner | None], trees: Sequence[MountTree],
    locks: Sequence[dict[int, Lock]], sharing: Sharing,
) -> Owned:  # fmt: skip
    """`locks` are those of each namespace by mount id."""
    cautions = []
    settled = [settled_locks(tree, locked) for tree, locked in zip(trees, locks, strict=True)]
    found = list(owners)
    for space, owner in enumerate(owners):
        if owner is not None and (reason := _why_not_owned(space, owner, trees[space], settled[space], sharing)):
            cautions.append(Caution(names[space], f"it belongs to a user namespace, and will not: {reason}"))
            found[space] = None
    of_groups: dict[str, set[int]] = {one.name: {0} if one.host else set() for one in sharing.groups}
    for (space, _), name in sharing.group_of.items():
        owner = found[space]
        of_groups[name].add(owner.inode if owner is not None else 0)
    across = {name for name, users in of_groups.items() if len(users) > 1}
    for name in sorted(across):
        what = f"peers in peer group {name} belong to several users: each can mount what appears with the others"
        cautions.append(Caution("", what))
    groups = tuple(one._replace(across=one.name in across) for one in sharing.groups)
    locked: list[list[Lock]] = [
        those if owner is not None else ["" for _ in those] for owner, those in zip(found, settled, strict=True)
    ]
    return Owned(_find_users(names, found), locked, sharing._replace(groups=groups), cautions)


def _why_not_owned(space: int, owner: Owner, tree: MountTree, locks: list[Lock], sharing: Sharing) -> str:
    if not owner.uids or not owner.gids:
        return "it has no ids"
    masters = {one.name: one for one in sharing.groups}
    members = set(sharing.group_of.values())
    for (where, _), name in (*sharing.group_of.items(), *sharing.master_of.items()):
        while where == space and name:
            if name not in members and not masters[name].host:
                return f"no mount is in peer group {name}, which nothing keeps alive for another user"
            name = masters[name].master
    for index, row in enumerate(tree.rows):
        # What was locked, and covered by what was locked, before it was shared or mounted on cannot be got at.
        free = any(locks[one] != "locked" for one in tree.below[index].values())
        changed = free or (space, index) in sharing.group_of
        if changed and locks[index] == "locked" and any(locks[one] == "locked" for one in tree.covers(index)):
            return f"{row.mountpoint} is shared or mounted on, and covered; all of that is locked"
    return ""


def _find_users(names: Sequence[str], owners: Sequence[Owner | None]) -> list[CapturedUser | None]:
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
