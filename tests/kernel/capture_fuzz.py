"""Capture states made by chance, build them again, and capture that: nothing may have changed. Shows what fails as a
short list of acts:

python -m tests.kernel.capture_fuzz --states 10000 --jobs 2 [--seed 1]
"""

from __future__ import annotations

import argparse
import os
import random
import stat
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from difflib import unified_diff
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

from mountplan import api
from mountplan.applier.build.build import build
from mountplan.applier.build.build_subjects import of_built
from mountplan.applier.observe.inspect import Whole
from mountplan.applier.observe.roots import look
from mountplan.applier.observe.subjects import Subject, of_process
from mountplan.applier.sys import syscalls
from mountplan.capturing import Capture, Folder, capture_subjects
from mountplan.operands import view_of
from mountplan.planner.capture.captured import Caution
from mountplan.planner.compare.compare import differences
from mountplan.planner.compare.difference import Difference, Drift
from mountplan.planner.errors import MountplanError
from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import MountRow, MountTable
from tests.hosts import enter_host
from tests.kernel.model_fuzz import in_children
from tests.kernel.states import Act, State, chance_state, running

# What a capture cannot see or have says so, as docs/capture.md has it; the third is all that kernels before 6.11 can
# do. The tables must be the same anyway.
DIFFERS = "the copy will differ"  # what a capture has found out by itself: only then there may be a difference
UNKNOWN = "taken by their names"  # of some overlays nothing tells what they are made of
UNSEEN = "cannot see what it shows"
ADRIFT = "left out: what it stands on cannot be seen"  # a rename took the mountpoint out of what its parent shows
TOLD = (
    UNSEEN,
    "stands in for it",
    "what its root does not show is missing",
    "taken by name",
    UNKNOWN,
    "new empty directories stand in",
    "what comes of that is undefined",
    "is there again",
    "its name was removed, and it has others",
    DIFFERS,
    ADRIFT,
)
UNFILLED = "it cannot be looked into"  # of a filesystem, for its files
LOST = "new empty directories stand in"  # of an overlay, of which the files are not compared
CAME_BACK = "came back"
PLAIN = "of these without a caution"
NAMES = ("one", "two", "three")


class Inhabited(Protocol):
    """Namespaces with a process in each."""

    @property
    def pids(self) -> list[int]: ...


class Compared(NamedTuple):
    """What is wrong, "" if nothing is; and what the cautions of the capture said."""

    wrong: str
    told: frozenset[str] = frozenset()  # of TOLD


def round_trip(state: State) -> Compared:
    """What comes of capturing this state and building it again."""
    told: set[str] = set()
    with running(state) as alive:
        wrong = compare_again(alive, told)
    return Compared(wrong, frozenset(told))


def compare_again(alive: Inhabited, kinds: set[str] | None = None) -> str:
    """Capture what is alive, build that, and say in what it differs; "" if in nothing. The `kinds` of cautions that
    are told come to be in there, by their words in TOLD.
    """
    with _subjects(alive) as subjects:
        found = [subject.read() for subject in subjects]
        first = capture_subjects(subjects, "state")
        if kinds is not None:
            kinds.update(words for words in TOLD for one in first.cautions if words in one.what)
        before = [subject.read() for subject in subjects]
        if changed := set(map(_standing, found)) ^ set(map(_standing, before)):
            return "\n".join(["the capture changed what stands there", *map(str, changed), first.text])
        text, difference = first.text, []
        unsupported = [str(one) for one in first.cautions if not any(words in one.what for words in TOLD)]
        if unsupported:
            return "cautions:\n" + "\n".join(unsupported) + "\n" + text
        try:
            with ExitStack() as stack:
                if any(row.fstype == "overlay" for whole in before for row in whole.table.rows):
                    # Only files tell one layer from another.
                    folder = stack.enter_context(TemporaryDirectory()) + "/contents"
                    filled = capture_subjects(subjects, "state", Folder(folder, folder), check=False)
                    text = filled.text
                mistakes = api.check(text.encode(), "captured.toml")
                if mistakes:
                    return "\n".join(map(str, mistakes)) + "\n" + text
                plan = api.plan(api.load("captured.toml", text.encode()))
                built = stack.enter_context(build(plan))
                if drift := api.read_back(plan, built)[1]:
                    return "\n".join(map(str, drift)) + "\n" + text
                again = [stack.enter_context(subject) for subject in of_built(built)]
                second = capture_subjects(again, "state", check=False)
                after = [subject.read() for subject in again]
                if text != first.text and not any(
                    words in one.what for one in filled.cautions for words in (UNKNOWN, UNFILLED)
                ):
                    lost = _lost(first, before)
                    for sides in zip(zip(subjects, before, strict=True), zip(again, after, strict=True), strict=True):
                        difference += _other_files(*sides, lost)
        except MountplanError as error:
            return f"{error}\n{first.text}"
    told = {one for one in first.cautions if DIFFERS in one.what}
    names = NAMES if len(before) > 1 else ("",)
    difference += [
        str(one)
        for one in _differences([_without_adrift(whole) for whole in before], after, names)
        if not any(_is_told(one, caution, before, names) for caution in told)
    ]
    # With the files, the copy may have what a capture could not see, and took for something else.
    guessed = text != first.text and any(UNSEEN in one.what for one in first.cautions)
    if not told and not guessed and first.text != second.text:
        difference += list(unified_diff(first.text.splitlines(), second.text.splitlines(), "captured", "again", n=9))
    return "\n".join(difference) and "\n".join([*difference, first.text])


