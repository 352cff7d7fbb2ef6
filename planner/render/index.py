"""A plan seen from all sides that renderers ask about: mountpoints, covers, filesystems, and where each step is."""

from __future__ import annotations

from mountplan.planner.names import MASKS, Handle
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Edge, ExpectedFilesystem, ExpectedGroup, ExpectedMount, ExpectedNamespace, Plan
from mountplan.planner.render.outline import MOST_DEPTH
from mountplan.planner.render.words import attribute_words, count, options_text, sharing_words, visible
from mountplan.planner.tables.namespace_file import device_and_root

Maker = s.MakeFilesystem | s.AttachImage | s.MakeOverlay | s.CloneHostWorkbench


class PlanIndex:
    """Built once for a plan, in time linear in it. Steps are counted from 1, as everywhere a user sees them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.mounts: dict[Handle, ExpectedMount] = {}
        self.namespace_of: dict[Handle, str] = {}
        self.children: dict[Handle, list[ExpectedMount]] = {}
        self.roots: dict[str, list[ExpectedMount]] = {}
        self.where: dict[Handle, str] = {}  # the mountpoint as seen in the finished tree
        self.hidden_by: dict[Handle, Handle] = {}
        self.covered_by: dict[Handle, Handle] = {}
        self.filesystems: dict[Handle, ExpectedFilesystem] = {one.name: one for one in plan.expected.filesystems}
        self.groups: dict[str, ExpectedGroup] = {one.name: one for one in plan.expected.groups}
        for namespace in plan.expected.namespaces:
            self._add_namespace(namespace)
        self.makers: dict[Handle, Maker] = {}  # filesystem -> the step that makes it
        self.made: dict[Handle, int] = {}  # handle -> number of the step that makes it
        self.attached: dict[Handle, int] = {}
        self.joined: dict[Handle, int] = {}
        for number, step in enumerate(plan.steps, 1):
            self._add_step(number, step)
        self.before: dict[Handle, list[Edge]] = {}  # handle -> what it waits for
        self.after: dict[Handle, list[Edge]] = {}  # handle -> what waits for it
        for edge in plan.edges:
            self.before.setdefault(edge.after, []).append(edge)
            self.after.setdefault(edge.before, []).append(edge)
        self._owners = {one.origin: one.name for one in self.mounts.values()}
        self._ref = plan.refs() if plan.moved else None
        self._file = plan.file

    def _add_namespace(self, namespace: ExpectedNamespace) -> None:
        roots = self.roots[namespace.name] = []
        depth: dict[Handle, int] = {}
        for mount in namespace.mounts:
            self.mounts[mount.name] = mount
            self.namespace_of[mount.name] = namespace.name
            self.children[mount.name] = []
            place = mount.place.strip("/")
            if mount.parent in self.mounts:
                self.children[mount.parent].append(mount)
                depth[mount.name] = depth[mount.parent] + 1
                above = self.where[mount.parent]
                if depth[mount.name] > MOST_DEPTH:
                    above = "..."  # or the paths of a chain would take the square of its length
                self.where[mount.name] = f"{above.rstrip('/')}/{place}" if place else above
            else:
                roots.append(mount)
                depth[mount.name] = 0
                self.where[mount.name] = f"/{place}"
        for siblings in self.children.values():
            if len(siblings) > 1:
                siblings.sort(key=_path_order)
        for mount in namespace.mounts:
            self._find_covers(mount)
        for mount in namespace.mounts:  # parents first: what a hidden mount carries is hidden with it
            if mount.parent in self.hidden_by and mount.name not in self.hidden_by:
                self.hidden_by[mount.name] = self.hidden_by[mount.parent]

    def _find_covers(self, parent: ExpectedMount) -> None:
        siblings = self.children[parent.name]
        places = {one.place.strip("/"): one.name for one in siblings}
        stacked = places.get("")
        if stacked is not None:
            self.covered_by[parent.name] = stacked
        if len(siblings) < 2:
            return
        for mount in siblings:
            place = mount.place.strip("/")
            if not place:
                continue
            if stacked is not None:
                self.hidden_by[mount.name] = stacked
                continue
            while "/" in place:
                place = place.rpartition("/")[0]
                if place in places:
                    self.hidden_by[mount.name] = places[place]

    def _add_step(self, number: int, step: s.Step) -> None:
        if isinstance(step, Maker):
            handle = "" if isinstance(step, s.CloneHostWorkbench) else step.mount
            self.makers[step.filesystem] = step
            self.made[handle or step.filesystem] = number
            self.made.setdefault(step.filesystem, number)
        elif isinstance(step, s.CloneMount | s.CloneHost):
            self.made[step.mount] = number
        elif isinstance(step, s.MakeSeed | s.TakeHostGroup):
            self.made[step.seed] = number
        elif isinstance(step, s.Attach):
            if step.parent != s.YARD or step.mount not in self.attached:
                self.attached[step.mount] = number
        elif isinstance(step, s.JoinGroup):
            self.joined[step.mount] = number

    def written(self, origin: str) -> str:
        """The key path `origin` as its file has it; with the name of that, if it is another than the plan's."""
        if self._ref is None:
            return origin
        ref = self._ref(origin)
        return ref.key if ref.file == self._file else f"{ref.key} of {ref.file}"

    def owner(self, origin: str) -> Handle:
        """The mount that the spec has at this key path; "" if it is none's."""
        return self._owners.get(origin, "")

    def stands(self, handle: Handle) -> int:
        """The step after which `handle` can be built upon; 0 if the plan does not make it."""
        return self.attached.get(handle) or self.made.get(handle, 0)

    def what(self, mount: ExpectedMount) -> str:
        """What the mount shows: `tmpfs size=1m`, `host:/usr and below`, `bind of data:/incoming`."""
        if mount.is_namespace_file:
            return f"file of {device_and_root(mount.root)[1]}"
        if not mount.filesystem:
            return f"host:{visible(mount.root)}" + (" and below" if mount.recursive else "")
        if mount.filesystem == MASKS:
            return f"mask, an empty {mount.root.strip('/')}"
        filesystem = self.filesystems.get(mount.filesystem)
        if filesystem is None:
            return f"bind of {visible(mount.filesystem)}:{visible(mount.root)}"
        if filesystem.origin != mount.origin:
            owner = self._owners.get(filesystem.origin, mount.filesystem.removeprefix("fs:"))
            return f"bind of {visible(owner)}:{visible(mount.root)}"
        maker = self.makers.get(mount.filesystem)
        if isinstance(maker, s.MakeOverlay):
            layers = count(len(maker.layers), "layer")
            return f"overlay of {layers}" + (" below a writable one" if maker.upper else "")
        if isinstance(maker, s.AttachImage):
            return f"{filesystem.fstype} image {visible(maker.image)}"
        return " ".join(filter(None, (filesystem.fstype, options_text(filesystem.options))))

    def attributes(self, mount: ExpectedMount) -> str:
        """The attributes asked for, as a spec has them."""
        words = attribute_words(mount.set, mount.clear)
        if words and mount.recursive and not mount.recursive_attributes:
            words += " (top only)"
        return words

    def sharing(self, mount: ExpectedMount) -> str:
        """`shared:data master:feed`; "" for private."""
        words = sharing_words(mount)
        if mount.inherits:
            words = f"{words} sub-mounts: slaves of the host's".strip()
        return visible(words)

    def marks(self, mount: ExpectedMount) -> str:
        """Whether its owner can undo it, and whether it can be seen at all."""
        marks = [{"locked": "locked", "attributes": "attributes locked"}[mount.lock]] if mount.lock else []
        if mount.name in self.hidden_by:
            marks.append(f"hidden by {visible(self.hidden_by[mount.name])}")
        elif mount.name in self.covered_by:
            cover = self.covered_by[mount.name]  # drawn right below: a name that is only a path says nothing new
            marks.append("covered" if cover.startswith("/") else f"covered by {visible(cover)}")
        return ", ".join(marks)


def _path_order(mount: ExpectedMount) -> tuple[bool, tuple[str, ...]]:
    """By components; what is stacked on the parent comes last, since it goes on top of all the others."""
    place = mount.place.strip("/")
    return (not place, TargetPath(f"/{place}").parts)
