"""What is wrong with a command line. A module of its own: a line with nothing wrong needs no argparse."""

from __future__ import annotations


class UsageError(Exception):
    """The command line is wrong. `command` is the command whose help tells more; "" is the one that is carried out, or,
    before one is known, mountplan itself. `remedy` is what to do where no help would tell it.
    """

    exit_status = 2

    def __init__(self, message: str, command: str = "", remedy: str = "") -> None:
        self.message = message
        self.command = command
        self.remedy = remedy
        super().__init__(message)
