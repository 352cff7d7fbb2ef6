"""The differential test with real processes: several, with roots and directories of their own, some less privileged.

Slower than model_driver.py, which lets one process play all parts; it tells more about who may do what.

    python -m tests.kernel.model_processes --sequences 2000 [--seed 1]
"""

from __future__ import annotations

import argparse
import errno
import random
import sys

from mountplan.planner.attributes import (
    ATIME_MASK,
    NOATIME,
    NODEV,
    NODIRATIME,
    NOEXEC,
    NOSUID,
    RDONLY,
    STRICTATIME,
    Change,
)
from mountplan.planner.commands.actions import (
    Action,
    BindMount,
    ChangeDirectory,
    ChangeKind,
    ChangeRoot,
    End,
    Enter,
    Fork,
    MakeDirectory,
    MountNew,
    MoveMount,
    PivotRoot,
    Remount,
    SetAttributesCall,
    Stage,
    Unmount,
    Unshare,
)
from mountplan.planner.model import World, WouldRefuse
from mountplan.planner.model.peers import Kind
from mountplan.planner.model.to_table import path_of
from mountplan.planner.render.kernel_comparison import Sight, table_differences
from mountplan.planner.shell.simulate import empty_world
from mountplan.planner.tables.table import MountTable
from tests.propagation import Look, rehearse

NAMES = ("a", "b", "c")
KINDS: tuple[Kind, ...] = ("shared", "shared", "shared", "slave", "slave", "private", "unbindable")
Made = tuple[int, Action, int]


