"""check: all mistakes of a spec at once, before anything is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mountplan import api
from mountplan.cli.shared_options import SPEC_OR_PLAN, add_all, add_rootless, add_set, settings_of
from mountplan.cli.sources import read, refuse_parameters_of_plan
from mountplan.cli.trial_notes import note_in_use, note_sharing_stops, note_untried
from mountplan.planner.characters import visible
from mountplan.planner.errors import (
    Mistake,
    MountplanError,
    NamespaceRefused,
    NotAllowed,
    SpecError,
    SpecRef,
    StepRefused,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from mountplan.applier.sys.userns import Rootless
    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand
    from mountplan.planner.names import LeftOut


def add(command: NewCommand) -> None:
    parser = command(
        "tell all mistakes of a spec at once",
        "Tell all mistakes of one or several specs at once, each with file, line, key\n"
        "and remedy. The host paths that a spec names are looked up; nothing is built.\n"
        "Exit status 2 if there is a mistake.",
        "  mountplan check shop.toml\n  mountplan check --json specs/*.toml",
    )
    parser.add_argument("specs", nargs="+", metavar="SPEC", help=SPEC_OR_PLAN)
    add_set(parser)
    add_all(parser, "tell each of many mistakes of one kind")
    add_rootless(parser)


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """All mistakes of all specs; exit status 2 if there is one, 1 if a spec is well written but cannot be planned,
    3 if the kernel would not have it.
    """
    from mountplan.cli.sign_of_life import sign_of_life
    from mountplan.inputs import refuse_one_stream_twice
    from mountplan.planner.render.left_out_text import left_out_data, left_out_text, left_out_words
    from mountplan.planner.render.problems import mistake_data, mistakes_text
    from mountplan.planner.render.words import count

    refuse_one_stream_twice(args.specs)
    with sign_of_life("checking", output):
        found = [(name, *_mistakes(name, settings_of(args), args.rootless, output)) for name in args.specs]
    status = max(status for _, _, status, _ in found)
    if output.as_json:
        specs = [
            {
                "file": name,
                "ok": not mistakes,
                "mistakes": [mistake_data(one) for one in mistakes],
                "left_out": left_out_data(left_out),
            }
            for name, mistakes, _, left_out in found
        ]
        output.data({"ok": status == 0, "specs": specs})
        return status
    for name, mistakes, _, left_out in found:
        if mistakes:
            output.error(mistakes_text(mistakes, everything=args.all) + "\n", {})
        elif not output.quiet:
            output.result(f"{visible(name)}: no mistakes{left_out_words(left_out)}\n{left_out_text(left_out)}")
    total = sum(len(mistakes) for _, mistakes, *_ in found)
    if total and not output.quiet:
        wrong = sum(1 for _, mistakes, *_ in found if mistakes)
        where = f" in {wrong} of {len(found)} files" if len(found) > 1 else ""
        output.note(f"mountplan: {count(total, 'mistake')}{where}\n")
    return status


def _mistakes(
    name: str, parameters: Mapping[str, str], rootless: Rootless, output: Output
) -> tuple[tuple[Mistake, ...], int, tuple[LeftOut, ...]]:
    """The mistakes, the exit status for them, and what is left out."""
    from mountplan.inputs import looks_like_plan

    try:
        file, data = read(name)
        if looks_like_plan(file, data):
            from mountplan.planner.plan.planfile import load_plan

            refuse_parameters_of_plan(name, parameters)
            made = load_plan(data, file)
            api.foresee(made)
            api.try_out(made, rootless=rootless)
            note_in_use(made, output)
            note_sharing_stops(made, output)
            return (), 0, made.expected.left_out
        planned, mistakes = api.check_and_plan(data, file, rootless=rootless, parameters=parameters)
        if planned is not None:
            note_in_use(planned, output)
            note_sharing_stops(planned, output)
        return mistakes, 2 if mistakes else 0, planned.expected.left_out if planned is not None else ()
    except (SpecError, NotAllowed) as error:
        return error.mistakes, error.exit_status, ()
    except (NamespaceRefused, StepRefused) as error:
        note_untried(error, output)
        return (), 0, ()
    except MountplanError as error:
        what, _, remedy = str(error).removeprefix(f"{name}: ").partition("\n  remedy: ")
        return (Mistake(SpecRef(name, ""), what, remedy),), error.exit_status, ()
