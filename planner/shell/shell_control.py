"""The control flow of a shell: lists, loops, pipelines, redirections, and the processes that it starts for them.

What a command's words mean is in shell.py, which has the rest of the shell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from mountplan.planner.commands.actions import End, Fork, MakeFile
from mountplan.planner.commands.quiet_commands import QUIET
from mountplan.planner.commands.script_calls import Ran
from mountplan.planner.commands.script_commands import FAILED
from mountplan.planner.commands.util_linux import Unusable
from mountplan.planner.shell.conditions import Unknown
from mountplan.planner.shell.shell_finders import ShellFinders
from mountplan.planner.shell.shell_reading import parse_script
from mountplan.planner.shell.shell_state import (
    Asleep,
    ExitShell,
    LeaveLoop,
    ReturnFrom,
    ShellContext,
    ShellInput,
    ShellOutput,
    Stopped,
)
from mountplan.planner.shell.shell_syntax import (
    MOST_NESTED,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Negated,
    NotFollowed,
    Pipeline,
    Redirection,
    ScriptError,
    Simple,
    Substitution,
    Test,
    Text,
    While,
)
from mountplan.planner.shell.shell_words import expression_text, fields, pattern, pattern_text, text_of

MOST_COMMANDS = 100_000  # that a script may come to


class ShellControl(ShellFinders):
    """Carries out what was read: `stack` has the shells, one in the other."""

    def _command(self, words: list[str], *, stays: bool = False) -> int:
        """One command; with `stays` the process that carries it out becomes what the command is."""
        raise NotImplementedError

    def unasked(self) -> tuple[str, ...]:
        """The answers that no command was given."""
        commands = (*(command for command, _ in self.answers.outputs), *self.answers.failing)
        return tuple(one for one in commands if one not in self.answered)

    def output(self, substitution: Substitution) -> str:
        """What the commands write, in a process of their own."""
        one = substitution.commands[0] if len(substitution.commands) == 1 else None
        answered = self._answer(substitution.text, whole=not isinstance(one, Simple))
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
                status = self._in_child(self._substituting, lambda: self.run(substitution.commands, ends=True))
        finally:
            self.writing.pop()
        self.context.status = status
        return written.text

    def _substituting(self, process: int) -> ShellContext:
        """bash gives `set -e` up in there, other shells do not."""
        made = self.context.subshell(process)
        made.loops = self.context.loops
        if made.dialect != "sh" and "inherit_errexit" not in made.options:
            made.options.discard("errexit")
        return made

    def run_text(
        self, text: str, first_line: int, *, ends: bool = False, one_line: bool = False, file: str = ""
    ) -> int:
        """With `one_line` all of it counts as that one line of the script; mistakes are told with the `file`'s own."""
        before = len(self.mistakes)
        with self._deeper():
            try:
                return self.run(parse_script(text, first_line, one_line=one_line), ends=ends)
            finally:
                if file:
                    self.mistakes[before:] = [
                        ScriptError(one.line, f"in {file}: {one.what}", one.remedy) for one in self.mistakes[before:]
                    ]

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
                unopened = self.unopened
                status = self._whole(command, stays=stays, follower=follower)
                if status and not self.context.tested and (not _is_exempt(command) or self.unopened > unopened):
                    self._fail(status)
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

    def _fail(self, status: int) -> None:
        """What a shell does after a command that fails, and whose status nothing asks for."""
        context = self.context
        if context.trapped_errors and (not self.locals or "errtrace" in context.options):
            text, context.trapped_errors = context.trapped_errors, ""
            context.status = status
            self.run_text(text, self.calls.line)
            context.trapped_errors = text
        if context.stops:
            raise ExitShell(status)

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
        if isinstance(command, NotFollowed):
            self._mistake(command.line, Unusable(command.what, command.remedy))
            if command.ends:
                raise Stopped
            return FAILED
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
                status, falls = 0, False
                for item in command.items:
                    if falls or any(pattern(one, self).fullmatch(value) for one in item.patterns):
                        status = self.run(item.body)
                        if item.end == ";;":
                            return status
                        falls = item.end == ";&"
                return status
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
                    elif words[at - 1 : at] == ["=~"]:
                        words[at] = expression_text(word, self)
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
        context = self.context
        context.loops += 1
        try:
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
        finally:
            context.loops -= 1
        return status

    def _pipeline(self, command: Pipeline) -> int:
        """Each part in a process of its own; what one writes, the next one reads."""
        status = failed = 0
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
            if not last and "pipefail" not in context.options:
                context.tested = context.asked = False
            before = len(self.passed)
            try:
                status = self._in_child(context.subshell, run)
                failed = status or failed
            finally:
                context.tested, context.asked = state
                if not last:
                    self.writing.pop()
            passed = None if len(self.passed) > before else ShellInput(written.text)
        return failed if "pipefail" in self.context.options else status

    def _simple(self, command: Simple, *, stays: bool = False) -> int:
        """With `stays` the process that carries it out is not that of the shell, and may become what the command is."""
        context = self.context
        context.status, before_status = 0 if not command.words else context.status, context.status
        words = fields(command.words, self)
        if not command.words:
            context.status = before_status
        assigned = {}
        for one in command.assignments:
            text = text_of(one.word, self)
            if not words:
                self.assign_to(one, text, fields(one.items or (), self))
            else:
                assigned[one.name] = text
        if not words:
            asked = any(isinstance(part, Substitution) for one in command.assignments for part in one.word)
            status = context.status if asked else 0
            return self._redirected(command.redirections, lambda: status)
        before = {name: context.variables.get(name) for name in assigned}
        exported = {name for name in assigned if name not in context.exported}
        context.variables.update(assigned)
        context.exported.update(assigned)
        if words == ["exec"] and all(one.operator.startswith("<") for one in command.redirections):
            return self._opened(command.redirections)
        try:
            return self._redirected(command.redirections, lambda: self._command(words, stays=stays))
        finally:
            context.exported -= exported
            self.set_back(context, before)

    def _redirected(self, redirections: tuple[Redirection, ...], run: Callable[[], int]) -> int:
        """Files that are written to come to be, with what commands write there as far as it is known."""
        if not redirections:
            return run()
        context = self.context
        given, drops, written = context.input, False, ("", False)
        for one in redirections:
            text = text_of(one.word, self)
            if one.operator == "<<":
                context.input = ShellInput(text)
                continue
            if one.operator in (">&", "<&") and (text.isdecimal() or text == "-"):
                drops |= one.of == 1 and text != "1"
                continue
            if one.operator.startswith("<"):
                if one.of == 0:
                    context.input = self.input_from(text)
                continue
            if not text.startswith(("/dev/", "/proc/", "/sys/")):
                if not self.calls.make(MakeFile(text)):
                    context.input = given
                    self.unopened += 1
                    return FAILED
                if one.of == 1:
                    written = self.calls.absolute(text), ">>" in one.operator
            drops |= one.of == 1 or one.operator.startswith("&")
        if not drops:
            try:
                return run()
            finally:
                context.input = given
        output = ShellOutput(wanted=False)
        self.writing.append(output)
        passed, ran = len(self.passed), len(self.calls.ran)
        try:
            return run()
        finally:
            context.input = given
            self.writing.pop()
            if written[0]:
                known = passed == len(self.passed) and not any(map(_is_verbose, self.calls.ran[ran:]))
                self._keep(written[0], output.text if known else None, append=written[1])

    def _opened(self, redirections: tuple[Redirection, ...]) -> int:
        """`exec` with nothing but files to read: from here on, the shell reads from them."""
        context = self.context
        for one in redirections:
            text = text_of(one.word, self)
            if one.operator == "<<":
                given: ShellInput | None = ShellInput(text)
            elif one.operator == "<&" and text == "-":
                given = None
            elif one.operator == "<&":
                given = context.input if text == "0" else context.opened.get(text)
            else:
                given = self.input_from(text)
            if one.of == 0:
                context.input = given
            else:
                context.opened[str(one.of)] = given
        return 0

    def _in_background(self, command: Command) -> int:
        starter = self.context
        depth = len(self.stack)
        child = self._fork()
        self.stack.append(starter.subshell(child))
        self.in_background += 1
        plain = command._replace(background=False, joint=";")
        whole = plain._replace(subshell=True) if isinstance(plain, Group) else plain
        self.statuses[child] = 0
        try:
            self.statuses[child] = self._to_the_end(lambda: self._one(whole, stays=True))
        except Asleep:
            if any(context.trapped for context in self.stack[depth:]):
                raise Unusable("a trap of what sleeps in the background is not followed", "leave it out") from None
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
        except LeaveLoop:  # of one that this process is in: it has nothing more to do
            status = 0
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

    def _leave(self) -> None:
        self.calls.make(End(), self.context.process)
        self.stack.pop()
        self.calls.process = self.context.process

    def _leave_down_to(self, depth: int) -> None:
        while len(self.stack) > depth:
            self._leave()


def _is_verbose(ran: Ran) -> bool:
    """Whether a program says what it does."""
    return any(re.fullmatch("-[a-zA-Z]*v[a-zA-Z]*|--verbose", word) for word in ran.words)


def _is_exempt(command: Command) -> bool:
    """Whether its status says nothing that the commands in it have not said before (`set -e`)."""
    if isinstance(command, Group):
        return not command.subshell
    return isinstance(command, Negated | If | For | While | Case | Function)


def _plain_name(command: Command) -> str:
    """The name of a simple command, if it is written out; "" if not."""
    if not isinstance(command, Simple) or not command.words or len(command.words[0]) != 1:
        return ""
    first = command.words[0][0]
    return first.text if isinstance(first, Text) else ""
