"""The preview of a plan, for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mountplan.planner.characters import toml_string
from mountplan.planner.plan.plan import ExpectedNamespace, Plan
from mountplan.planner.plan.steps import MakeSeed, MakeUserNamespace
from mountplan.planner.render.altered_text import altered_lines
from mountplan.planner.render.fitting import fitted, wrapped, wrapped_text
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.lane_text import MOST_DRAWN, lane_text
from mountplan.planner.render.plan_lanes import plan_sharing
from mountplan.planner.render.sharing_text import sharing_lines
from mountplan.planner.render.steplist import step_lines
from mountplan.planner.render.table_text import group_names, table_lines
from mountplan.planner.render.tree_text import tree_lines
from mountplan.planner.render.words import columns, count, visible, width
from mountplan.planner.tables.table import MountTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mountplan.planner.ask.classic import Classic
    from mountplan.planner.language.parameters import Setting

Tables = tuple[tuple[str, MountTable], ...]


def plan_text(
    plan: Plan,
    tables: Tables = (),
    classic: Classic | None = None,
    settings: Sequence[Setting] = (),
    *,
    steps: bool = False,
    everything: bool = False,
    room: int | None = None,
) -> str:
    """Title, what parameters came to, tree, sharing, one line on the order, the classic way (if the caller has it) and
    requirements.

    With `steps` also every step with its reason, and the predicted tables (if the caller has them). With `everything`,
    nothing is folded; otherwise what repeats is told once, and a plan of ten thousand mounts fits on a few screens.
    `room` as in fitting.py. The time it takes is linear in the plan.
    """
    index = PlanIndex(plan)
    fold = not everything
    inner = None if room is None else room - 2
    blocks: list[list[str]] = [wrapped(title(plan), room)]
    if settings:
        blocks.append(["Parameters", *_indented(settings_lines(settings))])
    several = len(plan.expected.namespaces) > 1
    private = " (a mount without a word on sharing is private)" if plan.expected.groups else ""
    for namespace in plan.expected.namespaces:
        heading = f"Tree of namespace {visible(namespace.name)}" if several else "Tree"
        heading += _owner(plan, namespace)
        tree = tree_lines(index, namespace, fold=fold, room=inner)
        blocks.append([*wrapped(heading + private, room), *_indented(tree)])
    if plan.expected.altered:
        lines = [line for one in altered_lines(plan) for line in wrapped(one, inner)]
        blocks.append(["Changed of what is inherited, before anything is mounted", *_indented(lines)])
    sharing = sharing_lines(index, fold=fold, room=inner)
    blocks.append(["Sharing", *_indented([*_picture(index, tables, everything, inner), *sharing])])
    if steps:
        lines = step_lines(index, everything=everything, room=room)
        blocks.append([f"Steps, and why each is where it is ({len(plan.steps):,})", *lines])
        for name, table in tables:
            heading = f"Mount table to come in {visible(name)}" if several else "Mount table to come"
            lines = table_lines(table, group_names(plan, name, table), fold=fold, room=inner)
            blocks.append([heading, *_indented(lines)])
    else:
        blocks.append(["Order", *_indented(wrapped(order_line(plan), inner, hanging=0))])
    if classic is not None:
        from mountplan.planner.render.foreseen import CLASSIC, classic_line

        blocks.append([*wrapped(CLASSIC, room), *wrapped(classic_line(classic), room, hanging=0)])
    if plan.expected.left_out:
        from mountplan.planner.render.left_out_text import left_out_text

        blocks.append([wrapped_text(left_out_text(plan.expected.left_out), room).rstrip()])
    if plan.requirements and steps:
        needs = [(visible(one.what), f"for: {visible(one.reason)}") for one in plan.requirements]
        blocks.append(["Needs", *_indented(fitted(needs, (72,), inner))])
    elif plan.requirements:
        blocks.append(["Needs", *_indented(wrapped(_needs(plan), inner, hanging=0))])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def settings_lines(settings: Sequence[Setting]) -> list[str]:
    """A line for each parameter: name, value, where it is from."""
    return columns([(f"{visible(one.name)} = {toml_string(one.value)}", _from(one)) for one in settings], (72,))


def _from(one: Setting) -> str:
    if one.given:
        return "as given"
    return f"from the environment: {visible(one.variable)}" if one.variable else "by default"


def _owner(plan: Plan, namespace: ExpectedNamespace) -> str:
    """Whose it is, if it belongs to another user."""
    made = [step for step in plan.steps if isinstance(step, MakeUserNamespace) and step.user == namespace.user]
    if not namespace.user or not made:
        return ""
    (inside, outside, _), within = made[0].uids[0], made[0].within.removeprefix("user:")
    where = f"in that of {visible(within)}" if within else "outside"
    return f", of {visible(namespace.user.replace(':', ' '))}: uid {inside} there is {outside} {where}"


def order_line(plan: Plan) -> str:
    """The order of the steps in one sentence, of what the plan has."""
    kinds = Counter(step.kind for step in plan.steps)
    parts = ["all is made private"]
    groups = sum(isinstance(step, MakeSeed) and step.shared for step in plan.steps)  # others are for slaves alone
    if groups:
        parts.append(f"{count(groups, 'sharing group is', 'sharing groups are')} made")
    parts.append(f"{count(kinds['attach'], 'mount')} from the root down, parent before child")
    if kinds["join_group"]:
        parts.append(f"{count(kinds['join_group'], 'mount joins its group', 'mounts join their groups')}")
    if kinds["enter_root"]:
        parts.append("pivot_root into it")
    return f"{count(len(plan.steps), 'step')}: {', then '.join(parts)} (--steps shows each, and why it is where it is)"


def _picture(index: PlanIndex, tables: Tables, everything: bool, room: int | None) -> list[str]:
    """Who shares with whom, with a lane for each group, if it is worth a picture and not too long."""
    drawn = sum(bool(row.peer_group or row.master) for _, table in tables for row in table.rows)
    if len(index.groups) == 0 or not tables or (drawn > MOST_DRAWN and not everything):
        return []
    chart = plan_sharing(index, tables)
    if len(chart.lines) > MOST_DRAWN and not everything:
        return []
    lines = lane_text(chart, room=room or 0, legend=False).splitlines()
    if room is not None and any(width(line) > room for line in lines):
        return []  # lines that a terminal breaks are no picture
    return [*lines, ""] if lines else []


def title(plan: Plan) -> str:
    """The plan's name and what it comes to."""
    expected = plan.expected
    mounts = sum(len(namespace.mounts) for namespace in expected.namespaces)
    external = sum(1 for group in expected.groups if group.host)
    groups = count(len(expected.groups), "sharing group") + (f" ({external} of the host's)" if external else "")
    counts = [count(mounts, "mount"), count(len(expected.filesystems), "new filesystem"), groups]
    if len(expected.namespaces) > 1:
        counts.insert(0, count(len(expected.namespaces), "namespace"))
    counts.append(count(len(plan.steps), "step"))
    name = f'Plan "{visible(plan.name)}"' if plan.name else "Plan"
    return f"{name} of {visible(plan.file)}: {', '.join(counts)}"


def _needs(plan: Plan) -> str:
    """The same in one sentence; filesystem types together."""
    kind = "filesystem type "
    words = [visible(one.what) for one in plan.requirements]
    types = [word.removeprefix(kind) for word in words if word.startswith(kind)]
    rest = [word for word in words if not word.startswith(kind)]
    if types:
        rest.append(f"{kind.strip()}s {', '.join(types)}" if len(types) > 1 else kind + types[0])
    return "; ".join(rest)


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}".rstrip() for line in lines]
