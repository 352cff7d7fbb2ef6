"""The differential test: one sequence of calls made in the model and on the kernel, compared after every call.

A sequence is a list of calls, each a tuple: the number of the session (a process in a mount namespace of its own) that
makes it, its name, its arguments. Paths and descriptors are the same on both sides. What is compared: the errno; and
for every session its mount table, row by row in the kernel's order, with ids of mounts, groups and devices up to
renaming. On a kernel whose rules are older ones: whether a call is refused, and the tables in the order of paths, since
older kernels make their checks, and their copies, in another order. model_chooser.py makes random sequences,
model_fuzz.py tries many of them.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mountplan.planner.attributes import NODEV, NOEXEC, NOSUID, RDONLY, Change
from mountplan.planner.compare.same_rows import SameRows
from mountplan.planner.model import RULES_6_18, ModelHandle, Process, Rules, Superblock, World, WouldRefuse, rules_of
from mountplan.planner.tables.table import MountRow
from tests.kernel import model_machine
from tests.kernel.model_layout import DIRECTORIES, FILES
from tests.kernel.model_machine import Machine

Call = tuple[Any, ...]


class Difference(NamedTuple):
    """Where model and kernel part: after which call of the sequence, and how."""

    calls: tuple[Call, ...]
    what: str

    def __str__(self) -> str:
        return "\n".join([self.what, "after:", *(f"    {call!r}," for call in self.calls)])


def fill(superblock: Superblock) -> None:
    for path in DIRECTORIES:
        superblock.make(path)
    for path in FILES:
        superblock.make(path, directory=False)


class Model:
    """The model's side: the same calls as Machine, with the same names."""

    def __init__(self, rules: Rules) -> None:
        self.world = World(rules)
        root = self.world.superblock("tmpfs")
        fill(root)
        self.sessions: dict[int, Process] = {0: self.world.boot("0", root)}
        self.handles: dict[int, ModelHandle] = {}
        self.current = self.sessions[0]

    def go(self, number: int) -> None:
        self.current = self.sessions[number]

    def new(self, target: str, source: str, flags: int) -> None:
        self.world.mount_new(self.current, "tmpfs", source, target, attributes=_bits(flags), fill=fill)

    def bind(self, source: str, target: str, recursive: bool) -> None:
        self.world.bind(self.current, source, target, recursive=recursive)

    def move(self, source: str, target: str) -> None:
        self.world.move(self.current, source, target)

    def change(self, target: str, kind: Any, recursive: bool) -> None:
        self.world.change_type(self.current, target, kind, recursive=recursive)

    def change_handle(self, handle: int, kind: Any, recursive: bool) -> None:
        if not self.handles[handle].place[1].is_directory:
            raise WouldRefuse(errno.ENOTDIR, "the machine goes there by fchdir(2)")
        self.world.change_type(self.current, self.handles[handle], kind, recursive=recursive)

    def remount(self, target: str, flags: int) -> None:
        self.world.remount_bind(self.current, target, _bits(flags))

    def umount(self, target: str, lazy: bool) -> None:
        self.world.umount(self.current, target, lazy=lazy)

    def pivot(self, new: str, old: str) -> None:
        self.world.pivot_root(self.current, new, old)

    def mkdir(self, path: str) -> None:
        self.world.mkdir(self.current, path)

    def remove(self, path: str, directory: bool) -> None:
        self.world.remove(self.current, path, directory=directory)

    def rename(self, old: str, new: str) -> None:
        self.world.rename(self.current, old, new)

    def clone(self, number: int) -> None:
        child = self.world.fork(self.current, str(number))
        self.world.unshare(child, str(number))
        self.sessions[number] = self.current = child

    def clone_user(self, number: int) -> None:
        child = self.world.fork(self.current, str(number))
        try:
            self.world.unshare(child, str(number), user=True)
        except WouldRefuse:
            self.world.exit(child)
            raise
        child.user = self.world.initial_user  # it is the machine's root that goes on there
        self.sessions[number] = child

    def leave(self, number: int) -> None:
        self.world.exit(self.sessions.pop(number))

    def open(self, handle: int, path: str, clone: bool, recursive: bool) -> None:
        self.handles[handle] = self.world.open_tree(self.current, path, clone=clone, recursive=recursive)

    def clone_handle(self, handle: int, source: int, recursive: bool) -> None:
        self.handles[handle] = self.world.open_tree(self.current, self.handles[source], clone=True, recursive=recursive)

    def fsmount(self, handle: int, attributes: int) -> None:
        superblock = self.world.superblock("tmpfs")
        fill(superblock)
        self.handles[handle] = self.world.fsmount(self.current, superblock, attributes=attributes)

    def close_handle(self, handle: int) -> None:
        self.world.close(self.handles.pop(handle))

    def move_mount(self, source: int | str, target: int | str, extra: int) -> None:
        if extra & model_machine.MOVE_MOUNT_SET_GROUP:
            self.world.set_group(self.current, self._where(source), self._where(target))
        else:
            beneath = bool(extra & model_machine.MOVE_MOUNT_BENEATH)
            self.world.move_mount(self.current, self._where(source), self._where(target), beneath=beneath)

    def set_attributes(self, where: int | str, bits: int, clear: int, kind: Any, recursive: bool) -> None:
        self.world.set_attributes(self.current, self._where(where), Change(bits, clear), kind=kind, recursive=recursive)

    def _where(self, where: int | str) -> ModelHandle | str:
        return where if isinstance(where, str) else self.handles[where]


def _bits(flags: int) -> int:
    """MS_* -> planner.attributes' bits: the two agree where the test goes."""
    return flags & (RDONLY | NOSUID | NODEV | NOEXEC)


# --- one sequence


