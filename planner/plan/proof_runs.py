"""The proof of binds that come one after the other, the most of a large plan: by columns instead of one by one.

It says yes or nothing. Yes means that each step by itself would be found right, and that what they come to is taken
down as it would be then; of all that is not as in nearly every plan nothing is said here, and each step is looked at by
itself, which tells what is wrong. Each mount of a run is released in it, so that no later step changes it.
"""

from __future__ import annotations

from mountplan.planner.plan.proof_parts import Filesystem, ProofMount, ProvenRun, Seed
from mountplan.planner.plan.proof_state import ProofState
from mountplan.planner.plan.proof_values import Wrong, all_plain, asked_for
from mountplan.planner.plan.step_effects import TREE
from mountplan.planner.plan.step_runs import StepRun
from mountplan.planner.plan.steps import STAGE, YARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Column: TypeAlias = tuple[Any, ...]


class RunProof(ProofState):
    """The rules of proof_mounts.py for a run, each asked of whole columns."""

    def prove_run(self, run: StepRun) -> bool:
        """True if the steps are right, and taken down; False says nothing about them."""
        if self.phase != TREE or (self.space in self.stages and self.space not in self.owned):
            return False
        steps, width = self.plan.steps[run.begin : run.end], len(run.kinds)
        columns = {kind: tuple(zip(*steps[at::width], strict=True)) for at, kind in enumerate(run.kinds)}
        attach = columns["a"]
        names = attach[0]
        if any(names != columns[kind][kind == "j"] for kind in run.kinds if kind != "a"):
            return False
        if len(set(names)) < len(names) or not self.made.keys().isdisjoint(names) or not {"", YARD}.isdisjoint(names):
            return False
        try:
            filesystem, roots, kinds = self._cloned(columns)
            own = _attributes(columns["s"]) if "s" in columns else [(0, 0)] * len(names)
            parent, places = self._attached(attach, kinds)
            seeds = self._joined(columns["j"], filesystem) if "j" in columns else ()
        except (_NotPlain, Wrong):
            return False
        joined = columns["j"][0] if "j" in columns else ()
        self._take_down(names, filesystem, roots, kinds, parent, places, own, seeds, joined)
        return True

    def _cloned(self, columns: dict[str, Column]) -> tuple[Filesystem | None, Column, Column]:
        """The filesystem, roots, and what kind each is of."""
        if "h" in columns:
            _, paths, recursive, propagation, namespaces, _, _ = columns["h"]
            if not all_plain(paths) or _only(recursive) or _only(propagation) != "private" or _only(namespaces):
                raise _NotPlain
            return None, paths, (None,) * len(paths)
        _, benches, paths, careful, subvolumes, _, _ = columns["c"]
        filesystem = self._bench(_only(benches))
        if filesystem.inside != "own" or _only(careful) or _only(subvolumes):
            raise _NotPlain
        kinds = tuple(map(filesystem.nodes.get, paths))
        if not {"directory", "file"}.issuperset(kinds):
            raise _NotPlain
        return filesystem, paths, kinds

    def _attached(self, columns: Column, kinds: Column) -> tuple[ProofMount, Column]:
        _, above, places, careful, tree, _, _ = columns
        handle = _only(above)
        if handle in (YARD, STAGE):
            raise _NotPlain
        parent = self._mount(handle)
        filesystem = parent.filesystem
        own = filesystem is not None and filesystem.inside == "own"
        if parent.space != self.space or parent.seed is not None or _only(careful) == own:
            raise _NotPlain
        if _only(tree) != (parent.recursive and parent.brings != "peer"):
            raise _NotPlain
        if filesystem is not None and own:
            base = f"{parent.root}/" if parent.root else ""
            there = [filesystem.nodes.get(base + place, "") for place in places]
            if not {"directory", "file"}.issuperset(there):
                raise _NotPlain
            if any(kind is not None and kind != one for kind, one in zip(kinds, there, strict=True)):
                raise _NotPlain
        elif not all_plain(["/" + place for place in places]):
            raise _NotPlain
        new, there_before = set(places), parent.places.keys()  # of many, of which a run looks at a few
        if len(new) < len(places) or "" in new or "" in there_before or not there_before.isdisjoint(new):
            raise _NotPlain
        directories = {place.rpartition("/")[0] for place in places}
        while directories - {""}:
            if not new.isdisjoint(directories) or not there_before.isdisjoint(directories):
                raise _NotPlain
            directories = {directory.rpartition("/")[0] for directory in directories}
        return parent, places

    def _joined(self, columns: Column, filesystem: Filesystem | None) -> list[Seed]:
        handles = columns[0]
        seeds = {handle: self._seed(handle) for handle in set(handles)}
        for seed in seeds.values():
            if seed.filesystem is not filesystem and not (
                filesystem is None and (seed.filesystem is None or seed.filesystem.inside == "host")
            ):
                raise _NotPlain
        return [seeds[handle] for handle in handles]

    def _take_down(
        self,
        names: Column,
        filesystem: Filesystem | None,
        roots: Column,
        kinds: Column,
        parent: ProofMount,
        places: Column,
        own: list[tuple[int, int]],
        seeds: list[Seed] | tuple[()],
        joined: Column,
    ) -> None:
        space, mounts = self.space, []
        for name, root, kind, place in zip(names, roots, kinds, places, strict=True):
            mount = ProofMount(name, filesystem, root, kind)
            mount.parent, mount.place, mount.space, mount.held = parent, place, space, False
            mounts.append(mount)
        for mount, seed in zip(mounts, seeds, strict=bool(seeds)):
            mount.seed = seed
        for mount, attributes in zip(mounts, own, strict=True):
            if attributes != (0, 0):
                mount.own = attributes
        self.made.update(zip(names, mounts, strict=True))
        self.attached[space] += mounts
        parent.attach_all(places, mounts)
        groups = [(seed.group, seed.receives) for seed in seeds] or [("", "")] * len(names)
        self.runs[names[0]] = ProvenRun(parent.name, filesystem, names, roots, places, own, groups, joined)


class _NotPlain(Exception):
    """Nothing is said about the run."""


def _only(column: Column) -> Any:
    """The value that all have."""
    first = column[0]
    if column.count(first) < len(column):
        raise _NotPlain
    return first


def _attributes(columns: Column) -> list[tuple[int, int]]:
    """What each mount's attributes come to, of what is neither recursive nor anything else than bits."""
    _, bits, clear, recursive, unbindable, id_maps, words, _, _ = columns
    if _only(recursive) or _only(unbindable) or _only(id_maps):
        raise _NotPlain
    asked = list(zip(words, bits, clear, strict=True))
    for word, set_, cleared in set(asked):
        if asked_for(word) != (set_, cleared, False, False):
            raise _NotPlain
    return [(set_, cleared & ~set_) for _, set_, cleared in asked]
