"""The control flow of a shell: lists, loops, pipelines, redirections, and the processes that it starts for them.

What a command's words mean is in shell.py, which has the rest of the shell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count

from mountplan.planner.commands.actions import CloseDescriptor, End, Fork, MakeFile, OpenTree
from mountplan.planner.commands.quiet_commands import QUIET
from mountplan.planner.commands.script_commands import FAILED
from mountplan.planner.commands.util_linux import Unusable
from mountplan.planner.shell import shell_state as state
from mountplan.planner.shell import shell_syntax as s
from mountplan.planner.shell.conditions import Unknown
from mountplan.planner.shell.shell_finders import ShellFinders
from mountplan.planner.shell.shell_reading import parse_script
from mountplan.planner.shell.shell_words import expression_text, fields, pattern, pattern_text, text_of

_NOWHERE = state.ShellOutput(wanted=False)  # what a file is that cannot be opened
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

    def output(self, substitution: s.Substitution) -> str:
        return self.written_by(substitution).replace("\0", "")

    def written_by(self, substitution: s.Substitution) -> str:
        """What the commands write, in a process of their own."""
        one = substitution.commands[0] if len(substitution.commands) == 1 else None
        answered = self._answer(substitution.text, whole=not isinstance(one, s.Simple))
        if answered is not None:
            self.context.status = answered[1]
            return answered[0]
        written = state.ShellOutput(wanted=True)
        self.writing.append(written)
        try:
            if any(isinstance(one, s.Simple) and not one.background for one in substitution.commands) and all(
                _plain_name(one) in self._writers for one in substitution.commands
            ):
                status = self.run(substitution.commands, ends=False)  # no process makes a difference
            else:
                status = self._in_child(self._substituting, lambda: self.run(substitution.commands, ends=True))
        finally:
            self.writing.pop()
        self.context.status, self.context.substituted = status, True
        if not written.known:
            text = substitution.text
            raise Unusable(f"what `{text}` writes is not known", f"say it: --answer '{text}=OUTPUT'")
        return written.text

    def _substituting(self, process: int) -> state.ShellContext:
        """bash gives `set -e` up in there, other shells do not."""
        made = self.context.subshell(process)
        made.loops = self.context.loops
        if made.dialect == "sh" and made.tested:
            made.tested, made.disputed = False, True
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
                        s.ScriptError(one.line, f"in {file}: {one.what}", one.remedy) for one in self.mistakes[before:]
                    ]

    def run(self, commands: tuple[s.Command, ...], *, ends: bool = False) -> int:
        """Carry commands out one after the other; the status of the last. Raises ExitShell if the shell ends with one.

        With `ends` nothing comes after them, and the shell becomes what the last one is: so it is in every subshell.
        """
        base = len(self.stack)
        status = 0
        for at, command in enumerate(commands):
            if (command.joint == "&&" and status) or (command.joint == "||" and not status):
                continue
            self._turn_to(command.line)
            self.context.substituted = False
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
            except state.ExitShell as end:
                if len(self.stack) == base:
                    raise
                status = end.status
                self._leave()  # a shell that the script has gone on in
            except state.Asleep:
                if at + 1 < len(commands):
                    what = "what follows `sleep` in the background is not followed"
                    self.mistakes.append(s.ScriptError(commands[at + 1].line, what, "let `sleep` be the last"))
                raise
            finally:
                context.tested, context.asked = before
            self.context.status = status
            if isinstance(command, s.Simple):
                self.context.piped = ()
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
            if context.disputed:
                what = "whether set -e ends this, as something asks for its status, shells called sh do not agree on"
                raise Unusable(what, "write || exit")
            raise state.ExitShell(status)

    def _turn_to(self, line: int) -> None:
        self.calls.line = line
        self.calls.process = self.context.process
        self.count += 1
        if self.count > MOST_COMMANDS:
            what = f"the script comes to more than {MOST_COMMANDS:,} commands"
            self.mistakes.append(s.ScriptError(line, what, "let loops end earlier"))
            raise state.Stopped

    def _whole(self, command: s.Command, *, stays: bool, follower: s.Command | None) -> int:
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
        self.mistakes.append(s.ScriptError(line, error.what, error.remedy))
        if self.context.asked:
            raise state.Stopped

    def _one(self, command: s.Command, *, stays: bool) -> int:
        if command.background:
            with self._deeper():
                return self._in_background(command)
        if isinstance(command, s.Simple):
            return self._simple(command, stays=stays)
        if isinstance(command, s.NotFollowed):
            self._mistake(command.line, Unusable(command.what, command.remedy))
            if command.ends:
                raise state.Stopped
            return FAILED
        with self._deeper():
            return self._redirected(command.redirections, lambda: self._compound(command, stays=stays))

    def _compound(self, command: s.Command, *, stays: bool) -> int:
        match command:
            case s.Group():
                if not command.subshell or stays:
                    return self.run(command.commands, ends=stays)
                return self._in_child(self.context.subshell, lambda: self.run(command.commands, ends=True))
            case s.Negated():
                with self._asking():
                    return 0 if self._one(command.command, stays=False) else FAILED
            case s.If():
                for condition, body in command.branches:
                    with self._asking():
                        status = self.run(condition)
                    if not status:
                        return self.run(body)
                return self.run(command.otherwise)
            case s.For():
                words = self.context.arguments if command.words is None else fields(command.words, self)
                return self._loop(({command.name: word} for word in list(words)), command.body)
            case s.While():
                return self._loop(self._rounds(command), command.body)
            case s.Case():
                value = text_of(command.word, self)
                status, falls = 0, False
                for item in command.items:
                    if falls or any(pattern(one, self).fullmatch(value) for one in item.patterns):
                        status = self.run(item.body)
                        if item.end == ";;":
                            return status
                        falls = item.end == ";&"
                return status
            case s.Function():
                self.context.functions[command.name] = command.body
                return 0
            case s.Pipeline():
                return self._pipeline(command)
            case s.Test():
                self.doubt = ""
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

    def _rounds(self, command: s.While) -> Iterator[dict[str, str]]:
        while True:
            with self._asking():
                status = self.run(command.condition)
            if bool(status) != command.until:
                return
            yield {}

    def _loop(self, rounds: Iterable[dict[str, str]], body: tuple[s.Command, ...]) -> int:
        status = 0
        context = self.context
        context.loops += 1
        try:
            for variables in rounds:
                for name, value in variables.items():
                    self.assign(name, value)
                try:
                    status = self.run(body)
                except state.LeaveLoop as leave:
                    if leave.count > 1:
                        raise state.LeaveLoop(leave.count - 1, again=leave.again) from None
                    if not leave.again:
                        return 0
        finally:
            context.loops -= 1
        return status

    def _pipeline(self, command: s.Pipeline) -> int:
        """Each part in a process of its own; what one writes, the next one reads."""
        status = failed = 0
        passed, typed = self.context.input, self.context.typed
        statuses: list[int] = []
        for at, part in enumerate(command.commands):
            last = at + 1 == len(command.commands)
            written = state.ShellOutput(wanted=False)

            def run(part: s.Command = part, given: state.ShellInput | None = passed, typed: bool = typed) -> int:
                self.context.input, self.context.typed = given, typed
                return self._apart(part, lambda: self.run((part,), ends=True))

            if not last:
                self.writing.append(written)
            context = self.context
            before = context.tested, context.asked
            if not last and "pipefail" not in context.options:
                context.tested = context.asked = False
            try:
                status = self._in_child(context.subshell, run)
                failed = status or failed
                statuses.append(status)
            finally:
                context.tested, context.asked = before
                if not last:
                    self.writing.pop()
            passed, typed = state.ShellInput(written.text) if written.known else None, False
        self.context.piped = tuple(statuses)
        return failed if "pipefail" in self.context.options else status

    def _simple(self, command: s.Simple, *, stays: bool = False) -> int:
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
            self.doubt = ""
            asked = any(isinstance(part, s.Substitution) for one in command.assignments for part in one.word)
            status = context.status if asked else 0
            return self._redirected(command.redirections, lambda: status)
        before = {name: context.variables.get(name) for name in assigned}
        exported = {name for name in assigned if name not in context.exported}
        context.variables.update(assigned)
        context.exported.update(assigned)
        if words == ["exec"] and command.redirections:
            return self._opened(command.redirections)
        try:
            return self._redirected(command.redirections, lambda: self._command(words, stays=stays))
        finally:
            context.exported -= exported
            self.set_back(context, before)

    def _redirected(self, redirections: tuple[s.Redirection, ...], run: Callable[[], int]) -> int:
        """Files that are written to come to be, with what commands write there as far as it is known."""
        if not redirections:
            return run()
        context = self.context
        given = context.input, context.typed, context.outputs, context.opened
        writing, errors = list(self.writing), list(self.errors)
        context.outputs, context.opened = dict(context.outputs), dict(context.opened)
        held, opened, context.held = context.held, self.opened, dict(context.held)
        files: list[tuple[str, state.ShellOutput]] = []
        context.redirects += 1
        try:
            if not self._redirect(redirections, files):
                self.unopened += 1
                return self.complain()
            return run()
        finally:
            context.redirects -= 1
            context.input, context.typed, context.outputs, context.opened = given
            context.held = held
            self._let_go(opened)
            self.writing, self.errors = writing, errors
            self.flush(files)
            del self.files[len(self.files) - len(files) :]

    def _redirect(self, redirections: tuple[s.Redirection, ...], files: list[tuple[str, state.ShellOutput]]) -> bool:
        """Where the shell reads from and writes to by now; whether all that could be opened. `files` are written."""
        context = self.context
        outputs = dict(context.outputs)
        outputs["1"] = self.writing[-1] if self.writing else None
        outputs["2"] = self.errors[-1] if self.errors else None
        opened = True
        for one in redirections:
            first = one.word[0] if one.word else None
            text = (
                self.written_by(first)
                if one.operator == "<(" and isinstance(first, s.Substitution)
                else text_of(one.word, self)
            )
            of = self._number_in(one.variable, new=text != "-") if one.variable else str(one.of)
            copies = one.operator in (">&", "<&") and (text.isdecimal() or text == "-")
            path = "" if copies or one.operator in ("<<", "<(") else text
            if one.operator in ("<<", "<("):
                self._read_from(of, state.ShellInput(text))
            elif copies and (one.operator == "<&" or text == "-") and text not in outputs and of not in ("1", "2"):
                outputs.pop(of, None)
                self._read_from(of, context.input if text == "0" else context.opened.get(text), closes=text == "-")
            elif copies and text == "-":
                outputs[of] = state.ShellOutput(wanted=False)
            elif copies:
                if text not in outputs and text != "0":
                    opened = False
                    break
                outputs[of] = outputs.get(text)
            elif one.operator == "<":
                outputs.pop(of, None)
                self._read_from(of, self.input_from(text))
            else:
                output = self._written_to(text, one.operator in (">>", "&>>", "<>"), outputs, files)
                if output is _NOWHERE:
                    opened = False
                    break
                if one.operator == "<>":
                    self._read_from(of, self.input_from(text))
                both = one.operator.startswith("&") or one.operator == ">&"
                outputs.update(dict.fromkeys(("1", "2") if both else (of,), output))
            self._hold(of, path, context.held.get(text, "") if copies else "")
        out = outputs.pop("1")
        if out is not None or self.writing:
            self.writing.append(out or state.ShellOutput(wanted=False))
        self.errors.append(outputs.pop("2"))
        context.outputs = outputs
        return opened

    def _number_in(self, variable: str, *, new: bool) -> str:
        """Of the descriptor that is in a variable, or that bash puts there."""
        context = self.context
        if context.redirects or context.is_sh:
            raise Unusable(f"{{{variable}}} of a command other than bash's `exec` is not followed", "open it with exec")
        if new:
            taken = context.opened.keys() | context.outputs.keys()
            self.assign(variable, next(one for one in map(str, count(10)) if one not in taken))
        return context.variables.get(variable, "")

    def _hold(self, of: str, path: str, name: str) -> None:
        """What is open is in use, and so is the mount that it is on; of the root that makes no difference."""
        context, place = self.context, self.calls.place(path) if path else None
        context.held.pop(of, None)
        if place is not None and place[0] is not self.calls.current.root[0]:
            self.opened += 1
            name = f"file {self.opened}"
            self.calls.make(OpenTree(path, name))
        if name:
            context.held[of] = name

    def _let_go(self, since: int) -> None:
        """Close what is under no number any more, of what was opened since so many were."""
        held = self.context.held.values()
        for name in (f"file {number}" for number in range(since + 1, self.opened + 1)):
            if name not in held and self.calls.has_descriptor(name):
                self.calls.make(CloseDescriptor(name))

    def _read_from(self, of: str, given: state.ShellInput | None, *, closes: bool = False) -> None:
        context = self.context
        if of == "0":
            context.input, context.typed = given, False
        elif closes:
            context.opened.pop(of, None)
        else:
            context.opened[of] = given

    def _written_to(
        self,
        path: str,
        append: bool,
        outputs: dict[str, state.ShellOutput | None],
        files: list[tuple[str, state.ShellOutput]],
    ) -> state.ShellOutput | None:
        """What a file of this name is for those that write to it."""
        if path in ("/dev/stdout", "/dev/stderr") or re.fullmatch("/dev/fd/[0-9]+", path):
            return outputs.get({"stdout": "1", "stderr": "2"}.get(path[5:], path.rpartition("/")[2]))
        if path.startswith(("/dev/", "/proc/", "/sys/")):
            return state.ShellOutput(wanted=False)
        if not self.calls.make(MakeFile(path)):
            return _NOWHERE
        output, name = state.ShellOutput(wanted=False), self.calls.absolute(path)
        for other, before in self.files:
            if other == name:  # each of them goes on from where it is
                before.known = output.known = False
        if not append:
            self._keep(name, "", append=False)
        files.append((name, output))
        self.files.append((name, output))
        return output

    def _opened(self, redirections: tuple[s.Redirection, ...]) -> int:
        """`exec` with nothing but redirections: from here on, the shell reads from there and writes there."""
        if self.context.redirects:
            raise Unusable("`exec` in a command that is redirected itself is not followed", "write it apart")
        files: list[tuple[str, state.ShellOutput]] = []
        if not self._redirect(redirections, files):
            raise Unusable("what becomes of the script, as a file cannot be opened, is not followed", "make it")
        for path, output in files:
            output.through = path
        del self.files[len(self.files) - len(files) :]
        self._let_go(0)
        return 0

    def _in_background(self, command: s.Command) -> int:
        starter = self.context
        depth = len(self.stack)
        writing, errors = list(self.writing), list(self.errors)
        child = self._fork()
        self.stack.append(starter.subshell(child))
        self.in_background += 1
        plain = command._replace(background=False, joint=";")
        whole = plain._replace(subshell=True) if isinstance(plain, s.Group) else plain
        self.statuses[child] = 0
        try:
            self.statuses[child] = self._to_the_end(lambda: self._apart(whole, lambda: self._one(whole, stays=True)))
        except state.Asleep:
            if any(context.trapped for context in self.stack[depth:]):
                raise Unusable("a trap of what sleeps in the background is not followed", "leave it out") from None
            del self.stack[depth:]  # all that waits for it stays as well
        finally:
            self.writing, self.errors = writing, errors
            self.in_background -= 1
            self._leave_down_to(depth)
        starter.background = child
        return 0

    def _apart(self, command: s.Command, run: Callable[[], int]) -> int:
        """A process of its own by where it stands: bash forgets what loops and conditions have trapped there."""
        status = run()
        if isinstance(command, s.If | s.Case | s.For | s.While) and not self.context.is_sh:
            self.context.trapped = ""
        return status

    def _in_child(self, context: Callable[[int], state.ShellContext], run: Callable[[], int]) -> int:
        """Start a process, have it `run` in that context, and wait for it."""
        depth = len(self.stack)
        writing, errors = list(self.writing), list(self.errors)
        with self._deeper():
            self.stack.append(context(self._fork()))
            self.calls.process = self.context.process
            try:
                status = self._to_the_end(run)
            except Unusable:
                self._leave_down_to(depth)
                raise
            finally:
                self.writing, self.errors = writing, errors
        self._leave_down_to(depth)
        return status

    def _to_the_end(self, run: Callable[[], int]) -> int:
        """The status of a shell that is run to its end, with what it has trapped."""
        context = self.context
        try:
            status = run()
        except state.ExitShell as end:
            status = end.status
        except state.ReturnFrom as end:
            status = end.status
        except state.LeaveLoop:  # of one that this process is in: it has nothing more to do
            status = 0
        if context.trapped:
            context.status = status
            text, context.trapped = context.trapped, ""
            try:
                self.run_text(text, self.calls.line)
            except state.ExitShell as end:
                status = end.status
        return status

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        if self.depth >= s.MOST_NESTED:
            raise Unusable(f"commands and shells are nested more than {s.MOST_NESTED} deep", "nest fewer")
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


def _is_exempt(command: s.Command) -> bool:
    """Whether its status says nothing that the commands in it have not said before (`set -e`)."""
    if isinstance(command, s.Group):
        return not command.subshell
    return isinstance(command, s.Negated | s.If | s.For | s.While | s.Case | s.Function)


def _plain_name(command: s.Command) -> str:
    """The name of a simple command, if it is written out; "" if not."""
    if not isinstance(command, s.Simple) or not command.words or len(command.words[0]) != 1:
        return ""
    first = command.words[0][0]
    return first.text if isinstance(first, s.Text) else ""
