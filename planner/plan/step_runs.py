"""Steps that are alike and come one row after the other, most of a large plan: where they begin and end."""

from __future__ import annotations

from mountplan.planner.plan import steps as s
from mountplan.planner.plan.step_columns import StepColumns
from mountplan.planner.plan.steps import STEP_TYPES, Step
from mountplan.planner.record import NamedTuple
from mountplan.planner.tables.columns import columns_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from mountplan.planner.plan.step_columns import Steps
    from mountplan.planner.tables.columns import Columns

_LETTERS: dict[type[Step], str] = dict.fromkeys(STEP_TYPES, ".") | {
    s.MakeNode: "n",
    s.MakeFilesystem: "m",
    s.MakeSeed: "e",
    s.CloneHost: "h",
    s.CloneMount: "c",
    s.SetAttributes: "s",
    s.Attach: "a",
    s.JoinGroup: "j",
    s.Release: "r",
}
BINDS = frozenset(clone + more for clone in "hc" for more in ("ar", "sar", "ajr", "sajr"))  # each of one mount
LONGEST = 5
LEAST = 4  # rows that are worth it


class StepRun(NamedTuple):
    """Steps from number `begin` to before `end`, those of one row after those of another: a letter of `kinds` each."""

    begin: int
    end: int
    kinds: str


def runs_of(steps: Steps, kinds: Set[str]) -> Iterator[StepRun]:
    """The runs there are of rows of these `kinds`, in their order; of one that begins as another, it is the shorter."""
    if isinstance(steps, StepColumns):
        letters = steps.order.translate({ord(one): _LETTERS[alike.cls] for one, alike in steps.alike.items()})
    else:
        letters = "".join(map(_LETTERS.__getitem__, map(type, steps)))
    starts = {one[0] for one in kinds}
    at = 0
    while at < len(letters):
        found = ""
        if letters[at] in starts:
            found = next((one for end in range(1, LONGEST + 1) if (one := letters[at : at + end]) in kinds), "")
        if not found:
            at += 1
            continue
        end = _end(letters, found, at)
        if end - at >= LEAST * len(found):
            yield StepRun(at, end, found)
        at = end


def columns_of_run(steps: Steps, run: StepRun) -> dict[str, Columns]:
    """For each letter of the run's kinds the columns of its steps: of what they do, not of where they come from."""
    rows = (run.end - run.begin) // len(run.kinds)
    return {
        kind: {
            name: column if len(column) == rows else column[first : first + rows]
            for name, column in columns.items()
            if name not in ("origin", "kind")
        }
        for kind, (columns, first) in whole_columns(steps, run).items()
    }


def whole_columns(steps: Steps, run: StepRun) -> dict[str, tuple[Columns, int]]:
    """For each letter of the run's kinds columns in which its steps are, and from where on."""
    width = len(run.kinds)
    found = {}
    for at, kind in enumerate(run.kinds, run.begin):
        if isinstance(steps, StepColumns):
            letter = steps.order[at]
            found[kind] = steps.alike[letter].named(), steps.before(letter, run.begin)
        else:
            found[kind] = columns_of(steps[at : run.end : width], type(steps[at])), 0
    return found


def _end(letters: str, kinds: str, at: int) -> int:
    """Where the rows end that begin at `at`: first twice as many at each look, then half as many."""
    block = kinds
    while letters.startswith(block, at):
        at += len(block)
        block += block
    while len(block) > len(kinds):
        block = block[: len(block) // 2]
        if letters.startswith(block, at):
            at += len(block)
    return at
