"""completion: a script with which a shell completes command lines of mountplan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mountplan.cli.completions import SHELLS, completion

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


def add(command: NewCommand) -> None:
    parser = command(
        "print a completion script for a shell",
        "Print a script that lets a shell complete mountplan's commands, options and kept\n"
        "names. What is installed from a package brings it along for bash, zsh and fish.",
        '  eval "$(mountplan completion bash)"\n  mountplan completion zsh > ~/.zfunc/_mountplan\n'
        "  mountplan completion fish > ~/.config/fish/completions/mountplan.fish",
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def carry_out(args: argparse.Namespace, output: Output) -> int:
    script = completion(args.parser, args.shell)
    if output.as_json:
        output.data({"shell": args.shell, "script": script})
    else:
        output.raw(script)
    return 0
