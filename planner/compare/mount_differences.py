"""What is different about two sides, mount by mount and property by property, in words."""

from __future__ import annotations

from mountplan.planner.attributes import parse_shown
from mountplan.planner.compare.arrivals import Arrivals, Whence
from mountplan.planner.compare.difference import Difference, Drift
from mountplan.planner.compare.matching import OUTSIDE, Forest, Match, match
from mountplan.planner.compare.renaming import Renaming
from mountplan.planner.compare.superblocks import Told, judge_options
from mountplan.planner.compare.view import View
from mountplan.planner.names import MASKS, IdMapping
from mountplan.planner.plan.predict import HOST_GROUPS
from mountplan.planner.tables.layerpath import devices_among, with_devices
from mountplan.planner.tables.options import differing_asked, differing_shown
from mountplan.planner.tables.table import UNTOLD, MountRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence
    from typing import TypeAlias

_UNKNOWN = (
    "which a peer may have brought, or was mounted here: that takes Linux 6.11 to tell, and no filter before"
    " statmount and listmount"
)
_MOST_NAMED = 3  # fellow members of a group that are named

Pair: TypeAlias = tuple[View, View]
Found: TypeAlias = "Iterator[tuple[str, str, str]]"  # property, wanted, found


class MountDifferences:
    """All differences between the pairs of namespaces. `arrivals` tells what may have come there; None: nothing may."""

    def __init__(
        self, groups: Renaming[int], devices: Renaming[str], pairs: Sequence[Pair], arrivals: Arrivals | None
    ) -> None:
        self._groups = groups
        self._devices = devices
        self._arrivals = arrivals
        self._notices: list[Difference] = []
        self._arrived: list[Difference] = []
        self._options_told: set[tuple[object, ...]] = set()
        self._spaces = [(_Space(one, len(pairs) > 1), _Space(other, len(pairs) > 1)) for one, other in pairs]
        self._matches = [match(one.table, other.table) for one, other in pairs]
        self._wanted_members = _Members(one for one, _ in self._spaces)
        self._found_members = _Members(other for _, other in self._spaces)
        for found in self._matches:
            self._meet(found)
        groups.settle()
        devices.settle()

    def drift(self) -> Drift:
        told: list[Difference] = []
        for spaces, found in zip(self._spaces, self._matches, strict=True):
            told += self._namespace(*spaces, found)
        return tuple(told)

    def aside(self) -> tuple[Drift, Drift]:
        """Notices and arrivals that drift() has come upon."""
        return tuple(self._notices), tuple(self._arrived)

    def _meet(self, found: Match) -> None:
        for at, other in found.pairs.items():
            row, there = found.first.rows[at], found.second.rows[other]
            self._devices.meet(row.device, there.device)
            if row.fstype == there.fstype == "overlay":
                for device, its in zip(devices_among(row.options), devices_among(there.options), strict=False):
                    self._devices.meet(device, its)
            self._groups.meet(row.peer_group, there.peer_group)
            self._groups.meet(row.master, there.master)
            self._groups.meet(row.propagate_from, there.propagate_from)

    def _namespace(self, wanted: _Space, found: _Space, matched: Match) -> Iterator[Difference]:
        """Of the mounts of the first side in its order, then what is only on the other."""
        first, second, pairs = matched
        back = {other: at for at, other in pairs.items()}
        ours, theirs = _Anchors(first, pairs), _Anchors(second, back)
        for at, row in enumerate(first.rows):
            if at in pairs:
                there = pairs[at]
                otherwise: Told = []
                told = list(self._properties(wanted, found, row, second.rows[there], otherwise))
                if pairs.get(ours.of[at], OUTSIDE) != theirs.of[there]:
                    told.insert(0, ("parent", _parent(first, at), _parent(second, there)))
                for prop, one, other in told:
                    yield wanted.difference(first, at, prop, one, other, found.origin(there))
                self._notices += [
                    wanted.difference(first, at, f"option {name}", one, other, "") for name, one, other in otherwise
                ]
            elif first.parents[at] in pairs or first.parents[at] == OUTSIDE:
                yield wanted.difference(first, at, "mount", _what(first, at, pairs), "no mount", "")
        yield from self._only_found(found, second, back)

    def _only_found(self, found: _Space, second: Forest, back: dict[int, int]) -> Iterator[Difference]:
        """What is only on the other side: but for what has arrived, and upon that only what has not."""
        arrived: set[int] = set()
        first_ones: list[int] = []
        for at in second.order() if len(back) < len(second.rows) else ():
            parent = second.parents[at]
            if at in back or not (parent in back or parent == OUTSIDE or parent in arrived):
                continue
            whence: Whence = "here"
            if self._arrivals is not None and parent != OUTSIDE:
                whence = self._arrivals.whence(second.rows[at], second.rows[parent])
            if whence == "elsewhere":
                arrived.add(at)
                if parent in back:
                    first_ones.append(at)
                continue
            one = _only(found, second, at, back)
            yield one._replace(found=f"{one.found}, {_UNKNOWN}", unknown=True) if whence == "unknown" else one
        told = set(range(len(second.rows))) - arrived
        self._arrived += [_only(found, second, at, told) for at in first_ones]

    def _properties(self, wanted: _Space, found: _Space, row: MountRow, there: MountRow, otherwise: Told) -> Found:
        if row.fstype != there.fstype:
            yield "filesystem", row.fstype, there.fstype
        if row.root != there.root:
            yield "root", row.root, there.root
        if row.attributes != there.attributes and parse_shown(row.attributes) != parse_shown(there.attributes):
            yield "attributes", row.attributes, there.attributes
        if row.unbindable != there.unbindable:
            yield "unbindable", "yes" if row.unbindable else "no", "yes" if there.unbindable else "no"
        idmaps = wanted.view.idmaps, found.view.idmaps
        if idmaps[0] is not None and idmaps[1] is not None:
            ours, theirs = idmaps[0].get(row.mount_id), idmaps[1].get(there.mount_id)
            if ours != theirs:
                yield "id-mapping", _idmap_words(ours), _idmap_words(theirs)
        if not self._devices.same(row.device, there.device):
            ours_words = self._device_words(row, self._wanted_members)
            yield "superblock", ours_words, self._device_words(there, self._found_members)
        elif row.fstype == there.fstype:
            yield from self._superblock(wanted.view, found.view, row, there, otherwise)
        yield from self._sharing(row, there, from_known=wanted.view.asked is None and found.view.asked is None)

    def _superblock(self, wanted: View, found: View, row: MountRow, there: MountRow, otherwise: Told) -> Found:
        """Source and options: what was asked against what is shown, once for each superblock. `otherwise` gets options
        that are shown in another form.
        """
        once = (row.device, there.device, row.source, there.source, row.options, there.options)
        if once in self._options_told:
            return
        self._options_told.add(once)
        asked = wanted.asked.get(row.device) if wanted.asked is not None else None
        also = found.asked.get(there.device) if found.asked is not None else None
        if (wanted.asked is not None and asked is None) or (found.asked is not None and also is None):
            return  # the host's own: one and the same, or one that is not known well enough
        if row.source != there.source and UNTOLD not in (row.source, there.source):
            image = wanted.images.get(row.source)
            if image is None or image != found.images.get(there.source):
                yield "source", row.source, there.source
        if asked is not None and also is not None:
            options = differing_asked(row.fstype, asked, also)
        elif asked is not None:
            options, forms = judge_options(row, there, wanted, found)
            otherwise += forms
        elif also is not None:
            options = [(name, shown, wish) for name, wish, shown in judge_options(there, row, found, wanted)[0]]
        else:
            options = self._shown_options(row, there)
        for name, one, other in options:
            yield f"option {name}", one, other

    def _shown_options(self, row: MountRow, there: MountRow) -> list[tuple[str, str, str]]:
        ours, theirs = row.options, there.options
        if row.fstype == "overlay":  # its layers' directories are named after devices, which may be others there
            ours = with_devices(ours, lambda device: device)
            theirs = with_devices(theirs, lambda device: self._devices.back.get(device, device))
        return differing_shown(row.fstype, ours, theirs)

    def _sharing(self, row: MountRow, there: MountRow, *, from_known: bool) -> Found:
        for prop, number, other in (
            ("peer group", row.peer_group, there.peer_group),
            ("master", row.master, there.master),
            ("propagate_from", row.propagate_from, there.propagate_from),
        ):
            if (from_known or prop != "propagate_from") and not self._groups.same(number, other):
                ours = self._group_words(number, row, self._wanted_members, wanted=True)
                yield prop, ours, self._group_words(other, there, self._found_members, wanted=False)

    def _group_words(self, number: int, row: MountRow, members: _Members, *, wanted: bool) -> str:
        """`data, with /a, /b`: what it is called, and who else is in it."""
        if not number:
            return "none"
        view = self._spaces[0][0 if wanted else 1].view  # all views of a side know the same names
        name = view.groups.get(number)
        if not name and not wanted:
            name = self._spaces[0][0].view.groups.get(self._groups.back.get(number, 0))
        if not name and view.asked is None:
            name = str(number)
        if not name:
            name = f"{number - HOST_GROUPS} of the host" if number >= HOST_GROUPS else "a new one"
        if number != row.peer_group:
            return name + _others("of", members.of(number), row)
        return name + (_others("with", members.of(number), row) or ", alone")

    def _device_words(self, row: MountRow, members: _Members) -> str:
        called = "that of all masks" if row.device == f"={MASKS}" else row.device.removeprefix("=")
        return called + _others("with", members.of(row.device), row)


