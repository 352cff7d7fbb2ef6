"""The sharing of a plan in words: who is whose peer, who receives from whom, and what can cross the border."""

from __future__ import annotations

from mountplan.planner.plan.plan import ExpectedGroup
from mountplan.planner.render.fitting import wrapped
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.words import listed, padded, visible, width

_MOST_GROUPS = 24


class _GroupMembers:
    """Who is in which group, and who receives from it."""

    def __init__(self, index: PlanIndex) -> None:
        self.peers: dict[str, list[str]] = {name: [] for name in index.groups}
        self.slaves: dict[str, list[str]] = {name: [] for name in index.groups}
        self.groups_below: dict[str, list[str]] = {name: [] for name in index.groups}
        self.inheriting: list[str] = []
        self.brought: list[str] = []  # what they bring along are peers of the host's
        many = len(index.roots) > 1
        for mount in index.mounts.values():
            place = visible(index.where[mount.name])
            if many:
                place = f"{index.namespace_of[mount.name]}:{place}"
            if mount.group:
                self.peers.setdefault(mount.group, []).append(place)
            elif mount.master:
                self.slaves.setdefault(mount.master, []).append(place)
            if mount.inherits or mount.brings == "slave":
                self.inheriting.append(place)
            elif mount.brings == "peer":
                self.brought.append(place)
        for group in index.groups.values():
            if group.master:
                self.groups_below.setdefault(group.master, []).append(group.name)


def sharing_lines(index: PlanIndex, *, fold: bool, room: int | None = None) -> list[str]:
    """Every group, then the border; one line if nothing propagates. `room` as in fitting.py."""
    members = _GroupMembers(index)
    groups = list(index.groups.values())
    shown = groups[:_MOST_GROUPS] if fold and len(groups) > _MOST_GROUPS + 1 else groups
    label = min(max((width(visible(group.name)) for group in shown), default=0), 24)
    lines = []
    for group in shown:
        sentences = _sentences(group, members)
        for at, sentence in enumerate(sentences):
            lines.append(f"{padded(visible(group.name) if at == 0 else '', label)}  {sentence}")
    if len(groups) > len(shown):
        lines.append(f"... {len(groups) - len(shown):,} more groups (--all shows them)")
    own = [part for line in lines for part in wrapped(line, room, hanging=0 if line[0] == " " else label + 2)]
    return own + [
        part for line in _border(index, members) for part in wrapped(line, room, hanging=2 if line[0] == " " else 0)
    ]


def _sentences(group: ExpectedGroup, members: _GroupMembers) -> list[str]:
    found = []
    peers, slaves, below = (of.get(group.name, []) for of in (members.peers, members.slaves, members.groups_below))
    if group.host:
        found.append(f"the host's peer group at {visible(group.host)}")
    if peers:
        joined = "joined by" if group.host else "peers:" if len(peers) > 1 else "one member:"
        found.append(f"{joined} {listed(peers)}")
    if group.master:
        found.append(f"receives from {visible(group.master)}")
    if below:
        found.append(f"passes on to {listed([visible(name) for name in below])}")
    if slaves:
        found.append(f"slaves: {listed(slaves)}")
    return found or ["no member"]


def _border(index: PlanIndex, members: _GroupMembers) -> list[str]:
    """What can cross the border of the namespaces. Everything that is not told here cannot."""
    lines = []
    for group in index.groups.values():
        if not group.host:
            continue
        host = visible(group.host)
        peers = members.peers.get(group.name)
        if peers:
            lines.append(f"mounts below {host} cross both ways: between the host and {listed(peers)}")
        inner = _receivers(group.name, members)
        if inner:
            lines.append(f"mounts made on the host below {host} arrive in {listed(inner)}; none leaves")
    if members.inheriting:
        lines.append(f"mounts made where the host is shared arrive below {listed(members.inheriting)}; none leaves")
    if members.brought:
        lines.append(
            f"mounts below the host's mounts that are brought along cross both ways: {listed(members.brought)}"
        )
    if not lines:
        nothing = "Nothing crosses the border to the host."
        return [nothing] if index.groups else [f"Every mount is private: nothing propagates. {nothing}"]
    return ["Across the border to the host:", *(f"  {line}" for line in lines)]


def _receivers(group: str, members: _GroupMembers) -> list[str]:
    """Every place that receives from `group` through any number of masters."""
    found: dict[str, None] = {}
    work, seen = [group], {group}
    while work:
        name = work.pop()
        found.update(dict.fromkeys(members.slaves.get(name, [])))
        for below in members.groups_below.get(name, []):
            found.update(dict.fromkeys(members.peers.get(below, [])))
            if below not in seen:
                seen.add(below)
                work.append(below)
    return list(found)
