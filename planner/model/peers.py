"""Peer groups and masters: who receives from whom, in which order, and what make-shared and its sisters do to that.

From fs/pnode.c and Documentation/filesystems/sharedsubtree.rst, section 5 ("Detailed semantics") and 8
("Implementation"). "Propagation tree" is that document's word for a mount's peers, their slaves, the slaves' peers and
so on: all that sees what is mounted in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from mountplan.planner.model.objects import ModelMount, Numbers
from mountplan.planner.model.rules import Rules

Kind = Literal["shared", "slave", "private", "unbindable"]
KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}


def join_ring(mount: ModelMount, after: ModelMount) -> None:
    """Make `mount` the peer that comes next after `after`."""
    mount.peer_before = after
    mount.peer_next = after.peer_next
    after.peer_next.peer_before = mount
    after.peer_next = mount


def leave_ring(mount: ModelMount) -> None:
    mount.peer_before.peer_next = mount.peer_next
    mount.peer_next.peer_before = mount.peer_before
    mount.peer_next = mount.peer_before = mount


def add_slave_first(mount: ModelMount, master: ModelMount) -> None:
    """Put `mount` at the head of the master's list of slaves."""
    mount.slave_before = None
    mount.slave_next = master.slave_first
    if master.slave_first is not None:
        master.slave_first.slave_before = mount
    master.slave_first = mount
    mount.master = master


def add_slave_behind(mount: ModelMount, other: ModelMount) -> None:
    """Make `mount` a slave of the master of `other`, right behind it in the list."""
    mount.slave_before = other
    mount.slave_next = other.slave_next
    if other.slave_next is not None:
        other.slave_next.slave_before = mount
    other.slave_next = mount
    mount.master = other.master


def remove_slave(mount: ModelMount) -> None:
    """Take a mount from its master's list; `master` itself stays as it is."""
    if mount.slave_before is not None:
        mount.slave_before.slave_next = mount.slave_next
    elif mount.master is not None and mount.master.slave_first is mount:
        mount.master.slave_first = mount.slave_next
    if mount.slave_next is not None:
        mount.slave_next.slave_before = mount.slave_before
    mount.slave_before = mount.slave_next = None


def hand_over_slaves(mount: ModelMount, heir: ModelMount | None) -> None:
    """All slaves of `mount` become slaves of `heir`, before those it has; without an heir they have no master any more.

    Linux 6.17, transfer_propagation. A slave's copies of what the master shows stay where they are.
    """
    slaves = list(mount.slaves())
    for slave in slaves:
        slave.master = heir
        if heir is None:
            slave.slave_before = slave.slave_next = None
    if heir is not None and slaves:
        slaves[-1].slave_next = heir.slave_first
        if heir.slave_first is not None:
            heir.slave_first.slave_before = slaves[-1]
        heir.slave_first = mount.slave_first
    mount.slave_first = None


def set_shared(mount: ModelMount) -> None:
    """Mark a mount as shared; it is not unbindable any more then (set_mnt_shared)."""
    mount.shared = True
    mount.unbindable = False


def invent_groups(mounts: Iterable[ModelMount], numbers: Numbers) -> None:
    """Give a group of its own to each mount that has none (invent_group_ids)."""
    for mount in mounts:
        if not mount.group:
            mount.group = next(numbers.groups)


def forget_invented_groups(mounts: Iterable[ModelMount]) -> None:
    """Take back what invent_groups gave, where nothing came of it (cleanup_group_ids)."""
    for mount in mounts:
        if mount.group and not mount.shared:
            mount.group = 0


def change_kind(mount: ModelMount, kind: Kind, rules: Rules) -> None:
    """make-shared, make-slave, make-private or make-unbindable of one mount (change_mnt_propagation).

    sharedsubtree.rst, 5a: a shared mount that is made a slave gets one of its former peers as master; its own slaves go
    to that peer as well. Where it was the last of its group, it and its slaves get the group's master, if there is one.
    For `shared` the caller has to have given the mount a group. A slave that was unbindable remains so.
    """
    if kind == "shared":
        set_shared(mount)
        return
    heir = mount.master
    if mount.shared:
        if mount.peer_next is not mount:
            heir = _successor(mount, rules)
            leave_ring(mount)
        mount.group = 0
        mount.shared = False
        hand_over_slaves(mount, heir)
    remove_slave(mount)
    mount.master = None
    if kind == "slave":
        if heir is not None:
            add_slave_first(mount, heir)
    else:
        mount.unbindable = kind == "unbindable"


