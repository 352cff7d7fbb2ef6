"""Are mount tables equal, if ids of mounts, groups and devices may have other names?"""

from __future__ import annotations

from mountplan.planner.table import MountRow, MountTable

Field = str
_PLAIN: tuple[Field, ...] = ("mountpoint", "root", "attributes", "unbindable", "fstype", "source")
_NAMED: tuple[tuple[Field, str], ...] = (
    ("peer_group", "group"),
    ("master", "group"),
    ("propagate_from", "group"),
    ("device", "device"),
)


class Renaming:
    """Compares tables one after the other; what has been paired once stays paired."""

    def __init__(self) -> None:
        self._there: dict[tuple[str, object], object] = {("group", 0): 0}
        self._back: dict[tuple[str, object], object] = {("group", 0): 0}

    def differences(self, wanted: MountTable, found: MountTable) -> list[str]:
        """What is different, in words; both tables in the kernel's order, which is that of their making."""
        if len(wanted.rows) != len(found.rows):
            return [f"{_places(found)} instead of {_places(wanted)}"]
        ids = dict(zip((row.mount_id for row in wanted.rows), (row.mount_id for row in found.rows), strict=True))
        told = []
        for one, other in zip(wanted.rows, found.rows, strict=True):
            if ids.get(one.parent_id, other.parent_id) != other.parent_id:
                told.append(f"{other.mountpoint}: it hangs on another mount")
            told += self._row(one, other)
        return told

    def _row(self, one: MountRow, other: MountRow) -> list[str]:
        told = []
        for field in _PLAIN:
            wanted, found = getattr(one, field), getattr(other, field)
            if wanted != found:
                told.append(f"{other.mountpoint}: {field} is {found} instead of {wanted}")
        for field, sort in _NAMED:
            wanted, found = getattr(one, field), getattr(other, field)
            if (
                self._there.setdefault((sort, wanted), found) != found
                or self._back.setdefault((sort, found), wanted) != wanted
            ):
                told.append(f"{other.mountpoint}: {field} is another one ({found} for {wanted})")
        if one.options.split(",")[0] != other.options.split(",")[0]:
            told.append(f"{other.mountpoint}: the filesystem is {other.options.split(',')[0]}")
        return told


def _places(table: MountTable) -> str:
    return f"mounts at {', '.join(row.mountpoint for row in table.rows) or 'no place'}"
