"""ls: what is kept, and whether it still is what it was."""

from __future__ import annotations

from mountplan.planner.characters import visible, visible_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


def add(command: NewCommand) -> None:
    parser = command(
        "list kept namespaces, and whether they still are what they were",
        "List what `mountplan apply` keeps: names, namespaces, how many mounts, how old,\n"
        "and whether each still is what was verified when it was kept (healthy) or not\n"
        "(drifted; `mountplan show NAME` says in what).",
        "  mountplan ls\n  mountplan ls --json | jq '.[] | select(.health != \"healthy\").name'",
    )
    parser.add_argument("--names", action="store_true", help="print the names alone, one a line, and look no further")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """A line for each name."""
    from mountplan import keeping
    from mountplan.applier.keep import kept as names
    from mountplan.cli.kept_output import age_text, standing_data, tidy, unreadable_data
    from mountplan.planner.render.fitting import fitted
    from mountplan.planner.render.left_out_text import left_out_words
    from mountplan.planner.render.words import count, listed

    tidy(output)
    if args.names and output.as_json:
        output.data(list(names.names()))
        return 0
    if args.names:
        output.result("".join(f"{visible(name)}\n" for name in names.names()))
        return 0
    found = keeping.listed()
    if output.as_json:
        output.data(
            [unreadable_data(one) if isinstance(one, keeping.Unreadable) else standing_data(one) for one in found]
        )
        return 0
    for path in names.odd():
        output.note(f"mountplan: {visible(path)}: mountplan has not made this; look at it, and remove it\n")
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
        health = one.health + left_out_words(one.kept.left_out)
        if one.arrivals:
            health += f", {count(len(one.arrivals), 'mount')} arrived"
        rows.append((visible(one.kept.name), visible(spaces), mounts, age_text(one.age), health))
    output.result("\n".join(fitted(rows, (40, 40, 10, 10), output.room, spare=(1,))) + "\n")
    for one in found:
        if isinstance(one, keeping.Unreadable):
            output.note(f"mountplan: {visible_lines(one.problem)}\n")
        elif one.problem:
            output.note(f"mountplan: {visible(one.kept.name)}: {visible_lines(one.problem)}\n")
    return 0
