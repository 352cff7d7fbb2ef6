"""enter: becomes a command in namespaces that are kept."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from mountplan import api
from mountplan.cli.inner_command import add_misplaced, check_place
from mountplan.cli.kept_argument import kept_name, told_for_what_it_is
from mountplan.cli.shared_options import add_rootless
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible_lines
from mountplan.planner.errors import CommandNotStarted

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


def add(command: NewCommand) -> None:
    parser = command(
        "run a command in kept namespaces",
        "Enter what `mountplan apply` keeps under a name and become the command, as the\n"
        "spec's [run] says: environment, directory, capabilities. No other process is\n"
        "left around it. Without a command: your shell. Of several mount namespaces the\n"
        "first is entered, unless one is named after a slash.",
        "  mountplan enter shop\n  mountplan enter shop -- ls -l /srv\n  mountplan enter pair/left -- findmnt",
    )
    parser.usage = "mountplan enter [options] NAME[/NAMESPACE] [-- COMMAND...]"
    parser.add_argument("name", metavar="NAME", help="a kept name, and maybe one of its mount namespaces")
    add_rootless(parser)
    add_misplaced(parser)


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Become the command, inside. Returns only if it cannot be started."""
    from mountplan.cli.kept_output import tidy

    check_place(args, args.name)
    name, slash, namespace = kept_name(args.name).partition("/")
    if slash and not namespace:
        raise UsageError("there is no namespace after the slash")
    try:
        with told_for_what_it_is(args.name, "enter"):
            tidy(output)
            api.enter(name, namespace, args.after or (), rootless=args.rootless, tell=partial(_told, output))
    except CommandNotStarted as error:
        sys.stderr.write(_told(output, error).decode())
        sys.stderr.flush()
        return error.exit_status


def _told(output: Output, error: CommandNotStarted) -> bytes:
    """We may be inside already, where nothing can be imported any more: so without frame.tell, and what that takes."""
    if output.as_json:
        data = {"code": error.code, "exit_status": error.exit_status, "message": error.what, "remedy": error.remedy}
        return output.json_of_error(data)  # json has been imported, to read the state
    return visible_lines(f"mountplan: {error}\n").encode(errors="backslashreplace")
