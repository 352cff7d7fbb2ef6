"""The proof of binds that come one after the other, the most of a large plan: by columns instead of one by one.

It says yes or nothing. Yes means that each step by itself would be found right, and that what they come to is taken
down as it would be then; of all that is not as in nearly every plan nothing is said here, and each step is looked at by
itself, which tells what is wrong. Each mount of a run is released in it, so that no later step changes it.
"""

from __future__ import annotations

from mountplan.planner.plan.proof_parts import Filesystem, ProofMount, ProvenRun
from mountplan.planner.plan.proof_state import ProofState
from mountplan.planner.plan.proof_values import Wrong, all_plain, asked_for
from mountplan.planner.plan.step_effects import TREE
from mountplan.planner.plan.step_runs import StepRun, columns_of_run
from mountplan.planner.plan.steps import STAGE, YARD
from mountplan.planner.tables.columns import AlikeColumn, directories_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import KeysView
    from typing import Any

    from mountplan.planner.tables.columns import Column, Columns


class RunProof(ProofState):
    """The rules of proof_mounts.py for a run, each asked of whole columns."""

    def prove_run(self, run: StepRun) -> bool:
        """True if the steps are right, and taken down; False says nothing about them."""
        if self.phase != TREE or (self.space in self.stages and self.space not in self.owned):
            return False
        columns = columns_of_run(self.plan.steps, run)
        attach = columns["a"]
        names = attach["mount"]
        if any(names != one["handle" if kind == "r" else "mount"] for kind, one in columns.items()):
            return False
        try:
            filesystem, roots, kinds = self._cloned(columns)
            bits, clear = _attributes(columns["s"]) if "s" in columns else [AlikeColumn(0, len(names))] * 2
            joined = self._joined(columns["j"]["seed"], filesystem) if "j" in columns else None
            parent, places = self._mount(_only(attach["parent"])), attach["path"]
            proven = ProvenRun(self.space, parent, filesystem, names, roots, kinds, places, bits, clear, joined, {})
            there = dict.fromkeys(places, proven)
            self._check_attached(attach, kinds, parent, there.keys())
        except (_NotPlain, Wrong):
            return False
        made = dict.fromkeys(names, proven)
        if len(made) < len(names) or not self.made.keys().isdisjoint(made.keys()) or "" in made or YARD in made:
            return False
        self.made.update(made)
        parent.attach_all(there)
        self.runs[names[0]] = proven
        return True

    def _cloned(self, columns: dict[str, Columns]) -> tuple[Filesystem | None, Column, Column]:
        """The filesystem, roots, and what kind each is of."""
        if "h" in columns:
            _, paths, recursive, propagation, namespaces = columns["h"].values()
            if not all_plain(paths) or _only(recursive) or _only(propagation) != "private" or _only(namespaces):
                raise _NotPlain
            return None, paths, AlikeColumn(None, len(paths))
        _, benches, paths, careful, subvolumes = columns["c"].values()
        filesystem = self._bench(_only(benches))
        if filesystem.inside != "own" or _only(careful) or _only(subvolumes):
            raise _NotPlain
        kinds = list(map(filesystem.nodes.get, paths))
        if not {"directory", "file"}.issuperset(kinds):
            raise _NotPlain
        return filesystem, paths, kinds

    def _check_attached(self, columns: Columns, kinds: Column, parent: ProofMount, new: KeysView[str]) -> None:
        """That they may be attached to the `parent`; `new` is where."""
        _, above, places, careful, tree = columns.values()
        if above[0] in (YARD, STAGE):
            raise _NotPlain
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
        if not own and not all_plain(places, "/"):
            raise _NotPlain
        there_before = parent.places.keys()  # of many, of which a run looks at a few
        if len(new) < len(places) or "" in new or "" in there_before or not there_before.isdisjoint(new):
            raise _NotPlain
        directories = directories_of(places)
        while directories - {""}:
            if not new.isdisjoint(directories) or not there_before.isdisjoint(directories):
                raise _NotPlain
            directories = {directory.rpartition("/")[0] for directory in directories}

    def _joined(self, handles: Column, filesystem: Filesystem | None) -> tuple[Column, Column, Column]:
        """What ProvenRun has of it."""
        seeds = {handle: self._seed(handle) for handle in set(handles)}
        for seed in seeds.values():
            if seed.filesystem is not filesystem and not (
                filesystem is None and (seed.filesystem is None or seed.filesystem.inside == "host")
            ):
                raise _NotPlain
        groups = {handle: seed.group for handle, seed in seeds.items()}
        receives = {handle: seed.receives for handle, seed in seeds.items()}
        return handles, list(map(groups.__getitem__, handles)), list(map(receives.__getitem__, handles))


class _NotPlain(Exception):
    """Nothing is said about the run."""


def _only(column: Column) -> Any:
    """The value that all have."""
    first = column[0]
    if column.count(first) < len(column):
        raise _NotPlain
    return first


def _attributes(columns: Columns) -> tuple[Column, Column]:
    """What each mount's attributes come to, of what is neither recursive nor anything else than bits: set, cleared."""
    _, bits, clear, recursive, unbindable, id_maps, words = columns.values()
    if _only(recursive) or _only(unbindable) or _only(id_maps):
        raise _NotPlain
    asked = set(zip(words, bits, clear, strict=True))
    for word, set_, cleared in asked:
        if asked_for(word) != (set_, cleared, False, False):
            raise _NotPlain
    if len(asked) == 1:
        return bits, AlikeColumn(clear[0] & ~bits[0], len(bits))
    return bits, [cleared & ~set_ for set_, cleared in zip(bits, clear, strict=True)]
