"""What stands in live namespaces -> the words of a spec that builds it again. Tables and facts in, values out.

The same state gives the same words, whatever ids the kernel gave to its mounts, groups and devices: everything goes by
the tree (planner/mounttree.py), and names are made of paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from mountplan.planner.attributes import ATIME_MASK, NAMES, parse_shown
from mountplan.planner.capture.groups import Sharing, find_sharing
from mountplan.planner.capture.regiven import given_again
from mountplan.planner.capture.widest import HostMounts
from mountplan.planner.capture.words import (
    Captured,
    CapturedFile,
    CapturedMount,
    CapturedNamespace,
    Caution,
    IdLines,
    Place,
    Root,
)
from mountplan.planner.contents import OWN
from mountplan.planner.mounttree import MountTree, hiders
from mountplan.planner.naming import Names
from mountplan.planner.table import MountRow, MountTable

DELETED = "//deleted"

# Filesystems of which a new instance is as good as the captured one.
FRESH = OWN | {"proc", "sysfs", "devpts", "mqueue", "cgroup2", "bpf"}

# The attributes that a spec sets and clears: bit -> (word that sets it, word that clears it).
_BITS = tuple(
    (NAMES[one].set, one, other)
    for one, other in (
        ("ro", "rw"), ("nosuid", "suid"), ("nodev", "dev"), ("noexec", "exec"), ("nosymfollow", "symfollow"),
        ("nodiratime", "diratime"),
    )
)  # fmt: skip
_ATIME = {NAMES[word].set & ATIME_MASK: word for word in ("relatime", "noatime", "strictatime")}


class Live(NamedTuple):
    """One namespace as it was found: all of its mounts, and the id-mappings of those that have one, by mount id.

    `seeds` are mounts that belong to no tree, but keep groups alive (planner/seedbase.py).
    """

    name: str
    table: MountTable
    idmaps: dict[int, tuple[IdLines, IdLines]]
    seeds: tuple[MountRow, ...] = ()


class Facts(Protocol):
    """What a capture asks about live namespaces beside their tables."""

    def roots(self, wanted: Sequence[tuple[int, int]]) -> list[Root | None]:
        """What the roots of these mounts are: (number of the namespace, mount id); None where that cannot be seen."""
        ...


class _Superblock:
    """One filesystem, by its device: which mounts show it, and how a spec comes by it."""

    __slots__ = ("device", "files", "fstype", "how", "maker", "maker_id", "mounts", "reason")

    def __init__(self, device: str, fstype: str) -> None:
        self.device = device
        self.fstype = fstype
        self.mounts: list[tuple[int, int]] = []
        self.how = ""  # "host", "made" or "unsupported"
        self.reason = ""
        self.maker: tuple[int, int] | None = None  # the mount that makes it; None: a mount that stands nowhere
        self.maker_id = ""
        self.files: dict[str, CapturedFile] = {}


class _Capture:
    def __init__(self, namespaces: Sequence[Live], host: MountTable, facts: Facts) -> None:
        self.lives = namespaces
        self.trees = [MountTree(live.table) for live in namespaces]
        self.host = HostMounts(host)
        self.facts = facts
        self.cautions: list[Caution] = []
        self.superblocks: dict[str, _Superblock] = {}
        self.ids: dict[tuple[int, int], str] = {}
        self.sharing = Sharing((), {}, {}, {})

    def where(self, space: int, mountpoint: str) -> str:
        return f"{self.lives[space].name}:{mountpoint}" if len(self.lives) > 1 else mountpoint

    def captured(self, name: str, unshare: tuple[str, ...]) -> Captured:
        for space, tree in enumerate(self.trees):
            for row in tree.adrift:
                self.cautions.append(
                    Caution(self.where(space, row.mountpoint), "left out: what it stands on cannot be seen")
                )
            for index, row in enumerate(tree.rows):
                superblock = self.superblocks.get(row.device)
                if superblock is None:
                    superblock = self.superblocks[row.device] = _Superblock(row.device, row.fstype)
                superblock.mounts.append((space, index))
        for superblock in self.superblocks.values():
            self._settle(superblock)
        seeds = [seed for live in self.lives for seed in live.seeds]
        self.sharing = find_sharing(self.trees, self.host, self.superblocks_of_host(), seeds)
        for mount, reason in self.sharing.refused.items():
            self.cautions.append(Caution(self.where(mount[0], self.row(mount).mountpoint), reason))
        self._find_files()
        self._name()
        spaces = tuple(self._namespace(space) for space in range(len(self.lives)))
        return Captured(name, self.sharing.groups, spaces, unshare, tuple(self.cautions))

    def row(self, mount: tuple[int, int]) -> MountRow:
        return self.trees[mount[0]].rows[mount[1]]

    def superblocks_of_host(self) -> frozenset[str]:
        return frozenset(one.device for one in self.superblocks.values() if one.how == "host")

    def _settle(self, superblock: _Superblock) -> None:
        if superblock.device in self.host.devices:
            superblock.how = "host"
            if superblock.fstype not in FRESH or all(self._is_shown(mount) for mount in superblock.mounts):
                return
            # The host has it, but so covered that nobody can take it from there: a new one has to do.
        if superblock.fstype not in FRESH:
            superblock.how = "unsupported"
            superblock.reason = _why_not(superblock.fstype)
            return
        superblock.how = "made"
        superblock.maker = next((one for one in superblock.mounts if self.row(one).root == "/"), None)

    def _is_shown(self, mount: tuple[int, int]) -> bool:
        row = self.row(mount)
        return self.host.showing(row.device, row.root) is not None

    def _find_files(self) -> None:
        """Find out what must be in the filesystems that are made: the roots of binds."""
        wanted: dict[tuple[str, str], tuple[int, int]] = {}
        for superblock in self.superblocks.values():
            if superblock.how == "made" and superblock.fstype in OWN and len(superblock.mounts) > 0:
                for space, index in superblock.mounts:
                    row = self.trees[space].rows[index]
                    if row.root != "/":
                        wanted.setdefault((row.device, row.root), (space, index))
        asked = [(space, self.trees[space].rows[index].mount_id) for space, index in wanted.values()]
        for (device, root), mount, found in zip(wanted, wanted.values(), self.facts.roots(asked), strict=True):
            if found is None:
                row = self.row(mount)
                self.cautions.append(
                    Caution(self.where(mount[0], row.mountpoint), "cannot see what it shows, taken for a directory")
                )
                found = Root("directory")
            path = root.removesuffix(DELETED)
            self.superblocks[device].files[path] = CapturedFile(path, found.kind, found.device, found.link)

    def _name(self) -> None:
        """Give ids to the mounts that others refer to."""
        needed: set[tuple[int, int]] = set()
        for superblock in self.superblocks.values():
            if superblock.how == "made" and superblock.maker is not None and len(superblock.mounts) > 1:
                needed.add(superblock.maker)
        for space, tree in enumerate(self.trees):
            needed |= {(space, tree.parents[index]) for index, reached in enumerate(tree.reached) if not reached}
        names = Names()
        several = len(self.lives) > 1
        for space, live in enumerate(self.lives):
            tree = self.trees[space]
            for index, row in enumerate(tree.rows):
                if (space, index) in needed:
                    self.ids[space, index] = names.take(row.mountpoint, (live.name,) if several else ())
        for superblock in self.superblocks.values():
            if superblock.how != "made":
                continue
            if superblock.maker is None:
                space, index = superblock.mounts[0]
                path = self.trees[space].rows[index].mountpoint
                superblock.maker_id = names.take(f"{path}/whole-{path.rpartition('/')[2]}")
            elif len(superblock.mounts) > 1:
                superblock.maker_id = self.ids[superblock.maker]

    def _namespace(self, space: int) -> CapturedNamespace:
        tree = self.trees[space]
        mounts = []
        for index, row in enumerate(tree.rows):
            superblock = self.superblocks[row.device]
            if superblock.maker is None and superblock.how == "made" and superblock.mounts[0] == (space, index):
                mounts.append(self._whole(superblock, row))
            mounts.append(self._mount(space, index, row, superblock))
        return CapturedNamespace(self.lives[space].name, tuple(mounts))

    def _whole(self, superblock: _Superblock, row: MountRow) -> CapturedMount:
        """A filesystem of which nobody shows the whole: it is made, and stands nowhere."""
        files = tuple(sorted(superblock.files.values()))
        return _EMPTY._replace(
            id=superblock.maker_id, type=row.fstype, source=_source(row),
            options=given_again(row.fstype, row.options), files=files,
        )  # fmt: skip

    def _mount(self, space: int, index: int, row: MountRow, superblock: _Superblock) -> CapturedMount:
        tree = self.trees[space]
        mount = (space, index)
        parent = "" if tree.reached[index] else self.ids[space, tree.parents[index]]
        group, master = self.sharing.group_of.get(mount, ""), self.sharing.master_of.get(mount, "")
        uids, gids = self.lives[space].idmaps.get(row.mount_id, ((), ())) if "idmapped" in row.attributes else ((), ())
        unsupported = self.sharing.refused.get(mount, "")
        base = 0
        words = _EMPTY._replace(
            row=index, id=self.ids.get(mount, ""), target=row.mountpoint, parent=parent, uids=uids, gids=gids,
            peer_group=group, master=master, unbindable=row.unbindable, unsupported=unsupported,
        )  # fmt: skip
        if superblock.how == "made":
            if superblock.maker == mount:
                files = tuple(sorted(superblock.files.values()))
                options = given_again(row.fstype, row.options)
                words = words._replace(type=row.fstype, source=_source(row), options=options, files=files)
            else:
                words = words._replace(bind=self._inner(superblock, mount, row))
        elif superblock.how == "host":
            found = self.host.showing(row.device, row.root)
            if found is None:
                unsupported = f"nothing on the host shows {row.root} of its filesystem ({row.fstype})"
                words = self._unsupported(words, space, row, unsupported)
            else:
                path, host_row = found
                base = parse_shown(host_row.attributes)
                words = words._replace(bind=Place("", path))
        else:
            words = self._unsupported(words, space, row, superblock.reason)
        return words._replace(attributes=_attributes(row.attributes, base))

    def _inner(self, superblock: _Superblock, mount: tuple[int, int], row: MountRow) -> Place:
        path = row.root.removesuffix(DELETED)
        hidden = False
        if superblock.maker is not None and superblock.maker[0] == mount[0]:
            siblings = self.trees[mount[0]].below[superblock.maker[1]]
            covers = (*hiders(siblings, path), siblings.get("/"), siblings.get(path))
            hidden = any(one not in (None, mount[1]) for one in covers)
        return Place(superblock.maker_id, path, hidden, row.root != path)

    def _unsupported(self, words: CapturedMount, space: int, row: MountRow, reason: str) -> CapturedMount:
        self.cautions.append(Caution(self.where(space, row.mountpoint), f"cannot be rebuilt: {reason}"))
        return words._replace(
            type=row.fstype, source=_source(row), options=given_again(row.fstype, row.options), unsupported=reason
        )


_EMPTY = CapturedMount(
    row=-1, id="", target="", parent="", type="", source=None, options=(), image="", layers=(), upper=None, work=None,
    bind=None, attributes=(), uids=(), gids=(), peer_group="", master="", unbindable=False, on_symlink="", contents="",
    files=(), unsupported="",
)  # fmt: skip


def _source(row: MountRow) -> str | None:
    return None if row.source == row.fstype else row.source


def _attributes(shown: str, base: int) -> tuple[str, ...]:
    """The words that make `shown` of the attribute bits that the mount has anyway."""
    bits = parse_shown(shown)
    words = []
    for bit, sets, clears in _BITS:
        if bits & bit != base & bit:
            words.append(sets if bits & bit else clears)
    if bits & ATIME_MASK != base & ATIME_MASK:
        words.append(_ATIME[bits & ATIME_MASK])
    return tuple(words)


def _why_not(fstype: str) -> str:
    if fstype.startswith("fuse") or fstype == "autofs":
        return f"{fstype} needs the program that serves it, and no mount on the host shows this filesystem"
    if fstype == "nsfs":
        return "it keeps a namespace alive, which no mount on the host shows"
    return f"no mount on the host shows this filesystem ({fstype}), and a new one would not be the same"


def capture(
    namespaces: Sequence[Live], host: MountTable, facts: Facts, *, name: str = "", unshare: tuple[str, ...] = ()
) -> Captured:
    """The words of a spec for these namespaces. Never fails on one odd mount: that is left out, with the reason."""
    return _Capture(namespaces, host, facts).captured(name, unshare)
