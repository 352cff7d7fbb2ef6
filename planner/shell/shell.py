"""The shell that carries a script out: which of its commands is a function, a program, or another shell.

Its control flow is in shell_control.py; what programs do is in script_commands.py.

Processes are numbered from 1, the first shell. After a shell that is started without a script (`unshare -m sh`) the
lines go on in it, as if typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from mountplan.planner.commands.file_commands import NothingKnown
from mountplan.planner.commands.quiet_commands import PASSED_OVER
from mountplan.planner.commands.script_commands import PROGRAMS, STARTERS, Starter, look
from mountplan.planner.commands.text_filters import FILTERS, files_of
from mountplan.planner.commands.util_linux import Unusable
from mountplan.planner.shell.shell_control import ShellControl
from mountplan.planner.shell.shell_state import ExitShell, ReturnFrom
from mountplan.planner.shell.shell_syntax import limited

SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh"})
_STAYING = frozenset({"sh", "dash", "ash"})  # with -c, they do not become what their last command is
# Programs that become another, with the letters of their options that have a value; what else does not matter here.
_PREFIXES = {
    "builtin": "", "busybox": "", "command": "", "doas": "u", "env": "", "eatmydata": "", "flock": "wE",
    "ionice": "cnp", "nice": "n", "nohup": "", "setsid": "", "stdbuf": "ioe", "sudo": "ugnCh", "taskset": "c",
    "time": "fo", "timeout": "ks",
}  # fmt: skip


class Shell(ShellControl):
    """A whole shell: control flow, and what each command is."""

    def run_to_the_end(self, text: str) -> int:
        """The script itself, with what it has trapped."""
        self.context.dialect = dialect_of(text)
        self.set_letters(options_of(text), True)
        return self._to_the_end(lambda: self.run_text(text, 1))

    def _command(self, words: list[str], *, stays: bool = False) -> int:
        """One command; with `stays` the process that carries it out becomes what the command is."""
        self.calls.process = self.context.process
        self.doubt = ""
        with self._deeper():
            answered = self._answer(" ".join(words))
            if answered is not None:
                self._write(answered[0])
                return answered[1]
            name, arguments = words[0].rpartition("/")[2], words[1:]
            if words[0] in self.context.functions and words[0] not in self.beyond:
                return self._call(name, arguments)
            if name in _PREFIXES:
                return self._prefixed(words, stays)
            if name in self._builtins:
                return self._builtins[name](self, arguments)
            if name in self._writers:
                return self._written(name, ["-P"] if words[0].endswith("/pwd") else arguments)
            if name in PROGRAMS:
                always = name in ("mount", "mountpoint", "umount")
                try:
                    status = self.run_program(name, arguments, always=always)
                except NothingKnown:
                    return self._pass_over(name, words)
                return self._said(arguments, status)
            if name in STARTERS:
                starter = STARTERS[name](self.calls, arguments)
                return self._started((name, *arguments), starter, stays)
            if name == "exec":
                return self._exec(arguments, stays)
            if name == "cat" and arguments == ["/proc/self/mountinfo"]:
                return look(self.calls, arguments)
            if name in SHELLS:
                return self._new_shell(name, arguments, stays)
            if "/" in words[0] and (text := self._script_text(words[0], name)) is not None:
                return self._script(text, words, stays, letters=options_of(text))
            if name in FILTERS and (result := self._filtered(name, arguments)) is not None:
                self._write(result[0])
                return result[1]
            return self._pass_over(name, words)

    def _said(self, arguments: list[str], status: int) -> int:
        """What a program writes that has done something is not known."""
        if any(re.fullmatch("-[a-zA-Z]*v[a-zA-Z]*|--verbose", word) for word in arguments):
            self._writes_unknown()
        if status:
            self.complain()
        return status

    def _script_text(self, path: str, name: str) -> str | None:
        """What is in a program that is named by its path, if that is a script that is known."""
        try:
            return self.text_in(path)
        except Unusable:
            if name in PASSED_OVER:
                return None
            raise

    def run_words(self, words: list[str]) -> int:
        """A command that another program runs, in a process of its own."""
        self.beyond.append(words[0])
        try:
            return self._in_child(self.context.subshell, lambda: self._command(words, stays=True))
        finally:
            self.beyond.pop()

    def _prefixed(self, words: list[str], stays: bool) -> int:
        """A command that others run: it is no function then."""
        given: dict[str, str | None] = {}
        clears = False
        while words and (name := words[0].rpartition("/")[2]) in _PREFIXES:
            if name == "command" and words[1:2] in (["-v"], ["-V"]):
                return self._whether_there(words[2:])
            if name == "env":
                words, removed, bare = _env_options(words[1:])
                given |= dict.fromkeys(removed, None)
                clears |= bare
            else:
                if name == "timeout" and (status := _timed_out(words[1:])):
                    return status
                if name in ("sudo", "doas") and (user := _user_of(words[1:])) not in ("root", "0", "#0"):
                    raise Unusable(f"{name} -u {user} is not followed", "scripts are root's; leave it out")
                taskset = name == "taskset" and not any(re.fullmatch("-[a-z]*c[a-z]*", one) for one in words[1:2])
                words = _after(name, words[1:])
                if name == "flock" or taskset:
                    words = words[1:]  # the file that is locked, which nobody else has; the mask
                if name == "flock" and words[:1] == ["-c"]:
                    words = ["sh", *words]
            while name in ("env", "sudo", "doas") and words and (one := _ASSIGNS.match(words[0])):
                given[one[1]] = words[0][one.end() :]
                words = words[1:]
        if not words:
            return 0
        context = self.context
        before = {name: context.variables.get(name) for name in given}
        exported = set(context.exported)
        context.exported = (set() if clears else exported) | {name for name, one in given.items() if one is not None}
        context.exported -= {name for name, one in given.items() if one is None}
        context.variables.update({name: one for name, one in given.items() if one is not None})
        self.beyond.append(words[0])
        try:
            return self._command(words, stays=stays)
        finally:
            self.beyond.pop()
            context.exported = exported
            self.set_back(context, before)

    def _filtered(self, name: str, arguments: list[str]) -> tuple[str, int] | None:
        """What a command makes of a text that is known; None if that cannot be said, or nothing hangs on it."""
        if name == "sed" and (changed := _edited(arguments)) is not None:
            return self._edit(changed)
        files, options = files_of(name, arguments)
        text = ""
        for path in files:
            try:
                found = self.text_in(path)
            except Unusable:
                found = None
            if found is None:
                return None
            text += found
        if not files:
            given = self.context.input
            if given is None:
                return None
            text = given.text[given.at :]
        result = FILTERS[name](options, text)
        if result is not None and not files and self.context.input is not None:
            self.context.input.rest()
        return result

    def _edit(self, arguments: list[str]) -> tuple[str, int] | None:
        """sed -i: what is in the files then; None if one of them is not there, or it is not known what there is."""
        files, options = files_of("sed", arguments)
        status = 0
        for path in files:
            try:
                is_there = self.is_there(path)
                text = self.text_in(path) if is_there else None
            except Unusable:  # it may be
                return None
            if not is_there:
                self.complain()
                status = 2
                continue
            result = FILTERS["sed"](options, text) if text is not None else None
            for name, output in self.files:
                output.replaced |= name == self.calls.absolute(path)
            self._keep(self.calls.absolute(path), result[0] if result is not None else None, append=False)
        return "", status

    def _call(self, name: str, arguments: list[str]) -> int:
        context = self.context
        before, context.arguments = context.arguments, arguments
        self.locals.append({})
        beyond, self.beyond = self.beyond, []
        loops, context.loops = (context.loops, context.loops_above), 0
        context.loops_above = False
        try:
            return self._one(context.functions[name]._replace(background=False), stays=False)
        except ReturnFrom as end:
            return end.status
        finally:
            self.beyond = beyond
            context.loops, context.loops_above = loops
            context.arguments = before
            self.set_back_locals(self.locals.pop())

    def _new_shell(self, name: str, arguments: list[str], stays: bool) -> int:
        letters, rest = shell_options(arguments)
        dialect = "bash" if name == "bash" else "sh"
        if "c" not in letters and "s" not in letters and rest:
            text = self.text_in(rest[0])
            if text is None:
                raise Unusable(f"sh: what is in {rest[0]} is not known", f"give it: --file {rest[0]}=FILE")
            return self._script(text, rest, stays, letters=letters, dialect=dialect)
        if "c" not in letters and not self.context.typed:
            given = self.context.input
            if given is None:
                raise Unusable(f"what {name} would read is not known", "give it: <<END ... END")
            return self._script(given.rest(), [name, *rest], stays, letters=letters, dialect=dialect)
        if "c" not in letters:
            return self._within((name, *arguments), lambda: 0, stays)
        if not rest:
            raise Unusable("sh: there is nothing after -c", "give the commands as one word")
        line = self.calls.line

        def run() -> int:
            self.set_letters(letters, True)
            self.context.dialect = dialect
            self.context.arguments = rest[2:]
            if rest[1:2]:
                self.context.variables["0"] = rest[1]
            return self.run_text(rest[0], line, ends=name not in _STAYING)

        return self._anew(run, stays)

    def _anew(self, run: Callable[[], int], stays: bool) -> int:
        """A shell that knows what is exported: in a process of its own, or in the place of this one."""
        if not stays:
            return self._in_child(self.context.new_shell, run)
        self.stack[-1] = self.context.new_shell(self.context.process)
        return self._to_the_end(run)

    def _script(self, text: str, words: list[str], stays: bool, *, letters: str = "", dialect: str = "") -> int:
        """A file of commands, in a shell of its own."""
        line = self.calls.line

        def run() -> int:
            self.set_letters(letters, True)
            self.context.dialect = dialect or dialect_of(text)
            self.context.variables["0"], self.context.arguments = words[0], words[1:]
            return self.run_text(text, line, one_line=True, file=words[0])

        return self._anew(run, stays)

    def _source(self, arguments: list[str]) -> int:
        """`.`: the commands of a file, as if they stood here."""
        if not arguments:
            raise Unusable(".: there is no file", "name it")
        text = self.text_in(arguments[0])
        if text is None:
            raise Unusable(f"what is in {arguments[0]} is not known", f"give it: --file {arguments[0]}=FILE")
        before = self.context.arguments
        if arguments[1:]:
            if self.context.is_sh:
                raise Unusable(". with arguments is not followed: shells called sh differ in that", "use set --")
            self.context.arguments = arguments[1:]
        self.sourced += 1
        try:
            return self.run_text(text, self.calls.line, one_line=True, file=arguments[0])
        except ReturnFrom as end:
            return end.status
        finally:
            self.sourced -= 1
            if arguments[1:]:
                self.context.arguments = before

    def _started(self, words: tuple[str, ...], starter: Starter, stays: bool) -> int:
        """A program that does something and then becomes another."""
        return self._within(
            starter.command, lambda: self.calls.program(words, starter.prepare) and self.complain(), stays
        )

    def _within(self, command: tuple[str, ...], prepare: Callable[[], int], stays: bool) -> int:
        """Start a process, let it `prepare` itself, and run a command in it; without one the script goes on in it."""
        if not command and not self.context.typed:
            command = ("sh",)  # $SHELL, which is not known here
        is_shell = bool(command) and command[0].rpartition("/")[2] in SHELLS
        letters, rest = shell_options(command[1:]) if is_shell else ("", [])
        reads_on = not command or (is_shell and "c" not in letters and ("s" in letters or not rest))
        goes_on = self.context.typed and reads_on

        def begin() -> int:
            status = prepare()
            self.context.options = set(self.context.options)
            self.set_letters(letters, True)
            self.context.arguments = rest or self.context.arguments
            return status

        if stays:
            status = (begin if goes_on else prepare)()
            if not status and goes_on:
                self.went_on = True
                return 0
            return status or self._command(list(command), stays=True)
        if not goes_on:
            return self._in_child(self.context.subshell, lambda: prepare() or self._command(list(command), stays=True))
        self.stack.append(self.context.going_on(self._fork()))
        self.calls.process = self.context.process
        status = begin()
        if status:
            self._leave()
        return status

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

    _builtins: ClassVar[dict[str, Callable[[Any, list[str]], int]]] = ShellControl._builtins | {
        ".": _source,
        "eval": lambda self, arguments: self.run_text(limited(" ".join(arguments)), self.calls.line),
        "source": _source,
    }


def _edited(arguments: list[str]) -> list[str] | None:
    """The arguments of a sed(1) that changes files, without what says so; None if it does not."""
    found = [re.fullmatch("-([nrEsu]*)i.*|--in-place(=.*)?", one) for one in arguments]
    if not any(found):
        return None
    kept = [
        one if match is None else f"-{match[1]}" if match[1] else ""
        for one, match in zip(arguments, found, strict=True)
    ]
    return [one for one in kept if one]


def _env_options(words: list[str]) -> tuple[list[str], list[str], bool]:
    """The words behind env's options, the variables that it removes, and whether it begins with none."""
    words, removed, bare = list(words), [], False
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in ("-", "-i", "--ignore-environment"):
            bare = True
        elif word == "-u" and words:
            removed.append(words.pop(0))
        elif word.startswith("--unset="):
            removed.append(word.partition("=")[2])
        elif word == "--":
            break
        else:
            raise Unusable(f"env {word} is not followed", "leave it out")
    return words, removed, bare


