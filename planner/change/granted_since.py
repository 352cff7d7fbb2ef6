"""What the superblocks of a tree that was changed have been granted: those that the change made, and those that stood.

As for a build (planner/compare/superblocks.py), what the kernel took is no difference, in whatever form it shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mountplan.planner.change import change_steps as c
from mountplan.planner.compare.compare import counterparts
from mountplan.planner.compare.difference import Difference, Drift
from mountplan.planner.compare.view import Granted, View
from mountplan.planner.names import Handle
from mountplan.planner.tables.options import unlike_shown
from mountplan.planner.tables.table import MountTable


def granted_since(
    pairs: Iterable[tuple[View, MountTable]],
    before: Mapping[str, Granted],
    stood: frozenset[str],
    steps: Iterable[c.ChangeStep],
    present: Sequence[Handle],
) -> tuple[dict[str, Granted], Drift]:
    """By device: what was asked of superblocks and they have taken, and what they show now; and which options those of
    `present` do not have, which may have been there before they were asked for them.

    `pairs` are what was wanted and what stands now, `before` what had been granted before the change, `stood` the
    devices of all that stood then.
    """
    taken: dict[Handle, str] = {}
    changed: dict[str, set[str]] = {}  # by device
    for step in steps:
        if isinstance(step, c.TakeLive):
            taken[step.filesystem] = step.device
        elif isinstance(step, c.Reconfigure):
            changed.setdefault(taken[step.filesystem], set()).update(name for name, _ in step.options)
    shared = {f"={name}" for name in present}
    options: dict[str, Granted] = {}
    drift: list[Difference] = []
    for view, table in pairs:
        asked = view.asked or {}
        origins = dict(zip((row.mount_id for row in view.table.rows), view.origins, strict=False))
        for row, there in counterparts(view.table, table):
            if row.device not in asked or row.fstype != there.fstype or there.device in options:
                continue
            if row.device in shared:
                drift += [
                    Difference(row.mountpoint, f"option {name}", wish, shown, origins.get(row.mount_id, ""), "")
                    for name, wish, shown in unlike_shown(row.fstype, asked[row.device], there.options)
                ]
            elif there.device in before:
                names = changed.get(there.device, set())
                options[there.device] = _changed(before[there.device], Granted(asked[row.device], there.options), names)
            elif there.device not in stood:
                options[there.device] = Granted(asked[row.device], there.options)
    return options, tuple(drift)


def _changed(before: Granted, now: Granted, names: set[str]) -> Granted:
    """`before`, but for the options of these names."""
    if not names:
        return before
    if names & {"ro", "rw"}:
        names = names | {"ro", "rw"}
    asked = [pair for pair in before.asked if pair[0] not in names] + [pair for pair in now.asked if pair[0] in names]
    shown = [one for one in before.shown.split(",") if one.partition("=")[0] not in names]
    shown += [one for one in now.shown.split(",") if one.partition("=")[0] in names]
    return before._replace(asked=tuple(asked), shown=",".join(shown))
