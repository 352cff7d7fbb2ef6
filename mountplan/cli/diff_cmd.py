"""diff: how two mount trees differ."""

from __future__ import annotations

from mountplan import api
from mountplan.cli.shared_options import add_all, add_set, settings_of
from mountplan.planner.characters import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand

_SIDES = """\
A side is a spec (NAME.toml), a saved plan (NAME.json), a kept name, the number
of a process, a namespace file, or a file with the text of /proc/PID/mountinfo.
If it could be two of these, say which: spec:FILE, plan:FILE, name:NAME, pid:N,
ns:FILE, mountinfo:FILE. Processes, namespace files and mountinfo files with
commas between them are several namespaces of one side."""


def add(command: NewCommand) -> None:
    parser = command(
        "tell how two mount trees differ: of specs, plans, names, processes, files",
        "Compare the mount tables of two sides, mount by mount: tree, filesystems and\n"
        "their options, roots, attributes, peer groups, masters, id-mappings. Ids of\n"
        "mounts, groups and devices may be others, if they are so consistently. Exit\n"
        "status 0 if both are the same, 1 if they differ, 2 if that cannot be told.\n\n" + _SIDES,
        "  mountplan diff shop.toml 1234\n"
        "  mountplan diff old.toml new.toml\n"
        "  mountplan diff shop pid:self\n"
        "  mountplan diff pid:12,pid:34 pair          # two processes, and a kept pair\n"
        "  ssh web cat /proc/1/mountinfo | mountplan diff 1 mountinfo:-",
    )
    parser.add_argument("first", metavar="A", help="one side")
    parser.add_argument("second", metavar="B", help="the other")
    add_set(parser)
    add_all(parser, "every mount that is different")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Exit status 1 if there is a difference."""
    from mountplan.cli.comparison_output import count_text, left_out_of, print_comparison, size_text
    from mountplan.cli.trial_notes import note_left_out

    found = api.diff(args.first, args.second, parameters=settings_of(args))
    one, other = visible(found.first.label), visible(found.second.label)
    same = f"The same: {one} and {other}, {size_text(found.first)}\n"
    different = f"A is {one}, B is {other}: {count_text(found)}\n\n"
    status = print_comparison(found, args, output, same, different, ("A", "B"))
    for side in (found.first, found.second):
        note_left_out(left_out_of(side), output, side.label)
    return status
