"""Whether what the steps of a plan come to is what the plan says of itself: the table, the groups, the reasons."""

from __future__ import annotations

from mountplan.planner.names import Handle
from mountplan.planner.plan.plan import Edge, Expected, ExpectedMount, Plan
from mountplan.planner.plan.proof_parts import Filesystem, ProofMount, ProvenRun, Seed
from mountplan.planner.plan.proof_values import check_absolute, check_text, is_among, refuse
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.columns import AlikeColumn, columns_of, part_of, record_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mountplan.planner.tables.columns import Column


class Outcome(NamedTuple):
    """What the steps of a plan have come to: all handles, those that were not proven together with others, and by the
    number of a namespace what of them is attached in it, and which seeds its base keeps; binds that were proven
    together, by the name of the first.
    """

    plan: Plan
    made: dict[Handle, Any]
    alone: list[tuple[Handle, Any]]
    attached: list[list[ProofMount]]
    kept: list[tuple[Handle, ...]]
    runs: dict[Handle, ProvenRun]

    def found(self, handle: Handle) -> Any:
        """What a handle stands for: a mount by itself also if it was proven with others."""
        what = self.made.get(handle)
        return what.mount(handle, self.made) if isinstance(what, ProvenRun) else what


def check_promise(outcome: Outcome) -> None:
    """Raises Wrong with the first thing that the plan says of itself and its steps do not come to."""
    _check_removed(outcome)
    _check_filesystems(outcome)
    _check_groups(outcome)
    for space, namespace in enumerate(outcome.plan.expected.namespaces):
        _check_mounts(namespace.mounts, space, outcome)
    _check_left_out(outcome.plan.expected)
    _check_edges(outcome)


def _check_edges(outcome: Outcome) -> None:
    befores, afters, kinds = columns_of(outcome.plan.edges, Edge).values()
    left: list[int] = []
    at = 0
    while at < len(kinds):
        run = outcome.runs.get(afters[at])
        end = at + len(run.names) if run is not None else at
        if run is None or not _are_of(run, kinds[at], befores[at:end], afters[at:end], kinds[at:end]):
            left.append(at)
            end = at + 1
        at = end
    known = {kind: _befores(outcome, kind) for kind in {kinds[number] for number in left}}
    for number in left:
        edge = Edge(befores[number], afters[number], kinds[number])
        if known[edge.kind].get(edge.after) != edge.before and not _is_so(edge, outcome):
            refuse(f"its edges say that {edge.reason()}, and its steps do not")


def _are_of(run: ProvenRun, kind: str, befores: Column, afters: Column, kinds: Column) -> bool:
    """Whether edges are those of one kind of all the mounts of a run, in their order."""
    before = _before(run, kind)
    return before is not None and afters == run.names and befores == before and kinds.count(kind) == len(run.names)


def _before(run: ProvenRun, kind: str) -> Column | None:
    """What the edges of this kind begin with that lead to the mounts of a run; None if they have none."""
    if kind == "group":
        return run.joined[0] if run.joined is not None else None
    found = {"parent": run.parent, "workbench": run.filesystem}.get(kind)
    return AlikeColumn(found.name, len(run.names)) if found is not None else None


def _befores(outcome: Outcome, kind: str) -> dict[Handle, Handle]:
    """By the names of all mounts that were proven with others."""
    found: dict[Handle, Handle] = {}
    for run in outcome.runs.values():
        found.update(zip(run.names, _before(run, kind) or (), strict=False))
    return found


def _check_removed(outcome: Outcome) -> None:
    """Who removes a place on which something stands would unmount that, in other namespaces too."""
    roots: dict[Handle, set[str]] = {
        handle: set() for handle, found in outcome.alone if found.__class__ is Filesystem and found.removed
    }
    every = [mount for mounts in outcome.attached for mount in mounts] if roots else []
    for run in outcome.runs.values() if roots else ():
        every += [run.mount(name, outcome.made) for name in run.names]
    for mount in every:
        if mount.filesystem is None or mount.filesystem.name not in roots:
            continue
        roots[mount.filesystem.name].add(mount.root)
        for place, child in mount.places.items():
            if is_among(mount.filesystem.removed, f"{mount.root}/{place}" if mount.root else place, itself=True):
                name = child.name_at(place) if child.__class__ is ProvenRun else child.name
                refuse(f"it removes what {name} stands on")
    for handle, shown in roots.items():
        for path in outcome.made[handle].removed:
            if path not in shown:
                refuse(f"it removes {path} from {handle}, of which no mount is made")


