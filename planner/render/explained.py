"""Answers about propagation as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mountplan.planner.ask.explain import Answer, ExplainedGroup, Origin, Spot, places, spot_text
from mountplan.planner.ask.reach import Reach
from mountplan.planner.characters import visible
from mountplan.planner.model.from_tables import OUTSIDE
from mountplan.planner.render.words import count, listed

_WHAT = {
    "appears": "appears",
    "appears below": "appears, below what is mounted there already",
    "vanishes": "vanishes",
    "sinks": "stays, and sinks",
}


def groups_text(groups: tuple[ExplainedGroup, ...], here: str) -> str:
    """Who receives from whom, one paragraph for each peer group, one line for each mount that is a slave only."""
    if not groups:
        return f"Nothing in {here} is shared, and nothing in it is a slave: no event comes in, and none goes out.\n"
    lines: list[str] = []
    for group in groups:
        lines += _shared(group, here) if group.number else _slave(group, here)
    return _lines([*lines, *_border(groups, here)])


def _shared(group: ExplainedGroup, here: str) -> list[str]:
    members = places(group.members, here)
    head = f"Peer group {group.number}: {listed(members)}"
    lines = [head]
    if len(members) > 1:
        lines.append("  what is mounted or unmounted in one of them is so in all")
    if group.above:
        lines.append(f"  receives from group {group.above[0]}" + _further(group.above))
    if group.below:
        lines.append(f"  sends to its slaves: {listed(places(group.below, here))}")
    return lines


def _slave(group: ExplainedGroup, here: str) -> list[str]:
    name = spot_text(group.members[0], here)
    return [f"{name} is a slave of group {group.above[0]}{_further(group.above)}: it receives, and nothing leaves it"]


def _further(above: tuple[int, ...]) -> str:
    return f" (which receives from group {', and that from group '.join(map(str, above[1:]))})" if above[1:] else ""


def _border(groups: tuple[ExplainedGroup, ...], here: str) -> list[str]:
    """What crosses the border of the namespace, in one sentence each way."""
    by_number = {group.number: group for group in groups if group.number}
    leaves: list[str] = []
    enters: list[str] = []
    for group in groups:
        own = [spot for spot in group.members if spot.namespace == here]
        if not own:
            continue
        to = [spot for spot in (*group.members, *group.below) if spot.namespace != here]
        above = (spot for number in group.above for spot in by_number[number].members)
        sources = [spot for spot in (*group.members, *above) if spot.namespace != here]
        if group.number and to:
            leaves += [f"{spot.path} -> {_namespaces(to)}" for spot in own]
        if sources:
            enters += [f"{_namespaces(sources)} -> {spot.path}" for spot in own]
    lines = ["", f"Into {here} from elsewhere: {listed(enters) if enters else 'nothing'}"]
    lines.append(f"Out of {here}: {listed(leaves) if leaves else 'nothing'}")
    return lines


def _namespaces(spots: list[Spot]) -> str:
    names = dict.fromkeys("outside" if spot.namespace == OUTSIDE else spot.namespace for spot in spots)
    return listed(list(names), 3)


def _lines(lines: Iterable[str]) -> str:
    """Each of them is one, whatever names are in it."""
    return "".join(f"{visible(line)}\n" for line in lines)


def answer_text(answer: Answer, here: str) -> str:
    """What an event would do, place by place, with the chain of reasons below each."""
    depends = [f"  not known: {one}" for one in answer.depends]
    if answer.refused and not answer.effects:
        return _lines((f"{answer.event} would be refused: {answer.refused}", *depends))
    lines = [f"{answer.event}: {count(len(answer.effects), 'place')}"]
    if answer.refused:
        lines.append(f"  refused as it is: {answer.refused}")
    for effect in answer.effects:
        below = f", with {count(effect.with_it, 'mount')} below it" if effect.with_it else ""
        lines.append(f"  {spot_text(effect.spot, here)} {_WHAT[effect.what]}{below}")
        lines += [f"    {step}" for step in effect.chain]
    return _lines(lines + depends)


def reach_text(reach: Reach, here: str) -> str:
    """Whether an event reaches another namespace: where, or what is in the way and what would have to change."""
    if reach.refused:
        return _lines((f"{reach.event} would be refused: {reach.refused}",))
    if reach.effects:
        lines = [f"{reach.event} reaches {reach.other}:"]
        for effect in reach.effects:
            lines.append(f"  {spot_text(effect.spot, here)} {_WHAT[effect.what]}")
            lines += [f"    {step}" for step in effect.chain]
        return _lines(lines)
    lines = [f"{reach.event} does not reach {reach.other}:"]
    for obstacle in reach.obstacles:
        lines += [f"  {obstacle.why}", f"    to change that: {obstacle.remedy}"]
    return _lines(lines)


def origin_text(origin: Origin, here: str) -> str:
    lines = [f"{spot_text(origin.spot, here)} (mount {origin.spot.mount_id}):"]
    return _lines([*lines, *(f"  {reason}" for reason in origin.reasons)])


def groups_data(groups: tuple[ExplainedGroup, ...]) -> list[dict[str, Any]]:
    return [
        {
            "group": group.number or None,
            "members": [_spot(spot) for spot in group.members],
            "receives_from": list(group.above),
            "sends_to": [_spot(spot) for spot in group.below],
        }
        for group in groups
    ]


def answer_data(answer: Answer) -> dict[str, Any]:
    return {
        "event": answer.event,
        "refused": answer.refused or None,
        "depends": list(answer.depends),
        "effects": [
            {**_spot(one.spot), "what": one.what, "with_mounts_below": one.with_it, "chain": list(one.chain)}
            for one in answer.effects
        ],
    }


def reach_data(reach: Reach) -> dict[str, Any]:
    return {
        "event": reach.event,
        "namespace": reach.other,
        "refused": reach.refused or None,
        "reaches": [{**_spot(one.spot), "what": one.what, "chain": list(one.chain)} for one in reach.effects],
        "obstacles": [
            {"mount": _spot(one.spot) if one.spot is not None else None, "why": one.why, "remedy": one.remedy}
            for one in reach.obstacles
        ],
    }


def origin_data(origin: Origin) -> dict[str, Any]:
    return {**_spot(origin.spot), "reasons": list(origin.reasons)}


def _spot(spot: Spot) -> dict[str, Any]:
    return {"namespace": spot.namespace, "path": spot.path, "mount_id": spot.mount_id or None}
