"""show: all about one kept name, or the mounts of a process."""

from __future__ import annotations

from mountplan.cli.kept_argument import kept_name, process_in, told_for_what_it_is
from mountplan.cli.shared_options import add_all
from mountplan.planner.characters import visible, visible_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


def add(command: NewCommand) -> None:
    parser = command(
        "show the mounts of a kept name, with what has changed, or of a process",
        "Show what is kept under a name: the spec that it is from, its namespace files\n"
        "(for other programs, such as nsenter), what has changed since it was kept, and\n"
        "the mounts that stand there now. Of a process, its mounts.",
        "  mountplan show shop\n  mountplan show 1234\n  mountplan show --json shop | jq -r '.namespaces[].file'",
    )
    parser.usage = "mountplan show [options] NAME|PID"
    parser.add_argument("name", metavar="NAME|PID", help="a kept name, or a process")
    add_all(parser, "show every mount")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """All about one name, or one process."""
    from mountplan import keeping
    from mountplan.applier.keep.kept import path_of
    from mountplan.cli.kept_output import age_text, standing_data, tidy
    from mountplan.cli.lane_output import sharing_picture
    from mountplan.drawing import of_kept
    from mountplan.kept_plan import plan_kept_for
    from mountplan.planner.render.aside_text import arrivals_text
    from mountplan.planner.render.fitting import wrapped_text
    from mountplan.planner.render.left_out_text import left_out_text
    from mountplan.planner.render.problems import drift_data, drift_text
    from mountplan.planner.render.table_text import table_text
    from mountplan.planner.render.words import count

    process = process_in(args.name)
    if process is not None:  # for that, there need be no place for names
        return _process(process, args, output)
    name = kept_name(args.name)
    with told_for_what_it_is(args.name, "show"):
        tidy(output)
        one = keeping.look_up(name)
    plan = plan_kept_for(name)
    if output.as_json:
        output.data(standing_data(one, plan) | {"differences": drift_data(one.drift, plan)})
        return 0
    lines = [
        f"{visible(one.kept.name)}: {one.health}",
        f"  from     {visible(one.kept.spec)}",
        f"  kept     {one.kept.created}, {age_text(one.age)} ago, by mountplan {visible(one.kept.made_by)}",
    ]
    if one.kept.keeper is not None:
        lines.append(f"  held by  process {one.kept.keeper.pid}")
    for namespace in one.kept.namespaces:
        label = f"{namespace.kind} {namespace.name}".rstrip()
        lines.append(f"  file     {visible(path_of(one.kept, namespace))}  ({visible(label)})")
    text = wrapped_text("\n".join(lines), output.room)
    if one.problem:
        text += f"\nIt cannot be judged: {visible_lines(one.problem)}\n"
    if one.drift:
        text += f"\nChanged since it was kept ({count(len(one.drift), 'difference')}):\n{drift_text(one.drift, plan)}\n"
    for block in (left_out_text(plan.expected.left_out), arrivals_text(one.arrivals)):
        text += "\n" + block if block else ""
    if one.tables:
        text += "\n" + table_text(plan, one.tables, everything=args.all, room=output.room)
        text += sharing_picture(of_kept(name, plan, one.tables), output, everything=args.all)
    output.paged(text)
    return 0


def _process(number: int, args: argparse.Namespace, output: Output) -> int:
    """The mounts that a process sees, as kernel and process number them."""
    from mountplan.operands import Operand, read_side
    from mountplan.planner.render.table_text import rows_data, table_lines

    (view,) = read_side("", Operand("pid", str(number))).views
    return output.either(
        lambda: {"process": number, "tables": [{"name": "", "mounts": rows_data(view.table, {})}]},
        lambda: "\n".join(table_lines(view.table, {}, fold=not args.all, room=output.room)) + "\n",
    )
