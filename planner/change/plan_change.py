"""A plan and what stands -> ChangePlan: the fewest changes that make the one into the other, tried in the model."""

from __future__ import annotations

from mountplan.planner.change import change_steps as c
from mountplan.planner.change.arrangement import Arrangement
from mountplan.planner.change.change_plan import ChangeLine, ChangeObstacle, ChangePlan
from mountplan.planner.change.change_trial import ChangeTrial
from mountplan.planner.change.descriptions import Descriptions
from mountplan.planner.change.examination import Examination
from mountplan.planner.change.file_changes import FileChanges
from mountplan.planner.change.inner_ids import with_inner_ids
from mountplan.planner.change.left_out import left_out_at, without_left_out
from mountplan.planner.change.new_parts import NewParts
from mountplan.planner.change.paired_space import PairedSpace, seen_at
from mountplan.planner.change.parted_groups import GroupsOutside, only_here, parted
from mountplan.planner.change.parts import Parts
from mountplan.planner.change.same_superblock import Superblocks, doubled_uppers, find_standing
from mountplan.planner.change.sharing_changes import SharingMatch
from mountplan.planner.change.standing import Allowed, StandingTree
from mountplan.planner.characters import typed
from mountplan.planner.compare.arrivals import Arrivals, Surroundings
from mountplan.planner.compare.compare import group_names, judge, machine_of, views_of
from mountplan.planner.compare.own_store import without_absent_store
from mountplan.planner.compare.view import View
from mountplan.planner.errors import TableError
from mountplan.planner.host import MOUNT_MAX
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import HOST_GROUPS, group_numbers, predict
from mountplan.planner.tables.table import Walks, copied

_REPLACE = "mountplan apply --replace"
_ANEW = f"build it anew: {_REPLACE}"
_ANEW_PROCESS = "end the process, and start it in a new tree: what it has is under no name, and is not replaced"
_ALLOW = "--allow-propagation lets it be so"


def plan_change(plan: Plan, standing: StandingTree, allowed: Allowed, mount_max: int = MOUNT_MAX) -> ChangePlan:
    """What it takes to make `standing` into what `plan` says. Touches nothing; a refused one has obstacles."""
    change = _planned(plan, standing, allowed, mount_max, peers=True)
    if any(one.kind == "model" for one in change.obstacles):
        change = _planned(plan, standing, allowed, mount_max, peers=False)
    if standing.record is not None:
        spec = "SPEC" if plan.file[:1] == "<" else typed(plan.file)
        name = "" if plan.name == standing.label else f" --name {standing.label}"
        remedies = [one.remedy.replace(_REPLACE, f"mountplan apply {spec} --replace{name}") for one in change.obstacles]
    else:
        remedies = [_ANEW_PROCESS if _REPLACE in one.remedy else one.remedy for one in change.obstacles]
    pairs = zip(change.obstacles, remedies, strict=True)
    return change._replace(obstacles=tuple(one._replace(remedy=remedy) for one, remedy in pairs))


def _planned(plan: Plan, standing: StandingTree, allowed: Allowed, mount_max: int, *, peers: bool) -> ChangePlan:
    """`peers`: what lies beneath other mounts is exchanged through a peer, where that is possible."""
    predictions = predict(plan, standing.host)
    obstacle = _namespaces_differ(plan, standing)
    if obstacle is not None:
        return ChangePlan(standing.label, (), (), (obstacle,), (), ())
    by_name = {space.name: space for space in standing.spaces}
    if len(predictions) == 1:
        by_name = {predictions[0].namespace: standing.spaces[0]}
    now = [by_name[one.namespace].table for one in predictions]
    predictions = without_absent_store(predictions, now, standing.store)
    views = views_of(plan, predictions)
    spaces = tuple(
        PairedSpace(number, one, view, by_name[one.namespace], left_out_at(plan, one.namespace))
        for number, (one, view) in enumerate(zip(predictions, views, strict=True))
    )
    parts = Parts(plan)
    superblocks = find_standing(
        parts,
        standing,
        [pair for space in spaces for pair in space.places()],
        [pair for space in spaces for pair in space.stacked()],
    )
    for space in spaces:
        space.pair_again(superblocks.devices)
    arrivals = Arrivals(
        [space.standing.table for space in spaces],
        lambda: _around(standing),
    )

    sharing = SharingMatch(parts, spaces, superblocks)
    while True:
        examined = [
            Examination(space, superblocks, sharing, arrivals, beneath=standing.beneath, peers=peers)
            for space in spaces
        ]
        new = NewParts(plan, parts, superblocks, sharing, spaces, standing.host)
        files = FileChanges(parts, standing.record, superblocks, new, spaces)
        arranged = [Arrangement(one, sharing, new, files) for one in examined]
        before = len(sharing.anew)
        new.sources()
        if len(sharing.anew) == before:
            break
    changes: list[ChangeLine] = []
    asides: list[str] = list(files.asides)
    obstacles: list[ChangeObstacle] = list(files.obstacles)
    hosts = group_numbers(plan, Walks(copied(standing.host))).items()
    images = {f"={name}": image for name, image in parts.images()}
    if standing.record is not None:
        devices = standing.record.devices
        images |= {devices[name]: image for name, image in Parts(standing.record.plan).images() if name in devices}
    groups = group_names(plan) | {number: name for name, number in hosts if number > HOST_GROUPS}
    for one, done in zip(examined, arranged, strict=True):
        told = Descriptions(one, sharing, groups, images, allowed)
        changes += told.changes
        prefix = f"{one.space.name}:" if len(examined) > 1 else ""
        asides += [f"{prefix}{words}" for words in told.asides]
        obstacles += done.obstacles + told.obstacles
    changes += _option_changes(superblocks, parts, spaces, new, standing, obstacles) + files.changes
    obstacles += _cut_off(sharing, standing, allowed)
    for overlay in doubled_uppers(parts, superblocks, standing):
        upper = str(overlay.upper).removeprefix("fs:")
        what = f"a new overlay cannot write to {upper} while the one that stands does"
        remedy = "give it an upper and a work directory of its own, or change this twice, at first without the overlay"
        obstacles.append(ChangeObstacle("upper directory", what, remedy, overlay.origin))
    obstacles += _lonely(new, sharing, parts)
    steps: tuple[c.ChangeStep, ...] = ()
    if changes and not obstacles:
        inside: list[c.ChangeStep] = []
        for space, done in zip(spaces, arranged, strict=True):
            if done.steps:
                inside += [c.Visit(space.standing.name), *done.steps]
        steps = _renamed((*new.steps(), *inside), spaces)
        if standing.ids is not None:
            steps, strange = with_inner_ids(steps, standing.ids)
            obstacles += strange
    result = ChangePlan(
        standing.label, tuple(changes), tuple(dict.fromkeys(asides)), tuple(dict.fromkeys(obstacles)), steps,
        tuple((space.name, space.table) for space in standing.spaces),
    )  # fmt: skip
    if not steps or obstacles:
        return result
    return _tried(result, plan, standing, allowed, mount_max, spaces)


