"""Whether the kernel does with a script what the model did: carried out for real, and compared command by command.

The words of mount(8), umount(8), unshare(1) and so on are run by those programs, so that what was misread shows too.
Where a program is missing, or cannot be run where the script has gone, the calls are made that the model took it for.
"""

from __future__ import annotations

import errno
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mountplan.applier.run.programs import gather
from mountplan.applier.run.rehearse import ProgramResult, Rehearsal, refused_types
from mountplan.applier.sys.refusal import OF_THE_SYSTEM
from mountplan.applier.sys.refusal import refused as refused_call
from mountplan.planner.commands.actions import DropGroups, MountNew, NewDetachedMount, Stage
from mountplan.planner.commands.descriptor_commands import CALLS
from mountplan.planner.commands.script_commands import STARTERS
from mountplan.planner.compare.same_rows import SameRows
from mountplan.planner.errors import Mistake, SpecError, SpecRef
from mountplan.planner.fstypes import of
from mountplan.planner.model import ModelNamespace, WouldRefuse
from mountplan.planner.render.kernel_comparison import (
    KernelComparison,
    Sight,
    errno_difference,
    status_difference,
    table_differences,
)
from mountplan.planner.shell.simulate import Ran, Simulation
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountRow, MountTable

if TYPE_CHECKING:
    from mountplan.applier.sys.refusal import KernelRefusal

_NO_NOTES = 16  # mount(8) has mounted it, and could not write its own notes of that, for which /run is lent to it


def compare_with_kernel(simulation: Simulation, stage: Stage, name: str) -> KernelComparison:
    """Up to the first command after which they differ. `stage` is where the simulation began.

    Raises NamespaceRefused if it cannot be tried here, and SpecError if a line would reach for what is the machine's.
    """
    _check_types(simulation, name)
    programs = gather()
    reason = programs if isinstance(programs, str) else ""
    with Rehearsal(None if isinstance(programs, str) else programs) as rehearsal:
        both = _Both(simulation, stage, rehearsal)
        differences: list[str] = []
        for part in _parts(simulation):
            differences = both.go_on(part)
            if differences:
                break
    return KernelComparison(tuple(differences), both.run, tuple(both.only_calls), reason)


def _parts(simulation: Simulation) -> Iterator[Ran | int]:
    """Programs in their order, and between them the calls that none of them makes, by their index."""
    at = 0
    for ran in simulation.ran:
        yield from range(at, ran.first)
        yield ran
        at = ran.last
    yield from range(at, len(simulation.done))


