"""How many mounts a plan needs at once, without carrying it out: fs.mount-max bounds every mount namespace.

The worst moment of a namespace is right before it enters its root: it has its copy of the host's tree then, the yard
with all workbenches and seeds, and the whole tree. A plan propagates nothing, so counting its steps is enough.
"""

from __future__ import annotations

from mountplan.planner.errors import PlanRefused
from mountplan.planner.names import Handle
from mountplan.planner.paths import TargetPath
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.step_columns import columns_of_kind, kinds_of
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.table import MountRow, MountTable, Walks, copied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.planner.plan.step_columns import Steps

_COUNTED = frozenset(
    {
        s.Attach, s.AttachImage, s.BindOver, s.CloneHost, s.CloneHostWorkbench, s.MakeBase, s.MakeFilesystem,
        s.MakeOverlay, s.MakeSeed, s.MakeYard, s.OpenNamespace, s.TakeHostGroup,
    }
)  # fmt: skip


class Peak(NamedTuple):
    """The most mounts that a namespace has at once, and the step (from 1 on) with which it has them."""

    mounts: int
    step: int


def most_mounts(steps: tuple[s.Step, ...], host: MountTable) -> Peak:
    """What carrying out `steps` on a host with that table comes to; costs a look at each step."""
    host = copied(host)
    here = inherited = 1 + len(host.rows)  # the lowest mount of a namespace is in no table
    common = 0  # in the first of several namespaces, and so in each copy of it
    sizes: dict[Handle, int] = {}
    attached: set[Handle] = set()
    peak = Peak(here, 1)
    waiting = 0
    trees = _Trees(host)
    for number, step in enumerate(steps, 1):
        if type(step) not in _COUNTED:  # most steps are of other types
            continue
        if isinstance(step, s.Attach):
            if step.mount in attached:
                continue
            attached.add(step.mount)
            here += sizes.get(step.mount, 1)
        elif isinstance(step, s.CloneHost):
            if step.recursive:
                sizes[step.mount] = trees.size(step.path)
            continue
        elif isinstance(step, (s.MakeFilesystem, s.AttachImage, s.MakeOverlay)):
            here += not step.mount
            if isinstance(step, s.MakeOverlay):
                here += sum(bool(layer.id_map) for layer in step.layers)  # a clone each, in the yard
        elif isinstance(step, s.BindOver):
            here += trees.size(step.path)  # or fewer, if some were removed
        elif isinstance(step, s.CloneHostWorkbench):
            here += 1
        elif isinstance(step, s.MakeSeed):
            here += step.parked
        elif isinstance(step, s.TakeHostGroup):
            waiting += step.parked
        elif isinstance(step, s.MakeYard):
            here += 1 + waiting
        elif isinstance(step, s.MakeBase):
            here += 1 + len(step.keep)
        elif isinstance(step, s.OpenNamespace):
            common = here = common or here
        if here > peak.mounts:
            peak = Peak(here, number)
    return peak if peak.mounts > inherited else Peak(inherited, 1)


class _Trees:
    """How many mounts the host has below a path."""

    def __init__(self, host: MountTable) -> None:
        self.host = host
        self.walks: Walks | None = None
        self.below: dict[int, list[MountRow]] = {}

    def size(self, path: str) -> int:
        if self.walks is None:
            self.walks, self.below = Walks(self.host), self.host.by_parent()
        top = self.walks.end_of(path)
        waiting = [row for row in self.below.get(top.mount_id, ()) if TargetPath(row.mountpoint).is_under(path)]
        size = 1
        while waiting:
            row = waiting.pop()
            if row is not top:
                size += 1
                waiting += self.below.get(row.mount_id, ())
        return size


def surely_fits(steps: Steps, host: MountTable, most: int) -> bool:
    """True if the steps need no more than `most` mounts at once, by the number of steps: this costs next to nothing."""
    kinds = kinds_of(steps)
    if not kinds.isdisjoint((s.BindOver, s.MakeBase, s.MakeOverlay)):  # of these, one may make several
        return False
    copies = columns_of_kind(steps, s.CloneHost)["recursive"].count(True)
    copies += len(columns_of_kind(steps, s.OpenNamespace)["namespace"]) if s.OpenNamespace in kinds else 0
    return len(steps) + (1 + len(host.rows)) * (1 + copies) <= most


def check_mount_count(plan: Plan, host: MountTable, mount_max: int, max_mounts: int | None = None) -> Peak:
    """Raises PlanRefused if the plan takes more mounts at once than fs.mount-max or the user's `max_mounts` allows."""
    peak = most_mounts(plan.steps, host)
    allowed = [(mount_max, "fs.mount-max", "raise it with `sysctl fs.mount-max=N`, or make the tree smaller")]
    if max_mounts is not None:
        allowed.append((max_mounts, "--max-mounts", "allow more, or make the tree smaller"))
    most, name, remedy = min(allowed)
    if peak.mounts > most:
        where = f"at step {peak.step:,} of {len(plan.steps):,}"
        how_many = f"{peak.mounts:,} mounts, of which {len(host.rows):,} are a copy of the host's"
        raise PlanRefused((f"{where} a mount namespace has {how_many}; {name} allows {most:,}: {remedy}",))
    return peak
