"""What a shell of a script is and knows: its process, variables, what is said of commands, what it reads and writes."""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn

from mountplan.planner.commands.actions import FIRST_PID, FillFile, MakeDirectory, MakeFile, Stage
from mountplan.planner.commands.quiet_commands import PASSED_OVER, passes_over
from mountplan.planner.commands.script_calls import ScriptCalls
from mountplan.planner.commands.script_commands import FAILED, PROGRAMS
from mountplan.planner.commands.table_commands import table_in
from mountplan.planner.commands.util_linux import AskVersion, Unusable
from mountplan.planner.model import WouldRefuse
from mountplan.planner.model.walking import walk
from mountplan.planner.record import NamedTuple
from mountplan.planner.shell.shell_arithmetic import number
from mountplan.planner.shell.shell_syntax import Assignment, Command, ScriptError, Substitution, limited
from mountplan.planner.shell.shell_words import DisputedValue, UnsetValue, text_of

Texts = Mapping[str, str]  # of variables by their names, of files by their paths
_MOST_WRITTEN = 1 << 20  # characters that are kept in mind
# The options of `set` that mean something here, and those that do not.
LETTERS = {"e": "errexit", "f": "noglob", "u": "nounset", "E": "errtrace"}
_ARRAYS_OF_BASH = frozenset(
    {"BASH_ALIASES", "BASH_ARGC", "BASH_ARGV", "BASH_CMDS", "BASH_LINENO", "BASH_SOURCE", "BASH_VERSINFO", "DIRSTACK",
     "FUNCNAME", "GROUPS"}
)  # fmt: skip
IDLE_OPTIONS = frozenset({"verbose", "xtrace", "monitor", "notify", "posix", "hashall", "functrace"})


class Answers(NamedTuple):
    """What only a machine knows: what commands (patterns, as `blkid *`) write, and which of them fail."""

    outputs: tuple[tuple[str, str], ...] = ()
    failing: tuple[str, ...] = ()


class ExitShell(Exception):
    """The shell that is running ends."""

    def __init__(self, status: int) -> None:
        self.status = status


class Asleep(Exception):
    """What runs in the background stays as it is, from here to the end of the script."""


