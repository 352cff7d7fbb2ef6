"""View: one mount namespace as one side of a comparison has it."""

from __future__ import annotations

from mountplan.planner.names import IdMapping
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mountplan.planner.tables.options import Pairs


class Granted(NamedTuple):
    """What was asked of a superblock that had taken it, and what it showed then; `defaults` are those of tmpfs that
    are not shown, as they were then: "" if that is not known.
    """

    asked: Pairs
    shown: str
    defaults: str = ""


class View(NamedTuple):
    """`asked` is None if the rows are what a kernel showed. Otherwise they are predicted, and it says which options
    were asked of each new superblock, by device; `origins` has the part of the spec that each row is from.

    `idmaps` has the id-mapping of each mount that has one, by its id; None if not known. `groups` are names for ids
    of groups, as far as there are some. `ids` are those of the user namespace that owns it, as with_ids_inside() takes
    them; None if they are the machine's, which a kernel shows in options wherever it is asked.

    `present` are the devices of those superblocks in `asked` that may have been there before what is predicted was
    built; None if it was not just built. `granted` tells of superblocks, by device, how they were when they were kept.

    `images` tells of sources that are loop devices which bytes of which file are behind them: device and inode, offset,
    size.
    """

    namespace: str
    table: MountTable
    origins: Sequence[str] = ()
    asked: Mapping[str, Pairs] | None = None
    idmaps: Mapping[int, IdMapping] | None = None
    groups: Mapping[int, str] = {}
    ids: IdMapping | None = None
    present: frozenset[str] | None = None
    granted: Mapping[str, Granted] = {}
    images: Mapping[str, tuple[int, int, int, int]] = {}

    def inside(self) -> View:
        """The same with the ids in options as they are inside, which is how a spec gives them."""
        if self.ids is None:
            return self
        from mountplan.planner.tables.options import with_ids_inside

        rows = (row._replace(options=with_ids_inside(row.options, *self.ids)) for row in self.table.rows)
        granted = {
            device: one._replace(shown=with_ids_inside(one.shown, *self.ids)) for device, one in self.granted.items()
        }
        return self._replace(table=MountTable(tuple(rows)), granted=granted, ids=None)
