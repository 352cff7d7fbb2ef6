"""A shell script of mount commands, carried out in the model: what it makes, what fails, and what stands there then.

Follows a shell as far as such scripts need it: processes that start others in new namespaces, subshells, `sh -c`, what
runs in the background, `exit`, `set -e`, `&&` and `||`, variables, `$$`, `$!` and `$PPID`. Processes are numbered from
1, the first shell. After a shell that is started without a script (`unshare -m sh`) the lines go on in it, as if typed.
"""

from __future__ import annotations

import copy
import errno
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar, NamedTuple

from mountplan.planner.ask.actions import (
    Action,
    BindMount,
    ChangeDirectory,
    ChangeKind,
    ChangeRoot,
    DropGroups,
    End,
    Enter,
    Fork,
    LoseCapabilities,
    MakeDirectory,
    MakeFile,
    MountNew,
    MoveMount,
    PivotRoot,
    Remount,
    RemoveDirectory,
    SetAttributesCall,
    Stage,
    Unmount,
    Unshare,
)
from mountplan.planner.ask.numbers import FIRST_PID
from mountplan.planner.ask.script import MOST_NESTED, Command, ScriptError, Simple, Subshell, Word, parse_script
from mountplan.planner.ask.util_linux import (
    MountWords,
    UnshareWords,
    Unusable,
    read_mkdir,
    read_mount,
    read_nsenter,
    read_umount,
    read_unshare,
)
from mountplan.planner.attributes import NODEV, NOEXEC, NOSUID
from mountplan.planner.errors import SpecError
from mountplan.planner.model import RULES_6_18, Rules, World, WouldRefuse
from mountplan.planner.model.to_table import path_of
from mountplan.planner.tables.table import MountRow, MountTable

SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
LONGEST = 131_071  # bytes of one word, as long as an argument may be (MAX_ARG_STRLEN)
_STAYING = frozenset({"sh", "dash", "ash"})  # with -c, they do not become what their last command is
IGNORED = frozenset({"echo", "printf", "true", ":", "ls", "sync", "pwd", "id"})
_PREFIXES = frozenset({"sudo", "command", "env"})
_FAILED, _MOUNT_FAILED, _NO_CHROOT = 1, 32, 125  # exit statuses: of most commands, of mount(8) and umount(8), chroot(1)


class Done(NamedTuple):
    """One system call of the script: who made it, where it stands, what it was, and the errno (0: it worked)."""

    line: int
    process: int
    action: Action
    errno: int
    why: str


class Ran(NamedTuple):
    """A program that a process ran: its words, the calls that it is taken to make (as a slice of `done`), its status.

    Of one that starts another, as unshare(1), that is its own part: it ends where it would execute the other.
    """

    line: int
    process: int
    words: tuple[str, ...]
    first: int
    last: int
    status: int


class SeenTable(NamedTuple):
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
    seen: tuple[SeenTable, ...]
    ran: tuple[Ran, ...] = ()

    @property
    def failures(self) -> tuple[Done, ...]:
        return tuple(one for one in self.done if one.errno)

    @property
    def final(self) -> tuple[SeenTable, ...]:
        """One for each namespace that is left at the end of the script, in the order in which they were made."""
        return tuple(one for one in self.seen if not one.line)


def empty_world(rules: Rules = RULES_6_18) -> Stage:
    """Where a script starts if nothing else is said: a namespace whose root is one private, empty tmpfs.

    Below it lies another one, which cannot be unmounted, as applier/run/rehearse.py has it.
    """
    world = World(rules)
    below, root = world.superblock("tmpfs"), world.superblock("tmpfs")
    return Stage(world, {1: world.boot("1", root, below=below)})


