"""The same text in colours, for terminals. The only module beside progress.py that imports rich."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, TextIO

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.text import Text
from rich.theme import Theme

if TYPE_CHECKING:
    from mountplan.planner.render.lane_text import Piece

_THEME = Theme(
    {
        "plan.heading": "bold",
        "plan.section": "bold blue",
        "plan.tree": "dim",
        "plan.number": "dim cyan",
        "plan.reason": "dim",
        "plan.folded": "dim italic",
        "plan.shared": "magenta",
        "plan.master": "yellow",
        "plan.unbindable": "red",
        "plan.hidden": "dim italic",
        "plan.readonly": "green",
        "plan.private": "dim",
        "plan.error": "bold red",
        "plan.place": "bold",
        "plan.remedy": "green",
        "plan.flow": "yellow",
        "lane.heading": "bold",
        "lane.tree": "dim",
        "lane.mark": "dim italic",
    }
)
# Beyond this many characters highlighting takes longer than a reader looks at what goes by.
_MOST = 400_000


class PlanHighlighter(RegexHighlighter):
    """Colours what a look at a plan or a mount table searches for. It never changes a character."""

    base_style = "plan."
    highlights = [
        r"(?m)^(?P<heading>(Plan|Tree|Sharing|Steps,|Step \d+|Mount table|Needs|TARGET|Built|Namespace)\b.*)$",
        r"(?m)^  (?P<section>(Cut off from the host|Workbenches and seeds|The tree, from its root down|Enter it).*)$",
        r"(?m)^ *(?P<tree>[│├└─|`][│├└─|` -]*)",
        r"(?m)^ {4}(?P<number> *\d+)  .*?\S(?P<reason>  +\S.*)?$",
        r"(?m)(?P<folded>\.\.\. .*)$",
        r"(?P<shared>\bshared:\S+)",
        r"(?P<master>\bmaster:\S+)",
        r"(?P<unbindable>\bunbindable\b)",
        r"(?m)(?<=  )(?P<private>private)$",
        r"(?P<hidden>\b(hidden|covered) by \S+)",
        r"(?m)(?<=[\s,])(?P<readonly>ro)(?=[\s,]|$)",
        r"(?m)^    [a-z_+ -]+: +(?P<error>[^\n]*?) (?P<flow>->) (?P<readonly>.*)$",
        r"(?m)^    mount: (?P<flow>only in [^:\n]+:)",
        r"(?m)(?P<flow>\b(arrive in|arrive below|cross both ways).*)$",
    ]


class ErrorHighlighter(RegexHighlighter):
    """Colours where an error is and what to do about it."""

    base_style = "plan."
    highlights = [r"(?m)^(?P<error>mountplan:)", r"(?m)^(?P<place>\S+?:\d+:)", r"(?m)^  (?P<remedy>remedy:)"]


# Lanes that stand beside each other have different ones, on a light ground and on a dark one.
_LANES = ("green", "magenta", "cyan", "yellow", "blue", "red")


def write_pieces(stream: TextIO, lines: Sequence[Sequence[Piece]]) -> None:
    """Write a picture with lanes in colours. Without its escape sequences it is the text of the pieces."""
    console = _console(stream)
    text = Text(end="")
    for line in lines:
        for piece in line:
            if piece.look == "lane":
                style = _LANES[piece.color % len(_LANES)] if piece.color >= 0 else ""
            else:
                style = f"lane.{piece.look}" if piece.look in ("heading", "tree", "mark") else ""
            text.append(piece.text, style or None)
        text.append("\n")
    console.print(text, end="", soft_wrap=True)


def write_colored(stream: IO[str], text: str, *, is_error: bool) -> None:
    """Write `text` with colours. Without its escape sequences the output is `text`, byte for byte."""
    if len(text) > _MOST:
        stream.write(text)
        return
    console = _console(stream)
    colored = Text(text, end="")
    (ErrorHighlighter() if is_error else PlanHighlighter()).highlight(colored)
    console.print(colored, end="", soft_wrap=True)


def _console(stream: IO[str]) -> Console:
    return Console(
        file=stream,
        force_terminal=True,
        # What asked for colours, --color or the terminal, has been asked before: no second opinion here.
        no_color=False,
        color_system="auto" if stream.isatty() and os.environ.get("TERM") not in (None, "dumb") else "standard",
        theme=_THEME,
        markup=False,
        emoji=False,
        soft_wrap=True,
        legacy_windows=False,
    )
