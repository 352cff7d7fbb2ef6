"""Progress, told to the caller: a delegate with no-op methods."""

from __future__ import annotations

TIMEOUT = 300.0  # seconds that a build may take, unless the caller says otherwise


class Reporter:
    """Override what you want to hear."""

    counter: memoryview | None = None  # what counts the calls of foreign(), where many steps are made at once

    def begin(self, total: int) -> None:
        """`total` steps will be carried out."""

    def step(self, done: int) -> None:
        """`done` of them are; told every few hundred steps."""

    def foreign(self) -> None:
        """A step begins that works on filesystems of others, and may have to wait for them: execute.py, is_foreign."""

    def end(self) -> None:
        """All of them are."""

    def notice(self, text: str) -> None:
        """Something that the user should know of, though nothing has failed."""
