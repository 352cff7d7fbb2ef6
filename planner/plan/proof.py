"""Whether a plan may be carried out, and comes to what it says: one pass over its steps, before anything is touched.

A plan file is input like a spec, and as strictly judged. `prove` follows the handles through the steps: each is made
before it is used, once, used as what it is, and let go. EFFECTS says when a step may come, and in which filesystems it
may make or remove something. What the steps come to is derived from them alone, and held against what the plan says of
itself (`expected`, `edges`). All that costs a few look-ups a step.

What only the host knows is not judged here: whether a path is there, and on which of its filesystems. That the kernel
decides, in the namespace of the plan's own, and what stands there is read back. planner/ask/foresight.py tells it
before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from mountplan.planner.attributes import IDMAP
from mountplan.planner.errors import PlanRefused
from mountplan.planner.fstypes import of, only_reads
from mountplan.planner.names import Alteration, Handle
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.promise import Outcome, check_promise
from mountplan.planner.plan.proof_parts import (
    ARTICLE,
    NOTHING_IN_IT,
    Filesystem,
    ProofIdMap,
    ProofMount,
    ProofUser,
    Seed,
)
from mountplan.planner.plan.proof_values import (
    BARE,
    PLAIN,
    REMEDY,
    Wrong,
    asked_for,
    check_absolute,
    check_as_in_a_spec,
    check_names,
    check_node,
    check_options,
    check_relative,
    check_run,
    check_short,
    check_type,
    is_among,
    is_plain,
    refuse,
)
from mountplan.planner.plan.steps import STAGE, YARD, Step
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import UNTOLD

# How far a plan has got.
START, UNSHARED, PRIVATE, COMMON, TREE, FINISHED, ENTERED, CLOSED = (1 << number for number in range(8))
_WORDS: Final = {
    START: "before unshare_namespace",
    UNSHARED: "before make_private",
    PRIVATE: "before make_yard",
    COMMON: "before a namespace is open",
    TREE: "while the tree is built",
    FINISHED: "after something was removed",
    ENTERED: "after enter_root",
    CLOSED: "after close_namespace",
}


class StepEffect(NamedTuple):
    """When a step may come, and in what kinds of filesystems it may make, remove or change something.

    The kinds: "own", which begins empty and holds what the plan puts into it; "opaque", of the plan's own too, but with
    contents that are not known; "host", where a mountpoint that is mounted on may be made, and nothing else. What the
    kernel fills takes nothing. A step without kinds changes nothing but the namespace that it is carried out in.
    """

    phases: int
    writes: frozenset[str] = frozenset()


EFFECTS: dict[type[Step], StepEffect] = {
    s.UnshareNamespace: StepEffect(START),
    s.TakeHostGroup: StepEffect(UNSHARED),
    s.MakeIdMap: StepEffect(UNSHARED | PRIVATE),
    s.MakeUserNamespace: StepEffect(UNSHARED | PRIVATE),
    s.MakeStage: StepEffect(TREE),
    s.OwnNamespace: StepEffect(TREE),
    s.TakeLocked: StepEffect(TREE),
    s.FindLocked: StepEffect(TREE),
    s.MakePrivate: StepEffect(UNSHARED),
    s.MakeYard: StepEffect(PRIVATE),
    s.OpenNamespace: StepEffect(COMMON | CLOSED),
    s.MakeFilesystem: StepEffect(COMMON | TREE),
    s.AttachImage: StepEffect(COMMON | TREE),
    s.MakeOverlay: StepEffect(COMMON | TREE),
    s.CloneHostWorkbench: StepEffect(COMMON | TREE),
    s.CopyContents: StepEffect(COMMON | TREE, frozenset({"own"})),
    s.MakeNode: StepEffect(COMMON | TREE, frozenset({"own", "opaque", "host"})),
    s.MakeMountpoint: StepEffect(TREE, frozenset({"own", "opaque"})),
    s.RemoveNode: StepEffect(TREE | FINISHED, frozenset({"own", "opaque"})),
    s.SealFilesystem: StepEffect(TREE | FINISHED, frozenset({"own"})),
    s.MakeSeed: StepEffect(COMMON | TREE),
    s.CloneMount: StepEffect(TREE),
    s.CloneHost: StepEffect(UNSHARED | TREE),  # as slaves before MakePrivate, private ones afterwards
    s.SetAttributes: StepEffect(TREE),
    s.RemoveMount: StepEffect(TREE),
    s.BindOver: StepEffect(TREE),
    s.ChangeMounts: StepEffect(TREE),
    s.Isolate: StepEffect(TREE),
    s.ShareRoot: StepEffect(ENTERED),
    s.Attach: StepEffect(TREE),
    s.JoinGroup: StepEffect(TREE | ENTERED),
    s.MakeBase: StepEffect(TREE),
    s.EnterRoot: StepEffect(TREE | FINISHED),
    s.CloseNamespace: StepEffect(ENTERED),
    s.Release: StepEffect(TREE | ENTERED | CLOSED),
}


def prove(plan: Plan, file: str) -> None:
    """Raises PlanRefused if `plan` does what no plan may do, or does not come to what it says; `file` is its name."""
    proof = _Proof(plan)
    number = 0
    try:
        handlers = proof.handlers()
        for number, step in enumerate(plan.steps, 1):  # noqa: B007
            phases, handle = handlers[type(step)]
            if not phases & proof.phase:
                proof.out_of_order(step)
            handle(step)
    except Wrong as wrong:
        step = plan.steps[number - 1]
        raise _refused(plan, file, f"step {number:,}, {step.describe()}", step.origin, wrong) from None
    try:
        proof.finish()
    except Wrong as wrong:
        raise _refused(plan, file, "", "", wrong) from None


def _refused(plan: Plan, file: str, place: str, origin: str, wrong: Wrong) -> PlanRefused:
    from_spec = f" ({plan.ref(origin)})" if origin else ""
    where = f"{place}{from_spec}: " if place else ""
    return PlanRefused((f"{file}: {where}{wrong.what}\n  remedy: {REMEDY}",))


class _Proof:
    """The steps so far: what each handle stands for, and what stands where."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.phase = START
        self.spaces = len(plan.expected.namespaces)
        self.stages: set[int] = set()  # the namespaces that have a stage
        self.owned: set[int] = set()  # those that belong to their user namespace by now
        self.space = -1  # the namespace that is open, or was last
        self.made: dict[Handle, Any] = {}
        self.held = 0  # how many mounts, id-mappings and seeds that are not parked are to be released
        self.single: dict[str, tuple[set[str], Any]] = {}  # types of which there is one: sources of mounts, options
        self.changing: dict[s.Layer, bool] = {}  # upper and work directories; whether another overlay may have them
        self.yard: dict[str, ProofMount] = {}
        self.bases: list[tuple[Handle, ...] | None] = [None] * self.spaces  # what each namespace's base keeps
        self.attached: list[list[ProofMount]] = [[] for _ in range(self.spaces)]
        self.fillable: dict[Handle, Filesystem] = {}  # our own, while more may be made in them
        self.created: list[tuple[ProofMount, str]] = []  # on the host
        self.altered: list[list[Alteration]] = [[] for _ in range(self.spaces)]
        self.shares_root = [False] * self.spaces

    def handlers(self) -> dict[type[Step], tuple[int, Callable[[Any], None]]]:
        """When each type of step may come, and the method that follows it, named as its kind."""
        return {
            step: (EFFECTS[step].phases, getattr(self, "_" + kind))
            for step, kind in zip(s.STEP_TYPES, s.STEP_KINDS, strict=True)
        }

    def out_of_order(self, step: Step) -> NoReturn:
        if self.phase == START:
            refuse("a plan begins with unshare_namespace, so that nothing is done to the host's own mounts")
        phases = EFFECTS[type(step)].phases
        if self.phase == UNSHARED and not phases & START:
            refuse("it must come after make_private: until then what is mounted may be copied to the host")
        if self.phase == PRIVATE and phases > PRIVATE:
            refuse("it must come after make_yard")
        refuse(f"it cannot come {_WORDS[self.phase]}")

    # --- handles

    def _new(self, handle: Handle, what: Any) -> None:
        if not handle or handle == YARD:
            refuse(f"{handle!r} cannot be a name")
        if self.made.setdefault(handle, what) is not what:
            refuse(f"{handle} is the name of {ARTICLE[type(self.made[handle])]} already")

    def _unknown(self, handle: Handle, wanted: type) -> NoReturn:
        found = self.made.get(handle)
        if found is None:
            refuse(f"{handle or 'it'} is used before it is made")
        if type(found) is not wanted:
            refuse(f"{handle} is {ARTICLE[type(found)]}, not {ARTICLE[wanted]}")
        refuse(f"{handle} is used after its release")

    def _mount(self, handle: Handle) -> ProofMount:
        found: Any = self.made.get(handle)
        if found.__class__ is not ProofMount or not found.held:
            self._unknown(handle, ProofMount)
        return found

    def _bench(self, handle: Handle) -> Filesystem:
        """A filesystem that stands in the yard."""
        found: Any = self.made.get(handle)
        if found.__class__ is not Filesystem:
            self._unknown(handle, Filesystem)
        if not found.bench:
            refuse(f"{handle} has no workbench")
        return found

    def _seed(self, handle: Handle) -> Seed:
        found: Any = self.made.get(handle)
        if found.__class__ is not Seed or not found.held:
            self._unknown(handle, Seed)
        return found

    # --- namespaces

    def _unshare_namespace(self, step: s.UnshareNamespace) -> None:
        self.phase = UNSHARED

    def _make_private(self, step: s.MakePrivate) -> None:
        self.phase = PRIVATE

    def _make_yard(self, step: s.MakeYard) -> None:
        if self.spaces == 1 and not self.plan.expected.namespaces[0].user:
            self.phase, self.space = TREE, 0
        else:
            self.phase = COMMON

    def _open_namespace(self, step: s.OpenNamespace) -> None:
        if self.space + 1 >= self.spaces:
            refuse(f"the plan promises {self.spaces} namespaces, and this is one more")
        self.space += 1
        if step.namespace != (name := self.plan.expected.namespaces[self.space].name):
            refuse(f"the plan promises {name} here")
        if step.copy != (self.space + 1 < self.spaces or bool(self._user())):
            refuse("each namespace is a copy of the first, but for the last, which is that itself")
        self.phase = TREE

    def _user(self) -> Handle:
        """The user namespace that the namespace which is open belongs to in the end."""
        return self.plan.expected.namespaces[self.space].user

    def _check_open(self, namespace: str) -> None:
        if self.space < 0 or namespace != self.plan.expected.namespaces[self.space].name or not self._user():
            refuse("that namespace is not open, or belongs to no user namespace of the plan's")

    def _make_user_namespace(self, step: s.MakeUserNamespace) -> None:
        if step.within and not isinstance(self.made.get(step.within), ProofUser):
            self._unknown(step.within, ProofUser)
        _check_maps(step.uids, step.gids)
        self._new(step.user, ProofUser())
        self.held += 1

    def _make_stage(self, step: s.MakeStage) -> None:
        self._check_open(step.namespace)
        if self.space in self.stages:
            refuse("it has a stage already")
        self.stages.add(self.space)

    def _own_namespace(self, step: s.OwnNamespace) -> None:
        self._check_open(step.namespace)
        if step.user != self._user() or not isinstance(self.made.get(step.user), ProofUser):
            refuse(f"the plan promises that it belongs to {self._user()}")
        if self.space not in self.stages or self.space in self.owned:
            refuse("it has no stage (any more)")
        for mount in self.attached[self.space]:
            if mount.held:
                refuse(f"{mount.name} is held by a descriptor, and another one in the copy")
        self.owned.add(self.space)

    def _locked(self, handle: Handle) -> ProofMount:
        found: Any = self.made.get(handle)
        if found.__class__ is not ProofMount or found.space != self.space or self.space not in self.owned:
            refuse(f"{handle} does not stand in the copy")
        if found.held or not found.lock:
            refuse(f"{handle} is held by a descriptor already, or was never locked")
        found.held = True
        self.held += 1
        return found

    def _take_locked(self, step: s.TakeLocked) -> None:
        mount = self._locked(step.mount)
        if mount.lock != "attributes" or self.yard.get(step.place) is not mount:
            refuse(f"{step.mount} does not stand on the stage at {step.place}")

    def _find_locked(self, step: s.FindLocked) -> None:
        top, mount = self._mount(step.top), self._locked(step.mount)
        path, one = mount.place, mount
        while one.lock == "locked" and one.parent is not None and one.parent is not top:
            one = one.parent
            path = f"{one.place}/{path}".strip("/")
        if one.parent is not top or step.path != path:
            refuse(f"{step.mount} does not stand on {step.top} at {step.path}")

    def _close_namespace(self, step: s.CloseNamespace) -> None:
        if step.namespace != (name := self.plan.expected.namespaces[self.space].name):
            refuse(f"the namespace that is open is {name or 'the one without a name'}")
        for mount in self.attached[self.space]:
            if mount.held:
                refuse(f"{mount.name} is never released")
        self.phase = CLOSED

    def _make_base(self, step: s.MakeBase) -> None:
        if step.namespace != self.plan.expected.namespaces[self.space].name:
            refuse("that namespace is not open")
        if self.bases[self.space] is not None or "root" in self.yard:
            refuse("a base is made once, before the root is attached")
        for handle in step.keep:
            seed = self._seed(handle)
            if seed.host or not seed.group:
                refuse(f"{handle} is in no peer group of the plan's own")
        if len(set(step.keep)) < len(step.keep):
            refuse("it holds each seed once")
        self.bases[self.space] = step.keep

    def _enter_root(self, step: s.EnterRoot) -> None:
        root = self._mount(step.mount)
        if self.yard.pop("root", None) is not root:
            refuse(f"{step.mount} is not attached as the root")
        for stage, mount in self.yard.items():
            refuse(f"{mount.name} still stands at {stage} in the yard")
        top = root
        while (above := top.places.get("")) is not None:
            top = above
        if step.top != top.name:
            refuse(f"the topmost mount on the root is {top.name}")
        if not top.held:
            refuse(f"{step.top} is used after its release")
        if top.seed is not None:
            refuse(f"{top.name} is in a sharing group by now, and pivot_root(2) wants none there")
        if step.based != (self.bases[self.space] is not None):
            refuse("it is based if, and only if, there is a base")
        if not step.based and (_is_removed(root) or _is_removed(top)):
            refuse("a root that is removed needs a base")
        self.phase = ENTERED

    # --- filesystems

    def _superblock(
        self, handle: Handle, mount: Handle, fstype: str, source: str, options: Any, inside: str
    ) -> Filesystem:
        if of(fstype).begins != "empty":
            check_type(fstype)
        if options:
            check_options(options)
        filesystem = Filesystem(handle, fstype, source, options, inside, not mount)
        self._new(handle, filesystem)
        if of(fstype).is_shared:
            sources, given = self.single.setdefault(fstype, (set(), options))
            if source in sources:
                refuse(f"there is one {fstype}, and the plan makes another one")
            if given != options:
                refuse(f"there is one {fstype}, and the plan gives it other options")
            sources.add(source)
        if mount:
            if self.phase != TREE:
                refuse(f"it cannot come {_WORDS[self.phase]}")
            made = ProofMount(mount, filesystem, "", "directory")
            made.alone = True
            self._new(mount, made)
            self.held += 1
        else:
            self._check_yard()
        if inside == "own":
            self.fillable[mount or handle] = filesystem
        return filesystem

    def _check_yard(self) -> None:
        """What stands in the yard must be in that of each namespace: all are copies of the first one's."""
        if self.phase != COMMON and (self.spaces > 1 or self._user()):
            refuse("it would stand in the yard of one namespace only")

    def _make_filesystem(self, step: s.MakeFilesystem) -> None:
        handle, mount, fstype, source, options, _, _ = step
        if fstype == "overlay":
            refuse("an overlay is made by make_overlay")
        if source != fstype:
            check_short(source)
        self._superblock(handle, mount, fstype, source, options, of(fstype).inside)

    def _attach_image(self, step: s.AttachImage) -> None:
        handle, mount, fstype, image, holder, offset, size, read_only, options, _, _ = step
        if of(fstype).begins != "unknown" or fstype == "overlay":
            refuse(f"a {fstype} is in no image")
        if not (0 <= offset < 1 << 63 and 0 <= size < 1 << 63):
            refuse("no file has such a part")
        if holder:
            _check_made(self._bench(holder))
            check_relative(image)
            self._kind_of(self._bench(holder), image, "file")
        else:
            check_absolute(image)
        if read_only != only_reads(fstype, options):
            refuse("it is read-only if, and only if, its options say ro or nothing ever writes to its type")
        made = self._superblock(handle, mount, fstype, UNTOLD, options, "opaque")
        made.layers = frozenset((holder,) if holder else ())

    def _make_overlay(self, step: s.MakeOverlay) -> None:
        check_short(step.source)
        if (step.upper is None) != (step.work is None):
            refuse("an upper layer and a work directory go together")
        if len(step.layers) < (2 if step.upper is None else 1):
            refuse("it has too few layers")
        data = [layer.data for layer in step.layers]
        if data != sorted(data) or data[0] or any(one.data for one in (step.upper, step.work) if one is not None):
            refuse("layers for data only come last, below one that is seen")
        changing = [one for one in (step.upper, step.work) if one is not None]
        for layer in (*step.layers, *changing):
            if layer.filesystem:
                holder = self._bench(layer.filesystem)
                _check_made(holder)
                self._kind_of(holder, layer.path, "directory")
            else:
                check_absolute(layer.path)
            if layer.id_map:
                self._check_id_map(layer.id_map)
        if any(one.id_map for one in changing):
            refuse("what changes in an overlay does not go through an id-mapping")
        if len({*step.layers, *changing}) < len(step.layers) + len(changing):
            refuse("it has a directory twice")
        if changing and changing[0].filesystem != changing[1].filesystem:
            refuse("its upper and its work directory are on two filesystems")
        careless = ("index", "off") in step.options
        for layer in changing:
            if layer in self.changing and not (careless and layer.filesystem and self.changing[layer]):
                refuse(f"{layer} is taken by another overlay")
            self.changing[layer] = careless
        filesystem = self._superblock(step.filesystem, step.mount, "overlay", step.source, step.options, "opaque")
        filesystem.layers = frozenset(one.filesystem for one in (*step.layers, *changing))

    def _clone_host_workbench(self, step: s.CloneHostWorkbench) -> None:
        check_absolute(step.path)
        self._check_yard()
        self._new(step.filesystem, Filesystem(step.filesystem, "", "", (), "host", bench=True))

    # --- what is in filesystems

    def _writable(self, step: Step, handle: Handle) -> Filesystem | None:
        """The filesystem in which a step may make, remove or change something; None for a host's that is bound.

        A mount is so only until it is attached: afterwards a path may lead from it into another one.
        """
        found: Any = self.made.get(handle)
        filesystem: Filesystem | None
        if found.__class__ is ProofMount and found.held:
            if found.space >= 0:
                refuse(f"{handle} is attached by now: the path may lead into another mount")
            if found.filesystem is not None and not found.alone:
                refuse(f"what {found.filesystem.name} shall hold is made before mounts are cloned from it")
            filesystem = found.filesystem
        else:
            filesystem = self._bench(handle)
        inside = filesystem.inside if filesystem is not None else "host"
        if inside not in EFFECTS[type(step)].writes or (inside == "host" and filesystem is not None):
            whose = "the host's" if inside == "host" else f"a {filesystem.fstype}" if filesystem else ""
            refuse(f"{handle} is {whose}, and a plan may not do that there")
        if filesystem is not None and filesystem.sealed:
            refuse(f"{handle} is read-only by now")
        return filesystem

    def _make_node(self, step: s.MakeNode) -> None:
        handle, path, node, _, _, _, _, _, _, _, existing, careful, _, _ = step
        own = self.fillable.get(handle)
        if own is not None and node == "directory" and step[3:12] == BARE:  # by far the most are mountpoints
            nodes = own.nodes
            above, slash, name = path.rpartition("/")
            if (
                nodes.get(above) == "directory"
                and path not in nodes
                and bool(slash) == bool(above)
                and name.isascii()
                and name[:1] not in ("", ".")
                and "\0" not in name
            ):
                if nodes is NOTHING_IN_IT:
                    nodes = own.nodes = NOTHING_IN_IT.copy()
                nodes[path] = node
                return
        filesystem = self._writable(step, handle)
        if not is_plain(path):
            check_relative(path)
        if step[3:10] != PLAIN or node == "symlink":
            check_node(step)
        if filesystem is None:
            if node not in ("directory", "file") or step[3:10] != PLAIN or not existing or not careful:
                refuse(f"{handle} is the host's: nothing but empty mountpoints may be made there")
            self.created.append((self.made[handle], path))
        elif filesystem.inside == "own":
            if careful or existing:
                refuse(f"{handle} is the plan's own: nothing is there before")
            self._add(filesystem, path, node)
        elif not careful:
            refuse(f"what is in {handle} is not known: a path may lead out of it")

    def _add(self, filesystem: Filesystem, path: str, kind: str | None) -> None:
        nodes = filesystem.nodes
        if path in nodes:
            refuse(f"{filesystem.name}:/{path} is made twice")
        above = path.rpartition("/")[0]
        if nodes.get(above) != "directory":
            what = nodes.get(above, "not there")
            refuse(f"{filesystem.name}:/{above} is {what}, so nothing can be made in it")
        if nodes is NOTHING_IN_IT:
            nodes = filesystem.nodes = NOTHING_IN_IT.copy()
        nodes[path] = kind

    def _copy_contents(self, step: s.CopyContents) -> None:
        filesystem = self._writable(step, step.within)
        check_absolute(step.source)
        if filesystem is None or not of(filesystem.fstype).takes_files or len(filesystem.nodes) > 1:
            refuse("contents go into a new and empty tmpfs or ramfs")
        filesystem.inside = "opaque"
        del self.fillable[step.within]

    def _make_mountpoint(self, step: s.MakeMountpoint) -> None:
        like = self._mount(step.like)
        filesystem = self._bench(step.within)
        self._writable(step, step.within)
        check_relative(step.path)
        if filesystem.inside == "own" and step.path not in filesystem.nodes:
            self._add(filesystem, step.path, like.kind)

    def _remove_node(self, step: s.RemoveNode) -> None:
        filesystem = self._bench(step.within)
        self._writable(step, step.within)
        check_relative(step.path)
        if self.space + 1 < self.spaces:
            refuse("other namespaces are still to be built")
        self._kind_of(filesystem, step.path)
        if is_among(filesystem.removed, step.path):
            refuse("it is removed already")
        filesystem.removed = {**filesystem.removed, step.path: None}
        self.phase = FINISHED

    def _seal_filesystem(self, step: s.SealFilesystem) -> None:
        found: Any = self.made.get(step.filesystem)
        alone = found.__class__ is ProofMount and found.alone and found.held
        filesystem = found.filesystem if alone else self._bench(step.filesystem)
        if of(filesystem.fstype).begins != "empty":
            whose = "the host's" if filesystem.inside == "host" else f"a {filesystem.fstype}"
            refuse(f"{step.filesystem} is {whose}: others than the plan may see it")
        if filesystem.sealed:
            refuse("it is read-only already")
        filesystem.sealed = True
        self.fillable.pop(step.filesystem, None)

    def _kind_of(self, filesystem: Filesystem, path: str, wanted: str = "") -> str | None:
        """The kind of what is at a path of a filesystem, None if that cannot be known."""
        if filesystem.inside != "own":
            if path:
                check_relative(path)
            return None if path else "directory"
        try:
            kind = filesystem.nodes[path]
        except KeyError:
            refuse(f"there is no {filesystem.name}:/{path}")
        if kind == "symlink" or (wanted and kind is not None and kind != wanted):
            refuse(f"{filesystem.name}:/{path} is a {kind}")
        return kind

    # --- groups

    def _take_host_group(self, step: s.TakeHostGroup) -> None:
        name = _group_name(step.seed)
        check_absolute(step.path)
        group, receives = ("", name) if step.slave else (name, "")
        self._new(step.seed, Seed(step.seed, group, receives, None, step.parked, host=True))
        self.held += not step.parked

    def _make_seed(self, step: s.MakeSeed) -> None:
        name = _group_name(step.seed)
        filesystem = self._bench(step.filesystem)
        if step.parked:
            self._check_yard()
        if filesystem.inside == "host":
            if step.path:
                check_relative(step.path)
        elif step.path:
            refuse("the seed of a group is a clone of the whole workbench")
        master = self._seed(step.master) if step.master else None
        receives = ""
        if master is not None:
            receives = master.group or (master.receives if master.host else "")
            if not receives:
                refuse(f"{step.master} is in no peer group")
            if master.filesystem is not filesystem and (master.filesystem is not None or filesystem.inside != "host"):
                refuse(f"{step.master} is of another filesystem")
        elif not step.shared:
            refuse("it is neither shared nor a slave")
        seed = Seed(step.seed, name if step.shared else "", receives, filesystem, step.parked, host=False)
        seed.master = master
        self._new(step.seed, seed)
        self.held += not step.parked

    def _join_group(self, step: s.JoinGroup) -> None:
        seed, mount = self._seed(step.seed), self._mount(step.mount)
        if mount.space < 0:
            refuse(f"{step.mount} is not attached yet")
        if mount.seed is not None or mount.unbindable or mount.inherits:
            refuse(f"{step.mount} is not private any more")
        if seed.filesystem is not mount.filesystem and not (
            mount.filesystem is None and (seed.filesystem is None or seed.filesystem.inside == "host")
        ):
            refuse(f"{step.mount} is of another filesystem than {step.seed}")
        if self.phase == ENTERED and seed.parked and self.space not in self.owned:
            refuse(f"{step.seed} is gone with the yard")
        mount.seed = seed

    # --- mounts

    def _make_id_map(self, step: s.MakeIdMap) -> None:
        _check_maps(step.uids, step.gids)
        self._new(step.id_map, ProofIdMap())
        self.held += 1

    def _check_id_map(self, handle: Handle) -> None:
        ids: Any = self.made.get(handle)
        if ids.__class__ is not ProofIdMap or not ids.held:
            self._unknown(handle, ProofIdMap)

    def _clone_mount(self, step: s.CloneMount) -> None:
        handle, bench, path, careful, _, _ = step
        filesystem = self._bench(bench)
        if filesystem.inside == "own":
            kind = filesystem.nodes.get(path)
            if kind != "directory" and kind != "file":
                kind = self._kind_of(filesystem, path)
        else:
            _check_made(filesystem)
            kind = self._kind_of(filesystem, path)
        if careful != (filesystem.inside != "own"):
            refuse("the walk is careful if, and only if, it is not known what is there")
        self._new(handle, ProofMount(handle, filesystem, path, kind))
        self.held += 1

    def _clone_host(self, step: s.CloneHost) -> None:
        check_absolute(step.path)
        grouped = step.propagation != "private"
        if grouped != (self.phase == UNSHARED):
            refuse(
                "what is in the host's groups is made before make_private"
                if grouped
                else "it must come after make_private: until then all that is mounted may be copied to the host"
            )
        if grouped and not step.recursive:
            refuse("a slave of the host's is in a group, or comes with all below it")
        mount = ProofMount(step.mount, None, step.path, None)
        mount.recursive, mount.inherits = step.recursive, step.propagation == "slave"
        mount.brings = {"slaves_below": "slave", "peers_below": "peer"}.get(step.propagation, "")
        self._new(step.mount, mount)
        self.held += 1

    def _set_attributes(self, step: s.SetAttributes) -> None:
        handle, bits, clear, recursive, unbindable, id_map, words, _, _ = step
        mount = self._mount(handle)
        if mount.space >= 0:
            refuse(f"{handle} is attached by now: it would lack its attributes for a moment")
        if asked_for(words) != (bits, clear, unbindable, id_map != ""):
            refuse(f"its words are not what it does (attributes {bits:#x}, cleared {clear:#x})")
        if recursive and (unbindable or not mount.recursive):
            refuse("it is recursive, and must not be")
        if unbindable:
            if mount.unbindable:
                refuse(f"{handle} is unbindable already")
            mount.unbindable = True
        if id_map:
            self._check_id_map(id_map)
            if mount.idmapped:
                refuse(f"{handle} is id-mapped already")
            mount.idmapped = True
            bits |= IDMAP
        mount.own = _after(mount.own, bits, clear)
        if recursive:
            mount.below = _after(mount.below, bits, clear)

    def _attach(self, step: s.Attach) -> None:
        handle, above, path, careful, tree, _, _ = step
        mount = self._mount(handle)
        staging = self.space in self.stages and self.space not in self.owned
        if staging:
            mount.lock = "attributes" if above == STAGE else "locked"
        if above == STAGE:
            if not staging or mount.space >= 0 or careful or tree or not _is_stage(path, "locked"):
                refuse(f"{handle} is attached already, or there is no {path} on the stage")
            if path in self.yard:
                refuse(f"{self.yard[path].name} stands there already")
            self.yard[path] = mount
            mount.place = path
        elif above == YARD:
            if staging:
                refuse("what will be locked is built on the stage")
            if mount.space >= 0:
                if mount.place == path or self.yard.pop(mount.place, None) is not mount or mount.parent is not None:
                    refuse(f"{handle} is attached already")
                if path != "root" or careful or tree:
                    refuse(f"there is no {path} in the yard")
                if path in self.yard:
                    refuse(f"{self.yard[path].name} stands there already")
                self.yard[path], mount.place = mount, path
                return
            if careful or tree or (path != "root" and not _is_stage(path)):
                refuse(f"there is no {path} in the yard")
            if path in self.yard:
                refuse(f"{self.yard[path].name} stands there already")
            self.yard[path] = mount
            mount.place = path
        else:
            parent = self._mount(above)
            if mount.space >= 0:
                if mount.parent is not None or mount.place == "root":
                    refuse(f"{handle} is attached already")
                self._check_circle(mount, parent)
                del self.yard[mount.place]
            if parent.space != self.space:
                refuse(f"{above} is not attached in this namespace")
            if parent.seed is not None and (parent.seed.group or self.space not in self.owned):
                refuse(f"{above} is in a sharing group by now: what is attached to it is copied to all its peers")
            filesystem = parent.filesystem
            own = filesystem is not None and filesystem.inside == "own"
            if careful != (not own and path != "") or tree != (parent.recursive and parent.brings != "peer"):
                refuse("the walk is careful if, and only if, it is not known what is there")
            places = parent.places
            if places and (path in places or is_among(places, path)):
                refuse(f"{above}:/{path} is covered by then")
            if path == "":
                kind = parent.kind
            elif filesystem is not None and own:
                kind = self._kind_of(filesystem, f"{parent.root}/{path}" if parent.root else path)
            else:
                check_relative(path)
                kind = None
            if kind is not None and mount.kind is not None and (kind == "directory") != (mount.kind == "directory"):
                refuse(f"a {mount.kind} cannot be mounted on a {kind}")
            if not places:
                places = parent.places = {}
            places[path] = mount
            mount.parent, mount.place = parent, path
            if mount.space >= 0:
                return
        mount.space = self.space
        self.attached[self.space].append(mount)
        if mount.alone:
            self.fillable.pop(handle, None)

    # --- what is inherited

    def _inherited(self, handle: Handle, *paths: str) -> None:
        """Only a copy of all that the host has is altered, as the root, and before anything stands on it."""
        mount = self._mount(handle)
        if self.yard.get("root") is not mount or mount.filesystem is not None or mount.root != "/":
            refuse(f"{handle} is not a copy of the host's tree that stands as the root")
        if mount.places:
            refuse(f"something stands on {handle} already")
        for path in paths:
            check_absolute(path)

    def _alter(self, *what: Any) -> None:
        name = self.plan.expected.namespaces[self.space].name
        self.altered[self.space].append(Alteration(name, *what))

    def _remove_mount(self, step: s.RemoveMount) -> None:
        self._inherited(step.mount, step.path)
        if step.path == "/":
            refuse("the root itself is not removed")
        self._alter("remove", step.path, step.recursive, (), 0, 0, "", "", step.origin)

    def _bind_over(self, step: s.BindOver) -> None:
        self._inherited(step.mount, step.path)
        self._alter("bind_over", step.path, True, (), 0, 0, "", "", step.origin)

    def _change_mounts(self, step: s.ChangeMounts) -> None:
        handle, path, recursive, spared, bits, clear, sharing, words, origin, _ = step
        self._inherited(handle, path, *spared)
        if spared and not recursive:
            refuse("nothing is spared of one mount")
        for one in spared:
            if one == path or not TargetPath(one).is_under(path):
                refuse(f"{one} is not below {path}")
        if words != sharing and (sharing or asked_for(words) != (bits, clear, False, False)):
            refuse(f"its words are not what it does (attributes {bits:#x}, cleared {clear:#x})")
        if bool(sharing) == bool(bits or clear):
            refuse("it changes attributes, or what the mounts become")
        self._alter("change", path, recursive, spared, bits, clear, sharing, words, origin)

    def _isolate(self, step: s.Isolate) -> None:
        mount = self._mount(step.mount)
        if mount.space != self.space or mount.seed is not None or mount.places or mount.parent is None:
            refuse(f"{step.mount} has not been attached just now")
        if step.recursive != mount.recursive:
            refuse("it is recursive if, and only if, the mount has brought something along")
        if mount.parent.parent is not None or mount.parent.place != "root" or mount.unbindable:
            refuse(f"{step.mount} does not stand on an inherited tree")

    def _share_root(self, step: s.ShareRoot) -> None:
        mount = self._mount(step.mount)
        if mount.parent is not None or mount.place != "root" or mount.seed is not None or mount.filesystem is not None:
            refuse(f"{step.mount} is not the root of an inherited tree")
        self.shares_root[self.space] = True

    def _check_altered(self) -> None:
        """That all is altered as promised, and the root made shared if that was to come."""
        promised = self.plan.expected.altered
        if promised != tuple(one for space in self.altered for one in space):
            refuse("what it promises to alter of what is inherited, and what its steps come to, are not the same")
        for space, shares in zip(self.altered, self.shares_root, strict=True):
            last = [one.sharing for one in space if one.sharing and one.path == "/"][-1:]
            if shares != (last == ["shared"]):
                refuse("the root is made shared after it is entered if, and only if, that was put off until then")

    def _check_circle(self, mount: ProofMount, parent: ProofMount | None) -> None:
        """This walks up from the parent, as far as a branch that is built by itself goes (schedule.DEPTH)."""
        while parent is not None:
            if parent is mount:
                refuse(f"{mount.name} would stand on itself")
            parent = parent.parent

    def _release(self, step: s.Release) -> None:
        found: Any = self.made.get(step.handle)
        if found is None:
            self._unknown(step.handle, ProofMount)
        if found.__class__ is Filesystem or not found.held or (found.__class__ is Seed and found.parked):
            refuse(f"{step.handle} is not held by a descriptor")
        if found.__class__ is ProofMount and found.parent is None:
            if found.space < 0:
                refuse(f"{step.handle} is not attached, and so gone when it is released")
            if _is_stage(found.place, "locked") and self.space in self.stages - self.owned:
                found.held = False
                self.held -= 1
                return
            if found.place == "root" and self.phase != ENTERED:
                refuse(f"{step.handle} is still to be entered")
            if found.place != "root":
                refuse(f"{step.handle} still stands in the yard")
        found.held = False
        self.held -= 1

    # --- the whole

    def finish(self) -> None:
        """That all is finished, and is what the plan says of itself."""
        if self.phase != CLOSED or self.space + 1 < self.spaces:
            refuse(f"it ends {_WORDS[self.phase]}: not all of what it promises is built")
        if self.held:
            for handle, found in self.made.items():
                if found.__class__ is not Filesystem and found.held and not getattr(found, "parked", False):
                    refuse(f"{handle} is never released")
        self._check_created()
        self._check_altered()
        check_promise(Outcome(self.plan, self.made, self.attached, [kept or () for kept in self.bases]))
        check_names(self.plan)
        check_run(self.plan.run)

    def _check_created(self) -> None:
        """What is made on the host is mounted on, or is on the way to that."""
        used: dict[Handle, set[str]] = {}
        for mount, path in self.created:
            if mount.name not in used:
                used[mount.name] = set(mount.places)
                for place in mount.places:
                    used[mount.name].update(place[:end] for end, letter in enumerate(place) if letter == "/")
            if path not in used[mount.name]:
                refuse(f"it makes {path} in {mount.name}, the host's, and mounts nothing there")


