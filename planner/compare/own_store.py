"""The store of kept names, which mountplan mounts on the host: a tree that was built before it was there lacks it.

So where a recursive bind would bring it along today, and what stands has been bound before, that is no difference.
"""

from __future__ import annotations

from collections.abc import Sequence

from mountplan.planner.compare.compare import counterparts
from mountplan.planner.plan.predict import Prediction
from mountplan.planner.tables.table import MountTable


def without_absent_store(
    predictions: Sequence[Prediction], tables: Sequence[MountTable], device: str
) -> tuple[Prediction, ...]:
    """Predictions without what is of the store's `device`, and on it, where the table beside it lacks that."""
    if not device:
        return tuple(predictions)
    return tuple(_without(one, table, device) for one, table in zip(predictions, tables, strict=True))


def _without(prediction: Prediction, table: MountTable, device: str) -> Prediction:
    rows = prediction.table.rows
    if not any(row.device == device for row in rows):
        return prediction
    there = {row.mount_id for row, _ in counterparts(prediction.table, table)}
    gone: set[int] = set()
    for row in rows:  # parents first
        if (row.device == device and row.mount_id not in there) or row.parent_id in gone:
            gone.add(row.mount_id)
    kept = [at for at, row in enumerate(rows) if row.mount_id not in gone]
    return prediction._replace(
        table=MountTable(tuple(rows[at] for at in kept)),
        origins=tuple(prediction.origins[at] for at in kept),
        names=tuple(prediction.names[at] for at in kept),
    )
