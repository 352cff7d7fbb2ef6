"""What a simulated script has come to, as text and as JSON."""

from __future__ import annotations

from typing import Any

from mountplan.planner.render.fitting import wrapped_text
from mountplan.planner.render.kernel_comparison import KernelComparison
from mountplan.planner.render.table_text import table_lines
from mountplan.planner.render.words import count, listed, visible, visible_lines
from mountplan.planner.shell.simulate import Done, SeenTable, Simulation, errno_words
from mountplan.planner.tables.table import MountTable


def simulation_text(
    simulation: Simulation, *, everything: bool = False, quiet: bool = False, room: int | None = None
) -> str:
    """Failed commands, the tables that the script asked for, those at its end, and who shares with whom.

    Unless it is to be `quiet`, also what calls did elsewhere than where they were made. `room` as in fitting.py.
    """
    names = group_names([one.table for one in simulation.seen])
    lines = []
    for done in simulation.done:
        if done.errno:
            lines.append(failure_text(done))
        elif done.elsewhere and not quiet:
            lines.append(f"line {done.line}: {done.action.describe()}: {'; '.join(done.elsewhere)}")
    if lines:
        lines.append("")
    for one in simulation.seen:
        title = f"line {one.line}: " if one.line else ""
        if title or len(simulation.final) > 1:
            lines.append(f"{title}what process {one.process} sees")
        lines += table_lines(one.table, names, fold=not everything, room=room)
        lines.append("")
    lines += sharing_lines(simulation.final, names)
    lines += passed_lines(simulation.passed)
    return wrapped_text(visible_lines("\n".join(lines).rstrip("\n")), room)


def passed_lines(passed: tuple[tuple[int, str], ...]) -> list[str]:
    """What the script has that means nothing for mounts."""
    if not passed:
        return []
    names = listed(list(dict.fromkeys(name for _, name in passed)))
    return ["", f"Passed over, as they do nothing with mounts: {count(len(passed), 'command')} ({names})."]


def failure_text(done: Done) -> str:
    return f"line {done.line}: cannot {done.action.describe()}: {errno_words(done.errno)}: {done.why}"


def group_names(tables: list[MountTable]) -> dict[int, str]:
    """Numbers from 1 on for all groups, in the order in which the tables have them."""
    names: dict[int, str] = {}
    for table in tables:
        for row in table.rows:
            for number in (row.peer_group, row.master, row.propagate_from):
                if number and number not in names:
                    names[number] = str(len(names) + 1)
    return names


def sharing_lines(looks: tuple[SeenTable, ...], names: dict[int, str]) -> list[str]:
    """One line for each peer group: its members, and the mounts that are its slaves."""
    members: dict[int, list[str]] = {}
    slaves: dict[int, list[str]] = {}
    masters: dict[int, int] = {}
    for one in looks:
        where = f" of process {one.process}" if len(looks) > 1 else ""
        for row in one.table.rows:
            place = f"{row.mountpoint}{where}"
            if row.peer_group:
                members.setdefault(row.peer_group, []).append(place)
                if row.master:
                    masters[row.peer_group] = row.master
            elif row.master:
                slaves.setdefault(row.master, []).append(place)
    if not members and not slaves:
        return ["Nothing is shared."]
    lines = []
    for number in sorted({*members, *slaves, *masters.values()}, key=lambda one: int(names[one])):
        peers = members.get(number, [])
        text = f"peer group {names[number]}: {listed(peers)}" if peers else f"peer group {names[number]}: none here"
        if number in masters:
            text += f"; receives from group {names[masters[number]]}"
        if number in slaves:
            text += f"; slaves: {listed(slaves[number])}"
        lines.append(text)
    return lines


def simulation_data(simulation: Simulation, comparison: KernelComparison | None = None) -> dict[str, Any]:
    """The same as JSON; with `comparison`, what the kernel did otherwise."""
    names = group_names([one.table for one in simulation.seen])
    data: dict[str, Any] = {
        "calls": [
            {
                "line": one.line,
                "process": one.process,
                "call": type(one.action).__name__,
                "what": visible(one.action.describe()),
                "errno": errno_words(one.errno).split()[0] if one.errno else None,
                "why": one.why or None,
                "elsewhere": list(one.elsewhere),
            }
            for one in simulation.done
        ],
        "passed_over": [{"line": line, "command": name} for line, name in simulation.passed],
        "looks": [_look(one, names) for one in simulation.seen if one.line],
        "namespaces": [_look(one, names) for one in simulation.final],
    }
    if comparison is not None:
        data["differences"] = list(comparison.differences)
    return data


def _look(one: SeenTable, names: dict[int, str]) -> dict[str, Any]:
    return {
        "line": one.line or None,
        "process": one.process,
        "mounts": [
            {
                "id": row.mount_id,
                "parent": row.parent_id,
                "mountpoint": row.mountpoint,
                "source": row.source,
                "root": row.root,
                "fstype": row.fstype,
                "attributes": row.attributes,
                "options": row.options,
                "peer_group": _group(row.peer_group, names),
                "master": _group(row.master, names),
                "propagate_from": _group(row.propagate_from, names),
                "unbindable": row.unbindable,
            }
            for row in one.table.rows
        ],
    }


def _group(number: int, names: dict[int, str]) -> int | None:
    return int(names[number]) if number else None
