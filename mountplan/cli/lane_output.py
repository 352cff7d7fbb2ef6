"""Pictures with lanes on a terminal: how wide they may be, and the sharing part of other commands' output."""

from __future__ import annotations

import os
import sys


def terminal_width() -> int:
    """The columns of the terminal that standard output is, or as many as COLUMNS says; 0 if neither tells."""
    try:
        columns = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        columns = 0
    if columns <= 0 and sys.stdout.isatty():
        try:
            columns = os.get_terminal_size(sys.stdout.fileno()).columns
        except OSError:
            columns = 0
    return columns if columns >= 20 else 0
