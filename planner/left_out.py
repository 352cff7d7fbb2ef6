"""LeftOut: a mount that a spec writes down, and that is not built."""

from __future__ import annotations

from mountplan.planner.record import NamedTuple


class LeftOut(NamedTuple):
    """`upon` is the target of the left-out mount that it stands on, and whose `reason` it has; "" if it is the spec
    that says why. `name` is what the mount would be called, `target` where it would be, "" for nowhere in the tree.
    """

    name: str
    namespace: str
    target: str
    reason: str
    upon: str
    origin: str