def _around(standing: StandingTree) -> Surroundings:
    return Surroundings((standing.host, *(table for _, table in standing.outside)), standing.ages)


def _namespaces_differ(plan: Plan, standing: StandingTree) -> ChangeObstacle | None:
    for space in plan.expected.namespaces:
        if space.user:
            what = f"namespace {space.name} belongs to another user, and what is built anew there would not be locked"
            return ChangeObstacle("namespaces", what, _ANEW)
    wanted = sorted(space.name for space in plan.expected.namespaces)
    found = sorted(space.name for space in standing.spaces)
    if len(wanted) == len(found) == 1 or wanted == found:
        return None
    what = f"the spec has the namespaces {', '.join(wanted) or '(one)'}; there stand {', '.join(found) or '(one)'}"
    return ChangeObstacle("namespaces", what, _ANEW)


def _renamed(steps: tuple[c.ChangeStep, ...], spaces: tuple[PairedSpace, ...]) -> tuple[c.ChangeStep, ...]:
    """Namespaces by the names that they stand under: that of a plan's single one may be another."""
    names = {space.name: space.standing.name for space in spaces}
    return tuple(
        step._replace(namespace=names.get(step.namespace, step.namespace))
        if isinstance(step, (c.CopyNamespace, c.Visit))
        else step
        for step in steps
    )


def _option_changes(
    superblocks: Superblocks, parts: Parts, spaces: tuple[PairedSpace, ...], new: NewParts, standing: StandingTree,
    obstacles: list[ChangeObstacle],
) -> list[ChangeLine]:  # fmt: skip
    outside = {row.device for _, table in (("", standing.host), *standing.outside) for row in table.rows}
    for name, stuck in superblocks.stuck.items():
        where, _ = seen_at(spaces, superblocks.devices[name])
        if where:
            what = f"{where}: what has changed since it was made cannot be changed back: option {', '.join(stuck)}"
            obstacles.append(ChangeObstacle("options", what, _ANEW, parts.filesystems[name].creation.origin))
    told = []
    for name, options in superblocks.options.items():
        device = superblocks.devices[name]
        where, namespace = seen_at(spaces, device)
        if not where:
            continue
        origin = parts.filesystems[name].creation.origin
        words = ", ".join(key if value is True else f"{key}={value}" for key, value in options)
        before = superblocks.before[name]
        what = f"options {before + ' -> ' if before else ''}{words}"
        told.append(ChangeLine("~", namespace, where, "", what, "the spec says so", origin))
        if device in outside:
            what = f"{where}: other namespaces show the same filesystem, and its options are theirs as well"
            obstacles.append(ChangeObstacle("shared superblock", what, "leave its options as they are", origin))
            continue
        roots = (row.root for one in spaces for row in one.found.rows if row.device == device)
        take, _ = new.take(name, min(roots, key=len), origin)
        new.do(c.Reconfigure(take, options, origin))
    return told


