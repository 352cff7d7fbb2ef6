"""The builtins of a shell, and other commands that it carries out itself."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import Any, ClassVar

from mountplan.planner.commands.actions import FIRST_PID, End, MakeDirectory, MakeFile
from mountplan.planner.commands.file_commands import options
from mountplan.planner.commands.mount_actions import only_lists, told_by_mount
from mountplan.planner.commands.script_commands import FAILED, PROGRAMS, STARTERS, change_directory, look
from mountplan.planner.commands.table_commands import columns, found, listing
from mountplan.planner.commands.util_linux import Unusable
from mountplan.planner.shell import shell_state as state
from mountplan.planner.shell.conditions import WrongTest, holds
from mountplan.planner.shell.shell_arithmetic import number
from mountplan.planner.shell.shell_words import UnsetValue, split_at
from mountplan.planner.shell.shell_writers import ShellWriters

_IN_THE_SHELL = frozenset(
    {":", "[", "alias", "break", "cd", "continue", "echo", "eval", "exec", "exit", "export", "false", "getopts", "kill",
     "local", "printf", "pwd", "read", "readonly", "return", "set", "shift", "test", "trap", "true", "type", "unset",
     "wait"}
)  # fmt: skip
_NO_CHILD, _BY_SIGNAL = 127, 128  # of wait; to the latter the number of a signal is added
_SIGNALS = {name.name.removeprefix("SIG"): int(name) for name in signal.Signals}
_HARMLESS_SIGNALS = frozenset(
    _SIGNALS[name] for name in ("CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "WINCH")
)
_ESCAPED = 0xF0000  # to a separator that a backslash makes a letter like others


class ShellBuiltins(ShellWriters):
    """Each takes its arguments and gives its status."""

    def _exit(self, arguments: list[str]) -> int:
        raise state.ExitShell(self._status_of("exit", arguments))

    def _status_of(self, name: str, arguments: list[str]) -> int:
        if arguments and not (arguments[0].isascii() and arguments[0].isdecimal() and len(arguments[0]) < 10):
            raise Unusable(f"{name}: {arguments[0]} is no number", "give a status from 0 to 255")
        return int(arguments[0]) % 256 if arguments else self.context.status

    def _return(self, arguments: list[str]) -> int:
        status = self._status_of("return", arguments)
        if not self.locals and not self.sourced and not self.context.is_sh:
            return 2  # bash goes on
        raise state.ReturnFrom(status)

    def _leave_loops(self, name: str, arguments: list[str]) -> int:
        """Of the loops of this function of this shell, as many as there are at most."""
        context = self.context
        count = min(max(1, self._status_of(name, arguments or ["1"])), context.loops)
        if count:
            raise state.LeaveLoop(count, again=name == "continue")
        if context.is_sh and context.loops_above:
            raise Unusable(f"{name} in a process that a loop has started: shells called sh differ in that", "use exit")
        return 0

    def _shift(self, arguments: list[str]) -> int:
        count = self._status_of("shift", arguments or ["1"])
        if count > len(self.context.arguments):
            if self.context.is_sh:
                raise Unusable("shift of more than there is: shells called sh differ in that", "ask for $# before")
            return FAILED
        self.context.arguments = self.context.arguments[count:]
        return 0

    def _set(self, arguments: list[str]) -> int:
        words = list(arguments)
        while words:
            word = words.pop(0)
            if word == "--":
                self.context.arguments = words
                return 0
            if word[:1] not in ("-", "+"):
                self.context.arguments = [word, *words]
                return 0
            if word in ("-", "+") or set(word[1:]) - set("euxfvoEThmbB"):
                raise Unusable(f"set {word} is not followed", "leave it out")
            on = word[0] == "-"
            self.set_letters(word[1:], on)
            if "o" in word and words:
                option = words.pop(0)
                if option in (*state.LETTERS.values(), "pipefail"):
                    (self.context.options.add if on else self.context.options.discard)(option)
                elif option not in state.IDLE_OPTIONS:
                    raise Unusable(f"set {word} {option} is not followed", "leave it out")
        return 0

    def _shopt(self, arguments: list[str]) -> int:
        """The options of bash; those that have to do with how a script is read are known by name."""
        if arguments[:1] not in (["-s"], ["-u"]):
            raise Unusable(f"shopt {' '.join(arguments)} is not followed", "use shopt -s and -u")
        for option in arguments[1:]:
            if option in ("nullglob", "inherit_errexit", "dotglob"):
                (self.context.options.add if arguments[0] == "-s" else self.context.options.discard)(option)
            elif option not in ("extglob", "checkwinsize", "histappend", "expand_aliases", "cmdhist", "huponexit"):
                raise Unusable(f"shopt {arguments[0]} {option} is not followed", "leave it out")
        return 0

    def _alias(self, arguments: list[str]) -> int:
        for word in arguments:
            name = word.partition("=")[0]
            if name in PROGRAMS or name in STARTERS or name in self._builtins or name in self.context.functions:
                raise Unusable(f"an alias for {name} is not followed", "use a function")
        self.passed.append((self.calls.line, "alias"))
        return 0

    def _export(self, arguments: list[str]) -> int:
        letters = ""
        for word in arguments:
            if word.startswith("-"):
                letters += word[1:]
                continue
            name, equals, value = word.partition("=")
            if not name.isidentifier():
                raise Unusable(f"export {word} is not followed", "write export NAME=VALUE")
            if equals:
                self.assign(name, value)
            if "f" not in letters:
                (self.context.exported.discard if "n" in letters else self.context.exported.add)(name)
        return 0

    def _local(self, arguments: list[str]) -> int:
        if not self.locals:
            if self.context.is_sh:
                raise Unusable("`local` outside of functions: shells called sh differ in that", "leave it out")
            return FAILED
        return self._declare(arguments)

    def _declare(self, arguments: list[str]) -> int:
        letters = ""
        for word in arguments:
            name, equals, value = word.partition("=")
            if word[:1] in ("-", "+"):
                if "n" in word:
                    raise Unusable("names of variables as variables are not followed", "use plain variables")
                if word[0] == "+" or set(word[1:]) - set("aArxgp"):
                    raise Unusable(f"declare {word} is not followed", "leave it out")
                letters += word[1:]
                continue
            if "p" in letters:
                raise Unusable("declare -p is not followed", "leave it out")
            if "g" not in letters:
                self.keep_apart(name)
            if equals:
                self.assign(name, value)
            if "A" in letters:
                self.context.keyed.add(name)
            if "x" in letters:
                self.context.exported.add(name)
            if "r" in letters and not self.locals:
                self.context.read_only.add(name)
        return 0

    def _let(self, arguments: list[str]) -> int:
        value = 0
        for word in arguments:
            value = number(word, self)
        return 0 if value else FAILED

    def _readonly(self, arguments: list[str]) -> int:
        for word in arguments:
            name, equals, value = word.partition("=")
            if name.startswith("-"):
                continue
            if equals:
                self.assign(name, value)
            self.context.read_only.add(name)
        return 0

    def _unset(self, arguments: list[str]) -> int:
        what = ""
        for name in arguments:
            if name in ("-f", "-v"):
                what = name
                continue
            if not name.isidentifier():
                raise Unusable(f"unset {name} is not followed", "name a whole variable")
            is_variable = bool(self.elements(name))
            if what == "-f" or (not what and not is_variable and name in self.context.functions):
                self.context.functions.pop(name, None)
            if what != "-f":
                if name in self.context.read_only:
                    return FAILED
                self.context.variables[name] = UnsetValue()
                self.context.arrays.pop(name, None)
        return 0

    def _sleep(self, arguments: list[str]) -> int:
        if self.in_background:
            raise state.Asleep
        return 0

    def _wait(self, arguments: list[str]) -> int:
        """What this shell has in the background comes to its end; there, only `sleep` has taken time."""
        if any(not word.isdecimal() for word in arguments):
            raise Unusable(f"wait {' '.join(arguments)} is not followed", "name processes as $!")
        asked = [int(word) - FIRST_PID for word in arguments]
        for one in sorted(self.parents):
            if self.parents[one] == self.context.process and (not asked or one in asked):
                if one in self.calls.stage.processes:
                    self._end_tree(one)
                self.waited.add(one)
        if asked and self.parents.get(asked[-1]) != self.context.process:
            return _NO_CHILD
        status = self.statuses.get(asked[-1], 0) if asked else 0
        if status > _BY_SIGNAL:
            self.complain()  # some shells tell that it was killed
        return status

    def _end_tree(self, number: int) -> None:
        """End a process, and before it those that it waits for."""
        going = [number]
        for one in going:  # grows while it is walked
            going += [child for child in sorted(self.calls.stage.processes) if self.parents.get(child) == one]
        for one in reversed(going):
            self.calls.make(End(), one)

    def _kill(self, arguments: list[str]) -> int:
        """Signals that are not told by name or number here end a process, as far as it does not catch them."""
        words, name = list(arguments), "TERM"
        if words and (option := re.fullmatch("-(?:s|n)|-((?:SIG)?[A-Z0-9]+)", words[0])) is not None:
            words.pop(0)
            name = option[1] or (words.pop(0) if words else "")
        words = words[1:] if words[:1] == ["--"] else words
        name = name.removeprefix("SIG")
        number = int(name) if name.isdecimal() else _SIGNALS.get(name)
        if number is None or not words:
            raise Unusable(f"kill {' '.join(arguments)} is not followed", "write kill $!")
        status = 0
        for word in words:
            process = self.calls.number(word)
            if not process and word.isdecimal() and int(word) - FIRST_PID in self.waited:
                status = FAILED
            elif not process or (number and process in [context.process for context in self.stack]):
                raise Unusable(f"kill: there is no process {word} beside this one", "name it as $!")
            elif number and number not in _HARMLESS_SIGNALS:
                self.statuses[process] = _BY_SIGNAL + number
                self.calls.make(End(), process)
        return status

    def _trap(self, arguments: list[str]) -> int:
        """What is to be carried out at the end; signals do not come here."""
        if arguments[:1] == ["-p"]:
            trapped = self.context.trapped or self.context.trapped_above
            if trapped and (not arguments[1:] or {"EXIT", "0"} & set(arguments[1:])):
                self._write(f"trap -- '{trapped}' EXIT\n")
            return 0
        arguments = arguments[1:] if arguments[:1] == ["--"] else arguments
        if {"DEBUG", "RETURN"} & set(arguments[1:]):
            raise Unusable("trap ... DEBUG and RETURN are not followed", "leave it out")
        if arguments[1:] and "ERR" in arguments[1:]:
            self.context.trapped_errors = "" if arguments[0] == "-" else arguments[0]
        if arguments[1:] and {"EXIT", "0"} & set(arguments[1:]):
            self.context.trapped = "" if arguments[0] == "-" else arguments[0]
        return 0

    def _read(self, arguments: list[str]) -> int:
        array, names = "", list(arguments)
        raw, end = False, "\n"
        while names and names[0].startswith("-") and names[0] != "-":
            word = names.pop(0)
            for at, letter in enumerate(word[1:], 2):
                if letter == "-":
                    break
                if letter in "rs":
                    raw |= letter == "r"
                    continue
                value = word[at:] or (names.pop(0) if names else "")
                if letter == "a":
                    array = value
                elif letter == "d" and not self.context.is_sh:
                    end = value[:1] or "\0"
                elif letter not in "pt":
                    raise Unusable(f"read {word} is not followed", "read whole lines of standard input")
                break
            if word == "--":
                break
        given = self.context.input
        if given is None:
            raise Unusable("what `read` would read is not known", "give it: <<END ... END")
        found = given.line(end)
        if found is None:
            if array:
                self.context.arrays[array] = state.ShellArray({})
            for name in [] if array else names or ["REPLY"]:
                self.assign(name, "")
            return FAILED
        line, ended = found
        separators = self.value("IFS")
        separators = " \t\n" if separators is None or isinstance(separators, UnsetValue) else separators
        escaped = {one: chr(_ESCAPED + ord(one)) for one in separators}  # nothing is taken apart there
        if not raw:
            while re.search(r"(?<!\\)(?:\\\\)*\\$", line) and ended and (further := given.line(end)) is not None:
                line, ended = line[:-1] + further[0], further[1]
            line = re.sub(r"\\(.)", lambda match: escaped.get(match[1], match[1]), line, flags=re.DOTALL)
        most = 0 if array else max(len(names), 1)
        pieces = split_at(line, separators, most) if array or names else [line]
        plain = str.maketrans({there: one for one, there in escaped.items()})
        pieces = [piece.translate(plain) for piece in pieces]
        if array:
            self.context.arrays[array] = state.ShellArray({str(at): piece for at, piece in enumerate(pieces)})
        else:
            for at, name in enumerate(names or ["REPLY"]):
                self.assign(name, pieces[at] if at < len(pieces) else "")
        return 0 if ended else FAILED

    def _readlink(self, arguments: list[str]) -> int:
        words = [one for one in arguments if not one.startswith("-")]
        letters = "".join(one[1:] for one in arguments if one.startswith("-"))
        if len(words) != 1 or set(letters) - set("femnqsvz"):
            raise Unusable(f"readlink {' '.join(arguments)} is not followed", "write readlink -f PATH")
        end = "" if "n" in letters else "\n"
        if how := set(letters) & set("fem"):
            found = self.resolved(words[0], max(how, key="fme".index))
            if found is None:
                return FAILED
            self._write(found + end)
            return 0
        node = self.calls.node(words[0])
        if node is not None and not node.is_known:
            return self._pass_over("stat", ["readlink", *arguments])
        if node is None or node.link is None:
            return FAILED
        self._write(node.link + end)
        return 0

    def _mktemp(self, arguments: list[str]) -> int:
        """Its name is chosen here, as any would do."""
        given, words = options("mktemp", arguments, "dqutp:", "directory quiet dry-run tmpdir= suffix=")
        template = words[0] if words else "tmp.XXXXXXXXXX"
        default = self.value("TMPDIR") or "/tmp"
        above = given.get("p", given.get("tmpdir", default if not words or "t" in given else "")) or ""
        bare = template.rstrip("X")
        if "suffix" in given or len(template) - len(bare) < 3:
            raise Unusable(f"mktemp {' '.join(arguments)} is not followed", "end the name with XXX")
        self.temporary += 1
        path = bare + f"{self.temporary:0{len(template) - len(bare)}d}"
        path = f"{above.rstrip('/')}/{path}" if above else path
        if above == default:
            self.calls.make(MakeDirectory(above, True))
        if not {"u", "dry-run"} & set(given):
            action = MakeDirectory(path) if {"d", "directory"} & set(given) else MakeFile(path)
            if not self.calls.make(action):
                return FAILED
        self._write(path + "\n")
        return 0

    def _tee(self, arguments: list[str]) -> int:
        given, paths = options("tee", arguments, "ai", "append")
        source = self.context.input
        text = source.rest() if source is not None else None
        status = 0
        for path in paths:
            if path.startswith(("/dev/", "/proc/", "/sys/")):
                continue
            if self.calls.make(MakeFile(path)):
                self._keep(self.calls.absolute(path), text, append=bool(given))
            else:
                status = FAILED
        if source is None or text is None:
            return self._pass_over("tee", ["tee", *arguments])
        self._write(text)
        return status

    def _bracket(self, arguments: list[str]) -> int:
        if arguments[-1:] != ["]"]:
            raise Unusable("[ has no ]", "write it")
        return self._condition(arguments[:-1], 1)

    def _condition(self, words: list[str], brackets: int) -> int:
        self.flush(self.files)
        whole = ["[" * brackets, *words, "]" * brackets] if brackets else ["test", *words]
        answered = self._answer(" ".join(whole))
        if answered is not None:
            return answered[1]
        try:
            return 0 if holds(self.calls, words, brackets=brackets, names=self) else FAILED
        except WrongTest:
            self.complain()
            return 2

    def is_set(self, name: str) -> bool:
        """Whether a variable has a value. Raises Unusable if nothing is said of it."""
        if name in self.context.arrays:
            return "0" in self.context.arrays[name]
        value = self.value(name) if name.isidentifier() or name.isdecimal() else None
        if value is None:
            raise Unusable(f"whether {name} has a value is not known", f"give it: --var {name}=..., or `unset {name}`")
        return not isinstance(value, UnsetValue)

    def matched(self, groups: list[str]) -> None:
        self.context.arrays["BASH_REMATCH"] = state.ShellArray({str(at): one for at, one in enumerate(groups)})

    def _getopts(self, arguments: list[str]) -> int:
        """The next option of the arguments. $OPTIND counts from 1; letters that stand together are told one by one."""
        if len(arguments) < 2:
            raise Unusable(f"getopts {' '.join(arguments)} is not followed", "write getopts LETTERS NAME")
        letters, name, *words = arguments
        words = words or self.context.arguments
        at, within = int(self.value("OPTIND") or "1"), int(self.value("_OPTPOS") or "1")
        word = words[at - 1] if at <= len(words) else ""
        if within == 1 and (not word.startswith("-") or word == "-"):
            return self._end_of_options(name, at)
        if word == "--":
            return self._end_of_options(name, at + 1)
        letter, given = word[within], ""
        known = letters.lstrip(":").partition(letter)
        last = within + 1 == len(word)
        if known[1] and known[2].startswith(":"):
            given = word[within + 1 :] or (words[at] if at < len(words) else "")
            at, within = at + (2 if last else 1), 1
        else:
            at, within = (at + 1, 1) if last else (at, within + 1)
        for variable, value in ((name, letter if known[1] else "?"), ("OPTARG", given), ("OPTIND", str(at))):
            self.assign(variable, value)
        self.assign("_OPTPOS", str(within))
        return 0

    def _end_of_options(self, name: str, at: int) -> int:
        self.assign(name, "?")
        self.assign("OPTIND", str(at))
        self.assign("_OPTPOS", "1")
        return FAILED

    def _whether_there(self, arguments: list[str]) -> int:
        """command -v and its like."""
        for word in arguments:
            name = word.rpartition("/")[2]
            if name in self.context.functions or name in _IN_THE_SHELL:
                self._write(f"{word}\n")
                continue
            text = f"command -v {word}"
            answered = self._answer(text)
            if answered is None and (name in PROGRAMS or name in STARTERS or name in self._builtins):
                answered = (word if "/" in word else f"/usr/bin/{word}") + "\n", 0
            if answered is not None:
                self.calls.programs.add(answered[0].rstrip("\n"))
                self._write(answered[0])
                if answered[1]:
                    return answered[1]
                continue
            remedy = f"say it: --answer '{text}=/usr/bin/{word}' or --fails '{text}'"
            raise Unusable(f"whether there is a {word} is not known", remedy)
        return 0

    def _pushd(self, arguments: list[str]) -> int:
        here = self.directory()
        if len(arguments) != 1 or arguments[0][:1] in ("-", "+"):
            raise Unusable(f"pushd {' '.join(arguments)} is not followed", "write pushd DIRECTORY")
        if status := self._cd(arguments):
            return status
        self.context.pushed = (*self.context.pushed, here)
        self._writes_unknown()
        return 0

    def _popd(self, arguments: list[str]) -> int:
        if arguments:
            raise Unusable(f"popd {' '.join(arguments)} is not followed", "write popd")
        last = self.context.pushed[-1] if self.context.pushed else ""
        self.context.pushed = self.context.pushed[:-1]
        self._writes_unknown()
        return self._cd([last]) if last else self.complain()

    def _mapfile(self, arguments: list[str]) -> int:
        given, names = options("mapfile", arguments, "td:n:")
        source = self.context.input
        if source is None:
            raise Unusable("what `mapfile` would read is not known", "give it: <<END ... END")
        end = (given["d"][:1] or "\0") if "d" in given else "\n"
        lines: list[str] = []
        most = int(given["n"]) if given.get("n", "").isdecimal() else 0
        while (not most or len(lines) < most) and (found := source.line(end)) is not None:
            lines.append(found[0] + ("" if "t" in given or not found[1] else end.rstrip("\0")))
        name = names[0] if names else "MAPFILE"
        self.context.arrays[name] = state.ShellArray({str(at): line for at, line in enumerate(lines)})
        self.context.variables.pop(name, None)
        return 0

    def _cd(self, arguments: list[str]) -> int:
        physical = arguments[:1] == ["-P"]
        arguments = arguments[1:] if arguments[:1] in (["-P"], ["-L"]) else arguments
        if arguments == ["-"]:
            before = self.value("OLDPWD")
            if not before:
                raise Unusable("where `cd -` goes is not known", "go somewhere before")
            self._write(before + "\n")
            arguments = [before]
        if not arguments:
            arguments = [self.value("HOME") or ""]
            if not arguments[0]:
                raise Unusable("where cd goes is not known", "say it: --var HOME=/root")
        here = self.directory()
        directory = change_directory(self.calls, arguments, here)
        if directory is None:
            return self.complain()
        self.context.left = here
        self.context.directory = self.calls.absolute(".") if physical else directory
        return 0

    def _findmnt(self, arguments: list[str]) -> int:
        """Shows the table, or writes what another command reads; its status says whether there is such a mount."""
        try:
            rows = found(self.calls, arguments)
        except Unusable:
            rows = None
        text = columns(arguments, rows) if rows is not None else None
        if rows is None or (text is None and self.captured):
            if self.captured or self.context.asked:
                return self._pass_over("df", ["findmnt", *arguments])
            return look(self.calls, arguments)
        if self.writing:
            if text is None:
                self.passed.append((self.calls.line, "findmnt"))
            self._write(text or "")
        elif rows:
            look(self.calls, arguments)
        return 0 if rows else FAILED

    def _mountpoint(self, arguments: list[str]) -> int:
        status = self.run_program("mountpoint", arguments, always=True)
        if not {"-q", "--quiet"} & set(arguments):
            self._write(f"{arguments[-1]} is {'not ' if status else ''}a mountpoint\n")
        return status

    def _mount(self, arguments: list[str]) -> int:
        """mount(8), which shows what is mounted if it is not told what to mount."""
        types = only_lists(arguments)
        if types is not None and self.writing:
            self._write(listing(self.calls.rows(), types))
            return self.calls.program(("mount", *arguments), lambda: 0, always=True)
        status = self.run_program("mount", arguments, always=True)
        if {"-v", "--verbose"} & set(arguments) and not status and self.writing:
            told = told_by_mount(arguments)
            self._unsaid(self.writing[-1]) if told is None else self._write(told)
        return self.complain() and status if status else 0

    _BY_NAME = (  # as the methods are called
        _alias, _cd, _mapfile, _popd, _pushd, _declare, _exit, _export, _findmnt, _getopts, _kill, _let, _local,
        _mktemp, _mount, _mountpoint, _read, _readlink, _readonly, _return, _set, _shift, _shopt, _sleep, _tee, _trap,
        _unset, _wait,
    )  # fmt: skip
    _builtins: ClassVar[dict[str, Callable[[Any, list[str]], int]]] = {
        **{builtin.__name__.removeprefix("_"): builtin for builtin in _BY_NAME},
        ":": lambda self, arguments: 0,
        "[": _bracket,
        "break": lambda self, arguments: self._leave_loops("break", arguments),
        "continue": lambda self, arguments: self._leave_loops("continue", arguments),
        "readarray": _mapfile,
        "realpath": ShellWriters._realpath,
        "false": lambda self, arguments: FAILED,
        "test": lambda self, arguments: self._condition(arguments, 0),
        "true": lambda self, arguments: 0,
        "type": _whether_there,
        "typeset": _declare,
        "which": _whether_there,
    }
