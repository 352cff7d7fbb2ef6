"""A predicted and an observed MountTable -> Drift: every difference, tied back to the spec."""

from __future__ import annotations

from typing import NamedTuple

from mountplan.planner.attributes import parse_shown
from mountplan.planner.options import differing_options
from mountplan.planner.predict import HOST_GROUPS, Prediction
from mountplan.planner.table import MountRow, MountTable


class Difference(NamedTuple):
    """One property of one mount: what was wanted, what is there. `mount` is its mountpoint."""

    mount: str
    prop: str
    wanted: str
    found: str
    origin: str
    remedy: str


Drift = tuple[Difference, ...]  # empty: what stands there is what was wanted


class Comparison:
    """Compares one or several namespaces. New devices and groups are equal up to one renaming for all of them."""

    def __init__(self) -> None:
        self._differences: list[Difference] = []
        self._devices: dict[str, str] = {}
        self._devices_back: dict[str, str] = {}
        self._groups: dict[int, int] = {0: 0}
        self._groups_back: dict[int, int] = {0: 0}
        self._options_seen: set[str] = set()

    def drift(self) -> Drift:
        return tuple(self._differences)

    def add(self, wanted: Prediction, found: MountTable) -> None:
        """Compare one namespace; costs a few look-ups a mount."""
        by_place = {(row.parent_id, row.mountpoint): row for row in found.rows}
        pairs: dict[int, MountRow] = {}  # predicted id -> observed mount
        matched: set[int] = set()
        try:
            root = found.root()
        except LookupError:
            self._differences.append(Difference("/", "mount", "a root", "nothing", "", ""))
            return
        for row, origin in zip(wanted.table.rows, wanted.origins, strict=True):
            if row.parent_id == 0:
                there: MountRow | None = root
            else:
                parent = pairs.get(row.parent_id)
                if parent is None:
                    continue  # its parent is missing, and that has been said
                there = by_place.get((parent.mount_id, row.mountpoint))
            if there is None:
                where = wanted.table.rows[row.parent_id - 1].mountpoint
                self._differences.append(
                    Difference(row.mountpoint, "mount", f"{row.fstype} on the mount at {where}", "no mount", origin, "")
                )
                continue
            pairs[row.mount_id] = there
            matched.add(there.mount_id)
            self._compare(row, there, origin, wanted)
        if len(matched) != len(found.rows):
            self._unexpected(found, matched)

    def _compare(self, row: MountRow, there: MountRow, origin: str, wanted: Prediction) -> None:
        if row.fstype != there.fstype:
            self._differ(row, "filesystem", row.fstype, there.fstype, origin)
        if row.root != there.root:
            self._differ(row, "root", row.root, there.root, origin)
        if row.attributes != there.attributes and parse_shown(row.attributes) != parse_shown(there.attributes):
            self._differ(row, "attributes", row.attributes, there.attributes, origin)
        if row.unbindable != there.unbindable:
            self._differ(row, "unbindable", str(row.unbindable), str(there.unbindable), origin)
        if row.device != there.device or row.device[0] == "=":
            self._same_device(row, there, origin)
        if (row.peer_group or there.peer_group) and not self._same_group(row.peer_group, there.peer_group):
            self._differ(row, "peer group", *self._shown(row.peer_group, there.peer_group), origin)
        if (row.master or there.master) and not self._same_group(row.master, there.master):
            self._differ(row, "master", *self._shown(row.master, there.master), origin)
        if row.device[0] == "=" and row.device not in self._options_seen:
            self._options_seen.add(row.device)
            if row.source and row.source != there.source:  # an image's is a loop device, whichever was free
                self._differ(row, "source", row.source, there.source, origin)
            for name, asked, shown in differing_options(row.fstype, wanted.options[row.device], there.options):
                self._differ(row, f"option {name}", asked, shown, origin)

    def _same_device(self, row: MountRow, there: MountRow, origin: str) -> None:
        if row.device[0] != "=":
            self._differ(row, "device", row.device, there.device, origin)
        elif self._devices.setdefault(row.device, there.device) != there.device:
            self._differ(row, "superblock", f"{row.device[1:]} ({self._devices[row.device]})", there.device, origin)
        elif self._devices_back.setdefault(there.device, row.device) != row.device:
            other = self._devices_back[there.device]
            self._differ(row, "superblock", "one of its own", f"the same as {other[1:]} ({there.device})", origin)

    def _same_group(self, wanted: int, found: int) -> bool:
        if wanted >= HOST_GROUPS:
            return wanted - HOST_GROUPS == found
        if wanted == 0 or found == 0:
            return wanted == found
        if wanted in self._groups or found in self._groups_back:
            return self._groups.get(wanted) == found
        self._groups[wanted] = found
        self._groups_back[found] = wanted
        return True

    def _shown(self, wanted: int, found: int) -> tuple[str, str]:
        if wanted >= HOST_GROUPS:
            known = str(wanted - HOST_GROUPS)
        else:
            known = "none" if wanted == 0 else str(self._groups.get(wanted, "one of its own"))
        return known, str(found or "none")

    def _differ(self, row: MountRow, prop: str, wanted: str, found: str, origin: str) -> None:
        self._differences.append(Difference(row.mountpoint, prop, wanted, found, origin, ""))

    def _unexpected(self, found: MountTable, matched: set[int]) -> None:
        by_id = found.by_id()
        for row in found.rows:
            if row.mount_id in matched:
                continue
            parent = by_id.get(row.parent_id)
            if parent is not None and parent.master:
                continue  # its parent is a slave: somebody outside mounted it meanwhile, as slaves are for
            self._differences.append(Difference(row.mountpoint, "mount", "none", row.fstype, "", ""))


def compare(predictions: tuple[Prediction, ...], tables: tuple[MountTable, ...]) -> Drift:
    """All differences between what was predicted and what was observed, namespace by namespace, in the same order."""
    comparison = Comparison()
    for wanted, found in zip(predictions, tables, strict=True):
        comparison.add(wanted, found)
    return comparison.drift()