def _cut_off(sharing: SharingMatch, standing: StandingTree, allowed: Allowed) -> list[ChangeObstacle]:
    """Groups that are made anew, and have members outside, which would not be in them any more."""
    numbers = {sharing.standing[seed][0]: seed for seed in sharing.anew if seed in sharing.standing}
    numbers.pop(0, None)
    for name, table in (("host", standing.host), *standing.outside) if not allowed.propagation else ():
        for row in table.rows:
            if seed := numbers.get(row.peer_group) or numbers.get(row.master):
                what = f"the group {seed.removeprefix('seed:')} has to be made anew, and"
                lost = f"{what} {row.mountpoint} of {name} would not be in it any more"
                return [ChangeObstacle("propagation", lost, _ALLOW)]
    return []


def _lonely(new: NewParts, sharing: SharingMatch, parts: Parts) -> list[ChangeObstacle]:
    """New groups that nobody would be in: in a new tree they live on below its root, where none is mounted any more."""
    found = []
    for seed in new.joined_roots:
        step = parts.seeds[seed]
        is_new = seed not in sharing.standing or seed in sharing.anew
        if is_new and isinstance(step, s.MakeSeed) and step.shared and not sharing.has_members(seed):
            what = f"nothing would be in the group {seed.removeprefix('seed:')}, from which others are to receive"
            found.append(ChangeObstacle("group without members", what, _ANEW, step.origin))
    return found


def _tried(
    result: ChangePlan, plan: Plan, standing: StandingTree, allowed: Allowed, mount_max: int,
    spaces: tuple[PairedSpace, ...],
) -> ChangePlan:  # fmt: skip
    """Carry it out in the model: what it comes to inside must be what the plan says, and outside nothing may change."""
    try:
        coming = {space.standing.name: tuple(space.wanted.rows) for space in spaces}
        trial = ChangeTrial(result.steps, standing, mount_max, coming)
    except TableError as error:
        return result._replace(obstacles=(ChangeObstacle("model", f"what stands cannot be understood: {error}", ""),))
    before = trial.outside()
    trial.run()
    if trial.refusal is not None:
        step = result.steps[trial.refusal.step - 1]
        what = f"step {trial.refusal.step}, {step.describe()}: the kernel would refuse it: {trial.refusal.why}"
        return result._replace(obstacles=(ChangeObstacle("model", trial.takes_off or what, _ANEW, step.origin),))
    trial.end()
    after = trial.after()
    obstacles: list[ChangeObstacle] = []
    views = views_of(plan, without_absent_store(predict(plan, standing.host), after, standing.store))
    wanted = tuple(view._replace(asked=dict.fromkeys(view.asked or {}, ())) for view in views)
    found = tuple(View(view.namespace, table) for view, table in zip(views, after, strict=True))
    judged = judge(wanted, found, machine_of(standing.host), arrivals=True, surroundings=lambda: _around(standing))
    differing = [one for one in without_left_out(judged.drift, plan) if not one.prop.startswith("option ")]
    for one in differing[:5]:  # what options filesystems take is not for the model to say
        what = f"{one.mount}: {one.prop} would be {one.found} instead of {one.wanted}"
        obstacles.append(ChangeObstacle("model", trial.takes_off or what, _ANEW, one.origin))
    gaps = [(space, place) for space in spaces for place in trial.sights[space.standing.name].gaps()]
    changes = _with_gaps(result.changes, {(space.name, place) for space, place in gaps})
    for paired, place in gaps if not allowed.gap else ():
        what, allow = f"{place} is missing for a moment", "--allow-gap lets it be so"
        obstacles.append(ChangeObstacle("gap", what, allow, paired.origin_at(place)))
    spread = []
    names = ["this namespace", *(name for name, _ in standing.outside)]
    for name, earlier, later in zip(names, before, trial.outside(), strict=True):
        gone, come = set(earlier.rows) - set(later.rows), set(later.rows) - set(earlier.rows)
        spread += [f"{name}: {row.mountpoint} ({row.fstype}) goes" for row in gone]
        spread += [f"{name}: {row.mountpoint} ({row.fstype}) comes, or is in another group" for row in come]
    if spread and not allowed.propagation:
        obstacles.append(ChangeObstacle("propagation", f"it would be seen outside: {sorted(spread)[0]}", _ALLOW))
    tables = tuple((space.name, table) for space, table in zip(standing.spaces, after, strict=True))
    asides = list(result.asides)
    others = GroupsOutside((("the host", standing.host), *standing.outside))
    for space, table in zip(standing.spaces, after, strict=True):
        for leaving in parted(space.table, table, others):
            asides.append(leaving.words)
            if leaving.replaced and not allowed.propagation:
                obstacles.append(ChangeObstacle("propagation", leaving.words, _ALLOW))
        asides += only_here(space.table, table, others)
    return result._replace(
        changes=changes, asides=tuple(dict.fromkeys(asides)), obstacles=tuple(obstacles), tables=tables,
        spread=tuple(sorted(spread)),
    )  # fmt: skip


def _with_gaps(changes: tuple[ChangeLine, ...], gaps: set[tuple[str, str]]) -> tuple[ChangeLine, ...]:
    """Say so with each swap that leaves nothing at its place for a moment."""
    return tuple(
        line._replace(reason=f"{line.reason}; nothing is there for a moment")
        if line.sign == "swap" and (line.namespace, line.mount) in gaps
        else line
        for line in changes
    )
