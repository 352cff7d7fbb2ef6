"""Whether a plan may be carried out, and comes to what it says: one pass over its steps, before anything is touched.

A plan file is input like a spec, and as strictly judged. `prove` follows the handles through the steps: each is made
before it is used, once, used as what it is, and let go. EFFECTS says when a step may come, and in which filesystems it
may make or remove something. What the steps come to is derived from them alone, and held against what the plan says of
itself (`expected`, `edges`). All that costs a few look-ups a step.

What only the host knows is not judged here: whether a path is there, and on which of its filesystems. That the kernel
decides, in the namespace of the plan's own, and what stands there is read back. planner/foresight.py tells it before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from mountplan.planner import steps as s
from mountplan.planner.attributes import IDMAP, NAMES, change
from mountplan.planner.errors import PlanRefused
from mountplan.planner.fstypes import FILLABLE, KERNEL, OWN, SINGLE
from mountplan.planner.plan import Plan
from mountplan.planner.record import NamedTuple
from mountplan.planner.steps import YARD, Handle, Step

REMEDY = "make it again with `mountplan plan SPEC -o FILE`"

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


class Effect(NamedTuple):
    """When a step may come, and in what kinds of filesystems it may make, remove or change something.

    The kinds: "own", which begins empty and holds what the plan puts into it; "opaque", of the plan's own too, but with
    contents that are not known; "host", where a mountpoint that is mounted on may be made, and nothing else. What the
    kernel fills takes nothing. A step without kinds changes nothing but the namespace that it is carried out in.
    """

    phases: int
    writes: frozenset[str] = frozenset()


EFFECTS: dict[type[Step], Effect] = {
    s.UnshareNamespace: Effect(START),
    s.TakeHostGroup: Effect(UNSHARED),
    s.MakeIdMap: Effect(UNSHARED | PRIVATE),
    s.MakePrivate: Effect(UNSHARED),
    s.MakeYard: Effect(PRIVATE),
    s.OpenNamespace: Effect(COMMON | CLOSED),
    s.MakeFilesystem: Effect(COMMON | TREE),
    s.AttachImage: Effect(COMMON | TREE),
    s.MakeOverlay: Effect(COMMON | TREE),
    s.CloneHostWorkbench: Effect(COMMON | TREE),
    s.CopyContents: Effect(COMMON | TREE, frozenset({"own"})),
    s.MakeNode: Effect(COMMON | TREE, frozenset({"own", "opaque", "host"})),
    s.MakeMountpoint: Effect(TREE, frozenset({"own", "opaque"})),
    s.RemoveNode: Effect(TREE | FINISHED, frozenset({"own", "opaque"})),
    s.SealFilesystem: Effect(TREE | FINISHED, frozenset({"own"})),
    s.MakeSeed: Effect(COMMON | TREE),
    s.CloneMount: Effect(TREE),
    s.CloneHost: Effect(UNSHARED | TREE),  # as slaves before MakePrivate, private ones afterwards
    s.SetAttributes: Effect(TREE),
    s.Attach: Effect(TREE),
    s.JoinGroup: Effect(TREE | ENTERED),
    s.MakeBase: Effect(TREE),
    s.EnterRoot: Effect(TREE | FINISHED),
    s.CloseNamespace: Effect(ENTERED),
    s.Release: Effect(TREE | ENTERED | CLOSED),
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
    return PlanRefused((f"{file}: {where}{wrong.what}\n  remedy: {wrong.remedy}",))


class Wrong(Exception):
    """What is wrong with a step, or with the whole plan."""

    def __init__(self, what: str, remedy: str = REMEDY) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what)


def _wrong(what: str, remedy: str = REMEDY) -> NoReturn:
    raise Wrong(what, remedy)


# ---- what handles stand for -----------------------------------------------------------------------------------------


class _Filesystem:
    """A superblock; `bench` if it stands in the yard, to be cloned from. `nodes` of one of our own is all that is in
    it: path -> kind, None if that is the kind of the mount that it was made for.
    """

    __slots__ = (
        "bench", "fstype", "inside", "layers", "mountpoints", "name", "nodes", "options", "removed", "sealed", "source",
    )  # fmt: skip

    def __init__(self, name: str, fstype: str, source: str, options: tuple[Any, ...], inside: str, bench: bool) -> None:
        self.name = name
        self.fstype = fstype
        self.source = source
        self.options = options
        self.inside = inside
        self.bench = bench
        self.sealed = False
        self.nodes: dict[str, str | None] = {"": "directory"}
        self.layers: frozenset[Handle] = frozenset()
        self.removed: dict[str, None] = {}
        self.mountpoints: list[str] = []  # kept only where something may be removed under it


class _Seed:
    __slots__ = ("filesystem", "group", "host", "master", "name", "parked", "receives")

    def __init__(
        self, name: str, group: str, receives: str, filesystem: _Filesystem | None, parked: bool, host: bool
    ) -> None:
        self.name = name
        self.group = group  # of which it is a member, "" for none
        self.receives = receives  # from which it receives, "" for none
        self.filesystem = filesystem
        self.parked = parked
        self.host = host
        self.master: _Seed | None = None


class _IdMap:
    __slots__ = ()


class _Mount:
    __slots__ = (
        "alone", "below", "filesystem", "host", "idmapped", "inherits", "kind", "name", "parent", "place", "places",
        "recursive", "root", "seed", "space", "unbindable", "origin", "own",
    )  # fmt: skip

    def __init__(self, name: str, filesystem: _Filesystem | None, root: str, kind: str | None, origin: str) -> None:
        self.name = name
        self.filesystem = filesystem  # None for the host's
        self.root = root  # a path in the filesystem, relative; or an absolute one on the host
        self.kind = kind  # of its root, None if it is not known
        self.origin = origin
        self.alone = False  # the filesystem's first mount, in which things are made before it is attached
        self.recursive = False
        self.inherits = False
        self.own = self.below = (0, 0)  # the attributes (set, cleared) of itself, and of what it brings
        self.idmapped = False
        self.unbindable = False
        self.seed: _Seed | None = None  # of the group that it is in
        self.parent: _Mount | None = None
        self.place = ""
        self.space = -1  # the number of the namespace in which it is attached
        self.places: dict[str, _Mount] = {}  # what is attached to it


_ARTICLE = {_Filesystem: "a filesystem", _Seed: "a seed", _IdMap: "an id-mapping", _Mount: "a mount"}


class _Proof:
    """The steps so far: what each handle stands for, and what stands where."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.phase = START
        self.spaces = len(plan.expected.namespaces)
        self.space = -1  # the namespace that is open, or was last
        self.made: dict[Handle, Any] = {}
        self.held: dict[Handle, None] = {}  # what has a descriptor: mounts, id-mappings, seeds that are not parked
        self.single: set[str] = set()  # filesystem types of which there is one
        self.changing: set[tuple[str, str]] = set()  # upper and work directories
        self.yard: dict[str, _Mount] = {}
        self.bases: list[tuple[Handle, ...] | None] = [None] * self.spaces  # what each namespace's base keeps
        self.attached: list[list[_Mount]] = [[] for _ in range(self.spaces)]
        self.created: list[tuple[_Mount, str, str]] = []  # on the host: mount, path, origin
        self.members: set[str] = set()  # groups that have one

    def handlers(self) -> dict[type[Step], tuple[int, Callable[[Any], None]]]:
        """When each type of step may come, and the method that follows it, named as its kind."""
        return {
            step: (EFFECTS[step].phases, getattr(self, "_" + kind))
            for step, kind in zip(s.STEP_TYPES, s.STEP_KINDS, strict=True)
        }

    def out_of_order(self, step: Step) -> NoReturn:
        if self.phase == START:
            _wrong("a plan begins with unshare_namespace, so that nothing is done to the host's own mounts")
        phases = EFFECTS[type(step)].phases
        if self.phase == UNSHARED and not phases & START:
            _wrong("it must come after make_private: until then what is mounted may be copied to the host")
        if self.phase == PRIVATE and phases > PRIVATE:
            _wrong("it must come after make_yard")
        _wrong(f"it cannot come {_WORDS[self.phase]}")

    # --- handles

    def _new(self, handle: Handle, what: Any, *, held: bool) -> None:
        if handle in self.made:
            _wrong(f"{handle} is the name of {_ARTICLE[type(self.made[handle])]} already")
        if handle == "" or handle == YARD:
            _wrong(f"{handle!r} cannot be a name")
        self.made[handle] = what
        if held:
            self.held[handle] = None

    def _unknown(self, handle: Handle, wanted: type) -> NoReturn:
        found = self.made.get(handle)
        if found is None:
            _wrong(f"{handle or 'it'} is used before it is made")
        if type(found) is not wanted:
            _wrong(f"{handle} is {_ARTICLE[type(found)]}, not {_ARTICLE[wanted]}")
        _wrong(f"{handle} is used after its release")

    def _mount(self, handle: Handle) -> _Mount:
        found = self.made.get(handle)
        if found.__class__ is not _Mount or handle not in self.held:
            self._unknown(handle, _Mount)
        return found  # type: ignore[no-any-return]

    def _bench(self, handle: Handle) -> _Filesystem:
        """A filesystem that stands in the yard."""
        found = self.made.get(handle)
        if found.__class__ is not _Filesystem:
            self._unknown(handle, _Filesystem)
        if not found.bench:
            _wrong(f"{handle} has no workbench")
        return found  # type: ignore[no-any-return]

    def _seed(self, handle: Handle) -> _Seed:
        found = self.made.get(handle)
        if found.__class__ is not _Seed or not (found.parked or handle in self.held):
            self._unknown(handle, _Seed)
        return found  # type: ignore[no-any-return]

    # --- namespaces

    def _unshare_namespace(self, step: s.UnshareNamespace) -> None:
        self.phase = UNSHARED

    def _make_private(self, step: s.MakePrivate) -> None:
        self.phase = PRIVATE

    def _make_yard(self, step: s.MakeYard) -> None:
        if self.spaces == 1:
            self.phase, self.space = TREE, 0
        else:
            self.phase = COMMON

    def _open_namespace(self, step: s.OpenNamespace) -> None:
        if self.spaces < 2 or self.space + 1 >= self.spaces:
            _wrong(f"the plan promises {self.spaces} namespaces, and this is one more")
        self.space += 1
        if step.namespace != (name := self.plan.expected.namespaces[self.space].name):
            _wrong(f"the plan promises {name} here")
        if step.copy != (self.space + 1 < self.spaces):
            _wrong("each namespace is a copy of the first, but for the last, which is that itself")
        self.phase = TREE

    def _close_namespace(self, step: s.CloseNamespace) -> None:
        if step.namespace != (name := self.plan.expected.namespaces[self.space].name):
            _wrong(f"the namespace that is open is {name or 'the one without a name'}")
        for mount in self.attached[self.space]:
            if mount.name in self.held:
                _wrong(f"{mount.name} is never released")
        self.phase = CLOSED

    def _make_base(self, step: s.MakeBase) -> None:
        if step.namespace != self.plan.expected.namespaces[self.space].name:
            _wrong("that namespace is not open")
        if self.bases[self.space] is not None or "root" in self.yard:
            _wrong("a base is made once, before the root is attached")
        for handle in step.keep:
            seed = self._seed(handle)
            if seed.host or not seed.group:
                _wrong(f"{handle} is in no peer group of the plan's own")
        if len(set(step.keep)) < len(step.keep):
            _wrong("it holds each seed once")
        self.bases[self.space] = step.keep

    def _enter_root(self, step: s.EnterRoot) -> None:
        root = self._mount(step.mount)
        if self.yard.pop("root", None) is not root:
            _wrong(f"{step.mount} is not attached as the root")
        for stage, mount in self.yard.items():
            _wrong(f"{mount.name} still stands at {stage} in the yard")
        top = root
        while (above := top.places.get("")) is not None:
            top = above
        if step.top != top.name:
            _wrong(f"the topmost mount on the root is {top.name}")
        if top.name not in self.held:
            _wrong(f"{step.top} is used after its release")
        if top.seed is not None:
            _wrong(f"{top.name} is in a sharing group by now, and pivot_root(2) wants none there")
        if step.based != (self.bases[self.space] is not None):
            _wrong("it is based if, and only if, there is a base")
        if not step.based and (_is_removed(root) or _is_removed(top)):
            _wrong("a root that is removed needs a base")
        self.phase = ENTERED

    # --- filesystems

    def _superblock(
        self, handle: Handle, mount: Handle, fstype: str, source: str, options: Any, inside: str, origin: str
    ) -> _Filesystem:
        _check_type(fstype)
        _check_options(options)
        filesystem = _Filesystem(handle, fstype, source, options, inside, not mount)
        self._new(handle, filesystem, held=False)
        if fstype in SINGLE:
            if fstype in self.single:
                _wrong(f"there is one {fstype}, and the plan makes another one")
            self.single.add(fstype)
        if mount:
            if self.phase != TREE:
                _wrong(f"it cannot come {_WORDS[self.phase]}")
            made = _Mount(mount, filesystem, "", "directory", origin)
            made.alone = True
            self._new(mount, made, held=True)
        return filesystem

    def _make_filesystem(self, step: s.MakeFilesystem) -> None:
        handle, mount, fstype, source, options, origin, _ = step
        if fstype == "overlay":
            _wrong("an overlay is made by make_overlay")
        if not source:
            _wrong("it has no source")
        _check_short(source)
        inside = "own" if fstype in OWN else "kernel" if fstype in KERNEL else "opaque"
        self._superblock(handle, mount, fstype, source, options, inside, origin)

    def _attach_image(self, step: s.AttachImage) -> None:
        handle, mount, fstype, image, read_only, options, origin, _ = step
        if fstype in OWN or fstype in KERNEL or fstype == "overlay":
            _wrong(f"a {fstype} is in no image")
        _check_absolute(image)
        if read_only != (("ro", True) in options):
            _wrong("it is read-only if, and only if, its options say ro")
        self._superblock(handle, mount, fstype, "", options, "opaque", origin)

    def _make_overlay(self, step: s.MakeOverlay) -> None:
        if not step.source:
            _wrong("it has no source")
        _check_short(step.source)
        if (step.upper is None) != (step.work is None):
            _wrong("an upper layer and a work directory go together")
        if len(step.layers) < (2 if step.upper is None else 1):
            _wrong("it has too few layers")
        changing = [one for one in (step.upper, step.work) if one is not None]
        for layer in (*step.layers, *changing):
            if layer.filesystem:
                holder = self._bench(layer.filesystem)
                _check_made(holder)
                self._kind_of(holder, layer.path, "directory")
            else:
                _check_absolute(layer.path)
        if len({*step.layers, *changing}) < len(step.layers) + len(changing):
            _wrong("it has a directory twice")
        if changing and changing[0].filesystem != changing[1].filesystem:
            _wrong("its upper and its work directory are on two filesystems")
        for layer in changing:
            if layer in self.changing:
                _wrong(f"{layer} is taken by another overlay")
            self.changing.add(layer)
        filesystem = self._superblock(
            step.filesystem, step.mount, "overlay", step.source, step.options, "opaque", step.origin
        )
        filesystem.layers = frozenset(one.filesystem for one in (*step.layers, *changing))

    def _clone_host_workbench(self, step: s.CloneHostWorkbench) -> None:
        _check_absolute(step.path)
        self._new(step.filesystem, _Filesystem(step.filesystem, "", "", (), "host", bench=True), held=False)

    # --- what is in filesystems

    def _writable(self, step: Step, handle: Handle) -> _Filesystem | None:
        """The filesystem in which a step may make, remove or change something; None for a host's that is bound.

        A mount is so only until it is attached: afterwards a path may lead from it into another one.
        """
        found = self.made.get(handle)
        filesystem: _Filesystem | None
        if found.__class__ is _Mount and handle in self.held:
            if found.space >= 0:
                _wrong(f"{handle} is attached by now: the path may lead into another mount")
            if found.filesystem is not None and not found.alone:
                _wrong(f"what {found.filesystem.name} shall hold is made before mounts are cloned from it")
            filesystem = found.filesystem
        else:
            filesystem = self._bench(handle)
        inside = filesystem.inside if filesystem is not None else "host"
        if inside not in EFFECTS[type(step)].writes or (inside == "host" and filesystem is not None):
            whose = "the host's" if inside == "host" else f"a {filesystem.fstype}" if filesystem else ""
            _wrong(f"{handle} is {whose}, and a plan may not do that there")
        if filesystem is not None and filesystem.sealed:
            _wrong(f"{handle} is read-only by now")
        return filesystem

    def _make_node(self, step: s.MakeNode) -> None:
        handle, path, node, _, _, _, _, _, _, _, existing, careful, origin, _ = step
        filesystem = self._writable(step, handle)
        if not _is_plain(path):
            _check_relative(path)
        if step[3:10] != _NOTHING:
            _check_node(step)
        if filesystem is None:
            if node not in ("directory", "file") or step[3:10] != _NOTHING or not existing or not careful:
                _wrong(f"{handle} is the host's: nothing but empty mountpoints may be made there")
            self.created.append((self.made[handle], path, origin))
        elif filesystem.inside == "own":
            if careful or existing:
                _wrong(f"{handle} is the plan's own: nothing is there before")
            self._add(filesystem, path, node)
        elif not careful:
            _wrong(f"what is in {handle} is not known: a path may lead out of it")

    def _add(self, filesystem: _Filesystem, path: str, kind: str | None) -> None:
        nodes = filesystem.nodes
        if path in nodes:
            _wrong(f"{filesystem.name}:/{path} is made twice")
        above = path.rpartition("/")[0]
        if nodes.get(above) != "directory":
            what = nodes.get(above, "not there")
            _wrong(f"{filesystem.name}:/{above} is {what}, so nothing can be made in it")
        nodes[path] = kind

    def _copy_contents(self, step: s.CopyContents) -> None:
        filesystem = self._writable(step, step.within)
        _check_absolute(step.source)
        if filesystem is None or filesystem.fstype not in FILLABLE or len(filesystem.nodes) > 1:
            _wrong("contents go into a new and empty tmpfs or ramfs")
        filesystem.inside = "opaque"

    def _make_mountpoint(self, step: s.MakeMountpoint) -> None:
        like = self._mount(step.like)
        filesystem = self._bench(step.within)
        self._writable(step, step.within)
        _check_relative(step.path)
        if filesystem.inside == "own" and step.path not in filesystem.nodes:
            self._add(filesystem, step.path, like.kind)

    def _remove_node(self, step: s.RemoveNode) -> None:
        filesystem = self._bench(step.within)
        self._writable(step, step.within)
        _check_relative(step.path)
        if self.space + 1 < self.spaces:
            _wrong("other namespaces are still to be built")
        self._kind_of(filesystem, step.path)
        if _holds(filesystem.removed, step.path):
            _wrong("it is removed already")
        filesystem.removed[step.path] = None
        self.phase = FINISHED

    def _seal_filesystem(self, step: s.SealFilesystem) -> None:
        found = self.made.get(step.filesystem)
        alone = found.__class__ is _Mount and found.alone and step.filesystem in self.held
        filesystem = found.filesystem if alone else self._bench(step.filesystem)
        if filesystem.fstype not in OWN:
            whose = "the host's" if filesystem.inside == "host" else f"a {filesystem.fstype}"
            _wrong(f"{step.filesystem} is {whose}: others than the plan may see it")
        if filesystem.sealed:
            _wrong("it is read-only already")
        filesystem.sealed = True

    def _kind_of(self, filesystem: _Filesystem, path: str, wanted: str = "") -> str | None:
        """The kind of what is at a path of a filesystem, None if that cannot be known."""
        if filesystem.inside != "own":
            if path:
                _check_relative(path)
            return None if path else "directory"
        try:
            kind = filesystem.nodes[path]
        except KeyError:
            _wrong(f"there is no {filesystem.name}:/{path}")
        if kind == "symlink" or (wanted and kind is not None and kind != wanted):
            _wrong(f"{filesystem.name}:/{path} is a {kind}")
        return kind

    # --- groups

    def _take_host_group(self, step: s.TakeHostGroup) -> None:
        name = _group_name(step.seed)
        _check_absolute(step.path)
        group, receives = ("", name) if step.slave else (name, "")
        self._new(step.seed, _Seed(step.seed, group, receives, None, step.parked, host=True), held=not step.parked)

    def _make_seed(self, step: s.MakeSeed) -> None:
        name = _group_name(step.seed)
        filesystem = self._bench(step.filesystem)
        if filesystem.inside == "host":
            if step.path:
                _check_relative(step.path)
        elif step.path:
            _wrong("the seed of a group is a clone of the whole workbench")
        master = self._seed(step.master) if step.master else None
        receives = ""
        if master is not None:
            receives = master.group or (master.receives if master.host else "")
            if not receives:
                _wrong(f"{step.master} is in no peer group")
            if master.filesystem is not filesystem and (master.filesystem is not None or filesystem.inside != "host"):
                _wrong(f"{step.master} is of another filesystem")
        elif not step.shared:
            _wrong("it is neither shared nor a slave")
        seed = _Seed(step.seed, name if step.shared else "", receives, filesystem, step.parked, host=False)
        seed.master = master
        self._new(step.seed, seed, held=not step.parked)

    def _join_group(self, step: s.JoinGroup) -> None:
        seed, mount = self._seed(step.seed), self._mount(step.mount)
        if mount.space < 0:
            _wrong(f"{step.mount} is not attached yet")
        if mount.seed is not None or mount.unbindable or mount.inherits:
            _wrong(f"{step.mount} is not private any more")
        if seed.filesystem is not mount.filesystem and not (
            mount.filesystem is None and (seed.filesystem is None or seed.filesystem.inside == "host")
        ):
            _wrong(f"{step.mount} is of another filesystem than {step.seed}")
        if self.phase == ENTERED and seed.parked:
            _wrong(f"{step.seed} is gone with the yard")
        mount.seed = seed
        if seed.group:
            self.members.add(seed.group)

    # --- mounts

    def _make_id_map(self, step: s.MakeIdMap) -> None:
        from mountplan.planner import values

        for lines in (step.uids, step.gids):
            if not 1 <= len(lines) <= 340:
                _wrong("an id-mapping has 1 to 340 lines of uids, and of gids")
            for line in lines:
                _fitting(values.id_line, line)
            if clash := values.overlap(lines):
                _wrong(clash)
        self._new(step.id_map, _IdMap(), held=True)

    def _clone_mount(self, step: s.CloneMount) -> None:
        handle, bench, path, careful, origin, _ = step
        filesystem = self._bench(bench)
        _check_made(filesystem)
        if careful != (filesystem.inside != "own"):
            _wrong("the walk is careful if, and only if, it is not known what is there")
        self._new(handle, _Mount(handle, filesystem, path, self._kind_of(filesystem, path), origin), held=True)

    def _clone_host(self, step: s.CloneHost) -> None:
        _check_absolute(step.path)
        slave = step.propagation == "slave"
        if slave != (self.phase == UNSHARED):
            _wrong(
                "slaves of the host's groups are made before make_private"
                if slave
                else "it must come after make_private: until then all that is mounted may be copied to the host"
            )
        if slave and not step.recursive:
            _wrong("a slave of the host's is in a group, or comes with all below it")
        mount = _Mount(step.mount, None, step.path, None, step.origin)
        mount.recursive, mount.inherits = step.recursive, slave
        self._new(step.mount, mount, held=True)

    def _set_attributes(self, step: s.SetAttributes) -> None:
        handle, bits, clear, recursive, unbindable, id_map, words, _, _ = step
        mount = self._mount(handle)
        if mount.space >= 0:
            _wrong(f"{handle} is attached by now: it would lack its attributes for a moment")
        if words not in _ASKED:
            _ASKED[words] = _asked(words)
        if _ASKED[words] != (bits, clear, unbindable, id_map != ""):
            _wrong(f"its words are not what it does (attributes {bits:#x}, cleared {clear:#x})")
        if recursive and (unbindable or not mount.recursive):
            _wrong("it is recursive, and must not be")
        if unbindable:
            if mount.unbindable:
                _wrong(f"{handle} is unbindable already")
            mount.unbindable = True
        if id_map:
            if self.made.get(id_map).__class__ is not _IdMap or id_map not in self.held:
                self._unknown(id_map, _IdMap)
            if mount.idmapped:
                _wrong(f"{handle} is id-mapped already")
            mount.idmapped = True
            bits |= IDMAP
        mount.own = _after(mount.own, bits, clear)
        if recursive:
            mount.below = _after(mount.below, bits, clear)

    def _attach(self, step: s.Attach) -> None:
        handle, above, path, careful, tree, _, _ = step
        mount = self._mount(handle)
        if above == YARD:
            if mount.space >= 0:
                _wrong(f"{handle} is attached already")
            if careful or tree or (path != "root" and not _is_stage(path)):
                _wrong(f"there is no {path} in the yard")
            if path in self.yard:
                _wrong(f"{self.yard[path].name} stands there already")
            self.yard[path] = mount
            mount.place = path
        else:
            parent = self._mount(above)
            if mount.space >= 0:
                if mount.parent is not None or mount.place == "root":
                    _wrong(f"{handle} is attached already")
                self._check_circle(mount, parent)
                del self.yard[mount.place]
            if parent.space != self.space:
                _wrong(f"{above} is not attached in this namespace")
            if parent.seed is not None:
                _wrong(f"{above} is in a sharing group by now: what is attached to it is copied to all its peers")
            filesystem = parent.filesystem
            own = filesystem is not None and filesystem.inside == "own"
            if careful != (not own and path != "") or tree != parent.recursive:
                _wrong("the walk is careful if, and only if, it is not known what is there")
            places = parent.places
            if places and (path in places or _holds(places, path)):
                _wrong(f"{above}:/{path} is covered by then")
            if path == "":
                kind = parent.kind
            elif filesystem is not None and own:
                kind = self._kind_of(filesystem, f"{parent.root}/{path}" if parent.root else path)
            else:
                _check_relative(path)
                kind = None
            if kind is not None and mount.kind is not None and (kind == "directory") != (mount.kind == "directory"):
                _wrong(f"a {mount.kind} cannot be mounted on a {kind}")
            places[path] = mount
            mount.parent, mount.place = parent, path
            if mount.space >= 0:
                return
        mount.space = self.space
        self.attached[self.space].append(mount)

    def _check_circle(self, mount: _Mount, parent: _Mount | None) -> None:
        """This walks up from the parent, as far as a branch that is built by itself goes (schedule.DEPTH)."""
        while parent is not None:
            if parent is mount:
                _wrong(f"{mount.name} would stand on itself")
            parent = parent.parent

    def _release(self, step: s.Release) -> None:
        if step.handle not in self.held:
            found = self.made.get(step.handle)
            if found is None:
                self._unknown(step.handle, _Mount)
            _wrong(f"{step.handle} is not held by a descriptor")
        found = self.made[step.handle]
        if found.__class__ is _Mount:
            if found.space < 0:
                _wrong(f"{step.handle} is not attached, and so gone when it is released")
            if self.phase != ENTERED and found.place == "root" and found.parent is None:
                _wrong(f"{step.handle} is still to be entered")
            if found.parent is None and found.place != "root":
                _wrong(f"{step.handle} still stands in the yard")
        del self.held[step.handle]

    # --- the whole

    def finish(self) -> None:
        if self.phase != CLOSED or self.space + 1 < self.spaces:
            _wrong(f"it ends {_WORDS[self.phase]}: not all of what it promises is built")
        for handle in self.held:
            _wrong(f"{handle} is never released")
        for mount, path, origin in self.created:
            below = mount.places.get(path)
            if below is None or below.origin != origin:
                _wrong(f"it makes {path} in {mount.name}, the host's, and mounts nothing there")


