"""Scripts with which a shell completes command lines: made from the parser, so that they know what it knows."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

SHELLS = ("bash", "zsh", "fish", "tcsh")

# Of what an argument may be, by its metavar. Kept names are asked for when they are to be completed.
_NAMES = "mountplan ls --names 2>/dev/null"
_FILES = "ls -1d -- * 2>/dev/null"
_FILE = frozenset({"SPEC", "FILE", "SCRIPT", "DIR"})
_NAME = frozenset({"NAME|PID", "NAME|pid:N", "NAME"})
_EITHER = frozenset({"SPEC|NAME|PID", "A", "B", "WHAT"})
_NO_KEPT_NAME = frozenset({"run", "import", "example"})  # their NAME is that of something else


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for one of SHELLS."""
    import shtab

    _with_short_descriptions(parser)
    for command, action in _arguments(parser):
        if action.metavar in _FILE:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _NAME and command not in _NO_KEPT_NAME:
            action.complete = shtab.cmd(_NAMES)  # type: ignore[attr-defined]
        elif action.metavar in _EITHER:
            action.complete = shtab.cmd(f"{_NAMES}; {_FILES}")  # type: ignore[attr-defined]
    script = str(shtab.complete(parser, shell=shell))
    return script if script.endswith("\n") else script + "\n"


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _with_short_descriptions(parser: argparse.ArgumentParser) -> None:
    """A shell shows one line of each command: that of --help, not the first of several."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action._choices_actions:
                action.choices[one.dest].description = one.help


def _arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    for name, below in commands(parser).items():
        yield from ((name, action) for action in below._actions)