class _Space:
    """One namespace of one side, and how its mounts are called."""

    def __init__(self, view: View, several: bool) -> None:
        self.view = view
        self.prefix = f"{view.namespace}:" if several and view.namespace else ""
        self._several = several
        self._layers: dict[int, int] = {}  # of each mount: how many are below it at its mountpoint
        self._heights: dict[str, int] = {}  # of each mountpoint: how many mounts are there

    def origin(self, at: int) -> str:
        return self.view.origins[at] if self.view.origins else ""

    def difference(self, forest: Forest, at: int, prop: str, wanted: str, found: str, found_origin: str) -> Difference:
        namespace = self.view.namespace if self._several else ""
        mountpoint, fstype, remedy = forest.rows[at].mountpoint, forest.rows[at].fstype, ""
        if prop == "root" and fstype == "btrfs" and wanted == "/" and self.view.asked is not None:
            remedy = f'that is its default subvolume: write options = {{ subvol = "{found}" }}, or "/" for the top'
        return Difference(
            mountpoint, prop, wanted, found, self.origin(at), remedy, namespace, self._layer(forest, at), found_origin
        )

    def _layer(self, forest: Forest, at: int) -> str:
        if not self._heights:
            for one in forest.order():
                mountpoint = forest.rows[one].mountpoint
                self._layers[one] = below = self._heights.get(mountpoint, 0)
                self._heights[mountpoint] = below + 1
        height = self._heights[forest.rows[at].mountpoint]
        return f"{self._layers[at] + 1} of {height}" if height > 1 else ""