# ---- values ---------------------------------------------------------------------------------------------------------


_NOTHING = s.MakeNode("", "", "file", -1, -1, -1, "", "", "", (0, 0), False, False, "")[3:10]
_ASKED: dict[str, tuple[int, int, bool, bool]] = {}


def _asked(words: str) -> tuple[int, int, bool, bool]:
    """What the words of set_attributes ask for: bits set and cleared, unbindable, id-mapped."""
    names = words.split(",")
    idmapped = names[-1:] == ["idmap"]
    del names[len(names) - idmapped :]
    unbindable = names[-1:] == ["unbindable"]
    del names[len(names) - unbindable :]
    for name in names:
        if name not in NAMES:
            _wrong(f"{name!r} is no attribute of a mount")
    wanted = change(tuple(names))
    return wanted.set, wanted.clear, unbindable, idmapped


def _after(before: tuple[int, int], bits: int, clear: int) -> tuple[int, int]:
    """Two changes one after the other, as one: what is set in the end, and what is cleared."""
    if before == (0, 0):
        return bits, clear & ~bits
    return (before[0] & ~clear) | bits, (before[1] | clear) & ~bits


def _is_removed(mount: _Mount) -> bool:
    filesystem = mount.filesystem
    return filesystem is not None and bool(filesystem.removed) and _holds(filesystem.removed, mount.root, itself=True)


