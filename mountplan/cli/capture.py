"""capture: live namespaces as a spec."""

from __future__ import annotations

import argparse

from mountplan.capturing import Capture, Wanted, capture_subjects, opened
from mountplan.cli.output import Output
from mountplan.cli.parser import UsageError
from mountplan.planner.render.words import count, visible
from mountplan.planner.values import Unfit
from mountplan.planner.values import name as checked_name


def capture(args: argparse.Namespace, output: Output) -> int:
    """Exit status 0, also if something could not be captured: the spec says what, and why."""
    wanted = [Wanted(kind, value) for kind, value in args.wanted]
    if not wanted:
        raise UsageError("name what to capture: --pid N, --tree PID, --ns FILE, or a kept name", "capture")
    if args.name is not None:
        try:
            checked_name(args.name)
        except Unfit as error:
            raise UsageError(f"--name: {error}", "capture") from None
    with opened(wanted) as subjects:
        found = capture_subjects(subjects, args.name or "")
    if args.output is not None:
        _save(args.output, found.text)
    if output.as_json:
        output.data(_data(found, args.output))
        return 0
    if args.output is None:
        output.raw(found.text)
    for caution in found.cautions:
        output.note(f"mountplan: caution: {visible(str(caution))}\n")
    if args.output is not None:
        mounts = count(sum(len(space.mounts) for space in found.captured.namespaces), "mount")
        output.note(
            f"Saved {mounts} to {visible(args.output)}; look at it with: mountplan plan {visible(args.output)}\n"
        )
    return 0


def _save(name: str, text: str) -> None:
    try:
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {name}: {error.strerror}", "capture") from None


def _data(found: Capture, saved: str | None) -> dict[str, object]:
    return {
        "name": found.captured.name,
        "saved": saved,
        "namespaces": [{"name": one.name, "mounts": len(one.mounts)} for one in found.captured.namespaces],
        "cautions": [caution._asdict() for caution in found.cautions],
        "spec": found.text,
    }
