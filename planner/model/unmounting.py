"""Taking mounts away: the tree itself, what goes with it by propagation, and what is slid into a gap.

From fs/namespace.c (umount_tree, disconnect_mount) and fs/pnode.c (propagate_umount and its helpers, as they are since
Linux 6.17), with the proof in Documentation/filesystems/propagate_umount.txt. In that document's words: the set of
mounts that go must be "non-shifting" (what is mounted inside a mount that goes, goes too; only what covers its root
may stay, and sinks down) and "non-revealing" (a locked mount goes only together with its parent).
"""

from __future__ import annotations

from mountplan.planner.model import shifting
from mountplan.planner.model.objects import ModelMount, Place, detach, reattach, take_out
from mountplan.planner.model.peers import following, following_past, make_private_together, receivers
from mountplan.planner.model.rules import Rules


def unmount_tree(
    top: ModelMount,
    rules: Rules,
    *,
    propagate: bool = False,
    lazy: bool = True,
    connected: bool = False,
    further: list[tuple[ModelMount, Place]] | None = None,
) -> None:
    """Unmount `top` and all below it; with `propagate`, also their counterparts everywhere: `further` gets those.

    A lazy unmount leaves a locked mount, and with `connected` every mount, hanging below its parent, if that goes too.
    """
    if propagate:
        _unlock_counterparts(top)
    going = top.tree()
    for mount in going:
        mount.leaving = True
        if mount.namespace is not None:
            mount.namespace.mounts.pop(mount, None)
    for mount in going:
        if mount.parent is not None:
            mount.parent.children.pop(mount, None)
    if propagate:
        counterparts = _propagated(going) if rules.covers_stay_in_place else shifting.propagated(going)
        if further is not None:
            further += [(mount, (mount.parent, mount.mountpoint)) for mount in counterparts if mount.parent is not None]
        going += counterparts
    make_private_together(going, rules)
    for mount in going:
        mount.namespace = None
        parent = mount.parent
        if parent is None:
            continue
        if lazy and parent.leaving and (connected or mount.locked):
            parent.children[mount] = None
        else:
            detach(mount)


def is_busy(mount: ModelMount) -> bool:
    """Whether an unmount that is not lazy has to fail (propagate_mount_busy).

    A mount is busy if something is mounted in it or a process uses it, and so it is if a counterpart that would go with
    it is in use. A counterpart with other mounts in it stays, and makes nothing busy.
    """
    if mount.children or mount.users:
        return True
    parent = mount.parent
    if parent is None:
        return False
    for receiver in receivers(parent):
        other = receiver.above.get(mount.mountpoint)
        if other is None or (other.children and (len(other.children) > 1 or other.cover is None)):
            continue
        if other.users:
            return True
    return False


def _unlock_counterparts(mount: ModelMount) -> None:
    """Who may unmount a mount may unmount its counterparts: they are not locked any more (propagate_mount_unlock)."""
    assert mount.parent is not None
    for receiver in receivers(mount.parent):
        other = receiver.above.get(mount.mountpoint)
        if other is not None:
            other.locked = False


def _propagated(going: list[ModelMount]) -> list[ModelMount]:
    """What else goes, because it is the counterpart of one that goes; what stays on top of such a one has been moved.

    `going` is closed: it has all mounts below those it has.
    """
    candidates = _counterparts(going)
    if not candidates:
        return []
    further: list[ModelMount] = []
    undecided: dict[ModelMount, None] = dict.fromkeys(candidates)
    for mount in candidates:
        _trim(mount, undecided, further)
    while undecided:
        _leave_locked_behind(next(iter(undecided)), undecided, further)
    for mount in further:
        if mount.cover is not None and not mount.cover.leaving:
            _sink(mount.cover)
    return further


def _counterparts(going: list[ModelMount]) -> list[ModelMount]:
    """The mounts at the same place of a parent that receives from the parent of one that goes (gather_candidates).

    Those found last come first. They are marked as candidates.
    """
    found: list[ModelMount] = []
    for mount in going:
        if mount.candidate:
            continue
        mount.candidate = True
        parent = mount.parent
        assert parent is not None
        receiver = following(parent, parent)
        while receiver is not None:
            other = receiver.above.get(mount.mountpoint)
            if other is not None:
                if other.candidate:
                    # Met before: so were all that receive from where it hangs.
                    receiver = following_past(receiver, parent)
                    continue
                other.candidate = True
                if not other.leaving:
                    found.append(other)
            receiver = following(receiver, parent)
    for mount in going:
        mount.candidate = False
    found.reverse()
    return found


def _go(mount: ModelMount, further: list[ModelMount]) -> None:
    take_out(mount)
    further.append(mount)


def _drop(mount: ModelMount, undecided: dict[ModelMount, None]) -> None:
    mount.marked = False
    mount.candidate = False
    undecided.pop(mount, None)


def _trim(mount: ModelMount, undecided: dict[ModelMount, None], further: list[ModelMount]) -> None:
    """Take from the candidates what would shift the mounts inside it (trim_one)."""
    if not mount.candidate:
        _drop(mount, undecided)
        return
    staying = [child for child in mount.children if not child.candidate]
    goes = not staying and not mount.locked and not mount.children
    if staying:
        _trim_ancestors(mount)
    if goes or any(child is not mount.cover for child in staying):
        _drop(mount, undecided)
    if goes:
        _go(mount, further)


def _trim_ancestors(mount: ModelMount) -> None:
    """Something below `mount` stays; so does every ancestor, unless what hangs below it only covers its root."""
    parent = mount.parent
    while parent is not None and parent.candidate:
        if mount.marked:
            return
        mount.marked = True
        if mount is not parent.cover:
            parent.candidate = False
        mount, parent = parent, parent.parent


def _leave_locked_behind(mount: ModelMount, undecided: dict[ModelMount, None], further: list[ModelMount]) -> None:
    """Of a candidate and its ancestors, let those go whose going reveals nothing (handle_locked)."""
    if not mount.candidate:
        _drop(mount, undecided)
        return
    cutoff: ModelMount | None = mount
    one: ModelMount | None = mount
    while one is not None and one.candidate:
        _drop(one, undecided)
        if not one.locked:
            cutoff = one.parent
        one = one.parent
    if one is not None and one.leaving:
        cutoff = one
    one = mount
    while one is not cutoff:
        assert one is not None
        _go(one, further)
        one = one.parent


def _sink(mount: ModelMount) -> None:
    """`mount` stays, and covers a stack of mounts that go: it takes the place of the lowest of them (reparent)."""
    parent, mountpoint = mount.parent, mount.mountpoint
    while parent is not None and parent.leaving:
        mountpoint, parent = parent.mountpoint, parent.parent
    assert parent is not None
    reattach(mount, parent, mountpoint)