def simulate(text: str, file: str = "SCRIPT", stage: Stage | None = None) -> Simulation:
    """Carry a script out. Raises SpecError with all lines that are not followed; nothing has been carried out then."""
    stage = empty_world() if stage is None else stage
    shell = _Shell(stage)
    try:
        shell.run_text(text, 1)
    except _Exit:
        pass
    if shell.mistakes:
        mistakes = sorted(shell.mistakes, key=lambda error: error.line)
        raise SpecError(tuple(dict.fromkeys(error.mistake(file) for error in mistakes)))
    shell.look_at_all()
    return Simulation(tuple(shell.done), tuple(shell.seen), tuple(shell.ran))


class _Exit(Exception):
    """The shell that is running ends."""

    def __init__(self, status: int) -> None:
        self.status = status


class _Asleep(Exception):
    """What runs in the background stays as it is, from here to the end of the script."""


class _Context:
    """A shell: the process it is, what `$$` gives in it, and what it has been told."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.shell = process
        self.variables: dict[str, str] = {}
        self.exported: set[str] = set()
        self.background = 0
        self.status = 0
        self.stops = False  # at the first command that fails (set -e)
        self.tested = False  # unless `&&` or `||` asks for its status

    def subshell(self, process: int) -> _Context:
        """A copy that runs in another process; `$$` stays what it was."""
        made = copy.copy(self)
        made.process = process
        made.variables, made.exported = dict(self.variables), set(self.exported)
        return made

    def new_shell(self, process: int) -> _Context:
        """A shell that is started anew, and knows what is exported."""
        made = _Context(process)
        made.variables = {name: value for name, value in self.variables.items() if name in self.exported}
        made.exported = set(self.exported)
        return made

    def going_on(self, process: int) -> _Context:
        """A shell in which the script goes on; it shares what is known, as if the lines had been typed into both."""
        made = copy.copy(self)
        made.process = made.shell = process
        return made


class _Shell:
    """All the shells of a script, one in the other: `stack` has them, the innermost last."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.stack = [_Context(1)]
        self.parents = {1: 0}
        self.next = max(stage.processes) + 1
        self.line = 0
        self.depth = 0
        self.in_background = 0
        self.went_on = False  # the last command was a shell without a script, in the process of its caller
        self.mistakes: list[ScriptError] = []
        self.done: list[Done] = []
        self.seen: list[SeenTable] = []
        self.ran: list[Ran] = []

    @property
    def context(self) -> _Context:
        return self.stack[-1]

    @property
    def process(self) -> int:
        return self.context.process

    # --- the shell

    def run_text(self, text: str, first_line: int, *, ends: bool = False) -> int:
        commands, mistakes = parse_script(text, first_line)
        self.mistakes += mistakes
        return self._run(commands, ends=ends)

    def _run(self, commands: tuple[Command, ...], *, ends: bool) -> int:
        """Carry commands out one after the other; the status of the last. Raises _Exit if the shell ends with one.

        With `ends` nothing comes after them, and the shell becomes what the last one is: so it is in every subshell.
        """
        base = len(self.stack)
        status = 0
        for at, command in enumerate(commands):
            if (command.joint == "&&" and status) or (command.joint == "||" and not status):
                continue
            self.line = command.line
            followed = at + 1 < len(commands) and commands[at + 1].joint != ";"
            context, tested = self.context, self.context.tested
            try:
                context.tested = tested or followed
                stays = ends and at + 1 == len(commands) and len(self.stack) == base
                status = self._one(command, stays=stays)
                if status and self.context.stops and not self.context.tested:
                    raise _Exit(status)
            except _Exit as end:
                if len(self.stack) == base:
                    raise
                status = end.status
                self._leave()  # a shell that the script has gone on in
            except _Asleep:
                if at + 1 < len(commands):
                    what = "what follows `sleep` in the background is not followed"
                    self.mistakes.append(ScriptError(commands[at + 1].line, what, "let `sleep` be the last"))
                raise
            finally:
                context.tested = tested
            self.context.status = status
        return status

    def _one(self, command: Command, *, stays: bool) -> int:
        try:
            if command.background:
                with self._deeper():
                    return self._in_background(command)
            if isinstance(command, Simple):
                return self._simple(command, stays=stays)
            if stays:
                with self._deeper():
                    return self._run(command.commands, ends=True)
            return self._in_child(self.context.subshell, lambda: self._run(command.commands, ends=True))
        except Unusable as error:
            self.mistakes.append(ScriptError(command.line, error.what, error.remedy))
            return _FAILED

    def _simple(self, command: Simple, *, stays: bool = False) -> int:
        """With `stays` the process that carries it out is not that of the shell, and may become what the command is."""
        context = self.context
        words = [field for word in command.words for field in self._fields(word)]
        assigned = {name: self._assigned(name, word) for name, word in command.assignments}
        before = dict(context.variables), set(context.exported)
        context.variables.update(assigned)
        if not words:
            return 0
        context.exported.update(assigned)
        try:
            return self._command(words, stays=stays)
        finally:
            if assigned:
                context.variables, context.exported = before

    def _in_background(self, command: Command) -> int:
        starter = self.context
        depth = len(self.stack)
        child = self._fork()
        self.stack.append(starter.subshell(child))
        self.in_background += 1
        try:
            if isinstance(command, Subshell):
                self._run(command.commands, ends=True)
            else:
                self._simple(command, stays=True)
        except _Exit:
            pass
        except _Asleep:
            del self.stack[depth:]  # all that waits for it stays as well
        finally:
            self.in_background -= 1
            self._leave_down_to(depth)
        starter.background = child
        return 0

    def _in_child(self, context: Callable[[int], _Context], run: Callable[[], int]) -> int:
        """Start a process, have it `run` in that context, and wait for it."""
        depth = len(self.stack)
        with self._deeper():
            self.stack.append(context(self._fork()))
            try:
                status = run()
            except _Exit as end:
                status = end.status
            except Unusable:
                self._leave_down_to(depth)
                raise
        self._leave_down_to(depth)
        return status

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        if self.depth >= MOST_NESTED:
            raise Unusable(f"commands and shells are nested more than {MOST_NESTED} deep", "nest fewer")
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def _assigned(self, name: str, word: Word) -> str:
        if name == "IFS":
            raise Unusable("IFS is not followed", "write the words out")
        text = ""
        for part in word:
            text = self._limited(text + (part if isinstance(part, str) else self._value(part.name)))
        return text

    def _fields(self, word: Word) -> list[str]:
        """A word with its variables replaced; those without quotes are split, and leave nothing if they are empty."""
        fields: list[str] = []
        current: str | None = None
        for part in word:
            if isinstance(part, str) or part.quoted:
                value = part if isinstance(part, str) else self._value(part.name)
                current = self._limited((current or "") + value)
                continue
            value = self._value(part.name)
            if set(value) & set("*?["):
                raise Unusable(f"${part.name} has a pattern of file names in it", "put it in double quotes")
            for piece in re.findall(r"[ \t\n]+|[^ \t\n]+", value):
                if piece[0] not in " \t\n":
                    current = self._limited((current or "") + piece)
                elif current is not None:
                    fields.append(current)
                    current = None
        if current is not None:
            fields.append(current)
        return fields

    def _limited(self, text: str) -> str:
        if len(text) > LONGEST:
            raise Unusable(f"a word is longer than {LONGEST:,} characters", "no program can be given such a word")
        return text

    def _value(self, name: str) -> str:
        context = self.context
        match name:
            case "$":
                return str(FIRST_PID + context.shell)
            case "PPID":
                return str(FIRST_PID + self.parents[context.shell])
            case "!":
                return str(FIRST_PID + context.background)
            case "?":
                return str(context.status)
        if name not in context.variables:
            raise Unusable(f"${name} has no value", f"set it before: {name}=...")
        return context.variables[name]

    def _fork(self) -> int:
        child = self.next
        self.next += 1
        self.parents[child] = self.process
        self._make(Fork(child))
        return child

    def _command(self, words: list[str], *, stays: bool = False) -> int:
        """One command; with `stays` the process that carries it out becomes what the command is."""
        with self._deeper():
            while words and words[0] in _PREFIXES:
                words = words[1:]
            if not words:
                return 0
            name, arguments = words[0].rpartition("/")[2], words[1:]
            if name in self._programs:
                return self._program((name, *arguments), lambda: self._programs[name](self, arguments))
            if name in self._changes:
                return self._changes[name](self, arguments)
            if name in self._starts:
                return self._starts[name](self, arguments, stays)
            if name == "cat" and arguments == ["/proc/self/mountinfo"]:
                return self._look(arguments)
            if name in SHELLS:
                return self._new_shell(name, arguments, stays)
            if name in IGNORED:
                return 0
            raise Unusable(f"{name} is not followed", "only what changes mounts, directories and namespaces is")

    def _program(self, words: tuple[str, ...], carry_out: Callable[[], int]) -> int:
        """Note down what a program does."""
        line, process, first = self.line, self.process, len(self.done)
        status = carry_out()
        if len(self.done) > first:
            self.ran.append(Ran(line, process, words, first, len(self.done), status))
        return status

    def _new_shell(self, name: str, arguments: list[str], stays: bool) -> int:
        letters, rest = _shell_options(arguments)
        if "c" not in letters:
            return self._within((name, *arguments), lambda: 0, stays)
        if not rest:
            raise Unusable("sh: there is nothing after -c", "give the commands as one word")
        line = self.line

        def run() -> int:
            self.context.stops = "e" in letters
            return self.run_text(rest[0], line, ends=name not in _STAYING)

        if not stays:
            return self._in_child(self.context.new_shell, run)
        self.stack[-1] = self.context.new_shell(self.process)
        return run()

    def _within(self, command: tuple[str, ...], prepare: Callable[[], int], stays: bool) -> int:
        """Start a process, let it `prepare` itself, and run a command in it; without one the script goes on in it."""
        goes_on = not command or (
            command[0].rpartition("/")[2] in SHELLS and "c" not in _shell_options(list(command[1:]))[0]
        )
        if stays:
            status = prepare()
            if not status and goes_on:
                self.went_on = True
                return 0
            return status or self._command(list(command), stays=True)
        if not goes_on:
            return self._in_child(self.context.subshell, lambda: prepare() or self._command(list(command), stays=True))
        self.stack.append(self.context.going_on(self._fork()))
        status = prepare()
        if status:
            self._leave()
        return status

    def _leave(self) -> None:
        self._make(End())
        self.stack.pop()

    def _leave_down_to(self, depth: int) -> None:
        while len(self.stack) > depth:
            self._leave()

    def _exit(self, arguments: list[str]) -> int:
        if arguments and not arguments[0].isdecimal():
            raise Unusable(f"exit: {arguments[0]} is no number", "give a status from 0 to 255")
        raise _Exit(int(arguments[0]) % 256 if arguments else self.context.status)

    def _exec(self, arguments: list[str], stays: bool) -> int:
        """The command takes the place of the shell, which ends with it; unless it is a shell that goes on."""
        if not arguments:
            return 0
        self.went_on = False
        status = self._command(arguments, stays=True)
        if self.went_on:
            return status
        raise _Exit(status)

    def _set(self, arguments: list[str]) -> int:
        words = iter(arguments)
        for word in words:
            if word in ("-o", "+o"):
                option = next(words, "")
                if option == "errexit":
                    self.context.stops = word == "-o"
                elif option not in ("nounset", "pipefail", "xtrace", "noglob"):
                    raise Unusable(f"set {word} {option} is not followed", "leave it out")
            elif word[:1] in ("-", "+") and word[1:] and not set(word[1:]) - set("euxfv"):
                if "e" in word:
                    self.context.stops = word[0] == "-"
            else:
                raise Unusable(f"set {word} is not followed", "leave it out")
        return 0

    def _export(self, arguments: list[str]) -> int:
        for word in arguments:
            name, equals, value = word.partition("=")
            if not name.isidentifier():
                raise Unusable(f"export {word} is not followed", "write export NAME=VALUE")
            if equals:
                self.context.variables[name] = value
            self.context.exported.add(name)
        return 0

    def _unset(self, arguments: list[str]) -> int:
        for name in arguments:
            self.context.variables.pop(name, None)
        return 0

    def _false(self, arguments: list[str]) -> int:
        return _FAILED

    def _sleep(self, arguments: list[str]) -> int:
        if self.in_background:
            raise _Asleep
        return 0

    def _wait(self, arguments: list[str]) -> int:
        """What this shell has in the background comes to its end; there, only `sleep` has taken time."""
        asked = [self._number(word) for word in arguments]
        for number in sorted(self.stage.processes):
            if self.parents.get(number) == self.process and (not asked or number in asked):
                self._end_tree(number)
        return 0

    def _end_tree(self, number: int) -> None:
        """End a process, and before it those that it waits for."""
        going = [number]
        for one in going:  # grows while it is walked
            going += [child for child in sorted(self.stage.processes) if self.parents.get(child) == one]
        for one in reversed(going):
            self._make(End(), one)

    # --- the commands

    def _mount(self, arguments: list[str]) -> int:
        if all(one in ("-l", "--show-labels") for one in arguments):
            return self._look(arguments)
        words = read_mount(arguments)
        if words.make_target and not self._make(MakeDirectory(words.target, True)):
            return _MOUNT_FAILED
        return 0 if all(self._make(action) for action in self._mount_actions(words)) else _MOUNT_FAILED

    def _mount_actions(self, words: MountWords) -> list[Action]:
        actions: list[Action] = []
        match words.what:
            case "bind" | "rbind":
                actions.append(BindMount(words.source, words.target, words.what == "rbind"))
            case "move":
                actions.append(MoveMount(words.source, words.target))
            case "remount":
                if words.words or not words.recursive_names:
                    target, before = words.target, frozenset[str]()
                    if not words.source:  # only then mount(8) adds the options to those that are shown
                        target, before = self._shown(target)
                    flags = words.flags(before)
                    actions.append(Remount(target, flags.attributes, flags.keep_times, words.bind))
                    words = words._replace(target=target)
            case "":
                attributes = words.flags().attributes
                actions.append(MountNew(words.fstype, words.source, words.target, attributes, words.options))
        if words.recursive_names:
            actions.append(SetAttributesCall(words.target, words.recursive_change()))
        actions += [ChangeKind(words.target, kind, recursive) for kind, recursive in words.kinds]
        if words.what in ("bind", "rbind"):
            flags = words.flags()
            if flags.change_a_bind:
                actions.append(Remount(words.target, flags.attributes, flags.keep_times, True))
        return actions

    def _shown(self, target: str) -> tuple[str, frozenset[str]]:
        """The mount that is meant, by mountpoint or by source, and its options as the mount table has them."""
        row = self._row(target)
        if row is None:
            return target, frozenset()
        names = set(row.attributes.split(","))
        if row.options.partition(",")[0] == "ro":
            names.add("ro")
        return row.mountpoint, frozenset(names - {"rw"})

    def _row(self, place: str) -> MountRow | None:
        """What stands last in the mount table with this mountpoint, or else with this source."""
        path = self._absolute(place)
        rows = self._rows()
        shown = [row for row in rows if row.mountpoint == path] or [row for row in rows if row.source == place]
        return shown[-1] if shown else None

    def _umount(self, arguments: list[str]) -> int:
        words = read_umount(arguments)
        status = 0
        if not self.stage.processes[self.process].user.capable:
            self._make(Unmount(words.targets[0], words.lazy))
            return _FAILED
        for target in words.targets:
            if words.recursive:
                failed = self._umount_recursively(target, words.lazy)
            else:
                row = self._row(target)
                path = row.mountpoint if row is not None and row.mountpoint != self._absolute(target) else target
                failed = 0 if self._make(Unmount(path, words.lazy)) else _MOUNT_FAILED
            status += failed
        return min(status, 255)

    def _umount_recursively(self, target: str, lazy: bool) -> int:
        """Children first, the youngest of them first, each by its path, as umount(8) has it in the mount table."""
        path = self._absolute(target)
        rows = self._rows()
        top = next((row for row in reversed(rows) if row.mountpoint == path), None)
        if top is None:
            self._make(Unmount(target, lazy))  # umount(8) does not try, but the reason is the same
            return _FAILED
        children: dict[int, list[MountRow]] = {}
        for row in rows:
            if row.parent_id != row.mount_id:
                children.setdefault(row.parent_id, []).append(row)
        order = []
        waiting = [top]
        while waiting:  # parents before their children, and of those the oldest first: the reverse of what is wanted
            row = waiting.pop()
            order.append(row)
            waiting += sorted(children.get(row.mount_id, ()), reverse=True)
        return 0 if all(self._make(Unmount(row.mountpoint, lazy)) for row in reversed(order)) else _MOUNT_FAILED

    def _mkdir(self, arguments: list[str]) -> int:
        parents, paths = read_mkdir(arguments)
        made = [self._make(MakeDirectory(path, parents)) for path in paths]  # all of them, whether one fails or not
        return 0 if all(made) else _FAILED

    def _rmdir(self, arguments: list[str]) -> int:
        removed = [self._make(RemoveDirectory(path)) for path in _paths("rmdir", arguments)]
        return 0 if all(removed) else _FAILED

    def _touch(self, arguments: list[str]) -> int:
        made = [self._make(MakeFile(path)) for path in _paths("touch", arguments)]
        return 0 if all(made) else _FAILED

    def _pivot_root(self, arguments: list[str]) -> int:
        if len(arguments) != 2:
            raise Unusable("pivot_root takes two directories", "pivot_root NEW_ROOT PUT_OLD")
        return 0 if self._make(PivotRoot(*arguments)) else _FAILED

    def _cd(self, arguments: list[str]) -> int:
        paths = _paths("cd", arguments)
        return 0 if self._make(ChangeDirectory(paths[0] if paths else "/")) else _FAILED

    def _unshare(self, arguments: list[str], stays: bool) -> int:
        words = read_unshare(arguments)

        def prepare() -> int:
            return 0 if all(self._make(action) for action in _unshare_actions(words)) else _FAILED

        def prepare_with_proc() -> int:
            if status := prepare():
                return status
            if not words.root and words.propagation != ("private", True):
                self._make(ChangeKind(words.proc, "private", True))
            attributes = NOSUID | NODEV | NOEXEC
            return 0 if self._make(MountNew("proc", "proc", words.proc, attributes)) else _FAILED

        return self._started("unshare", arguments, words.command, prepare_with_proc if words.proc else prepare, stays)

    def _nsenter(self, arguments: list[str], stays: bool) -> int:
        words = read_nsenter(arguments)
        other = self._number(words.target)
        if not other:
            raise Unusable(f"nsenter: {words.target} is no process of this script", "name one as $$, $PPID or $!")
        actions: list[Action] = [Enter(other, words.user)]
        if words.drops_groups:
            actions.append(DropGroups())
        return self._started("nsenter", arguments, words.command, lambda: self._all(actions), stays)

    def _all(self, actions: Iterable[Action]) -> int:
        return 0 if all(self._make(action) for action in actions) else _FAILED

    def _chroot(self, arguments: list[str], stays: bool) -> int:
        if not arguments or arguments[0].startswith("-"):
            raise Unusable("chroot: the first word must be a directory", "name it, and leave options out")
        change = ChangeRoot(arguments[0])
        command = tuple(arguments[1:])
        return self._started("chroot", arguments, command, lambda: 0 if self._make(change) else _NO_CHROOT, stays)

    def _started(
        self, name: str, arguments: list[str], command: tuple[str, ...], prepare: Callable[[], int], stays: bool
    ) -> int:
        """A program that does something and then becomes another."""
        return self._within(command, lambda: self._program((name, *arguments), prepare), stays)

    def _kill(self, arguments: list[str]) -> int:
        for word in arguments:
            if word.startswith("-"):
                continue
            number = self._number(word)
            if not number or number in [context.process for context in self.stack]:
                raise Unusable(f"kill: there is no process {word} beside this one", "name it as $!")
            self._make(End(), number)
        return 0

    def _number(self, word: str) -> int:
        """Which of the script's processes has this pid; 0 if none has."""
        number = int(word) - FIRST_PID if re.fullmatch("[0-9]{1,10}", word) else 0
        return number if number in self.stage.processes else 0

    def _look(self, arguments: list[str]) -> int:
        self._see(self.line, self.process)
        return 0

    _changes: ClassVar[dict[str, Callable[[_Shell, list[str]], int]]] = {
        "cd": _cd,
        "exit": _exit,
        "export": _export,
        "false": _false,
        "findmnt": _look,
        "kill": _kill,
        "set": _set,
        "sleep": _sleep,
        "unset": _unset,
        "wait": _wait,
    }
    _programs: ClassVar[dict[str, Callable[[_Shell, list[str]], int]]] = {
        "mkdir": _mkdir,
        "mount": _mount,
        "pivot_root": _pivot_root,
        "rmdir": _rmdir,
        "touch": _touch,
        "umount": _umount,
    }
    _starts: ClassVar[dict[str, Callable[[_Shell, list[str], bool], int]]] = {
        "chroot": _chroot,
        "exec": _exec,
        "nsenter": _nsenter,
        "unshare": _unshare,
    }

    # --- what all of them need

    def _make(self, action: Action, process: int = 0) -> bool:
        process = process or self.process
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
        self.seen.append(
            SeenTable(line, len(self.done), number, process.namespace.name, self.stage.world.table(process))
        )

    def look_at_all(self) -> None:
        """One look into each namespace that is left, through the process that came there first."""
        known = set()
        for number, process in sorted(self.stage.processes.items()):
            if process.namespace not in known:
                known.add(process.namespace)
                self._see(0, number)