def _check_filesystems(outcome: Outcome) -> None:
    promised: set[Handle] = set()
    for one in outcome.plan.expected.filesystems:
        found: Any = outcome.made.get(one.name)
        if found.__class__ is not Filesystem or found.inside == "host" or one.name in promised:
            refuse(f"it promises filesystem {one.name}, which its steps do not make")
        promised.add(one.name)
        sealed = (("ro", True),) if found.sealed else ()
        comes = (found.fstype, found.source, sorted((*found.options, *sealed), key=repr))
        if comes != (one.fstype, one.source, sorted(one.options, key=repr)):
            refuse(f"it promises {one.name} as {tuple(one)[1:4]}, and its steps come to {comes}")
    for handle, found in outcome.alone:
        if found.__class__ is Filesystem and found.inside != "host" and handle not in promised:
            refuse(f"its steps make filesystem {handle}, which it does not promise")


def _check_left_out(expected: Expected) -> None:
    """What is left out is told to people as the plan has it, so it may not be told of what is built."""
    names = {mount.name for space in expected.namespaces for mount in space.mounts} if expected.left_out else set()
    spaces = {space.name for space in expected.namespaces}
    for one in expected.left_out:
        if not one.name or one.name in names:
            refuse(f"it leaves {one.name!r} out, which it builds, or leaves out twice")
        names.add(one.name)
        if one.namespace not in spaces:
            refuse(f"it leaves {one.name} out of a namespace {one.namespace!r}, which it does not build")
        for text in one[:-1]:
            check_text(text)
        for path in filter(None, (one.target, one.upon)):
            check_absolute(path)
        if not one.reason:
            refuse(f"it leaves {one.name} out without a reason")


def _check_groups(outcome: Outcome) -> None:
    """Groups with a seed, as promised; and those from which others receive, kept alive."""
    expected = outcome.plan.expected.groups
    groups = {f"seed:{one.name}": one for one in expected}
    if len(groups) < len(expected):
        refuse("it promises a group twice")
    above: dict[str, str] = {}  # group of the plan's own -> its master
    for handle, seed in outcome.alone:
        if seed.__class__ is not Seed or not (seed.group or seed.host):
            continue
        one = groups.pop(handle, None)
        if one is None:
            refuse(f"its steps make {handle}, a group that it does not promise")
        master = "" if seed.host else seed.receives
        if one.master != master or bool(one.host) != seed.host:
            refuse(f"it promises group {one.name} otherwise than its steps make it")
        if one.host:
            check_absolute(one.host)
        else:
            above[one.name] = master
    for handle in groups:
        refuse(f"it promises group {handle[5:]}, which its steps do not make")
    if not above:
        return
    seeds = [[mount.seed for mount in mounts if mount.seed is not None] for mounts in outcome.attached]
    for run in outcome.runs.values():
        seeds[run.space] += [outcome.made[handle] for handle in set(run.joined[0])] if run.joined is not None else []
    members = {seed.group for joined in seeds for seed in joined}
    for joined, kept in zip(seeds, outcome.kept, strict=True):
        received: dict[str, None] = {}
        for seed in joined:
            name = seed.group or seed.receives
            while name in above and name not in received:
                received[name] = None
                name = above[name]
        orphans = {f"seed:{name}" for name in received if name not in members}
        if orphans != set(kept):
            refuse(f"groups without a member need a base that keeps them: {', '.join(sorted(orphans)) or 'none'}")