class Sequence:
    """A random sequence, carried out in the model as it is made up."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stage: Stage = empty_world()
        self.made: list[Made] = []
        self.tables: list[tuple[Look, MountTable]] = []
        self.next = 2
        for path in ("/a", "/b", "/a/b", "/c"):
            self.make(1, MakeDirectory(path))
        if self.random.random() < 0.6:
            self.make(1, ChangeKind("/", "shared", True))
        for _ in range(self.random.randint(10, 40)):
            self.step()

    @property
    def world(self) -> World:
        return self.stage.world

    def make(self, number: int, action: Action) -> None:
        try:
            self.stage.perform(number, action)
            result = 0
        except WouldRefuse as refusal:
            result = refusal.errno
        self.made.append((number, action, result))
        for other, process in sorted(self.stage.processes.items()):
            self.tables.append((Look(len(self.made), other), self.world.table(process)))

    def step(self) -> None:
        choose = self.random.choice
        number = choose(sorted(self.stage.processes))
        flags = choose((0, 0, RDONLY, NOSUID, NODEV, NOEXEC | NOSUID))
        crowded = sum(len(one.mounts) for one in self.world.namespaces) > 80
        sort = self.random.choices(
            ("new", "bind", "change", "umount", "move", "remount", "attributes", "fork", "pivot", "mkdir", "cd",
             "chroot", "enter", "end"),
            (2, 3, 12, 12, 5, 4, 4, 2, 3, 4, 4, 1, 1, 1) if crowded else (12, 16, 12, 10, 5, 4, 4, 3, 3, 6, 4, 1, 1, 1),
        )[0]  # fmt: skip
        match sort:
            case "new":
                self.make(number, MountNew("tmpfs", f"t{len(self.made)}", self.path(number), flags))
            case "bind":
                self.make(number, BindMount(self.path(number), self.path(number), self.random.random() < 0.4))
            case "change":
                self.make(number, ChangeKind(self.path(number), choose(KINDS), self.random.random() < 0.3))
            case "umount":
                self.make(number, Unmount(self.path(number), self.random.random() < 0.4))
            case "move":
                self.make(number, MoveMount(self.path(number), self.path(number)))
            case "remount":
                bits = flags | choose((0, NOATIME, STRICTATIME, NODIRATIME))
                keeps = not bits & (ATIME_MASK | NODIRATIME) and self.random.random() < 0.7
                self.make(number, Remount(self.path(number), bits, keeps, self.random.random() < 0.8))
            case "attributes":
                change = choose(
                    (Change(flags or NOEXEC, 0), Change(0, flags or NODEV), Change(NOATIME | flags, ATIME_MASK))
                )
                self.make(number, SetAttributesCall(self.path(number), change))
            case "fork" if len(self.stage.processes) < 4:
                child = self.next
                self.next += 1
                self.make(number, Fork(child))
                if self.random.random() < 0.8:
                    self.make(child, Unshare(self.random.random() < 0.4))
            case "pivot":
                new = self.path(number)
                self.make(number, PivotRoot(new, choose((new, f"{new}/{choose(NAMES)}", self.path(number)))))
            case "mkdir":
                self.make(number, MakeDirectory(f"{self.path(number)}/{choose(NAMES)}"))
            case "cd":
                self.make(number, ChangeDirectory(self.path(number)))
            case "chroot":
                self.make(number, ChangeRoot(self.path(number)))
            case "enter":
                other = choose(sorted(self.stage.processes))
                if self.stage.processes[number].user is self.world.initial_user:
                    self.make(number, Enter(other))
            case "end" if len(self.stage.processes) > 1 and number != 1:
                self.make(number, End())

    def path(self, number: int) -> str:
        """Mostly a mountpoint or a directory in one, as the process sees it; sometimes relative to where it is."""
        process = self.stage.processes[number]
        rows = self.world.table(process).rows
        dice = self.random.random()
        if dice < 0.1 and path_of(process.cwd, process.root) is not None:
            return self.random.choice((".", "..", *NAMES))
        base = self.random.choice(rows).mountpoint if rows else "/"
        if dice < 0.45:
            return base
        return f"{base.rstrip('/')}/{self.random.choice(NAMES)}"


def differences(sequence: Sequence) -> list[str]:
    """What the kernel does otherwise, the first call first."""
    calls = tuple((number, action) for number, action, _ in sequence.made)
    results, tables = rehearse(calls, tuple(look for look, _ in sequence.tables))
    told: list[str] = []
    later = iter(zip(sequence.tables, tables, strict=True))
    pending = next(later, None)
    for count, ((number, action, expected), found) in enumerate(zip(sequence.made, results, strict=True), 1):
        if expected != found:
            told.append(f"{count}: process {number}: {action}: {_name(expected)} in the model, kernel {_name(found)}")
        moment: list[Sight] = []
        while pending is not None and pending[0][0].after == count:
            (look, wanted), table = pending
            moment.append(Sight(f"{count}: process {look.process} sees", wanted, table))
            if _disorder(wanted, table):
                told.append(f"{count}: process {look.process} sees another order")
            pending = next(later, None)
        told += table_differences(moment)
        if told:
            break
    return told


def _disorder(wanted: MountTable, found: MountTable) -> bool:
    """Is the kernel's order, which is that of their making, another one?"""
    return [row.mountpoint for row in wanted.rows] != [row.mountpoint for row in found.rows]


def _name(number: int) -> str:
    return errno.errorcode.get(number, "success")


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the model with the kernel, with real processes.")
    parser.add_argument("--sequences", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 40))
    arguments = parser.parse_args()
    sys.stdout.write(f"seeds {arguments.seed} to {arguments.seed + arguments.sequences - 1}\n")
    found = 0
    for seed in range(arguments.seed, arguments.seed + arguments.sequences):
        sequence = Sequence(seed)
        told = differences(sequence)
        if told:
            found += 1
            sys.stdout.write(f"seed {seed}:\n" + "".join(f"  {line}\n" for line in told))
            last = int(told[0].split(":")[0])
            for number, action, result in sequence.made[:last]:
                sys.stdout.write(f"      {number}: {action} -> {_name(result)}\n")
            if found >= 5:
                break
    sys.stdout.write(f"{found} differences\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
