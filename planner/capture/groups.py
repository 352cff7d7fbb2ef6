"""Group ids in mount tables -> the peer groups of a spec: named, with masters, with the host's among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mountplan.planner.capture.captured import CapturedGroup
from mountplan.planner.capture.naming import Names
from mountplan.planner.capture.widest import HostMounts
from mountplan.planner.paths import common_ancestor
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import MountRow

Mount = tuple[int, int]  # number of the namespace, index in its tree
_Key = tuple[int, int]  # group number, and, for the host's, the id of the host mount through which it is taken


class Sharing(NamedTuple):
    """Who is in which group: names by mount. `refused` are mounts whose sharing cannot be rebuilt, with the reason."""

    groups: tuple[CapturedGroup, ...]
    group_of: dict[Mount, str]
    master_of: dict[Mount, str]  # of mounts that are slaves and in no peer group
    refused: dict[Mount, str]


class _Groups:
    def __init__(
        self, trees: Sequence[MountTree], host: HostMounts, host_devices: frozenset[str],
        brought: Sequence[frozenset[int]],
    ) -> None:  # fmt: skip
        self.trees = trees
        self.brought = brought
        self.host = host
        self.host_devices = host_devices
        self.members: dict[int, list[Mount]] = {}
        self.masters: dict[int, int] = {}  # of groups, 0 for none
        self.slaves: dict[int, list[Mount]] = {}  # mounts that only receive, by their master
        self.spans: dict[int, str] = {}
        self.names = Names()
        self.named: dict[_Key, str] = {}
        self.failed: dict[int, str] = {}
        self.groups: dict[str, CapturedGroup] = {}
        self.group_of: dict[Mount, str] = {}
        self.master_of: dict[Mount, str] = {}
        self.refused: dict[Mount, str] = {}

    def find(self, seeds: Sequence[MountRow]) -> Sharing:
        hints = self._collect()
        for seed in seeds:
            if seed.master and seed.peer_group not in self.members:
                hints.setdefault(seed.peer_group, {})[seed.master] = None
        self._guess_masters(hints)
        self._find_spans()
        for space, index, row in self._rows():
            if row.peer_group:
                self._join((space, index), row)
            elif row.master:
                self._receive((space, index), row)
        return Sharing(tuple(self.groups.values()), self.group_of, self.master_of, self.refused)

    def _rows(self) -> Iterator[tuple[int, int, MountRow]]:
        """All mounts but those that recursive binds bring along, which say what those are."""
        for space, (tree, brought) in enumerate(zip(self.trees, self.brought, strict=True)):
            for index, row in enumerate(tree.rows):
                if index not in brought:
                    yield space, index, row

    def _collect(self) -> dict[int, dict[int, None]]:
        """Note which mounts are in which group. Returns what is known of the masters of groups not seen here."""
        hints: dict[int, dict[int, None]] = {}
        for space, index, row in self._rows():
            if row.peer_group:
                self.members.setdefault(row.peer_group, []).append((space, index))
                self.masters[row.peer_group] = row.master
            elif row.master:
                self.slaves.setdefault(row.master, []).append((space, index))
            if row.master and row.propagate_from:
                hints.setdefault(row.master, {})[row.propagate_from] = None
        return hints

    def _guess_masters(self, hints: dict[int, dict[int, None]]) -> None:
        """Find the masters of hidden groups. A hint names a group further up, though not the nearest in all cases."""
        numbers = (*self.masters.values(), *self.slaves)
        hidden = dict.fromkeys(number for number in numbers if number and number not in self.masters)
        self.masters |= dict.fromkeys(hidden, 0)
        for _ in range(2):  # one hidden group may be on the way from another one to its masters
            for number in hidden:
                above = [one for one in hints.get(number, {}) if one in self.masters]
                self.masters[number] = next(
                    (one for one in above if all(other == one or self._is_above(other, one) for other in above)),
                    above[0] if above else 0,
                )

    def _is_above(self, other: int, group: int) -> bool:
        seen = {group}
        while (group := self.masters.get(group, 0)) and group not in seen:
            if group == other:
                return True
            seen.add(group)
        return False

    def _find_spans(self) -> None:
        """The path that contains the roots of all members of a group and of all that receive from it."""
        depth: dict[int, int] = {}
        for number in self.masters:
            trail = []
            one = number
            while one and one not in depth:
                depth[one] = 0
                trail.append(one)
                one = self.masters.get(one, 0)
            level = depth[one] if one else 0
            for one in reversed(trail):
                level += 1
                depth[one] = level
        for number in sorted(depth, key=depth.__getitem__, reverse=True):
            roots = [self._root(mount) for mount in (*self.members.get(number, ()), *self.slaves.get(number, ()))]
            if number in self.spans:
                roots.append(self.spans[number])
            if not roots:
                continue
            span = roots[0]
            for root in roots[1:]:
                if root != span:
                    span = common_ancestor(span, root)
            self.spans[number] = span
            master = self.masters[number]
            if master:
                above = self.spans.get(master)
                self.spans[master] = span if above is None else common_ancestor(above, span)

    def _root(self, mount: Mount) -> str:
        return self.trees[mount[0]].rows[mount[1]].root.removesuffix("//deleted")

    def _join(self, mount: Mount, row: MountRow) -> None:
        if self.host.has_group(row.peer_group):
            name, reason = self._host_group(row.peer_group, self._root(mount))
        else:
            name, reason = self._group(row.peer_group, row.mountpoint, row.device)
        self._settle(self.group_of, mount, name, reason)

    def _settle(self, found: dict[Mount, str], mount: Mount, name: str, reason: str) -> None:
        if name:
            found[mount] = name
        else:
            self.refused[mount] = reason

    def _receive(self, mount: Mount, row: MountRow) -> None:
        name, reason = self._master(row.master, self._root(mount), row.mountpoint, row.device)
        self._settle(self.master_of, mount, name, reason)

    def _master(self, number: int, span: str, mountpoint: str, device: str) -> tuple[str, str]:
        """The name of a group that something with this span receives from, or "" and the reason why there is none."""
        if self.host.has_group(number):
            return self._host_group(number, span)
        if number in self.members:
            space, index = self.members[number][0]
            return self._group(number, self.trees[space].rows[index].mountpoint, device)
        return self._group(number, f"{mountpoint}-master" if mountpoint != "/" else "/root-master", device)

    def _host_group(self, number: int, span: str) -> tuple[str, str]:
        row = self.host.in_group(number, span)
        if row is None:
            what = f"no host mount of its peer group (or its master's) shows {span}"
            return "", f"{what}, so nothing can join it from there"
        key = (number, row.mount_id)
        if key not in self.named:
            name = self.named[key] = self.names.take(row.mountpoint, ("host",))
            self.groups[name] = CapturedGroup(name, "", row.mountpoint)
        return self.named[key], ""

    def _group(self, number: int, mountpoint: str, device: str) -> tuple[str, str]:
        """The name of a group of the spec's own, made known with its masters; or "" and the reason why it cannot be."""
        trail: list[str] = []
        first = number
        above = reason = ""
        while number:
            if number in self.failed:
                reason = self.failed[number]
                break
            if (number, 0) in self.named:
                above = self.named[number, 0]
                break
            span = self.spans[number]
            if device in self.host_devices and self.host.showing(device, span) is None:
                what = f"no mount on the host shows {span} of the filesystem"
                reason = f"{what}, which its peers and slaves have in common"
                break
            name = self.named[number, 0] = self.names.take(mountpoint)
            self.groups[name] = CapturedGroup(name, "", "")
            trail.append(name)
            number = self.masters[number]
            if number in self.members:
                space, index = self.members[number][0]
                mountpoint = self.trees[space].rows[index].mountpoint
            else:
                mountpoint = f"{mountpoint.rstrip('/') or '/root'}-master"
            if self.host.has_group(number):
                above, reason = self._host_group(number, span)
                break
        if reason:
            self.failed[first] = reason
            for name in trail:
                del self.groups[name]
            self.named = {key: name for key, name in self.named.items() if name in self.groups}
            return "", reason
        for name in reversed(trail):
            self.groups[name] = CapturedGroup(name, above, "")
            above = name
        return above, ""


def find_sharing(
    trees: Sequence[MountTree],
    host: HostMounts,
    host_devices: frozenset[str],
    seeds: Sequence[MountRow] = (),
    brought: Sequence[frozenset[int]] | None = None,
) -> Sharing:
    """The peer groups behind the group ids of these trees.

    `host_devices` are filesystems that are taken from the host; `seeds` are mounts outside of the trees which tell what
    the masters of groups are. `brought` are the mounts of each tree that recursive binds bring along.
    """
    return _Groups(trees, host, host_devices, brought or [frozenset() for _ in trees]).find(seeds)
