"""completion: a script with which a shell completes command lines of mountplan."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


def add(command: NewCommand) -> None:
    parser = command(
        "print a completion script for a shell",
        "Print a script that lets a shell complete mountplan's commands and options.",
        '  eval "$(mountplan completion bash)"\n  mountplan completion zsh > ~/.zfunc/_mountplan',
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """The script is made from the parser that has read this command line, so that it knows what the parser knows."""
    import shtab

    _complete_files(args.parser, shtab.FILE)
    script = shtab.complete(args.parser, shell=args.shell)
    if output.as_json:
        output.data({"shell": args.shell, "script": script})
    else:
        output.raw(script if script.endswith("\n") else script + "\n")
    return 0


def _complete_files(parser: argparse.ArgumentParser, how: Any) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _complete_files(below, how)
        elif action.dest in ("spec", "specs", "output", "ns"):
            action.complete = how  # type: ignore[attr-defined]
