"""The steps of a plan, sorted by what they make: so that those of single parts can be carried out by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from mountplan.planner.names import Handle, IdMapping
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.record import NamedTuple

Creation = s.MakeFilesystem | s.AttachImage | s.MakeOverlay
Node = s.MakeNode


class PlannedFilesystem(NamedTuple):
    """How a plan makes one superblock. `mount` is the one mount that it is made as, "" if it has a workbench."""

    name: Handle
    creation: Creation
    mount: Handle
    contents: str  # the host directory that it is filled from first
    nodes: tuple[Node, ...]
    removed: tuple[str, ...]
    sealed: bool
    mapped: tuple[IdMapping | None, ...] = ()  # the id-mappings of an overlay's layers

    @property
    def made_of(self) -> tuple[Handle, ...]:
        """The plan's filesystems that it has its layers or its image from."""
        match self.creation:
            case s.AttachImage(holder=holder):
                return (holder,) if holder else ()
            case s.MakeOverlay(layers=layers, upper=upper, work=work):
                return tuple(one.filesystem for one in (*layers, upper, work) if one is not None and one.filesystem)
            case _:
                return ()

    def paths_in(self, filesystem: Handle) -> tuple[TargetPath, ...]:
        """Where in another filesystem its layers are, or its image."""
        match self.creation:
            case s.AttachImage(holder=holder, image=image):
                return (TargetPath(f"/{image}"),) if holder == filesystem else ()
            case s.MakeOverlay(layers=layers, upper=upper, work=work):
                found = (one for one in (*layers, upper, work) if one is not None and one.filesystem == filesystem)
                return tuple(TargetPath(f"/{one.path}") for one in found)
            case _:
                return ()


def is_declared(node: Node) -> bool:
    """Whether a node is an entry of `file`, not a mountpoint."""
    return ".file" in node.origin


def what_it_is(node: Node) -> Node:
    """Without what says where and how it is made: to be compared with that of another plan."""
    return node._replace(within="", origin="", existing=False, careful=False)


class Parts:
    """`filesystems` by name; `making` has the steps that make each mount while it is detached, in order.

    `seeds` has the step that makes each seed, `joined` the seed whose group a mount joins. `workbenches` are clones of
    the host's filesystems, by name. `id_maps` by name. `made_as` has the filesystem that is made as a mount: of what
    there is one of, that is the same as another.
    """

    def __init__(self, plan: Plan) -> None:
        self.filesystems: dict[Handle, PlannedFilesystem] = {}
        self.making: dict[Handle, list[s.Step]] = {}
        self.mountpoints: dict[Handle, s.MakeMountpoint] = {}
        self.seeds: dict[Handle, s.MakeSeed | s.TakeHostGroup] = {}
        self.joined: dict[Handle, Handle] = {}
        self.workbenches: dict[Handle, s.CloneHostWorkbench] = {}
        self.id_maps: dict[Handle, s.MakeIdMap] = {}
        creations: dict[Handle, Creation] = {}
        within: dict[Handle, Handle] = {}  # what a node may be in -> its filesystem
        nodes: dict[Handle, list[Node]] = {}
        contents: dict[Handle, str] = {}
        removed: dict[Handle, list[str]] = {}
        sealed: set[Handle] = set()
        for step in plan.steps:
            match step:
                case s.MakeFilesystem() | s.AttachImage() | s.MakeOverlay():
                    creations[step.filesystem] = step
                    within[step.mount or step.filesystem] = step.filesystem
                case s.CopyContents():
                    contents[within[step.within]] = step.source
                case s.MakeNode():
                    if step.within in within:
                        nodes.setdefault(within[step.within], []).append(step)
                    else:
                        self.making.setdefault(step.within, []).append(step)
                case s.RemoveNode():
                    removed.setdefault(step.within, []).append(step.path)
                case s.SealFilesystem():
                    sealed.add(within.get(step.filesystem, step.filesystem))
                case s.CloneMount() | s.CloneHost() | s.SetAttributes():
                    self.making.setdefault(step.mount, []).append(step)
                case s.MakeMountpoint():
                    self.mountpoints[step.like] = step
                case s.MakeSeed() | s.TakeHostGroup():
                    self.seeds[step.seed] = step
                case s.JoinGroup():
                    self.joined[step.mount] = step.seed
                case s.CloneHostWorkbench():
                    self.workbenches[step.filesystem] = step
                case s.MakeIdMap():
                    self.id_maps[step.id_map] = step
                case _:
                    pass
        for name, creation in creations.items():
            self.filesystems[name] = PlannedFilesystem(
                name, creation, creation.mount, contents.get(name, ""), tuple(nodes.get(name, ())),
                tuple(removed.get(name, ())), name in sealed, self._mapped(creation),
            )  # fmt: skip
        self.made_as = {one.mount: name for name, one in self.filesystems.items() if one.mount}

    def images(self) -> Iterator[tuple[Handle, str]]:
        """What each filesystem from an image has that in, in words."""
        for name, one in self.filesystems.items():
            if isinstance(one.creation, s.AttachImage):
                holder = one.creation.holder.removeprefix("fs:")
                yield name, f"{holder}:/{one.creation.image}" if holder else one.creation.image

    def _mapped(self, creation: Creation) -> tuple[IdMapping | None, ...]:
        layers = creation.layers if isinstance(creation, s.MakeOverlay) else ()
        steps = [self.id_maps[layer.id_map] if layer.id_map else None for layer in layers]
        return tuple((step.uids, step.gids) if step else None for step in steps)
