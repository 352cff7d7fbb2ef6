"""Capture from end to end: live namespaces -> the text of a spec."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from mountplan.applier import kept
from mountplan.applier.observe import observe
from mountplan.applier.roots import LiveFacts
from mountplan.applier.subjects import Subject, of_file, of_process, of_tree
from mountplan.planner.capture.mounts import Live, capture
from mountplan.planner.capture.words import Captured, Caution
from mountplan.planner.capture.writing import write_spec
from mountplan.planner.naming import Names
from mountplan.planner.seedbase import without_base


class Wanted(NamedTuple):
    """What is to be looked at: a process, a process and its descendants, a namespace file, or a kept name."""

    kind: str  # "pid", "tree", "ns" or "kept"
    value: str


class Capture(NamedTuple):
    """A captured spec: its text, what should be known about it, and what the text is made of."""

    text: str
    cautions: tuple[Caution, ...]
    captured: Captured


@contextmanager
def opened(wanted: Sequence[Wanted]) -> Iterator[list[Subject]]:
    """Lend the mount namespaces of all that is wanted, in that order, each once. Raises TableError or NotKept."""
    with ExitStack() as stack:
        found: list[Subject] = []
        known: set[tuple[int, int]] = set()
        for kind, value in wanted:
            for subject in _open(kind, value):
                stack.enter_context(subject)
                status = os.fstat(subject.fd)
                if (status.st_dev, status.st_ino) not in known:
                    known.add((status.st_dev, status.st_ino))
                    found.append(subject)
        yield found


def _open(kind: str, value: str) -> list[Subject]:
    if kind == "pid":
        return [of_process(int(value))]
    if kind == "tree":
        return of_tree(int(value))
    if kind == "ns":
        return [of_file(value)]
    return kept.subjects(value)


def capture_subjects(subjects: Sequence[Subject], name: str = "") -> Capture:
    """What stands in these namespaces, as a spec named `name`, or as the first of them. Raises TableError."""
    host = observe()
    names = Names()
    lives = []
    tables = []
    cautions = []
    for subject in subjects:
        whole = subject.read()
        table, seeds = without_base(whole.table)
        tables.append(table)
        label = names.take(subject.name)
        lives.append(Live(label, table, whole.idmaps, seeds))
        if not whole.complete:
            where = label if len(subjects) > 1 else ""
            cautions.append(Caution(where, "what its root does not show is missing: that takes Linux 6.11"))
    captured = capture(lives, host, LiveFacts(subjects, tables, host), name=name or lives[0].name)
    cautions += captured.cautions
    return Capture(write_spec(captured, ["Written by `mountplan capture`."]), tuple(cautions), captured)
