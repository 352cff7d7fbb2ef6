"""The steps of a plan, numbered, with a short reason each; what repeats thousands of times is told once."""

from __future__ import annotations

from mountplan.planner.plan.steps import OpenNamespace, Step, UnshareNamespace
from mountplan.planner.record import NamedTuple
from mountplan.planner.render.fitting import fitted_between, wrapped
from mountplan.planner.render.index import PlanIndex
from mountplan.planner.render.reasons import short_reason
from mountplan.planner.render.words import count, visible

_LONGEST_CYCLE = 12  # a mount takes fewer steps than this
# Nothing is folded in a plan that a few screens hold.
_FEW_STEPS = 160
_FEWEST_REPEATS = 4
_FEWEST_STEPS = 18
_MOST_LINES = 160

_CUT_OFF, _PREPARE, _BUILD, _ENTER = range(4)
_TITLES = ("Cut off from the host", "Workbenches and seeds", "The tree, from its root down", "Enter it")
_CUTS_OFF = ("unshare_namespace", "take_host_group", "make_id_map", "make_user_namespace", "make_yard", "make_private")
_BUILDS = ("make_stage", "own_namespace", "open_namespace", "make_base", "clone_mount", "attach")
_PHASE_OF = {**dict.fromkeys(_CUTS_OFF, _CUT_OFF), **dict.fromkeys(_BUILDS, _BUILD), "enter_root": _ENTER}


class _Item(NamedTuple):
    number: int
    step: Step


def step_lines(index: PlanIndex, *, everything: bool, room: int | None = None) -> list[str]:
    """`everything` shows each step, and those that only close a descriptor too. `room` as in fitting.py."""
    digits = len(str(len(index.plan.steps)))
    rows: list[tuple[str, ...] | str] = []
    releases = 0
    everything_fits = sum(1 for step in index.plan.steps if step.kind != "release") <= _FEW_STEPS
    for title, steps in _phases(index.plan.steps):
        shown = steps if everything else [item for item in steps if item.step.kind != "release"]
        releases += len(steps) - len(shown)
        rows.append(f"  {title}")
        for part in [shown] if everything or everything_fits else _cut(_fold(shown)):
            rows += [f"    {part}"] if isinstance(part, str) else [_row(item, index, digits) for item in part]
    found = fitted_between(rows, (4 + digits, 44), room)
    if releases:
        hidden = f"  not shown: {count(releases, 'step')} that close a descriptor after its last use (--all)"
        found += wrapped(hidden, room)
    return found


def _row(item: _Item, index: PlanIndex, digits: int) -> tuple[str, ...]:
    return f"    {item.number:>{digits}}", visible(item.step.describe()), short_reason(item.step, index)


def _phases(steps: tuple[Step, ...]) -> list[tuple[str, list[_Item]]]:
    """The steps under headings, in their order; where a plan goes on in another namespace, the headings begin anew."""
    found: list[tuple[str, list[_Item]]] = []
    phase, name = -1, ""
    for number, step in enumerate(steps, 1):
        now = _phase(step, phase)
        if isinstance(step, UnshareNamespace | OpenNamespace):
            name = f" (namespace {visible(step.namespace)})" if step.namespace else ""
            phase = -1
        if now > phase:
            phase = now
            found.append((_TITLES[now] + name, []))
        found[-1][1].append(_Item(number, step))
    return found


def _phase(step: Step, phase: int) -> int:
    """Most kinds of steps are at home in one phase; those that make things are for a workbench or for a mount."""
    if step.kind in _PHASE_OF:
        return _PHASE_OF[step.kind]
    if phase == _CUT_OFF and step.kind == "clone_host":
        return _CUT_OFF
    return _BUILD if getattr(step, "mount", "") else max(phase, _PREPARE)


def _fold(items: list[_Item]) -> list[list[_Item] | str]:
    """Where the same kinds of steps come again and again, keep two rounds and the last; a line for the rest."""
    kinds = [item.step.kind for item in items]
    total = len(kinds)
    best_period, best_span = [0] * total, [0] * total
    for period in range(1, _LONGEST_CYCLE + 1):
        run = 0
        for at in range(total - period - 1, -1, -1):
            run = run + 1 if kinds[at] == kinds[at + period] else 0
            if run and run + period > best_span[at]:
                best_period[at], best_span[at] = period, run + period
    found: list[list[_Item] | str] = []
    plain: list[_Item] = []
    at = 0
    while at < total:
        period = best_period[at]
        rounds = best_span[at] // period if period else 0
        if rounds < _FEWEST_REPEATS or rounds * period < _FEWEST_STEPS:
            plain.append(items[at])
            at += 1
            continue
        first, last, end = at + 2 * period, at + (rounds - 1) * period, at + rounds * period
        plain += items[at:first]
        what = ", ".join(kind.replace("_", " ") for kind in kinds[at : at + period])
        hidden = f"... {items[first].number:,} to {items[last - 1].number:,}:"
        found += [plain, f"{hidden} {rounds - 3:,} times more {what} (--all shows them)"]
        plain = items[last:end]
        at = end
    return [*found, plain]


def _cut(parts: list[list[_Item] | str]) -> list[list[_Item] | str]:
    """Steps that do not repeat in rounds, but are too many all the same: the first, the last, and what is between."""
    lines: list[_Item | str] = []
    for part in parts:
        lines += [part] if isinstance(part, str) else part
    if len(lines) <= _MOST_LINES + 20:
        return parts
    head, tail = lines[: _MOST_LINES - 20], lines[-20:]
    first = next(line.number for line in reversed(head) if isinstance(line, _Item))
    last = next(line.number for line in tail if isinstance(line, _Item))
    note = f"... {first + 1:,} to {last - 1:,}: {count(last - first - 1, 'more step')} (--all shows them)"
    return [[line] if isinstance(line, _Item) else line for line in (*head, note, *tail)]
