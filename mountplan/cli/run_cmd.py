"""run: builds what a spec says for one command, and ends as that command."""

from __future__ import annotations

import sys

from mountplan import api
from mountplan.cli.inner_command import add_misplaced, check_place
from mountplan.cli.progress import reporter_for
from mountplan.cli.shared_options import SPEC_OR_PLAN, add_building, add_calls, add_set, settings_of, show_calls
from mountplan.cli.sources import plan_from
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible, visible_lines
from mountplan.planner.errors import CommandNotStarted
from mountplan.planner.light import without_collector

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand
    from mountplan.planner.plan.plan import Plan


def add(command: NewCommand) -> None:
    parser = command(
        "build it for one command, and forget it",
        "Build and verify the mount tree, run a command in it, and let it go again. The\n"
        "exit status is the command's (128 + n if signal n ended it). Without a command:\n"
        "the spec's [run] command, or your shell.",
        "  mountplan run shop.toml -- ls -l /srv\n  mountplan run plan.json -- env\n  mountplan run shop.toml",
    )
    parser.usage = "mountplan run [options] SPEC [-- COMMAND...]"
    parser.add_argument("spec", metavar="SPEC", help=SPEC_OR_PLAN)
    add_set(parser)
    parser.add_argument("--namespace", metavar="NAME", default="", help="which of several namespaces (the first)")
    add_building(parser)
    parser.add_argument(
        "--json-status-fd",
        metavar="FD",
        type=int,
        help="write a line of JSON there when the command runs (child-pid) and when it has ended (exit-code)",
    )
    add_calls(parser)
    add_misplaced(parser)


@without_collector  # which would look through a large plan again and again, until this is another program
def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Build, verify, and end as a command in it; the status is the command's."""
    from mountplan.cli.planning_timeout import PlanningTimeout
    from mountplan.cli.sign_of_life import sign_of_life

    check_place(args, args.spec)
    with PlanningTimeout(args.timeout, output), sign_of_life("planning", output):
        made = args.made = plan_from(args.spec, settings_of(args), cache=not args.no_cache)
    names = [namespace.name for namespace in made.expected.namespaces]
    if args.namespace and args.namespace not in names:
        known = f"there are: {', '.join(map(visible, names))}" if names != [""] else "the spec has one, without a name"
        raise UsageError(f"no namespace is called {visible(args.namespace)!r}; {known}")
    api.check_mount_count(made, args.max_mounts)
    show_calls(args)
    command: tuple[str, ...] = args.after or made.run.command or (api.shell(),)
    tell = _error_as_json(made, output) if output.as_json else None
    with reporter_for("building", output) as reporter:
        try:
            api.execute(
                made,
                command,
                reporter,
                namespace=args.namespace,
                status_fd=args.json_status_fd,
                rootless=args.rootless,
                timeout=args.timeout or None,
                tell=tell,
            )
        except CommandNotStarted as error:
            if output.as_json:
                raise
            sys.stderr.write(visible_lines(f"mountplan: {error}\n"))
            return error.exit_status
        except SystemExit as ended:  # a process had to wait for the command
            return int(ended.code or 0)


def _error_as_json(made: Plan, output: Output) -> Callable[[CommandNotStarted], bytes]:
    """How to tell an error as JSON. What that takes is loaded now: it is asked inside the new root."""
    import json  # noqa: F401

    from mountplan.planner.render.problems import error_data

    return lambda error: output.json_of_error(error_data(error, made))
