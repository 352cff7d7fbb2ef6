"""Progress, told to whoever listens: a delegate with no-op methods."""

from __future__ import annotations


class Reporter:
    """Override what you want to hear."""

    def begin(self, total: int) -> None:
        """`total` steps will be carried out."""

    def step(self, done: int) -> None:
        """`done` of them are; told every few hundred steps."""

    def end(self) -> None:
        """All of them are."""

    def notice(self, text: str) -> None:
        """Something that the user should know of, though nothing has failed."""
