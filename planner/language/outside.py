"""What a spec may take from outside of its own text: the port, as planner/host.py is the one to the machine.

Reading a spec is pure. The texts that it includes, the variables that its parameters are taken from and the directory
that it is in are asked of an Outside that the caller hands in: the real one is mountplan/live_outside.py.
"""

from __future__ import annotations

from mountplan.planner.light import Protocol
from mountplan.planner.record import NamedTuple


class Whereabouts(NamedTuple):
    """Where a file is: the directory in which it has the name in use, and the file, both absolute, without symlinks."""

    directory: str
    path: str


class Piped(LookupError):
    """A text has come through a pipe, and so it is in no directory."""


class Outside(Protocol):
    """What is around a spec, as far as reading it asks."""

    def variable(self, name: str) -> str | None:
        """The value of an environment variable; None if it is not set."""

    def whereabouts(self, file: str) -> Whereabouts:
        """Where the spec `file` is. Raises LookupError with the reason if in no directory: Piped, if it never was."""
        ...

    def text(self, file: str) -> bytes:
        """What is in the file. Raises LookupError with the reason if it cannot be read, or is no file to be read."""
        ...


class NoOutside:
    """No file and no variable: for specs of which nobody knows where they are, and to prove that they need neither."""

    def variable(self, name: str) -> str | None:
        return None

    def whereabouts(self, file: str) -> Whereabouts:
        raise LookupError("it is in no file")

    def text(self, file: str) -> bytes:
        raise LookupError("no file is read here")
