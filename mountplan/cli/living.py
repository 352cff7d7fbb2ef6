"""enter, ls, show and rm: living with what `apply` keeps."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from mountplan import api
from mountplan.applier.keep import kept as names
from mountplan.cli.output import Output
from mountplan.cli.parser import UsageError
from mountplan.planner.characters import visible_lines
from mountplan.planner.errors import CommandNotStarted, MountplanError

if TYPE_CHECKING:
    from mountplan.applier.keep.kept_record import Kept
    from mountplan.keeping import Standing, Unreadable
    from mountplan.planner.plan.plan import Plan


def tidy(output: Output) -> None:
    """Clean up after crashes, and say what was forgotten."""
    for note in names.tidy():
        from mountplan.planner.render.words import visible

        output.note(f"mountplan: {visible(note)}\n")


def enter(args: argparse.Namespace, output: Output) -> int:
    """Become the command, inside. Returns only if there is none such."""
    if args.extra:
        words = " ".join(args.extra)
        raise UsageError(f"write -- before the command: mountplan enter {args.name} -- {words}", "enter")
    if args.after == ():
        raise UsageError("there is no command after --", "enter")
    name, slash, namespace = args.name.partition("/")
    if slash and not namespace:
        raise UsageError("there is no namespace after the slash", "enter")
    tidy(output)
    try:
        api.enter(name, namespace, args.after or (), rootless=args.rootless, tell=partial(_told_inside, output))
    except CommandNotStarted as error:
        sys.stderr.write(_told_inside(output, error).decode())
        sys.stderr.flush()
        return error.exit_status


def _told_inside(output: Output, error: CommandNotStarted) -> bytes:
    """We may be inside already, where nothing can be imported any more: so without frame.tell, and what that takes."""
    if output.as_json:
        data = {"code": error.code, "exit_status": error.exit_status, "message": error.what, "remedy": error.remedy}
        return output.json_of_error(data)  # json has been imported, to read the state
    return visible_lines(f"mountplan: {error}\n").encode(errors="backslashreplace")


def ls(args: argparse.Namespace, output: Output) -> int:
    """A line for each name."""
    from mountplan import keeping
    from mountplan.planner.render.words import columns, listed, visible, visible_lines

    tidy(output)
    found = keeping.listed()
    if output.as_json:
        output.data([_data(one) if isinstance(one, keeping.Standing) else _unknown(one) for one in found])
        return 0
    for path in names.odd():
        output.note(f"mountplan: {visible(path)}: this is no name; look at it, and remove it\n")
    if not found:
        output.note("Nothing is kept; `mountplan apply SPEC` keeps what it builds.\n")
        return 0
    rows: list[tuple[str, ...]] = [("NAME", "NAMESPACES", "MOUNTS", "AGE", "HEALTH")]
    for one in found:
        if isinstance(one, keeping.Unreadable):
            rows.append((visible(one.name), "-", "?", "?", "unknown"))
            continue
        spaces = listed([namespace.name for namespace in one.kept.mounts if namespace.name], 4) or "-"
        mounts = "?" if one.mounts is None else f"{one.mounts:,}"
        rows.append((visible(one.kept.name), visible(spaces), mounts, _age(one.age), one.health))
    output.result("\n".join(columns(rows, (40, 40, 10, 10))) + "\n")
    for one in found:
        if isinstance(one, keeping.Unreadable):
            output.note(f"mountplan: {visible_lines(one.problem)}\n")
        elif one.problem:
            output.note(f"mountplan: {visible(one.kept.name)}: {visible(one.problem)}\n")
    return 0


def show(args: argparse.Namespace, output: Output) -> int:
    """All about one name."""
    from mountplan import keeping
    from mountplan.planner.render.problems import drift_data, drift_text
    from mountplan.planner.render.table_text import table_text
    from mountplan.planner.render.words import count, visible

    tidy(output)
    one = keeping.look_up(args.name)
    plan = keeping.plan_of(args.name)
    if output.as_json:
        output.data(_data(one, plan) | {"differences": drift_data(one.drift, plan)})
        return 0
    name = visible(one.kept.name)
    lines = [
        f"{name}: {one.health}",
        f"  from     {visible(one.kept.spec)}",
        f"  kept     {one.kept.created}, {_age(one.age)} ago, by mountplan {visible(one.kept.made_by)}",
    ]
    if one.kept.keeper is not None:
        lines.append(f"  held by  process {one.kept.keeper.pid}")
    for namespace in one.kept.namespaces:
        label = f"{namespace.kind} {namespace.name}".rstrip()
        lines.append(f"  file     {visible(names.path_of(one.kept, namespace))}  ({visible(label)})")
    text = "\n".join(lines) + "\n"
    if one.problem:
        text += f"\nIt cannot be judged: {visible(one.problem)}\n"
    if one.drift:
        text += f"\nChanged since it was kept ({count(len(one.drift), 'difference')}):\n{drift_text(one.drift, plan)}\n"
    if one.tables:
        text += "\n" + table_text(plan, one.tables, everything=args.all)
    output.result(text)
    return 0


def rm(args: argparse.Namespace, output: Output) -> int:
    """Let names go; all that can go do, and the first that cannot gives the exit status."""
    from mountplan.planner.render.words import visible

    if args.all and args.names:
        raise UsageError("name what is to be removed, or --all, not both", "rm")
    if not args.all and not args.names:
        raise UsageError("name what is to be removed, or say --all", "rm")
    tidy(output)
    wanted = names.names() if args.all else tuple(dict.fromkeys(args.names))
    removed: list[str] = []
    problems: list[MountplanError] = []
    for name in wanted:
        try:
            names.remove(name)
        except MountplanError as problem:
            problems.append(problem)
            continue
        removed.append(name)
        if not output.quiet and not output.as_json:
            output.result(f"Removed {visible(name)}\n")
    if output.as_json:
        from mountplan.planner.render.problems import error_data

        output.data({"removed": removed, "errors": [error_data(error) for error in problems]})
    else:
        for error in problems:
            output.error(visible_lines(f"mountplan: {error}\n"), {})
    if args.all and not wanted:
        output.note("Nothing is kept.\n")
    return problems[0].exit_status if problems else 0


def kept_data(kept: Kept) -> dict[str, Any]:
    """What is kept, without a look at it, as values for JSON."""
    return {
        "name": kept.name,
        "spec": kept.spec,
        "digest": kept.digest,
        "created": kept.created,
        "made_by": kept.made_by,
        "keeper": kept.keeper.pid if kept.keeper else None,
        "namespaces": [
            {"kind": one.kind, "name": one.name, "inode": one.inode, "file": names.path_of(kept, one)}
            for one in kept.namespaces
        ],
    }


def _unknown(one: Unreadable) -> dict[str, Any]:
    """What _data() has, of a name of which nothing can be read."""
    data: dict[str, Any] = dict.fromkeys(("name", "spec", "digest", "created", "made_by", "keeper"))
    return data | {
        "name": one.name,
        "namespaces": [],
        "age": None,
        "mounts": None,
        "health": "unknown",
        "problem": one.problem,
    }


def _data(one: Standing, plan: Plan | None = None) -> dict[str, Any]:
    data = kept_data(one.kept) | {
        "age": round(one.age, 3),
        "mounts": one.mounts,
        "health": one.health,
        "problem": one.problem,
    }
    if plan is not None:
        from mountplan.cli.applying import tables_data

        data["tables"] = tables_data(plan, one.tables)
    return data


def _age(seconds: float) -> str:
    """Roughly: two units at most."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    for amounts in (((days, "d"), (hours, "h")), ((hours, "h"), (minutes, "m")), ((minutes, "m"), (rest, "s"))):
        if amounts[0][0]:
            return " ".join(f"{number}{unit}" for number, unit in amounts if number)
    return f"{rest}s"