class Run:
    """One sequence, under way on both sides."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        rules = rules_of(os.uname().release)
        self.exact = rules == RULES_6_18
        self.model = Model(rules)
        self.over = False  # True: nothing can be compared any more
        self.tables: dict[int, tuple[MountRow, ...]] = {0: self.model.world.table(self.model.current).rows}
        self.texts: dict[int, bytes] = {}
        self.calls: list[Call] = []
        self.results: Counter[tuple[str, int]] = Counter()  # how often each call had each errno
        machine.begin()

    def end(self) -> None:
        self.machine.end()

    def possible(self, call: Call) -> bool:
        """Whether the sessions and descriptors that a call names are there: after one was left out they may not be."""
        number, name, *arguments = call
        model = self.model
        if number not in model.sessions:
            return False
        if name == "leave":
            return arguments[0] in model.sessions and len(model.sessions) > 1
        if name in ("clone", "clone_user"):
            return arguments[0] not in model.sessions
        if name in ("close_handle", "change_handle"):
            return arguments[0] in model.handles
        if name == "clone_handle":
            return arguments[1] in model.handles and arguments[0] not in model.handles
        if name in ("open", "fsmount"):
            return arguments[0] not in model.handles
        if name == "move_mount":
            return all(isinstance(one, str) or one in model.handles for one in arguments[:2])
        if name == "set_attributes":
            return isinstance(arguments[0], str) or arguments[0] in model.handles
        return True

    def make(self, call: Call) -> Difference | None:
        """Make one call on both sides and compare; None if they agree."""
        number, name, *arguments = call
        self.calls.append(call)
        self.model.go(number)
        self.machine.go(number)
        why = ""
        try:
            getattr(self.model, name)(*arguments)
            expected = 0
        except WouldRefuse as refusal:
            expected = refusal.errno
            why = f" ({refusal.why})"
        found = getattr(self.machine, name)(*arguments)
        self.results[name, found] += 1
        if expected != found and (self.exact or not expected or not found):
            return self._differ(f"the model says {error_name(expected)}{why}, the kernel {error_name(found)}")
        return self._compare_tables()

    def _differ(self, what: str) -> Difference:
        return Difference(tuple(self.calls), what)

    def _compare_tables(self) -> Difference | None:
        world = self.model.world
        tables = {number: world.table(process).rows for number, process in self.model.sessions.items()}
        texts = {number: self.machine.text(number) for number in tables}
        if texts == self.texts and tables == self.tables:
            return None  # as after the call before
        self.tables, self.texts = tables, texts
        comparison = SameRows()
        for number, expected in tables.items():
            found: Sequence[MountRow] = self.machine.rows(texts[number])
            if not self.exact:
                # Before 6.17 what is tucked below a copy may come to lie beside another mount on the same place, where
                # walks find either of them. The model does not know of such trees.
                places = {(row.parent_id, row.mountpoint) for row in found}
                if len(places) < len(found):
                    self.over = True
                    return None
                expected, found = _by_path(expected), _by_path(found)
            if not comparison.equal(expected, found):
                heads = f"session {number}: the model has", "the kernel has"
                return self._differ("\n".join([heads[0], *_lines(expected), heads[1], *_lines(found)]))
        return None


def _by_path(rows: Sequence[MountRow]) -> tuple[MountRow, ...]:
    """In an order that does not depend on the ids: of no parent, two mounts are on one place."""
    by_id = {row.mount_id: row for row in rows}

    def path(row: MountRow) -> tuple[str, ...]:
        above = by_id.get(row.parent_id)
        return (*(path(above) if above is not None and above is not row else ()), row.mountpoint)

    return tuple(sorted(rows, key=path))


def error_name(number: int) -> str:
    return errno.errorcode.get(number, str(number)) if number else "success"


def _lines(rows: Any) -> Iterator[str]:
    """Rows in short, with small numbers instead of ids."""
    ids: dict[int, int] = {}
    groups: dict[int, int] = {}
    devices: dict[str, int] = {}
    for row in rows:
        ids.setdefault(row.mount_id, len(ids) + 1)
    for row in rows:
        parts = [f"  {ids[row.mount_id]:2} on {ids.get(row.parent_id, 0):2} {row.mountpoint:14}"]
        parts.append(f"fs{devices.setdefault(row.device, len(devices) + 1)}:{row.root:8} {row.attributes:12}")
        for word, group in (("shared", row.peer_group), ("master", row.master), ("from", row.propagate_from)):
            if group:
                parts.append(f"{word}:{groups.setdefault(group, len(groups) + 1)}")
        if row.unbindable:
            parts.append("unbindable")
        yield " ".join(parts)


def replay(machine: Machine, calls: tuple[Call, ...]) -> Difference | None:
    """Make the calls again, leaving out what is not possible; the first difference, or None."""
    run = Run(machine)
    try:
        for call in calls:
            if run.possible(call) and (difference := run.make(call)) is not None:
                return difference
            if run.over:
                break
    finally:
        run.end()
    return None


def shorten(machine: Machine, difference: Difference) -> Difference:
    """The same difference, or another one, after as few calls as can be: leaves out ever smaller pieces."""
    size = max(len(difference.calls) // 2, 1)
    while True:
        begin = 0
        while begin < len(difference.calls):
            calls = difference.calls
            shorter = replay(machine, calls[:begin] + calls[begin + size :])
            if shorter is not None and len(shorter.calls) < len(calls):
                difference = shorter
            else:
                begin += size
        if size == 1:
            break
        size //= 2
    # Once more, until nothing at all can be left out.
    again = True
    while again:
        again = False
        for begin in range(len(difference.calls)):
            shorter = replay(machine, difference.calls[:begin] + difference.calls[begin + 1 :])
            if shorter is not None and len(shorter.calls) < len(difference.calls):
                difference, again = shorter, True
                break
    return difference