def _holds(paths: Iterable[str], path: str, *, itself: bool = False) -> bool:
    """True if a directory above `path` is among `paths` (a container); or `path` itself."""
    if itself and path in paths:
        return True
    while path:
        path = path.rpartition("/")[0]
        if path in paths:
            return True
    return False


def _check_made(filesystem: _Filesystem) -> None:
    if filesystem.inside == "host":
        _wrong(f"{filesystem.name} is the host's: its mounts are cloned from the host")


def _is_stage(name: str) -> bool:
    return name.startswith("stage") and name[5:].isdecimal() and name.isascii()


def _group_name(seed: Handle) -> str:
    if not seed.startswith("seed:") or len(seed) < 6:
        _wrong(f"{seed!r} is no name of a seed")
    return seed[5:]


def _is_plain(path: str) -> bool:
    """True for most relative paths; the others are taken apart."""
    return (
        path != ""
        and path.isascii()
        and path[0] not in "/."
        and path[-1] != "/"
        and "//" not in path
        and "/." not in path
        and "\0" not in path
    )


def _check_text(text: str) -> None:
    if "\0" in text:
        _wrong(f"{text[:40]!r} contains a NUL character")
    _check_bytes(text)


def _check_bytes(text: str) -> None:
    """That there are bytes that `text` stands for."""
    if not text.isascii():
        try:
            text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            _wrong(f"{text[:40]!r} has a lone surrogate in it")