class _Members:
    """Who is in a group, or shows a filesystem, in all namespaces of one side. Made when it is first asked for."""

    def __init__(self, spaces: Iterator[_Space]) -> None:
        self._spaces = list(spaces)
        self._known: dict[int | str, list[tuple[str, MountRow]]] = {}

    def of(self, group_or_device: int | str) -> list[tuple[str, MountRow]]:
        if not self._known:
            for space in self._spaces:
                for row in space.view.table.rows:
                    for one in (row.peer_group, row.device):
                        self._known.setdefault(one, []).append((space.prefix, row))
        return self._known.get(group_or_device, [])


class _Anchors:
    """`of` a mount: the nearest mount that it stands on and that the other side has as well."""

    def __init__(self, forest: Forest, pairs: dict[int, int]) -> None:
        self.of: dict[int, int] = {}
        for at in forest.order():
            parent = forest.parents[at]
            self.of[at] = parent if parent == OUTSIDE or parent in pairs else self.of[parent]


def _others(word: str, members: list[tuple[str, MountRow]], row: MountRow) -> str:
    """The first of the other members: `, with /a, /b`."""
    others = [prefix + one.mountpoint for prefix, one in members[: _MOST_NAMED + 1] if one is not row]
    if not others:
        return ""
    named = others[:_MOST_NAMED]
    more = len(members) - (word == "with") - len(named)
    return f", {word} {', '.join(named)}" + (f" and {more:,} more" if more else "")


def _parent(forest: Forest, at: int) -> str:
    parent = forest.parents[at]
    if parent == OUTSIDE:
        return "none that is seen"
    return f"{forest.rows[parent].fstype} at {forest.rows[parent].mountpoint}"


def _only(found: _Space, forest: Forest, at: int, known: Container[int]) -> Difference:
    what = _what(forest, at, known)
    return found.difference(forest, at, "mount", "none", what, found.origin(at))._replace(origin="")


def _what(forest: Forest, at: int, known: Container[int]) -> str:
    """A mount that the other side does not have, and how many on it that it does not have either."""
    where = f", on the {_parent(forest, at)}" if forest.parents[at] != OUTSIDE else ""
    below = [at]
    for one in below:
        below += [child for child in forest.children.get(one, ()) if child not in known]
    more = len(below) - 1
    return f"{forest.rows[at].fstype}{where}" + (f", and {more:,} more upon it" if more else "")


def _idmap_words(idmap: IdMapping | None) -> str:
    if idmap is None:
        return "none"
    uids, gids = (" ".join(":".join(map(str, line)) for line in lines) for lines in idmap)
    return f"uids {uids} gids {gids}"
