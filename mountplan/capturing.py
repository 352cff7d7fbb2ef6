"""Capture from end to end: live namespaces -> the text of a spec."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from mountplan.applier.keep import kept
from mountplan.applier.observe.live_facts import LiveFacts
from mountplan.applier.observe.locks import find_locks, owner_of
from mountplan.applier.observe.observe import observe, refused_table
from mountplan.applier.observe.removed_names import OwnNames, with_own_names
from mountplan.applier.observe.subjects import Subject, of_file, of_process, of_tree
from mountplan.capture_judgement import judge_capture
from mountplan.operands import as_specs_have_it, view_of
from mountplan.planner.capture.captured import Captured, Caution
from mountplan.planner.capture.fillable import find_fillings, with_contents
from mountplan.planner.capture.mounts import Live
from mountplan.planner.capture.mounts import capture as capture_tables
from mountplan.planner.capture.naming import Names
from mountplan.planner.capture.user_namespaces import Owner
from mountplan.planner.capture.writing import write_spec
from mountplan.planner.fstypes import of
from mountplan.planner.light import without_collector
from mountplan.planner.names import Lock
from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.record import NamedTuple
from mountplan.planner.render.aside_text import TAKES_LISTMOUNT
from mountplan.planner.tables.mounttree import MountTree
from mountplan.planner.tables.table import MountTable

if TYPE_CHECKING:
    from mountplan.applier.observe.storing import Made
    from mountplan.tree import Tree

_OF_PROGRAMS = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "usr"})


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
def opened(wanted: Sequence[Wanted | Tree]) -> Iterator[list[Subject]]:
    """Lend the mount namespaces of all that is wanted, in that order, each once. Raises TableError or NotKept."""
    with ExitStack() as stack:
        found: list[Subject] = []
        known: set[tuple[int, int]] = set()
        for one in wanted:
            for subject in _open(*one) if isinstance(one, Wanted) else one.subjects():
                stack.enter_context(subject)
                status = os.fstat(subject.fd)
                if (status.st_dev, status.st_ino) not in known:
                    known.add((status.st_dev, status.st_ino))
                    found.append(subject)
        yield found


def called(wanted: Sequence[Wanted | Tree]) -> str:
    """What a spec of it is called that gets no other name: as the kept name; "" for as its first namespace."""
    first = wanted[0]
    return first.value if isinstance(first, Wanted) and first.kind == "kept" else ""


def _open(kind: str, value: str) -> list[Subject]:
    if kind == "pid":
        return [of_process(int(value))]
    if kind == "tree":
        return of_tree(int(value))
    if kind == "ns":
        return [of_file(f"/proc/{value}/ns/mnt" if value.isdecimal() else value)]
    return kept.subjects(value)


class Folder(NamedTuple):
    """A directory to be made for files of captured filesystems, and its name in the spec. `made` is as for store()."""

    path: str
    shown: str
    made: Made | None = None


@without_collector
def capture_subjects(
    subjects: Sequence[Subject],
    name: str = "",
    contents: Folder | None = None,
    *,
    check: bool = True,
    file: str = "captured.toml",
) -> Capture:
    """What stands in these namespaces, as a spec named `name`, or as the first of them.

    With `contents`, the files of tmpfs and ramfs are taken into that. With `check`, the spec is held against what was
    read, as if it were in `file`: each difference is a caution. Raises TableError; OSError if the directory cannot be
    made.
    """
    host = observe()
    names = Names()
    lives = []
    cautions = []
    wholes = [subject.read() for subject in subjects]
    wholes = [
        whole._replace(table=as_specs_have_it(whole.table, subject.fd))
        for subject, whole in zip(subjects, wholes, strict=True)
    ]
    views = [view_of("", whole) for whole in wholes]
    based = [without_base(whole.table) for whole in wholes]
    bare = [table for table, _ in based]
    own = with_own_names(subjects, bare, {row.device for row in host.rows})
    tables = own.tables
    for subject, whole, table, (_, seeds) in zip(subjects, wholes, tables, based, strict=True):
        label = names.take(subject.name)
        owner, locks = _owner(subject, table) if len(subjects) > 1 else (None, {})
        lives.append(Live(label, table, whole.idmaps, seeds, owner, locks))
        if not whole.complete:
            where = label if len(subjects) > 1 else ""
            cautions.append(Caution(where, f"what its root does not show is missing: {TAKES_LISTMOUNT}"))
    facts = LiveFacts(subjects, tables, host)
    captured = capture_tables(lives, host, facts, name=name or lives[0].name, unshare=subjects[0].kinds)
    if contents is not None:
        captured, more = _take_contents(captured, subjects, tables, contents)
        cautions += [*more, *_cautions_of_removed(captured, tables, facts)]
    else:
        cautions += _cautions_of_files(captured, facts)
    cautions += [*captured.cautions, *_cautions_of_names(captured, own)]
    cautions += _cautions_of_others(captured, tables, facts)
    text = write_spec(captured, ["Written by `mountplan capture`."])
    if check:
        cautions += judge_capture(text, file, captured, views, host)
    return Capture(text, tuple(cautions), captured)


def _cautions_of_files(captured: Captured, facts: LiveFacts) -> list[Caution]:
    """Say where the copy will lack programs, or the links by which they are found: in a root that is in memory."""
    cautions = []
    for space, namespace in enumerate(captured.namespaces):
        root = next((one for one in namespace.mounts if one.row == 0), None)
        if root is None or root.unsupported or not of(root.type).takes_files:
            continue
        declared = {file.path.strip("/") for file in root.files}
        names = [name for name in facts.files_in_root(space) if name not in declared]
        if _OF_PROGRAMS.intersection(names):
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            what = f"without --contents the copy has not what is in its root, and runs no programs: {shown}"
            cautions.append(Caution(captured.where(space, "/"), what))
    return cautions


def _cautions_of_removed(captured: Captured, tables: Sequence[MountTable], facts: LiveFacts) -> list[Caution]:
    """Say of which files the contents are lost: of those that were removed from overlays, no directory has them."""
    cautions = []
    for space, (namespace, table) in enumerate(zip(captured.namespaces, tables, strict=True)):
        rows = MountTree(table).rows
        shown = (rows[one.row] for one in namespace.mounts if one.bind is not None and one.bind.deleted)
        removed = [row for row in shown if row.fstype == "overlay"]
        for row, root in zip(removed, facts.roots([(space, row.mount_id) for row in removed]), strict=True):
            if root is not None and root.kind == "file":
                what = "contents: it will be empty, as it was removed from an overlay, and no directory has it"
                cautions.append(Caution(captured.where(space, row.mountpoint), what))
    return cautions


def _cautions_of_names(captured: Captured, own: OwnNames) -> Iterator[Caution]:
    """Say what differs where the name of what is shown was removed: the copy has it made, and removes it again."""

    def where(space: int, mount: int) -> str:
        return captured.where(space, own.tables[space].by_id()[mount].mountpoint)

    for space, mount, path in own.again:
        yield Caution(where(space, mount), f"{path} was removed, and is there again, as what it shows is made in there")
    for space, mount in own.linked:
        yield Caution(where(space, mount), "its name was removed, and it has others; the copy shows a file without any")


def _cautions_of_others(captured: Captured, tables: Sequence[MountTable], facts: LiveFacts) -> Iterator[Caution]:
    """Say which filesystems show another pid, net or ipc namespace than they will in the copy: that has one of each."""
    made = []
    for space, (namespace, table) in enumerate(zip(captured.namespaces, tables, strict=True)):
        rows = MountTree(table).rows
        some = [one for one in namespace.mounts if one.row >= 0 and one.bind is None and not one.unsupported]
        shown = (rows[one.row] for one in some if of(one.type).shows in ("pid", "net", "ipc"))
        made += [(space, row) for row in shown if row.root == "/"]
    for (space, row), is_alike in zip(made, facts.are_alike(made, captured.unshare), strict=True):
        kind = of(row.fstype).shows
        if is_alike is False:
            what = f"it shows another {kind} namespace than the copy will be in, which shows its own"
            yield Caution(captured.where(space, row.mountpoint), what)


def _owner(subject: Subject, table: MountTable) -> tuple[Owner | None, dict[int, Lock]]:
    """Who owns the namespace, if that is another user, and what is locked there."""
    found = owner_of(subject.fd)
    if found is None:
        return None, {}
    try:
        locks = find_locks(subject.fd, found.fd, table)
    except OSError as error:
        raise refused_table(f"{subject.label}: cannot find out what is locked", error) from None
    finally:
        os.close(found.fd)
    return Owner(found.inode, found.above, found.uids, found.gids), locks


def _take_contents(
    captured: Captured, subjects: Sequence[Subject], tables: Sequence[MountTable], folder: Folder
) -> tuple[Captured, list[Caution]]:
    """Store the files of all filesystems that can have some, and have the spec fill those from there."""
    from mountplan.applier.observe.storing import store

    fillings = find_fillings(captured, [MountTree(table) for table in tables])
    stored = store(fillings, subjects, tables, folder.path, folder.made)
    cautions = []
    for one in stored:
        where = captured.where(one.filling.space, one.filling.target)
        cautions += [Caution(where, f"contents: {what}") for what in one.told]
        if one.untold:
            cautions.append(Caution(where, f"contents: as much for {one.untold} more"))
    there = [(one.filling, f"{folder.shown}/{one.filling.name}", one.there) for one in stored if one.is_there]
    return with_contents(captured, there), cautions
