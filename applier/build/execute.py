"""Carries a plan out, step by step, against a Kernel: the only place where handles become descriptors.

A mount has a descriptor from the step that makes it to its Release. Workbenches and parked seeds stand in the yard and
are opened again whenever they are needed; a few dozen descriptors of them are kept, so that a walk is seldom repeated.
Only the seeds of the host's groups are all open for a while: they are taken before there is a yard.
"""

from __future__ import annotations

import errno
from _operator import length_hint
from itertools import compress

from mountplan.applier.build.last_directory import LastDirectory
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.report import Reporter
from mountplan.planner.fstypes import of
from mountplan.planner.names import Handle, NodeKind
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.step_columns import columns_of_kind, kinds_of, steps_between
from mountplan.planner.plan.step_runs import LEAST, LONGEST
from mountplan.planner.plan.steps import STAGE, YARD, Step
from mountplan.planner.tables import layerpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

    from mountplan.applier.sys.kernel_port import Kernel
    from mountplan.planner.plan.step_columns import Steps

_CHUNK = 512  # steps between two reports
_OF_THE_PATH = frozenset((errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.EXDEV))
_EMPTY_FILE = s.MakeNode("", "", "file", -1, -1, -1, "", "", "", (0, 0), False, False, "")


_FOREIGN = frozenset(
    (s.TakeHostGroup, s.MakeFilesystem, s.AttachImage, s.MakeOverlay, s.CloneHostWorkbench, s.CloneHost,
     s.CopyContents, s.MakeMountpoint, s.RemoveNode, s.SealFilesystem, s.EnterRoot, s.RemoveMount, s.BindOver,
     s.ChangeMounts)
)  # fmt: skip


# What a step needs, of what is not loaded at the start.
_MODULES: dict[type[Step], str] = {
    s.TakeHostGroup: "resource",
    s.CopyContents: "mountplan.applier.sys.copytree",
    s.AttachImage: "mountplan.applier.sys.loop",
    s.MakeOverlay: "mountplan.applier.sys.overlay",
    s.MakeIdMap: "mountplan.applier.sys.userns",
    s.MakeUserNamespace: "mountplan.applier.sys.owned",
    s.MakeBase: "mountplan.planner.plan.seedbase",
    s.RemoveNode: "shutil",
    s.ChangeMounts: "mountplan.planner.tables.inherited_tree",
}


def load_what_is_needed(steps: Steps) -> None:
    """Import it before anything is built: later, a file that cannot be read would look like a bug."""
    kinds = kinds_of(steps)
    for kind in kinds & _MODULES.keys():
        __import__(_MODULES[kind])
    if namespace_files(steps):
        __import__("mountplan.applier.sys.held_namespaces")
    made = columns_of_kind(steps, s.MakeFilesystem)
    if any(of(fstype).instances in ("machine", "hierarchy") for fstype in set(made["fstype"])):
        __import__("mountplan.applier.sys.machine_instances")
    if len(steps) >= LEAST * LONGEST:
        syscalls.load_loop()
        if syscalls.loop:
            __import__("mountplan.applier.build.rows")
    if s.AttachImage in kinds or any(source[:1] == "/" for source in made["source"]):
        __import__("mountplan.applier.sys.devices")


def namespace_files(steps: Steps) -> list[str]:
    """The paths at which the files of namespaces are to be opened."""
    found: list[str] = []
    for cls in (s.CloneHost, s.CloneHostWorkbench):
        columns = columns_of_kind(steps, cls)
        if any(columns["namespace"]):
            found += compress(columns["path"], columns["namespace"])
    return found


def is_foreign(step: Step) -> bool:
    """True if a step works on filesystems that are not the plan's own: they may be slow, or never answer.

    Each such step says so to the reporter before it begins; the others, which are by far the most, have no time for it.
    """
    if isinstance(step, (s.MakeNode, s.CloneMount, s.Attach)):
        return step.careful or (isinstance(step, s.MakeNode) and bool(step.source))
    return type(step) in _FOREIGN


