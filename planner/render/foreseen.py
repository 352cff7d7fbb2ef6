"""What the model says of a plan, for people and as JSON: the tables after one step, and what the classic way makes."""

from __future__ import annotations

from typing import Any

from mountplan.planner.ask.classic import Classic
from mountplan.planner.ask.trial import Trial
from mountplan.planner.plan.plan import Plan
from mountplan.planner.render.fitting import fitted
from mountplan.planner.render.table_text import rows_data, table_lines
from mountplan.planner.render.words import count, listed, visible, visible_lines
from mountplan.planner.tables.table import MountTable

_MOST = 20  # places and mounts, unless everything is wanted
CLASSIC = "Mounted the classic way, in the order of the file"


def after_text(plan: Plan, trial: Trial, *, everything: bool = False, room: int | None = None) -> str:
    """What stands there after the steps that `trial` has carried out. `room` as in fitting.py."""
    inner = None if room is None else room - 2
    lines = [_head(plan, trial)]
    names = trial.names()
    table = trial.table()
    yard = _below(table, trial.yard_id())
    if yard.rows and not everything:
        lines += ["", "In the yard, where everything is made (p0, p1, ... are workbenches and seeds)"]
        lines += _indented(table_lines(yard, names, fold=True, room=inner))
        lines += ["", f"Below it a copy of the host's tree: {count(len(table.rows) - len(yard.rows), 'mount')} (--all)"]
    else:
        lines += ["", *_indented(table_lines(table, names, fold=not everything, room=inner))]
    if detached := trial.detached():
        made = [visible(name) for name in detached]
        lines += ["", f"Made, and not attached yet: {', '.join(made) if everything else listed(made)}"]
    for (name, _), finished in zip(trial.finished, trial.tables(), strict=True):
        if finished != table:
            lines += ["", f"Finished: namespace {visible(name)}, {count(len(finished.rows), 'mount')}"]
    return visible_lines("\n".join(lines)) + "\n"


def _head(plan: Plan, trial: Trial) -> str:
    total = len(plan.steps)
    if not trial.done:
        return f"Before step 1 of {total:,}: the host's tree"
    return f"After step {trial.done:,} of {total:,}: {visible(plan.steps[trial.done - 1].describe())}"


def after_data(plan: Plan, trial: Trial) -> dict[str, Any]:
    """The same as values for JSON: `mounts` as the builder sees them, `namespaces` those that are finished."""
    names = trial.names()
    tables = zip(trial.finished, trial.tables(), strict=True)
    return {
        "step": trial.done,
        "of": len(plan.steps),
        "what": plan.steps[trial.done - 1].describe() if trial.done else "",
        "mounts": rows_data(trial.table(), names),
        "detached": trial.detached(),
        "namespaces": [{"name": name, "mounts": rows_data(table, names)} for (name, _), table in tables],
    }


def classic_line(classic: Classic) -> str:
    """The figure for the preview: one line."""
    if classic.endless:
        return "  propagation would add mounts without end (--classic)"
    if not classic.added and not classic.wrong:
        return "  it would come out the same: propagation adds nothing"
    wrong = f"{len(classic.wrong):,} of {count(classic.wanted, 'mount')} would not be as written"
    host = f", {classic.on_host:,} of them on the host" if classic.on_host else ""
    added = f"propagation would add {count(classic.added, 'mount')}{host}" if classic.added else "nothing propagates"
    return f"  {added}; {wrong} (--classic)"


def classic_text(classic: Classic, *, everything: bool = False, room: int | None = None) -> str:
    """All of it: where propagation adds mounts, and which are not what the spec says. `room` as in fitting.py."""
    lines = [f"{CLASSIC} (mount, mount --bind, mount --make-...):"]
    if classic.endless:
        lines.append(f"given up after propagation had added {count(classic.added, 'mount')}: copies are copied again")
    elif not classic.added and not classic.wrong:
        lines.append("it would come out the same, and propagation adds nothing")
    if classic.places and not classic.endless:
        lines += ["", f"Propagation would add {count(classic.added, 'mount')}:"]
        lines += _some([visible(place) for place in classic.places], everything)
    if classic.wrong:
        lines += ["", f"Of {count(classic.wanted, 'mount')}, {len(classic.wrong):,} would not be as written:"]
        wrong = [(visible(place), visible(what)) for place, what in classic.wrong]
        lines += _some(fitted(wrong, (36,), room and room - 4), everything)
    return "\n".join(lines) + "\n"


def classic_data(classic: Classic) -> dict[str, Any]:
    return classic._asdict() | {"wrong": [{"mount": place, "what": what} for place, what in classic.wrong]}


def _some(lines: list[str], everything: bool) -> list[str]:
    more = len(lines) - _MOST
    if everything or more <= 1:
        return _indented(lines)
    return _indented([*lines[:_MOST], f"... and {more:,} more (--all shows them)"])


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _below(table: MountTable, top: int) -> MountTable:
    """The part of a table that stands on one mount, and that mount."""
    children = table.by_parent()
    found = [row for row in table.rows if row.mount_id == top]
    for row in found:  # grows while it is walked
        found += children.get(row.mount_id, ())
    return MountTable(tuple(found))
