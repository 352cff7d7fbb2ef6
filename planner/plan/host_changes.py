"""What a build that was refused may have changed on the host: what its mount table tells, and what the steps tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mountplan.planner.names import Handle
from mountplan.planner.plan.steps import MakeFilesystem, MakeMountpoint, MakeNode, MakeOverlay, Step
from mountplan.planner.tables.table import MountRow, MountTable

# What a mount can be changed in; its id, parent and mountpoint tell which one it is.
_CHANGEABLE = {
    "root": "root",
    "attributes": "attributes",
    "peer_group": "peer group",
    "master": "master",
    "unbindable": "unbindable",
    "fstype": "type",
    "device": "device",
    "source": "source",
    "options": "options of the filesystem",
}


def host_changes(before: MountTable, after: MountTable) -> tuple[str, ...]:
    """What has come, gone or changed, a line each; () if both are the same, but for their order."""
    old, new = set(before.rows), set(after.rows)
    if old == new:
        return ()
    earlier = {_place(row): row for row in before.rows if row not in new}
    lines = []
    for row in after.rows:
        if row in old:
            continue
        was = earlier.pop(_place(row), None)
        lines += [f"{row.mountpoint}: a mount has come: {row.fstype}"] if was is None else _changes(was, row)
    lines += [f"{row.mountpoint}: a mount is gone: {row.fstype}" for row in earlier.values()]
    return tuple(lines)


def _place(row: MountRow) -> tuple[int, int, str]:
    return row.mount_id, row.parent_id, row.mountpoint


def _changes(was: MountRow, row: MountRow) -> list[str]:
    pairs = zip(row._fields, was, row, strict=True)
    return [
        f"{row.mountpoint}: {_CHANGEABLE[field]}: was {then or 'none'}, is {now or 'none'}"
        for field, then, now in pairs
        if then != now and field in _CHANGEABLE
    ]


def steps_on_host(steps: Iterable[Step]) -> Iterator[tuple[int, Step]]:
    """The steps, each with its number, that make files where they stay when the plan's mounts are gone.

    That is in what the host has, in images and on devices. Whether they were there before, no step tells.
    """
    own: set[Handle] = set()
    for number, step in enumerate(steps, 1):
        if isinstance(step, MakeFilesystem):
            if step.fstype in ("tmpfs", "ramfs"):
                own |= {step.filesystem, step.mount}
        elif isinstance(step, MakeOverlay):
            if step.upper is None or step.upper.filesystem in own:
                own |= {step.filesystem, step.mount}
        elif isinstance(step, MakeNode):
            if step.careful and step.within not in own:
                yield number, step
        elif isinstance(step, MakeMountpoint) and step.within not in own:
            yield number, step
