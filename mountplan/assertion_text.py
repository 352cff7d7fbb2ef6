"""What pytest says of a failed `assert` about mounts: where to look, and what is there instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mountplan.mount_mapping import MountsByPath
from mountplan.planner.compare.difference import Difference
from mountplan.planner.tables.table import MountTable

if TYPE_CHECKING:
    from mountplan.planner.compare.difference import Drift


def explain_comparison(op: str, left: object, right: object) -> list[str] | None:
    """Lines for pytest_assertrepr_compare; None for what is not about mounts."""
    if op in ("in", "not in") and isinstance(left, str) and isinstance(right, MountsByPath):
        what = "nothing is mounted on" if op == "in" else "there is a mount on"
        return [f"{what} {left}", *repr(right).splitlines()]
    if op != "==":
        return None
    first, second = _mounts(left), _mounts(right)
    if first is not None and second is not None:
        return ["the mounts differ (first: left, second: right)", *_lines(first.differences(second), "left", "right")]
    for drift, other in ((left, right), (right, left)):
        if _is_drift(drift) and drift and other in ((), []):
            assert isinstance(drift, tuple)
            return ["what stands there is not what was wanted", *_lines(drift, "wanted", "found")]
    return None


def _mounts(value: object) -> MountsByPath | None:
    if isinstance(value, MountTable):
        return MountsByPath(value)
    return value if isinstance(value, MountsByPath) else None


def _is_drift(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, Difference) for one in value)


def _lines(drift: Drift, first: str, second: str) -> list[str]:
    from mountplan.planner.render.difference_text import NamedSide, differences_text

    return differences_text(drift, NamedSide(first, None), NamedSide(second, None)).splitlines()
