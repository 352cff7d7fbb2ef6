"""The commands by name. Each is a module of its own: what `check` takes and what it does is in check_cmd.py."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Protocol

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand

    class CommandModule(Protocol):
        """What each of the modules has."""

        def add(self, command: NewCommand) -> None:
            """Add the command's arguments and their help."""

        def carry_out(self, args: argparse.Namespace, output: Output) -> int:
            """Do its work and print the result; returns the exit status."""
            ...


COMMANDS = (
    "check", "plan", "apply", "run", "enter", "ls", "show", "rm", "capture", "import", "export",
    "diff", "verify", "watch", "hook", "explain", "graph", "simulate", "doctor", "schema", "example", "completion",
)  # fmt: skip


def module_of(command: str) -> CommandModule:
    """The module of one of COMMANDS, imported now: start-up counts, and the others are not needed."""
    name = f"mountplan.cli.{command}_cmd"
    __import__(name)  # importlib has more modules to load
    module: Any = sys.modules[name]
    return module  # type: ignore[no-any-return]
