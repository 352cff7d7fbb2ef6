"""graph: a picture of mounts and of who shares with whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mountplan.cli.sources import save
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand
    from mountplan.drawing import Drawn
    from mountplan.planner.render.lanes import LaneChart

_SUFFIXES = {".txt": "text"}


def add(command: NewCommand) -> None:
    parser = command(
        "draw the tree, with a lane for each peer group",
        "Draw the mounts as a tree, and to its right a lane for each peer group, as\n"
        "`git log --graph` has branches: which mounts are peers, which are slaves, and\n"
        "of whom. What to draw is a spec, a saved plan, a kept name, the number of a\n"
        "process, a namespace file, or a file with the text of /proc/PID/mountinfo, as\n"
        "for `mountplan diff`; or a script of mount commands (FILE.sh, script:FILE),\n"
        "which is carried out in the model. Several processes, with commas between\n"
        "them, are drawn below each other and share the lanes.",
        "  mountplan graph shop.toml\n"
        "  mountplan graph pid:self --shared        without the private mounts\n"
        "  mountplan graph 1,4711                   two processes\n"
        "  mountplan graph build-root.sh            what stands there in the end",
    )
    parser.add_argument("what", metavar="WHAT", help="what to draw")
    parser.add_argument("-o", "--output", metavar="FILE", help="save the picture there (standard output)")
    parser.add_argument("--format", choices=("text",), help="what to make (by the name of FILE; text)")
    parser.add_argument("--shared", action="store_true", help="leave out what neither sends nor receives anything")
    parser.add_argument(
        "--width", type=int, metavar="N", help="how many columns there are (those of the terminal; 0: no end)"
    )


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Exit status 0, or 2 if there is nothing to draw."""
    from mountplan.cli.lane_output import terminal_width
    from mountplan.drawing import drawn
    from mountplan.planner.render.lane_text import lane_lines, lane_text

    if args.width is not None and args.width < 0:
        raise UsageError("--width: name a number of columns, or 0")
    found = drawn(args.what)
    chart = _chart(found, args.shared)
    if args.output not in (None, "-"):
        save(args.output, lane_text(chart, room=args.width or 0), errors="backslashreplace")
        output.note(f"Saved to {visible(args.output)}\n")
    elif output.as_json:
        output.data(_data(found, chart))
    else:
        room = terminal_width() if args.width is None else args.width
        output.drawing(lane_lines(chart, room=room))
        if not chart.lines:
            output.note("mountplan: nothing is shared, and nothing is a slave\n")
    if found.incomplete:
        missing = "what its root does not show is missing: that takes Linux 6.11"
        output.note(f"mountplan: {visible(found.label)}: {missing}\n")
    return 0


def _chart(found: Drawn, only_shared: bool) -> LaneChart:
    from mountplan.planner.render.lanes import lane_chart

    only = None
    if only_shared:
        only = {row.peer_group or row.master for scene in found.scenes for row in scene.table.rows} - {0}
    return lane_chart(found.scenes, found.groups, only=only)


def _data(found: Drawn, chart: LaneChart) -> dict[str, Any]:
    called = {0: None} | {lane.group: lane.name for lane in chart.lanes.values()}
    return {
        "what": found.label,
        "groups": [
            {"name": lane.name, "of_host": lane.outside, "note": lane.note or None, "master": called.get(lane.master)}
            for lane in chart.lanes.values()
        ],
        "mounts": [
            {
                "namespace": chart.names[line.scene],
                "target": line.row.mountpoint,
                "what": line.what,
                "seen": line.mark or "yes",
                "peer_group": called.get(line.row.peer_group),
                "master": called.get(line.row.master),
            }
            for line in chart.lines
            if line.row is not None
        ],
    }
