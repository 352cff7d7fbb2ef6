"""What else goes when mounts are unmounted, before Linux 6.17 (propagate_umount in fs/pnode.c, 4.13 to 6.16).

Counterparts go one by one as they are met, and with each its parent, if that is a counterpart as well and nothing that
stays is mounted in it. What had covered the root of one that goes slides down to where the lowest of them stood, even
if it was mounted inside another one and so comes to another path: that is what Linux 6.17 mended.
"""

from __future__ import annotations

from mountplan.planner.model.objects import ModelMount, Place, reattach, take_out
from mountplan.planner.model.peers import following


def propagated(going: list[ModelMount]) -> list[ModelMount]:
    """The counterparts of `going` that go with them; what stays on top of such a one has been moved.

    `going` is closed: it has all mounts below those it has.
    """
    round_ = _Round()
    for mount in reversed(going):
        if mount not in round_.met and mount not in round_.staying:
            round_.met[mount] = None
            assert mount.parent is not None
            round_.visit((mount.parent, mount.mountpoint))
    round_.take_children_along()
    round_.restore()
    return round_.further


class _Round:
    """One unmount. A mount is in `met` or in `staying`, or in none; both together are the kernel's mnt_umounting."""

    def __init__(self) -> None:
        # Those that go anyway: what receives from where they hang has been visited.
        self.met: dict[ModelMount, None] = {}
        self.staying: dict[ModelMount, None] = {}  # locked, or with something in it; or the cover of one that goes
        self.further: list[ModelMount] = []

    def visit(self, place: Place) -> None:
        """What hangs at the same place of all that receives from a parent (the first half of propagate_umount)."""
        parent, mountpoint = place
        receiver = following(parent, parent)
        while receiver is not None:
            child = receiver.above.get(mountpoint)
            if child is not None and (child in self.met or child in self.staying):
                # Met before: so were all that receive from where it hangs.
                last = None if receiver.is_new else _last(receiver)
                receiver = following(last or receiver, parent)
                continue
            if child is not None and child.leaving:
                self.met[child] = None
            elif child is not None:
                self._try_with_parents(child)
            receiver = following(receiver, parent)

    def _try_with_parents(self, mount: ModelMount) -> None:
        one: ModelMount | None = mount
        while one is not None and self._try(one):
            one = one.parent
            if one not in self.met and one not in self.staying:
                return

    def _try(self, mount: ModelMount) -> bool:
        """Whether the parent may be able to go by now, as this one is out of its way (__propagate_umount)."""
        if mount.leaving or mount.marked:
            return False
        for child in mount.children:
            in_its_way = child not in self.met and child not in self.staying
            if child.mountpoint is not mount.root and (in_its_way or not child.marked):
                self._stay(mount)
                return False
        mount.marked = True
        if mount.locked:
            self._stay(mount)
        else:
            self._go(mount)
        return True

    def _stay(self, mount: ModelMount) -> None:
        self.met.pop(mount, None)
        self.staying.pop(mount, None)
        self.staying[mount] = None

    def _go(self, mount: ModelMount) -> None:
        self.met.pop(mount, None)
        self.staying.pop(mount, None)
        mount.marked = False
        take_out(mount)
        self.further.append(mount)

    def take_children_along(self) -> None:
        """What is still mounted in one that goes is locked, and goes too; but its cover stays (umount_list)."""
        for mount in self.further:  # which grows meanwhile
            for child in list(mount.children):
                if child.mountpoint is mount.root:
                    self._stay(child)
                else:
                    self._go(child)

    def restore(self) -> None:
        """What stays takes the place of the lowest of those below it that go (restore_mounts)."""
        for mount in self.staying:
            mount.marked = False
            mountpoint, parent = mount.mountpoint, mount.parent
            while parent is not None and parent.leaving:
                mountpoint, parent = parent.mountpoint, parent.parent
            if parent is not None and parent is not mount.parent:
                reattach(mount, parent, mountpoint)


def _last(mount: ModelMount) -> ModelMount | None:
    """The last of its slaves (last_slave): a walk that goes on from there has passed the others."""
    return next(reversed(list(mount.slaves())), None)
