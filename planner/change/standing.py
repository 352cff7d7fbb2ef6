"""What stands, as planning a change of it needs to know it. All of it is observed by others, and handed in."""

from __future__ import annotations

from mountplan.planner.names import Handle, IdMapping
from mountplan.planner.plan.plan import Plan
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mount_facts import OverlayLayer
from mountplan.planner.tables.table import MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from mountplan.planner.names import Lock


class User(NamedTuple):
    """A process that has something of a mount: its words are `working directory`, `2 open files`, `root` and so on."""

    pid: int
    command: str
    has: tuple[str, ...]
    root: bool  # its root is there
    writes: bool  # it has a file open for writing

    def __str__(self) -> str:
        return f"{self.command or 'process'} ({self.pid}): {', '.join(self.has)}"


class StandingSpace(NamedTuple):
    """One namespace that is to be changed. `users` are those of each mount, by its id in mountinfo.

    `locks` says of mounts, by id, what the owner of the namespace cannot undo. `idmaps` as in View.
    """

    name: str
    table: MountTable
    users: Mapping[int, tuple[User, ...]] = {}
    locks: Mapping[int, Lock] = {}
    idmaps: Mapping[int, IdMapping] | None = None


class Record(NamedTuple):
    """What the tree was made from, and the device of each filesystem of that plan.

    `shown` has the options that each device showed then, `defaults` is as in Granted. `begun` is what an interrupted
    change was to make of it: files may be as that says. `files` has, of declared files by filesystem and path, in which
    way they are not as they were declared, in words; `occupied`, of files that are to come, in which way what is there
    already is not what they are.
    """

    plan: Plan
    devices: Mapping[Handle, str]
    shown: Mapping[str, str] = {}
    defaults: str = ""
    begun: Plan | None = None
    files: Mapping[tuple[Handle, str], str] = {}
    occupied: Mapping[tuple[Handle, str], str] = {}


class StandingOverlay(NamedTuple):
    """The directories of an overlay that stands: the lower ones, of which the last `data` have data only, and the upper
    and the work directory, if it has them. One that is not found has no device, and the path that the overlay shows.
    """

    lower: tuple[OverlayLayer, ...]
    changes: tuple[OverlayLayer, ...]
    data: int = 0
    is_mapped: bool = False  # whether some are seen through an id-mapping, of which nothing is told


class StandingTree(NamedTuple):
    """All of it. `outside` are the tables of other namespaces by their names, and `host` that of our own.

    `ages` are as in Surroundings. `beneath` says whether the kernel has MOVE_MOUNT_BENEATH. `store` is the device of
    the store of kept names, which mountplan has mounted on the host (planner/compare/own_store.py). `ids` as
    with_inner_ids() takes them; None if those of a spec are the same in there. `overlays` are by device; `layers` says
    where the paths of the host lead by now that the overlays of the plan are to be made of. `images` are pairs: a
    device, and a filesystem of the plan that is to be made of the image that the device is in.
    """

    label: str
    spaces: tuple[StandingSpace, ...]
    host: MountTable
    outside: tuple[tuple[str, MountTable], ...] = ()
    record: Record | None = None
    ages: Mapping[int, int] = {}
    beneath: bool = True
    store: str = ""
    ids: IdMapping | None = None
    overlays: Mapping[str, StandingOverlay] = {}
    layers: Mapping[str, OverlayLayer] = {}
    images: Set[tuple[str, Handle]] = frozenset()


class Allowed(NamedTuple):
    """What the user has said yes to."""

    move: bool = False
    gap: bool = False
    propagation: bool = False
