"""Rows of steps that are alike, made by one program of calls: binds beside one another, new filesystems, mountpoints,
seeds.

Of what the calls need, each row brings a few texts and perhaps a seed, and the rest is the same for all that are made
at once. Where a call is refused, or shows something else than nearly all do, its step is carried out by itself, as each
step is where there is no such program: what is made, and what is told, is the same.
"""

from __future__ import annotations

from itertools import pairwise

from mountplan.applier.sys import abi
from mountplan.applier.sys.call_program import EACH, CallProgram, given, name_in, text_in
from mountplan.applier.sys.kernel import takes_plain_calls
from mountplan.planner.fstypes import of
from mountplan.planner.light import Protocol
from mountplan.planner.names import Handle
from mountplan.planner.plan.step_runs import BINDS, LEAST, StepRun, runs_of, whole_columns
from mountplan.planner.plan.steps import STAGE, YARD
from mountplan.planner.tables.columns import are_same, equal_until, part_of_column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, TypeAlias

    from mountplan.applier.build.last_directory import LastDirectory
    from mountplan.planner.plan.step_columns import Steps

    One: TypeAlias = dict[str, dict[str, Any]]  # by the letter of a step, what rows that are alike have in common

KINDS = BINDS | {"n", "e", "mar", "msar"}
# In what rows have to be the same to be made at once, by the letter of the step.
_ALIKE = {
    "n": ("within", "node", "mode", "uid", "gid", "careful"),
    "e": ("filesystem", "master", "shared", "parked"),
    "m": ("fstype", "options", "device"),
    "h": ("recursive", "propagation", "namespace"),
    "c": ("filesystem", "careful", "subvolume"),
    "s": ("set", "clear", "recursive", "unbindable", "id_map"),
    "a": ("parent", "careful", "tree"),
}
_TEXTS = {"n": "path", "e": "path", "m": "source", "h": "path", "c": "path", "a": "path"}
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
        # Nothing copies them: each of ten thousand texts would be touched, whose memory is shared until then.
        self._columns = whole_columns(all.steps, run)
        self._texts: list[list[str]] = []  # what each row brings
        self._begins: list[int] = []  # in which of them that of the first row is
        self._text: dict[str, int] = {}  # the first of these columns that is of a step, by its letter
        for kind, (columns, first) in self._columns.items():
            if kind == "m":
                columns["device"] = [source[:1] == "/" for source in columns["source"]]
            if kind in _TEXTS:
                self._text[kind] = len(self._texts)
                self._bring(columns[_TEXTS[kind]], first)
            if kind == "e":
                # Where in the yard they will stand: names that no step by itself gives (Execution.park).
                parked = len(self._execution.parked)
                self._bring([f"s{number}" for number in range(parked, parked + self._count)], 0)

    def _bring(self, column: Sequence[str], first: int) -> None:
        self._texts.append(column if isinstance(column, list) else list(column))
        self._begins.append(first)

    def _value(self, kind: str, name: str, row: int) -> Any:
        columns, first = self._columns[kind]
        return columns[name][first + row]

    def _values(self, kind: str, name: str, row: int, end: int) -> Sequence[Any]:
        columns, first = self._columns[kind]
        return columns[name][first + row : first + end]

    def carry_out(self) -> None:
        parts = [
            (columns[name], first) for kind, (columns, first) in self._columns.items() for name in _ALIKE.get(kind, ())
        ]
        row, of_one_mount, ends = 0, self._is_of_one_mount(), [0] * len(parts)
        while row < self._count:
            ends = [
                equal_until(part, first + row) - first if end <= row else end
                for (part, first), end in zip(parts, ends, strict=True)
            ]
            end = min(self._count, *ends)
            made = self._make(row, end) if of_one_mount and end - row >= LEAST else row
            self._all.one_by_one(self._step(made), self._step(end))
            row = end

    def _is_of_one_mount(self) -> bool:
        """Whether the steps of each row are about the same mount."""
        mounts = [
            part_of_column(columns["handle" if kind == "r" else "mount"], first, first + self._count)
            for kind, (columns, first) in self._columns.items()
            if kind not in "ne"
        ]
        return all(are_same(one, other) for one, other in pairwise(mounts))

    def _step(self, row: int) -> int:
        return self._run.begin + row * self._width

    def _make(self, row: int, end: int) -> int:
        """Of the rows from `row` to before `end`, which are alike; returns which one is to come then."""
        one = {kind: {name: self._value(kind, name, row) for name in _ALIKE.get(kind, ())} for kind in self._columns}
        program, refusals = self._program(one) if self._is_plain(one, row) else None, 0
        while program is not None and row < end and refusals < _REFUSALS:
            last, seeds = self._few(row, end)
            try:
                numbers = self._execution.descriptors(seeds)
                given = self._given(one, row)
            except OSError:  # a step by itself tells
                break
            each = [numbers[seed] for seed in seeds]
            begins = [first + row for first in self._begins]
            stopped = program.run(given, tuple(self._texts), begins, each, last - row, self._all.counter)
            made = last if stopped is None else row + stopped.row
            self._take_down(row, made)
            row = made
            if stopped is not None and stopped.step >= 0:
                step = self._step(row)
                if stopped.fd >= 0:
                    self._execution.fds[self._value("a", "mount", row)] = stopped.fd
                    self._execution.of_directory = stopped.fd if "h" in self._columns else -1
                self._all.one_by_one(step + stopped.step, step + self._width)
                row, refusals = row + 1, refusals + 1
            else:
                refusals = 0
            self._all.done(self._step(row))
        return row

    def _few(self, row: int, end: int) -> tuple[int, Sequence[str]]:
        """Up to which row to go at once, and the seed of each."""
        last = min(row + _MOST // self._width, end)
        if "j" not in self._columns:
            return last, ()
        seeds = self._values("j", "seed", row, last)
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
            names, fstypes = (self._values("m", name, row, end) for name in ("filesystem", "fstype"))
            self._execution.in_memory.update(
                name for name, fstype in zip(names, fstypes, strict=True) if of(fstype).takes_files
            )
        elif "e" in self._columns:
            places = self._texts[self._text["e"] + 1][row:end]
            self._execution.parked.update(zip(self._values("e", "seed", row, end), places, strict=True))

    def _is_plain(self, one: One, row: int) -> bool:
        """Whether rows like this one can be made together."""
        if "n" in one:
            return list(one["n"].values())[1:] == ["directory", -1, -1, -1, False]
        if "e" in one:
            return list(one["e"].values())[1:] == ["", True, True]
        attach = one["a"]
        if attach["parent"] in (STAGE, YARD) or any(one.get("s", {}).get(name) for name in _BEYOND_BITS):
            return False
        if "h" in one:
            return list(one["h"].values()) == [False, "private", ""] and attach["careful"] == attach["tree"]
        if attach["careful"]:
            return False
        if "m" in one:
            fstype, options, device = one["m"].values()
            return not device and self._value("m", "mount", row) and takes_plain_calls(fstype, options)
        return list(one["c"].values())[1:] == [False, False]

    def _given(self, one: One, row: int) -> tuple[int, ...]:
        """The descriptors for this row, and for those after it whose names are in the same directories."""
        execution = self._execution
        if "n" in one:
            return (execution.descriptor(one["n"]["within"]),)
        if "e" in one:
            return (execution.descriptor(one["e"]["filesystem"]), execution.yard)
        source, below = -1, execution.fds[one["a"]["parent"]]
        if "h" in one:
            source = execution.sources.held(execution.host, self._above("h", row)[1:])
            if one["a"]["careful"]:
                below = execution.targets.held(below, self._above("a", row))
        elif "c" in one:
            source = execution.descriptor(one["c"]["filesystem"])
        return source, below

    def _above(self, kind: str, row: int) -> str:
        path: str = self._value(kind, "path", row)
        return path.rpartition("/")[0]

    def _program(self, one: One) -> CallProgram:
        """What is made of each row, of its texts and of the descriptors that _given() gives."""
        careful = "a" in one and one["a"]["careful"]
        bits = {name: one["s"][name] for name in ("set", "clear")} if "s" in one else {}
        new: tuple[Any, ...] = tuple(one["m"].values())[:2] if "m" in one else ()
        shape = (self._run.kinds, careful, *bits.values(), *new)
        known = self._all.programs.get(shape)
        if known is not None:
            return known
        program = self._all.programs[shape] = CallProgram()
        fd, source, below = given(0), given(0), given(1)
        for kind in self._run.kinds:
            program.step(foreign=kind in "hm" or (kind == "a" and careful))
            place = self._text.get(kind, -1)
            if kind == "n":
                program.make_directory(source, text_in(place))
            elif kind == "e":
                fd = program.clone(source, text_in(place))
                program.check_directory(fd)
                program.set_attributes(fd, propagation=abi.MS_SHARED)
                program.make_directory(below, text_in(place + 1))
                program.attach(fd, below, text_in(place + 1))
                program.close(fd)
            elif kind == "m":
                fd = program.new_filesystem(new[0], text_in(place), new[1])
            elif kind == "h":
                fd = program.clone_entry(source, name_in(place))
            elif kind == "c":
                fd = program.clone(source, text_in(place))
            elif kind == "s":
                program.set_attributes(fd, **bits)
            elif kind == "a":
                program.attach(fd, below, name_in(place) if careful else text_in(place))
            elif kind == "j":
                program.join(EACH, fd)
            else:
                program.close(fd)
        return program
