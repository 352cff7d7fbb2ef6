"""View: one mount namespace as one side of a comparison has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from mountplan.planner.options import Pairs
from mountplan.planner.record import NamedTuple
from mountplan.planner.table import MountTable

IdLines: TypeAlias = tuple[tuple[int, int, int], ...]
IdMap: TypeAlias = tuple[IdLines, IdLines]  # of users, of groups


class View(NamedTuple):
    """`asked` is None if the rows are what a kernel showed. Otherwise they are predicted, and it says which options
    were asked of each new superblock, by device; `origins` has the part of the spec that each row is from.

    `idmaps` has the id-mapping of each mount that has one, by its id; None if nobody knows. `groups` are names for ids
    of groups, as far as there are some.
    """

    namespace: str
    table: MountTable
    origins: tuple[str, ...] = ()
    asked: Mapping[str, Pairs] | None = None
    idmaps: Mapping[int, IdMap] | None = None
    groups: Mapping[int, str] = {}
