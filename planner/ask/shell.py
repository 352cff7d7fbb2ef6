"""The shell that carries a script out: processes, variables, control flow; what its commands do is in commands.py.

Processes are numbered from 1, the first shell. After a shell that is started without a script (`unshare -m sh`) the
lines go on in it, as if typed.
"""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import ClassVar, NamedTuple

from mountplan.planner.ask.actions import End, Fork, MakeFile, Stage
from mountplan.planner.ask.commands import FAILED, PROGRAMS, STARTERS, Starter, change_directory, look
from mountplan.planner.ask.conditions import Unknown, holds
from mountplan.planner.ask.numbers import FIRST_PID
from mountplan.planner.ask.script_calls import ScriptCalls
from mountplan.planner.ask.shell_reading import parse_script
from mountplan.planner.ask.shell_syntax import (
    MOST_NESTED,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Negated,
    Pipeline,
    Redirection,
    ScriptError,
    Simple,
    Substitution,
    Test,
    Text,
    While,
)
from mountplan.planner.ask.shell_words import fields, limited, pattern, text_of
from mountplan.planner.ask.util_linux import Unusable

SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
MOST_COMMANDS = 100_000  # that a script may come to
_STAYING = frozenset({"sh", "dash", "ash"})  # with -c, they do not become what their last command is
_PREFIXES = frozenset({"sudo", "command", "env", "nohup", "setsid", "nice", "ionice", "builtin"})
# What means nothing for mounts. Their status is taken for 0, unless something is made to depend on it.
PASSED_OVER = frozenset(
    {"ls", "sync", "ip", "ifconfig", "iptables", "nft", "sysctl", "modprobe", "insmod", "rmmod", "depmod", "logger",
     "chmod", "chown", "chgrp", "chattr", "setfacl", "udevadm", "systemctl", "service", "clear", "tput", "stty",
     "reset", "hostname", "date", "uname", "logname", "tty", "whoami", "groups", "getent", "wc", "tr", "sort",
     "uniq", "tee", "sed", "awk", "grep", "egrep", "fgrep", "cut", "head", "tail", "tar", "gzip", "gunzip", "xz",
     "zstd", "unzip", "cpio", "cp", "ln", "mv", "rm", "mknod", "mkfifo", "install", "cat", "cmp", "diff", "find",
     "xargs", "dd", "blkid", "blockdev", "partprobe", "losetup", "dmsetup", "cryptsetup", "lvm", "vgchange", "mdadm",
     "fsck", "e2fsck", "resize2fs", "mkfs", "mke2fs", "mkfs.ext4", "mkfs.ext2", "mkfs.xfs", "mkfs.btrfs",
     "mkfs.vfat", "mkswap", "swapon", "swapoff", "truncate", "fallocate", "stat", "df", "du", "ps", "pgrep", "pidof",
     "lsof", "fuser", "useradd", "usermod", "groupadd", "passwd", "apt-get", "dpkg", "dpkg-query", "dpkg-deb", "rpm",
     "yum", "dnf", "pacman", "curl", "wget", "ping", "route", "dhclient", "plymouth", "restorecon", "chcon",
     "setenforce", "ldconfig", "update-grub", "umask", "ulimit", "times", "hash", "bg", "fg", "jobs", "disown",
     "shopt", "enable", "complete", "alias", "unalias", "kmod", "mktemp", "tzselect", "locale", "sha256sum",
     "md5sum", "od", "hexdump", "xxd", "setupcon", "loadkeys", "setfont", "clear_console", "poweroff", "reboot",
     "halt", "usleep"}
)  # fmt: skip
_QUIET = frozenset({"true", ":", "echo", "printf"}) | PASSED_OVER  # nothing hangs on whether these are carried out


class Answers(NamedTuple):
    """What only a machine knows: what commands (patterns, as `blkid *`) write, and which of them fail."""

    outputs: tuple[tuple[str, str], ...] = ()
    failing: tuple[str, ...] = ()


class ExitShell(Exception):
    """The shell that is running ends."""

    def __init__(self, status: int) -> None:
        self.status = status


class _Asleep(Exception):
    """What runs in the background stays as it is, from here to the end of the script."""


