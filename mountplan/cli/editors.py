"""schema and completion: what editors and shells want to know."""

from __future__ import annotations

import argparse
from typing import Any

from mountplan.cli.output import Output
from mountplan.cli.parser import make_parser


def schema(args: argparse.Namespace, output: Output) -> int:
    """The JSON Schema of the language."""
    from mountplan.planner.language.schema import json_schema

    output.data(json_schema())
    return 0


def completion(args: argparse.Namespace, output: Output) -> int:
    """A completion script, made from the parser itself, so that it knows what the parser knows."""
    import shtab

    parser = make_parser()
    _complete_files(parser, shtab.FILE)
    script = shtab.complete(parser, shell=args.shell)
    if output.as_json:
        output.data({"shell": args.shell, "script": script})
    else:
        output.raw(script if script.endswith("\n") else script + "\n")
    return 0


def _complete_files(parser: argparse.ArgumentParser, how: Any) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                _complete_files(below, how)
        elif action.dest in ("spec", "specs", "output", "ns"):
            action.complete = how  # type: ignore[attr-defined]
