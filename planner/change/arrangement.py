"""The steps that put every site right, in an order in which nothing is missing and nothing propagates.

First all new parts are made aside. Then, namespace by namespace, from the deepest site up: a mount that is shared and
is built upon is private meanwhile, and joins its group again from a seed; what is new joins its group when all that
stands on it is attached; what goes is made private, with all on it, before it is detached.
"""

from __future__ import annotations

from mountplan.planner.change import change_steps as c
from mountplan.planner.change.change_plan import ChangeObstacle
from mountplan.planner.change.deep_calls import Steps, run_through
from mountplan.planner.change.examination import Examination, ExaminedMount, ExaminedSite
from mountplan.planner.change.file_changes import FileChanges
from mountplan.planner.change.new_parts import NewParts, NoSource
from mountplan.planner.change.paired_space import PairedSpace, covers_of
from mountplan.planner.change.sharing_changes import SharingMatch
from mountplan.planner.names import Handle
from mountplan.planner.plan import steps as s
from mountplan.planner.tables.table import MountRow


class Arrangement:
    """One namespace. `steps` are those that are done inside it; what they need is asked of `parts`."""

    def __init__(self, examination: Examination, sharing: SharingMatch, parts: NewParts, files: FileChanges) -> None:
        self.space: PairedSpace = examination.space
        self._examination = examination
        self._sharing = sharing
        self._parts = parts
        self._open: dict[int, Handle] = {}
        self._handles: dict[int, Handle] = {}  # of wanted mounts that were attached
        self._late: list[int] = []  # of wanted mounts: those that are made unbindable once all stands
        self.steps: list[c.ChangeStep] = []
        self.obstacles: list[ChangeObstacle] = []
        if examination.root.mode != "none":
            run_through(self._root(examination.root))
        for wanted in self._late:
            row, origin, handle = self.space.wanted.rows[wanted], self.space.origins[wanted], f"late:{wanted}"
            self.steps.append(c.OpenLive(handle, row.mountpoint, 0, origin))
            self.steps.append(c.SetSharing(handle, "unbindable", False, origin))
            self.steps.append(s.Release(handle, ""))

    # --- what stands

    def _live(self, found: int) -> Handle:
        """A mount that stands, and that a walk reaches by now."""
        handle = self._open.get(found)
        if handle is None:
            row = self.space.found.rows[found]
            handle = self._open[found] = live_name(self.space, row)
            self.steps.append(c.OpenLive(handle, row.mountpoint, row.mount_id))
        return handle

    def _release(self, found: int) -> None:
        handle = self._open.pop(found, None)
        if handle is not None:
            self.steps.append(s.Release(handle, ""))

    def _root(self, site: ExaminedSite) -> Steps[None]:
        """The lowest mount stays; what is stacked upon it is a site like any other."""
        if site.kept and site.mode in ("inside", "append"):
            yield self._edit(site, None)
            return
        what = "what would have to be changed lies under another mount on /"
        if not site.kept:
            what = (
                "the root would be another mount: every process that has it would be moved to the new one, and those"
                " in a chroot, or with a working directory on the old one, would be left behind there"
            )
        anew = "build it anew: mountplan apply --replace"
        self.obstacles.append(ChangeObstacle("root", what, anew, self.space.origins[site.wanted[0]]))

    # --- one mount, and the sites on it

    def _settle(self, one: ExaminedMount, then: Steps[None] | None = None) -> Steps[None]:
        """Put right a mount that stays, and all that stands on it; a walk reaches it by now. `then` is what is to be
        stacked upon it, which must not be while it is shared.
        """
        if not one.dirty and then is None:
            return
        space = self.space
        row = space.found.rows[one.found]
        origin = space.origins[one.wanted]
        if one.attributes.set or one.attributes.clear:
            words = space.wanted.rows[one.wanted].attributes
            self.steps.append(s.SetAttributes(self._live(one.found), *one.attributes, False, False, "", words, origin))
        builds = one.is_built_upon or then is not None
        own_seed = ""
        if one.sharing:
            if row.peer_group or row.master or row.unbindable:
                self.steps.append(c.SetSharing(self._live(one.found), "private", False, origin))
        elif builds and (row.peer_group or (row.master and one.is_changed_through_peer)):
            own_seed = f"seed:{live_name(space, row)}"
            self.steps.append(c.SeedLive(own_seed, self._live(one.found), False, origin))
            self.steps.append(c.SetSharing(self._live(one.found), "private", False, origin))
        yield self._sites(one, then)
        if own_seed:
            self.steps.append(s.JoinGroup(own_seed, self._live(one.found), origin))
            self.steps.append(s.Release(own_seed, origin))
        elif one.sharing:
            self._join(one.wanted, self._live(one.found))
        self._release(one.found)

    def _join(self, wanted: int, handle: Handle, *, made: bool = False) -> None:
        """`made`: it is new, and was made unbindable if it shall be so."""
        space = self.space
        origin = space.origins[wanted]
        if space.wanted.rows[wanted].unbindable:
            if not made:
                self.steps.append(c.SetSharing(handle, "unbindable", False, origin))
            return
        try:
            seed = self._parts.seed_of(space, wanted)
        except NoSource as error:
            self.obstacles.append(error.obstacle)
            return
        if seed:
            self.steps.append(s.JoinGroup(seed, handle, origin))
        if self._sharing.has_own_group(space, wanted):
            self.steps.append(c.SetSharing(handle, "shared", False, origin))

    def _sites(self, one: ExaminedMount, then: Steps[None] | None) -> Steps[None]:
        """What a peer reaches beneath covers; other covers off, the shortest place first; what is to be changed, the
        deepest first; covers on again. What goes is taken away only when what comes above it is there.
        """
        places = sorted(one.sites, key=_depth)
        beneath = [place for place in places if one.sites[place].covered]
        lifted = [place for place in places if one.sites[place].mode == "rebuild" and self._covers(one, place)]
        for place in beneath:
            yield self._edit(one.sites[place], one)
        for place in lifted:
            yield self._take_off(one.sites[place])
        later = [place for place in one.buried(all_of_it=then is not None) if self._leave_one(one.sites[place], one)]
        for place in reversed(places):
            if place in later:
                self._live(one.sites[place].found[-1])
            elif place not in beneath and place not in lifted:
                yield self._edit(one.sites[place], one)
        if then is not None:
            yield then
        for place in later:
            self._detach(one.sites[place].found[-1], covered=True)
        for place in reversed(lifted):
            yield self._put_on(one.sites[place], one)

    def _leave_one(self, site: ExaminedSite, upon: ExaminedMount) -> bool:
        """Take away what goes but for the topmost mount: nobody sees it, and no path leads there later. Whether that is
        possible.
        """
        beneath = site.found[site.kept : -1]
        if beneath and (site.kept or not self._examination.can_be_removed(beneath, upon)):
            return False
        for _ in beneath:
            self.steps.append(c.RemoveLowest(*self._parent_of(site, upon), ""))
        return True

    def _covers(self, one: ExaminedMount, place: str) -> bool:
        dirty = (other for other, site in one.sites.items() if site.mode != "none" and other != place)
        found: dict[str, list[int]] = {other: [] for other, site in one.sites.items() if site.found or site.arrived}
        return any(place in covers_of(found, other) for other in dirty)

    def _edit(self, site: ExaminedSite, upon: ExaminedMount | None) -> Steps[None]:
        if site.mode == "none":
            return
        if site.mode == "inside":
            yield self._settle(site.inner[site.wanted[-1]])
        elif site.mode == "append":
            self._refuse_arrivals(site)
            yield self._stack_upon(site, upon, {})
        elif site.mode == "pop":
            self._refuse_arrivals(site)
            alone = upon is not None and self._leave_one(site, upon)
            for found in site.found[-1:] if alone else reversed(site.found[site.kept :]):
                self._detach(found)
            if site.kept:
                yield self._settle(site.inner[site.wanted[site.kept - 1]])
        elif site.mode == "swap":
            self._refuse_arrivals(site)
            yield self._swap(site, site.found[site.kept], site.wanted[site.kept :])
        elif site.mode == "peer":
            yield self._exchange(site, upon)
        else:
            yield self._take_off(site)
            yield self._put_on(site, upon)

    def _stack_upon(self, site: ExaminedSite, upon: ExaminedMount | None, carried: dict[int, Handle]) -> Steps[None]:
        """Attach what is wanted above the mounts that are kept."""
        attach = self._attach_from if carried or not self._can_come_at_once(site) else self._attach_at_once
        if not site.kept:
            if site.wanted:
                yield attach(site, 0, self._parent_of(site, upon), carried)
            return
        below = site.inner[site.wanted[site.kept - 1]]
        more = None
        if len(site.wanted) > site.kept:
            more = attach(site, site.kept, (live_name(self.space, self.space.found.rows[below.found]), ""), carried)
            self._live(below.found)
        yield self._settle(below, more)

    def _parent_of(self, site: ExaminedSite, upon: ExaminedMount | None) -> tuple[Handle, str]:
        """Where the lowest mount of a site goes: a mount, and the path in it."""
        assert upon is not None
        return self._live(upon.found), site.place[1:]

    def _refuse_arrivals(self, site: ExaminedSite) -> None:
        for found in site.arrived:
            row = self.space.found.rows[found]
            whence, remedy = "has arrived there from elsewhere", "unmount it where it was mounted"
            if row.mountpoint in self.space.left_out:
                whence, remedy = "stands there, which the spec leaves out", "unmount it first"
            what = f"{row.mountpoint}: {row.fstype} {whence}, on top of what is to be changed"
            self.obstacles.append(ChangeObstacle("arrived", what, remedy))

    # --- attaching

    def _attach_from(
        self, site: ExaminedSite, level: int, where: tuple[Handle, str], carried: dict[int, Handle]
    ) -> Steps[None]:
        """Attach the wanted mounts of a site from a level on; `carried` are clones of those that stood there before."""
        parent, path = where
        made: list[int] = []
        for wanted in site.wanted[level:]:
            if parent.startswith("live:") and path:
                self.steps += self._parts.nodes_upon(self.space, wanted, parent, path)
            handle = carried.get(wanted) or self._make(wanted)
            if wanted in carried:
                self._make_place(wanted)
            self.steps.append(s.Attach(handle, parent, path, path != "", False, self.space.origins[wanted]))
            if wanted not in carried:
                yield self._fill(wanted, None)
                made.append(wanted)
            parent, path = handle, ""
        for wanted in reversed(made):
            self._finish(wanted)

    def _can_come_at_once(self, site: ExaminedSite) -> bool:
        """Whether it is several mounts that can be cloned together: what is unbindable is made so once it is there."""
        if len(site.wanted) == site.kept:
            return False
        all_of_it = self.space.wanted.below(site.wanted[site.kept])
        unbindable = [at for at in all_of_it[1:] if self.space.wanted.rows[at].unbindable]
        return len(all_of_it) > 1 and all(map(self.space.is_seen, unbindable))

    def _attach_at_once(
        self, site: ExaminedSite, level: int, where: tuple[Handle, str], carried: dict[int, Handle]
    ) -> Steps[None]:
        """As _attach_from, by a single call. Nothing is `carried`."""
        parent, path = where
        lowest = site.wanted[level]
        origin = self.space.origins[lowest]
        tree = yield self._put_together(site, level)
        self.steps += self._parts.nodes_upon(self.space, lowest, parent, path) if path else []
        self.steps.append(s.Attach(tree, parent, path, path != "", False, origin))
        if lowest in self._late:
            self._late.remove(lowest)
            self.steps.append(c.SetSharing(tree, "unbindable", False, origin))
        self.steps.append(s.Release(tree, ""))

    def _put_together(self, site: ExaminedSite, level: int) -> Steps[Handle]:
        """What is wanted at a site from a level on, with all that shall stand on it: a clone of what is built in the
        yard. What is unbindable is made so later.
        """
        space, parts = self.space, self._parts
        lowest = site.wanted[level]
        origin = space.origins[lowest]
        self._late += [at for at in space.wanted.below(lowest) if space.wanted.rows[at].unbindable]
        visiting, self.steps = self.steps, []
        handle = self._make(lowest)
        tree = f"tree:{handle}"
        self.steps.append(s.Attach(handle, s.YARD, f"tree{len(parts.trees)}", False, False, origin))
        yield self._fill(lowest, None)
        yield self._attach_from(site, level + 1, (handle, ""), {})
        self._join(lowest, handle, made=True)
        parts.trees += [*self.steps, c.CarryLive(tree, handle, origin), s.Release(handle, "")]
        self.steps = visiting
        return tree

    def _make_place(self, wanted: int) -> None:
        try:
            self._parts.make_nodes(self.space, wanted)
        except NoSource as error:
            self.obstacles.append(error.obstacle)

    def _make(self, wanted: int) -> Handle:
        """A new mount, made aside."""
        try:
            handle = self._parts.make(self.space, wanted, bindable=wanted in self._late)
        except NoSource as error:
            self.obstacles.append(error.obstacle)
            handle = self.space.names[wanted]
        self._handles[wanted] = handle
        return handle

    def _finish(self, wanted: int) -> None:
        handle = self._handles[wanted]
        self._join(wanted, handle, made=True)
        self.steps.append(s.Release(handle, ""))

    def _fill(self, wanted: int, instead: ExaminedMount | None) -> Steps[None]:
        """Put onto a new mount what shall stand on it: clones of what stands on the one that it takes the place of,
        where that is the same, otherwise new ones.
        """
        space = self.space
        on = space.wanted_sites.on(wanted)
        for place in sorted(on, key=_depth, reverse=True):
            stack = on[place]
            site = instead.sites.get(place) if instead is not None else None
            carried: dict[int, Handle] = {}
            if site is not None and instead is not None and self._examination.can_be_carried(instead, site, stack):
                source = site.found[0]
                carried[stack[0]] = handle = f"carried:{live_name(space, space.found.rows[source])}"
                self.steps.append(c.CarryLive(handle, self._live(source), space.origins[stack[0]]))
                self._release(source)
            new = ExaminedSite(place, stack, [])
            level = 0
            parent, path, tree = self._handles[wanted], place[1:], False
            while level < len(stack) and stack[level] not in carried and self._parts.is_brought(space, stack[level]):
                self._handles[stack[level]] = ""  # it has come with its parent
                yield self._fill(stack[level], None)
                level += 1
            if not self._handles[wanted]:
                parent, path = self._parts.above_brought(space, wanted, place)
                tree = True
            if level < len(stack):
                if level:
                    parent, path = self._parts.above_brought(space, stack[0], "/")
                    tree = True
                yield self._attach_new(new, level, parent, path, carried, tree)

    def _attach_new(
        self, site: ExaminedSite, level: int, parent: Handle, path: str, carried: dict[int, Handle], tree: bool
    ) -> Steps[None]:
        before = len(self.steps)
        yield self._attach_from(site, level, (parent, path), carried)
        if tree:
            for number in range(before, len(self.steps)):
                step = self.steps[number]
                if isinstance(step, s.Attach) and step.parent == parent and step.path == path:
                    self.steps[number] = step._replace(tree=True)
        for handle in carried.values():
            self.steps.append(s.Release(handle, ""))

    # --- taking away

    def _swap(self, site: ExaminedSite, old: int, wanted_ones: list[int]) -> Steps[None]:
        space = self.space
        new = wanted_ones[0]
        instead = site.inner.get(new)
        if instead is not None and instead.found != old:
            instead = None
        if instead is not None:
            for one in instead.sites.values():
                stack = one.wanted
                if stack and self._examination.can_be_carried(instead, one, stack):
                    yield self._settle(one.inner[stack[0]])
        top = self._live(old)
        made = []
        stays = site.keeps_top
        for wanted in wanted_ones[:-1] if stays else wanted_ones:
            handle = self._make(wanted)
            self.steps.append(c.AttachBeneath(handle, top, space.origins[wanted]))
            yield self._fill(wanted, instead if wanted == new else None)
            made.append(wanted)
        if stays:
            yield self._settle(site.inner[wanted_ones[-1]])
            self._release(old)
        else:
            self._detach(old)
        for wanted in reversed(made):
            self._finish(wanted)

    def _exchange(self, site: ExaminedSite, upon: ExaminedMount | None) -> Steps[None]:
        """Put right what lies beneath the topmost mount, or beneath a cover: all from the lowest up goes, then what is
        wanted comes, the highest first, as each goes beneath all that is there.
        """
        parent, path = self._parent_of(site, upon)
        space = self.space
        out = site.found[: len(site.found) - site.upper]
        come = site.wanted[: len(site.wanted) - site.upper]
        old = new = -1
        if out and come and not site.covered and not site.upper:
            old, new = out.pop(), come.pop()
        self.steps += [c.RemoveLowest(parent, path, space.origins[upon.wanted] if upon else "") for _ in out]
        if site.top_beneath:
            yield self._swap(site, old, [new])
        elif old >= 0:
            come.append(new)
        for wanted in reversed(come):
            row = space.wanted.rows[wanted]
            if space.wanted.is_bare(wanted):
                self._late += [wanted] if row.unbindable else []
                handle = self._make(wanted)
                if row.peer_group or row.master:
                    self._join(wanted, handle)
            else:
                handle = yield self._put_together(site, len(site.wanted) - 1)
            self.steps.append(c.AttachLowest(handle, parent, path, row.peer_group != 0, space.origins[wanted]))
            self.steps.append(s.Release(handle, ""))
        if old >= 0 and not site.top_beneath:
            self._detach(old)
        if site.upper and not site.covered:
            yield self._settle(site.inner[site.wanted[-1]])

    def _take_off(self, site: ExaminedSite) -> Steps[None]:
        """Everything above what is kept, the topmost first; of what comes back, a clone is held."""
        space = self.space
        partner = {inner.found: wanted for wanted, inner in site.inner.items() if not inner.unlike}
        self._refuse_arrivals(site)
        for found in reversed(site.found[site.kept :]):
            wanted = partner.get(found)
            comes_back = wanted is not None and wanted in site.wanted[site.kept :]
            if wanted is not None and comes_back and self._can_be_held(site, wanted, found):
                yield self._settle(site.inner[wanted])
                handle = f"carried:{live_name(space, space.found.rows[found])}"
                self._handles[wanted] = handle
                self.steps.append(c.CarryLive(handle, self._live(found), space.origins[wanted]))
            self._detach(found)

    def _put_on(self, site: ExaminedSite, upon: ExaminedMount | None) -> Steps[None]:
        handles = {wanted: self._handles.get(wanted, "") for wanted in site.wanted[site.kept :]}
        carried = {wanted: handle for wanted, handle in handles.items() if handle.startswith("carried:")}
        yield self._stack_upon(site, upon, carried)
        for handle in carried.values():
            self.steps.append(s.Release(handle, ""))

    def _can_be_held(self, site: ExaminedSite, wanted: int, found: int) -> bool:
        """Whether a clone of it can be taken; what cannot is made anew with all on it, and is not put right before."""
        return not self._examination.is_unbindable(wanted, found) and not self._examination.is_stacked_shared(
            site.wanted, wanted
        )

    def _detach(self, found: int, *, covered: bool = False) -> None:
        forest = self.space.found
        row = forest.rows[found]
        handle = self._live(found)
        if any(forest.rows[at].peer_group or forest.rows[at].master for at in forest.below(found)):
            self.steps.append(c.SetSharing(handle, "private", True))
        self.steps.append(c.DetachLive(handle, row.mountpoint, covered))
        self._release(found)


def live_name(space: PairedSpace, row: MountRow) -> Handle:
    return f"live:{space.number}:{row.mount_id}"


def _depth(place: str) -> tuple[int, str]:
    return place.count("/") if place != "/" else 0, place