class _Return(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class _Leave(Exception):
    """`break`, or with `again` `continue`, of so many loops."""

    def __init__(self, count: int, *, again: bool) -> None:
        self.count = count
        self.again = again


class Stopped(Exception):
    """What comes next cannot be known."""


class _Input:
    """What commands read from, line by line; they share it."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()


class _Output:
    """Where commands write to. What is not `wanted` (it goes to a file, or down a pipe) need not be known."""

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted
        self.text = ""

    def add(self, text: str) -> None:
        self.text = limited(self.text + text)


class _Context:
    """A shell: the process it is, what `$$` gives in it, and what it has been told."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.shell = process
        self.variables: dict[str, str] = {}
        self.exported: set[str] = set()
        self.functions: dict[str, Command] = {}
        self.arguments: list[str] = []
        self.background = 0
        self.status = 0
        self.stops = False  # at the first command that fails (set -e)
        self.tested = False  # unless something asks for its status
        self.asked = False  # and whether anything that matters hangs on that
        self.trapped = ""  # what is carried out when it ends
        self.input: _Input | None = None

    def subshell(self, process: int) -> _Context:
        """A copy that runs in another process; `$$` stays what it was."""
        made = copy.copy(self)
        made.process = process
        made.variables, made.exported = dict(self.variables), set(self.exported)
        made.functions, made.arguments = dict(self.functions), list(self.arguments)
        made.trapped = ""
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


class Shell:
    """All the shells of a script, one in the other: `stack` has them, the innermost last."""

    def __init__(
        self, stage: Stage, variables: Mapping[str, str], answers: Answers, util_linux: tuple[int, int]
    ) -> None:
        self.calls = ScriptCalls(stage, util_linux)
        self.stack = [_Context(1)]
        context = self.context
        context.variables = {name: value for name, value in variables.items() if not name.isdecimal()}
        context.exported = set(context.variables)
        given = {int(name): value for name, value in variables.items() if name.isdecimal() and name != "0"}
        context.arguments = [given.get(number, "") for number in range(1, max(given, default=0) + 1)]
        self.answers = answers
        self.answered: set[str] = set()
        self.parents = {1: 0}
        self.next = max(stage.processes) + 1
        self.depth = 0
        self.count = 0
        self.in_background = 0
        self.went_on = False  # the last command was a shell without a script, in the process of its caller
        self.braces = True
        self.mistakes: list[ScriptError] = []
        self.passed: list[tuple[int, str]] = []
        self.writing: list[_Output] = []  # what is written goes into the last of these, if there is one

    @property
    def context(self) -> _Context:
        return self.stack[-1]

    # --- what words ask

    def value(self, name: str) -> str | None:
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
            case "#":
                return str(len(context.arguments))
            case "0":
                return context.variables.get("0", "sh")
            case "-":
                return "e" if context.stops else ""
            case "PWD":
                return self.calls.absolute(".")
            case "@" | "*":
                return " ".join(context.arguments)
        if name.isdecimal():
            number = int(name)
            if number <= len(context.arguments):
                return context.arguments[number - 1]
            return "" if len(self.stack) > 1 or context.arguments else None
        return context.variables.get(name)

    def arguments(self) -> list[str]:
        return self.context.arguments

    def assign(self, name: str, value: str) -> None:
        if name == "IFS":
            raise Unusable("IFS is not followed", "write the words out")
        self.context.variables[name] = value

    def output(self, substitution: Substitution) -> str:
        """What the commands write, in a process of their own."""
        answered = self._answer(substitution.text)
        if answered is not None:
            self.context.status = answered[1]
            return answered[0]
        written = _Output(wanted=True)
        self.writing.append(written)
        try:
            if any(isinstance(one, Simple) and not one.background for one in substitution.commands) and all(
                self._writes_only(one) for one in substitution.commands
            ):
                status = self.run(substitution.commands, ends=False)  # no process makes a difference
            else:
                status = self._in_child(self.context.subshell, lambda: self.run(substitution.commands, ends=True))
        finally:
            self.writing.pop()
        self.context.status = status
        return written.text

    @property
    def captured(self) -> bool:
        """Whether what is written now must be known."""
        return bool(self.writing) and self.writing[-1].wanted

    def _writes_only(self, command: Command) -> bool:
        if not isinstance(command, Simple) or not command.words or len(command.words[0]) != 1:
            return False
        first = command.words[0][0]
        return isinstance(first, Text) and first.text in self._writers

    def names(self, directory: str) -> Iterable[str]:
        from mountplan.planner.model import WouldRefuse
        from mountplan.planner.model.walking import walk

        try:
            mount, node = walk(self.calls.stage.processes[self.context.process], directory)
        except WouldRefuse:
            return ()
        if not node.superblock.complete:
            what = f"what is in {directory} is not known: the {mount.superblock.fstype} there may have anything in it"
            raise Unusable(what, "write the names out")
        return tuple(node.children)

    # --- commands, one after the other

    def unasked(self) -> tuple[str, ...]:
        """The answers that no command was given."""
        commands = (*(command for command, _ in self.answers.outputs), *self.answers.failing)
        return tuple(one for one in commands if one not in self.answered)

    def run_to_the_end(self, text: str) -> int:
        """The script itself, with what it has trapped."""
        return self._to_the_end(lambda: self.run_text(text, 1))

    def run_text(self, text: str, first_line: int, *, ends: bool = False) -> int:
        commands, mistakes = parse_script(text, first_line)
        self.mistakes += mistakes
        if mistakes:
            raise Stopped
        return self.run(commands, ends=ends)

    def run(self, commands: tuple[Command, ...], *, ends: bool = False) -> int:
        """Carry commands out one after the other; the status of the last. Raises ExitShell if the shell ends with one.

        With `ends` nothing comes after them, and the shell becomes what the last one is: so it is in every subshell.
        """
        base = len(self.stack)
        status = 0
        for at, command in enumerate(commands):
            if (command.joint == "&&" and status) or (command.joint == "||" and not status):
                continue
            self._turn_to(command.line)
            follower = commands[at + 1] if at + 1 < len(commands) and commands[at + 1].joint != ";" else None
            context, before = self.context, (self.context.tested, self.context.asked)
            try:
                context.tested |= follower is not None
                context.asked |= follower is not None and not self._is_quiet(follower)
                stays = ends and at + 1 == len(commands) and len(self.stack) == base
                status = self._whole(command, stays=stays, follower=follower)
                if status and self.context.stops and not self.context.tested and not isinstance(command, Negated):
                    raise ExitShell(status)
            except ExitShell as end:
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
                context.tested, context.asked = before
            self.context.status = status
        return status

    def _turn_to(self, line: int) -> None:
        self.calls.line = line
        self.calls.process = self.context.process
        self.count += 1
        if self.count > MOST_COMMANDS:
            self.mistakes.append(
                ScriptError(line, f"the script comes to more than {MOST_COMMANDS:,} commands", "let loops end earlier")
            )
            raise Stopped

    def _is_quiet(self, command: Command) -> bool:
        if not isinstance(command, Simple) or not command.words or len(command.words[0]) != 1:
            return False
        first = command.words[0][0]
        return isinstance(first, Text) and first.text in _QUIET

    def _whole(self, command: Command, *, stays: bool, follower: Command | None) -> int:
        try:
            return self._one(command, stays=stays)
        except Unknown as error:
            if follower is not None and follower.joint == "||" and _is_mkdir(follower):
                return 0  # it is there, or is made
            self._mistake(command.line, error)
        except Unusable as error:
            self._mistake(command.line, error)
        return FAILED

    def _mistake(self, line: int, error: Unusable) -> None:
        self.mistakes.append(ScriptError(line, error.what, error.remedy))
        if self.context.asked:
            raise Stopped

    def _one(self, command: Command, *, stays: bool) -> int:
        if command.background:
            with self._deeper():
                return self._in_background(command)
        if isinstance(command, Simple):
            return self._simple(command, stays=stays)
        with self._deeper():
            return self._redirected(command.redirections, lambda: self._compound(command, stays=stays))

    def _compound(self, command: Command, *, stays: bool) -> int:
        match command:
            case Group():
                if not command.subshell or stays:
                    return self.run(command.commands, ends=stays)
                return self._in_child(self.context.subshell, lambda: self.run(command.commands, ends=True))
            case Negated():
                with self._asking():
                    return 0 if self._one(command.command, stays=False) else FAILED
            case If():
                for condition, body in command.branches:
                    with self._asking():
                        status = self.run(condition)
                    if not status:
                        return self.run(body)
                return self.run(command.otherwise)
            case For():
                words = self.context.arguments if command.words is None else fields(command.words, self)
                return self._loop(({command.name: word} for word in list(words)), command.body)
            case While():
                return self._loop(self._rounds(command), command.body)
            case Case():
                value = text_of(command.word, self)
                for patterns, body in command.items:
                    if any(pattern(one, self).fullmatch(value) for one in patterns):
                        return self.run(body)
                return 0
            case Function():
                self.context.functions[command.name] = command.body
                return 0
            case Pipeline():
                return self._pipeline(command)
            case Test():
                words = [text_of(one, self) for one in command.words]
                return self._condition(words, 2)
        raise AssertionError(command)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Commands whose status decides."""
        context = self.context
        before = context.tested, context.asked
        context.tested = context.asked = True
        try:
            yield
        finally:
            context.tested, context.asked = before

    def _rounds(self, command: While) -> Iterator[dict[str, str]]:
        while True:
            with self._asking():
                status = self.run(command.condition)
            if bool(status) != command.until:
                return
            yield {}

    def _loop(self, rounds: Iterable[dict[str, str]], body: tuple[Command, ...]) -> int:
        status = 0
        for variables in rounds:
            for name, value in variables.items():
                self.assign(name, value)
            try:
                status = self.run(body)
            except _Leave as leave:
                if leave.count > 1:
                    raise _Leave(leave.count - 1, again=leave.again) from None
                if not leave.again:
                    return 0
        return status

    def _pipeline(self, command: Pipeline) -> int:
        """Each part in a process of its own; what one writes, the next one reads."""
        status = 0
        passed: _Input | None = self.context.input
        for at, part in enumerate(command.commands):
            last = at + 1 == len(command.commands)
            written = _Output(wanted=False)

            def run(part: Command = part, given: _Input | None = passed) -> int:
                self.context.input = given
                return self.run((part,), ends=True)

            if not last:
                self.writing.append(written)
            context = self.context
            state = context.tested, context.asked
            context.tested, context.asked = context.tested and last, context.asked and last
            before = len(self.passed)
            try:
                status = self._in_child(context.subshell, run)
            finally:
                context.tested, context.asked = state
                if not last:
                    self.writing.pop()
            passed = None if len(self.passed) > before else _Input(written.text)
        return status

    # --- simple commands

    def _simple(self, command: Simple, *, stays: bool = False) -> int:
        """With `stays` the process that carries it out is not that of the shell, and may become what the command is."""
        context = self.context
        context.status, before_status = 0 if not command.words else context.status, context.status
        words = fields(command.words, self)
        if not command.words:
            context.status = before_status
        assigned = {}
        for name, word in command.assignments:
            if name == "IFS":
                if words[:1] == ["read"]:
                    continue
                raise Unusable("IFS is not followed", "write the words out")
            assigned[name] = text_of(word, self)
            if not words:
                context.variables[name] = assigned[name]
        if not words:
            asked = any(isinstance(part, Substitution) for _, word in command.assignments for part in word)
            status = context.status if asked else 0
            return self._redirected(command.redirections, lambda: status)
        before = dict(context.variables), set(context.exported)
        context.variables.update(assigned)
        context.exported.update(assigned)
        try:
            return self._redirected(command.redirections, lambda: self._command(words, stays=stays))
        finally:
            if assigned:
                context.variables, context.exported = before

    def _redirected(self, redirections: tuple[Redirection, ...], run: Callable[[], int]) -> int:
        """Files that are written to come to be; what is written there is not seen here."""
        if not redirections:
            return run()
        context = self.context
        given, drops = context.input, False
        for one in redirections:
            if one.operator == "<<":
                context.input = _Input(text_of(one.word, self))
                continue
            path = text_of(one.word, self)
            if one.operator in (">&", "<&", "&>") and (path.isdecimal() or path == "-"):
                continue
            if one.operator.startswith("<"):
                context.input = None
                continue
            drops = True
            if not path.startswith(("/dev/", "/proc/", "/sys/")) and not self.calls.make(MakeFile(path)):
                context.input = given
                return FAILED
        if drops:
            self.writing.append(_Output(wanted=False))
        try:
            return run()
        finally:
            context.input = given
            if drops:
                self.writing.pop()

    def _in_background(self, command: Command) -> int:
        starter = self.context
        depth = len(self.stack)
        child = self._fork()
        self.stack.append(starter.subshell(child))
        self.in_background += 1
        try:
            plain = command._replace(background=False, joint=";")
            self._one(plain._replace(subshell=True) if isinstance(plain, Group) else plain, stays=True)
        except ExitShell:
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
            self.calls.process = self.context.process
            try:
                status = self._to_the_end(run)
            except Unusable:
                self._leave_down_to(depth)
                raise
        self._leave_down_to(depth)
        return status

    def _to_the_end(self, run: Callable[[], int]) -> int:
        """The status of a shell that is run to its end, with what it has trapped."""
        context = self.context
        try:
            status = run()
        except ExitShell as end:
            status = end.status
        except _Return as end:
            status = end.status
        if context.trapped:
            text, context.trapped = context.trapped, ""
            try:
                self.run_text(text, self.calls.line)
            except ExitShell as end:
                status = end.status
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

    def _fork(self) -> int:
        child = self.next
        self.next += 1
        self.parents[child] = self.context.process
        self.calls.make(Fork(child), self.context.process)
        return child

    def _answer(self, text: str) -> tuple[str, int] | None:
        """What is said of a command: what it writes, and its status."""
        for one in self.answers.failing:
            if fnmatchcase(text, one) or text == one:
                self.answered.add(one)
                return "", FAILED
        for one, output in self.answers.outputs:
            if fnmatchcase(text, one) or text == one:
                self.answered.add(one)
                return output + "\n" if output else "", 0
        return None

    def _command(self, words: list[str], *, stays: bool = False) -> int:
        """One command; with `stays` the process that carries it out becomes what the command is."""
        self.calls.process = self.context.process
        with self._deeper():
            answered = self._answer(" ".join(words))
            if answered is not None:
                self._write(answered[0])
                return answered[1]
            while words and words[0] in _PREFIXES and words[0] not in self.context.functions:
                if len(words) > 1 and words[1].startswith("-"):
                    if words[0] == "command" and words[1] in ("-v", "-V"):
                        return self._whether_there(words[2:])
                    raise Unusable(f"{words[0]} {words[1]} is not followed", "leave it out")
                words = words[1:]
                while words and re.match(r"[A-Za-z_][A-Za-z0-9_]*=", words[0]):
                    words = words[1:]
            if not words:
                return 0
            name, arguments = words[0].rpartition("/")[2], words[1:]
            if name in self.context.functions and "/" not in words[0]:
                return self._call(name, arguments)
            if name in self._builtins:
                return self._builtins[name](self, arguments)
            if name in self._writers:
                return self._written(name, arguments)
            if name in PROGRAMS:
                always = name == "mountpoint"
                return self.calls.program(
                    (name, *arguments), lambda: PROGRAMS[name](self.calls, arguments), always=always
                )
            if name in STARTERS:
                starter = STARTERS[name](self.calls, arguments)
                return self._started((name, *arguments), starter, stays)
            if name == "exec":
                return self._exec(arguments, stays)
            if name == "cat" and arguments == ["/proc/self/mountinfo"]:
                return look(self.calls, arguments)
            if name in SHELLS:
                return self._new_shell(name, arguments, stays)
            return self._pass_over(name, words)

    def _pass_over(self, name: str, words: list[str]) -> int:
        """What means nothing for mounts, unless what it writes or how it ends is asked for."""
        text = " ".join(words)
        if name not in PASSED_OVER:
            what = f"{name} is not followed"
            raise Unusable(what, f"if it does nothing with mounts, say so: --answer '{name}*=' or --fails '{name}*'")
        if self.captured:
            raise Unusable(f"what `{text}` writes is not known", f"say it: --answer '{text}=OUTPUT'")
        if self.context.asked:
            raise Unusable(
                f"whether `{text}` fails is not known",
                f"say it: --answer '{text}=' if not, --fails '{text}' if it does",
            )
        self.passed.append((self.calls.line, name))
        return 0

    def _call(self, name: str, arguments: list[str]) -> int:
        context = self.context
        before, context.arguments = context.arguments, arguments
        try:
            return self._one(context.functions[name]._replace(background=False), stays=False)
        except _Return as end:
            return end.status
        finally:
            context.arguments = before

    def _new_shell(self, name: str, arguments: list[str], stays: bool) -> int:
        letters, rest = shell_options(arguments)
        if "c" not in letters:
            return self._within((name, *arguments), lambda: 0, stays)
        if not rest:
            raise Unusable("sh: there is nothing after -c", "give the commands as one word")
        line = self.calls.line

        def run() -> int:
            self.context.stops = "e" in letters
            self.context.arguments = rest[2:]
            if rest[1:2]:
                self.context.variables["0"] = rest[1]
            return self.run_text(rest[0], line, ends=name not in _STAYING)

        if not stays:
            return self._in_child(self.context.new_shell, run)
        self.stack[-1] = self.context.new_shell(self.context.process)
        return self._to_the_end(run)

    def _started(self, words: tuple[str, ...], starter: Starter, stays: bool) -> int:
        """A program that does something and then becomes another."""
        return self._within(starter.command, lambda: self.calls.program(words, starter.prepare), stays)

    def _within(self, command: tuple[str, ...], prepare: Callable[[], int], stays: bool) -> int:
        """Start a process, let it `prepare` itself, and run a command in it; without one the script goes on in it."""
        goes_on = not command or (
            command[0].rpartition("/")[2] in SHELLS and "c" not in shell_options(list(command[1:]))[0]
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
        self.calls.process = self.context.process
        status = prepare()
        if status:
            self._leave()
        return status

    def _leave(self) -> None:
        self.calls.make(End(), self.context.process)
        self.stack.pop()
        self.calls.process = self.context.process

    def _leave_down_to(self, depth: int) -> None:
        while len(self.stack) > depth:
            self._leave()

    # --- builtins

    def _exit(self, arguments: list[str]) -> int:
        raise ExitShell(self._status_of("exit", arguments))

    def _status_of(self, name: str, arguments: list[str]) -> int:
        if arguments and not (arguments[0].isascii() and arguments[0].isdecimal() and len(arguments[0]) < 10):
            raise Unusable(f"{name}: {arguments[0]} is no number", "give a status from 0 to 255")
        return int(arguments[0]) % 256 if arguments else self.context.status

    def _return(self, arguments: list[str]) -> int:
        raise _Return(self._status_of("return", arguments))

    def _break(self, arguments: list[str]) -> int:
        raise _Leave(max(1, self._status_of("break", arguments or ["1"])), again=False)

    def _continue(self, arguments: list[str]) -> int:
        raise _Leave(max(1, self._status_of("continue", arguments or ["1"])), again=True)

    def _shift(self, arguments: list[str]) -> int:
        count = self._status_of("shift", arguments or ["1"])
        if count > len(self.context.arguments):
            return FAILED
        self.context.arguments = self.context.arguments[count:]
        return 0

    def _exec(self, arguments: list[str], stays: bool) -> int:
        """The command takes the place of the shell, which ends with it; unless it is a shell that goes on."""
        if not arguments:
            return 0
        self.went_on = False
        status = self._command(arguments, stays=True)
        if self.went_on:
            return status
        self.context.trapped = ""
        raise ExitShell(status)

    def _eval(self, arguments: list[str]) -> int:
        return self.run_text(limited(" ".join(arguments)), self.calls.line)

    def _set(self, arguments: list[str]) -> int:
        words = iter(arguments)
        for word in words:
            if word == "--":
                self.context.arguments = list(words)
            elif word in ("-o", "+o"):
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
            if word.startswith("-"):
                continue
            name, equals, value = word.partition("=")
            if not name.isidentifier():
                raise Unusable(f"export {word} is not followed", "write export NAME=VALUE")
            if equals:
                self.assign(name, value)
            self.context.exported.add(name)
        return 0

    def _local(self, arguments: list[str]) -> int:
        """`local` and `readonly`; the caller's variable of that name is not kept apart."""
        for word in arguments:
            name, equals, value = word.partition("=")
            if not name.startswith("-") and (equals or name not in self.context.variables):
                self.assign(name, value)
        return 0

    def _unset(self, arguments: list[str]) -> int:
        for name in arguments:
            if name != "-f":
                self.context.variables[name] = ""
                self.context.functions.pop(name, None)
        return 0

    def _true(self, arguments: list[str]) -> int:
        return 0

    def _false(self, arguments: list[str]) -> int:
        return FAILED

    def _sleep(self, arguments: list[str]) -> int:
        if self.in_background:
            raise _Asleep
        return 0

    def _wait(self, arguments: list[str]) -> int:
        """What this shell has in the background comes to its end; there, only `sleep` has taken time."""
        asked = [self.calls.number(word) for word in arguments]
        for number in sorted(self.calls.stage.processes):
            if self.parents.get(number) == self.context.process and (not asked or number in asked):
                self._end_tree(number)
        return 0

    def _end_tree(self, number: int) -> None:
        """End a process, and before it those that it waits for."""
        going = [number]
        for one in going:  # grows while it is walked
            going += [child for child in sorted(self.calls.stage.processes) if self.parents.get(child) == one]
        for one in reversed(going):
            self.calls.make(End(), one)

    def _kill(self, arguments: list[str]) -> int:
        for word in arguments:
            if word.startswith("-"):
                continue
            number = self.calls.number(word)
            if not number or number in [context.process for context in self.stack]:
                raise Unusable(f"kill: there is no process {word} beside this one", "name it as $!")
            self.calls.make(End(), number)
        return 0

    def _trap(self, arguments: list[str]) -> int:
        """What is to be carried out at the end; signals do not come here."""
        if arguments[1:] and {"EXIT", "0"} & set(arguments[1:]):
            self.context.trapped = "" if arguments[0] == "-" else arguments[0]
        return 0

    def _read(self, arguments: list[str]) -> int:
        names = [one for one in arguments if not one.startswith("-")]
        given = self.context.input
        if given is None:
            raise Unusable("what `read` would read is not known", "give it: <<END ... END")
        if not given.lines:
            for name in names:
                self.assign(name, "")
            return FAILED
        line = given.lines.pop(0).strip(" \t")
        pieces = [line] if len(names) < 2 else line.split(None, len(names) - 1)
        for at, name in enumerate(names):
            self.assign(name, pieces[at] if at < len(pieces) else "")
        return 0

    def _test(self, arguments: list[str]) -> int:
        return self._condition(arguments, 0)

    def _bracket(self, arguments: list[str]) -> int:
        if arguments[-1:] != ["]"]:
            raise Unusable("[ has no ]", "write it")
        return self._condition(arguments[:-1], 1)

    def _condition(self, words: list[str], brackets: int) -> int:
        whole = " ".join((["[" * brackets] if brackets else ["test"]) + words + (["]" * brackets] if brackets else []))
        answered = self._answer(whole)
        if answered is not None:
            return answered[1]
        return 0 if holds(self.calls, words, brackets=brackets) else FAILED

    def _getopts(self, arguments: list[str]) -> int:
        if self.context.arguments:
            raise Unusable("getopts is not followed", "give no arguments")
        return FAILED

    def _whether_there(self, arguments: list[str]) -> int:
        """command -v and its like."""
        for word in arguments:
            name = word.rpartition("/")[2]
            if name in PROGRAMS or name in STARTERS or name in self._builtins or name in self.context.functions:
                self._write(f"{word}\n")
                continue
            text = f"command -v {word}"
            remedy = f"say it: --answer '{text}=/usr/bin/{word}' or --fails '{text}'"
            raise Unusable(f"whether there is a {word} is not known", remedy)
        return 0

    def _cd(self, arguments: list[str]) -> int:
        return change_directory(self.calls, arguments)

    def _look(self, arguments: list[str]) -> int:
        if self.captured and arguments:
            return self._pass_over("df", ["findmnt", *arguments])
        return look(self.calls, arguments)

    _builtins: ClassVar[dict[str, Callable[[Shell, list[str]], int]]] = {
        ":": _true,
        "[": _bracket,
        "break": _break,
        "cd": _cd,
        "continue": _continue,
        "declare": _local,
        "eval": _eval,
        "exit": _exit,
        "export": _export,
        "false": _false,
        "findmnt": _look,
        "getopts": _getopts,
        "kill": _kill,
        "local": _local,
        "read": _read,
        "readonly": _local,
        "return": _return,
        "set": _set,
        "shift": _shift,
        "sleep": _sleep,
        "test": _test,
        "trap": _trap,
        "true": _true,
        "type": _whether_there,
        "typeset": _local,
        "unset": _unset,
        "wait": _wait,
        "which": _whether_there,
    }

    # --- what only writes

    def _write(self, text: str) -> None:
        if self.writing:
            self.writing[-1].add(text)

    def _written(self, name: str, arguments: list[str]) -> int:
        text = self._writers[name](self, arguments)
        if not self.writing:
            self.passed.append((self.calls.line, name))
        self._write(text)
        return 0

    def _echo(self, arguments: list[str]) -> str:
        newline = "\n"
        while arguments and re.fullmatch("-[neE]+", arguments[0]):
            newline = "" if "n" in arguments[0] else newline
            arguments = arguments[1:]
        return " ".join(arguments) + newline

    def _printf(self, arguments: list[str]) -> str:
        if not arguments:
            return ""
        form, *values = arguments
        form = form.replace("\\n", "\n").replace("\\t", "\t").replace("%%", "\0")
        if re.search(r"%[^sd]", form) and self.captured:
            raise Unusable(f"printf {arguments[0]} is not followed", "use %s only")
        pieces = re.split(r"%[sd]", form)
        if len(pieces) == 1:
            return form.replace("\0", "%")
        text = ""
        while True:
            for piece in pieces[:-1]:
                text += piece + (values.pop(0) if values else "")
            text = limited(text + pieces[-1])
            if not values:
                return text.replace("\0", "%")

    def _pwd(self, arguments: list[str]) -> str:
        return self.calls.absolute(".") + "\n"

    def _basename(self, arguments: list[str]) -> str:
        paths = [one for one in arguments if not one.startswith("-")]
        name = posixpath.basename(paths[0].rstrip("/")) if paths else ""
        if len(paths) == 2 and name != paths[1]:
            name = name.removesuffix(paths[1])
        return name + "\n"

    def _dirname(self, arguments: list[str]) -> str:
        path = arguments[-1].rstrip("/") if arguments else ""
        return (posixpath.dirname(path).rstrip("/") or ("/" if path.startswith("/") or not path else ".")) + "\n"

    def _realpath(self, arguments: list[str]) -> str:
        paths = [one for one in arguments if not one.startswith("-")]
        return "".join(self.calls.absolute(one) + "\n" for one in paths)

    def _seq(self, arguments: list[str]) -> str:
        numbers = [int(one) for one in arguments if re.fullmatch("-?[0-9]{1,6}", one)]
        if not 1 <= len(numbers) <= 2 or len(numbers) != len(arguments):
            raise Unusable("seq of this kind is not followed", "write seq FIRST LAST")
        first, last = numbers if len(numbers) == 2 else (1, numbers[0])
        return "".join(f"{number}\n" for number in range(first, last + 1))

    def _user(self, arguments: list[str]) -> str:
        return "0\n" if arguments and set(arguments[0]) <= set("-ug") else "uid=0(root) gid=0(root)\n"

    _writers: ClassVar[dict[str, Callable[[Shell, list[str]], str]]] = {
        "basename": _basename,
        "dirname": _dirname,
        "echo": _echo,
        "id": _user,
        "printf": _printf,
        "pwd": _pwd,
        "readlink": _realpath,
        "realpath": _realpath,
        "seq": _seq,
    }


def _is_mkdir(command: Command) -> bool:
    if not isinstance(command, Simple) or not command.words or len(command.words[0]) != 1:
        return False
    first = command.words[0][0]
    return isinstance(first, Text) and first.text in ("mkdir", "install")


def shell_options(arguments: list[str]) -> tuple[str, list[str]]:
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
