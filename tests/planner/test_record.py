"""Named tuples that are made in less time are named tuples."""

from __future__ import annotations

import copy
import pickle

from mountplan.planner.table import MountRow


def test_a_record_comes_whole_through_pickle_and_copy() -> None:
    """Programs hand mount rows from one process to another: Tree.call does."""
    row = MountRow(1, 0, "0:1", "/", "/", "rw", 0, 0, 0, False, "tmpfs", "tmpfs", "rw")
    for other in (pickle.loads(pickle.dumps(row)), copy.copy(row), copy.deepcopy(row)):
        assert (MountRow, row) == (type(other), other)