def _check_mounts(promised: tuple[ExpectedMount, ...], space: int, outcome: Outcome) -> None:
    """The table that comes out is the one that is promised, a parent before what stands on it."""
    left = {mount.name for mount in outcome.attached[space]}
    runs = {name: run for name, run in outcome.runs.items() if run.space == space}  # of which all are left

    def is_left(name: Handle) -> bool:
        found = outcome.made.get(name)
        return name in left or (isinstance(found, ProvenRun) and found.names[0] in runs)

    names, at = columns_of(promised, ExpectedMount)["name"], 0
    while at < len(promised):
        first = runs.get(names[at])
        if first is not None and not is_left(first.parent.name):
            end = at + len(first.names)
            if first.come_to(part_of(promised, at, end)):
                del runs[names[at]]
                at = end
                continue
        one = record_at(promised, at)
        at += 1
        if not is_left(one.name):
            refuse(f"it promises mount {one.name}, which its steps do not make")
        if one.parent and is_left(one.parent):
            refuse(f"it promises mount {one.name} before what it stands on")
        if one.name not in left:  # the others of its run are left one by one
            left.update(runs.pop(outcome.made[one.name].names[0]).names)
        left.remove(one.name)
        comes = _comes_to(outcome.found(one.name), one)
        if comes != one[1:-1]:
            for name, says, is_so in zip(one._fields[1:-1], one[1:-1], comes, strict=True):
                if says != is_so:
                    refuse(f"it promises {name} {says!r} of mount {one.name}, and its steps come to {is_so!r}")
    for name in (*left, *runs):
        refuse(f"its steps make mount {name}, which it does not promise")


def _is_so(edge: Edge, outcome: Outcome) -> bool:
    """Whether a reason that the plan gives for its order is one."""
    before, after = outcome.found(edge.before), outcome.found(edge.after)
    kind = edge.kind
    if after.__class__ is Seed:
        if kind == "master":
            return after.master is before is not None
        return kind == "source" and after.filesystem is before is not None
    if kind in ("layer", "image"):
        filesystem = after.filesystem if after.__class__ is ProofMount else after
        return (
            filesystem.__class__ is Filesystem
            and edge.before in filesystem.layers
            and (kind == "layer") == (filesystem.fstype == "overlay")
        )
    if after.__class__ is not ProofMount:
        return False
    if kind == "workbench":
        return after.filesystem is before is not None and not after.alone
    if kind == "group":
        return after.seed is before is not None
    if before.__class__ is not ProofMount:
        return False
    if kind == "deeper_first":
        return after.parent is before.parent is not None and is_among((after.place,), before.place)
    return after.parent is before and (after.place == "") == (kind == "stack") and kind in ("parent", "stack")


def _comes_to(mount: ProofMount, promised: ExpectedMount) -> tuple[Any, ...]:
    """What ExpectedMount has between name and origin, as the steps make it. Bits that are set need not be cleared."""
    filesystem, seed, parent = mount.filesystem, mount.seed, mount.parent
    if filesystem is None:
        handle, root = "", mount.root
    else:
        handle, root = filesystem.name, f"/{mount.root}"
        if filesystem.removed and is_among(filesystem.removed, mount.root, itself=True):
            root += "//deleted"
    bits, clear = mount.own
    if promised.clear & ~promised.set == clear:
        clear = promised.clear
    alike, below_bits, below_clear = promised.recursive_attributes, 0, 0
    if mount.recursive:
        alike = mount.below == mount.own
        below_bits, below_clear = (0, 0) if alike else mount.below
        if promised.below_clear & ~promised.below_set == below_clear:
            below_clear = promised.below_clear
    group = seed.group if seed is not None else ""
    brings = mount.brings or ("private" if promised.brings == "private" else "")  # a word that changes no step
    receives = seed.receives if seed is not None else ""
    return (
        parent.name if parent is not None else "", f"/{mount.place}" if parent is not None and mount.place else "",
        handle, root, mount.recursive, alike, bits, clear, below_bits, below_clear, mount.idmapped, mount.unbindable,
        group, receives, mount.lock, "slave" if mount.inherits else "", brings,
    )  # fmt: skip