def _shell_options(arguments: list[str]) -> tuple[str, list[str]]:
    """The letters of a shell's options, and the words after them. Raises Unusable for a file of commands."""
    letters = ""
    rest = list(arguments)
    while rest and rest[0][:1] == "-":
        word = rest.pop(0)
        if word in ("-", "--"):
            break
        if word not in ("--norc", "--noprofile", "--login"):
            letters += word[1:]
    if set(letters) - set("ceuxil"):
        raise Unusable(f"sh: -{letters} is not followed", "use -c, -e, -u and -x only")
    if rest and "c" not in letters:
        raise Unusable(f"sh: {rest[0]} is not read", "write the commands of the file here")
    return letters, rest


def _unshare_actions(words: UnshareWords) -> Iterator[Action]:
    if words.mount or words.user:
        yield Unshare(words.user, words.mount)
    if words.mount and words.propagation is not None:
        yield ChangeKind("/", *words.propagation)
    if words.root:
        yield ChangeRoot(words.root)
    if words.directory:
        yield ChangeDirectory(words.directory)
    if words.drops_groups:
        yield DropGroups()
    if words.user and not words.mapped:
        yield LoseCapabilities()


def _paths(program: str, arguments: list[str]) -> list[str]:
    """The arguments of a program of which no options are followed."""
    if arguments[:1] == ["--"]:
        return arguments[1:]
    for word in arguments:
        if word.startswith("-"):
            raise Unusable(f"{program}: {word} is not followed", "give paths only")
    return arguments


def errno_words(number: int) -> str:
    """The name of an errno and what it says: EBUSY (Device or resource busy)."""
    return f"{errno.errorcode.get(number, str(number))} ({os.strerror(number)})"
