"""The shell that carries a script out: its processes and control flow; what its commands do is in script_commands.py.

Processes are numbered from 1, the first shell. After a shell that is started without a script (`unshare -m sh`) the
lines go on in it, as if typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from mountplan.planner.ask.actions import End, Fork, MakeFile
from mountplan.planner.ask.conditions import Unknown
from mountplan.planner.ask.quiet_commands import QUIET
from mountplan.planner.ask.script_commands import FAILED, PROGRAMS, STARTERS, Starter, look
from mountplan.planner.ask.shell_builtins import ShellBuiltins
from mountplan.planner.ask.shell_reading import parse_script
from mountplan.planner.ask.shell_state import (
    Asleep,
    ExitShell,
    LeaveLoop,
    ReturnFrom,
    ShellContext,
    ShellInput,
    ShellOutput,
    Stopped,
)
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
from mountplan.planner.ask.shell_words import fields, limited, pattern, pattern_text, text_of
from mountplan.planner.ask.util_linux import Unusable

SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
MOST_COMMANDS = 100_000  # that a script may come to
_STAYING = frozenset({"sh", "dash", "ash"})  # with -c, they do not become what their last command is
_PREFIXES = frozenset({"sudo", "command", "env", "nohup", "setsid", "nice", "ionice", "builtin"})


class Shell(ShellBuiltins):
    """Carries out what was read: `stack` has the shells, one in the other."""

    def output(self, substitution: Substitution) -> str:
        """What the commands write, in a process of their own."""
        answered = self._answer(substitution.text)
        if answered is not None:
            self.context.status = answered[1]
            return answered[0]
        written = ShellOutput(wanted=True)
        self.writing.append(written)
        try:
            if any(isinstance(one, Simple) and not one.background for one in substitution.commands) and all(
                _plain_name(one) in self._writers for one in substitution.commands
            ):
                status = self.run(substitution.commands, ends=False)  # no process makes a difference
            else:
                status = self._in_child(self.context.subshell, lambda: self.run(substitution.commands, ends=True))
        finally:
            self.writing.pop()
        self.context.status = status
        return written.text

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
                context.asked |= follower is not None and _plain_name(follower) not in QUIET
                stays = ends and at + 1 == len(commands) and len(self.stack) == base
                status = self._whole(command, stays=stays, follower=follower)
                if status and self.context.stops and not self.context.tested and not isinstance(command, Negated):
                    raise ExitShell(status)
            except ExitShell as end:
                if len(self.stack) == base:
                    raise
                status = end.status
                self._leave()  # a shell that the script has gone on in
            except Asleep:
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

    def _whole(self, command: Command, *, stays: bool, follower: Command | None) -> int:
        try:
            return self._one(command, stays=stays)
        except Unknown as error:
            if follower is not None and follower.joint == "||" and _plain_name(follower) in ("mkdir", "install"):
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
                for at, word in enumerate(command.words):
                    if words[at - 1 : at] in (["="], ["=="], ["!="]):
                        words[at] = pattern_text(word, self)
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
            except LeaveLoop as leave:
                if leave.count > 1:
                    raise LeaveLoop(leave.count - 1, again=leave.again) from None
                if not leave.again:
                    return 0
        return status

    def _pipeline(self, command: Pipeline) -> int:
        """Each part in a process of its own; what one writes, the next one reads."""
        status = 0
        passed: ShellInput | None = self.context.input
        for at, part in enumerate(command.commands):
            last = at + 1 == len(command.commands)
            written = ShellOutput(wanted=False)

            def run(part: Command = part, given: ShellInput | None = passed) -> int:
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
            passed = None if len(self.passed) > before else ShellInput(written.text)
        return status

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
                context.input = ShellInput(text_of(one.word, self))
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
            self.writing.append(ShellOutput(wanted=False))
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
        except Asleep:
            del self.stack[depth:]  # all that waits for it stays as well
        finally:
            self.in_background -= 1
            self._leave_down_to(depth)
        starter.background = child
        return 0

    def _in_child(self, context: Callable[[int], ShellContext], run: Callable[[], int]) -> int:
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
        except ReturnFrom as end:
            status = end.status
        if context.trapped:
            context.status = status
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
                always = name in ("mount", "mountpoint", "umount")
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

    def _call(self, name: str, arguments: list[str]) -> int:
        context = self.context
        before, context.arguments = context.arguments, arguments
        try:
            return self._one(context.functions[name]._replace(background=False), stays=False)
        except ReturnFrom as end:
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

    _builtins: ClassVar[dict[str, Callable[[Any, list[str]], int]]] = ShellBuiltins._builtins | {"eval": _eval}


def _plain_name(command: Command) -> str:
    """The name of a simple command, if it is written out; "" if not."""
    if not isinstance(command, Simple) or not command.words or len(command.words[0]) != 1:
        return ""
    first = command.words[0][0]
    return first.text if isinstance(first, Text) else ""


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
