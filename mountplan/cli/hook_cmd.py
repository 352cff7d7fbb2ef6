"""hook: what an OCI runtime starts while it makes a container."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mountplan.cli.live_changes import add_allowances, allowed_by
from mountplan.cli.shared_options import add_all, add_set, settings_of
from mountplan.cli.sources import unwritten, write_all
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible
from mountplan.planner.errors import MountplanError

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand
    from mountplan.hooks import Checked

STAGES = ("createRuntime", "createContainer", "poststart")


def add(command: NewCommand) -> None:
    parser = command(
        "check or change the mounts of a container as its runtime makes it",
        "For OCI runtimes, which start it as a hook and write the container's state to\n"
        "its standard input. Check that the container's mounts are what a spec says, or\n"
        "its own config.json, and add the mounts of a spec to it. Exit status 1 if there\n"
        "is a difference, which keeps the container from being started; with\n"
        "--on-difference log, that is told only. What the runtime has yet to do is no\n"
        "difference.\n\n"
        "  createRuntime    before the process starts, from outside: check, add\n"
        "  createContainer  before the process starts, from inside: check\n"
        "  poststart        once the process runs: check, add",
        "  mountplan hook createRuntime --config\n"
        "  mountplan hook poststart --spec web.toml --on-difference log --log /var/log/m\n"
        "  mountplan hook createRuntime --add feed.toml",
    )
    parser.usage = "mountplan hook [options] STAGE < STATE"
    parser.add_argument("stage", metavar="STAGE", choices=STAGES, help="which hook it is: " + ", ".join(STAGES))
    parser.add_argument("--config", action="store_true", help="check the mounts against the container's config.json")
    parser.add_argument(
        "--spec", metavar="SPEC", help='check them against a spec: all, or, of root = "inherit", those that it has'
    )
    parser.add_argument("--add", metavar="SPEC", help="add the mounts of a spec to the container")
    parser.add_argument(
        "--on-difference",
        choices=("fail", "log"),
        default="fail",
        help="what a difference does: fail (exit status 1), or log (0)",
    )
    parser.add_argument("--log", metavar="FILE", help="append what is told to a file as well")
    add_set(parser)
    add_allowances(parser)
    add_all(parser, "every mount that is different")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Check first, then add; exit status 1 if there is a difference that counts."""
    if args.config and args.spec is not None:
        raise UsageError("--config and --spec are two things to hold it against: leave one out")
    if not args.config and args.spec is None and args.add is None:
        raise UsageError("say what to do: --config, --spec SPEC or --add SPEC")
    if "-" in (args.spec, args.add):
        raise UsageError("standard input has the container's state: name the file of the spec")
    if args.log is not None:  # before anything is done that could not be told in it
        _append(args.log, "")
    try:
        text, data, different = _work(args)
    except MountplanError as error:
        if args.log is not None:
            from mountplan.planner.render.problems import error_text

            _append(args.log, f"{error_text(error)}\n")
        raise
    if args.log is not None:
        _append(args.log, text)
    if output.as_json:
        output.data(data)
    elif different:
        output.error(text, data)
    elif not output.quiet:
        output.result(text)
    return 1 if different and args.on_difference == "fail" else 0


def _work(args: argparse.Namespace) -> tuple[str, dict[str, Any], bool]:
    """What there is to tell, as text and as values, and whether there is a difference."""
    from mountplan import hooks
    from mountplan.planner.render.change_text import changed_text

    container = hooks.find_container(args.stage, sys.stdin.buffer.read())
    settings = settings_of(args)
    data: dict[str, Any] = {"id": container.state.id, "stage": args.stage, "same": None, "added": None}
    text, different = "", False
    if args.config or args.spec is not None:
        checked = hooks.check(container, args.spec, settings)
        different = bool(checked.sorted.drift)
        data |= _checked_data(checked)
        text = _checked_text(container.label, checked, everything=args.all)
    if args.add is not None and not (different and args.on_difference == "fail"):
        done = hooks.add(container, args.add, settings, allowed_by(args))
        data["added"] = {"outcome": done.outcome, "counts": done.change.counts()}
        mounts = sum(len(table.rows) for _, table in done.tables)
        text += changed_text(done.change, done.outcome, mounts, done.seconds, done.outside)
    return text, data, different


def _checked_text(label: str, found: Checked, *, everything: bool) -> str:
    from mountplan.planner.render.difference_text import NamedSide, differences_text
    from mountplan.planner.render.words import count

    label, file = visible(label), visible(found.plan.file)
    drift, to_come, _ = found.sorted
    aside = f" ({count(len(to_come), 'difference')} that the runtime has yet to see to)" if to_come else ""
    if not drift:
        return f"{label} has the mounts that {file} says: {count(found.side.mounts, 'mount')}{aside}\n"
    told = differences_text(
        drift, NamedSide("the spec", found.plan), NamedSide("the container", None), everything=everything
    )
    counted = f"{count(len(drift), 'difference')} (what it says -> what stands there)"
    return f"{label} is not what {file} says: {counted}{aside}\n\n{told}"


def _checked_data(found: Checked) -> dict[str, Any]:
    from mountplan.planner.render.problems import drift_data

    drift, to_come, usual = found.sorted
    return {
        "same": not drift,
        "mounts": found.side.mounts,
        "differences": drift_data(drift, found.plan),
        "to_come": drift_data(to_come, found.plan),
        "usual": drift_data(usual, found.plan),
    }


def _append(file: str, text: str) -> None:
    try:
        with open(file, "ab", buffering=0) as opened:
            write_all(opened.fileno(), text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise unwritten(f"--log: cannot write {file}", error, file) from None
