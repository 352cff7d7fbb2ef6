"""What the handles of a plan stand for, as far as its steps tell: superblocks, seeds, id-mappings and mounts.

The proof (planner/plan/proof.py) fills them in, step by step, and planner/plan/promise.py reads what has come of them.
"""

from __future__ import annotations

from mountplan.planner.names import Handle
from mountplan.planner.plan.plan import ExpectedMount
from mountplan.planner.plan.proof_values import is_among
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.columns import AlikeColumn, are_same, columns_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mountplan.planner.tables.columns import Column


class Filesystem:
    """A superblock; `bench` if it stands in the yard, to be cloned from. `nodes` of one of our own is all that is in
    it: path -> kind, None if that is the kind of the mount that it was made for.
    """

    sealed = False
    layers: frozenset[str] = frozenset()  # handles of the filesystems that an overlay is made of, or an image is in

    def __init__(self, name: str, fstype: str, source: str, options: tuple[Any, ...], inside: str, bench: bool) -> None:
        self.name = name
        self.fstype = fstype
        self.source = source
        self.options = options
        self.inside = inside
        self.bench = bench
        self.nodes = NOTHING_IN_IT
        self.removed = NOTHING_REMOVED


class Seed:
    """A seed: the group that it is a member of, "" for none, and the one from which it receives, "" for none."""

    held = True  # by a descriptor, or in the yard
    master: Seed | None = None

    def __init__(
        self, name: str, group: str, receives: str, filesystem: Filesystem | None, parked: bool, host: bool
    ) -> None:
        self.name = name
        self.group = group
        self.receives = receives
        self.filesystem = filesystem
        self.parked = parked
        self.host = host


class ProofIdMap:
    held = True


class ProofUser:
    held = True


class ProofMount:
    """A mount. What most mounts have is said for all of them here, which costs a fraction of saying it for each."""

    held = True
    alone = False  # the filesystem's first mount, in which things are made before it is attached
    recursive = False
    inherits = False
    brings = ""  # what the clone makes of what is below it
    own: tuple[int, int] = (0, 0)  # its attributes: set, cleared
    below: tuple[int, int] = (0, 0)  # those of what it brings
    idmapped = False
    unbindable = False
    lock = ""
    seed: Seed | None = None  # of the group that it is in
    parent: ProofMount | None = None
    place = ""
    space = -1  # the number of the namespace in which it is attached

    def __init__(self, name: str, filesystem: Filesystem | None, root: str, kind: str | None) -> None:
        self.name = name
        self.filesystem = filesystem  # None for the host's
        self.root = root  # a path in the filesystem, relative; or an absolute one on the host, or a namespace
        self.kind = kind  # of its root, None if it is not known
        self.places = NOTHING_ON_IT  # what is attached to it
        self.bare = NOTHING_BARE  # directories above which nothing is, and with each all above it

    def is_covered(self, path: str) -> bool:
        """True if something is attached to a directory above `path`."""
        directory = path.rpartition("/")[0]
        if directory in self.bare or not path:
            return False
        if is_among(self.places, path):
            return True
        if self.bare is NOTHING_BARE:
            self.bare = set()
        while directory not in self.bare:
            self.bare.add(directory)
            directory = directory.rpartition("/")[0]
        return False

    def attach(self, path: str, mount: ProofMount) -> None:
        if self.places is NOTHING_ON_IT:
            self.places = {}
        self.places[path] = mount
        if path in self.bare:
            self.bare = set()

    def attach_all(self, runs: dict[str, Any]) -> None:
        """Runs, by the paths of all that is in them."""
        if self.places is NOTHING_ON_IT:
            self.places = {}
        self.places.update(runs)
        if not self.bare.isdisjoint(runs):
            self.bare = set()


class ProvenRun(NamedTuple):
    """Binds that stand, and were released: all but what has a column is said once for all of them."""

    space: int
    parent: ProofMount
    filesystem: Filesystem | None
    names: Column
    roots: Column
    kinds: Column  # of the roots
    places: Column  # in the parent
    bits: Column  # attributes: set
    clear: Column  # and cleared
    joined: tuple[Column, Column, Column] | None  # the seeds' handles, their groups, and those they receive from
    numbers: dict[Handle, int]  # of the names, once one is looked for

    @property
    def held(self) -> bool:
        """By a descriptor: they were all released."""
        return False

    def mount(self, name: Handle, seeds: dict[Handle, Any]) -> ProofMount:
        """One of them by itself."""
        if not self.numbers:
            self.numbers.update(zip(self.names, range(len(self.names)), strict=True))
        at = self.numbers[name]
        one = ProofMount(name, self.filesystem, self.roots[at], self.kinds[at])
        one.parent, one.place, one.space, one.held = self.parent, self.places[at], self.space, False
        one.own = self.bits[at], self.clear[at]
        if self.joined is not None:
            one.seed = seeds[self.joined[0][at]]
        return one

    def name_at(self, place: str) -> Handle:
        """Of the one that stands at a relative path in the parent."""
        name: Handle = self.names[self.places.index(place)]
        return name

    def come_to(self, promised: Any) -> bool:
        """Whether they are what the plan promises (ExpectedMount, as columns or not): True, or nothing is said."""
        if self.filesystem is not None and self.filesystem.removed:
            return False
        number = len(self.names)
        says = columns_of(promised, ExpectedMount)
        groups, masters = ("", "") if self.joined is None else self.joined[1:]
        comes: dict[str, Any] = {
            "name": self.names, "parent": self.parent.name,
            "filesystem": "" if self.filesystem is None else self.filesystem.name,
            "recursive": False, "set": self.bits, "clear": self.clear, "below_set": 0, "below_clear": 0,
            "idmapped": False, "unbindable": False, "group": groups, "master": masters, "lock": "", "inherits": "",
            "brings": "",
        }  # fmt: skip
        paths = {"place": (self.places, "/"), "root": (self.roots, "" if self.filesystem is None else "/")}
        if comes.keys() | paths.keys() | {"recursive_attributes", "origin"} != says.keys() or len(promised) != number:
            return False
        return all(
            says[name] == one if isinstance(one, (list, AlikeColumn)) else says[name].count(one) == number
            for name, one in comes.items()
        ) and all(are_same(says[name], one, before) for name, (one, before) in paths.items())


# Shared by all to which nothing was added yet: most things are leaves, and a dictionary each would be most of what is
# kept of them.
NOTHING_ON_IT: dict[str, Any] = {}  # place -> mount, or run
NOTHING_BARE: set[str] = set()
NOTHING_IN_IT: dict[str, str | None] = {"": "directory"}
NOTHING_REMOVED: dict[str, None] = {}
ARTICLE = {
    Filesystem: "a filesystem",
    Seed: "a seed",
    ProofIdMap: "an id-mapping",
    ProofUser: "a user namespace",
    ProofMount: "a mount",
    ProvenRun: "a mount",
}
