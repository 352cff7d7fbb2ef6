"""A change carried out in the model, from the tables that stand: what comes of it, inside and outside."""

from __future__ import annotations

from typing import Any

from mountplan.planner.ask.trial import Trial
from mountplan.planner.attributes import ATIME_MASK, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, RDONLY, Change
from mountplan.planner.change import change_steps as c
from mountplan.planner.change.sights import Sights
from mountplan.planner.change.standing import StandingTree
from mountplan.planner.model import ModelHandle, ModelMount, Process
from mountplan.planner.model.objects import Place
from mountplan.planner.model.to_table import path_of
from mountplan.planner.model.walking import into_mounts, walk
from mountplan.planner.names import Handle
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.tables.table import MountRow, MountTable

_ALL = RDONLY | NOSUID | NODEV | NOEXEC | NODIRATIME | NOSYMFOLLOW | ATIME_MASK


class ChangeTrial(Trial):
    """`run` carries the steps out; then `after` has the namespaces that were changed, `outside` the others, and
    `sights` what was seen meanwhile, at the mountpoints that stand and those of `wanted`, by the namespaces' names.
    """

    def __init__(
        self,
        steps: tuple[c.ChangeStep, ...],
        standing: StandingTree,
        mount_max: int,
        wanted: dict[str, tuple[MountRow, ...]],
    ) -> None:
        others = tuple((space.name, space.table) for space in standing.spaces)
        super().__init__((), standing.host, mount_max, (*others, *standing.outside))
        self.steps: tuple[Any, ...] = steps
        self._spaces: dict[str, Process] = {}
        self.sights: dict[str, Sights] = {}
        for space, process in zip(standing.spaces, self._seen.processes[1:], strict=False):
            self._spaces[space.name] = process
            rows = (*space.table.rows, *wanted[space.name])
            self.sights[space.name] = Sights(process, (row.mountpoint for row in rows))
        self._order = tuple(space.name for space in standing.spaces)
        self._others = self._seen.processes[1 + len(others) :]
        self._home: tuple[Process, Place] | None = None  # the builder's own namespace, while it is elsewhere
        self._visited: Process = self.builder
        self._looking: Sights | None = None  # while the builder is in a namespace that is changed
        self._taken: dict[Handle, ModelHandle] = {}
        self.takes_off = ""  # what a step has taken off by propagation, inside, in words
        for step, kind in zip(c.LIVE_TYPES, c.LIVE_KINDS, strict=True):
            self._do[step] = getattr(self, "_" + kind)  # type: ignore[index]

    def after(self) -> tuple[MountTable, ...]:
        return tuple(self._table(self._spaces[name]) for name in self._order)

    def end(self) -> None:
        """The builder ends, and lets go of all that it holds."""
        self.world.exit(self.builder)
        if self._home is not None:
            self.world.exit(self._home[0])

    def outside(self) -> tuple[MountTable, ...]:
        return tuple(self._table(process) for process in (self.host, *self._others))

    # --- going there and back

    def _leave_home(self, other: Process) -> None:
        if self._home is None:
            self._home = self.world.fork(self.builder, "home"), self.builder.root
        self.world.setns(self.builder, other)
        self.world.chroot(self.builder, ModelHandle(other.root))

    def _go_home(self) -> None:
        assert self._home is not None
        home, root = self._home
        self.world.setns(self.builder, home)
        self.world.chroot(self.builder, ModelHandle(root))

    def _visit(self, step: c.Visit) -> None:
        self._visited = self._spaces[step.namespace]
        self._looking = self.sights[step.namespace]
        self._leave_home(self._visited)

    def _copy_namespace(self, step: c.CopyNamespace) -> None:
        self._leave_home(self._spaces[step.namespace])
        self.world.unshare(self.builder, "copy")
        self.world.change_type(self.builder, "/", "private", recursive=True)

    def _take_live(self, step: c.TakeLive) -> None:
        for path in step.covers:
            self.world.umount(self.builder, path, lazy=True)
        self._taken[step.filesystem] = handle = self.world.open_tree(self.builder, step.path, clone=True)
        self.world.set_attributes(self.builder, handle, Change(0, _ALL))

    def _leave_copy(self, step: c.LeaveCopy) -> None:
        self._go_home()
        self._looking = None
        for name in step.taken:
            self._handles[name] = self._taken.pop(name)
            self._park(name)

    def _yard(self) -> ModelMount:
        """It covers the root of the builder's own namespace, wherever the builder is."""
        return super()._yard() if self._home is None else into_mounts(*self._home[1])[0]

    # --- changing what stands

    def _look(self, mount: ModelHandle, path: str = "") -> None:
        """Something has come or gone at a path of a mount."""
        above = path_of(mount.place, self.builder.root)
        if self._looking is not None and above is not None:
            self._looking.look(TargetPath(above).joined(path))

    def _attach(self, step: s.Attach) -> None:
        if step.parent == s.YARD:
            yard, mount = self._yard(), self._handles[step.mount]
            yard.superblock.make(f"/{step.path}", directory=mount.place[1].is_directory)
        super()._attach(step)
        self._look(self._handles[step.mount])

    def _open_live(self, step: c.OpenLive) -> None:
        self._handles[step.mount] = self.world.open_tree(self.builder, step.path)

    def _seed_live(self, step: c.SeedLive) -> None:
        handle = self._clone(step.seed, self._handles[step.mount].place)
        if step.slave:
            self.world.set_attributes(self.builder, handle, Change(), kind="slave")

    def _set_sharing(self, step: c.SetSharing) -> None:
        self.world.change_type(self.builder, self._handles[step.mount], step.propagation, recursive=step.recursive)

    def _carry_live(self, step: c.CarryLive) -> None:
        self._clone(step.mount, self._handles[step.source].place, recursive=True)

    def _attach_beneath(self, step: c.AttachBeneath) -> None:
        self.world.move_mount(self.builder, self._handles[step.mount], self._handles[step.top], beneath=True)
        self._look(self._handles[step.mount])

    def _attach_lowest(self, step: c.AttachLowest) -> None:
        self._through_peer(self._handles[step.parent], step.path, self._handles[step.mount], step.shared)
        self._look(self._handles[step.parent], step.path)

    def _remove_lowest(self, step: c.RemoveLowest) -> None:
        self._through_peer(self._handles[step.parent], step.path, None, False)
        self._look(self._handles[step.parent], step.path)

    def _through_peer(self, parent: ModelHandle, path: str, mount: ModelHandle | None, shared: bool) -> None:
        """As LiveExecution does it."""
        world, builder = self.world, self.builder
        peer = world.open_tree(builder, parent, clone=True)
        visited = self._visited
        self._go_home()
        world.move_mount(builder, peer, self._staged("peer"))
        place = ModelHandle(walk(builder, path, peer.place))
        if mount is None:
            stand_in = world.open_tree(builder, place, clone=True)
            world.move_mount(builder, stand_in, place)
            world.close(stand_in)
        world.set_attributes(builder, peer, Change(), kind="shared")
        seed = world.open_tree(builder, peer, clone=True)
        if not shared:
            world.set_attributes(builder, seed, Change(), kind="slave")
        world.set_group(builder, seed, parent)
        world.close(seed)
        world.chdir(builder, peer)
        if mount is None:
            world.umount(builder, path, lazy=True)
        else:
            world.move_mount(builder, mount, place)
            world.set_attributes(builder, mount, Change(), kind="private", recursive=True)
        self._leave_home(visited)
        world.set_attributes(builder, parent, Change(), kind="private")
        self._go_home()
        world.chdir(builder, ModelHandle(self._staged("peer").place))
        world.umount(builder, ".", lazy=True)
        world.close(peer)
        self._leave_home(visited)

    def _detach_live(self, step: c.DetachLive) -> None:
        """As the kernel walks: the topmost at the path must be this one."""
        if step.covered:
            self.world.chdir(self.builder, self._handles[step.mount])
            self.world.umount(self.builder, ".", lazy=True)
        else:
            found = into_mounts(*walk(self.builder, step.path))[0]
            if found is not self._handles[step.mount].place[0]:
                raise AssertionError(f"at {step.path} there is another mount than {step.mount}")
            self.world.umount(self.builder, step.path, lazy=True)
        if self._looking is not None:
            self._looking.look(step.path)
        inside = {process.namespace: (name, process) for name, process in self._spaces.items()}
        for one in self.world.spread:
            if not one.came and one.place[0].namespace in inside:
                name, process = inside[one.place[0].namespace]
                of = f" of {name}" if len(inside) > 1 else ""
                there = f"{path_of(one.place, process.root) or 'another place'}{of}"
                alone = "what is mounted there cannot be taken off alone: it covers a shared mount"
                others = f"what a peer or a slave of that has in this place, at {there}, would go too"
                self.takes_off = f"{step.path}: {alone}, and {others}"

    def _reconfigure(self, step: c.Reconfigure) -> None:
        superblock = self._at(step.filesystem).place[0].superblock
        for key, _ in step.options:
            if key in ("ro", "rw"):
                superblock.read_only = key == "ro"

    def _write_file(self, step: c.WriteFile) -> None:
        pass
