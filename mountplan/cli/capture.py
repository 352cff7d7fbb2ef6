"""capture: live namespaces as a spec."""

from __future__ import annotations

import argparse
import errno
import os

from mountplan.capturing import Capture, Folder, Wanted, capture_subjects, opened
from mountplan.cli.output import Output
from mountplan.cli.parser import UsageError
from mountplan.planner.language.values import Unfit
from mountplan.planner.language.values import name as checked_name
from mountplan.planner.render.words import count, visible


def capture(args: argparse.Namespace, output: Output) -> int:
    """Exit status 0, also if something could not be captured: the spec says what, and why."""
    saved = args.output if args.output != "-" else None  # "-" is standard output, where it goes anyway
    wanted = [Wanted(kind, value) for kind, value in args.wanted]
    if not wanted:
        raise UsageError("name what to capture: --pid N, --tree PID, --ns FILE, or a kept name", "capture")
    if args.name is not None:
        try:
            checked_name(args.name)
        except Unfit as error:
            raise UsageError(f"--name: {error}", "capture") from None
    folder = _folder(args.contents, saved)
    with opened(wanted) as subjects:
        try:
            found = capture_subjects(subjects, args.name or "", folder)
        except OSError as error:
            if folder is None or error.filename != folder.path:
                raise
            what = "is there already" if error.errno == errno.EEXIST else f"cannot be made: {error.strerror}"
            raise UsageError(
                f"--contents: {folder.path} {what}; name a directory that is not there", "capture"
            ) from None
    if saved is not None:
        _save(saved, found.text)
    if output.as_json:
        output.data(_data(found, saved))
        return 0
    if saved is None:
        output.raw(found.text)
    for caution in found.cautions:
        output.note(f"mountplan: caution: {visible(str(caution))}\n")
    if saved is not None:
        mounts = count(sum(len(space.mounts) for space in found.captured.namespaces), "mount")
        output.note(f"Saved {mounts} to {visible(saved)}; look at it with: mountplan plan {visible(saved)}\n")
    return 0


def _folder(contents: str | None, saved: str | None) -> Folder | None:
    """Where --contents has them: beside the file that the spec is saved in, if it does not say."""
    if contents is None:
        return None
    if not contents and saved is None:
        raise UsageError("--contents: name a directory (--contents=DIR), or save the spec with -o", "capture")
    path = contents or f"{str(saved).removesuffix('.toml')}.contents"
    return Folder(
        path, os.path.abspath(path) if saved is None else os.path.relpath(path, os.path.dirname(saved) or ".")
    )


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