def _without_adrift(whole: Whole) -> Whole:
    """What the copy must be: no path leads to the others, so no spec can say where they are."""
    adrift = set(MountTree(whole.table).adrift)
    rows = tuple(row for row in whole.table.rows if row not in adrift)
    return whole._replace(table=MountTable(rows))


def _standing(whole: Whole) -> tuple[MountRow, ...]:
    """The mounts. Options are another matter: a superblock of which the machine has one belongs to others too."""
    return tuple(row._replace(options="") for row in whole.table.rows)


def _lost(capture: Capture, tables: list[Whole]) -> set[str]:
    """The devices of overlays that are captured without the files of layers."""
    places = {one.where.rpartition(":")[2] for one in capture.cautions if LOST in one.what}
    rows = (row for whole in tables for row in without_base(whole.table)[0].rows)
    return {row.device for row in rows if row.fstype == "overlay" and row.mountpoint in places}


def _other_files(ours: tuple[Subject, Whole], theirs: tuple[Subject, Whole], lost: set[str]) -> list[str]:
    """In which overlays there is something else than there was. `lost` has the devices of those without their files."""
    seen = []
    for subject, whole in (ours, theirs):
        tree = MountTree(without_base(whole.table)[0])
        overlays = [row for row in tree.rows if row.fstype == "overlay"]
        names = look(subject, whole.table, [row.mount_id for row in overlays], _names)
        seen.append([(row.device, row.mountpoint, row.root, names) for row, names in zip(overlays, names, strict=True)])
    pairs = zip(*seen, strict=True) if len(seen[0]) == len(seen[1]) else ()  # otherwise the tables differ
    # What one of them cannot see, as it lies below what is shared, is not compared.
    return [
        f"files: {one[1:]} {other[1:]}"
        for one, other in pairs
        if one[1:] != other[1:] and None not in (one[3], other[3]) and one[0] not in lost
    ]


def _names(path: bytes, here: int, _: int) -> list[str] | None:
    """What is in the directory at `path`, and how long files are, if that is on the mount with the id `here`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # it may be a fifo
    except OSError:
        return None
    try:
        if syscalls.mount_id(fd, b"") != here:
            return None
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            return []
        found = []
        for top, directories, files, inner in os.fwalk(".", dir_fd=fd):
            on_it = [name for name in directories if syscalls.stat_root(inner, os.fsencode(name))[0] == here]
            directories[:] = on_it  # what is in a sysfs that is mounted there is other files each moment
            found += [f"{top}/{name}" for name in directories]
            found += [f"{top}/{name} {os.stat(name, dir_fd=inner, follow_symlinks=False).st_size}" for name in files]
        return sorted(found)
    finally:
        os.close(fd)


@contextmanager
def _subjects(alive: Inhabited) -> Iterator[list[Subject]]:
    with ExitStack() as stack:
        several = len(alive.pids) > 1
        names = NAMES if several else ("",)
        yield [stack.enter_context(of_process(pid, name)) for pid, name in zip(alive.pids, names, strict=False)]


def _differences(before: list[Whole], after: list[Whole], names: Sequence[str]) -> Drift:
    """What `mountplan diff` tells of the two."""
    views = [[view_of(name, whole) for name, whole in zip(names, wholes, strict=False)] for wholes in (before, after)]
    return differences(views[0], views[1], None)


def _is_told(one: Difference, caution: Caution, tables: list[Whole], names: Sequence[str]) -> bool:
    """Whether the caution is of this; what is the superblock's is told of one of its mounts."""
    if f" {one.prop}:" not in caution.what:
        return False
    place = f"{one.namespace}:{one.mount}" if one.namespace else one.mount
    devices: dict[str, set[str]] = {}
    for name, whole in zip(names, tables, strict=False):
        for row in whole.table.rows:
            devices.setdefault(f"{name}:{row.mountpoint}" if name else row.mountpoint, set()).add(row.device)
    same = devices.get(place, set()) & devices.get(caution.where, set())
    return place == caution.where or (one.prop.startswith("option ") and bool(same))