class StepFailed(Exception):
    """Step `index` (from 0) raised `cause`, an OSError. Internal: build.py makes StepRefused of it."""

    def __init__(self, index: int, cause: OSError) -> None:
        super().__init__(index, cause)
        self.index = index
        self.cause = cause


def execute(steps: Steps, kernel: Kernel, reporter: Reporter) -> tuple[Handle, ...]:
    """Carry out all steps; stops at the first that the kernel refuses (StepFailed). No descriptor is left open.

    Returns the filesystems whose superblocks may have been there before (Kernel.present).
    """
    execution = Execution(kernel, reporter)
    handlers = execution.handlers()
    told = 0

    def one_by_one(begin: int, end: int) -> None:
        while begin < end:
            chunk = iter(steps_between(steps, begin, min(end, begin - begin % _CHUNK + _CHUNK)))
            begin += length_hint(chunk)
            try:
                for step in chunk:
                    handlers[type(step)](step)
            except OSError as error:
                raise StepFailed(begin - length_hint(chunk) - 1, error) from error
            done(begin)

    def done(number: int) -> None:
        nonlocal told
        if number // _CHUNK > told // _CHUNK or told < number == len(steps):
            told = number
            reporter.step(number)

    try:
        reporter.begin(len(steps))
        number = 0
        if kernel.makes_rows():
            from mountplan.applier.build.rows import Rows

            rows = Rows(execution, steps, reporter.counter, one_by_one, done)
            for run in rows.runs():
                one_by_one(number, run.begin)
                rows.carry_out(run)
                number = run.end
        one_by_one(number, len(steps))
        reporter.end()
    finally:
        execution.close()
    return tuple(execution.present)


