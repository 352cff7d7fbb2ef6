"""What `check` and `plan` say beside their result: what could not be tried here, and what is in use at this moment."""

from __future__ import annotations

from mountplan import api, pipeline
from mountplan.planner.characters import visible, visible_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mountplan.cli.output import Output
    from mountplan.planner.errors import Mistake, MountplanError
    from mountplan.planner.names import LeftOut
    from mountplan.planner.plan.plan import Plan


def note_untried(error: MountplanError, output: Output) -> None:
    """A spec may be meant for another machine, so this is no mistake of it."""
    output.note(f"mountplan: whether the kernel allows it cannot be tried here: {visible_lines(str(error))}\n")


def note_left_out(left_out: Sequence[LeftOut], output: Output, what: str = "") -> None:
    """For answers that are about the rest; `what` says of which of two sides, if there are two."""
    if left_out:
        from mountplan.planner.render.left_out_text import left_out_text

        text = left_out_text(left_out)
        output.note(f"mountplan: {visible(what)}: {text[0].lower()}{text[1:]}" if what else text)


def note_warnings(made: Plan, output: Output) -> tuple[Mistake, ...]:
    """What is no mistake, and seldom what is meant."""
    found = api.warnings(made)
    _note_each(found, output)
    return found


def note_read_only(made: Plan, output: Output) -> tuple[Mistake, ...]:
    """Beside what is called verified: a mount is writable, and nothing can be written there."""
    found = pipeline.read_only_below(made)
    _note_each(found, output)
    return found


def _note_each(warnings: Sequence[Mistake], output: Output) -> None:
    for one in warnings:
        output.note(f"mountplan: warning: {visible_lines(str(one))}\n")


def note_in_use(made: Plan, output: Output) -> None:
    """It may be free when it is wanted, and what stands already from this spec has it now; so this is no mistake."""
    for one in api.in_use(made):
        output.note(f"mountplan: could not be built at this moment: {visible_lines(str(one))}\n")
