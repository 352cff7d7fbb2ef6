"""What is different about each site of a namespace, and by which means it can be put right.

A site is changed by one of these: `append` new mounts on top; `pop` the topmost ones; `swap` the topmost, by attaching
what is new beneath it before it goes, if it does; `peer`, which changes what lies beneath the topmost mount, or beneath
a cover, from below (AttachLowest, RemoveLowest); `rebuild`, which takes mounts off and puts them on again, so that for
a moment something is missing; or only `inside`, in what stands on the mounts of the site.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mountplan.planner.attributes import ATIME_MASK, IDMAP, RDONLY, Change, parse_shown
from mountplan.planner.change.deep_calls import Steps, run_through
from mountplan.planner.change.paired_space import PairedSpace, covers_of
from mountplan.planner.change.same_superblock import Superblocks
from mountplan.planner.change.sharing_changes import SharingMatch
from mountplan.planner.compare.arrivals import Arrivals
from mountplan.planner.fstypes import of
from mountplan.planner.paths import TargetPath
from mountplan.planner.tables.table import UNTOLD

Mode: TypeAlias = Literal["none", "inside", "append", "pop", "swap", "peer", "rebuild"]


@dataclass(slots=True)
class ExaminedSite:
    """One site. `wanted` and `found` are the stacks, the lowest first; the first `kept` of both are the same.

    `inner` has what was found out about each wanted mount that has a counterpart in the stack. `arrived` are mounts on
    top that have come from elsewhere, and stay.

    With `peer`, the last `upper` of both stay, and all others are exchanged; `covered` says whether a walk reaches none
    of them, and `top_beneath` whether the topmost is exchanged as by a swap.

    `afresh`: it is on a mount that another takes the place of, and all of it is made anew on that before it is seen.
    """

    place: str
    wanted: list[int]
    found: list[int]
    kept: int = 0
    mode: Mode = "none"
    upper: int = 0
    covered: bool = False
    top_beneath: bool = False
    afresh: bool = False
    inner: dict[int, ExaminedMount] = field(default_factory=dict)
    arrived: list[int] = field(default_factory=list)

    @property
    def only_loses(self) -> bool:
        """Whether mounts go, and nothing else is changed once they have."""
        if self.mode != "pop" or self.arrived:
            return False
        return not (self.kept and self.inner[self.wanted[-1]].dirty)

    @property
    def has_more(self) -> bool:
        """Whether anything stays on it, or on what stands on it, that is not wanted."""
        return bool(self.arrived or any(one.sites for one in self.inner.values()))

    @property
    def staying(self) -> list[int]:
        """Those of `found` that stay where they are while what is beneath them is exchanged."""
        return self.found[len(self.found) - self.upper :] if self.mode == "peer" else []

    @property
    def keeps_top(self) -> bool:
        """Whether the topmost mount stays."""
        inner = self.inner.get(self.wanted[-1])
        return inner is not None and inner.found == self.found[-1] and not inner.unlike


@dataclass(slots=True)
class ExaminedMount:
    """Two counterparts. `unlike` says why the one that stands cannot be made the wanted one, "" if it can.

    Of one that can: `attributes` to set and clear, and whether its `sharing` changes.
    """

    wanted: int
    found: int
    unlike: str = ""
    attributes: Change = field(default_factory=Change)
    sharing: bool = False
    sites: dict[str, ExaminedSite] = field(default_factory=dict)
    dirty: bool = False

    @property
    def is_changed_through_peer(self) -> bool:
        """Whether it has to be private for a moment, as it becomes the slave of a peer."""
        sites = self.sites.values()
        return any(site.mode == "peer" or (site.only_loses and len(site.found) > site.kept + 1) for site in sites)

    def buried(self, *, all_of_it: bool) -> list[str]:
        """The places from which something goes as something new comes above it, and where it is seen until then.
        `all_of_it`: what comes is stacked upon the mount itself.
        """
        come = [place for place, new in self.sites.items() if new.mode == "append" and not new.found + new.arrived]
        gone = [TargetPath(place) for place, site in self.sites.items() if site.only_loses]
        return [place for place in gone if all_of_it or any(place != one and place.is_under(one) for one in come)]

    @property
    def is_built_upon(self) -> bool:
        """Whether something is attached to it, or taken from it."""
        return any(site.mode not in ("none", "inside") for site in self.sites.values())


class Examination:
    """All of one namespace. `root` is its lowest mount."""

    def __init__(
        self,
        space: PairedSpace,
        superblocks: Superblocks,
        sharing: SharingMatch,
        arrivals: Arrivals,
        *,
        beneath: bool,
        peers: bool,
    ) -> None:
        """`beneath`: whether a mount can be attached beneath another; `peers`: whether to do it through a peer too."""
        self.space = space
        self._superblocks = superblocks
        self._sharing = sharing
        self._arrivals = arrivals
        self._beneath = beneath
        self._peers = peers
        wanted, found = space.roots()
        self.root: ExaminedSite = run_through(self._site("/", space.wanted.stack(wanted), space.found.stack(found)))

    def unlike(self, wanted: int, found: int) -> str:
        """Why a mount that stands cannot become the wanted one."""
        space = self.space
        row, there = space.wanted.rows[wanted], space.found.rows[found]
        device = row.device
        if device[:1] == "=":
            device = self._superblocks.devices.get(device[1:], "")
            if not device:
                return f"a new {row.fstype}"
        if device != there.device:
            return f"{row.fstype} {row.source} instead of {there.fstype} {there.source}"
        if of(row.fstype).is_shared and row.source != there.source and UNTOLD not in (row.source, there.source):
            return f"{row.fstype} {row.source} instead of {there.fstype} {there.source}"
        if row.root != there.root and row.fstype == "nsfs":
            return f"the file of {row.root} instead of that of {there.root}"
        if row.root != there.root:
            return f"{row.root} of the filesystem instead of {there.root}"
        want, have = parse_shown(row.attributes), parse_shown(there.attributes)
        if (want ^ have) & IDMAP:
            return "id-mapped" if want & IDMAP else "no longer id-mapped"
        if want & IDMAP and space.standing.idmaps is not None and space.idmap(wanted) != space.idmap_found(found):
            return "another id-mapping"
        if want & ~have & RDONLY and any(user.writes for user in space.users(found, below=False)):
            return "read-only, while files in it are open for writing"
        return ""

    def _mount(self, wanted: int, found: int) -> Steps[ExaminedMount]:
        space = self.space
        one = ExaminedMount(wanted, found, self.unlike(wanted, found))
        row, there = space.wanted.rows[wanted], space.found.rows[found]
        if not one.unlike:
            one.attributes = attribute_change(row.attributes, there.attributes)
            one.sharing = self._sharing.differs(space, wanted, found)
        on, under = space.wanted_sites.on(wanted), space.found_sites.on(found)
        for place in dict.fromkeys((*on, *sorted(under))):
            one.sites[place] = yield self._site(place, on.get(place, []), under.get(place, []))
        if one.unlike:
            for place, site in one.sites.items():
                if place not in on or not self.can_be_carried(one, site, on[place]):
                    _make_afresh(site)
        dirty = [place for place, site in one.sites.items() if site.mode != "none"]
        self._reach(one, {place: covers_of(under, place) for place in dirty})
        one.dirty = bool(one.unlike or one.sharing or one.attributes != Change() or dirty)
        if not one.dirty:
            one.sites = {place: site for place, site in one.sites.items() if site.has_more}
        return one

    def _site(self, place: str, wanted: list[int], found: list[int]) -> Steps[ExaminedSite]:
        space = self.space
        site = ExaminedSite(place, wanted, found)
        standing = set(found)
        for one in wanted:
            other = space.pairs.get(one)
            if other in standing and other is not None:
                site.inner[one] = yield self._mount(one, other)
        paired = {one.found for one in site.inner.values()}
        while site.found and site.found[-1] not in paired and self._stays(site.found[-1]):
            site.arrived.insert(0, site.found.pop())
        kept = 0
        while kept < min(len(wanted), len(site.found)):
            inner = site.inner.get(wanted[kept])
            if inner is None or inner.found != site.found[kept] or inner.unlike:
                break
            kept += 1
        high = len(site.found)
        for level in range(min(kept, high - 1)):  # those that are covered
            if site.inner[wanted[level]].dirty:
                site.kept, site.mode = level + 1, "rebuild"
                return site
        site.kept = kept
        if kept == high == len(wanted):
            site.mode = "inside" if kept and site.inner[wanted[-1]].dirty else "none"
        elif kept == high:
            site.mode = "append"
        elif kept == len(wanted):
            site.mode = "pop"
        elif self._beneath and kept == high - 1 and not (kept and space.found.rows[site.found[kept - 1]].peer_group):
            site.mode = "swap"  # what it stands on cannot be made private while it is covered
        else:
            site.mode = "rebuild"
        return site

    def _stays(self, found: int) -> bool:
        """Whether a mount that is not wanted has arrived from outside, or is one that the spec leaves out."""
        forest = self.space.found
        parent = forest.parents[found]
        row = forest.rows[found]
        if row.mountpoint in self.space.left_out:
            return True
        if parent < 0 or self._arrivals.whence(row, forest.rows[parent]) != "elsewhere":
            return False
        return not self._arrivals.is_from_within(row)

    def can_be_carried(self, instead: ExaminedMount, site: ExaminedSite, stack: list[int]) -> bool:
        """A mount that is the same, and that a walk reaches, can be cloned with all on it; not what is unbindable."""
        inner = site.inner.get(stack[0])
        if inner is None or inner.unlike or site.found != [inner.found] or site.arrived:
            return False
        found: dict[str, list[int]] = {place: [] for place, one in instead.sites.items() if one.found or one.arrived}
        if covers_of(found, site.place):
            return False
        return not self.is_unbindable(inner.wanted, inner.found) and not self.is_stacked_shared(stack, stack[0])

    def is_stacked_shared(self, stack: list[int], wanted: int) -> bool:
        """Whether something is to be stacked upon it: a clone would be in its group by then."""
        return wanted != stack[-1] and self.space.wanted.rows[wanted].peer_group != 0

    def is_unbindable(self, wanted: int, found: int) -> bool:
        """Whether something in the tree on a mount cannot be cloned, or will not be able to."""
        both = (self.space.found, found), (self.space.wanted, wanted)
        return any(forest.rows[at].unbindable for forest, first in both for at in forest.below(first))

    def _reach(self, one: ExaminedMount, dirty: dict[str, list[str]]) -> None:
        """Say how to get at the sites on a mount that are to be changed; `dirty` has the places that cover each."""
        lifted: set[str] = set()
        by_peer = []
        for place, covers in dirty.items():
            if covers and self._can_go_through_peer(one, one.sites[place], covered=True):
                by_peer.append(place)
            else:
                lifted.update(covers)
        for place in lifted:  # to be taken off, so that what it covers can be reached
            one.sites[place].kept, one.sites[place].mode = 0, "rebuild"
        for place, covers in dirty.items():
            site = one.sites[place]
            if place in lifted or (covers and place not in by_peer):
                continue
            if covers or (site.mode == "rebuild" and self._can_go_through_peer(one, site, covered=False)):
                site.mode = "peer"

    def _has_peer(self, upon: ExaminedMount) -> bool:
        """Whether what stands on a mount can be changed through a peer of that."""
        return self._peers and not upon.unlike and not self.space.found.rows[upon.found].unbindable

    def can_be_removed(self, beneath: list[int], upon: ExaminedMount) -> bool:
        """Whether these, the lowest of a stack, can be unmounted through a peer."""
        found = self.space.found
        is_plain = (found.is_bare(at) for at in beneath)
        return self._has_peer(upon) and all(is_plain)

    def _can_go_through_peer(self, upon: ExaminedMount, site: ExaminedSite, *, covered: bool) -> bool:
        """Whether all but the topmost that are the same can be exchanged from below: nothing stands on any of them."""
        space = self.space
        if not self._has_peer(upon) or site.arrived:
            return False
        wanted, found = site.wanted, site.found
        upper = 0
        while upper < min(len(wanted), len(found)):
            inner = site.inner.get(wanted[-1 - upper])
            if inner is None or inner.found != found[-1 - upper] or inner.unlike:
                break
            if inner.dirty and (upper or covered):
                break
            upper += 1
        site.upper, site.covered = upper, covered
        out, come = found[: len(found) - upper], wanted[: len(wanted) - upper]
        swaps_top = bool(out and come and not covered and not upper)
        if not covered and not upper and not swaps_top:
            return False
        if not all(space.found.is_bare(at) for at in (out[:-1] if swaps_top else out)):
            return False
        for at in come:
            if space.wanted.is_bare(at) and (not space.wanted.rows[at].unbindable or space.is_seen(at)):
                continue
            if not swaps_top or at != come[-1]:
                return False
            if not self._beneath and not self._can_be_passed_on(site, at):
                return False
            site.top_beneath = self._beneath
        return True

    def _can_be_passed_on(self, site: ExaminedSite, wanted: int) -> bool:
        """Whether a mount can come through a peer with all that shall stand on it, of which none is shared then; and
        nothing that has arrived on the one that it takes the place of goes.
        """
        space = self.space
        all_of_it = [(space.wanted.rows[at], at) for at in space.wanted.below(wanted)]
        if any(row.peer_group or (row.unbindable and not space.is_seen(at)) for row, at in all_of_it):
            return False
        return not any(below.arrived for one in mounts_in(site) for below in one.sites.values())


def attribute_change(wanted: str, there: str) -> Change:
    """What mount_setattr(2) has to be asked for, of attributes as mountinfo shows them."""
    if wanted == there:
        return Change()
    want, have = parse_shown(wanted) & ~IDMAP, parse_shown(there) & ~IDMAP
    change = Change(want & ~have & ~ATIME_MASK, have & ~want & ~ATIME_MASK)
    if (want ^ have) & ATIME_MASK:
        return Change(change.set | (want & ATIME_MASK), change.clear | ATIME_MASK)
    return change


def _make_afresh(site: ExaminedSite) -> None:
    waiting = [site]
    for one in waiting:
        one.afresh = True
        waiting += [below for inner in one.inner.values() for below in inner.sites.values()]


def mounts_in(site: ExaminedSite) -> Iterator[ExaminedMount]:
    """All counterparts in a site and in what stands on it, parents first."""
    waiting = [site]
    for one in waiting:
        for inner in one.inner.values():
            yield inner
            waiting += inner.sites.values()