class Execution:
    """The state of one execution: which handle has which descriptor."""

    KEPT = 48  # descriptors of workbenches and seeds that are kept open

    def __init__(self, kernel: Kernel, reporter: Reporter) -> None:
        self.kernel = kernel
        self.foreign = reporter.foreign
        self.fds: dict[Handle, int] = {}
        self.parked: dict[Handle, str] = {}  # where in the yard a workbench or seed stands
        self.present: list[Handle] = []
        self.in_memory: set[Handle] = set()  # new filesystems in which no other process can change anything
        self.kept: list[Handle] = []  # those of the parked that are open, the longest open first
        self.early: list[Handle] = []  # seeds that wait for the yard to be parked in it
        self.staged: set[str] = set()
        self.number = 0  # of the step, where they are shown
        self.base = -1
        self.yard = -1
        self.bench = -1  # the yard in which workbenches and seeds are opened: another one in a namespace of a user
        self.stage = -1
        self.host = -1
        self.sources = LastDirectory(kernel)  # on the host
        self.targets = LastDirectory(kernel)  # in a mount that has brought others along
        self.of_directory = -1  # the last clone, if its root is known to be one
        self.first: tuple[int, int, int] | None = None  # of the first of several namespaces: its file, "/" and yard

    def handlers(self) -> dict[type[Step], Callable[[Any], None]]:
        """The method for each type of step: it is named as the step's kind."""
        methods = {step: getattr(self, kind) for step, kind in zip(s.STEP_TYPES, s.STEP_KINDS, strict=True)}
        methods.update({step: self._told(methods[step]) for step in _FOREIGN - {s.CloneHost}})
        if syscalls.told:
            methods = {step: self._shown(method) for step, method in methods.items()}
        return methods

    def _shown(self, method: Callable[[Any], None]) -> Callable[[Any], None]:
        from mountplan.applier.sys import tracing

        def handle(step: Any) -> None:
            self.number += 1
            tracing.say(f"step {self.number}: {step.describe()}")
            method(step)

        return handle

    def _told(self, method: Callable[[Any], None]) -> Callable[[Any], None]:
        def handle(step: Any) -> None:
            self.foreign()
            method(step)

        return handle

    def close(self) -> None:
        self.leave_directories()
        for fd in {*self.fds.values(), *(self.first or ()), self.yard, self.host, self.base, self.stage}:
            if fd >= 0:
                self.kernel.close(fd)
        self.fds, self.kept, self.first = {}, [], None
        self.yard = self.bench = self.host = self.base = self.stage = -1

    def _close_kept(self) -> None:
        """What is parked is opened anew afterwards, and directories of walks are walked to again."""
        self.leave_directories()
        while self.kept:
            self.kernel.close(self.fds.pop(self.kept.pop()))

    def leave_directories(self) -> None:
        self.sources.leave()
        self.targets.leave()

    def descriptor(self, handle: Handle) -> int:
        """The descriptor of a mount, a workbench or a seed."""
        fd = self.fds.get(handle)
        return self._reopen(handle) if fd is None else fd

    def descriptors(self, handles: Iterable[Handle]) -> dict[Handle, int]:
        """Of fewer than are kept, all at once."""
        wanted = dict.fromkeys(handles)
        self.kept.sort(key=wanted.__contains__)  # what is not wanted gives way
        for handle in wanted:
            self.descriptor(handle)
        return {handle: self.fds[handle] for handle in wanted}

    def _reopen(self, handle: Handle) -> int:
        """Open something parked once more; what has been open for longest gives way to it."""
        if len(self.kept) >= self.KEPT:
            self.kernel.close(self.fds.pop(self.kept.pop(0)))
        fd = self.fds[handle] = self.kernel.open(self.bench, self.parked[handle], careful=False)
        self.kept.append(handle)
        return fd

    def park(self, handle: Handle, *, own: bool = False) -> None:
        """Attach a detached workbench or seed in the yard, and keep its descriptor if there is room.

        The root of one that is not of our `own` filesystems may be a file.
        """
        fd, name = self.fds[handle], f"p{len(self.parked)}"
        if own:
            name = layerpath.directory_of(self.kernel.device(fd), name)
            self.kernel.make_directory(self.yard, name)
        else:
            self._make_place(self.yard, name, fd)
        self.kernel.attach(fd, self.yard, name)
        self.parked[handle] = name
        if len(self.kept) >= self.KEPT:
            self.kernel.close(self.fds.pop(handle))
        else:
            self.kept.append(handle)

    def _opened(self, base: int, path: str, *, careful: bool = True, tree: bool = False) -> closing_fd:
        """What the walk finds, for a `with` block."""
        return closing_fd(self.kernel.open(base, path, careful=careful, tree=tree), self.kernel.close)

    def _make_place(self, within: int, name: str, mount: int) -> None:
        """A directory or a file, as the root of `mount` is one."""
        if self.kernel.is_directory(mount):
            self.kernel.make_directory(within, name)
        else:
            self.kernel.make_node(within, name, _EMPTY_FILE, -1)

    def place(self, filesystem: Handle, mount: Handle, fd: int) -> None:
        """A new superblock's first mount: the mount of the tree itself, or a workbench."""
        self.fds[mount or filesystem] = fd
        if self.kernel.present:
            self.present.append(filesystem)
        if not mount:
            self.park(filesystem, own=True)

    def unshare_namespace(self, step: s.UnshareNamespace) -> None:
        self.kernel.unshare_mounts()
        self.host = self.kernel.host_root()

    def open_namespace(self, step: s.OpenNamespace) -> None:
        """Go back to the first namespace, with its workbenches and seeds; copy it unless this is the last."""
        self._close_kept()
        if self.first is None:
            self.first = (self.kernel.hold_namespace(), self.host, self.yard)
        else:
            if self.host != self.first[1]:
                self.kernel.close(self.host)
                self.kernel.close(self.yard)
            self.host, self.yard = self.first[1:]
            self.kernel.return_to(self.first[0], self.host)
        if step.copy:
            self.kernel.copy_namespace()
            self.host = self.kernel.host_root()
            self.yard = self.kernel.open_yard()
        self.bench = self.yard

    def make_user_namespace(self, step: s.MakeUserNamespace) -> None:
        within = self.fds[step.within] if step.within else -1
        self.fds[step.user] = self.kernel.user_namespace(step.uids, step.gids, within)

    def make_stage(self, step: s.MakeStage) -> None:
        self.stage = self.kernel.new_filesystem("tmpfs", "mountplan", (("mode", "0755"),))
        self.kernel.make_directory(self.yard, f"stage-{step.namespace}")
        self.kernel.attach(self.stage, self.yard, f"stage-{step.namespace}")

    def own_namespace(self, step: s.OwnNamespace) -> None:
        """What is parked is opened in the first namespace from now on: what stood in the yard of this one is gone."""
        assert self.first is not None
        self._close_kept()
        self.kernel.enter_root(self.stage, self.stage, self.stage)
        for fd in (self.stage, self.host, self.yard):
            self.kernel.close(fd)
        self.stage = self.host = self.yard = -1
        self.kernel.own_namespace(self.fds[step.user])
        self.host = self.kernel.host_root()
        self.yard = self.kernel.host_root()
        self.bench = self.first[2]
        self.staged = set()

    def take_locked(self, step: s.TakeLocked) -> None:
        with self._opened(self.yard, step.place, careful=False) as where:
            self.fds[step.mount] = self.kernel.clone_tree(where)

    def find_locked(self, step: s.FindLocked) -> None:
        self.fds[step.mount] = self.kernel.open(self.fds[step.top], step.path, tree=True)

    def close_namespace(self, step: s.CloseNamespace) -> None:
        self.kernel.finish_namespace(step.namespace)

    def take_host_group(self, step: s.TakeHostGroup) -> None:
        with self._opened(self.host, step.path[1:], tree=True) as where:
            fd = self.fds[step.seed] = self.kernel.clone(where, "")
        if step.slave:
            self.kernel.set_attributes(fd, propagation=abi.MS_SLAVE)
        if step.parked:
            self.early.append(step.seed)
            if len(self.early) == self.KEPT:
                self.kernel.lift_limit()

    def make_yard(self, step: s.MakeYard) -> None:
        """Unbindable, so that a recursive clone of the host's tree leaves it out."""
        self.yard = self.kernel.new_filesystem("tmpfs", "mountplan", ())
        self.kernel.set_attributes(self.yard, propagation=abi.MS_UNBINDABLE)
        self.kernel.attach(self.yard, abi.AT_FDCWD, "/")
        self.bench = self.yard
        for seed in self.early:
            self.park(seed)
        if len(self.early) >= self.KEPT:
            self.kernel.restore_limit()

    def make_private(self, step: s.MakePrivate) -> None:
        self.leave_directories()
        if self.kernel.make_private():
            self.kernel.close(self.host)
            self.host = self.kernel.host_root()

    def make_id_map(self, step: s.MakeIdMap) -> None:
        self.fds[step.id_map] = self.kernel.id_mapping(step.uids, step.gids)

    def make_filesystem(self, step: s.MakeFilesystem) -> None:
        if of(step.fstype).takes_files:
            self.in_memory.add(step.filesystem)
        self.place(step.filesystem, step.mount, self.kernel.new_filesystem(step.fstype, step.source, step.options))

    def attach_image(self, step: s.AttachImage) -> None:
        if step.holder:
            image = self.kernel.open(self.descriptor(step.holder), step.image)
        else:
            image = self.kernel.open(self.host, step.image[1:], tree=True)
        with closing_fd(image, self.kernel.close):
            part = (step.offset, step.size)
            fd = self.kernel.new_image(step.fstype, image, step.options, part, read_only=step.read_only)
        self.place(step.filesystem, step.mount, fd)

    def make_overlay(self, step: s.MakeOverlay) -> None:
        with closing_fd(self.kernel.new_overlay(step.source, step.options), self.kernel.close) as overlay:
            for layer in step.layers:
                self._add_layer(overlay, "datadir+" if layer.data else "lowerdir+", layer)
            if step.upper is not None and step.work is not None:
                self._add_layer(overlay, "upperdir", step.upper)
                self._add_layer(overlay, "workdir", step.work)
            fd = self.kernel.mount_overlay(overlay)
        self.place(step.filesystem, step.mount, fd)

    def _add_layer(self, overlay: int, key: str, layer: s.Layer) -> None:
        name = ""
        if layer.filesystem:
            directory = self.kernel.open(self.descriptor(layer.filesystem), layer.path)
            if layer.filesystem in self.in_memory:
                name = f"{self.parked[layer.filesystem]}/{layer.path}".rstrip("/")
        else:
            directory = self.kernel.open(self.host, layer.path[1:], tree=True)
        with closing_fd(directory, self.kernel.close):
            self.kernel.add_layer(overlay, key, directory, name, self.fds[layer.id_map] if layer.id_map else -1)

    def _on_host(self, step: s.CloneHost | s.CloneHostWorkbench) -> int:
        if step.namespace:
            return self.kernel.open_namespace_file(step.path, step.namespace)
        return self.kernel.open(self.host, step.path[1:], tree=True)

    def clone_host_workbench(self, step: s.CloneHostWorkbench) -> None:
        with closing_fd(self._on_host(step), self.kernel.close) as where:
            self.fds[step.filesystem] = self.kernel.clone(where, "")
        self.park(step.filesystem)

    def make_node(self, step: s.MakeNode) -> None:
        handle, path, node, mode, uid, gid, _, copied, _, _, _, careful, _, _ = step
        within = self.descriptor(handle)
        if node == "directory" and mode < 0 and uid < 0 and gid < 0 and not careful:
            self.kernel.make_directory(within, path)  # by far the most: mountpoints in filesystems of our own
            return
        if careful or copied:
            self.foreign()
        self._make_node(step)

    def _make_node(self, step: s.MakeNode) -> None:
        handle, path, _, _, _, _, _, copied, _, _, _, careful, _, _ = step
        within = self.descriptor(handle)
        source, parent, name = -1, within, path
        opened: list[int] = []
        try:
            if copied:
                source = self.kernel.open(self.host, copied[1:], tree=True)
                opened.append(source)
                source = self.kernel.open_file(source)
                opened.append(source)
            if careful and "/" in path:
                above, _, name = path.rpartition("/")
                parent = self.kernel.open(within, above, tree=handle not in self.parked)
                opened.append(parent)
            self.kernel.make_node(parent, name, step, source)
        finally:
            for fd in opened:
                self.kernel.close(fd)

    def copy_contents(self, step: s.CopyContents) -> None:
        with self._opened(self.host, step.source[1:], tree=True) as source:
            self.kernel.copy_tree(source, self.descriptor(step.within))

    def make_mountpoint(self, step: s.MakeMountpoint) -> None:
        kind: NodeKind = "directory" if self.kernel.is_directory(self.fds[step.like]) else "file"
        node = _EMPTY_FILE._replace(
            within=step.within, path=step.path, node=kind, existing=True, careful=True, origin=step.origin
        )
        above, slash, _ = step.path.rpartition("/")
        parts = above.split("/") if slash else []
        for depth in range(1, len(parts) + 1):
            self._make_node(node._replace(path="/".join(parts[:depth]), node="directory"))
        self._make_node(node)

    def remove_node(self, step: s.RemoveNode) -> None:
        within = self.descriptor(step.within)
        above, _, name = step.path.rpartition("/")
        if not above:
            self.kernel.remove(within, name)
            return
        with self._opened(within, above) as parent:  # no symlink in an image leads out of it
            self.kernel.remove(parent, name)

    def seal_filesystem(self, step: s.SealFilesystem) -> None:
        self.kernel.make_read_only(self.descriptor(step.filesystem))

    def make_seed(self, step: s.MakeSeed) -> None:
        workbench = self.descriptor(step.filesystem)
        fd = self.fds[step.seed] = self.kernel.clone(workbench, step.path)
        if step.master:
            self.kernel.join(self.descriptor(step.master), fd)
            self.kernel.set_attributes(fd, propagation=abi.MS_SLAVE)
        if step.shared:
            self.kernel.set_attributes(fd, propagation=abi.MS_SHARED)
        if step.parked:
            self.park(step.seed)

    def clone_mount(self, step: s.CloneMount) -> None:
        mount, filesystem, path, careful, subvolume, _, _ = step
        workbench = self.descriptor(filesystem)
        if careful:
            self.foreign()
        if careful and path:
            where = self.kernel.open(workbench, path)
            try:
                self.fds[mount] = self.kernel.clone(where, "")
            finally:
                self.kernel.close(where)
        else:
            self.fds[mount] = self.kernel.clone(workbench, path)
        if subvolume:
            self.kernel.check_subvolume(self.fds[mount])

    def clone_host(self, step: s.CloneHost) -> None:
        self.foreign()
        mount, path, recursive, propagation, namespace, _, _ = step
        if not recursive and propagation == "private" and not namespace:
            above, _, name = path.rpartition("/")
            directory = self.sources.of(self.host, above[1:])
            if directory >= 0 and name:
                try:
                    fd, is_directory = self.kernel.clone_entry(directory, name)
                except OSError as error:
                    self._say_why(error, self.host, path[1:])
                self.fds[mount] = fd
                self.of_directory = fd if is_directory else -1
                return
        where = self._on_host(step)
        try:
            fd = self.kernel.clone_tree(where) if step.recursive else self.kernel.clone(where, "")
            self.fds[step.mount] = fd
        finally:
            self.kernel.close(where)
        if step.propagation != "private":
            kind = abi.MS_SHARED if step.propagation == "peers_below" else abi.MS_SLAVE
            self.kernel.set_attributes(fd, propagation=kind, recursive=True)
        if step.propagation.endswith("_below"):
            self.kernel.set_attributes(fd, propagation=abi.MS_PRIVATE)

    def _say_why(self, error: OSError, base: int, path: str) -> NoReturn:
        """Raise what a careful walk to `path` is refused with, if it is the path; else the error itself."""
        if error.errno in _OF_THE_PATH:
            self.kernel.close(self.kernel.open(base, path, tree=True))
        raise error

    def set_attributes(self, step: s.SetAttributes) -> None:
        self.kernel.set_attributes(
            self.fds[step.mount],
            set=step.set | (abi.MOUNT_ATTR_IDMAP if step.id_map else 0),
            clear=step.clear,
            propagation=abi.MS_UNBINDABLE if step.unbindable else 0,
            userns=self.fds[step.id_map] if step.id_map else 0,
            recursive=step.recursive,
        )

    def attach(self, step: s.Attach) -> None:
        mount, below, path, careful, tree, _, _ = step
        fds = self.fds
        if careful:  # never in the yard, nor on the stage
            self.foreign()
            self._attach_carefully(fds[mount], fds[below], path, tree=tree)
            return
        if below == STAGE:
            self._make_place(self.stage, path, fds[mount])
        elif below == YARD:
            self._stage(path)
        parent = self.yard if below == YARD else self.stage if below == STAGE else fds[below]
        self.kernel.attach(fds[mount], parent, path)
        if below == STAGE:  # a recursive clone of "/" has brought a copy of the yard along, and that on top of it
            self.kernel.lay_bare(self.stage, path, fds[mount])

    def _attach_carefully(self, fd: int, parent: int, path: str, *, tree: bool) -> None:
        """No symlink is followed. A directory is not mounted on one (EINVAL); for all else a walk looks before."""
        above, _, name = path.rpartition("/")
        directory = self.targets.of(parent, above) if tree and name else -1
        if directory >= 0 and fd == self.of_directory:
            try:
                self.kernel.attach(fd, directory, name)
            except OSError as error:
                self._say_why(error, parent, path)
            return
        where = self.kernel.open(parent, path, tree=tree)
        try:
            self.kernel.attach(fd, where, "")
        finally:
            self.kernel.close(where)
        if self.targets.is_at_or_below(parent, path):
            self.targets.leave()

    def _stage(self, name: str) -> None:
        """Make sure that the yard has a directory for something that is built there."""
        if name not in self.staged:
            self.kernel.make_directory(self.yard, name)
            self.staged.add(name)

    def remove_mount(self, step: s.RemoveMount) -> None:
        self.kernel.unmount(self.fds[step.mount], step.path[1:], recursive=step.recursive)

    def bind_over(self, step: s.BindOver) -> None:
        where = self.kernel.open(self.fds[step.mount], step.path[1:], tree=True)
        copy = -1
        try:
            copy = self.kernel.clone_tree(where)
            self.kernel.attach(copy, where, "")
        finally:
            for fd in {where, copy} - {-1}:
                self.kernel.close(fd)

    def change_mounts(self, step: s.ChangeMounts) -> None:
        root = self.fds[step.mount]
        propagation = {"": 0, "private": abi.MS_PRIVATE, "shared": abi.MS_SHARED}[step.sharing]
        for path, recursive in self._reached(step, root):
            fd = self.kernel.open(root, path[1:], tree=True) if path != "/" else root
            try:
                self.kernel.set_attributes(
                    fd, set=step.set, clear=step.clear, propagation=propagation, recursive=recursive
                )
                if step.sharing == "shared" and path == "/":  # it has no peers: it is again what it was
                    self.kernel.set_attributes(fd, propagation=abi.MS_SLAVE)
            finally:
                if fd != root:
                    self.kernel.close(fd)

    def _reached(self, step: s.ChangeMounts, root: int) -> list[tuple[str, bool]]:
        """The mounts that are to be changed. Which are there, besides those that are named, the kernel is asked."""
        but_root = step.sharing == "shared" and step.path == "/"
        if not step.recursive:
            return [] if but_root else [(step.path, False)]
        if not step.spared:
            return [(step.path, True)]
        from mountplan.planner.tables.inherited_tree import InheritedTree  # load_what_is_needed() has loaded it

        tree = InheritedTree(self.kernel.tree_of(root))
        found = tree.reach(step.path, step.spared, recursive=True, but_root=but_root)
        return [(one.path, one.recursive) for one in found]

    def isolate(self, step: s.Isolate) -> None:
        self.kernel.set_attributes(self.fds[step.mount], propagation=abi.MS_PRIVATE, recursive=step.recursive)

    def share_root(self, step: s.ShareRoot) -> None:
        self.kernel.set_attributes(self.fds[step.mount], propagation=abi.MS_SHARED)

    def join_group(self, step: s.JoinGroup) -> None:
        self.kernel.join(self.descriptor(step.seed), self.fds[step.mount])

    def make_base(self, step: s.MakeBase) -> None:
        """The base goes where the root will be staged, so that the root is attached upon it."""
        from mountplan.planner.plan.seedbase import OPTIONS, SOURCE  # load_what_is_needed() has loaded it

        base = self.base = self.kernel.new_filesystem("tmpfs", SOURCE, OPTIONS)
        self._stage("root")
        self.kernel.attach(base, self.yard, "root")
        for number, seed in enumerate(step.keep):
            with closing_fd(self.kernel.clone(self.descriptor(seed), ""), self.kernel.close) as peer:
                self._make_place(base, str(number), peer)
                self.kernel.attach(peer, base, str(number))

    def enter_root(self, step: s.EnterRoot) -> None:
        root = self.fds[step.mount]
        self.kernel.enter_root(self.base if step.based else root, root, self.fds[step.top])
        if step.based:
            self.kernel.close(self.base)
            self.base = -1

    def release(self, step: s.Release) -> None:
        fd = self.fds.pop(step.handle)
        if fd == self.targets.base:
            self.targets.leave()
        if fd == self.of_directory:
            self.of_directory = -1  # or what is cloned next, perhaps a file, may get its number
        self.kernel.close(fd)
