"""The arguments of the commands that live with kept namespaces: enter, ls, show, rm."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, TypeAlias

NewCommand: TypeAlias = Callable[[Any, str, str, str, str], argparse.ArgumentParser]


def add_living(commands: Any, command: NewCommand, add_rootless: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add them; `command` is parser.py's way to begin one, and `add_rootless` adds an option that others have too."""
    parser = command(
        commands,
        "enter",
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
    parser.add_argument("extra", nargs="*", default=[], help=argparse.SUPPRESS)  # to say that a "--" is missing
    command(
        commands,
        "ls",
        "list kept namespaces, and whether they still are what they were",
        "List what `mountplan apply` keeps: names, namespaces, how many mounts, how old,\n"
        "and whether each still is what was verified when it was kept (healthy) or not\n"
        "(drifted; `mountplan show NAME` says in what).",
        "  mountplan ls\n  mountplan ls --json | jq '.[] | select(.health != \"healthy\").name'",
    )
    parser = command(
        commands,
        "show",
        "show kept namespaces: their mounts, files, and what has changed",
        "Show what is kept under a name: the spec that it is from, its namespace files\n"
        "(for other programs, such as nsenter), what has changed since it was kept, and\n"
        "the mounts that stand there now.",
        "  mountplan show shop\n  mountplan show --json shop | jq -r '.namespaces[].file'",
    )
    parser.add_argument("name", metavar="NAME", help="a kept name")
    parser.add_argument("--all", action="store_true", help="fold nothing: show every mount")
    parser = command(
        commands,
        "rm",
        "let kept namespaces go",
        "Let the namespaces of these names go. Who is still in one stays there, and the\n"
        "kernel frees it when the last has left; but all processes of a pid namespace\n"
        "end with it.",
        "  mountplan rm shop\n  mountplan rm --all",
    )
    parser.usage = "mountplan rm [options] NAME... | --all"
    parser.add_argument("names", nargs="*", metavar="NAME", help="a kept name")
    parser.add_argument("--all", action="store_true", help="every name")
