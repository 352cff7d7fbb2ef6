"""plan: the preview of what would be built, and the plan as a file, before anything is touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mountplan import api
from mountplan.cli.expansion import expand
from mountplan.cli.live_changes import add_preview, preview, refuse_without_live
from mountplan.cli.shared_options import SPEC_OR_PLAN, add_all, add_max_mounts, add_rootless, add_set, settings_of
from mountplan.cli.sign_of_life import sign_of_life
from mountplan.cli.sources import note_saved, planned_from, save
from mountplan.cli.trial_notes import note_in_use, note_untried, note_warnings
from mountplan.cli.usage import UsageError
from mountplan.planner.errors import NamespaceRefused, StepRefused

if TYPE_CHECKING:
    import argparse

    from mountplan.cli.output import Output
    from mountplan.cli.shared_options import NewCommand
    from mountplan.planner.ask.foresight import Foresight
    from mountplan.planner.language.parameters import Setting
    from mountplan.planner.plan.plan import Plan

_SUFFIXES = {".txt": "text", ".json": "json", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid"}
_NEVER_A_PLAN = frozenset({".toml", ".svg", ".png", ".pdf", ".html", ".md"})


def add(command: NewCommand) -> None:
    parser = command(
        "preview what would be built, in which order, and why",
        "Show the tree with its sharing, what can cross the border to the host, and what\n"
        "kernel and privileges it needs; with --steps each step, why it is where it is,\n"
        "and the mount table to come. Nothing is built: the steps are carried out in a\n"
        "model of the kernel. Exit status 1 if the tree would not come out as it is\n"
        "written, and why. With --live, what would change in a tree that stands.",
        "  mountplan plan shop.toml\n"
        "  mountplan plan shop.toml --steps          # every step, and why it is there\n"
        "  mountplan plan shop.toml --why 12         # why step 12 is where it is\n"
        "  mountplan plan shop.toml --why /srv/data  # the same for all steps of a mount\n"
        "  mountplan plan shop.toml --after 12       # what stands there after step 12\n"
        "  mountplan plan shop.toml --classic        # what mount commands make of it\n"
        "  mountplan plan shop.toml --expand         # the spec with presets written out\n"
        "  mountplan plan shop.toml --set home=/srv  # a value for a parameter\n"
        "  mountplan plan shop.toml -o plan.json     # save it, for `mountplan apply`\n"
        "  mountplan plan shop.toml --live shop      # what would change in what is kept\n"
        "  mountplan plan shop.toml --live pid:1234 -o change.json\n"
        "  mountplan plan shop.toml --format dot | dot -Tsvg > shop.svg",
    )
    parser.add_argument("spec", metavar="SPEC", help=SPEC_OR_PLAN)
    add_set(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="save the plan (- for standard output); as JSON, unless --format or the name (.txt, .dot, .mmd) says so",
    )
    parser.add_argument("--format", choices=("text", "json", "dot", "mermaid"), help="what to print (text)")
    question = parser.add_mutually_exclusive_group()
    question.add_argument("--why", metavar="STEP", help="explain one step: its number, or a mountpoint, id or key path")
    question.add_argument(
        "--after", dest="after_step", metavar="N", type=int, help="what stands there after step N (0: before the first)"
    )
    question.add_argument(
        "--classic", action="store_true", help="what would come of it, mounted in the order of the file with mount(8)"
    )
    question.add_argument(
        "--expand", action="store_true", help="print the spec with all that stands for something else written out"
    )
    parser.add_argument("--steps", action="store_true", help="every step with its reason, and the mount table to come")
    add_preview(parser)
    add_max_mounts(parser)
    add_all(parser, "every mount and every step")
    add_rootless(parser)


def carry_out(args: argparse.Namespace, output: Output) -> int:
    """The preview, in one of its formats, and the plan as a file."""
    if args.expand:
        if args.format:
            raise UsageError("--expand writes a spec: leave out --format")
        if args.live is not None:
            raise UsageError("--live has a preview of its own: leave out --expand")
        refuse_without_live(args, "exit-code")
        return expand(args.spec, settings_of(args), args.output, output)
    if output.as_json and args.output in (None, "-") and args.format not in (None, "json"):
        raise UsageError(f"--json prints JSON, and --format {args.format} does not: leave one of them out")
    if args.output and not args.format:
        _format_of(args.output)  # refused, if it is, before there is anything to wait for
    with sign_of_life("planning", output):
        made, settings = planned_from(args.spec, settings_of(args))
    args.made = made
    if args.live is not None:
        return preview(made, args, output)
    refuse_without_live(args, "exit-code")
    if (args.classic or args.after_step is not None) and (args.output or args.format):
        raise UsageError("--after and --classic print an answer: leave out -o and --format")
    if args.why is not None and (args.output or args.format):
        raise UsageError("--why prints an answer: leave out -o and --format")
    if args.classic:
        return _classic(made, args, output)
    if args.after_step is not None:
        return _after(made, args.after_step, args, output)
    with sign_of_life("carrying it out in the model", output):
        foreseen = api.foresee(made, max_mounts=args.max_mounts)
        untried = _try_out(made, args)
    if untried is not None:
        note_untried(untried, output)
    note_in_use(made, output)
    note_warnings(made, output)
    if args.why is not None:
        return _why(made, args.why, output)
    if args.output in (None, "-"):  # with "-", what would be saved goes to standard output
        form = args.format or ("json" if output.as_json or args.output == "-" else "text")
        text = _rendered(made, foreseen, settings, form, args, output.room)
        (output.paged if form == "text" else output.raw)(text)
        return 0
    form = args.format or _format_of(args.output)
    text = _rendered(made, foreseen, settings, form, args, None)
    save(args.output, text, errors="backslashreplace")
    if output.as_json:
        output.data({"saved": args.output, "format": form, "steps": len(made.steps)})
        return 0
    if not args.format and not output.quiet:
        output.result(_rendered(made, foreseen, settings, "text", args, output.room) + "\n")
    note_saved(output, args.output, "carry it out with: mountplan apply" if form == "json" else "")
    return 0


def _try_out(made: Plan, args: argparse.Namespace) -> NamespaceRefused | StepRefused | None:
    """Why it could not be tried, if so. Raises what the kernel would refuse."""
    try:
        api.try_out(made, rootless=args.rootless)
    except (NamespaceRefused, StepRefused) as error:
        return error
    return None


def _rendered(
    made: Plan,
    foreseen: Foresight,
    settings: tuple[Setting, ...],
    form: str,
    args: argparse.Namespace,
    room: int | None,
) -> str:
    if form == "json":
        from mountplan.planner.plan.planfile import dump_plan

        return dump_plan(made)
    if form == "dot":
        from mountplan.planner.render.dot import plan_dot

        return plan_dot(made)
    if form == "mermaid":
        from mountplan.planner.render.mermaid import plan_mermaid

        return plan_mermaid(made)
    from mountplan.planner.render.preview import plan_text

    long = args.steps or args.all
    return plan_text(made, foreseen.tables, api.classic(made), settings, steps=long, everything=args.all, room=room)


def _format_of(name: str) -> str:
    """By the end of the file's name; a plan where that says nothing. Raises UsageError where it says something else."""
    form = next((form for suffix, form in _SUFFIXES.items() if name.endswith(suffix)), "json")
    ending = os.path.splitext(name)[1].lower()
    if form == "json" and ending in _NEVER_A_PLAN:
        known = ", ".join(_SUFFIXES)
        raise UsageError(f"-o {name}: a plan is not saved as {ending}, but as JSON (.json), or drawn ({known})")
    return form


def _why(made: Plan, wanted: str, output: Output) -> int:
    from mountplan.planner.render.why import why_data, why_text

    try:
        return output.either(lambda: {"steps": why_data(made, wanted)}, lambda: why_text(made, wanted))
    except LookupError as error:
        raise UsageError(f"--why: {error.args[0]}") from None


def _after(made: Plan, number: int, args: argparse.Namespace, output: Output) -> int:
    from mountplan.planner.render.foreseen import after_data, after_text

    if not 0 <= number <= len(made.steps):
        raise UsageError(f"--after: there is no step {number}; the plan has steps 1 to {len(made.steps)}")
    trial = api.carry_out_in_model(made, number)
    return output.either(
        lambda: after_data(made, trial), lambda: after_text(made, trial, everything=args.all, room=output.room)
    )


def _classic(made: Plan, args: argparse.Namespace, output: Output) -> int:
    from mountplan.planner.render.foreseen import classic_data, classic_text

    classic = api.classic(made)
    return output.either(
        lambda: classic_data(classic), lambda: classic_text(classic, everything=args.all, room=output.room)
    )
