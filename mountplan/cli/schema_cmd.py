"""schema: what editors want to know of the language."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


def add(command: NewCommand) -> None:
    command(
        "print the JSON Schema of specs, for editors",
        "Print the JSON Schema of the language in which specs are written. Editors\ncomplete and check specs with it.",
        "  mountplan schema > mountplan.schema.json",
    )


def carry_out(args: argparse.Namespace, output: Output) -> int:
    from mountplan.pipeline import check_memory

    check_memory()
    from mountplan.planner.language.schema import json_schema

    output.data(json_schema())
    return 0
