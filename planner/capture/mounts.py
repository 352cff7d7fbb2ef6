"""What stands in live namespaces -> the words of a spec that builds it again. Tables and facts in, values out.

The same state gives the same words, whatever ids the kernel gave to its mounts, groups and devices: everything goes by
the tree (planner/tables/mounttree.py), and names are made of paths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from mountplan.planner.attributes import ATIME_MASK, IDMAP, NAMES, parse_shown
from mountplan.planner.capture.brought import Brought, find_brought
from mountplan.planner.capture.captured import (
    Captured,
    CapturedFile,
    CapturedMount,
    CapturedNamespace,
    CapturedPlace,
    CapturedUser,
    Caution,
    IdLines,
    Options,
)
from mountplan.planner.capture.groups import Sharing, find_sharing
from mountplan.planner.capture.naming import Names
from mountplan.planner.capture.own_sources import Sources, find_sources
from mountplan.planner.capture.regiven import given_again, parse_options
from mountplan.planner.capture.shown_layers import Directories, shown_directories
from mountplan.planner.capture.user_namespaces import Owner, find_users, settled_locks
from mountplan.planner.capture.widest import HostMounts
from mountplan.planner.fstypes import of
from mountplan.planner.language.limits import OPTION, size
from mountplan.planner.paths import TargetPath
from mountplan.planner.tables.layerpath import layer_of
from mountplan.planner.tables.mount_facts import LiveImage, LiveOverlay, Lock, MountRoot, OverlayLayer
from mountplan.planner.tables.mounttree import MountTree, hiders
from mountplan.planner.tables.table import DELETED, UNTOLD, MountRow, MountTable, is_mount_namespace_file

_LOOP = re.compile(r"/dev/loop\d+")
_PARTITION = re.compile(r"(/dev/loop\d+)p\d+")
_IMAGE = "it is in the image {}, which is mounted already, and would be damaged if it were mounted twice for writing"
_NO_MAP: tuple[IdLines, IdLines] = ((), ())
_PROCESS = re.compile(r"/\d+(/|$)")
_TERMINAL = re.compile(r"/\d+(//deleted)?$")

# The attributes that a spec sets and clears: bit -> (word that sets it, word that clears it).
_BITS = tuple(
    (NAMES[one].set, one, other)
    for one, other in (
        ("ro", "rw"), ("nosuid", "suid"), ("nodev", "dev"), ("noexec", "exec"), ("nosymfollow", "symfollow"),
        ("nodiratime", "diratime"),
    )
)  # fmt: skip
_ATIME = {NAMES[word].set & ATIME_MASK: word for word in ("relatime", "noatime", "strictatime")}


_Mount = tuple[int, int]  # number of the namespace, index in its tree
_Place = tuple[str, str]  # device, path in its filesystem


class Live(NamedTuple):
    """One namespace as it was found: all of its mounts, and the id-mappings of those that have one, by mount id.

    `seeds` are mounts that belong to no tree, but keep groups alive (planner/plan/seedbase.py).
    """

    name: str
    table: MountTable
    idmaps: dict[int, tuple[IdLines, IdLines]]
    seeds: tuple[MountRow, ...] = ()
    owner: Owner | None = None  # the user namespace that it belongs to, if that is not ours
    locks: dict[int, Lock] = {}  # what that cannot undo, by mount id


class Facts(Protocol):
    """What a capture asks about live namespaces beside their tables."""

    def roots(self, wanted: Sequence[tuple[int, int]]) -> list[MountRoot | None]:
        """What the roots of these mounts are: (number of the namespace, mount id); None where that cannot be seen."""
        ...

    def image(self, device: str) -> LiveImage | None:
        """What is behind a loop device; None if no file on the host is known to be."""
        ...

    def layers(self, wanted: Sequence[LiveOverlay]) -> list[tuple[OverlayLayer, ...] | None]:
        """The directories that overlays are made of; None if they are no longer where the paths lead."""
        ...


class _Superblock:
    """One filesystem, by its device: which mounts show it, and how a spec comes by it."""

    __slots__ = (
        "device", "directories", "files", "fstype", "how", "image", "layers", "maker", "maker_id", "mounts", "reason"
    )  # fmt: skip

    def __init__(self, device: str, fstype: str) -> None:
        self.device = device
        self.fstype = fstype
        self.mounts: list[tuple[int, int]] = []
        self.how = ""  # "host", "made" or "unsupported"
        self.reason = ""
        self.maker: tuple[int, int] | None = None  # the mount that makes it; None: a mount that stands nowhere
        self.maker_id = ""
        self.files: dict[str, CapturedFile] = {}
        self.directories: Directories | None = None  # of an overlay, as it shows them
        self.layers: tuple[OverlayLayer, ...] = ()  # the same, in the same order, as they are now
        self.image = ""  # the file that it is in, if that is behind a loop device

    def give_up(self, reason: str) -> None:
        self.how, self.reason, self.maker, self.layers = "unsupported", reason, None, ()

    def is_source(self, layers: set[str]) -> bool:
        """True if something else is made from it; `layers` are the devices that overlays are made from."""
        return len(self.mounts) > 1 or self.device in layers


class _Capture:
    def __init__(self, namespaces: Sequence[Live], host: MountTable, facts: Facts) -> None:
        self.lives = list(namespaces)
        self.trees = [MountTree(live.table) for live in namespaces]
        self.host = HostMounts(host)
        self.brought: list[Brought] = []
        self.users: list[CapturedUser | None] = [None] * len(namespaces)
        self.locks: list[list[Lock]] = [["" for _ in tree.rows] for tree in self.trees]
        self.facts = facts
        self.cautions: list[Caution] = []
        self.superblocks: dict[str, _Superblock] = {}
        self.ids: dict[tuple[int, int], str] = {}
        self.sharing = Sharing((), {}, {}, {})
        self.sources = Sources({}, {})
        self.renamed_ids: dict[_Mount, str] = {}  # by the first of those that are made together

    def where(self, space: int, mountpoint: str) -> str:
        return f"{self.lives[space].name}:{mountpoint}" if len(self.lives) > 1 else mountpoint

    def captured(self, name: str, unshare: tuple[str, ...]) -> Captured:
        for space, tree in enumerate(self.trees):
            for row in tree.adrift:
                self.cautions.append(
                    Caution(self.where(space, row.mountpoint), "left out: what it stands on cannot be seen")
                )
            self.brought.append(find_brought(tree, self.host))
            for index, row in enumerate(tree.rows):
                if index in self.brought[space].rows:
                    continue
                superblock = self.superblocks.get(row.device)
                if superblock is None:
                    superblock = self.superblocks[row.device] = _Superblock(row.device, row.fstype)
                superblock.mounts.append((space, index))
        for superblock in self.superblocks.values():
            self._settle(superblock)
        self._settle_overlays()
        seeds = [seed for live in self.lives for seed in live.seeds]
        self.sharing = find_sharing(self.trees, self.host, self.superblocks_of_host(), seeds)
        for mount, reason in self.sharing.refused.items():
            self.cautions.append(Caution(self.where(mount[0], self.row(mount).mountpoint), reason))
        self._find_users()
        makers = {one.device: one.maker or one.mounts[0] for one in self.superblocks.values() if one.how == "made"}
        self.sources = find_sources(self.trees, self.host, makers, self.sharing)
        for mount, source in self.sources.lost.items():
            row = self.row(mount)
            what = f"its source {row.source} becomes {source}: others that it shares its events with have that"
            self.cautions.append(Caution(self.where(mount[0], row.mountpoint), what))
        self._find_files()
        self._name()
        spaces = tuple(self._namespace(space) for space in range(len(self.lives)))
        shown = {of(one.fstype).shows for one in self.superblocks.values() if one.how == "made"}
        needed = tuple(kind for kind in unshare if kind in shown)
        return Captured(name, self.sharing.groups, spaces, needed, tuple(self.cautions))

    def _find_users(self) -> None:
        """Whose the namespaces are, and what is locked in them; of one alone, that is no matter of the spec's."""
        if len(self.lives) < 2:
            return
        names = [live.name for live in self.lives]
        for space, live in enumerate(self.lives):
            if live.owner is not None and (reason := self._why_not_owned(space, live.owner)):
                what = f"it belongs to a user namespace, and will not: {reason}"
                self.cautions.append(Caution(names[space], what))
                self.lives[space] = live._replace(owner=None)
        self.users = find_users(names, [live.owner for live in self.lives])
        for space, live in enumerate(self.lives):
            if live.owner is not None:
                self.locks[space] = settled_locks(self.trees[space], live.locks)
        owners = [live.owner.inode if live.owner is not None else 0 for live in self.lives]
        of_groups: dict[str, set[int]] = {one.name: {0} if one.host else set() for one in self.sharing.groups}
        for (space, _), name in self.sharing.group_of.items():
            of_groups[name].add(owners[space])
        across = {name for name, users in of_groups.items() if len(users) > 1}
        for name in sorted(across):
            what = f"peers in peer group {name} belong to several users: each can mount what appears with the others"
            self.cautions.append(Caution("", what))
        groups = tuple(one._replace(across=one.name in across) for one in self.sharing.groups)
        self.sharing = self.sharing._replace(groups=groups)

    def _why_not_owned(self, space: int, owner: Owner) -> str:
        if not owner.uids or not owner.gids:
            return "it has no ids"
        masters = {one.name: one for one in self.sharing.groups}
        members = set(self.sharing.group_of.values())
        for (where, _), name in (*self.sharing.group_of.items(), *self.sharing.master_of.items()):
            while where == space and name:
                if name not in members and not masters[name].host:
                    return f"no mount is in peer group {name}, which nothing keeps alive for another user"
                name = masters[name].master
        return ""

    def row(self, mount: tuple[int, int]) -> MountRow:
        return self.trees[mount[0]].rows[mount[1]]

    def superblocks_of_host(self) -> frozenset[str]:
        return frozenset(one.device for one in self.superblocks.values() if one.how == "host")

    def _settle(self, superblock: _Superblock) -> None:
        kind = of(superblock.fstype)
        if superblock.device in self.host.devices:
            superblock.how = "host"
            # What was removed from it is in no other filesystem either: that has no say.
            if not kind.renewed or all(self._is_shown(mount) or self._is_removed(mount) for mount in superblock.mounts):
                return
            if not kind.is_shared:
                space, index = superblock.mounts[0]
                where = self.where(space, self.trees[space].rows[index].mountpoint)
                what = "the host has it so covered that it cannot be taken from there; a new one stands in for it"
                self.cautions.append(Caution(where, what))
        if not kind.renewed and superblock.fstype != "overlay":
            row = self.row(superblock.mounts[0])
            image = self.facts.image(row.source) if _LOOP.fullmatch(row.source) else None
            reason = _why_not_image(image, row)
            if image is None or reason:
                superblock.give_up(reason)
                return
            superblock.image = image.path
        superblock.how = "made"
        superblock.maker = next((one for one in superblock.mounts if self.row(one).root == "/"), None)

    def _is_shown(self, mount: tuple[int, int]) -> bool:
        row = self.row(mount)
        return self.host.showing(row.device, row.root) is not None

    def _is_removed(self, mount: tuple[int, int]) -> bool:
        return self.row(mount).root.endswith(DELETED)

    def _settle_overlays(self) -> None:
        """Find the directories that overlays are made of, and give up those that cannot be made again."""
        overlays = [one for one in self.superblocks.values() if one.fstype == "overlay" and one.how == "made"]
        self._find_layers(overlays)
        uses: dict[OverlayLayer, int] = {}
        for superblock in overlays:
            for layer in set(superblock.layers):
                uses[layer] = uses.get(layer, 0) + 1
        unsettled = True
        while unsettled:
            unsettled = False
            for superblock in overlays:
                if superblock.how == "made" and (reason := self._why_no_overlay(superblock, uses)):
                    superblock.give_up(reason)
                    unsettled = True  # it may be a layer of another one
        for superblock in overlays:
            self._caution_of_changes(superblock)

    def _find_layers(self, overlays: list[_Superblock]) -> None:
        """Where the directories are that each overlay shows in its options, as far as that can be told."""
        asked: list[tuple[_Superblock, LiveOverlay]] = []
        for superblock in overlays:
            space, index = superblock.mounts[0]
            row = self.trees[space].rows[index]
            directories = shown_directories(row.options)
            if isinstance(directories, str):
                superblock.give_up(directories)
                continue
            superblock.directories = directories
            layers = [layer_of(path) for path in directories.paths]
            if all(layer is not None and layer[0] in self.superblocks for layer in layers):
                superblock.layers = tuple(OverlayLayer(*layer) for layer in layers if layer is not None)
            else:
                asked.append((superblock, LiveOverlay(row.device, space, row.mount_id, directories.paths)))
        found = self.facts.layers([overlay for _, overlay in asked]) if asked else []
        for (superblock, overlay), layers_found in zip(asked, found, strict=True):
            if layers_found is None:
                superblock.give_up(f"its layers are no longer where it shows them: {', '.join(overlay.paths)}")
            else:
                superblock.layers = layers_found

    def _caution_of_changes(self, superblock: _Superblock) -> None:
        """Warn if the upper layer is the host's: what two mounted overlays on one do is undefined (overlayfs.rst)."""
        if not (superblock.layers and superblock.directories and superblock.directories.upper):
            return
        upper = superblock.layers[0]
        below = self.superblocks.get(upper.device)
        found = self.host.showing(upper.device, upper.path)
        if found is not None and (below is None or below.how != "made"):
            space, index = superblock.mounts[0]
            what = f"its changes go to the host's {found[0]}; do not build it while this one is still mounted"
            self.cautions.append(Caution(self.where(space, self.trees[space].rows[index].mountpoint), what))

    def _why_no_overlay(self, superblock: _Superblock, uses: dict[OverlayLayer, int]) -> str:
        directories = superblock.directories
        assert directories is not None
        for path, layer in zip(directories.paths, superblock.layers, strict=True):
            if self._place_of(layer) is None:
                return f"its layer {path} is in a filesystem that is not captured, nor on the host"
            if uses[layer] > 1 and path in (directories.upper, directories.work):
                return f"its directory {path} changes, and another overlay is made of it as well"
        return ""

    def _place_of(self, layer: OverlayLayer) -> CapturedPlace | None:
        superblock = self.superblocks.get(layer.device)
        if superblock is not None and superblock.how == "made":
            return CapturedPlace(superblock.maker_id, layer.path)
        found = self.host.showing(layer.device, layer.path)
        return CapturedPlace("", found[0]) if found is not None else None

    def _find_files(self) -> None:
        """Find out what must be in the filesystems that are made: roots of binds, layers, what is mounted upon."""
        wanted: dict[_Place, list[_Mount]] = {}  # path in a filesystem -> mounts that tell its kind
        for superblock in self.superblocks.values():
            if superblock.how != "made":
                continue
            if of(superblock.fstype).begins == "empty" or superblock.layers:
                for space, index in superblock.mounts:
                    row = self.trees[space].rows[index]
                    if row.root != "/":
                        _note(wanted, (row.device, row.root), (space, index))
            for layer in superblock.layers[2 if superblock.directories and superblock.directories.upper else 0 :]:
                self._need(layer.device, layer.path, MountRoot("directory"))
        for superblock in self.superblocks.values():
            if superblock.how == "made" and superblock.layers:
                for space, index in superblock.mounts:
                    tree = self.trees[space]
                    for place, child in tree.below[index].items():
                        if place != "/":
                            path = TargetPath(tree.rows[index].root.removesuffix(DELETED)).joined(place)
                            _note(wanted, (superblock.device, path), (space, child))
        asked = [(space, self.row((space, index)).mount_id) for mounts in wanted.values() for space, index in mounts]
        answers = iter(self.facts.roots(asked))
        for (device, root), mounts in wanted.items():
            seen = [one for one in [next(answers) for _ in mounts] if one is not None]
            row = self.row(mounts[0])
            if not seen and not any(self.trees[space].below[index].keys() - {"/"} for space, index in mounts):
                self.cautions.append(
                    Caution(self.where(mounts[0][0], row.mountpoint), "cannot see what it shows, taken for a directory")
                )
            found = seen[0] if seen else MountRoot("directory")
            if (row.device, row.root) != (device, root) and found.kind != "directory":
                found = MountRoot("file")  # what it is mounted upon
            self._need(device, root.removesuffix(DELETED), found)

    def _need(self, device: str, path: str, what: MountRoot) -> None:
        """Something must be at `path` of a filesystem. In an overlay it gets there by the layer that is its top."""
        superblock = self.superblocks.get(device)
        while superblock is not None and superblock.layers:
            layer = superblock.layers[0]
            path = TargetPath(layer.path).joined(path)
            superblock = self.superblocks.get(layer.device)
        if superblock is None or superblock.how != "made" or path == "/":
            return
        if of(superblock.fstype).begins == "empty":
            superblock.files.setdefault(path, CapturedFile(path, what.kind, what.device, what.link))

    def _name(self) -> None:
        """Give ids to the mounts that others refer to."""
        needed: set[tuple[int, int]] = set()
        sources = {layer.device for one in self.superblocks.values() if one.how == "made" for layer in one.layers}
        for superblock in self.superblocks.values():
            if superblock.how == "made" and superblock.maker is not None and superblock.is_source(sources):
                needed.add(superblock.maker)
        for space, tree in enumerate(self.trees):
            needed |= {(space, tree.parents[index]) for index, reached in enumerate(tree.reached) if not reached}
        renamed = list(dict.fromkeys(self.sources.renamed.values()))
        needed |= {one.maker for one in renamed if one.maker is not None and len(one.mounts) > 1}
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
            elif superblock.is_source(sources):
                superblock.maker_id = self.ids[superblock.maker]
        for one in renamed:
            if one.maker is None:
                path = self.row(one.mounts[0]).mountpoint
                self.renamed_ids[one.mounts[0]] = names.take(f"{path}/whole-{path.rpartition('/')[2]}")
            elif len(one.mounts) > 1:
                self.renamed_ids[one.mounts[0]] = self.ids[one.maker]

    def _namespace(self, space: int) -> CapturedNamespace:
        tree = self.trees[space]
        mounts = []
        for index, row in enumerate(tree.rows):
            if index in self.brought[space].rows:
                continue
            superblock = self.superblocks[row.device]
            if superblock.maker is None and superblock.how == "made" and superblock.mounts[0] == (space, index):
                mounts.append(self._whole(superblock, row))
            renamed = self.sources.renamed.get((space, index))
            if renamed is not None and renamed.maker is None and renamed.mounts[0] == (space, index):
                mounts.append(self._one_more(_EMPTY._replace(id=self.renamed_ids[space, index]), row))
            mounts.append(self._mount(space, index, row, superblock))
        return CapturedNamespace(self.lives[space].name, tuple(mounts), self.users[space])

    def _whole(self, superblock: _Superblock, row: MountRow) -> CapturedMount:
        """A filesystem of which no mount shows the whole: it is made, and stands nowhere."""
        return self._made(_EMPTY._replace(id=superblock.maker_id), superblock, row)

    def _made(self, words: CapturedMount, superblock: _Superblock, row: MountRow) -> CapturedMount:
        """A mount that makes its filesystem. If its own source is not told, that of a bind of it is the same."""
        if row.source == UNTOLD:
            told = (source for mount in superblock.mounts if (source := self.row(mount).source) != UNTOLD)
            row = row._replace(source=next(told, UNTOLD))
        words = words._replace(
            type=row.fstype, source=_source(row), options=self._options(row),
            files=tuple(sorted(superblock.files.values())),
        )  # fmt: skip
        if superblock.image:
            return words._replace(image=superblock.image, source=None)
        self._caution_of_source(superblock, row.source)
        if superblock.directories is None:
            return words
        places = tuple(place for layer in superblock.layers if (place := self._place_of(layer)) is not None)
        if superblock.directories.upper:
            return words._replace(layers=places[2:], upper=places[0], work=places[1])
        return words._replace(layers=places)

    def _options(self, row: MountRow) -> Options:
        """What to give a new filesystem; nothing if that is one more mount of the host's, which has its options."""
        is_host = of(row.fstype).is_shared and row.device in self.host.devices
        return () if is_host else given_again(row.fstype, row.options)

    def _caution_of_source(self, superblock: _Superblock, source: str) -> None:
        """Say where the new one will be called otherwise."""
        what = ""
        if source == UNTOLD:
            what = f"the kernel does not tell its source, which takes Linux 6.13; it will be {superblock.fstype}"
        elif size(source) > OPTION:
            what = (
                f"its source is longer than the {OPTION} bytes that fsconfig(2) takes; it will be {superblock.fstype}"
            )
        if what:
            space, index = superblock.mounts[0]
            self.cautions.append(Caution(self.where(space, self.row((space, index)).mountpoint), what))

    def _mount(self, space: int, index: int, row: MountRow, superblock: _Superblock) -> CapturedMount:
        tree = self.trees[space]
        mount = (space, index)
        parent = "" if tree.reached[index] else self.ids[space, tree.parents[index]]
        group, master = self.sharing.group_of.get(mount, ""), self.sharing.master_of.get(mount, "")
        uids, gids = self._idmap(space, row)
        if "idmapped" in row.attributes and not (uids or gids):
            what = "its id-mapping cannot be read, which takes Linux 6.15; it is rebuilt without"
            self.cautions.append(Caution(self.where(space, row.mountpoint), what))
        unsupported = self.sharing.refused.get(mount, "")
        base = 0
        words = _EMPTY._replace(
            row=index, id=self.ids.get(mount, ""), target=row.mountpoint, parent=parent, uids=uids, gids=gids,
            peer_group=group, master=master, lock=self.locks[space][index], unbindable=row.unbindable,
            unsupported=unsupported,
        )  # fmt: skip
        if mount in self.sources.renamed:
            renamed = self.sources.renamed[mount]
            if renamed.maker == mount:
                words = self._one_more(words, row)
            else:
                base = parse_shown(self.row(renamed.maker).attributes) if renamed.maker is not None else 0
                words = words._replace(bind=CapturedPlace(self.renamed_ids[renamed.mounts[0]], row.root))
        elif superblock.how == "made":
            if superblock.maker == mount:
                words = self._made(words, superblock, row)
            elif row.fstype == "proc" and _PROCESS.match(row.root):
                words = self._unsupported(words, space, row, f"it shows {row.root} of a proc: a process that was there")
            elif row.fstype == "devpts" and _TERMINAL.match(row.root):
                what = f"it shows {row.root} of a devpts: a terminal, there while a program holds its other end"
                words = self._unsupported(words, space, row, what)
            else:
                words, base = self._bound(words, superblock), self._attributes_of_maker(superblock)
                words = words._replace(bind=self._inner(superblock, mount, row))
        elif superblock.how == "host":
            found = self.host.showing(row.device, row.root)
            if found is None:
                unsupported = f"nothing on the host shows {row.root} of its filesystem ({row.fstype})"
                if self._is_removed(mount):
                    path = row.root.removesuffix(DELETED)
                    unsupported = f"what it shows, {path}, has been removed from its filesystem ({row.fstype})"
                if is_mount_namespace_file(row):
                    unsupported = "the kernel copies the file of a mount namespace into no other one"
                words = self._unsupported(words, space, row, unsupported)
            else:
                path, host_row = found
                base = parse_shown(host_row.attributes)
                words = words._replace(bind=CapturedPlace("", path), recursive=index in self.brought[space].tops)
                if base & IDMAP:
                    words = self._of_mapped_host(words, space, row, path)
        else:
            words = self._unsupported(words, space, row, superblock.reason)
        return words._replace(attributes=_attributes(row.attributes, base))

    def _attributes_of_maker(self, superblock: _Superblock) -> int:
        """What a bind of it has, unless it says otherwise; what stands nowhere is written without attributes."""
        return parse_shown(self.row(superblock.maker).attributes) if superblock.maker is not None else 0

    def _idmap(self, space: int, row: MountRow) -> tuple[IdLines, IdLines]:
        return self.lives[space].idmaps.get(row.mount_id, _NO_MAP) if "idmapped" in row.attributes else _NO_MAP

    def _bound(self, words: CapturedMount, superblock: _Superblock) -> CapturedMount:
        """The id-mapping of a bind, which has that of its source unless it says otherwise."""
        if superblock.maker is None:
            return words
        inherited = self._idmap(superblock.maker[0], self.row(superblock.maker))
        own = words.uids, words.gids
        if own == inherited:
            return words._replace(uids=(), gids=())
        return words._replace(unmapped=own == _NO_MAP)

    def _of_mapped_host(self, words: CapturedMount, space: int, row: MountRow, path: str) -> CapturedMount:
        """A bind of a mount of the host that is id-mapped itself: it is so too, and cannot be made otherwise."""
        if "idmapped" not in row.attributes:
            reason = f"the host shows what it shows at {path} only, which is id-mapped, and this is not"
            return self._unsupported(words._replace(bind=None), space, row, reason)
        what = f"it is bound from {path}, and has the id-mapping that the host's mount has there"
        self.cautions.append(Caution(self.where(space, row.mountpoint), what))
        return words._replace(uids=(), gids=())

    def _one_more(self, words: CapturedMount, row: MountRow) -> CapturedMount:
        """One more mount of what there is only one of, under a source of its own."""
        return words._replace(type=row.fstype, source=_source(row), options=self._options(row))

    def _inner(self, superblock: _Superblock, mount: tuple[int, int], row: MountRow) -> CapturedPlace:
        path = row.root.removesuffix(DELETED)
        hidden = False
        if superblock.maker is not None and superblock.maker[0] == mount[0]:
            siblings = self.trees[mount[0]].below[superblock.maker[1]]
            covers = (*hiders(siblings, path), siblings.get("/"), siblings.get(path))
            hidden = any(one not in (None, mount[1]) for one in covers)
        return CapturedPlace(superblock.maker_id, path, hidden, row.root != path)

    def _unsupported(self, words: CapturedMount, space: int, row: MountRow, reason: str) -> CapturedMount:
        self.cautions.append(Caution(self.where(space, row.mountpoint), f"cannot be rebuilt: {reason}"))
        return words._replace(
            type=row.fstype, source=_source(row), options=given_again(row.fstype, row.options), unsupported=reason
        )