def _timed_out(words: list[str]) -> int:
    """The status of timeout(1) where `sleep` takes longer; 0 for all that takes no time here."""
    rest = _after("timeout", words)
    if rest and (rest[0] != "sleep" or len(rest) != 2):
        return 0
    given = (words[len(words) - len(rest) - 1], rest[1]) if rest else ()
    durations = [re.fullmatch(r"([0-9]*\.?[0-9]+)([smhd]?)", one) for one in given]
    seconds = [float(one[1]) * _SECONDS[one[2]] for one in durations if one is not None]
    if len(seconds) != 2 or len(rest) + 1 != len(words):
        raise Unusable(f"timeout {' '.join(words)} is not followed", "write timeout SECONDS COMMAND")
    return _TIMED_OUT if seconds[1] > seconds[0] > 0 else 0


def _user_of(words: list[str]) -> str:
    """Whom sudo(1) makes the command's."""
    for at, word in enumerate(words):
        if not word.startswith("-") or word == "--":
            break
        if word.startswith("-u"):
            return word[2:] or (words[at + 1] if at + 1 < len(words) else "")
    return "root"


def _after(prefix: str, words: list[str]) -> list[str]:
    """The command that a program of _PREFIXES runs: what stands behind its options."""
    words = list(words)
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word == "--":
            break
        letter = word[1]
        if letter == "-" or (prefix == "command" and letter != "p"):
            raise Unusable(f"{prefix} {word} is not followed", "leave it out")
        if letter in _PREFIXES[prefix] and len(word) == 2:
            words = words[1:]
    return words[1:] if prefix == "timeout" else words


_TIMED_OUT = 124
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_ASSIGNS = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_INTERPRETER = re.compile(r"#! *(?:\S*/)?(?:env +(?:-S +)?)?(\w+)(?: +-([a-z]+))?")


def dialect_of(text: str) -> str:
    """What the first line of a script says of it: "bash", "sh", or "" if it says nothing."""
    found = _INTERPRETER.match(text)
    return "" if found is None or found[1] not in SHELLS else "bash" if found[1] == "bash" else "sh"


def options_of(text: str) -> str:
    """The letters that its first line gives the shell that the kernel starts for it."""
    found = _INTERPRETER.match(text)
    return (found[2] or "") if found is not None and found[1] in SHELLS else ""


def shell_options(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The letters of a shell's options, and the words after them."""
    letters = ""
    rest = list(arguments)
    while rest and rest[0][:1] == "-":
        word = rest.pop(0)
        if word in ("-", "--"):
            break
        if word not in ("--norc", "--noprofile", "--login"):
            letters += word[1:]
    if set(letters) - set("ceuxils"):
        raise Unusable(f"sh: -{letters} is not followed", "use -c, -e, -u and -x only")
    return letters, rest
