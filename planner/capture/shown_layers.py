"""Overlays: their options -> the directories that they are made of."""

from __future__ import annotations

from mountplan.planner.capture.regiven import parse_options
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mount_facts import LiveOverlay
from mountplan.planner.tables.options import lower_and_data, unescaped_layer
from mountplan.planner.tables.table import MountRow


class Directories(NamedTuple):
    """The paths that an overlay shows; "" for the upper and the work directory if it is read-only."""

    lower: tuple[str, ...]
    upper: str
    work: str
    data: tuple[str, ...] = ()  # layers that hold data only, below the lower ones

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them; first the one from which the root of the overlay is taken."""
        return (*((self.upper, self.work) if self.upper else ()), *self.lower, *self.data)

    def of(self, row: MountRow, space: int, places: tuple[str, ...] = ()) -> LiveOverlay:
        """What is asked about the overlay of a mount in that namespace."""
        inner, changes = row.root.strip("/"), bool(self.upper)
        return LiveOverlay(row.device, space, row.mount_id, self.paths, changes, inner, places, len(self.data))


def shown_directories(options: str) -> Directories | str:
    """The directories, as paths; or why they cannot be given again."""
    shown = parse_options(options)
    lower, data = lower_and_data(shown.values("lowerdir"))
    lower += shown.values("lowerdir+")
    data += shown.values("datadir+")
    upper, work = shown.values("upperdir"), shown.values("workdir")
    if not lower:
        return "the kernel does not tell what it is made of"
    # mount(2) takes them with backslashes before commas and colons, and they are shown as they were given.
    is_one_text = bool(shown.values("lowerdir"))
    top, beside = (unescaped_layer(one[0]) if one and is_one_text else one[0] if one else "" for one in (upper, work))
    return Directories(tuple(lower), top, beside, tuple(data))
