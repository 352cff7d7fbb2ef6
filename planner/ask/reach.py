"""Does a mount at a path reach another namespace? If not: which mount is in the way, and what would have to change."""

from __future__ import annotations

from mountplan.planner.ask.explain import Effect, Explainer, Spot, spot_text
from mountplan.planner.model import ModelMount, WouldRefuse
from mountplan.planner.model.objects import ModelNode
from mountplan.planner.model.walking import into_mounts, walk
from mountplan.planner.record import NamedTuple


class Obstacle(NamedTuple):
    """Why a mount of the other namespace is not reached, and the way out; without a mount, why there is none."""

    spot: Spot | None
    why: str
    remedy: str


class Reach(NamedTuple):
    """What a mount at a place does in another namespace: what it does there, or what is in the way."""

    event: str
    other: str
    effects: tuple[Effect, ...]
    obstacles: tuple[Obstacle, ...]
    refused: str = ""


def reach(explainer: Explainer, path: str, other: str) -> Reach:
    """Whether a mount at `path`, in the subject of the explainer, reaches the namespace `other`, one of its tables."""
    answer = explainer.mount(path)
    effects = tuple(one for one in answer.effects if one.spot.namespace == other)
    if answer.refused:
        return Reach(answer.event, other, (), (), answer.refused)
    if effects:
        return Reach(answer.event, other, effects, ())
    return Reach(answer.event, other, (), tuple(_obstacles(explainer, path, other)))


def _obstacles(explainer: Explainer, path: str, other: str) -> list[Obstacle]:
    """One for each mount of the other namespace that shows the place; of those with the same reason, the first."""
    explainer.start_again()
    try:
        parent, node = into_mounts(*walk(explainer.process, path))
    except WouldRefuse as refusal:  # it was carried out before
        raise AssertionError from refusal
    here = explainer.process.namespace.name
    name = spot_text(explainer.spot(parent), here)
    showing = [one for one in explainer.mounts_in(other) if _shows(one, node)]
    if not showing:
        what = f"{parent.superblock.fstype} from {parent.source}"
        same = [one for one in explainer.mounts_in(other) if one.superblock is parent.superblock]
        if same:
            shown = spot_text(explainer.spot(same[0]), here)
            why = f"{other} has other parts of that filesystem only, at {shown} for one: {path} is not in them"
        else:
            why = f"{other} has no mount of the filesystem that {name} shows ({what})"
        return [Obstacle(None, why, f"give {other} a bind of {name}, or of a directory above {path} in it")]
    found: dict[str, Obstacle] = {}
    for one in showing:
        why, remedy = _between(explainer, parent, one, name, spot_text(explainer.spot(one), here))
        found.setdefault(why, Obstacle(explainer.spot(one), why, remedy))
    return list(found.values())


def _shows(mount: ModelMount, node: ModelNode) -> bool:
    return mount.superblock is node.superblock and node.is_within(mount.root)


def _between(explainer: Explainer, sender: ModelMount, other: ModelMount, here: str, there: str) -> tuple[str, str]:
    """Why events of `sender` do not come to `other`, and what to change."""
    anew = f"then give the other side a new bind of it in the place of {there}: what is a copy already stays as it is"
    if any(one.is_peer_of(other) or one is other for one in sender.masters()):
        group = explainer.number(other.group)
        why = f"{here} is a slave of group {group}, which {there} is in: events go from {there} to {here} and not back"
        both = "have both sides be peers (rshared in the place of rslave, Bidirectional of HostToContainer)"
        return why, f"{both}, made so before the one is a copy of the other"
    if not sender.group:
        why = f"{here} is {'unbindable' if sender.unbindable else 'private'}: nothing leaves it"
        if sender.master is not None:
            group = explainer.number(sender.master.group)
            why = f"{here} is a slave only: it receives from group {group}, and nothing leaves it"
        return why, f"mount --make-shared {here}, {anew}"
    number = explainer.number(sender.group)
    if not other.group and other.master is None:
        kind = "unbindable" if other.unbindable else "private"
        why = f"{there} is {kind}: nothing comes into it, though {here} sends to group {number}"
        return why, f"bind {here} anew in the place of {there}, and make that at most a slave (mount --make-slave)"
    above = [explainer.number(one.group) for one in other.masters()]
    belongs = f"in group {explainer.number(other.group)}" if other.group else f"a slave of group {above[0]}"
    belongs += f", which receives from group {above[0]}" if other.group and above else ""
    remedy = f"bind {here} anew in the place of {there}; or join its group by move_mount(2) with MOVE_MOUNT_SET_GROUP"
    return f"{there} is {belongs}: group {number}, to which {here} sends, is not above it", remedy
