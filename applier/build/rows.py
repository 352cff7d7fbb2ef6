"""Rows of steps that are alike, made by one program of calls: binds beside one another, new filesystems, mountpoints,
seeds.

Of what the calls need, each row brings a few texts and perhaps a seed, and the rest is the same for all that are made
at once. Where a call is refused, or shows something else than nearly all do, its step is carried out by itself, as each
step is where there is no such program: what is made, and what is told, is the same.
"""

from __future__ import annotations

from itertools import groupby, repeat

from mountplan.applier.sys import abi
from mountplan.applier.sys.call_program import EACH, TEXT, CallProgram, given
from mountplan.applier.sys.kernel import takes_plain_calls
from mountplan.planner.fstypes import of
from mountplan.planner.light import Protocol
from mountplan.planner.names import Handle
from mountplan.planner.plan.step_runs import BINDS, LEAST, StepRun, columns_of_run, runs_of
from mountplan.planner.plan.steps import STAGE, YARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, TypeAlias

    from mountplan.applier.build.last_directory import LastDirectory
    from mountplan.planner.plan.step_columns import Steps
    from mountplan.planner.tables.columns import Columns

    Calls: TypeAlias = tuple[CallProgram, tuple[int, ...]]  # and the descriptors that it is given

KINDS = BINDS | {"n", "e", "mar", "msar"}
# In what rows have to be the same to be made at once, by the letter of the step.
_ALIKE = {
    "n": ("within", "node", "mode", "uid", "gid", "careful"),
    "e": ("filesystem", "master", "shared", "parked"),
    "m": ("fstype", "options"),
    "h": ("above", "recursive", "propagation", "namespace"),
    "c": ("filesystem", "careful", "subvolume"),
    "s": ("set", "clear", "recursive", "unbindable", "id_map"),
    "a": ("parent", "above", "careful", "tree"),
}
_BEYOND_BITS = ("recursive", "unbindable", "id_map")
_MOST = 512  # steps at once: so often it is told how far it has come
_SEEDS = 32  # that are open at once for rows, of those that are kept open
_REFUSALS = 8  # in rows that are alike, after which the others are carried out by themselves


class RowsState(Protocol):
    """What rows have to know, and to take down, of an execution (execute.py)."""

    fds: dict[Handle, int]
    parked: dict[Handle, str]
    in_memory: set[Handle]
    yard: int
    host: int
    sources: LastDirectory
    targets: LastDirectory
    of_directory: int

    def descriptor(self, handle: Handle) -> int: ...
    def descriptors(self, handles: Iterable[Handle]) -> dict[Handle, int]: ...


class Rows:
    """The rows in the steps of an execution."""

    def __init__(
        self,
        execution: RowsState,
        steps: Steps,
        counter: memoryview | None,
        one_by_one: Callable[[int, int], None],
        done: Callable[[int], None],
    ) -> None:
        """`one_by_one` carries steps out by themselves, `done` tells how many are; `counter`: Reporter.counter."""
        self.execution = execution
        self.steps = steps
        self.counter = counter
        self.one_by_one = one_by_one
        self.done = done
        self.programs: dict[tuple[Any, ...], CallProgram] = {}

    def runs(self) -> Iterator[StepRun]:
        return runs_of(self.steps, KINDS)

    def carry_out(self, run: StepRun) -> None:
        _RowsOfRun(self, run).carry_out()


