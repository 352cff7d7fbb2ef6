"""What `graph` draws: the namespaces behind an argument, what their groups are called, and which are the host's."""

from __future__ import annotations

from mountplan.operands import Operand, Side, read_side, recognise, refuse_unused
from mountplan.planner.errors import KeepRefused, NotKept, PlanFileError, PlanRefused, SubjectError
from mountplan.planner.names import LeftOut
from mountplan.planner.record import NamedTuple
from mountplan.planner.render.lanes import GroupNames, Scene
from mountplan.planner.tables.table import MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mountplan.planner.ask.explain import ExplainedGroup
    from mountplan.planner.plan.plan import Plan

_SCRIPT = "script:"


class Drawn(NamedTuple):
    """What an argument names, ready to be laid out; `plan` is the one that it is predicted from, if any."""

    label: str
    scenes: tuple[Scene, ...]
    groups: GroupNames
    plan: Plan | None = None
    incomplete: bool = False
    only_named: bool = False  # other groups are no part of it
    left_out: tuple[LeftOut, ...] = ()
    failures: tuple[str, ...] = ()  # commands of a script that the kernel would refuse: what they mount is not drawn


def drawn(argument: str, *, parameters: Mapping[str, str] | None = None) -> Drawn:
    """What `argument` names: any side of `diff`, or `script:FILE` (FILE.sh), a script of mount commands.

    `parameters` are values for those of a spec.

    Raises SubjectError, and what reading it raises.
    """
    if argument.startswith(_SCRIPT) or argument.endswith(".sh"):
        refuse_unused(parameters, argument)
        return _of_script(argument.removeprefix(_SCRIPT))
    kind = recognise(argument) if "," not in argument else None
    side = read_side(argument, kind, parameters=parameters)
    refuse_unused(parameters, side)
    if side.plan is not None:
        return of_plan(side.label, side.plan, [(view.namespace, view.table) for view in side.views])
    if kind is not None and kind.kind == "name":
        try:
            return _kept(kind, side)
        except (KeepRefused, NotKept, PlanFileError, PlanRefused):
            pass  # what it was made from can no longer be read: then groups have the kernel's numbers
    return Drawn(
        side.label,
        tuple(Scene(view.namespace, view.table) for view in side.views),
        GroupNames(outside=_of_host(view.table for view in side.views) if side.of_machine else {}),
        incomplete=side.incomplete,
    )


def of_plan(label: str, plan: Plan, tables: Iterable[tuple[str, MountTable]]) -> Drawn:
    """What a plan builds: `tables` are its namespaces as they are predicted."""
    from mountplan.applier.observe.observe import observe
    from mountplan.planner.plan.predict import HOST_GROUPS
    from mountplan.planner.render.index import PlanIndex
    from mountplan.planner.render.plan_lanes import plan_groups, plan_scenes

    named = list(tables)
    places = {HOST_GROUPS + row.peer_group: row.mountpoint for row in reversed(observe().rows) if row.peer_group}
    scenes, groups = plan_scenes(PlanIndex(plan), named), plan_groups(plan, named, places)
    return Drawn(label, scenes, groups, plan, left_out=plan.expected.left_out)


def drawn_from(tables: Iterable[tuple[str, MountTable]], groups: Iterable[ExplainedGroup]) -> Drawn:
    """What an explanation of groups is about, with its numbers, in all the namespaces where it is."""
    number_of: dict[tuple[str, int], ExplainedGroup] = {}
    for group in groups:
        number_of |= {(spot.namespace, spot.mount_id): group for spot in group.members}
    names: dict[int, str] = {}
    scenes = []
    for name, table in tables:
        found = [(row, number_of[name, row.mount_id]) for row in table.rows if (name, row.mount_id) in number_of]
        for row, group in found:
            if row.peer_group:
                names[row.peer_group] = str(group.number)
            if row.master and group.above:
                names[row.master] = str(group.above[0])
        scenes += [Scene(name, table)] if found else []
    return Drawn("", tuple(scenes), GroupNames(names), only_named=True)


def _kept(named: Operand, side: Side) -> Drawn:
    from mountplan.kept_plan import plan_kept_for

    plan = plan_kept_for(named.value.partition("/")[0])
    tables = [(view.namespace, view.table) for view in side.views]
    return of_kept(side.label, plan, tables)._replace(incomplete=side.incomplete)


def of_kept(label: str, plan: Plan, tables: Sequence[tuple[str, MountTable]]) -> Drawn:
    """A kept name: what stands in its namespaces, with the words of the plan that it was made from."""
    from mountplan.planner.render.table_text import group_names

    names: dict[int, str] = {}
    for namespace, table in tables:
        names |= group_names(plan, namespace or plan.expected.namespaces[0].name, table)
    scenes = tuple(Scene(namespace, table) for namespace, table in tables)
    groups = GroupNames(names, _of_host(table for _, table in tables))
    return Drawn(label, scenes, groups, left_out=plan.expected.left_out)


def _of_host(tables: Iterable[MountTable]) -> Mapping[int, str]:
    """The groups with members in this process's namespace, with the place of the first; none, if that is drawn."""
    from mountplan.applier.observe.observe import observe

    host = observe()
    ids = {row.mount_id for row in host.rows}
    if any(row.mount_id in ids for table in tables for row in table.rows):
        return {}
    return {row.peer_group: row.mountpoint for row in reversed(host.rows) if row.peer_group}


def _of_script(path: str) -> Drawn:
    from mountplan.inputs import label_of, read_input, reason_of
    from mountplan.planner.render.simulated import failure_text, group_names
    from mountplan.planner.shell.simulate import simulate

    try:
        data = read_input(path)
    except (OSError, ValueError) as error:
        what = f"{path}: cannot read it: {reason_of(error).lower()}"
        raise SubjectError(what, "name a shell script that can be read") from None
    simulation = simulate(data.decode("utf-8", "surrogateescape"), label_of(path))
    scenes = tuple(Scene(f"of process {look.process}", look.table) for look in simulation.final)
    groups = GroupNames(group_names([scene.table for scene in scenes]))
    return Drawn(label_of(path), scenes, groups, failures=tuple(map(failure_text, simulation.failures)))
