"""check and plan: everything that can be said before anything is touched."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mountplan import api
from mountplan.cli.output import Output
from mountplan.cli.parser import UsageError
from mountplan.cli.sources import plan_from, read
from mountplan.inputs import looks_like_plan, refuse_one_stream_twice
from mountplan.planner.errors import (
    Mistake,
    MountplanError,
    NamespaceRefused,
    NotAllowed,
    SpecError,
    SpecRef,
    StepRefused,
)
from mountplan.planner.plan.plan import Plan
from mountplan.planner.render.problems import mistake_data, mistakes_text
from mountplan.planner.render.words import count, visible, visible_lines

if TYPE_CHECKING:
    from mountplan.applier.sys.userns import Rootless
    from mountplan.planner.ask.foresight import Foresight

_SUFFIXES = {".txt": "text", ".json": "json", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid"}


def check(args: argparse.Namespace, output: Output) -> int:
    """All mistakes of all specs; exit status 2 if there is one, 1 if a spec is well written but cannot be planned,
    3 if the kernel would not have it.
    """
    refuse_one_stream_twice(args.specs)
    found = [(name, *_mistakes(name, args.rootless, output)) for name in args.specs]
    status = max(status for _, _, status in found)
    if output.as_json:
        specs = [
            {"file": name, "ok": not mistakes, "mistakes": [mistake_data(one) for one in mistakes]}
            for name, mistakes, _ in found
        ]
        output.data({"ok": status == 0, "specs": specs})
        return status
    for name, mistakes, _ in found:
        if mistakes:
            output.error(mistakes_text(mistakes, everything=args.all) + "\n", {})
        elif not output.quiet:
            output.result(f"{visible(name)}: no mistakes\n")
    total = sum(len(mistakes) for _, mistakes, _ in found)
    if total and not output.quiet:
        wrong = sum(1 for _, mistakes, _ in found if mistakes)
        where = f" in {wrong} of {len(found)} files" if len(found) > 1 else ""
        output.note(f"mountplan: {count(total, 'mistake')}{where}\n")
    return status


def _mistakes(name: str, rootless: Rootless, output: Output) -> tuple[tuple[Mistake, ...], int]:
    try:
        file, data = read(name)
        if looks_like_plan(file, data):
            from mountplan.planner.plan.planfile import load_plan

            made = load_plan(data, file)
            api.foresee(made)
            api.try_out(made, rootless=rootless)
            _tell_in_use(made, output)
            return (), 0
        planned, mistakes = api.check_and_plan(data, file, rootless=rootless)
        if planned is not None:
            _tell_in_use(planned, output)
        return mistakes, 2 if mistakes else 0
    except (SpecError, NotAllowed) as error:
        return error.mistakes, error.exit_status
    except (NamespaceRefused, StepRefused) as error:
        _tell_untried(error, output)
        return (), 0
    except MountplanError as error:
        what, _, remedy = str(error).removeprefix(f"{name}: ").partition("\n  remedy: ")
        return (Mistake(SpecRef(name, ""), what, remedy),), error.exit_status


def _tell_untried(error: MountplanError, output: Output) -> None:
    """A spec may be meant for another machine, so this is no mistake of it."""
    output.note(f"mountplan: whether the kernel allows it cannot be tried here: {visible_lines(str(error))}\n")


def _tell_in_use(made: Plan, output: Output) -> None:
    """It may be free when it is wanted, and what stands already from this spec has it now; so this is no mistake."""
    for one in api.in_use(made):
        output.note(f"mountplan: could not be built at this moment: {visible_lines(str(one))}\n")


def plan(args: argparse.Namespace, output: Output) -> int:
    """The preview, in one of its formats, and the plan as a file."""
    made = args.made = plan_from(args.spec)
    if (args.classic or args.after_step is not None) and (args.output or args.format):
        raise UsageError("--after and --classic print an answer: leave out -o and --format", "plan")
    if args.classic:
        return _classic(made, args, output)
    if args.after_step is not None:
        return _after(made, args.after_step, args, output)
    foreseen = api.foresee(made, max_mounts=args.max_mounts)
    try:
        api.try_out(made, rootless=args.rootless)
    except (NamespaceRefused, StepRefused) as error:
        _tell_untried(error, output)
    _tell_in_use(made, output)
    if args.why is not None:
        return _why(made, args.why, output)
    if args.output in (None, "-"):  # with "-", what would be saved goes to standard output
        form = args.format or ("json" if output.as_json or args.output == "-" else "text")
        _print(made, foreseen, form, args, output)
        return 0
    form = args.format or _format_of(args.output)
    text = _rendered(made, foreseen, form, everything=args.all)
    _save(args.output, text)
    if output.as_json:
        output.data({"saved": args.output, "format": form, "steps": len(made.steps)})
        return 0
    if not args.format and not output.quiet:
        output.result(_rendered(made, foreseen, "text", everything=args.all) + "\n")
    then = f"; carry it out with: mountplan apply {visible(args.output)}" if form == "json" else ""
    output.note(f"Saved to {visible(args.output)}{then}\n")
    return 0


def _print(made: Plan, foreseen: Foresight, form: str, args: argparse.Namespace, output: Output) -> None:
    text = _rendered(made, foreseen, form, everything=args.all)
    if form == "text":
        output.result(text)
    else:
        output.raw(text)


def _rendered(made: Plan, foreseen: Foresight, form: str, *, everything: bool) -> str:
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

    return plan_text(made, foreseen.tables, api.classic(made), everything=everything)


def _format_of(name: str) -> str:
    return next((form for suffix, form in _SUFFIXES.items() if name.endswith(suffix)), "json")


def _save(name: str, text: str) -> None:
    try:
        with open(name, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {name}: {error.strerror}", "plan") from None


def _why(made: Plan, wanted: str, output: Output) -> int:
    from mountplan.planner.render.why import why_data, why_text

    try:
        if output.as_json:
            data: list[dict[str, Any]] = why_data(made, wanted)
            output.data({"steps": data})
        else:
            output.result(why_text(made, wanted))
    except LookupError as error:
        raise UsageError(f"--why: {error.args[0]}", "plan") from None
    return 0


def _after(made: Plan, number: int, args: argparse.Namespace, output: Output) -> int:
    from mountplan.planner.render.foreseen import after_data, after_text

    if not 0 <= number <= len(made.steps):
        raise UsageError(f"--after: there is no step {number}; the plan has steps 1 to {len(made.steps)}", "plan")
    trial = api.carry_out_in_model(made, number)
    if output.as_json:
        output.data(after_data(made, trial))
    else:
        output.result(after_text(made, trial, everything=args.all))
    return 0


def _classic(made: Plan, args: argparse.Namespace, output: Output) -> int:
    from mountplan.planner.render.foreseen import classic_data, classic_text

    classic = api.classic(made)
    if output.as_json:
        output.data(classic_data(classic))
    else:
        output.result(classic_text(classic, everything=args.all))
    return 0
