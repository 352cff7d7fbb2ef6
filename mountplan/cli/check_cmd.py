"""check: all mistakes of a spec at once, before anything is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mountplan import api
from mountplan.cli.shared_options import SPEC_OR_PLAN, add_all, add_rootless, add_set, settings_of
from mountplan.cli.sources import read, refuse_parameters_of_plan
from mountplan.cli.trial_notes import note_in_use, note_untried, note_warnings
from mountplan.planner.characters import visible
from mountplan.planner.errors import (
    Mistake,
    MountplanError,
    NamespaceRefused,
    NotAllowed,
    SpecError,
    SpecRef,
    StepRefused,
    TableError,
)
from mountplan.planner.light import without_collector
from mountplan.planner.names import LeftOut
from mountplan.planner.record import NamedTuple

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from mountplan.applier.sys.userns import Rootless
    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand


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
    from mountplan.inputs import label_of, refuse_one_stream_twice
    from mountplan.planner.render.fitting import wrapped_text
    from mountplan.planner.render.left_out_text import left_out_data, left_out_text, left_out_words
    from mountplan.planner.render.problems import mistake_data, mistakes_text
    from mountplan.planner.render.words import count

    refuse_one_stream_twice(args.specs)
    with sign_of_life("checking", output):
        found = [(name, _checked(name, settings_of(args), args.rootless, output)) for name in args.specs]
    status = max(one.status for _, one in found)
    if output.as_json:
        specs = [
            {
                "file": name,
                "ok": not one.mistakes,
                "mistakes": [mistake_data(mistake) for mistake in one.mistakes],
                "warnings": [mistake_data(warning) for warning in one.warnings],
                "left_out": left_out_data(one.left_out),
            }
            for name, one in found
        ]
        output.data({"ok": status == 0, "specs": specs})
        return status
    for name, one in found:
        if one.mistakes:
            output.error(mistakes_text(one.mistakes, everything=args.all) + "\n", {})
        elif not output.quiet:
            output.result(f"{visible(label_of(name))}: no mistakes{left_out_words(one.left_out)}\n")
            output.result(wrapped_text(left_out_text(one.left_out), output.room))
    total = sum(len(one.mistakes) for _, one in found if not one.refused)
    if total and not output.quiet:
        wrong = sum(1 for _, one in found if one.mistakes and not one.refused)
        where = f" in {wrong} of {len(found)} files" if len(found) > 1 else ""
        output.note(f"mountplan: {count(total, 'mistake')}{where}\n")
    return status


class _Checked(NamedTuple):
    """The mistakes, the exit status for them, what is left out, and what is no mistake, but seldom meant.

    `refused`: nothing is wrong with the spec, but it could not be looked into, for the reason that `mistakes` has.
    """

    mistakes: tuple[Mistake, ...]
    status: int
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[Mistake, ...] = ()
    refused: bool = False


@without_collector  # which would look through all that a large spec comes to, once it is known, right before it goes
def _checked(name: str, parameters: Mapping[str, str], rootless: Rootless, output: Output) -> _Checked:
    from mountplan.inputs import looks_like_plan

    try:
        file, data = read(name)
        if looks_like_plan(file, data):
            from mountplan.planner.plan.planfile import load_plan

            refuse_parameters_of_plan(name, parameters)
            made = load_plan(data, file)
            api.foresee(made)
            api.try_out(made, rootless=rootless)
        else:
            planned, mistakes = api.check_and_plan(data, file, rootless=rootless, parameters=parameters)
            if planned is None:
                return _Checked(mistakes, 2)
            made = planned
        note_in_use(made, output)
        return _Checked((), 0, made.expected.left_out, note_warnings(made, output))
    except (SpecError, NotAllowed) as error:
        return _Checked(error.mistakes, error.exit_status)
    except (NamespaceRefused, StepRefused) as error:
        note_untried(error, output)
        return _Checked((), 0)
    except MountplanError as error:
        what, _, remedy = str(error).removeprefix(f"{name}: ").partition("\n  remedy: ")
        refused = isinstance(error, TableError) and error.exit_status == 3
        return _Checked((Mistake(SpecRef(name, ""), what, remedy),), error.exit_status, refused=refused)
