"""Are mount tables the same but for the numbers in them? Those of mounts, peer groups and devices are the kernel's."""

from __future__ import annotations

from collections.abc import Sequence

from mountplan.planner.tables.table import MountRow


class SameRows:
    """Compares tables row by row, groups and devices renamed alike in all; of options, only whether it is read-only."""

    def __init__(self) -> None:
        self.groups: dict[int, int] = {0: 0}
        self.groups_back: dict[int, int] = {0: 0}
        self.devices: dict[str, str] = {}
        self.devices_back: dict[str, str] = {}

    def equal(self, expected: Sequence[MountRow], found: Sequence[MountRow]) -> bool:
        if len(expected) != len(found):
            return False
        ids = {one.mount_id: other.mount_id for one, other in zip(expected, found, strict=True)}
        there = set(ids.values())
        groups, groups_back, devices, devices_back = self.groups, self.groups_back, self.devices, self.devices_back
        for one, other in zip(expected, found, strict=True):
            if not (
                one.mountpoint == other.mountpoint
                and one.root == other.root
                and one.attributes == other.attributes
                and one.unbindable == other.unbindable
                and one.fstype == other.fstype
                and one.source == other.source
                # A parent that cannot be seen from the root is in no table.
                and ids.get(one.parent_id, 0) == (other.parent_id if other.parent_id in there else 0)
                and groups.setdefault(one.peer_group, other.peer_group) == other.peer_group
                and groups_back.setdefault(other.peer_group, one.peer_group) == one.peer_group
                and groups.setdefault(one.master, other.master) == other.master
                and groups_back.setdefault(other.master, one.master) == one.master
                and groups.setdefault(one.propagate_from, other.propagate_from) == other.propagate_from
                and groups_back.setdefault(other.propagate_from, one.propagate_from) == one.propagate_from
                and devices.setdefault(one.device, other.device) == other.device
                and devices_back.setdefault(other.device, one.device) == one.device
                and one.options[:2] == other.options[:2]
            ):
                return False
        return True
