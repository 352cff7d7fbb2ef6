"""What a plan tells for a picture with lanes: what groups are called, what mounts are, and when each of them stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import group_numbers
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.lane_page import Play
from mountplan.planner.render.lanes import GroupNames, LaneChart, Scene, lane_chart
from mountplan.planner.render.reasons import short_reason
from mountplan.planner.render.table_text import expected_rows
from mountplan.planner.render.words import visible
from mountplan.planner.tables.table import MountTable

Tables = Sequence[tuple[str, MountTable]]


def plan_groups(plan: Plan, tables: Tables, places: Mapping[int, str] | None = None) -> GroupNames:
    """What the groups in predicted tables are called. `places` says where the host has what the plan does not name."""
    groups = {one.name: one for one in plan.expected.groups}
    numbers = {name: number for name, number in group_numbers(plan).items() if number > 0}
    expected = {one.name: one for one in plan.expected.namespaces}
    for name, table in tables:
        for mount, row in expected_rows(expected[name], table):
            if mount.group and row.peer_group:
                numbers[mount.group] = row.peer_group
            master = groups[mount.group].master if mount.group in groups else mount.master
            if master and row.master:
                numbers[master] = row.master
    known = [one for one in plan.expected.groups if one.name in numbers]
    return GroupNames(
        {numbers[one.name]: one.name for one in known},
        {**(places or {}), **{numbers[one.name]: one.host for one in known if one.host}},
        {numbers[one.name]: numbers[one.master] for one in known if one.master in numbers},
    )


def plan_scenes(index: PlanIndex, tables: Tables) -> tuple[Scene, ...]:
    """The namespaces as they are predicted, with the plan's words for what the mounts are."""
    expected = {one.name: one for one in index.plan.expected.namespaces}
    return tuple(
        Scene(name, table, {row.mount_id: index.what(mount) for mount, row in expected_rows(expected[name], table)})
        for name, table in tables
    )


def plan_sharing(index: PlanIndex, tables: Tables) -> LaneChart:
    """Only the mounts that send or receive something."""
    only = {row.peer_group or row.master for _, table in tables for row in table.rows} - {0}
    return lane_chart(plan_scenes(index, tables), plan_groups(index.plan, tables), only=only)


def plan_play(plan: Plan, scenes: Sequence[Scene]) -> Play:
    """The steps, and at which of them the mounts are attached and join their groups."""
    index = PlanIndex(plan)
    expected = {one.name: one for one in plan.expected.namespaces}
    when = {
        (number, row.mount_id): (index.attached.get(mount.name, 0), index.joined.get(mount.name, 0))
        for number, scene in enumerate(scenes)
        for mount, row in expected_rows(expected[scene.name], scene.table)
    }
    return Play(tuple((visible(step.describe()), visible(short_reason(step, index))) for step in plan.steps), when)
