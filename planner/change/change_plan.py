"""ChangePlan: what is to be changed, in lines for people and in steps for the kernel, and what stands there then."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from mountplan.planner.change.change_steps import ChangeStep
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountTable

Sign: TypeAlias = Literal["+", "-", "~", "swap"]


class ChangeLine(NamedTuple):
    """One line of the preview. `layer` as in Difference; `notices` are the processes that will notice, in words."""

    sign: Sign
    namespace: str
    mount: str
    layer: str
    what: str
    reason: str
    origin: str
    notices: tuple[str, ...] = ()


class ChangeObstacle(NamedTuple):
    """Why a change is refused when it is planned, and what would allow it. Reasons are counted by their `kind`."""

    kind: str
    what: str
    remedy: str
    origin: str = ""


class ChangePlan(NamedTuple):
    """`asides` are what stays though the spec does not have it, and what else is worth telling. `spread` is what
    propagation does outside, in words. `tables` are the namespaces as they will be. Refused if there are `obstacles`.
    """

    label: str
    changes: tuple[ChangeLine, ...]
    asides: tuple[str, ...]
    obstacles: tuple[ChangeObstacle, ...]
    steps: tuple[ChangeStep, ...]
    tables: tuple[tuple[str, MountTable], ...]
    spread: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        return {sign: sum(one.sign == sign for one in self.changes) for sign in get_args(Sign)}
