"""The proof of steps that make superblocks, and of those that make something in them."""

from __future__ import annotations

from mountplan.planner.fstypes import of, only_reads
from mountplan.planner.names import Handle
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.proof_parts import NOTHING_IN_IT, Filesystem, ProofMount
from mountplan.planner.plan.proof_state import ProofState, check_made
from mountplan.planner.plan.proof_values import (
    BARE,
    PLAIN,
    SHORT,
    check_absolute,
    check_namespace,
    check_node,
    check_options,
    check_relative,
    check_short,
    check_type,
    is_among,
    is_plain,
    refuse,
)
from mountplan.planner.plan.step_effects import EFFECTS, FINISHED, PHASE_WORDS, TREE
from mountplan.planner.plan.steps import Step
from mountplan.planner.tables.table import UNTOLD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class FilesystemProof(ProofState):
    """The rules of filesystems, and of what is in them; each method is named as the kind of step that it judges."""

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
                refuse(f"it cannot come {PHASE_WORDS[self.phase]}")
            made = ProofMount(mount, filesystem, "", "directory")
            made.alone = True
            self._new(mount, made)
            self.held += 1
        else:
            self._check_yard()
        if inside == "own":
            self.fillable[mount or handle] = filesystem
        return filesystem

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
            check_made(self._bench(holder))
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
                check_made(holder)
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
        check_namespace(step.namespace)
        self._check_yard()
        self._new(step.filesystem, Filesystem(step.filesystem, "", "", (), "host", bench=True))

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
                and len(path) <= SHORT
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
