"""Scripts of mount commands for tests: what they come to, in the model or on the kernel, in short lines."""

from __future__ import annotations

import errno
import platform
from collections.abc import Callable
from typing import NamedTuple

import pytest

from mountplan.applier.run.rehearse import Rehearsal
from mountplan.planner.commands.actions import Action
from mountplan.planner.shell.simulate import simulate
from mountplan.planner.tables.table import MountTable
from tests.privileges import require


class Outcome(NamedTuple):
    """`spaces`: for each namespace that is left, one line a mount, as `/mnt a[/x] shared:1 master:2`.

    A root that nothing was done with is left out. Groups are numbered as they occur. `refused` has the line of the
    script and the errno of each call that failed.
    """

    spaces: list[list[str]]
    refused: list[str]

    @property
    def mounts(self) -> list[str]:
        return self.spaces[0]


Carry = Callable[[str], Outcome]


class Look(NamedTuple):
    """A table to be read by `process` after so many calls."""

    after: int
    process: int


def rehearse(
    calls: tuple[tuple[int, Action], ...], looks: tuple[Look, ...]
) -> tuple[tuple[int, ...], tuple[MountTable, ...]]:
    """Make the calls (process, action) in order; the errno of each (0: done), and the tables that were asked for.

    Raises NamespaceRefused if no throw-away namespace can be made here.
    """
    with Rehearsal() as troupe:
        results: list[int] = []
        tables: list[MountTable] = []
        waiting = iter(looks)
        look = next(waiting, None)
        for number in range(len(calls) + 1):
            while look is not None and look.after == number:
                tables.append(troupe.table(look.process))
                look = next(waiting, None)
            if number < len(calls):
                results.append(troupe.act(*calls[number]))
        return tuple(results), tuple(tables)


def in_the_model(script: str) -> Outcome:
    simulation = simulate(script)
    refused = [f"{one.line}: {errno.errorcode[one.errno]}" for one in simulation.failures]
    return Outcome(_lines([one.table for one in simulation.final]), refused)


def on_the_kernel(script: str) -> Outcome:
    """The same calls for real. Skips the test if it cannot be done here."""
    require("root")
    require_rules()
    simulation = simulate(script)
    calls = tuple((one.process, one.action) for one in simulation.done)
    looks = tuple(Look(one.after, one.process) for one in simulation.final)
    results, tables = rehearse(calls, looks)
    failed = [(one.line, number) for one, number in zip(simulation.done, results, strict=True) if number]
    return Outcome(_lines(list(tables)), [f"{line}: {errno.errorcode[number]}" for line, number in failed])


def require_rules() -> None:
    """Skip where the kernel has other rules than the model: older ones have (planner/model/rules.py)."""
    version = tuple(int(number) for number in platform.release().split("-")[0].split(".")[:2])
    if not (6, 17) <= version < (6, 19):
        pytest.skip(f"the model has the rules of Linux 6.17 and 6.18, and this is {platform.release()}")


def _lines(tables: list[MountTable]) -> list[list[str]]:
    groups: dict[int, int] = {}
    spaces = []
    for table in tables:
        lines = []
        for row in table.rows:
            words = [row.mountpoint, row.source + (f"[{row.root}]" if row.root != "/" else "")]
            for word, number in (("shared", row.peer_group), ("master", row.master), ("from", row.propagate_from)):
                if number:
                    words.append(f"{word}:{groups.setdefault(number, len(groups) + 1)}")
            if row.unbindable:
                words.append("unbindable")
            lines.append(" ".join(words))
        spaces.append([line for line in lines if line != "/ none"])
    return spaces
