"""What stands in all mount namespaces of the machine: where an arrival may be from."""

from __future__ import annotations

from mountplan.planner.compare.arrivals import Surroundings


def surroundings() -> Surroundings:
    """As far as this user may look; it takes a look at each process, and so some time."""
    from mountplan.applier.keep.inhabited import everyone_else

    ages: dict[int, int] = {}
    tables = []
    for one in everyone_else(set(), aged=True):
        tables.append(one.table)
        ages |= one.ages
    return Surroundings(tuple(tables), ages)
