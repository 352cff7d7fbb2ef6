"""What is asked about live mounts beyond their table: their roots, images, the layers of overlays, where files are."""

from __future__ import annotations

from mountplan.planner.light import Literal
from mountplan.planner.names import Lock, NodeKind
from mountplan.planner.record import NamedTuple


class SeenLocks(NamedTuple):
    """What is locked in a namespace, by mount id; if `found` is empty, nothing. `unknown` says why it is not known."""

    found: dict[int, Lock] = {}
    unknown: str = ""

    def of(self, mount_id: int) -> Lock | None:
        """None if it is not known."""
        if self.unknown:
            return None
        return self.found.get(mount_id) if self.found else ""


class MountRoot(NamedTuple):
    """What is mounted: the kind of a mount's root directory or file; `device` of a device node, `link` of a symlink."""

    kind: NodeKind
    device: tuple[int, int] = (0, 0)
    link: str = ""


class LiveImage(NamedTuple):
    """The file on the host that is behind a loop device, or behind a partition of one, and which bytes: `size` from
    `offset` on, or all that follow (0). The path is "" if none on the host leads to it.
    """

    path: str
    offset: int
    size: int


class OverlayLayer(NamedTuple):
    """A directory of an overlay: its filesystem, by device, and its path in there."""

    device: str
    path: str


# What proves that a directory is a layer of an overlay: the kernel's handle of what is in there, that an overlay has it
# as its upper or work directory, the device in the name that it was built with; or it is the one that is found by its
# name, and nothing speaks against it; or it is nowhere to be found.
Proof = Literal["handle", "in use", "device", "name", "gone"]


class FoundLayer(NamedTuple):
    """What was found of an overlay's directory; `layer` is None if it is gone, `has` the LiveOverlay.places in it."""

    layer: OverlayLayer | None
    proof: Proof
    has: frozenset[str] = frozenset()


class LiveOverlay(NamedTuple):
    """An overlay that is mounted, and the paths of its layers; first of that which its root is taken from.

    `space` is the number of the namespace, `mount` the id of a mount there, which shows the path `inner` of the
    overlay, "" for its root. If `changes`, the first two paths are those of the upper and the work directory. The last
    `data` of them are of layers that hold data only.
    """

    device: str
    space: int
    mount: int
    paths: tuple[str, ...]
    changes: bool
    inner: str = ""
    places: tuple[str, ...] = ()  # paths in it of which it matters which directory they are from
    data: int = 0


class Visible(NamedTuple):
    """A part of a filesystem, at `path` of it, that is seen through a mount (by id) of namespace `space`. If it was
    `removed`, that is no name of it any more.
    """

    path: str
    space: int
    mount: int
    removed: bool = False


class Fillable(NamedTuple):
    """A filesystem that the spec makes: the mount that does, as its number in its namespace, and where that stands.

    `views` together show all of it that can be seen. `files` are paths of it that the spec declares, `made` those and
    the ones that it makes for mounts to stand on. `root` is what the options make its root: mode, user and group.
    `work` and `upper` are the directories that overlays have in there; the former are to be empty.
    """

    name: str
    space: int
    number: int
    target: str
    views: tuple[Visible, ...]
    files: tuple[str, ...]
    made: frozenset[str]
    root: tuple[int, int, int]
    work: tuple[str, ...] = ()
    upper: tuple[str, ...] = ()
