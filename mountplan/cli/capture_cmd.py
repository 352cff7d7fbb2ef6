"""capture: live namespaces as a spec."""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mountplan.cli.kept_argument import kept_name, process_in, told_for_what_it_is
from mountplan.cli.shared_options import add_calls, check_name, show_calls
from mountplan.cli.sources import note_saved, save, unwritten
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import visible

if TYPE_CHECKING:
    from mountplan.applier.observe.storing import Made
    from mountplan.capturing import Capture, Folder
    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


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
            found = [_number(parser, str(option), str(value)) for value in found]
        namespace.wanted = [*(getattr(namespace, "wanted", None) or ()), *((kind, value) for value in found)]


def _number(parser: argparse.ArgumentParser, option: str, value: str) -> str:
    """The number of a process, written as it is, or as everywhere: `pid:1234`, `self`."""
    number = value.removeprefix("pid:")
    if number == "self":
        from mountplan.applier.observe.observe import own_number

        return str(own_number())
    if not (number.isascii() and number.isdecimal()):
        parser.error(f"{option} takes the number of a process, not {value!r}")
    return number


def add(command: NewCommand) -> None:
    parser = command(
        "write live namespaces down as a spec",
        "Write a spec of what stands in the mount namespaces of processes, of namespace\n"
        "files, or of kept names: all mounts, covered ones too, with their sharing.\n"
        "Several become one spec, in the order of the command line. `mountplan apply`\n"
        "builds it again. What cannot be rebuilt is left out of that; the spec, and\n"
        "cautions on standard error, say why.",
        "  mountplan capture --pid 1234\n"
        "  mountplan capture --pid 1234 --pid 1250 -o pair.toml\n"
        "  mountplan capture --tree 1234 --name shop -o shop.toml  # with all descendants\n"
        "  mountplan capture --ns /proc/1234/ns/mnt\n"
        "  mountplan capture shop                                  # what `apply` keeps",
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
    parser.add_argument(
        "--no-check", action="store_true",
        help="do not try what the spec comes to: that is where cautions tell what the copy will have otherwise",
    )  # fmt: skip
    parser.add_argument("--name", metavar="NAME", help="the spec's name (that of the program, file or kept name)")
    add_calls(parser)


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Exit status 0, also if something could not be captured: the spec says what, and why."""
    show_calls(args)
    from mountplan.applier.observe.storing import removed_if_ended
    from mountplan.capturing import Wanted, called, capture_subjects, opened
    from mountplan.planner.render.problems import cautions_text

    saved = args.output if args.output != "-" else None  # "-" is standard output, where it goes anyway
    wanted = [Wanted(*_as_prefixed(kind, value)) for kind, value in args.wanted]
    if not wanted:
        raise UsageError("name what to capture: --pid N, --tree PID, --ns FILE, or a kept name")
    check_name(args.name)
    # Files without their spec would be of no use, and in the way of the next attempt.
    with removed_if_ended(saved) as made:
        folder = _folder(args.contents, saved, made)
        named = next((value for kind, value in wanted if kind == "kept" and value.endswith((".toml", ".json"))), "")
        with told_for_what_it_is(named, "capture"), opened(wanted) as subjects:
            try:
                file = saved or "captured.toml"
                name = args.name or called(wanted)
                found = capture_subjects(subjects, name, folder, check=not args.no_check, file=file)
            except OSError as error:
                if folder is None or error.filename != folder.path:
                    raise
                if error.errno != errno.EEXIST:
                    raise unwritten(f"--contents: cannot make {folder.path}", error, folder.path) from None
                raise UsageError(
                    f"--contents: {folder.path} is there already; name a directory that is not there"
                ) from None
        if saved is not None:
            save(saved, found.text)
    if output.as_json:
        output.data(_data(found, saved))
        return 0
    if saved is None:
        output.spec(found.text)
    for caution in cautions_text(found.cautions):
        output.note(f"mountplan: caution: {visible(caution)}\n")
    if saved is not None:
        note_saved(output, saved, "look at it with: mountplan plan")
    return 0


def _as_prefixed(kind: str, value: str) -> tuple[str, str]:
    """What a bare argument is: `1234`, `pid:1234`, `ns:FILE` and `name:NAME` are understood as everywhere."""
    if kind != "kept":
        return kind, value
    if value.startswith("ns:"):
        return "ns", value.removeprefix("ns:")
    process = process_in(value)
    return (kind, kept_name(value)) if process is None else ("pid", str(process))


def _folder(contents: str | None, saved: str | None, made: Made) -> Folder | None:
    """Where --contents has them: beside the file that the spec is saved in, if it does not say."""
    from mountplan.capturing import Folder

    if contents is None:
        return None
    if not contents and saved is None:
        raise UsageError("--contents: name a directory (--contents=DIR), or save the spec with -o")
    path = contents or f"{str(saved).removesuffix('.toml')}.contents"
    return Folder(
        path, os.path.abspath(path) if saved is None else os.path.relpath(path, os.path.dirname(saved) or "."), made
    )


def _data(found: Capture, saved: str | None) -> dict[str, object]:
    return {
        "name": found.captured.name,
        "saved": saved,
        "namespaces": [{"name": one.name, "mounts": len(one.mounts)} for one in found.captured.namespaces],
        "cautions": [caution._asdict() for caution in found.cautions],
        "spec": found.text,
    }
