"""What is wrong with a command line. A module of its own: who finds nothing wrong needs no argparse."""

from __future__ import annotations


class UsageError(Exception):
    """The command line is wrong. `command` is the command whose help tells more, "" for that of mountplan itself."""

    def __init__(self, message: str, command: str = "") -> None:
        self.message = message
        self.command = command
        super().__init__(message)
