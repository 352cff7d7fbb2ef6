"""verify: whether what stands there still is what a spec says."""

from __future__ import annotations

from mountplan import api
from mountplan.cli.shared_options import add_all, add_set, settings_of
from mountplan.planner.characters import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


def add(command: NewCommand) -> None:
    parser = command(
        "tell whether what stands there still is what a spec says",
        "Compare what a spec says with what is kept under a name, or with the namespace\n"
        "of a process. Mounts that have arrived, in a slave or in a peer group of the\n"
        "host's, are no difference. Exit status 0 if it matches, 1 if not, 2 if that\n"
        "cannot be told.",
        "  mountplan verify shop.toml                 # what is kept under its name\n"
        "  mountplan verify shop.toml shop2\n"
        "  mountplan verify shop.toml 1234\n"
        "  mountplan verify pair.toml name:pair/left  # one of its namespaces",
    )
    parser.usage = "mountplan verify [options] SPEC [NAME|PID]"
    parser.add_argument("spec", metavar="SPEC", help="a spec (TOML), or a saved plan (NAME.json)")
    parser.add_argument("subject", metavar="NAME|PID", nargs="?", default="", help="a kept name, a process, ...")
    add_set(parser)
    add_all(parser, "every mount that is different")
    parser.add_argument("-v", "--verbose", action="store_true", help="show options that the kernel writes otherwise")


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """Exit status 1 if there is a difference."""
    from mountplan.cli.comparison_output import count_text, print_comparison, size_text
    from mountplan.cli.kept_output import tell_since
    from mountplan.cli.trial_notes import note_read_only
    from mountplan.planner.render.aside_text import arrivals_text, notices_text
    from mountplan.planner.render.left_out_text import left_out_text, left_out_words

    found = api.verify(args.spec, args.subject, parameters=settings_of(args))
    tell_since(output, found.since)
    warnings = note_read_only(found.first.plan, output) if found.first.plan is not None else ()
    spec, what = visible(found.first.label), visible(found.second.label)
    left_out = found.first.plan.expected.left_out if found.first.plan else ()
    same = f"{what} stands as {spec} says: {size_text(found.second)}{left_out_words(left_out)}\n"
    different = f"{what} is not what {spec} says: {count_text(found)} (what it says -> what stands there)\n\n"
    beside = left_out_text(left_out) + arrivals_text(found.arrivals)
    if args.verbose:
        beside += notices_text(found.notices)
    return print_comparison(found, args, output, same, different, ("the spec", "what stands there"), beside, warnings)
