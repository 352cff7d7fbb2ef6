"""The tmpfs that lies below the root of a built tree, where no path walk comes, and what is on it.

It holds members of groups that no visible mount is in, so that those who receive from them go on receiving; and it is
there if the root's own directory has been removed, which pivot_root(2) would not enter. A capture knows it again.
"""

from __future__ import annotations

from mountplan.planner.tables.table import UNTOLD, MountRow, MountTable

SOURCE = "mountplan"
OPTIONS: tuple[tuple[str, str | bool], ...] = (("size", "4k"), ("mode", "0000"))
_SHOWN = frozenset({"size=4k", "mode=000"})


def without_base(table: MountTable) -> tuple[MountTable, tuple[MountRow, ...]]:
    """The table of a namespace without such a base, and the seeds that are on that; unchanged if there is none."""
    try:
        base = table.root()
    except LookupError:
        return table, ()
    if base.fstype != "tmpfs" or base.source not in (SOURCE, UNTOLD) or not _SHOWN.issubset(base.options.split(",")):
        return table, ()
    on_it = [row for row in table.rows if row.parent_id == base.mount_id and row is not base]
    seeds = tuple(row for row in on_it if row.mountpoint[1:].isdecimal())
    parents = {row.parent_id for row in table.rows}
    if len(on_it) != len(seeds) + 1 or any(seed.mount_id in parents for seed in seeds):
        return table, ()
    gone = {base.mount_id, *(seed.mount_id for seed in seeds)}
    return MountTable(tuple(row for row in table.rows if row.mount_id not in gone)), seeds