class _Both:
    """The model and the kernel, side by side. `run` counts the programs that were run, `only_calls` names others."""

    def __init__(self, simulation: Simulation, stage: Stage, rehearsal: Rehearsal) -> None:
        self.simulation = simulation
        self.stage = stage
        self.rehearsal = rehearsal
        self.run = 0
        self.only_calls: dict[str, None] = {}
        self.before: tuple[list[MountTable], list[bytes]] = ([], [])

    def go_on(self, part: Ran | int) -> list[str]:
        """Carry a part out on both sides; how they differ after it, in words."""
        result = self._run(part) if isinstance(part, Ran) else None
        if isinstance(part, Ran) and result is not None:
            self.run += 1
            for index in range(part.first, part.last):
                self._in_the_model(index)
            told = self._status(part, result)
        else:
            told = []
            if isinstance(part, Ran) and part.words[0] not in CALLS:  # those stand for no program
                self.only_calls[part.words[0]] = None
            for index in (part,) if isinstance(part, int) else range(part.first, part.last):
                told += self._call(index)
        if isinstance(part, Ran) and part.status and part.words[0] in STARTERS:
            return told  # where it has gone the process of the rehearsal has not, and it ends next
        return told or self._tables(part)

    def _run(self, ran: Ran) -> ProgramResult | None:
        done = self.simulation.done[ran.first : ran.last]
        if any(isinstance(one.action, DropGroups) and not one.errno for one in done):
            return None  # to a user without privileges the kernel allows it nowhere
        return self.rehearsal.run(ran.process, ran.words)

    def _in_the_model(self, index: int) -> None:
        done = self.simulation.done[index]
        try:
            self.stage.perform(done.process, done.action)
        except WouldRefuse:
            assert done.errno

    def _call(self, index: int) -> list[str]:
        done = self.simulation.done[index]
        self._in_the_model(index)
        found = self.rehearsal.act(done.process, done.action)
        return [errno_difference(done, found)] if found != done.errno else []

    def _status(self, ran: Ran, result: ProgramResult) -> list[str]:
        if result.status in (ran.status, _NO_NOTES if not ran.status else ran.status):
            return []
        return [status_difference(ran, self.simulation.done, result.status, result.told)]

    def _tables(self, part: Ran | int) -> list[str]:
        """Each namespace, through the process that came there first."""
        seen: dict[ModelNamespace, int] = {}
        for number, process in sorted(self.stage.processes.items()):
            seen.setdefault(process.namespace, number)
        tables = [self.stage.world.table(self.stage.processes[number]) for number in seen.values()]
        texts = [self.rehearsal.text(number) for number in seen.values()]
        if (tables, texts) == self.before:
            return []
        self.before = tables, texts
        tables, found = _numbered(tables), _numbered([parse_mountinfo(text) for text in texts])
        same = SameRows()
        if all(same.equal(one.rows, other.rows) for one, other in zip(tables, found, strict=True)):
            return []
        line = part.line if isinstance(part, Ran) else self.simulation.done[part].line
        sights = [
            Sight(f"process {number}", one, other)
            for number, one, other in zip(seen.values(), tables, found, strict=True)
        ]
        place = f"line {line}: {shlex.join(part.words) + ': ' if isinstance(part, Ran) else ''}"
        return [place + one for one in table_differences(sights)]


def _numbered(tables: list[MountTable]) -> list[MountTable]:
    """The tables with other numbers for namespaces, in the order in which files of them are seen.

    Which namespace it is, the model knows of mount namespaces only.
    """
    if not any(row.fstype == "nsfs" for table in tables for row in table.rows):
        return tables
    names: dict[str, str] = {}

    def name(row: MountRow) -> str:
        kind = row.root.partition(":")[0]
        return names.setdefault(row.root, f"mnt:[{len(names) + 1}]") if kind == "mnt" else kind

    return [
        MountTable(tuple(row._replace(root=name(row)) if row.fstype == "nsfs" else row for row in table.rows))
        for table in tables
    ]


def _check_types(simulation: Simulation, name: str) -> None:
    """Raise SpecError for filesystems that cannot be the script's own, and so are not mounted for the comparison."""
    new = ((one.line, one.action) for one in simulation.done)
    wanted = dict.fromkeys(
        (line, action.fstype) for line, action in new if isinstance(action, MountNew | NewDetachedMount)
    )
    refused = refused_types(dict.fromkeys(fstype for _, fstype in wanted))
    for fstype, refusal in refused.items():
        if refusal.errno in OF_THE_SYSTEM and not _may_not_be(fstype, refusal):
            raise refused_call(f"cannot mount a {fstype} to compare", refusal)
    mistakes = tuple(
        Mistake(SpecRef(name, "", line), _not_its_own(fstype, refused[fstype]), "compare with tmpfs in its place")
        for line, fstype in wanted
        if fstype in refused
    )
    if mistakes:
        raise SpecError(mistakes)


def _may_not_be(fstype: str, refusal: KernelRefusal) -> bool:
    """Whether it is the kernel that lets no user namespace have one: it asks that once the type is opened."""
    own = of(fstype).in_userns and not of(fstype).shows
    return refusal.errno == errno.EPERM and refusal.syscall != "fsopen" and not own


def _not_its_own(fstype: str, refusal: KernelRefusal) -> str:
    if _may_not_be(fstype, refusal):
        return (
            f"{fstype} is not mounted to compare: a user namespace may not, and without one it could be the machine's"
        )
    call = f"{refusal.syscall}: " if refusal.errno != errno.ENODEV else ""
    return f"{fstype} cannot be mounted to compare: {call}{refusal.strerror}"
