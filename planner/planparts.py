"""What the handles of a plan stand for, as far as its steps tell: superblocks, seeds, id-mappings and mounts.

planner/planproof.py fills them in, step by step, and planner/planpromise.py reads what has come of them.
"""

from __future__ import annotations

from typing import Any

from mountplan.planner.planvalues import is_among


class Filesystem:
    """A superblock; `bench` if it stands in the yard, to be cloned from. `nodes` of one of our own is all that is in
    it: path -> kind, None if that is the kind of the mount that it was made for.
    """

    __slots__ = (
        "bench", "fstype", "inside", "layers", "name", "nodes", "options", "removed", "sealed", "source",
    )  # fmt: skip

    def __init__(self, name: str, fstype: str, source: str, options: tuple[Any, ...], inside: str, bench: bool) -> None:
        self.name = name
        self.fstype = fstype
        self.source = source
        self.options = options
        self.inside = inside
        self.bench = bench
        self.sealed = False
        self.nodes: dict[str, str | None] = {"": "directory"}
        self.layers: frozenset[str] = frozenset()  # handles of the filesystems that an overlay is made of
        self.removed: dict[str, None] = {}  # paths


class Seed:
    __slots__ = ("filesystem", "group", "host", "master", "name", "parked", "receives")

    def __init__(
        self, name: str, group: str, receives: str, filesystem: Filesystem | None, parked: bool, host: bool
    ) -> None:
        self.name = name
        self.group = group  # of which it is a member, "" for none
        self.receives = receives  # from which it receives, "" for none
        self.filesystem = filesystem
        self.parked = parked
        self.host = host
        self.master: Seed | None = None


class IdMap:
    __slots__ = ()


class Mount:
    __slots__ = (
        "alone", "below", "filesystem", "idmapped", "inherits", "kind", "name", "parent", "place", "places",
        "recursive", "root", "seed", "space", "unbindable", "origin", "own",
    )  # fmt: skip

    def __init__(self, name: str, filesystem: Filesystem | None, root: str, kind: str | None, origin: str) -> None:
        self.name = name
        self.filesystem = filesystem  # None for the host's
        self.root = root  # a path in the filesystem, relative; or an absolute one on the host
        self.kind = kind  # of its root, None if it is not known
        self.origin = origin
        self.alone = False  # the filesystem's first mount, in which things are made before it is attached
        self.recursive = False
        self.inherits = False
        self.own = self.below = (0, 0)  # the attributes (set, cleared) of itself, and of what it brings
        self.idmapped = False
        self.unbindable = False
        self.seed: Seed | None = None  # of the group that it is in
        self.parent: Mount | None = None
        self.place = ""
        self.space = -1  # the number of the namespace in which it is attached
        self.places: dict[str, Mount] = _NOTHING_ON_IT  # what is attached to it


_NOTHING_ON_IT: dict[str, Mount] = {}  # of most mounts; a dictionary each would be half of all that is kept
ARTICLE = {Filesystem: "a filesystem", Seed: "a seed", IdMap: "an id-mapping", Mount: "a mount"}


def is_removed(mount: Mount) -> bool:
    filesystem = mount.filesystem
    return filesystem is not None and bool(filesystem.removed) and is_among(filesystem.removed, mount.root, itself=True)
