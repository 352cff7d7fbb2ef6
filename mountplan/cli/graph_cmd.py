"""graph: a picture of mounts and of who shares with whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mountplan.cli.shared_options import add_set, settings_of
from mountplan.cli.sources import note_saved, save
from mountplan.cli.trial_notes import note_left_out
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand
    from mountplan.drawing import Drawn
    from mountplan.planner.render.lanes import LaneChart

_SUFFIXES = {".txt": "text", ".svg": "svg", ".html": "html", ".htm": "html"}
_OTHER_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf", ".dot", ".mmd", ".json", ".toml")


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
        "  mountplan graph pid:self --shared        # without the private mounts\n"
        "  mountplan graph 1,4711                   # two processes\n"
        "  mountplan graph build-root.sh            # what stands there in the end\n"
        "  mountplan graph shop.toml -o shop.svg\n"
        "  mountplan graph shop.toml -o shop.html   # for a browser, with the steps",
    )
    parser.add_argument("what", metavar="WHAT", help="what to draw")
    add_set(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="save the picture there (standard output)")
    parser.add_argument("--format", choices=("text", "svg", "html"), help="what to make (by the name of FILE; text)")
    parser.add_argument("--shared", action="store_true", help="leave out what neither sends nor receives anything")
    parser.add_argument(
        "--width", type=int, metavar="N", help="how many columns there are (those of the terminal; 0: no end)"
    )


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Exit status 0, or 2 if there is nothing to draw."""
    from mountplan.cli.lane_output import encodable
    from mountplan.drawing import drawn
    from mountplan.planner.render.lane_text import lane_lines
    from mountplan.planner.render.words import width

    if args.width is not None and args.width < 0:
        raise UsageError("--width: name a number of columns, or 0")
    found = drawn(args.what, parameters=settings_of(args))
    chart = _chart(found, args.shared)
    form = args.format or _format_of(args.output or "")
    if args.output not in (None, "-"):
        save(args.output, _rendered(form, found, chart, args.width or 0), errors="backslashreplace")
        note_saved(output, args.output)
        if output.as_json:
            output.data({"saved": args.output, "format": form} | _data(found, chart))
    elif output.as_json:
        output.data(_data(found, chart))
    elif form != "text":
        output.raw(_rendered(form, found, chart, 0))
    else:
        room = output.room or 0 if args.width is None else args.width
        picture = lane_lines(encodable(chart, output), room=room)
        output.drawing(picture)
        widest = max((width("".join(piece.text for piece in line).rstrip()) for line in picture), default=0)
        if room and widest > room:
            output.note(f"mountplan: the lanes need more than {room} columns: the picture has {widest}\n")
        if not chart.lines:
            output.note("mountplan: nothing is shared, and nothing is a slave\n")
    note_left_out(found.left_out, output)
    for failure in found.failures:
        output.note(f"mountplan: {visible(found.label)}: {visible(failure)}\n")
    if found.incomplete:
        from mountplan.planner.render.aside_text import TAKES_LISTMOUNT

        missing = f"what its root does not show is missing: {TAKES_LISTMOUNT}"
        output.note(f"mountplan: {visible(found.label)}: {missing}\n")
    return 0


def _chart(found: Drawn, only_shared: bool) -> LaneChart:
    from mountplan.planner.render.lanes import lane_chart

    shared = {row.peer_group or row.master for scene in found.scenes for row in scene.table.rows} - {0}
    return lane_chart(found.scenes, found.groups, only=shared if only_shared else None)


def _format_of(name: str) -> str:
    """By the end of the file's name; text where that says nothing. Raises UsageError where it says something else."""
    form = next((form for suffix, form in _SUFFIXES.items() if name.endswith(suffix)), "text")
    if form == "text" and name.lower().endswith(_OTHER_PICTURES):
        raise UsageError(f"-o {name}: a picture is saved as one of {', '.join(_SUFFIXES)}")
    return form


def _rendered(form: str, found: Drawn, chart: LaneChart, room: int) -> str:
    if form == "svg":
        from mountplan.planner.render.lane_svg import LaneDrawing

        return LaneDrawing(chart).svg(found.label)
    if form == "html":
        from mountplan.planner.render.lane_page import lane_page
        from mountplan.planner.render.plan_lanes import plan_play

        return lane_page(chart, found.label, plan_play(found.plan, found.scenes) if found.plan else None)
    from mountplan.planner.render.lane_text import lane_text

    return lane_text(chart, room=room)


def _data(found: Drawn, chart: LaneChart) -> dict[str, Any]:
    from mountplan.planner.render.left_out_text import left_out_data

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
        "failures": list(found.failures),
        "left_out": left_out_data(found.left_out),
    }
