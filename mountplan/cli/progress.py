"""A progress bar on the terminal, for work that takes more than a second."""

from __future__ import annotations

import sys
from time import monotonic

from mountplan.applier.sys.report import Reporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rich.progress import Progress

    from mountplan.cli.output import Output

DELAY = 1.0  # seconds before there is a bar


class _Notices(Reporter):
    """Listens to the applier, and prints its notices."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def notice(self, text: str) -> None:
        self._output.note(f"mountplan: {text}\n")

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Bar(_Notices):
    """The same, with a bar. Nothing is imported or drawn before the work has taken longer than DELAY.

    The bar is drawn when a step is told, not by a thread: the applier forks, and a fork keeps no threads. It is removed
    at the end, and by leaving the `with` block whatever happens.
    """

    def __init__(self, title: str, output: Output) -> None:
        super().__init__(output)
        self._title = title
        self._total = 0
        self._begun = 0.0
        self._progress: Progress | None = None

    def begin(self, total: int) -> None:
        self._total = total
        self._begun = monotonic()

    def step(self, done: int) -> None:
        if self._progress is None:
            if monotonic() - self._begun < DELAY:
                return
            self._progress = self._draw()
        self._progress.update(self._progress.task_ids[0], completed=done)
        self._progress.refresh()

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _draw(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, no_color=not self._output.wants_color(sys.stderr)),
            transient=True,
            auto_refresh=False,
        )
        progress.add_task(self._title, total=self._total)
        progress.start()
        return progress


def reporter_for(title: str, output: Output) -> _Notices:
    """A bar if standard error is a terminal, and none with --quiet."""
    return _Notices(output) if output.quiet or not sys.stderr.isatty() else Bar(title, output)