_EMPTY = CapturedMount(
    row=-1, id="", target="", parent="", type="", source=None, options=(), image="", layers=(), upper=None, work=None,
    bind=None, recursive=False, attributes=(), uids=(), gids=(), unmapped=False, peer_group="", master="",
    lock="", unbindable=False, on_symlink="", contents="", files=(), unsupported="",
)  # fmt: skip


def _note(wanted: dict[_Place, list[_Mount]], place: _Place, mount: _Mount) -> None:
    """One mount in each namespace will do: what is hidden in one may be seen in another."""
    known = wanted.setdefault(place, [])
    if mount[0] not in [space for space, _ in known]:
        known.append(mount)


def _why_not_image(image: LiveImage | None, row: MountRow) -> str:
    """Why a filesystem on a device cannot be mounted anew from an image; "" if it can."""
    if (partition := _PARTITION.fullmatch(row.source)) is not None:
        return f"it is on a partition of {partition[1]}, and a spec names an image as a whole"
    if image is None:
        return _why_not(row.fstype)
    if image.offset or image.size:
        last = f", {image.size} bytes long" if image.size else ""
        return (
            f"it is a part of the image {image.path}, from byte {image.offset} on{last}, and a spec names it as a whole"
        )
    if not _is_read_only(row):
        return _IMAGE.format(image.path)
    subvolume = next(iter(parse_options(row.options).values("subvol")), "/")
    if subvolume != "/":
        return f"it shows the subvolume {subvolume} of the image {image.path}, and a spec names that as a whole"
    return ""


def _is_read_only(row: MountRow) -> bool:
    return of(row.fstype).read_only or parse_options(row.options).read_only


def _source(row: MountRow) -> str | None:
    """What to write as the source; None if it will be that anyway, or cannot be given (_caution_of_source)."""
    if row.source in (row.fstype, of(row.fstype).source or UNTOLD, UNTOLD) or size(row.source) > OPTION:
        return None
    return row.source


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
    """The words of a spec for these namespaces. Never fails on one odd mount: that is left out, with the reason.

    `unshare` are the kinds of the other namespaces that the processes had for themselves.
    """
    return _Capture(namespaces, host, facts).captured(name, unshare)
