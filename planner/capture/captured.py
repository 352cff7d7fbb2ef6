"""What a capture comes to: the words of a spec, as values, before they are written down."""

from __future__ import annotations

from collections.abc import Container, Mapping

from mountplan.planner.capture.naming import Names
from mountplan.planner.names import IdLines, Lock, NodeKind
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mount_facts import LiveImage

Options = tuple[tuple[str, str | bool | tuple[str, ...]], ...]


COPY_DIFFERS = "the copy will differ"  # with what a caution begins that names a difference
NO_ROW = -2  # CapturedMount.row of what stands in for a filesystem that no mount shows


class CapturedPlace(NamedTuple):
    """Where a bind or a layer comes from: a path in the mount with id `mount`, or, if that is "", of the host."""

    mount: str
    path: str
    hidden: bool = False
    deleted: bool = False
    namespace: str = ""  # of the file of a namespace: what names it, instead of a path


class CapturedFile(NamedTuple):
    """Something that must be in a filesystem, so that it can be bound or mounted upon."""

    path: str
    kind: NodeKind
    device: tuple[int, int] = (0, 0)
    link: str = ""


class CapturedMount(NamedTuple):
    """One [[mount]]; "", (), None and False stand for a key that is left out.

    `row` is the index of the mount in the namespace's tree (planner/tables/mounttree.py), -1 for a
    filesystem that stands nowhere, or NO_ROW. `recursive` binds leave what they bring along its attributes.
    """

    row: int = -1
    id: str = ""
    target: str = ""
    parent: str = ""
    type: str = ""
    source: str | None = None
    options: Options = ()
    image: LiveImage | None = None
    layers: tuple[CapturedPlace, ...] = ()
    data_layers: tuple[CapturedPlace, ...] = ()
    upper: CapturedPlace | None = None
    work: CapturedPlace | None = None
    bind: CapturedPlace | None = None
    recursive: bool = False
    recursive_sharing: str = ""
    attributes: tuple[str, ...] = ()
    uids: IdLines = ()
    gids: IdLines = ()
    unmapped: bool = False  # it is not id-mapped, though what it is bound from is
    peer_group: str = ""
    master: str = ""
    lock: Lock = ""
    unbindable: bool = False
    on_symlink: str = ""
    contents: str = ""
    files: tuple[CapturedFile, ...] = ()
    unsupported: str = ""
    mask: tuple[str, ...] = ()
    readonly: tuple[str, ...] = ()


class CapturedGroup(NamedTuple):
    """One [peer_group.NAME]; `host` is a path on the host, "" for a group of the spec's own; `across` if namespaces of
    several users have members of it.
    """

    name: str
    master: str
    host: str
    across: bool = False


class CapturedUser(NamedTuple):
    """The user namespace of a [[namespace]]: that of another one (`of`), or a new one, maybe in that of another."""

    of: str
    within: str
    uids: IdLines
    gids: IdLines


class CapturedNamespace(NamedTuple):
    """One [[namespace]]; mounts are in the order of their tree."""

    name: str
    mounts: tuple[CapturedMount, ...]
    user: CapturedUser | None = None


class Caution(NamedTuple):
    """What the user of the spec should know: which mount it is about ("" for the whole), and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class Captured(NamedTuple):
    """A capture: what will be written, and what should be said about it."""

    name: str
    groups: tuple[CapturedGroup, ...]
    namespaces: tuple[CapturedNamespace, ...]
    unshare: tuple[str, ...]
    cautions: tuple[Caution, ...]

    def where(self, space: int, path: str) -> str:
        """What a caution calls a place: with its namespace, where there are several."""
        return f"{self.namespaces[space].name}:{path}" if len(self.namespaces) > 1 else path


def renamed_groups(captured: Captured, others: Mapping[str, str]) -> Captured:
    """The same with other names for groups that are called as `others`, which has the `host` of each, "" for none.

    One that is the host's at the same path is the same group, and keeps its name.
    """
    names = Names()
    for name in (*others, *(group.name for group in captured.groups)):
        names.take(name)
    new = {
        group.name: names.take(group.name)
        for group in captured.groups
        if group.name in others and not (group.host and group.host == others[group.name])
    }
    if not new:
        return captured

    def renamed(mount: CapturedMount) -> CapturedMount:
        group, master = mount.peer_group, mount.master
        return mount._replace(peer_group=new.get(group, group), master=new.get(master, master))

    groups = (
        one._replace(name=new.get(one.name, one.name), master=new.get(one.master, one.master))
        for one in captured.groups
    )
    spaces = (space._replace(mounts=tuple(map(renamed, space.mounts))) for space in captured.namespaces)
    return captured._replace(groups=tuple(groups), namespaces=tuple(spaces))


def without_targets(captured: Captured, targets: Container[str]) -> Captured:
    """The same without the mounts on these targets, and without the groups that no mount is in then."""
    spaces = tuple(
        space._replace(mounts=tuple(one for one in space.mounts if one.target not in targets))
        for space in captured.namespaces
    )
    used = {name for space in spaces for one in space.mounts for name in (one.peer_group, one.master)}
    masters = {group.name: group.master for group in captured.groups}
    for name in tuple(used):
        while name := masters.get(name, ""):
            used.add(name)
    groups = tuple(group for group in captured.groups if group.name in used)
    return captured._replace(groups=groups, namespaces=spaces)