class Failure(NamedTuple):
    seed: int
    state: State
    what: str


def attempt(state: State) -> Compared:
    """round_trip, with a bug as one more thing that can be wrong."""
    try:
        return round_trip(state)
    except Exception:
        return Compared(traceback.format_exc())


def _kind(what: str) -> str:
    """Roughly what is wrong, so that a state does not become another failure while it is made smaller."""
    return what.split("\n")[-2][:30] if what.startswith("Traceback") else ""


def shorten(state: State, what: str) -> tuple[State, str]:
    """The state without all that does not matter for what is wrong with it."""
    size = max(1, len(state) // 2)
    while True:
        start = 1
        while start < len(state):
            fewer = [*state[:start], *state[start + size :]]
            said = attempt(fewer).wrong
            if said and _kind(said) == _kind(what):
                state, what = fewer, said
            else:
                start += size
        if size == 1:
            return state, what
        size //= 2


# A process that mounts cgroup2 on this machine meanwhile gives these to all of its mounts, or takes them away.
OF_MACHINE = ("nsdelegate", "memory_recursiveprot")


def search(seeds: range, *, stop_after: int = 5) -> tuple[Counter[str], list[Failure]]:
    """Try all seeds in this process, which moves to a namespace of its own.

    How many states came back, with each kind of caution and without one; and what failed.
    """
    enter_host("root")
    found: list[Failure] = []
    told: Counter[str] = Counter()
    for seed in seeds:
        state = chance_state(seed)
        outcome = attempt(state)
        if any(f"option {name}'" in outcome.wrong for name in OF_MACHINE):
            outcome = attempt(state)
        if outcome.wrong:
            found.append(Failure(seed, *shorten(state, outcome.wrong)))
            sys.stderr.write(f"seed {seed} fails\n{show(found[-1].state)}{found[-1].what}\n")
            if len(found) >= stop_after:
                break
        else:
            told[CAME_BACK] += 1
            told.update(outcome.told or {PLAIN})
    return told, found


def main() -> int:
    parser = argparse.ArgumentParser(description="Capture states made by chance, and build them again.")
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 40), help="the first one; others follow it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--stop-after", type=int, default=5, help="failures, in each job")
    arguments = parser.parse_args()
    write = sys.stdout.write
    write(f"seeds {arguments.seed} to {arguments.seed + arguments.states - 1}\n")
    sys.stdout.flush()
    begin = time.monotonic()
    end = arguments.seed + arguments.states
    parts = [range(arguments.seed + job, end, arguments.jobs) for job in range(arguments.jobs)]
    outcomes = in_children(
        [lambda part=part: search(part, stop_after=arguments.stop_after) for part in parts]  # type: ignore[misc]
    )
    found = [failure for _, failures in outcomes for failure in failures]
    write(f"failing seeds: {sorted(failure.seed for failure in found)}\n" if found else "")
    told = sum((counts for counts, _ in outcomes), Counter[str]())
    for kind in (CAME_BACK, PLAIN, *TOLD):
        write(f"{told[kind]:7} {kind}\n")
    write(f"{told[CAME_BACK] + len(found)} states, {len(found)} failures, {time.monotonic() - begin:.0f} s\n")
    return 1 if found else 0


def show(state: State) -> str:
    return "".join(f"    {act!r},\n" for act in state)


__all__ = ["ADRIFT", "Act", "attempt", "round_trip", "search", "shorten"]

if __name__ == "__main__":
    sys.exit(main())
