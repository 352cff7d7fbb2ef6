"""What mkdocs is told besides mkdocs.yml: the page of all commands, and where links out of docs/ lead."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

HERE = Path(__file__).parent


def on_files(files: Files, config: Any) -> Files:
    files.append(File.generated(config, "commands.md", content=_commands()))
    return files


def _commands() -> str:
    """Each command's --help, 90 columns wide."""
    os.environ["COLUMNS"] = "92"
    from mountplan.cli.parser import make_parser

    parser = make_parser()
    subparsers = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    parts = [
        "# The commands\n",
        "Each is `mountplan COMMAND --help`, and a manual page where mountplan is installed.\n",
    ]
    for name, below in subparsers.choices.items():
        parts.append(f"## {name}\n\n```text\n{below.format_help().rstrip()}\n```\n")
    return "\n".join(parts)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links to what is in the checkout, and no page, become names: a site does not have it."""
    import re

    def shown(match: re.Match[str]) -> str:
        path = HERE / os.path.dirname(page.file.src_uri) / match[2].partition("#")[0]
        outside = not path.resolve().is_relative_to(HERE)
        return f"`{match[1]}`" if outside else match[0]

    return re.sub(r"\[([^\]]+)\]\((\.\./[^)]+)\)", shown, markdown)
