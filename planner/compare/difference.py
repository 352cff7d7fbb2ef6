"""Difference and Drift: what a comparison comes to."""

from __future__ import annotations

from mountplan.planner.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


class Difference(NamedTuple):
    """One property of one mount: what was wanted, what is there.

    `mount` is its mountpoint, "" if it is about the whole. `layer` says which, if several stand there: "2 of 3",
    counted from below. `origin` is the part of the spec that it is from, `found_origin` that of the other side, if that
    is a spec as well. `namespace` is "" if there is only one. `unknown` if the kernel does not say
    enough to tell whether it should be so.
    """

    mount: str
    prop: str
    wanted: str
    found: str
    origin: str
    remedy: str
    namespace: str = ""
    layer: str = ""
    found_origin: str = ""
    unknown: bool = False


Drift: TypeAlias = tuple[Difference, ...]  # empty: what is there is what was wanted


class Judged(NamedTuple):
    """What a comparison comes to: differences, and what is none but worth telling.

    `notices` are options that the kernel took and shows in another form; `arrivals` are mounts that propagation has
    brought to where the spec lets it come.
    """

    drift: Drift = ()
    notices: Drift = ()
    arrivals: Drift = ()