def _is_removed(mount: ProofMount) -> bool:
    filesystem = mount.filesystem
    return filesystem is not None and bool(filesystem.removed) and is_among(filesystem.removed, mount.root, itself=True)


def _check_made(filesystem: Filesystem) -> None:
    if filesystem.inside == "host":
        refuse(f"{filesystem.name} is the host's: its mounts are cloned from the host")


def _is_stage(name: str, word: str = "stage") -> bool:
    return name.startswith(word) and name[len(word) :].isdecimal() and name.isascii()


def _check_maps(*maps: tuple[tuple[int, int, int], ...]) -> None:
    from mountplan.planner.language import values

    for lines in maps:
        if not 1 <= len(lines) <= 340:
            refuse("an id-mapping has 1 to 340 lines of uids, and of gids")
        for line in lines:
            check_as_in_a_spec(values.id_line, line)
        if clash := values.overlap(lines):
            refuse(clash)


def _group_name(seed: Handle) -> str:
    if not seed.startswith("seed:") or len(seed) < 6:
        refuse(f"{seed!r} is no name of a seed")
    return seed[5:]


def _after(before: tuple[int, int], bits: int, clear: int) -> tuple[int, int]:
    """Two changes one after the other, as one: what is set in the end, and what is cleared."""
    if before == (0, 0):
        return bits, clear & ~bits
    return (before[0] & ~clear) | bits, (before[1] | clear) & ~bits
