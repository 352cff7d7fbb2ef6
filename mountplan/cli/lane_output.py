"""The sharing part of other commands' output: a picture with lanes, if it is worth one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mountplan.drawing import Drawn


def sharing_picture(found: Drawn, room: int | None, *, everything: bool = False) -> str:
    """What shares something, after an empty line; "" if nothing does, or if it is too long."""
    from mountplan.planner.render.lane_text import MOST_DRAWN, lane_text
    from mountplan.planner.render.lanes import lane_chart

    rows = [row for scene in found.scenes for row in scene.table.rows]
    only = {row.peer_group or row.master for row in rows} - {0}
    if found.only_named:
        only &= found.groups.names.keys()
    chart = lane_chart(found.scenes, found.groups, only=only)
    if not chart.lanes or (len(chart.lines) > MOST_DRAWN and not everything):
        return ""
    return "\n" + lane_text(chart, room=room or 0)
