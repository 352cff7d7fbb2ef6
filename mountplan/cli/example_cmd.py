"""example: the specs that come with mountplan, for those who have the wheel only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mountplan.cli.sources import note_saved, save
from mountplan.cli.usage import UsageError
from mountplan.inputs import examples
from mountplan.planner.characters import visible

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


def add(command: NewCommand) -> None:
    parser = command(
        "list the example specs, or print one",
        "List the examples that come with mountplan, one idea each and real ones below\n"
        "real/, with what each is about; or print one, to begin a spec of your own with.",
        "  mountplan example\n  mountplan example hello\n  mountplan example real/csi-node -o node.toml",
    )
    parser.usage = "mountplan example [options] [NAME]"
    parser.add_argument("name", metavar="NAME", nargs="?", help="the name of an example, from the list")
    parser.add_argument("-o", "--output", metavar="FILE", help="save it there (standard output)")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """The list, or the text of one, comments and all."""
    found = examples()
    if args.name is None:
        if args.output is not None:
            raise UsageError("name the example that is to be saved; `mountplan example` lists them")
        return _list(found, output)
    name = args.name.removeprefix("specs/").removesuffix(".toml")
    if name not in found:
        from difflib import get_close_matches

        near = get_close_matches(name, found, 1)
        hint = f"did you mean {near[0]}?" if near else "`mountplan example` lists them"
        raise UsageError(f"there is no example {visible(args.name)!r}; {hint}")
    text = found[name].read_text(encoding="utf-8")
    if args.output not in (None, "-"):
        save(args.output, text)
        note_saved(output, args.output, "look at it with: mountplan plan")
    if output.as_json:
        saved = args.output if args.output != "-" else None
        output.data({"name": name, "saved": saved, "about": _about(text), "spec": text})
    elif args.output in (None, "-"):
        output.raw(text)
    return 0


def _list(found: dict[str, Path], output: Output) -> int:
    abouts = {name: _about(path.read_text(encoding="utf-8")) for name, path in found.items()}
    if output.as_json:
        output.data([{"name": name, "about": about} for name, about in abouts.items()])
        return 0
    from mountplan.planner.render.fitting import wrapped_text

    left = max(map(len, abouts)) + 2
    output.paged(wrapped_text("\n".join(f"{name:<{left}}{about}" for name, about in abouts.items()), output.room, left))
    return 0


def _about(text: str) -> str:
    """How the comment that an example begins with begins."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("# "):
            break
        lines.append(line[2:].strip())
    return re.split(r"[.:;] ", " ".join(lines) + " ", maxsplit=1)[0].strip()
