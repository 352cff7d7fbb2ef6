"""A plan of changes in words: a line each, as terraform has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mountplan.planner.change.change_plan import ChangeLine, ChangePlan
from mountplan.planner.names import LeftOut
from mountplan.planner.plan.plan import Plan
from mountplan.planner.render.fitting import wrapped, wrapped_text
from mountplan.planner.render.left_out_text import left_out_data, left_out_text, left_out_words
from mountplan.planner.render.words import count, padded, visible, width

_MOST = 60  # lines, unless all are wanted
_VERBS = (("+", "add", "added"), ("~", "change", "changed"), ("swap", "swap", "swapped"), ("-", "remove", "removed"))


def change_text(plan: Plan, found: ChangePlan, *, everything: bool = False, room: int | None = None) -> str:
    """The preview: the changes, who notices, what else is to tell, and the counts; `room` as in fitting.py."""
    return wrapped_text(_change_text(plan, found, everything, room), room)


def _change_text(plan: Plan, found: ChangePlan, everything: bool, room: int | None) -> str:
    label, left_out = visible(found.label), plan.expected.left_out
    if not found.changes and not found.obstacles:
        says = f"{label} stands as {visible(plan.file)} says{left_out_words(left_out)}: nothing to do.\n"
        return f"{says}{left_out_text(left_out)}{_asides(found)}"
    lines = [f"What would change in {label}:", ""]
    shown = found.changes if everything or len(found.changes) <= _MOST + 1 else found.changes[:_MOST]
    several = len(found.tables) > 1
    places = [_place(one, several) for one in shown]
    whats = [visible(one.what) for one in shown]
    left = max((width(place) for place in places), default=0)
    middle = min(60, max((width(what) for what in whats), default=0))
    beside = " " * (left + 10)
    for one, place, what in zip(shown, places, whats, strict=True):
        line = f"  {one.sign:<4}  {padded(place, left)}  {padded(what, middle)}  {visible(one.reason)}".rstrip()
        if room is None or width(line) <= room:
            lines.append(line)
        else:  # below each other what has no room beside each other
            lines += wrapped(f"  {one.sign:<4}  {padded(place, left)}  {what}", room, left + 8)
            lines += wrapped(f"{beside}{visible(one.reason)}", room) if one.reason else []
        lines += [f"{beside}noticed by {visible(user)}" for user in one.notices]
    if len(shown) < len(found.changes):
        lines.append(f"  ... and {len(found.changes) - len(shown):,} more: --all shows them")
    lines.append("")
    text = "\n".join(lines) + _asides(found)
    if found.spread:
        text += "Seen outside:\n" + "".join(f"  {visible(one)}\n" for one in found.spread)
    omitted = f"\n{left_out_text(left_out)}" if left_out else ""
    return text + counts_text(found) + omitted + refusals_text(plan, found)


def counts_text(found: ChangePlan) -> str:
    counts = found.counts()
    told = ", ".join(f"{counts[sign]:,} to {verb}" for sign, verb, _ in _VERBS if counts[sign]) or "nothing to change"
    changed = {(one.namespace, one.mount, one.layer) for one in found.changes if one.sign != "-"}
    layers = Counter((namespace, mount) for namespace, mount, _ in changed)
    mounts = Counter((name, row.mountpoint) for name, table in found.tables for row in table.rows)
    untouched = sum(max(0, number - layers[place]) for place, number in mounts.items())
    stays = "stays as it is" if untouched == 1 else "stay as they are"
    return f"{told}; {count(untouched, 'mount')} {stays}.\n"


def refusals_text(plan: Plan, found: ChangePlan) -> str:
    """Why it is refused, one paragraph a reason."""
    if not found.obstacles:
        return ""
    lines = ["", f"Refused, for {count(len(found.obstacles), 'reason')}:"]
    for one in found.obstacles:
        place = f"{visible(str(plan.ref(one.origin)))}: " if one.origin else ""
        lines.append(f"  {place}{visible(one.what)}")
        if one.remedy:
            lines.append(f"    remedy: {visible(one.remedy)}")
    return "\n".join(lines) + "\n"


def _asides(found: ChangePlan) -> str:
    return "".join(f"  note: {visible(one)}\n" for one in found.asides) + ("\n" if found.asides else "")


def _place(one: ChangeLine, several: bool) -> str:
    namespace = f"{one.namespace}:" if several else ""
    return visible(f"{namespace}{one.mount}") + (f" ({one.layer})" if one.layer else "")


_OUTCOMES = {
    "changed": "Changed",
    "stands": "Nothing to change in",
    "finished": "Finished the change of",
    "taken back": "Took back the change of",
}


def changed_text(
    found: ChangePlan, outcome: str, mounts: int, seconds: float, outside: Sequence[str],
    left_out: Sequence[LeftOut] = (), *, everything: bool = False,
) -> str:  # fmt: skip
    """What was done: the changes in short, and what stands there now."""
    label = visible(found.label)
    counted = count(mounts, "mount") + left_out_words(left_out)
    beside = left_out_text(left_out)
    if not found.changes:
        return f"{_OUTCOMES[outcome]} {label}: {counted}, compared with the spec.\n{beside}{_asides(found)}"
    several = len(found.tables) > 1
    lines = [f"{_OUTCOMES[outcome]} {label}: {_done(found)}, {seconds:.2f} s", ""]
    shown = found.changes if everything else found.changes[:_MOST]
    lines += [f"  {one.sign:<4}  {_place(one, several)}" for one in shown]
    if len(shown) < len(found.changes):
        lines.append(f"  ... and {len(found.changes) - len(shown):,} more: --all shows them")
    all_else = ", all else as the spec says" if left_out else ", as the spec says"
    lines += ["", f"Read back and compared: {counted}{all_else}."]
    lines += [f"Outside, meanwhile: {visible(one)}" for one in outside]
    return "\n".join(lines) + "\n" + beside + _asides(found)


def _done(found: ChangePlan) -> str:
    counts = found.counts()
    return ", ".join(f"{counts[sign]:,} {done}" for sign, _, done in _VERBS if counts[sign])


def change_data(plan: Plan, found: ChangePlan) -> dict[str, Any]:
    """The same as values for JSON."""
    counts, names = found.counts(), {sign: verb for sign, verb, _ in _VERBS}
    return {
        "name": found.label,
        "file": plan.file,
        "changes": [
            {
                "change": names[one.sign],
                "namespace": one.namespace,
                "mount": one.mount,
                "layer": one.layer,
                "what": one.what,
                "reason": one.reason,
                **_place_in_spec(plan, one.origin),
                "noticed_by": list(one.notices),
            }
            for one in found.changes
        ],
        "counts": {name: counts[sign] for sign, name in names.items()},
        "left_out": left_out_data(plan.expected.left_out),
        "notes": list(found.asides),
        "seen_outside": list(found.spread),
        "refused": [
            {"code": one.kind, "message": one.what, "remedy": one.remedy, **_place_in_spec(plan, one.origin)}
            for one in found.obstacles
        ],
        "steps": len(found.steps),
    }


def _place_in_spec(plan: Plan, origin: str) -> dict[str, Any]:
    ref = plan.ref(origin) if origin else None
    return {"key": ref.key, "line": ref.line} if ref is not None else {"key": "", "line": 0}
