"""A plan as a Mermaid flowchart, which many viewers of Markdown draw."""

from __future__ import annotations

import re

from mountplan.planner.plan.plan import Plan
from mountplan.planner.render.picture import Box, picture_of

_ARROW = {"mounted": "-->", "peer": "-.-", "slave": "-.->", "master": "-.->"}
# Letters, digits and the signs that paths are made of mean nothing in a quoted label; whatever else is ASCII is written
# as a character code, which Mermaid undoes when it draws. ("#" and ";" are the escapes themselves.)
_SPECIAL = re.compile(r"[^A-Za-z0-9 /._,:=()+@-]")


def plan_mermaid(plan: Plan) -> str:
    """Solid arrows lead from a mount to what stands on it; dotted lines to peer groups, with arrows where events go."""
    picture = picture_of(plan)
    several = len(picture.clusters) > 1
    lines = ["flowchart LR"]
    for number, cluster in enumerate(picture.clusters):
        if several:
            lines.append(f'  subgraph n{number}["{_escaped(cluster.name)}"]')
        lines += [f'  {box.key}["{_label(box)}"]' for box in cluster.mounts]
        for around in cluster.groups:
            lines.append(f'  subgraph {around.group.key}c["{_escaped(around.group.lines[0])}"]')
            lines.append(f'  {around.group.key}(["{_label(around.group)}"])')
            lines += [f'  {box.key}["{_label(box)}"]' for box in around.peers]
            lines.append("  end")
        if several:
            lines.append("  end")
    lines += [f'  {box.key}(["{_label(box)}"])' for box in picture.groups]
    lines += [f"  {line.start} {_ARROW[line.kind]} {line.end}" for line in picture.lines]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda match: f"#{ord(match[0])};", text)


def _label(box: Box) -> str:
    return "<br/>".join(map(_escaped, box.lines))
