"""rm: lets kept namespaces go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mountplan.cli.kept_argument import kept_name, told_for_what_it_is
from mountplan.cli.shared_options import add_calls, show_calls
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible, visible_lines
from mountplan.planner.errors import MountplanError

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


def add(command: NewCommand) -> None:
    parser = command(
        "let kept namespaces go",
        "Let the namespaces of these names go. Processes that are in one stay there, and\n"
        "the kernel frees it when the last has left; but all processes of a pid namespace\n"
        "end with it.",
        "  mountplan rm shop\n  mountplan rm --all",
    )
    parser.usage = "mountplan rm [options] NAME... | --all"
    parser.add_argument("names", nargs="*", metavar="NAME", help="a kept name")
    parser.add_argument("--all", action="store_true", help="every name")
    add_calls(parser)


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Let names go; all that can go do, and the first that cannot gives the exit status."""
    from mountplan.applier.keep import kept as names
    from mountplan.applier.keep import kept_changes
    from mountplan.cli.kept_output import tidy

    if args.all and args.names:
        raise UsageError("name what is to be removed, or --all, not both")
    if not args.all and not args.names:
        raise UsageError("name what is to be removed, or say --all")
    show_calls(args)
    with told_for_what_it_is(args.names[0] if args.names else "", "rm"):
        tidy(output)
    wanted = names.names() if args.all else tuple(dict.fromkeys(map(kept_name, args.names)))
    removed: list[str] = []
    problems: list[MountplanError] = []
    for name in wanted:
        staying = _staying(name) if not output.quiet else ""
        try:
            with told_for_what_it_is(name, "rm"):
                kept_changes.remove(name)
        except MountplanError as problem:
            problems.append(problem)
            continue
        removed.append(name)
        if not output.quiet and not output.as_json:
            output.result(f"Removed {visible(name)}\n")
            output.note(staying)
    if output.as_json:
        from mountplan.planner.render.problems import error_data

        output.data({"removed": removed, "errors": [error_data(error) for error in problems]})
    else:
        for error in problems:
            output.error(visible_lines(f"mountplan: {error}\n"), {})
    if args.all and not wanted:
        output.note("Nothing is kept.\n")
    return problems[0].exit_status if problems else 0


def _staying(name: str) -> str:
    """A note of the processes that are in what a name keeps, and stay: what they use is busy until they have left."""
    from mountplan.applier.keep import kept
    from mountplan.applier.observe.mount_users import users_of
    from mountplan.planner.render.words import listed

    try:
        with kept.opened(name) as found:
            one = found.kept
    except MountplanError:
        return ""  # as the removal says
    if any(space.kind == "pid" for space in one.namespaces):
        return ""  # they end with it
    users = {
        user.pid: user.command for some in users_of([space.inode for space in one.mounts]).values() for user in some
    }
    if one.keeper is not None:
        users.pop(one.keeper.pid, None)
    words = listed([f"{command} ({pid})" for pid, command in sorted(users.items())])
    return f"Still in {visible(name)}, whose mounts stay until they end: {visible(words)}\n" if users else ""
