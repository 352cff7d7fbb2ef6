"""Arguments that several commands have, each written once."""

from __future__ import annotations

from mountplan.applier.sys.report import TIMEOUT
from mountplan.cli.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import TypeAlias

# Begins a command's parser: what the list of commands says of it, its description, examples of its use.
NewCommand: TypeAlias = "Callable[[str, str, str], argparse.ArgumentParser]"

SPEC_OR_PLAN = "a spec (TOML), a saved plan (NAME.json), or - for standard input"


def add_output(parser: argparse.ArgumentParser) -> None:
    """For every command, and before it. A default would undo what was said before the command, so there is none."""
    from argparse import SUPPRESS

    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", default=SUPPRESS, help="print one JSON document")
    group.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default=SUPPRESS,
        help="when to use colours (auto: on a terminal, unless NO_COLOR or CLICOLOR=0 is set)",
    )
    group.add_argument(
        "--no-pager", action="store_true", default=SUPPRESS, help="print what is longer than the terminal all the same"
    )
    group.add_argument(
        "-q", "--quiet", action="store_true", default=SUPPRESS, help="print nothing but results and errors"
    )


def add_all(parser: argparse.ArgumentParser, what: str) -> None:
    """For every command whose output folds what is alike."""
    parser.add_argument("--all", action="store_true", help=f"fold nothing: {what}")


def add_calls(parser: argparse.ArgumentParser, more: str = "") -> None:
    """For every command that mounts, unmounts or reads what is mounted."""
    parser.add_argument("-v", "--verbose", action="store_true", help=f"show each system call as it happens{more}")


def show_calls(args: argparse.Namespace) -> None:
    """Begin, if it was asked for."""
    if getattr(args, "verbose", False):
        from mountplan.applier.sys import tracing

        tracing.begin()


def add_rootless(parser: argparse.ArgumentParser) -> None:
    """For every command that builds, enters or tries something."""
    parser.add_argument(
        "--rootless",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether to use a user namespace (auto: unless it works without one)",
    )


def add_set(parser: argparse.ArgumentParser) -> None:
    """For every command that takes a spec."""
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="NAME=VALUE",
        type=_setting,
        action="append",
        help="the value of one of the spec's [parameters]; may be given several times",
    )


def _setting(text: str) -> tuple[str, str]:
    from argparse import ArgumentTypeError

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    return name, value


def settings_of(args: argparse.Namespace) -> dict[str, str]:
    """What --set says; the last word on a parameter counts."""
    return dict(args.settings or ())


def check_name(name: str | None) -> None:
    """Raise UsageError if no spec can have the name that --name says."""
    from mountplan.planner.language import values

    if name is not None:
        try:
            values.name(name)
        except values.Unfit as error:
            raise UsageError(f"--name: {error}") from None


def add_building(parser: argparse.ArgumentParser) -> None:
    """For every command that plans and then builds."""
    parser.add_argument(
        "--no-cache", action="store_true", help="plan anew, and do not keep the plan ($XDG_CACHE_HOME/mountplan-plans)"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        default=TIMEOUT,
        help=f"give up if it is not built by then; 0 waits for ever ({TIMEOUT:g})",
    )
    add_rootless(parser)
    add_max_mounts(parser)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError
    return value


_seconds.__name__ = "number of seconds"  # what argparse says was wanted


def add_max_mounts(parser: argparse.ArgumentParser) -> None:
    """For every command that builds, or foresees it."""
    parser.add_argument(
        "--max-mounts",
        metavar="N",
        type=int,
        help="refuse a plan that takes more mounts than N at once, the copy of the host's tree included (fs.mount-max)",
    )


def add_kernel(parser: argparse.ArgumentParser) -> None:
    """For every command that asks the model of propagation what would happen."""
    parser.add_argument(
        "--kernel",
        type=_version,
        metavar="VERSION",
        help="what another kernel would do, as in 6.1: before 6.17 some things were otherwise (docs/kernels.md)",
    )


def _version(text: str) -> str:
    import re
    from argparse import ArgumentTypeError

    if not re.match(r"\d+\.\d+([-.+_~]|$)", text):
        raise ArgumentTypeError(f"{text!r} is no version of Linux; write it as in 6.1 or 6.12.48-1-amd64")
    from mountplan.planner.model.rules import KNOWN, is_known

    if not is_known(text):
        raise ArgumentTypeError(f"it is not known what Linux {text} would do; known are {KNOWN}")
    return text
