"""What ids of groups and devices mean to another side than the one that gave them."""

from __future__ import annotations

from mountplan.planner.light import Generic, TypeVar
from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

Id = TypeVar("Id", int, str)
Number: TypeAlias = "Callable[[Id], Id | None]"


class Sense(NamedTuple, Generic[Id]):
    """What the ids of one side mean.

    `number` is the kernel's number of an id, None for one of what is still to be made. `certain` is the same, but None
    also where the number says nothing to the other side: then the id may be any.
    """

    number: Number[Id]
    certain: Number[Id]
