"""The proof of steps that make mounts, attach them, put them into groups, and alter what is inherited."""

from __future__ import annotations

from mountplan.planner.attributes import IDMAP
from mountplan.planner.names import Alteration, Handle
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.proof_parts import Filesystem, ProofIdMap, ProofMount, Seed
from mountplan.planner.plan.proof_state import ProofState, check_made, check_maps, is_stage
from mountplan.planner.plan.proof_values import asked_for, check_absolute, check_namespace, check_relative, refuse
from mountplan.planner.plan.step_effects import ENTERED, UNSHARED
from mountplan.planner.plan.steps import STAGE, YARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class MountProof(ProofState):
    """The rules of mounts and groups; each method is named as the kind of step that it judges."""

    def _make_id_map(self, step: s.MakeIdMap) -> None:
        check_maps(step.uids, step.gids)
        self._new(step.id_map, ProofIdMap())
        self.held += 1

    def _clone_mount(self, step: s.CloneMount) -> None:
        handle, bench, path, careful, subvolume, _, _ = step
        filesystem = self._bench(bench)
        if filesystem.inside == "own":
            kind = filesystem.nodes.get(path)
            if kind != "directory" and kind != "file":
                kind = self._kind_of(filesystem, path)
        else:
            check_made(filesystem)
            kind = self._kind_of(filesystem, path)
        if careful != (filesystem.inside != "own"):
            refuse("the walk is careful if, and only if, it is not known what is there")
        if subvolume and filesystem.fstype != "btrfs":
            refuse("there are subvolumes in btrfs only")
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
        check_namespace(step.namespace)
        if step.namespace and step.recursive:
            refuse("nothing is mounted below the file of a namespace")
        mount = ProofMount(step.mount, None, step.namespace or step.path, "file" if step.namespace else None)
        if step.recursive:
            mount.recursive, mount.inherits = True, step.propagation == "slave"
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
            if not staging or mount.space >= 0 or careful or tree or not is_stage(path, "locked"):
                refuse(f"{handle} is attached already, or there is no {path} on the stage")
            self._put(mount, path)
        elif above == YARD:
            if staging:
                refuse("what will be locked is built on the stage")
            if mount.space >= 0:
                if mount.place == path or self.yard.pop(mount.place, None) is not mount or mount.parent is not None:
                    refuse(f"{handle} is attached already")
                if path != "root" or careful or tree:
                    refuse(f"there is no {path} in the yard")
                self._put(mount, path)
                return
            if careful or tree or (path != "root" and not is_stage(path)):
                refuse(f"there is no {path} in the yard")
            self._put(mount, path)
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
            if places and (path in places or parent.is_covered(path)):
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
            parent.attach(path, mount)
            mount.parent, mount.place = parent, path
            if mount.space >= 0:
                return
        mount.space = self.space
        self.attached[self.space].append(mount)
        if mount.alone:
            self.fillable.pop(handle, None)

    def _put(self, mount: ProofMount, place: str) -> None:
        """Into the yard, or on the stage."""
        if place in self.yard:
            refuse(f"{self.yard[place].name} stands there already")
        self.yard[place], mount.place = mount, place

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
            if not (is_stage(found.place, "locked") and self.space in self.stages - self.owned):
                if found.place != "root":
                    refuse(f"{step.handle} still stands in the yard")
                if self.phase != ENTERED:
                    refuse(f"{step.handle} is still to be entered")
        found.held = False
        self.held -= 1

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


def _group_name(seed: Handle) -> str:
    if not seed.startswith("seed:") or len(seed) < 6:
        refuse(f"{seed!r} is no name of a seed")
    return seed[5:]


def _after(before: tuple[int, int], bits: int, clear: int) -> tuple[int, int]:
    """Two changes one after the other, as one: what is set in the end, and what is cleared."""
    if before == (0, 0):
        return bits, clear & ~bits
    return (before[0] & ~clear) | bits, (before[1] | clear) & ~bits
