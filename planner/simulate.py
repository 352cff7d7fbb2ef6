"""A shell script of mount commands, carried out in the model: what it makes, what fails, and what stands there then.

Follows a shell as far as such scripts need it: processes that start others in new namespaces, `&&` and `||`, variables,
`$$`, `$!` and `$PPID`. Processes are numbered from 1, the first shell. A script does not stop at a command that fails.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Callable
from typing import NamedTuple

from mountplan.planner.actions import (
    Action,
    BindMount,
    ChangeDirectory,
    ChangeKind,
    ChangeRoot,
    End,
    Enter,
    Fork,
    MakeDirectory,
    MakeFile,
    MountNew,
    MoveMount,
    PivotRoot,
    Remount,
    RemoveDirectory,
    SetAttributes,
    Stage,
    Unmount,
    Unshare,
)
from mountplan.planner.attributes import parse_shown
from mountplan.planner.errors import SpecError
from mountplan.planner.mountwords import (
    MountWords,
    Unusable,
    read_mkdir,
    read_mount,
    read_nsenter,
    read_umount,
    read_unshare,
)
from mountplan.planner.propagation import RULES_6_18, Rules, World, WouldRefuse
from mountplan.planner.propagation.tables import path_of
from mountplan.planner.script import ScriptError, Simple, Variable, Word, parse_script
from mountplan.planner.table import MountRow, MountTable

SHELLS = frozenset({"sh", "bash", "dash", "/bin/sh", "/bin/bash"})
FIRST_PID = 1 << 22  # the kernel gives smaller ones only, so that no number in a script is taken for what $$ gave
IGNORED = frozenset({"echo", "printf", "set", "true", ":", "sleep", "wait", "ls", "sync", "export", "pwd", "id"})


class Done(NamedTuple):
    """One system call of the script: who made it, where it stands, what it was, and the errno (0: it worked)."""

    line: int
    process: int
    action: Action
    errno: int
    why: str


class Seen(NamedTuple):
    """What a process sees at one moment: where the script has `findmnt`, or at the end (line 0).

    `after` calls of the script have been made by then.
    """

    line: int
    after: int
    process: int
    namespace: str
    table: MountTable


class Simulation(NamedTuple):
    done: tuple[Done, ...]
    seen: tuple[Seen, ...]

    @property
    def failures(self) -> tuple[Done, ...]:
        return tuple(one for one in self.done if one.errno)

    @property
    def final(self) -> tuple[Seen, ...]:
        """One for each namespace that is left at the end of the script, in the order in which they were made."""
        return tuple(one for one in self.seen if not one.line)


def empty_world(rules: Rules = RULES_6_18) -> Stage:
    """Where a script starts if nothing else is said: a namespace whose root is one private, empty tmpfs.

    Below it lies another one, which cannot be unmounted, as applier/rehearse.py has it.
    """
    world = World(rules)
    below, root = world.superblock("tmpfs"), world.superblock("tmpfs")
    return Stage(world, {1: world.boot("1", root, below=below)})


def simulate(text: str, file: str = "SCRIPT", stage: Stage | None = None) -> Simulation:
    """Carry a script out. Raises SpecError with all lines that are not followed; nothing has been carried out then."""
    stage = empty_world() if stage is None else stage
    shell = _Shell(stage)
    shell.run_text(text, 1)
    if shell.mistakes:
        mistakes = sorted(shell.mistakes, key=lambda error: error.line)
        raise SpecError(tuple(dict.fromkeys(error.mistake(file) for error in mistakes)))
    shell.look_at_all()
    return Simulation(tuple(shell.done), tuple(shell.seen))


class _Shell:
    """All the shells of a script, one in the other: `processes` is the stack, the innermost last."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.stack = [1]
        self.parents = {1: 0}
        self.next = max(stage.processes) + 1
        self.background = 0
        self.variables: dict[str, str] = {}
        self.line = 0
        self.ended = False
        self.mistakes: list[ScriptError] = []
        self.done: list[Done] = []
        self.seen: list[Seen] = []

    @property
    def process(self) -> int:
        return self.stack[-1]

    # --- the shell

    def run_text(self, text: str, first_line: int) -> bool:
        commands, mistakes = parse_script(text, first_line)
        self.mistakes += mistakes
        status = True
        for command in commands:
            if self.ended:
                break
            if (command.joint == "&&" and not status) or (command.joint == "||" and status):
                continue
            self.line = command.line
            status = self._simple(command)
        return status

    def _simple(self, command: Simple) -> bool:
        try:
            words = [self._expanded(word) for word in command.words]
            while words and self._assigns(words[0]):
                name, _, value = words.pop(0).partition("=")
                self.variables[name] = value
            if not words:
                return True
            if not command.background:
                return self._command(words)
            child = self._fork()
            self.stack.append(child)
            self._command(words, stays=True)
            self.background = child
            if "sleep" in words:
                self.stack.pop()
            else:
                self._leave()
            return True
        except Unusable as error:
            self.mistakes.append(ScriptError(command.line, error.what, error.remedy))
            return False

    def _assigns(self, word: str) -> bool:
        name, equals, _ = word.partition("=")
        return bool(equals) and name.isidentifier()

    def _expanded(self, word: Word) -> str:
        return "".join(self._value(part.name) if isinstance(part, Variable) else part for part in word)

    def _value(self, name: str) -> str:
        match name:
            case "$":
                return str(FIRST_PID + self.process)
            case "PPID":
                return str(FIRST_PID + self.parents[self.process])
            case "!":
                return str(FIRST_PID + self.background)
            case "?":
                return "0"
        if name not in self.variables:
            raise Unusable(f"${name} has no value", f"set it before: {name}=...")
        return self.variables[name]

    def _fork(self) -> int:
        child = self.next
        self.next += 1
        self.parents[child] = self.process
        self._make(Fork(child))
        return child

    def _command(self, words: list[str], *, stays: bool = False) -> bool:
        """One command; with `stays` the process that carries it out is left behind, as `&` does with `sleep`."""
        while words and words[0] in ("sudo", "exec", "command", "env"):
            words = words[1:]
        if not words:
            return True
        name, arguments = words[0].rpartition("/")[2], words[1:]
        handlers: dict[str, Callable[[list[str]], bool]] = {
            "mount": self._mount,
            "umount": self._umount,
            "mkdir": self._mkdir,
            "rmdir": self._rmdir,
            "touch": self._touch,
            "pivot_root": self._pivot_root,
            "cd": self._cd,
            "findmnt": self._look,
            "kill": self._kill,
        }
        if name in handlers:
            return handlers[name](arguments)
        if name == "cat" and arguments == ["/proc/self/mountinfo"]:
            return self._look(arguments)
        if name == "unshare":
            return self._unshare(arguments, stays)
        if name == "nsenter":
            return self._nsenter(arguments, stays)
        if name == "chroot":
            return self._chroot(arguments, stays)
        if name == "exit":
            return self._exit()
        if name in SHELLS and arguments[:1] == ["-c"] and len(arguments) > 1:
            return self.run_text(arguments[1], self.line)
        if name in IGNORED:
            return True
        raise Unusable(f"{name} is not followed", "only what changes mounts, directories and namespaces is")

    def _within(self, command: tuple[str, ...], prepare: Callable[[], bool], stays: bool) -> bool:
        """Start a process, let it `prepare` itself, and run a command in it; without one the script goes on in it."""
        child = self.process if stays else self._fork()
        if not stays:
            self.stack.append(child)
        goes_on = not command or (len(command) == 1 and command[0] in SHELLS)
        if not prepare():
            if not stays:
                self._leave()
            return False
        if goes_on and not stays:
            return True
        status = self._command(list(command), stays=stays) if not goes_on else True
        if not stays:
            self._leave()
        return status

    def _leave(self) -> None:
        self._make(End())
        self.stack.pop()

    def _exit(self) -> bool:
        if len(self.stack) > 1:
            self._leave()
        else:
            self.ended = True
        return True

    # --- the commands

    def _mount(self, arguments: list[str]) -> bool:
        if all(one in ("-l", "--show-labels") for one in arguments):
            return self._look(arguments)
        words = read_mount(arguments)
        if words.make_target and not self._make(MakeDirectory(words.target, True)):
            return False
        return all(self._make(action) for action in self._mount_actions(words))

    def _mount_actions(self, words: MountWords) -> list[Action]:
        actions: list[Action] = []
        match words.what:
            case "bind" | "rbind":
                actions.append(BindMount(words.source, words.target, words.what == "rbind"))
                if words.names:
                    actions.append(Remount(words.target, words.attributes(), words.keeps_times(), True))
            case "move":
                actions.append(MoveMount(words.source, words.target))
            case "remount":
                if words.names or not words.recursive_names:
                    before = 0 if words.source else self._shown_attributes(words.target)
                    attributes = words.attributes(before)
                    keeps = words.keeps_times()
                    actions.append(Remount(words.target, attributes, keeps, words.bind))
            case "":
                actions.append(MountNew(words.fstype, words.source, words.target, words.attributes(), words.options))
        if words.recursive_names:
            actions.append(SetAttributes(words.target, words.recursive_change()))
        actions += [ChangeKind(words.target, kind, recursive) for kind, recursive in words.kinds]
        return actions

    def _shown_attributes(self, target: str) -> int:
        """What mount(8) adds a remount's options to: those of the mount as the mount table has them."""
        path = self._absolute(target)
        shown = [row for row in self._rows() if row.mountpoint == path]
        return parse_shown(shown[-1].attributes) if shown else 0

    def _umount(self, arguments: list[str]) -> bool:
        words = read_umount(arguments)
        good = True
        for target in words.targets:
            if words.recursive:
                good &= self._umount_recursively(self._absolute(target), words.lazy)
            else:
                good &= self._make(Unmount(target, words.lazy))
        return good

    def _umount_recursively(self, path: str, lazy: bool) -> bool:
        """Children first, the youngest of them first, each by its path, as umount(8) has it in the mount table."""
        rows = self._rows()
        tops = [row for row in rows if row.mountpoint == path]
        if not tops:
            return self._make(Unmount(path, lazy))
        children: dict[int, list[MountRow]] = {}
        for row in rows:
            children.setdefault(row.parent_id, []).append(row)

        def down(row: MountRow) -> bool:
            for child in sorted(children.get(row.mount_id, ()), reverse=True):
                if child.mount_id != row.mount_id and not down(child):
                    return False
            return self._make(Unmount(row.mountpoint, lazy))

        return down(tops[-1])

    def _mkdir(self, arguments: list[str]) -> bool:
        parents, paths = read_mkdir(arguments)
        made = [self._make(MakeDirectory(path, parents)) for path in paths]  # all of them, whether one fails or not
        return all(made)

    def _rmdir(self, arguments: list[str]) -> bool:
        removed = [self._make(RemoveDirectory(path)) for path in arguments]
        return all(removed)

    def _touch(self, arguments: list[str]) -> bool:
        made = [self._make(MakeFile(path)) for path in arguments]
        return all(made)

    def _pivot_root(self, arguments: list[str]) -> bool:
        if len(arguments) != 2:
            raise Unusable("pivot_root takes two directories", "pivot_root NEW_ROOT PUT_OLD")
        return self._make(PivotRoot(*arguments))

    def _cd(self, arguments: list[str]) -> bool:
        return self._make(ChangeDirectory(arguments[0] if arguments else "/"))

    def _unshare(self, arguments: list[str], stays: bool) -> bool:
        words = read_unshare(arguments)

        def prepare() -> bool:
            if not words.mount:
                return True
            if not self._make(Unshare(words.user)):
                return False
            return words.propagation is None or self._make(ChangeKind("/", *words.propagation))

        return self._within(words.command, prepare, stays)

    def _nsenter(self, arguments: list[str], stays: bool) -> bool:
        words = read_nsenter(arguments)
        other = self._number(words.target)
        if not other:
            raise Unusable(f"nsenter: {words.target} is no process of this script", "name one as $$, $PPID or $!")
        return self._within(words.command, lambda: self._make(Enter(other)), stays)

    def _chroot(self, arguments: list[str], stays: bool) -> bool:
        if not arguments:
            raise Unusable("chroot: there is no directory", "name it")
        return self._within(tuple(arguments[1:]), lambda: self._make(ChangeRoot(arguments[0])), stays)

    def _kill(self, arguments: list[str]) -> bool:
        for word in arguments:
            if word.startswith("-"):
                continue
            number = self._number(word)
            if not number or number in self.stack:
                raise Unusable(f"kill: there is no process {word} beside this one", "name it as $!")
            self.stack.append(number)
            self._leave()
        return True

    def _number(self, word: str) -> int:
        """Which of the script's processes has this pid; 0 if none has."""
        number = int(word) - FIRST_PID if word.isdecimal() and word.isascii() else 0
        return number if number in self.stage.processes else 0

    def _look(self, arguments: list[str]) -> bool:
        self._see(self.line, self.process)
        return True

    # --- what all of them need

    def _make(self, action: Action) -> bool:
        process = self.process
        try:
            self.stage.perform(process, action)
        except WouldRefuse as refusal:
            self.done.append(Done(self.line, process, action, refusal.errno, refusal.why))
            return False
        self.done.append(Done(self.line, process, action, 0, ""))
        return True

    def _rows(self) -> tuple[MountRow, ...]:
        return self.stage.world.table(self.stage.processes[self.process]).rows

    def _absolute(self, path: str) -> str:
        if path.startswith("/"):
            return posixpath.normpath(path)
        process = self.stage.processes[self.process]
        return posixpath.normpath(f"{path_of(process.cwd, process.root) or ''}/{path}")

    def _see(self, line: int, number: int) -> None:
        process = self.stage.processes[number]
        self.seen.append(Seen(line, len(self.done), number, process.namespace.name, self.stage.world.table(process)))

    def look_at_all(self) -> None:
        """One look into each namespace that is left, through the process that came there first."""
        known = set()
        for number, process in sorted(self.stage.processes.items()):
            if process.namespace not in known:
                known.add(process.namespace)
                self._see(0, number)


def errno_words(number: int) -> str:
    """The name of an errno and what it says: EBUSY (Device or resource busy)."""
    return f"{errno.errorcode.get(number, str(number))} ({os.strerror(number)})"