class ReturnFrom(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class LeaveLoop(Exception):
    """`break`, or with `again` `continue`, of so many loops."""

    def __init__(self, count: int, *, again: bool) -> None:
        self.count = count
        self.again = again


class Stopped(Exception):
    """What comes next cannot be known."""


class ShellInput:
    """What commands read from; they share it, and what one has read is gone for the next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def rest(self) -> str:
        """All that is left."""
        text, self.text, self.at = self.text[self.at :], "", 0
        return text

    def line(self, end: str = "\n") -> tuple[str, bool] | None:
        """The next one, and whether it has an end; None if nothing is left."""
        if self.at >= len(self.text):
            return None
        at = self.text.find(end, self.at)
        line = self.text[self.at : at] if at >= 0 else self.text[self.at :]
        self.at = at + 1 if at >= 0 else len(self.text)
        return line, at >= 0


class ShellOutput:
    """Where commands write to. What is not `wanted` (it goes to a file, or down a pipe) need not be known.

    If it goes `through`, what is written is in the file of that name at once.
    """

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted
        self.through = ""
        self.replaced = False  # whether another file has the name by now
        self.kept = 0  # so much of it is in the file already
        self.known = True
        self.text = ""

    def add(self, text: str) -> None:
        if len(self.text) + len(text) > _MOST_WRITTEN:
            raise Unusable(f"commands write more than {_MOST_WRITTEN:,} characters", "write less")
        self.text += text


class ShellArray(dict[str, str]):
    """The elements of an array, by index or key; `last` is the greatest index, or -1."""

    def __init__(self, elements: Mapping[str, str]) -> None:
        super().__init__(elements)
        self.last = max((int(key) for key in elements if key.isdecimal()), default=-1)

    def put(self, key: str, value: str) -> None:
        falls_between = key not in self and key.isdecimal() and int(key) < self.last
        self[key] = value
        if key.isdecimal():
            self.last = max(self.last, int(key))
        if falls_between and all(one.isdecimal() for one in self):
            ordered = {one: self[one] for one in sorted(self, key=int)}
            self.clear()
            self.update(ordered)


class ShellValue(NamedTuple):
    """All that a name stands for."""

    text: str | None
    array: ShellArray | None
    keyed: bool


class ShellContext:
    """A shell: the process it is, what `$$` gives in it, and what it has been told."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.shell = process
        self.variables: dict[str, str] = {}
        self.arrays: dict[str, ShellArray] = {}
        self.keyed: set[str] = set()  # those whose keys are words
        self.exported: set[str] = set()
        self.directory = ""  # where it has gone to, as it was named
        self.pushed: tuple[str, ...] = ()  # by pushd
        self.left = ""  # and from where
        self.inherits = False  # whether that is from another shell
        self.functions: dict[str, Command] = {}
        self.arguments: list[str] = []
        self.background = 0
        self.loops = 0  # that it is in
        self.loops_above = False  # whether the shell that has started it is in one
        self.status = 0
        self.substituted = False  # whether the command that it is at has had a $(...)
        self.options: set[str] = set()  # of `set` and `shopt`, by their long names
        self.dialect = ""  # "bash", "sh" for any shell that is called so, or "" if it does not say
        self.read_only: set[str] = set()
        self.tested = False  # something asks for the status of what is carried out
        self.asked = False  # and whether anything that matters hangs on that
        self.disputed = False  # whether it does so where only a process above it does, in $(...)
        self.trapped = ""  # what is carried out when it ends
        self.trapped_errors = ""  # and when a command fails (trap ... ERR)
        self.trapped_above = ""  # by the shell that has started it, which still tells
        self.input: ShellInput | None = None
        self.typed = True  # whether it reads what comes after its own commands, as if from a terminal
        self.opened: dict[str, ShellInput | None] = {}  # to read from, by number
        self.outputs: dict[str, ShellOutput | None] = {}  # to write to, by number from 3 on; None is the terminal
        self.held: dict[str, str] = {}  # the descriptors of files on other mounts than the root, by number
        self.redirects = 0  # commands with redirections that it is in
        self.piped: tuple[int, ...] = ()  # how the parts of the last pipeline have ended

    def subshell(self, process: int) -> ShellContext:
        """A copy that runs in another process; `$$` stays what it was."""
        made = copy.copy(self)
        made.process = process
        made.variables, made.exported = dict(self.variables), set(self.exported)
        made.options, made.read_only, made.opened = set(self.options), set(self.read_only), dict(self.opened)
        made.held = dict(self.held)
        made.arrays = {name: ShellArray(elements) for name, elements in self.arrays.items()}
        made.functions, made.arguments = dict(self.functions), list(self.arguments)
        made.outputs, made.redirects = dict(self.outputs), 0
        made.loops, made.loops_above = 0, self.loops > 0 or self.loops_above
        made.trapped, made.trapped_above = "", self.trapped or self.trapped_above
        if "errtrace" not in self.options:
            made.trapped_errors = ""
        return made

    @property
    def stops(self) -> bool:
        """At the first command that fails, unless something asks for its status (set -e)."""
        return "errexit" in self.options

    @property
    def is_sh(self) -> bool:
        return self.dialect == "sh"

    def new_shell(self, process: int) -> ShellContext:
        """A shell that is started anew, and knows what is exported."""
        made = ShellContext(process)
        made.dialect, made.directory, made.inherits = self.dialect, self.directory, True
        made.variables = {name: value for name, value in self.variables.items() if name in self.exported}
        made.exported = set(self.exported)
        made.input, made.typed = self.input, self.typed
        made.opened, made.outputs, made.held = dict(self.opened), dict(self.outputs), dict(self.held)
        return made

    def going_on(self, process: int) -> ShellContext:
        """A shell in which the script goes on; it shares what is known, as if the lines had been typed into both."""
        made = copy.copy(self)
        made.process = made.shell = process
        made.inherits = True
        return made


class ShellState:
    """All the shells of a script, one in the other: `stack` has them, the innermost last."""

    def __init__(
        self,
        stage: Stage,
        variables: Mapping[str, str],
        answers: Answers,
        util_linux: AskVersion,
        files: Mapping[str, str],
    ) -> None:
        self.calls = ScriptCalls(stage, util_linux, files, self._answer)
        self.stack = [ShellContext(1)]
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
        self.locals: list[dict[str, ShellValue]] = []  # what the variables had that functions have as their own
        self.doubt = ""  # the last command, if its status is not known and was taken for 0
        self.statuses: dict[int, int] = {}  # of what was in the background
        self.waited: set[int] = set()
        self.sourced = 0  # files that `.` reads
        self.went_on = False  # the last command was a shell without a script, in the process of its caller
        self.mistakes: list[ScriptError] = []
        self.temporary = 0  # files that mktemp(1) has made
        self.unopened = 0  # files of redirections
        self.opened = 0  # descriptors that hold a mount
        self.beyond: list[str] = []  # commands that are no functions now, as `command` has said
        self.passed: list[tuple[int, str]] = []
        self.writing: list[ShellOutput] = []  # what is written goes into the last of these, if there is one
        self.files: list[tuple[str, ShellOutput]] = []  # that are open to be written
        self.errors: list[ShellOutput | None] = []  # and what is said of failures; None is the terminal

    @property
    def context(self) -> ShellContext:
        return self.stack[-1]

    @property
    def options(self) -> set[str]:
        return self.context.options

    @property
    def dialect(self) -> str:
        return self.context.dialect

    def set_letters(self, letters: str, on: bool) -> None:
        """The options of `set` that have letters; those that mean nothing here are left out."""
        for letter in letters:
            option = LETTERS.get(letter)
            if option is not None:
                (self.context.options.add if on else self.context.options.discard)(option)

    def is_there(self, path: str) -> bool:
        """Whether there is something of this name; raises Unusable if that is not known."""
        try:
            mount, node = walk(self.calls.stage.processes[self.context.process], path)
        except WouldRefuse:
            return self.calls.node(path) is not None and not path.endswith("/")
        if not node.is_known and node is not mount.root:
            raise Unusable(f"whether there is a {path} is not known", "write the names out")
        return node.is_directory or not path.endswith("/")

    def end_without(self, name: str) -> NoReturn:
        """What a shell does that needs a value which is not there."""
        raise ExitShell(2 if self.context.is_sh else 1)

    def directory(self) -> str:
        """By which name the shell knows its working directory: with the symbolic links that it went by."""
        context = self.context
        if context.inherits:  # what another shell has called it counts if it is so
            context.inherits = False
            process = self.calls.stage.processes[context.process]
            try:
                is_there = walk(process, context.directory or "/") == process.cwd
            except WouldRefuse:
                is_there = False
            context.directory = context.directory if is_there else ""
        if self.calls.links and context.directory:
            return context.directory
        return self.calls.absolute(".")

    def value(self, name: str) -> str | None:
        context = self.context
        match name:
            case "PIPESTATUS" if not context.is_sh:
                return str(context.piped[0] if context.piped else context.status)
            case "IFS":
                return context.variables.get(name, " \t\n")
            case "OLDPWD" if context.variables.get(name) is None:
                return context.left or None
            case "$":
                return str(FIRST_PID + context.shell)
            case "PPID":
                return str(FIRST_PID + self.parents[context.shell])
            case "!":
                return str(FIRST_PID + context.background)
            case "?":
                if self.doubt:
                    raise _whether_it_fails(self.doubt)
                if context.substituted and context.is_sh:
                    what = "$? behind $(...) in one command is not followed: shells called sh differ in that"
                    raise Unusable(what, "write it apart")
                return str(context.status)
            case "#":
                return str(len(context.arguments))
            case "0":
                return context.variables.get("0", "sh")
            case "-":
                letters = {"errexit": "e", "noglob": "f", "nounset": "u", "xtrace": "x", "verbose": "v"}
                return "".join(letter for option, letter in letters.items() if option in context.options)
            case "PWD":
                return self.directory()
            case "@" | "*":
                return " ".join(context.arguments)
        if name.isdecimal():
            number = int(name)
            if number <= len(context.arguments):
                return context.arguments[number - 1]
            return UnsetValue() if len(self.stack) > 1 or self.locals or context.arguments else None
        if name in context.arrays:
            return context.arrays[name].get("0", UnsetValue())
        return context.variables.get(name)

    def set_back_locals(self, before: Mapping[str, ShellValue]) -> None:
        context = self.context
        self.set_back(context, {name: one.text for name, one in before.items()})
        for name, one in before.items():
            context.arrays.pop(name, None)
            context.keyed.discard(name)
            if one.array is not None:
                context.arrays[name] = one.array
            if one.keyed:
                context.keyed.add(name)

    def set_back(self, context: ShellContext, before: Mapping[str, str | None]) -> None:
        """Give variables what they had before; None is none."""
        for name, value in before.items():
            if value is None:
                context.variables.pop(name, None)
            else:
                context.variables[name] = value

    def elements(self, name: str) -> dict[str, str]:
        """Of an array, by index or key; a plain variable is one of one element."""
        found = self.context.arrays.get(name)
        if found is None:
            if name == "PIPESTATUS" and not self.context.is_sh:
                statuses = self.context.piped or (self.context.status,)
                return {str(at): str(one) for at, one in enumerate(statuses)}
            if name in _ARRAYS_OF_BASH:
                raise Unusable(f"${{{name}}} is not followed", "leave it out")
            value = self.context.variables.get(name)
            return {"0": value} if value is not None and not isinstance(value, UnsetValue) else {}
        return found

    def assign_to(self, one: Assignment, text: str, items: list[str]) -> None:
        """All that an assignment may be; `text` and `items` are its words by now."""
        context = self.context
        self._check_writable(one.name)
        if one.items is not None or one.key is not None:
            elements = context.arrays.get(one.name)
            if elements is None or (one.items is not None and not one.append):
                elements = ShellArray(self.elements(one.name) if one.items is None or one.append else {})
            if one.items is not None:
                for item in items:
                    keyed = re.match(r"\[([^\]]+)\]=(.*)", item, re.DOTALL)
                    if keyed is not None:
                        elements.put(keyed[1], keyed[2])
                    else:
                        elements.put(str(elements.last + 1), item)
            elif one.key is not None:
                key = text_of(one.key, self)
                if one.name not in context.keyed and not key.isdecimal():
                    key = str(number(key, self))
                elements.put(key, (elements.get(key, "") if one.append else "") + text)
            context.arrays[one.name] = elements
            context.variables.pop(one.name, None)
        elif one.name in context.arrays:
            context.arrays[one.name].put("0", text)
        else:
            before = context.variables.get(one.name, "") if one.append else ""
            context.variables[one.name] = limited(before + text)

    def arguments(self) -> list[str]:
        return self.context.arguments

    def assign(self, name: str, value: str) -> None:
        self._check_writable(name)
        if name in self.context.arrays:
            self.context.arrays[name].put("0", value)
        else:
            self.context.variables[name] = value

    def _check_writable(self, name: str) -> None:
        if name in self.context.read_only:
            raise Unusable(f"{name} is read-only: what becomes of the script then, shells do not agree on", "leave it")

    def keep_apart(self, name: str) -> None:
        """From here to the end of the function that runs, a variable is the function's own."""
        if self.locals and name not in self.locals[-1]:
            context = self.context
            before = ShellValue(context.variables.get(name), context.arrays.pop(name, None), name in context.keyed)
            self.locals[-1][name] = before
            context.keyed.discard(name)
            if context.is_sh and before.text is not None and not isinstance(before.text, UnsetValue):
                context.variables[name] = DisputedValue()
            else:
                context.variables[name] = UnsetValue()

    def names(self, directory: str) -> Iterable[str]:
        try:
            mount, node = walk(self.calls.stage.processes[self.context.process], directory)
        except WouldRefuse:
            return ()
        if not node.is_known:
            what = f"what is in {directory} is not known: the {mount.superblock.fstype} there may have anything in it"
            raise Unusable(what, "write the names out")
        return tuple(node.children)

    def run_words(self, words: list[str]) -> int:
        """A command that another program runs."""
        raise NotImplementedError

    def means_something(self, words: list[str]) -> bool:
        """Whether a command is more than one that would be passed over."""
        names = [one.rpartition("/")[2] for one in words[:1]]
        return any(one in PROGRAMS or not passes_over([one, *words[1:]]) for one in names)

    def output(self, substitution: Substitution) -> str:
        """What commands write, in a process of their own."""
        raise NotImplementedError

    def run_program(self, name: str, arguments: list[str], *, always: bool) -> int:
        """One of util-linux and its like; `always` as for ScriptCalls.program."""
        return self.calls.program((name, *arguments), lambda: PROGRAMS[name](self.calls, arguments), always=always)

    def lay_out(self, files: Mapping[str, str]) -> None:
        """Make the files of which is said what is in them, where it is known what else is there."""
        for path, text in files.items():
            if not path.startswith("/") or not self.calls.stage.processes[1].root[1].superblock.complete:
                continue
            parent = posixpath.dirname(path)
            actions = [MakeDirectory(parent, True)] if parent != "/" else []
            self.calls.all([*actions, MakeFile(path), *([FillFile(path, text)] if text else [])])
            self.calls.contents.write(self.calls.stage.processes[1], path, text)
            self.calls.contents.executable[walk(self.calls.stage.processes[1], path)[1]] = None

    def flush(self, files: list[tuple[str, ShellOutput]]) -> None:
        """What has been written is in the files by now."""
        for path, output in files:
            if output.replaced:
                continue
            if not output.known:
                self._keep(path, None, append=True)
            elif output.kept < len(output.text):
                self._keep(path, output.text[output.kept :], append=True)
                output.kept = len(output.text)

    def text_in(self, path: str) -> str | None:
        """What is in a file. None if that is not known; raises Unusable if it is surely not there."""
        self.flush(self.files)
        if not self.calls.contents.is_given(path) and (table := table_in(self.calls, path)) is not None:
            return table
        try:
            return self.calls.contents.read(self.calls.stage.processes[self.context.process], path)
        except WouldRefuse as refusal:
            raise Unusable(f"{path} cannot be read: {refusal.why}", f"give it: --file {path}=FILE") from None

    def input_from(self, path: str) -> ShellInput | None:
        if path == "/dev/null":
            return ShellInput("")
        place = self.calls.place(path)
        if place is not None and place[1].is_directory:
            return None  # it can be opened, and not read
        text = self.text_in(path)
        return ShellInput(text) if text is not None else None

    def _keep(self, path: str, text: str | None, *, append: bool) -> None:
        """What a command has written to a file; with nothing, unless it is appended, the file is empty."""
        self.calls.contents.write(self.calls.stage.processes[self.context.process], path, text, append=append)
        if text or (text is not None and not append):
            self.calls.make(FillFile(path, text, append), self.context.process)

    @property
    def captured(self) -> bool:
        """Whether what is written now must be known."""
        return bool(self.writing) and self.writing[-1].wanted

    def _answer(self, text: str, *, whole: bool = False) -> tuple[str, int] | None:
        """What is said of a command: what it writes, and its status. A pattern is for what is not named; with `whole`
        it is for none of this, which is more than one command.
        """
        for matches in (str.__eq__,) if whole else (str.__eq__, _matches):
            for one in self.answers.failing:
                if matches(text, one):
                    self.answered.add(one)
                    return "", FAILED
            for one, output in self.answers.outputs:
                if matches(text, one):
                    self.answered.add(one)
                    return output + "\n" if output else "", 0
        return None

    def _write(self, text: str) -> None:
        if self.writing:
            output = self.writing[-1]
            output.add(text)
            if output.through:
                self.flush([(output.through, output)])

    def _writes_unknown(self) -> None:
        """Something is written to standard output, and it is not known what."""
        self._unsaid(self.writing[-1] if self.writing else None)

    def _unsaid(self, output: ShellOutput | None) -> None:
        if output is not None:
            output.known = False
            if output.through:
                self._keep(output.through, None, append=True)

    def complain(self) -> int:
        """A program says why it fails, in its own words."""
        self._unsaid(self.errors[-1] if self.errors else None)
        return FAILED

    def _pass_over(self, name: str, words: list[str]) -> int:
        """What means nothing for mounts, unless what it writes or how it ends is asked for."""
        text = " ".join(words)
        if not passes_over([name, *words[1:]]):
            what = f"{text if name in PASSED_OVER else name} is not followed"
            raise Unusable(what, f"if it does nothing with mounts, say so: --answer '{name}*=' or --fails '{name}*'")
        if self.captured:
            raise Unusable(f"what `{text}` writes is not known", f"say it: --answer '{text}=OUTPUT'")
        if self.context.asked:
            raise _whether_it_fails(text)
        self._writes_unknown()
        self.complain()
        self.passed.append((self.calls.line, name))
        self.doubt = text
        return 0


def _whether_it_fails(text: str) -> Unusable:
    remedy = f"say it: --answer '{text}=' if not, --fails '{text}' if it does"
    return Unusable(f"whether `{text}` fails is not known", remedy)


def _matches(text: str, command: str) -> bool:
    """Whether a command is meant: `*` stands for any text, and nothing else for anything but itself."""
    if "*" not in command:
        return text == command
    return re.fullmatch(".*".join(map(re.escape, command.split("*"))), text, re.DOTALL) is not None