def _check_relative(path: str) -> None:
    if _is_plain(path):
        return
    _check_text(path)
    if path.startswith("/"):
        _wrong(f"{path} is absolute; a path of a plan counts from its filesystem")
    if not path or any(part in ("", ".", "..") for part in path.split("/")):
        _wrong(f"{path!r} is no plain relative path")


def _check_absolute(path: str) -> None:
    if path[:1] != "/":
        _wrong(f"{path!r} is not absolute, and should name something of the host's")
    if path != "/":
        _check_relative(path[1:])


def _check_short(text: str) -> None:
    _check_text(text)
    if len(text) > 60 and len(text.encode("utf-8", "surrogateescape")) > 255:
        _wrong(f"{text[:40]!r}... is longer than the 255 bytes that fsconfig(2) takes")


def _check_type(fstype: str) -> None:
    if not (fstype.isidentifier() and fstype.isascii() and len(fstype) <= 64):
        from mountplan.planner import values

        _fitting(values.filesystem_type, fstype)


_NO_OPTIONS = frozenset({"source", "lowerdir", "upperdir", "workdir", "lowerdir+"})  # each is a field of a step


def _check_options(options: tuple[tuple[str, str | bool], ...]) -> None:
    for key, value in options:
        if not key or "=" in key or key in _NO_OPTIONS:
            _wrong(f"{key!r} is no option")
        _check_short(key)
        if value is not True:
            if value is False:
                _wrong(f"option {key} is false, which asks for nothing")
            _check_short(value)


def _check_node(step: s.MakeNode) -> None:
    if not -1 <= step.mode <= 0o7777:
        _wrong(f"{step.mode:o} is no file mode")
    if not -1 <= step.uid < 2**32 - 1 or not -1 <= step.gid < 2**32 - 1:
        _wrong("its owner is out of range")
    if step.content or step.source:
        if step.node != "file" or (step.content and step.source):
            _wrong("it has contents that it cannot have")
        _check_bytes(step.content)
        if step.source:
            _check_absolute(step.source)
    if bool(step.link) != (step.node == "symlink"):
        _wrong("a symlink, and nothing else, leads somewhere")
    _check_text(step.link)
    if step.device != (0, 0) and step.node not in ("char", "block"):
        _wrong("it is no device, but has the number of one")
    if not 0 <= step.device[0] < 1 << 12 or not 0 <= step.device[1] < 1 << 20:
        _wrong("its device number is out of range")


def _fitting(judge: Callable[[Any], object], value: Any) -> None:
    """Raises Wrong if a spec could not have this value."""
    from mountplan.planner.values import Unfit

    try:
        judge(value)
    except Unfit as unfit:
        _wrong(unfit.what)