def _successor(mount: ModelMount, rules: Rules) -> ModelMount:
    if rules.slave_prefers_same_root:
        for peer in mount.peers():
            if peer is not mount and peer.root is mount.root:
                return peer
    return mount.peer_next


def make_private_together(mounts: list[ModelMount], rules: Rules) -> None:
    """All of these mounts, which are being unmounted, leave the propagation graph (Linux 6.17, bulk_make_private).

    Their slaves go to the next peer that stays, or else up to the nearest master that stays, or else become private.
    """
    if not rules.leave_together:
        for mount in mounts:
            change_kind(mount, "private", rules)
        return
    for mount in mounts:
        if not mount.marked:
            _point_at_heir(mount, _trace_heir(mount))
    for mount in mounts:
        hand_over_slaves(mount, mount.master)
        mount.master = None
        mount.marked = False


def _trace_heir(mount: ModelMount) -> ModelMount | None:
    """Walk on from `mount`, peer by peer and then up, to the first one that stays; those on the way leave their rings.

    Each of them is left with the next one as its "master", so that the way is there for _point_at_heir.
    """
    while True:
        following = mount.peer_next if mount.peer_next is not mount else mount.master
        leave_ring(mount)
        remove_slave(mount)
        mount.master = following
        mount.group = 0
        mount.shared = False
        mount.marked = True
        if following is None or not following.leaving:
            return following
        if following.marked:
            return following.master
        mount = following


def _point_at_heir(mount: ModelMount, heir: ModelMount | None) -> None:
    while mount.master is not heir:
        following = mount.master
        mount.master = heir
        assert following is not None
        mount = following


def following(mount: ModelMount, origin: ModelMount) -> ModelMount | None:
    """The mount after `mount` in the propagation tree of `origin`, slaves first (propagation_next)."""
    if mount.slave_first is not None and not mount.is_new:
        return mount.slave_first
    return following_beside(mount, origin)


def following_beside(mount: ModelMount, origin: ModelMount) -> ModelMount | None:
    """The same, but without going down to the slaves of `mount`."""
    while True:
        if mount.master is origin.master:
            beside = mount.peer_next
            return None if beside is origin else beside
        if mount.slave_next is not None:
            return mount.slave_next
        assert mount.master is not None
        mount = mount.master


def following_past(mount: ModelMount, origin: ModelMount) -> ModelMount | None:
    """The first one after `mount` that does not receive from it (skip_propagation_subtree)."""
    found = following_beside(mount, origin)
    while found is not None and found.is_peer_of(mount):
        found = following_beside(found, origin)
    return found


def following_group(mount: ModelMount, origin: ModelMount) -> ModelMount | None:
    """One member of the next peer group in the propagation tree of `origin`; `mount` is where the last one began.

    Peers that are slaves of one mount stand next to each other in its list of slaves (next_group).
    """
    while True:
        while True:
            if mount.slave_first is not None and not mount.is_new:
                return mount.slave_first
            beside = mount.peer_next
            if mount.group == origin.group:
                if beside is origin:
                    return None
            elif mount.slave_next is not beside:
                break
            mount = beside
        # `mount` is the last of its group in the list of slaves: on to the next slave, or up.
        while True:
            master = mount.master
            assert master is not None
            if mount.slave_next is not None:
                return mount.slave_next
            mount = master.peer_next
            if master.group == origin.group:
                break
            if master.slave_next is mount:
                break
            mount = master
        if mount is origin:
            return None


def receivers(mount: ModelMount) -> list[ModelMount]:
    """All mounts, but `mount` itself, in which something would appear that is mounted in `mount`."""
    found = []
    one = following(mount, mount)
    while one is not None:
        found.append(one)
        one = following(one, mount)
    return found


def would_cover(origin: ModelMount, mount: ModelMount, mountpoint: object) -> bool:
    """Whether what is mounted at `mountpoint` in `origin` would propagate onto the root of `mount`.

    Linux 6.5, propagation_would_overmount: asked before something is mounted beneath.
    """
    if not origin.shared or mount.root is not mountpoint:
        return False
    return any(one.is_peer_of(origin) for one in (mount, *mount.masters()))
