"""The sharing part of other commands' output: a picture with lanes, if it is worth one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mountplan.cli.output import Output
    from mountplan.drawing import Drawn
    from mountplan.planner.render.lanes import LaneChart


def encodable(chart: LaneChart, output: Output) -> LaneChart:
    """With the names as they will be printed: escaped afterwards, they would shift the lanes."""
    lines = [
        line._replace(
            text=output.writable(line.text), what=output.writable(line.what), label=output.writable(line.label)
        )
        for line in chart.lines
    ]
    return chart._replace(lines=tuple(lines))


def sharing_picture(found: Drawn, output: Output, *, everything: bool = False) -> str:
    """What shares something, after an empty line; "" if nothing does, or if it is too long."""
    from mountplan.planner.render.lane_text import MOST_DRAWN, lane_text
    from mountplan.planner.render.lanes import lane_chart

    groups = [row.peer_group or row.master for scene in found.scenes for row in scene.table.rows]
    only = {*groups} - {0}
    if found.only_named:
        only &= found.groups.names.keys()
    if sum(group in only for group in groups) > MOST_DRAWN and not everything:  # each would have a line
        return ""
    chart = lane_chart(found.scenes, found.groups, only=only)
    if not chart.lanes or (len(chart.lines) > MOST_DRAWN and not everything):
        return ""
    return "\n" + lane_text(encodable(chart, output), room=output.room or 0)
