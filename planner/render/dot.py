"""A plan as a picture for Graphviz: `mountplan plan SPEC --format dot | dot -Tsvg`."""

from __future__ import annotations

from mountplan.planner.plan.plan import Plan
from mountplan.planner.render.picture import Box, picture_of

_STYLE = {
    "mounted": "",
    "peer": " [style=dashed, dir=none, constraint=false]",
    "slave": " [style=dashed, constraint=false]",
    "master": " [style=dashed]",
}


def plan_dot(plan: Plan) -> str:
    """Solid lines lead from a mount to what stands on it; dashed ones to peer groups, with an arrow where events go."""
    picture = picture_of(plan)
    several = len(picture.clusters) > 1
    lines = [
        f"digraph {_quoted(picture.title)} {{",
        "  rankdir=LR;",
        '  node [shape=box, fontname="monospace", fontsize=10];',
    ]
    for number, cluster in enumerate(picture.clusters):
        indent = "    " if several else "  "
        if several:
            lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(cluster.name)};"]
        lines += [f"{indent}{box.key} [label={_label(box)}];" for box in cluster.mounts]
        for around in cluster.groups:
            lines += [f"{indent}subgraph cluster_{around.group.key} {{", f"{indent}  style=dashed;"]
            lines.append(f"{indent}  {around.group.key} [label={_label(around.group)}, shape=ellipse, style=dashed];")
            lines += [f"{indent}  {box.key} [label={_label(box)}];" for box in around.peers]
            lines.append(f"{indent}}}")
        if several:
            lines.append("  }")
    lines += [f"  {box.key} [label={_label(box)}, shape=ellipse, style=dashed];" for box in picture.groups]
    lines += [f"  {line.start} -> {line.end}{_STYLE[line.kind]};" for line in picture.lines]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    r"""A quoted string of the DOT language. Doubling a backslash keeps it from being read as \n, \l or \N."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _label(box: Box) -> str:
    return '"' + "\\n".join(_quoted(line)[1:-1] for line in box.lines) + '"'