class _RowsOfRun:
    def __init__(self, all: Rows, run: StepRun) -> None:
        self._all, self._run, self._execution = all, run, all.execution
        self._width = len(run.kinds)
        self._count = (run.end - run.begin) // self._width
        self._columns = columns_of_run(all.steps, run)
        self._texts: list[Sequence[str]] = []  # the columns of what each row brings
        self._doubtful: list[Sequence[str]] = []  # of these, those of which an empty one takes other calls
        for kind, columns in self._columns.items():
            self._add_texts(kind, columns)

    def _add_texts(self, kind: str, columns: Columns) -> None:
        if kind == "e":
            self._texts += [columns["path"], names := self._names_of_seeds(), names]
        elif kind == "m":
            columns["text"] = ["" if source[:1] == "/" else source for source in columns["source"]]  # a device
        elif kind == "h" or (kind == "a" and any(columns["careful"])):
            parted = list(map(str.rpartition, columns["path"], repeat("/")))
            columns["above"], columns["text"] = [above for above, _, _ in parted], [name for _, _, name in parted]
            if kind == "a" and not all(columns["careful"]):  # texts of two kinds: each step by itself
                columns["text"] = ("",) * self._count
        elif kind == "a":
            columns["above"], columns["text"] = ("",) * self._count, columns["path"]
        elif kind in "nc":
            self._texts.append(columns["path"])
        if "text" in columns:
            self._texts.append(columns["text"])
            self._doubtful.append(columns["text"])

    def _names_of_seeds(self) -> list[str]:
        """Where in the yard they will stand: names that no step by itself gives (Execution.park)."""
        first = len(self._execution.parked)
        return [f"s{number}" for number in range(first, first + self._count)]

    def carry_out(self) -> None:
        mounts = [
            columns["handle" if kind == "r" else "mount"] for kind, columns in self._columns.items() if kind not in "ne"
        ]
        parts = [columns[name] for kind, columns in self._columns.items() for name in _ALIKE.get(kind, ())]
        parts += [[bool(text) for text in column] for column in self._doubtful if "" in column]
        parts = [part for part in parts if part.count(part[0]) < len(part)]
        at, of_one_mount = 0, all(column == mounts[0] for column in mounts[1:])
        for _, alike in groupby(zip(*parts, strict=True) if parts else [()] * self._count):
            first, at = at, at + len(list(alike))
            suits = of_one_mount and at - first >= LEAST and all(column[first] for column in self._doubtful)
            row = self._make(first, at) if suits else first
            self._all.one_by_one(self._step(row), self._step(at))

    def _step(self, row: int) -> int:
        return self._run.begin + row * self._width

    def _make(self, row: int, end: int) -> int:
        """Of the rows from `row` to before `end`, which are alike; returns which one is to come then."""
        refusals = 0
        while row < end and refusals < _REFUSALS:
            last, seeds = self._few(row, end)
            try:
                numbers = self._execution.descriptors(seeds)
                calls = self._calls(row)
            except OSError:  # a step by itself tells
                calls = None
            if calls is None:
                break
            texts = [""] * (len(self._texts) * (last - row))
            for place, column in enumerate(self._texts):
                texts[place :: len(self._texts)] = column[row:last]
            each = [numbers[seed] for seed in seeds]
            stopped = calls[0].run(calls[1], texts, each, last - row, self._all.counter)
            made = last if stopped is None else row + stopped.row
            self._take_down(row, made)
            row = made
            if stopped is not None:
                step = self._step(row)
                if stopped.fd >= 0:
                    self._execution.fds[self._columns["a"]["mount"][row]] = stopped.fd
                    self._execution.of_directory = stopped.fd if "h" in self._columns else -1
                self._all.one_by_one(step + stopped.step, step + self._width)
                row, refusals = row + 1, refusals + 1
            self._all.done(self._step(row))
        return row

    def _few(self, row: int, end: int) -> tuple[int, Sequence[str]]:
        """Up to which row to go at once, and the seed of each."""
        last = min(row + _MOST // self._width, end)
        if "j" not in self._columns:
            return last, ()
        seeds = self._columns["j"]["seed"][row:last]
        if len(set(seeds)) > _SEEDS:
            last, known = row, set[str]()
            for seed in seeds:
                known.add(seed)
                if len(known) > _SEEDS:
                    break
                last += 1
        return last, seeds[: last - row]

    def _take_down(self, row: int, end: int) -> None:
        """What steps by themselves remember of what they have made."""
        if "m" in self._columns:
            names, fstypes = (self._columns["m"][name][row:end] for name in ("filesystem", "fstype"))
            self._execution.in_memory.update(
                name for name, fstype in zip(names, fstypes, strict=True) if of(fstype).takes_files
            )
        elif "e" in self._columns:
            self._execution.parked.update(
                zip(self._columns["e"]["seed"][row:end], self._texts[1][row:end], strict=True)
            )

    def _calls(self, row: int) -> Calls | None:
        """What makes rows like this one; None if their steps are to be carried out by themselves."""
        one = {kind: {name: self._columns[kind][name][row] for name in _ALIKE.get(kind, ())} for kind in self._columns}
        execution = self._execution
        if "n" in one:
            within, *rest = one["n"].values()
            if rest != ["directory", -1, -1, -1, False]:
                return None
            return self._program(one), (execution.descriptor(within),)
        if "e" in one:
            filesystem, *rest = one["e"].values()
            if rest != ["", True, True]:
                return None
            return self._program(one), (execution.descriptor(filesystem), execution.yard)
        attach = one["a"]
        if attach["parent"] in (STAGE, YARD) or any(one.get("s", {}).get(name) for name in _BEYOND_BITS):
            return None
        source, below = -1, execution.fds[attach["parent"]]
        if "h" in one:
            above, *rest = one["h"].values()
            if rest != [False, "private", ""] or attach["careful"] != attach["tree"]:
                return None
            source = execution.sources.held(execution.host, above[1:])
            if attach["careful"]:
                below = execution.targets.held(below, attach["above"])
        elif attach["careful"]:
            return None
        elif "m" in one:
            if not self._columns["m"]["mount"][row] or not takes_plain_calls(*one["m"].values()):
                return None
        else:
            bench, *rest = one["c"].values()
            if rest != [False, False]:
                return None
            source = execution.descriptor(bench)
        return self._program(one), (source, below)

    def _program(self, one: dict[str, dict[str, Any]]) -> CallProgram:
        """What is made of each row, of its texts and of the descriptors that _calls() gives."""
        careful = "a" in one and one["a"]["careful"]
        bits = {name: one["s"][name] for name in ("set", "clear")} if "s" in one else {}
        new: tuple[Any, ...] = tuple(one["m"].values()) if "m" in one else ()
        shape = (self._run.kinds, careful, *bits.values(), *new)
        known = self._all.programs.get(shape)
        if known is not None:
            return known
        program = self._all.programs[shape] = CallProgram()
        fd, source, below = given(0), given(0), given(1)
        for kind in self._run.kinds:
            program.step(foreign=kind in "hm" or (kind == "a" and careful))
            if kind == "n":
                program.make_directory(source, TEXT)
            elif kind == "e":
                fd = program.clone(source, TEXT)
                program.check_directory(fd)
                program.set_attributes(fd, propagation=abi.MS_SHARED)
                program.make_directory(below, TEXT)
                program.attach(fd, below, TEXT)
                program.close(fd)
            elif kind == "m":
                fd = program.new_filesystem(new[0], TEXT, new[1])
            elif kind == "h":
                fd = program.clone_entry(source, TEXT)
            elif kind == "c":
                fd = program.clone(source, TEXT)
            elif kind == "s":
                program.set_attributes(fd, **bits)
            elif kind == "a":
                program.attach(fd, below, TEXT)
            elif kind == "j":
                program.join(EACH, fd)
            else:
                program.close(fd)
        return program
