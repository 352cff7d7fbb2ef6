"""The fields of the records in a plan file: of which types they are, and which of their values are not written."""

from __future__ import annotations

import sys

from mountplan.planner.light import Literal, remember
from mountplan.planner.plan.steps import STEP_TYPES
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NEVER = object()  # the zero of a field that is always written
KIND_OF: dict[type, str] = {cls: cls._field_defaults["kind"] for cls in STEP_TYPES}


class OriginLine(NamedTuple):
    """One entry of Plan.lines."""

    origin: str
    line: int


def is_text(hint: Any) -> bool:
    return hint is str or hint.__class__ is Literal


@remember
def hints_of(cls: Any) -> dict[str, Any]:
    """What typing.get_type_hints says of a NamedTuple, in a tenth of the time: each annotation is evaluated once.

    That time counts: it is most of what loading a small plan takes.
    """
    known = _EVALUATED.setdefault(cls.__module__, {})
    hints = {}
    for name, hint in cls.__annotations__.items():
        text = getattr(hint, "__forward_arg__", hint)
        if text not in known:
            known[text] = eval(text, vars(sys.modules[cls.__module__])) if isinstance(text, str) else text
        hints[name] = known[text]
    return hints


_EVALUATED: dict[str, dict[Any, Any]] = {}


@remember
def zeros_of(cls: Any) -> dict[str, Any]:
    """Field -> the value that is not written, in the order of the fields."""
    zeros: dict[str, Any] = {name: _zero(hint) for name, hint in hints_of(cls).items()}
    if cls in KIND_OF:
        zeros["kind"] = KIND_OF[cls]
    return zeros


def _zero(hint: Any) -> Any:
    if getattr(hint, "__origin__", None) is tuple:
        return () if hint.__args__[-1] is Ellipsis else NEVER
    if hint.__class__ is Literal:
        return "" if "" in hint.__args__ else NEVER
    return hint() if hint in (str, int, bool) else NEVER
