"""The command to be run inside, which `run` and `enter` take after "--"."""

from __future__ import annotations

from mountplan.cli.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def add_misplaced(parser: argparse.ArgumentParser) -> None:
    """Take words of a command before which the "--" is missing, so that check_place() can say so."""
    from argparse import SUPPRESS

    parser.add_argument("extra", nargs="*", default=[], help=SUPPRESS)


def check_place(args: argparse.Namespace, subject: str) -> None:
    """Raise UsageError if the "--" is missing, or if nothing comes after it."""
    if args.extra:
        from mountplan.planner.characters import typed

        words = " ".join(map(typed, ("mountplan", args.command, subject, "--", *args.extra)))
        raise UsageError(f"write -- before the command: {words}")
    if args.after == ():
        raise UsageError("there is no command after --")
