"""What stands in live namespaces -> the words of a spec that builds it again. Tables and facts in, values out.

The same state gives the same words, whatever ids the kernel gave to its mounts, groups and devices: everything goes by
the tree (planner/tables/mounttree.py), and names are made of paths.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from mountplan.planner.attributes import ATIME_MASK, IDMAP, NAMES, TIMES, parse_shown
from mountplan.planner.capture.brought import Brought, find_brought
from mountplan.planner.capture.captured import (
    COPY_DIFFERS,
    NO_ROW,
    Captured,
    CapturedMount,
    CapturedNamespace,
    CapturedPlace,
    CapturedUser,
    Caution,
    Options,
)
from mountplan.planner.capture.folding import fold
from mountplan.planner.capture.found_superblock import FoundSuperblock
from mountplan.planner.capture.groups import Sharing, find_sharing
from mountplan.planner.capture.naming import Names
from mountplan.planner.capture.needed_files import RootFacts, find_files
from mountplan.planner.capture.overlay_layers import LayerFacts, Overlays
from mountplan.planner.capture.own_sources import Sources, find_sources
from mountplan.planner.capture.regiven import given_again, of_the_top, parse_options, subvolume_of
from mountplan.planner.capture.user_namespaces import Owner, find_owned
from mountplan.planner.capture.widest import HostMounts
from mountplan.planner.fstypes import of, served_by_program
from mountplan.planner.language.limits import OPTION, size
from mountplan.planner.names import IdMapping, Lock
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.mount_facts import LiveImage
from mountplan.planner.tables.mounttree import MountTree, hiders
from mountplan.planner.tables.table import DELETED, UNTOLD, MountRow, MountTable, is_mount_namespace_file

_LOOP = re.compile(r"/dev/loop\d+(p\d+)?")
_IMAGE = "it is in the image {}, which is mounted already, and would be damaged if it were mounted twice for writing"
_LOST_IMAGE = "it is in an image to which no path of the host leads: the file is removed, or in what is captured itself"
_NAMELESS = "it keeps a namespace alive, which neither a mount on the host shows nor a process that is captured is in"
_NO_MAP: IdMapping = ((), ())
_STANDS_ON = "what it stands on is left out"
_ADRIFT = "left out: what it stands on cannot be seen"
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
_ATIME = {NAMES[word].set & ATIME_MASK: word for word in TIMES}


_Mount = tuple[int, int]  # number of the namespace, index in its tree


class Live(NamedTuple):
    """One namespace as it was found: all of its mounts, and the id-mappings of those that have one, by mount id.

    `seeds` are mounts that belong to no tree, but keep groups alive (planner/plan/seedbase.py).
    """

    name: str
    table: MountTable
    idmaps: dict[int, IdMapping]
    seeds: tuple[MountRow, ...] = ()
    owner: Owner | None = None  # the user namespace that it belongs to, if that is not ours
    locks: dict[int, Lock] = {}  # what that cannot undo, by mount id


class Facts(LayerFacts, RootFacts, Protocol):
    """What a capture asks about live namespaces beside their tables."""

    def differing(self, wanted: Sequence[tuple[int, int, str]]) -> list[bool]:
        """Whether a host path leads to something else than the root of a mount: (number of the namespace, mount id,
        path). False where that root cannot be seen.
        """
        ...

    def image(self, device: str) -> LiveImage | None:
        """What is behind a loop device, or a partition of one; None if that is not known."""
        ...

    def namespace(self, device: str, root: str) -> str:
        """What names the namespace whose file is shown, by a process that is looked at; "" if none is in it."""
        ...


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
        self.superblocks: dict[str, FoundSuperblock] = {}
        self.ids: dict[tuple[int, int], str] = {}
        self.sharing = Sharing((), {}, {}, {})
        self.sources = Sources({}, {})
        self.renamed_ids: dict[_Mount, str] = {}  # by the first of those that are made together
        self.overlays = Overlays(self.trees, {}, self.host, self.where)
        self.removed: set[_Mount] = set()  # what they show is gone, and the kernel does not mark it so
        self.reasons: dict[_Mount, str] = {}  # why mounts cannot be rebuilt
        self.left_out: set[_Mount] = set()  # these, and what stands on them

    def where(self, space: int, mountpoint: str) -> str:
        return f"{self.lives[space].name}:{mountpoint}" if len(self.lives) > 1 else mountpoint

    def captured(self, name: str, unshare: tuple[str, ...]) -> Captured:
        for space, tree in enumerate(self.trees):
            for row in tree.adrift:
                what = "" if row.mountpoint else f", and no path leads to it: {row.root} of {row.fstype} {row.source}"
                self.cautions.append(Caution(self.where(space, row.mountpoint), _ADRIFT + what))
            self.brought.append(find_brought(tree, self.host))
            for index, row in enumerate(tree.rows):
                if index in self.brought[space].rows:
                    continue
                superblock = self.superblocks.get(row.device)
                if superblock is None:
                    superblock = self.superblocks[row.device] = FoundSuperblock(row.device, row.fstype)
                superblock.mounts.append((space, index))
        self._find_removed()
        for superblock in self.superblocks.values():
            self._settle(superblock)
        self.overlays = Overlays(self.trees, self.superblocks, self.host, self.where)
        self.overlays.settle(self.facts)
        self._unmap_layers()
        self._take_subvolumes()
        self.cautions += self.overlays.cautions
        seeds = [seed for live in self.lives for seed in live.seeds]
        brought = [one.rows for one in self.brought]
        self.sharing = find_sharing(self.trees, self.host, self.superblocks_of_host(), seeds, brought)
        self._leave_out()
        self._caution_of_covered()
        self._find_users()
        makers = {one.device: one.maker or one.mounts[0] for one in self.superblocks.values() if one.is_mounted}
        self.sources = find_sources(self.trees, self.host, makers, self.sharing)
        for mount, source in self.sources.lost.items():
            if mount not in self.reasons and mount[1] not in self.brought[mount[0]].rows:
                self._caution_of_other_source(mount, source)
        self.cautions += find_files(self.trees, self.superblocks, self.overlays, self.facts, self.where)
        self._name()
        wholes = self._wholes()
        spaces = tuple(self._namespace(space, wholes) for space in range(len(self.lives)))
        shown = {of(one.fstype).shows for one in self.superblocks.values() if one.how == "made"}
        needed = tuple(kind for kind in unshare if kind in shown)
        return fold(Captured(name, self.sharing.groups, spaces, needed, tuple(self.cautions)), self.trees, self.host)

    def _find_users(self) -> None:
        """Whose the namespaces are, and what is locked in them; of one alone, that is no matter of the spec's."""
        if len(self.lives) < 2:
            return
        names, owners = [live.name for live in self.lives], [live.owner for live in self.lives]
        owned = find_owned(names, owners, self.trees, [live.locks for live in self.lives], self.sharing)
        self.users, self.locks, self.sharing = owned.users, owned.locks, owned.sharing
        self.cautions += owned.cautions

    def row(self, mount: tuple[int, int]) -> MountRow:
        return self.trees[mount[0]].rows[mount[1]]

    def superblocks_of_host(self) -> frozenset[str]:
        """Those of which something wider is needed for a group: peers of a namespace's file show nothing but that."""
        return frozenset(one.device for one in self.superblocks.values() if one.how == "host" and one.fstype != "nsfs")

    def _find_removed(self) -> None:
        """What the kernel, or a server, has taken away still has its name in the table: of a process that has ended,
        /proc/1234/ns; and another process may be 1234 by now.
        """
        asked = []
        for superblock in self.superblocks.values():
            kind = of(superblock.fstype)
            if kind.begins == "empty" or kind.on_device or superblock.fstype in ("overlay", "nsfs"):
                continue
            for mount in superblock.mounts:
                row = self.row(mount)
                found = self.host.showing(row.device, row.root) if row.root != "/" else None
                if found is not None:
                    asked.append((mount, (mount[0], row.mount_id, found[0])))
        answers = self.facts.differing([one for _, one in asked])
        self.removed = {mount for (mount, _), differs in zip(asked, answers, strict=True) if differs}

    def _settle(self, superblock: FoundSuperblock) -> None:
        kind = of(superblock.fstype)
        if superblock.fstype == "nsfs":  # of each of its files something else is true
            superblock.how = "host"
            return
        if superblock.device in self.host.devices:
            superblock.how = "host"
            # What was removed from it is in no other filesystem either: that has no say.
            if not kind.renewed or all(self._is_shown(mount) or self._is_removed(mount) for mount in superblock.mounts):
                return
        if not kind.renewed and superblock.fstype != "overlay":
            row = self.row(superblock.mounts[0])
            served = row.fstype.startswith("fuse")  # by a program, whatever is on the device
            image = self.facts.image(row.source) if _LOOP.fullmatch(row.source) and not served else None
            reason = _why_not_image(image, row)
            if image is None or reason:
                superblock.give_up(reason)
                return
            superblock.image = image
        superblock.how = "made"
        superblock.maker = self._maker_among(superblock.mounts)

    def _maker_among(self, mounts: list[_Mount], *, mapped: bool = True) -> _Mount | None:
        """The first that shows the whole; unless `mapped`, of those that are not id-mapped."""
        whole = (one for one in mounts if self.row(one).root == "/")
        return next((one for one in whole if mapped or "idmapped" not in self.row(one).attributes), None)

    def _unmap_layers(self) -> None:
        """A layer goes through the id-mapping of the mount that it is named in: so it is named in one without."""
        for device in self.overlays.unmapped():
            one = self.superblocks.get(device)
            if one is not None and one.how == "made":
                one.maker = self._maker_among(one.mounts, mapped=False)

    def _take_subvolumes(self) -> None:
        """A btrfs of which only one subvolume is mounted, once, is made by that mount: nothing counts paths from it."""
        layers = {layer.device for one in self.superblocks.values() for layer in one.layers}
        for one in self.superblocks.values():
            if one.how == "made" and one.fstype == "btrfs" and one.maker is None and not one.is_source(layers):
                row = self.row(one.mounts[0])
                if row.root == subvolume_of(row.options):
                    one.maker = one.mounts[0]

    def _leave_out(self) -> None:
        """Find out what will not be built, and have everything else made from what will."""
        for space, tree in enumerate(self.trees):
            for index in range(len(tree.rows)):
                mount = (space, index)
                if index in self.brought[space].rows:
                    continue
                if reason := self._why_unsupported(mount):
                    self.reasons[mount] = reason
                if mount in self.reasons or (space, tree.parents[index]) in self.left_out:
                    self.left_out.add(mount)
        if not self.left_out:
            return
        waiting = True
        while waiting:  # what an overlay is made of is needed as long as that is
            waiting = False
            used = {layer.device for one in self.superblocks.values() if one.how == "made" for layer in one.layers}
            for superblock in self.superblocks.values():
                if superblock.how != "made" or (superblock.maker and superblock.maker not in self.left_out):
                    continue
                built = [one for one in superblock.mounts if one not in self.left_out]
                if built or superblock.device in used:
                    superblock.maker = self._maker_among(
                        built, mapped=superblock.device not in self.overlays.unmapped()
                    )
                    continue
                superblock.how, superblock.layers, waiting = "dropped", (), True

    def _caution_of_covered(self) -> None:
        """Say what is the host's, and new in the copy."""
        for one in self.superblocks.values():
            if one.how == "made" and one.device in self.host.devices and not of(one.fstype).is_shared:
                space, index = next(mount for mount in one.mounts if mount not in self.left_out)
                what = "the host has it so covered that it cannot be taken from there; a new one stands in for it"
                self.cautions.append(Caution(self.where(space, self.trees[space].rows[index].mountpoint), what))

    def _why_unsupported(self, mount: _Mount) -> str:
        """Why a mount cannot be rebuilt; "" if it can, as long as what it stands on is."""
        row, superblock = self.row(mount), self.superblocks[self.row(mount).device]
        if mount in self.sharing.refused:
            return self.sharing.refused[mount]
        if row.fstype == "nullfs":
            return "it is the empty directory that Linux 7.0 has below all roots, and nobody can mount one"
        if superblock.how == "unsupported":
            return superblock.reason
        if superblock.how == "made":
            if superblock.maker != mount and row.fstype == "proc" and _PROCESS.match(row.root):
                return f"it shows {row.root} of a proc: a process that was there"
            if superblock.maker != mount and row.fstype == "devpts" and _TERMINAL.match(row.root):
                return f"it shows {row.root} of a devpts: a terminal, there while a program holds its other end"
            return ""
        if is_mount_namespace_file(row):
            return "the kernel copies the file of a mount namespace into no other one"
        found = self.host.showing(row.device, row.root)
        if found is not None and mount not in self.removed:
            mapped = parse_shown(found[1].attributes) & IDMAP and "idmapped" not in row.attributes
            if mapped:
                return f"the host shows what it shows at {found[0]} only, which is id-mapped, and this is not"
            return ""
        if row.fstype == "nsfs":
            return "" if self.facts.namespace(row.device, row.root) else _NAMELESS
        if self._is_removed(mount):
            path = row.root.removesuffix(DELETED)
            return f"what it shows, {path}, has been removed from its filesystem ({row.fstype})"
        return f"nothing on the host shows {row.root} of its filesystem ({row.fstype})"

    def _is_shown(self, mount: tuple[int, int]) -> bool:
        row = self.row(mount)
        return self.host.showing(row.device, row.root) is not None and mount not in self.removed

    def _is_removed(self, mount: tuple[int, int]) -> bool:
        return self.row(mount).root.endswith(DELETED) or mount in self.removed

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
                path = self.row(superblock.needed_by or superblock.mounts[0]).mountpoint
                word = "layers-of" if superblock.needed_by else "whole"
                superblock.maker_id = names.take(f"{path}/{word}-{path.rpartition('/')[2]}")
            elif superblock.is_source(sources):
                superblock.maker_id = self.ids[superblock.maker]
        for one in renamed:
            if one.maker is None:
                path = self.row(one.mounts[0]).mountpoint
                self.renamed_ids[one.mounts[0]] = names.take(f"{path}/whole-{path.rpartition('/')[2]}")
            elif len(one.mounts) > 1:
                self.renamed_ids[one.mounts[0]] = self.ids[one.maker]

    def _wholes(self) -> dict[_Mount, list[FoundSuperblock]]:
        """The filesystems that are made and stand nowhere, by the mount before which they are written."""
        wholes: dict[_Mount, list[FoundSuperblock]] = {}
        for superblock in self.superblocks.values():
            if superblock.maker is None and superblock.how == "made":
                wholes.setdefault(superblock.needed_by or superblock.mounts[0], []).append(superblock)
        return wholes

    def _namespace(self, space: int, wholes: Mapping[_Mount, list[FoundSuperblock]]) -> CapturedNamespace:
        tree = self.trees[space]
        mounts = []
        for index, row in enumerate(tree.rows):
            if index in self.brought[space].rows:
                continue
            superblock = self.superblocks[row.device]
            mounts += [self._whole(one, row) for one in wholes.get((space, index), ())]
            renamed = self.sources.renamed.get((space, index))
            if renamed is not None and renamed.maker is None and renamed.mounts[0] == (space, index):
                mounts.append(self._one_more(CapturedMount(id=self.renamed_ids[space, index]), row))
            mounts.append(self._mount(space, index, row, superblock))
        return CapturedNamespace(self.lives[space].name, tuple(mounts), self.users[space])

    def _whole(self, superblock: FoundSuperblock, row: MountRow) -> CapturedMount:
        """A filesystem of which no mount shows the whole: it is made, and stands nowhere."""
        if superblock.needed_by:
            files = tuple(sorted(superblock.files.values()))
            return CapturedMount(row=NO_ROW, id=superblock.maker_id, type=superblock.fstype, files=files)
        if row.fstype == "btrfs":
            row = row._replace(options=of_the_top(row.options))
        return self._made(CapturedMount(id=superblock.maker_id), superblock, row)

    def _made(self, words: CapturedMount, superblock: FoundSuperblock, row: MountRow) -> CapturedMount:
        """A mount that makes its filesystem. If its own source is not told, that of a bind of it is the same."""
        if row.source == UNTOLD:
            told = (source for mount in superblock.mounts if (source := self.row(mount).source) != UNTOLD)
            row = row._replace(source=next(told, UNTOLD))
        more = dict(superblock.more)
        options = (*(one for one in self._options(row) if one[0] not in more), *superblock.more)
        words = words._replace(
            type=row.fstype, source=_source(row), options=options,
            files=tuple(sorted(superblock.files.values())),
        )  # fmt: skip
        if superblock.image is not None:
            options = self._with_nouuid(superblock, row.fstype, options)
            return words._replace(image=superblock.image, source=None, options=options)
        self._caution_of_source(superblock, row.source)
        if superblock.directories is None:
            return words
        places = tuple(place for layer in superblock.layers if (place := self.overlays.place_of(layer)) is not None)
        first, end = 2 if superblock.directories.upper else 0, len(places) - len(superblock.directories.data)
        if first:
            words = words._replace(upper=places[0], work=places[1])
        return words._replace(layers=places[first:end], data_layers=places[end:])

    def _options(self, row: MountRow) -> Options:
        """What to give a new filesystem; nothing if that is one more mount of the host's, which has its options."""
        is_host = of(row.fstype).is_shared and row.device in self.host.devices
        return () if is_host else given_again(row.fstype, row.options)

    def _with_nouuid(self, superblock: FoundSuperblock, fstype: str, options: Options) -> Options:
        """Options with which an image can be mounted that is mounted already."""
        if fstype != "xfs" or ("nouuid", True) in options:
            return options
        space, index = superblock.mounts[0]
        what = f"{COPY_DIFFERS}: option nouuid: not set -> set, as xfs takes no two with one UUID"
        self.cautions.append(Caution(self.where(space, self.row((space, index)).mountpoint), what))
        return (*options, ("nouuid", True))

    def _caution_of_source(self, superblock: FoundSuperblock, source: str) -> None:
        """Say where the new one will be called otherwise."""
        what = ""
        if source == UNTOLD:
            what = f"the kernel does not tell its source, which takes Linux 6.13; it will be {superblock.fstype}"
        elif size(source) > OPTION:
            what = f"{COPY_DIFFERS}: source: {source[:20]}... -> {superblock.fstype}; fsconfig(2) takes {OPTION} bytes"
        if what:
            space, index = superblock.mounts[0]
            self.cautions.append(Caution(self.where(space, self.row((space, index)).mountpoint), what))

    def _mount(self, space: int, index: int, row: MountRow, superblock: FoundSuperblock) -> CapturedMount:
        tree = self.trees[space]
        mount = (space, index)
        parent = "" if tree.reached[index] else self.ids[space, tree.parents[index]]
        group, master = self.sharing.group_of.get(mount, ""), self.sharing.master_of.get(mount, "")
        uids, gids = self._idmap(space, row)
        if "idmapped" in row.attributes and not (uids or gids):
            what = "its id-mapping cannot be read, which takes Linux 6.15; it is rebuilt without"
            self.cautions.append(Caution(self.where(space, row.mountpoint), what))
        base = 0
        words = CapturedMount(
            row=index, id=self.ids.get(mount, ""), target=row.mountpoint, parent=parent, uids=uids, gids=gids,
            peer_group=group, master=master, lock=self.locks[space][index], unbindable=row.unbindable,
        )  # fmt: skip
        if mount in self.reasons:
            words = self._unsupported(words, space, row, self.reasons[mount])
        elif superblock.how == "dropped":
            words = words._replace(type=row.fstype, source=_source(row), unsupported=_STANDS_ON)
        elif mount in self.sources.renamed:
            renamed = self.sources.renamed[mount]
            if renamed.maker == mount:
                words = self._one_more(words, row)
            else:
                base = parse_shown(self.row(renamed.maker).attributes) if renamed.maker is not None else 0
                made = self.renamed_ids[renamed.mounts[0]]
                words = words._replace(bind=self._inner(renamed.maker, made, mount, row))
        elif superblock.how == "made":
            if superblock.maker == mount:
                words = self._made(words, superblock, row)
            else:
                words, base = self._bound(words, superblock), self._attributes_of_maker(superblock)
                words = words._replace(bind=self._inner(superblock.maker, superblock.maker_id, mount, row))
        else:
            found = self.host.showing(row.device, row.root)
            if found is None:
                name = self.facts.namespace(row.device, row.root)
                words = words._replace(bind=CapturedPlace("", "", namespace=name))
                return words._replace(attributes=_attributes(row.attributes, parse_shown("rw")))
            path, host_row = found
            base = parse_shown(host_row.attributes)
            words = words._replace(bind=CapturedPlace("", path), recursive=index in self.brought[space].tops)
            words = words._replace(recursive_sharing=self.brought[space].tops.get(index, ""))
            if base & IDMAP:
                words = self._of_mapped_host(words, space, row, path)
        return words._replace(attributes=_attributes(row.attributes, base))

    def _caution_of_other_source(self, mount: _Mount, source: str) -> None:
        """Say that a mount of what is mounted under several sources will be called otherwise."""
        row = self.row(mount)
        what = f"{COPY_DIFFERS}: source: {row.source or 'nothing'} -> {source or 'nothing'}"
        why = "others that it shares its events with have that"
        if not of(row.fstype).is_shared:
            why = "what it is bound from has that"
        self.cautions.append(Caution(self.where(mount[0], row.mountpoint), f"{what}, as {why}"))

    def _attributes_of_maker(self, superblock: FoundSuperblock) -> int:
        """What a bind of it has, unless it says otherwise; what stands nowhere is written without attributes."""
        return parse_shown(self.row(superblock.maker).attributes) if superblock.maker is not None else 0

    def _idmap(self, space: int, row: MountRow) -> IdMapping:
        return self.lives[space].idmaps.get(row.mount_id, _NO_MAP) if "idmapped" in row.attributes else _NO_MAP

    def _bound(self, words: CapturedMount, superblock: FoundSuperblock) -> CapturedMount:
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
        what = f"it is bound from {path}, and has the id-mapping that the host's mount has there"
        self.cautions.append(Caution(self.where(space, row.mountpoint), what))
        return words._replace(uids=(), gids=())

    def _one_more(self, words: CapturedMount, row: MountRow) -> CapturedMount:
        """One more mount of what there is only one of, under a source of its own."""
        return words._replace(type=row.fstype, source=_source(row), options=self._options(row))

    def _inner(self, maker: _Mount | None, maker_id: str, mount: _Mount, row: MountRow) -> CapturedPlace:
        path = row.root.removesuffix(DELETED)
        hidden = False
        if maker is not None and maker[0] == mount[0]:
            siblings = self.trees[mount[0]].below[maker[1]]
            covers = (*hiders(siblings, path), siblings.get("/"), siblings.get(path))
            hidden = any(one not in (None, mount[1]) for one in covers)
        return CapturedPlace(maker_id, path, hidden, row.root != path)

    def _unsupported(self, words: CapturedMount, space: int, row: MountRow, reason: str) -> CapturedMount:
        self.cautions.append(Caution(self.where(space, row.mountpoint), f"cannot be rebuilt: {reason}"))
        return words._replace(
            type=row.fstype, source=_source(row), options=given_again(row.fstype, row.options), unsupported=reason
        )


def _why_not_image(image: LiveImage | None, row: MountRow) -> str:
    """Why a filesystem on a device cannot be mounted anew from an image; "" if it can."""
    if image is None:
        return _why_not(row.fstype)
    if not image.path:
        return _LOST_IMAGE
    return "" if _is_read_only(row) else _IMAGE.format(image.path)


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
    if served_by_program(fstype):
        return f"{fstype} needs the program that serves it, and no mount on the host shows this filesystem"
    return f"no mount on the host shows this filesystem ({fstype}), and a new one would not be the same"


def capture(
    namespaces: Sequence[Live], host: MountTable, facts: Facts, *, name: str = "", unshare: tuple[str, ...] = ()
) -> Captured:
    """The words of a spec for these namespaces. Never fails on one odd mount: that is left out, with the reason.

    `unshare` are the kinds of the other namespaces that the processes had for themselves.
    """
    return _Capture(namespaces, host, facts).captured(name, unshare)
