"""What the steps of a plan have come to so far: how far it is, what each handle stands for, what stands where.

proof_filesystems.py, proof_mounts.py and proof.py add the rules of the steps.
"""

from __future__ import annotations

from mountplan.planner.names import Alteration, Handle, IdLines
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.proof_parts import ARTICLE, Filesystem, ProofIdMap, ProofMount, ProvenRun, Seed
from mountplan.planner.plan.proof_values import check_as_in_a_spec, check_relative, refuse
from mountplan.planner.plan.step_effects import COMMON, START
from mountplan.planner.plan.steps import YARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class ProofState:
    """The steps so far: what each handle stands for, and what stands where."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.phase = START
        self.spaces = len(plan.expected.namespaces)
        self.stages: set[int] = set()  # the namespaces that have a stage
        self.owned: set[int] = set()  # those that belong to their user namespace by now
        self.space = -1  # the namespace that is open, or was last
        self.made: dict[Handle, Any] = {}  # of a mount that was proven with others, the run of all of them
        self.alone: list[tuple[Handle, Any]] = []  # what is made, but for that
        self.held = 0  # how many mounts, id-mappings and seeds that are not parked are to be released
        self.single: dict[str, tuple[set[str], Any]] = {}  # types of which there is one: sources of mounts, options
        self.changing: dict[s.Layer, bool] = {}  # upper and work directories; whether another overlay may have them
        self.yard: dict[str, ProofMount] = {}
        self.bases: list[tuple[Handle, ...] | None] = [None] * self.spaces  # what each namespace's base keeps
        self.attached: list[list[ProofMount]] = [[] for _ in range(self.spaces)]  # but for the runs
        self.fillable: dict[Handle, Filesystem] = {}  # our own, while more may be made in them
        self.created: list[tuple[ProofMount, str]] = []  # on the host
        self.altered: list[list[Alteration]] = [[] for _ in range(self.spaces)]
        self.shares_root = [False] * self.spaces
        self.runs: dict[Handle, ProvenRun] = {}  # binds that were proven together, by the name of the first

    def _new(self, handle: Handle, what: Any) -> None:
        if not handle or handle == YARD:
            refuse(f"{handle!r} cannot be a name")
        if self.made.setdefault(handle, what) is not what:
            refuse(f"{handle} is the name of {ARTICLE[type(self.made[handle])]} already")
        self.alone.append((handle, what))

    def _unknown(self, handle: Handle, wanted: type) -> NoReturn:
        found = self.made.get(handle)
        if found is None:
            refuse(f"{handle or 'it'} is used before it is made")
        if type(found) is not wanted and (wanted is not ProofMount or type(found) is not ProvenRun):
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

    def _user(self) -> Handle:
        """The user namespace that the namespace which is open belongs to in the end."""
        return self.plan.expected.namespaces[self.space].user

    def _check_yard(self) -> None:
        """What stands in the yard must be in that of each namespace: all are copies of the first one's."""
        if self.phase != COMMON and (self.spaces > 1 or self._user()):
            refuse("it would stand in the yard of one namespace only")

    def _check_id_map(self, handle: Handle) -> None:
        ids: Any = self.made.get(handle)
        if ids.__class__ is not ProofIdMap or not ids.held:
            self._unknown(handle, ProofIdMap)

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


def check_made(filesystem: Filesystem) -> None:
    if filesystem.inside == "host":
        refuse(f"{filesystem.name} is the host's: its mounts are cloned from the host")


def is_stage(name: str, word: str = "stage") -> bool:
    return name.startswith(word) and name[len(word) :].isdecimal() and name.isascii()


def check_maps(*maps: IdLines) -> None:
    from mountplan.planner.language import values

    for lines in maps:
        if not 1 <= len(lines) <= 340:
            refuse("an id-mapping has 1 to 340 lines of uids, and of gids")
        for line in lines:
            check_as_in_a_spec(values.id_line, line)
        if clash := values.overlap(lines):
            refuse(clash)
