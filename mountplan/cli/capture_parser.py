"""The arguments of capture."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from mountplan.cli.living_parser import NewCommand


class _Append(argparse.Action):
    """Options and names make one list of (kind, value), since the order of all of them is the spec's."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option: str | None = None,
    ) -> None:
        kind = (option or "kept").lstrip("-")
        found = values if isinstance(values, list) else [values]
        if kind in ("pid", "tree"):
            for value in found:
                if not str(value).isdecimal():
                    parser.error(f"{option} takes the number of a process, not {value!r}")
        namespace.wanted = [*(getattr(namespace, "wanted", None) or ()), *((kind, value) for value in found)]


def add_capture(commands: Any, command: NewCommand) -> None:
    """Add it; `command` is parser.py's way to begin one."""
    parser = command(
        commands,
        "capture",
        "write live namespaces down as a spec",
        "Write a spec of what stands in the mount namespaces of processes, of namespace\n"
        "files, or of kept names: all mounts, covered ones too, with their sharing.\n"
        "Several become one spec, in the order of the command line. `mountplan apply`\n"
        "builds it again. What cannot be rebuilt is left out of that; the spec, and\n"
        "cautions on standard error, say why.",
        "  mountplan capture --pid 1234\n"
        "  mountplan capture --pid 1234 --pid 1250 -o pair.toml\n"
        "  mountplan capture --tree 1234 --name shop -o shop.toml   with all descendants\n"
        "  mountplan capture --ns /proc/1234/ns/mnt\n"
        "  mountplan capture shop                                   what `apply` keeps",
    )
    parser.usage = "mountplan capture [options] (--pid N | --tree PID | --ns FILE | NAME)..."
    parser.add_argument("names", nargs="*", metavar="NAME", action=_Append, help="a kept name, with all its namespaces")
    parser.add_argument("--pid", metavar="N", action=_Append, help="the mount namespace that a process is in")
    parser.add_argument(
        "--tree", metavar="PID", action=_Append, help="those of a process and of all its descendants, each once"
    )
    parser.add_argument("--ns", metavar="FILE", action=_Append, help="the one behind a namespace file")
    parser.add_argument("-o", "--output", metavar="FILE", help="save the spec there (standard output)")
    parser.add_argument(
        "--contents", metavar="DIR", nargs="?", const="",
        help="take the files of tmpfs and ramfs into a new directory (beside the spec: FILE.contents)",
    )  # fmt: skip
    parser.add_argument("--name", metavar="NAME", help="the spec's name (that of the program, file or kept name)")
