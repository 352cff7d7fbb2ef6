"""Whether a plan may be carried out, and comes to what it says: one pass over its steps, before anything is touched.

A plan file is input like a spec, and as strictly judged. `prove` follows the handles through the steps: each is made
before it is used, once, used as what it is, and let go. EFFECTS (step_effects.py) says when a step may come, and in
which filesystems it may make or remove something. What the steps come to is derived from them alone, and held against
what the plan says of itself (`expected`, `edges`). All that costs a few look-ups a step, and of many binds in a row
less than one (proof_runs.py).

What only the host knows is not judged here: whether a path is there, and on which of its filesystems. That the kernel
decides, in the namespace of the plan's own, and what stands there is read back. planner/ask/foresight.py tells it
before.
"""

from __future__ import annotations

from mountplan.planner.errors import PlanRefused
from mountplan.planner.names import Handle
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.promise import Outcome, check_promise
from mountplan.planner.plan.proof_filesystems import FilesystemProof
from mountplan.planner.plan.proof_mounts import MountProof
from mountplan.planner.plan.proof_parts import Filesystem, ProofMount, ProofUser
from mountplan.planner.plan.proof_runs import RunProof
from mountplan.planner.plan.proof_state import check_maps
from mountplan.planner.plan.proof_values import REMEDY, Wrong, check_names, check_run, is_among, refuse
from mountplan.planner.plan.step_columns import steps_between
from mountplan.planner.plan.step_effects import (
    CLOSED,
    COMMON,
    EFFECTS,
    ENTERED,
    PHASE_WORDS,
    PRIVATE,
    START,
    TREE,
    UNSHARED,
)
from mountplan.planner.plan.step_runs import BINDS, StepRun, runs_of
from mountplan.planner.plan.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


def prove(plan: Plan, file: str) -> None:
    """Raises PlanRefused if `plan` does what no plan may do, or does not come to what it says; `file` is its name."""
    proof = _Proof(plan)
    steps, number = plan.steps, 0
    try:
        handlers = proof.handlers()
        for run in (*runs_of(steps, BINDS), StepRun(len(steps), len(steps), "")):
            for step in steps_between(steps, number, run.begin):
                number += 1
                phases, handle = handlers[type(step)]
                if not phases & proof.phase:
                    proof.out_of_order(step)
                handle(step)
            if run.kinds and proof.prove_run(run):
                number = run.end
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


class _Proof(FilesystemProof, MountProof, RunProof):
    """All of a plan; here are the rules of namespaces, and of the whole."""

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
        refuse(f"it cannot come {PHASE_WORDS[self.phase]}")

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

    def _check_open(self, namespace: str) -> None:
        if self.space < 0 or namespace != self.plan.expected.namespaces[self.space].name or not self._user():
            refuse("that namespace is not open, or belongs to no user namespace of the plan's")

    def _make_user_namespace(self, step: s.MakeUserNamespace) -> None:
        if step.within and not isinstance(self.made.get(step.within), ProofUser):
            self._unknown(step.within, ProofUser)
        check_maps(step.uids, step.gids)
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

    # --- the whole

    def finish(self) -> None:
        """That all is finished, and is what the plan says of itself."""
        if self.phase != CLOSED or self.space + 1 < self.spaces:
            refuse(f"it ends {PHASE_WORDS[self.phase]}: not all of what it promises is built")
        if self.held:
            for handle, found in self.made.items():
                if found.__class__ is not Filesystem and found.held and not getattr(found, "parked", False):
                    refuse(f"{handle} is never released")
        self._check_created()
        self._check_altered()
        kept = [kept or () for kept in self.bases]
        check_promise(Outcome(self.plan, self.made, self.alone, self.attached, kept, self.runs))
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
