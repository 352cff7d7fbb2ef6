"""Where the kernel has done otherwise with a script than the model, in words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mountplan.planner.compare.compare import differences
from mountplan.planner.compare.view import View
from mountplan.planner.record import NamedTuple
from mountplan.planner.render.words import count, listed, visible_lines
from mountplan.planner.shell.simulate import Done, Ran, errno_words
from mountplan.planner.tables.table import MountTable


class KernelComparison(NamedTuple):
    """`run` is how many programs were run with the words of the script. For the `only_calls` the calls were made that
    they are taken for; `reason` is why no program could be run, if none could.
    """

    differences: tuple[str, ...]
    run: int
    only_calls: tuple[str, ...] = ()
    reason: str = ""


class Sight(NamedTuple):
    """What a process sees: in the model, and on the kernel."""

    process: str  # in words
    wanted: MountTable
    found: MountTable


def errno_difference(done: Done, found: int) -> str:
    """Where the kernel has given another errno."""
    wanted = errno_words(done.errno) if done.errno else "works"
    got = errno_words(found) if found else "works"
    return f"line {done.line}: {done.action.describe()}: {wanted} in the model, {got} on the kernel"


def status_difference(ran: Ran, done: Sequence[Done], status: int, told: str) -> str:
    """Where a program has ended otherwise than the model has it; `told` is what it wrote to standard error."""
    refused = next((one for one in done[ran.first : ran.last] if one.errno), None)
    why = f" ({errno_words(refused.errno)}: {refused.why})" if refused is not None else ""
    got = f"{status}{f' ({told.splitlines()[0]})' if told else ''}"
    return f"line {ran.line}: {shlex.join(ran.words)}: status {ran.status} in the model{why}, {got} in fact"


def table_differences(moment: Sequence[Sight]) -> list[str]:
    """What all processes see at one moment, in words where it is different. Of options, the model knows `ro` only."""
    drift = differences(
        tuple(View(one.process, _without_options(one.wanted)) for one in moment),
        tuple(View(one.process, _without_options(one.found)) for one in moment),
        None,
    )
    return [
        f"{one.namespace or moment[0].process}: {one.mount}: {one.prop} is {one.found} instead of {one.wanted}"
        for one in drift
    ]


def _without_options(table: MountTable) -> MountTable:
    return MountTable(tuple(row._replace(options=row.options.partition(",")[0]) for row in table.rows))


def comparison_text(comparison: KernelComparison) -> str:
    """What `--compare-kernel` has found."""
    if comparison.differences:
        lines = ["The kernel does otherwise:", *(f"  {one}" for one in comparison.differences)]
    else:
        ran = count(comparison.run, "program")
        lines = [f"The kernel did the same, command by command ({ran} run with the words of the script)."]
        if comparison.only_calls:
            names = listed(list(comparison.only_calls))
            lines.append(f"Not run, in one place at least: {names}; the calls that stand for it were made instead.")
        if comparison.reason:
            lines.append(f"The programs themselves were not run: {comparison.reason}.")
    return visible_lines("\n".join(lines)) + "\n"
