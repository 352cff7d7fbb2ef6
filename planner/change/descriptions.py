"""The lines of the preview: what changes, why, and who notices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mountplan.planner.attributes import IDMAP, parse_shown, show
from mountplan.planner.change.change_plan import ChangeLine, ChangeObstacle, Sign
from mountplan.planner.change.examination import Examination, ExaminedMount, ExaminedSite
from mountplan.planner.change.paired_space import PairedSpace
from mountplan.planner.change.sharing_changes import SharingMatch
from mountplan.planner.change.standing import Allowed
from mountplan.planner.compare.matching import Forest
from mountplan.planner.plan.predict import HOST_GROUPS
from mountplan.planner.tables.table import row_in_words

_MOST = 5  # processes that are named
_SAYS = "the spec says so"


class Descriptions:
    """`changes` of one namespace, and what stands in their way unless it is allowed."""

    def __init__(
        self, examination: Examination, sharing: SharingMatch, groups: dict[int, str], images: dict[str, str],
        allowed: Allowed,
    ) -> None:  # fmt: skip
        """`groups` has names of groups by their numbers, `images` those of images by the devices that show them."""
        self._space: PairedSpace = examination.space
        self._sharing = sharing
        self._groups = groups
        self._images = images
        self._allowed = allowed
        self.changes: list[ChangeLine] = []
        self.asides: list[str] = []
        self.obstacles: list[ChangeObstacle] = []
        waiting = [examination.root]
        while waiting:
            site = waiting.pop()
            waiting += reversed(list(self._site(site)))

    def _site(self, site: ExaminedSite) -> Iterator[ExaminedSite]:
        """Tell of one site; gives those that are to be told of after it."""
        space = self._space
        for found in site.arrived:
            row = space.found.rows[found]
            if site.afresh:
                self._gone(found, site, "what it stands on goes")
            else:
                whence = "is left out of the spec" if row.mountpoint in space.left_out else "has arrived from elsewhere"
                self.asides.append(f"{row.mountpoint}: {row.fstype} {row.source} {whence}, and stays")
        back = {inner.found: wanted for wanted, inner in site.inner.items()}
        swapped: set[int] = set()
        for number, wanted in enumerate(site.wanted):
            inner = site.inner.get(wanted)
            if inner is None:
                replaces = self._replaced(site, number, swapped, back)
                if replaces is None:
                    self._new(wanted, site)
                else:
                    swapped.add(replaces)
                    self._swap(wanted, replaces, "another mount", site)
                    self._gone_below(replaces, site)
                yield from self._new_below(wanted)
            elif inner.unlike:
                swapped.add(inner.found)
                self._swap(wanted, inner.found, inner.unlike, site)
                yield from inner.sites.values()
            else:
                if site.afresh:
                    pass
                elif number >= site.kept and site.mode == "rebuild":
                    why = "taken off, and put on again, to reach what it covers"
                    self._swap(wanted, inner.found, why, site)
                elif number < len(site.wanted) - site.upper and site.mode == "peer":
                    why = "made anew: beneath another mount nothing can be changed in place"
                    self._swap(wanted, inner.found, why, site)
                self._kept(inner, site)
                yield from inner.sites.values()
        for found in site.found[site.kept :]:
            if found not in back and found not in swapped:
                self._gone(found, site)

    def _replaced(self, site: ExaminedSite, number: int, swapped: set[int], back: dict[int, int]) -> int | None:
        """What a new mount takes the place of."""
        if site.mode not in ("swap", "peer", "rebuild") or number >= len(site.found):
            return None
        found = site.found[number]
        return found if found not in back and found not in swapped and number >= site.kept else None

    def _new_below(self, wanted: int) -> Iterator[ExaminedSite]:
        on = self._space.wanted_sites.on(wanted)
        for place in sorted(on):
            yield ExaminedSite(place, on[place], [], mode="append")

    def _gone(self, found: int, site: ExaminedSite, whose: str = "the spec does not have it") -> None:
        self._check_leaving(found, self._space.found.rows[found].mountpoint, site)
        self._gone_line(found, whose)
        self._gone_below(found, site)

    def _gone_below(self, found: int, site: ExaminedSite | None = None) -> None:
        """What goes with it; the rest of its own stack is told of by itself."""
        for child in self._space.found.children.get(found, ()):
            if site is None or child not in site.found:
                self._gone_line(child, "what it stands on goes")
                self._gone_below(child)

    def _gone_line(self, found: int, why: str) -> None:
        forest = self._space.found
        self._line(
            "-", forest.rows[found].mountpoint, found_layer(forest, found), self._what(forest, found), why, "", found
        )

    def _swap(self, wanted: int, found: int, why: str, site: ExaminedSite) -> None:
        space = self._space
        row, there = space.wanted.rows[wanted], space.found.rows[found]
        self._check_leaving(found, there.mountpoint, site)
        before, after = self._what(space.found, found), self._what(space.wanted, wanted)
        what = f"{before} -> {after}" if before != after else after
        layer, origin = self._layer(site, wanted), space.origins[wanted]
        self._line("swap", row.mountpoint, layer, what, why, origin, found, site.staying)

    def _kept(self, one: ExaminedMount, site: ExaminedSite) -> None:
        space = self._space
        row, there = space.wanted.rows[one.wanted], space.found.rows[one.found]
        layer, origin = self._layer(site, one.wanted), space.origins[one.wanted]
        if one.attributes.set or one.attributes.clear:
            want, have = (show(parse_shown(shown) & ~IDMAP) for shown in (row.attributes, there.attributes))
            self._line("~", row.mountpoint, layer, f"attributes {have} -> {want}", _SAYS, origin, None)
            if one.attributes.clear and space.standing.locks.get(there.mount_id):
                what = f"the attributes of {row.mountpoint} are locked: they came with a more privileged user's tree"
                self.obstacles.append(ChangeObstacle("locked", what, "add to them, and take none away", origin))
        if one.sharing:
            have = self._sharing_found(there.peer_group, there.master, there.unbindable)
            what = f"sharing {have} -> {self._sharing_wanted(one.wanted)}"
            why = "its group is made anew" if self._sharing.is_made_anew(space, one.wanted) else _SAYS
            self._line("~", row.mountpoint, layer, what, why, origin, None)

    def _check_leaving(self, found: int, mountpoint: str, site: ExaminedSite) -> None:
        space = self._space
        if space.standing.locks.get(space.found.rows[found].mount_id) == "locked":
            what = f"{mountpoint} is locked: it came with a more privileged user's tree"
            self.obstacles.append(ChangeObstacle("locked", what, "leave it where it is"))
        for _, user in space.users_by_mount(found, below=True, but=site.staying):
            if user.root and not self._allowed.move:
                name = user.command or "process"
                what = f"{mountpoint}: {name} ({user.pid}) has its root there, and would keep the old one"
                self.obstacles.append(ChangeObstacle("move", what, "--allow-move lets it be so"))

    def _new(self, wanted: int, site: ExaminedSite) -> None:
        space, sharing = self._space, self._sharing_wanted(wanted)
        what = self._what(space.wanted, wanted) + (f", {sharing}" if sharing != "private" else "")
        mountpoint, layer = space.wanted.rows[wanted].mountpoint, self._layer(site, wanted)
        self._line("+", mountpoint, layer, what, "the spec has it", space.origins[wanted], None)

    def _line(
        self, sign: Sign, mount: str, layer: str, what: str, why: str, origin: str, found: int | None,
        staying: Sequence[int] = (),
    ) -> None:  # fmt: skip
        notices: tuple[str, ...] = ()
        if found is not None:
            rows = self._space.found.rows
            users = self._space.users_by_mount(found, below=sign == "swap", but=staying)
            told = (f"{user}" + (f", of {rows[at].mountpoint}" if at != found else "") for at, user in users)
            words = list(dict.fromkeys(told))
            notices = tuple(words[:_MOST]) + ((f"{len(words) - _MOST} more",) if len(words) > _MOST else ())
        self.changes.append(ChangeLine(sign, self._space.name, mount, layer, what, why, origin, notices))

    def _what(self, forest: Forest, at: int) -> str:
        row = forest.rows[at]
        return row_in_words(row, self._images.get(row.device, row.source))

    def _layer(self, site: ExaminedSite, wanted: int) -> str:
        return f"{site.wanted.index(wanted) + 1} of {len(site.wanted)}" if len(site.wanted) > 1 else ""

    def _sharing_wanted(self, wanted: int) -> str:
        row = self._space.wanted.rows[wanted]
        if self._sharing.has_own_group(self._space, wanted):
            return _sharing_words("", self._name(row.master), row.unbindable, shared=True)
        return _sharing_words(self._name(row.peer_group), self._name(row.master), row.unbindable)

    def _sharing_found(self, group: int, master: int, unbindable: bool) -> str:
        names = {pair[0]: seed for seed, pair in self._sharing.standing.items() if pair[0]}
        first, second = (names.get(one, self._name(HOST_GROUPS + one)) if one else "" for one in (group, master))
        first, second = first.removeprefix("seed:"), second.removeprefix("seed:")
        return _sharing_words(first, second, unbindable)

    def _name(self, number: int) -> str:
        if not number:
            return ""
        return self._groups.get(number) or str(number - HOST_GROUPS if number >= HOST_GROUPS else number)


def _sharing_words(group: str, master: str, unbindable: bool, *, shared: bool = False) -> str:
    """`shared`: in a group of its own, which has no name."""
    words = ["unbindable"] if unbindable else ["shared"] if shared else []
    words += [f"shared:{group}"] if group else []
    words += [f"slave:{master}"] if master else []
    return " ".join(words) or "private"


def found_layer(forest: Forest, at: int) -> str:
    below = above = 0
    one = at
    while (parent := forest.parents[one]) >= 0 and forest.tops.get(parent) == one:
        below += 1
        one = parent
    one = at
    while (top := forest.tops.get(one)) is not None:
        above += 1
        one = top
    return f"{below + 1} of {below + above + 1}" if below + above else ""
