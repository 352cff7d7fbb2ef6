"""How a command line is read, and the help of mountplan itself. Each command's own arguments are in its module."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NoReturn

from mountplan.cli.command_modules import COMMANDS, module_of
from mountplan.cli.exit_status import TABLE
from mountplan.cli.shared_options import add_output
from mountplan.cli.usage import UsageError
from mountplan.planner.characters import typed
from mountplan.version import __version__

DESCRIPTION = """\
Write down the mount tree and the sharing you want; mountplan works out an order
in which nothing propagates by accident, builds it in a mount namespace of its
own, and proves that what stands there is what you wrote.
"""

EPILOG = """\
examples:
  mountplan check shop.toml
  mountplan plan shop.toml
  mountplan run shop.toml -- sh
  mountplan apply shop.toml && mountplan enter shop

exit status:
{statuses}
  `run` and `enter` end with the status of their command (128 + n: signal n).

With --json, standard output has one JSON document: the result, or an object
with the one key "error". Only `run` and `enter`, whose standard output is their
command's, tell errors on standard error. Without --json, all errors go there.
""".format(statuses="\n".join(f"  {status:<4} {what}" for status, what in TABLE))


# What it is called here, and what other programs call it.
_CALLED_OTHERWISE = {
    "--version": "version",
    "apply": "build change create edit load mount replace restore start up update",
    "capture": "dump save",
    "check": "lint test validate",
    "diff": "compare",
    "enter": "attach exec join nsenter open shell",
    "example": "examples init new template",
    "graph": "draw render",
    "import": "convert generate",
    "ls": "list ps state status",
    "plan": "dry-run preview",
    "rm": "clean delete destroy detach down kill prune remove stop umount unmount",
    "run": "chroot sandbox unshare",
    "show": "cat describe findmnt info inspect tree",
    "watch": "follow monitor trace",
}
_OTHER_NAMES = {other: name for name, others in _CALLED_OTHERWISE.items() for other in others.split()}
_OPTIONS_ELSEWHERE = {
    "--dry-run": "`mountplan plan SPEC` tells what would be built, and builds nothing",
    "--file": "name the spec without an option",
    "--force": "`mountplan apply SPEC --replace` puts a new build in the place of what has the name",
    "--verbose": "apply, run, rm and capture have it, and show each system call; verify has it too",
    "-f": "name the spec without an option; `apply --replace` puts a new build in the place of what has the name",
    "-v": "apply, run, rm and capture have it, and show each system call; verify has it too",
    "-n": "apply, capture and import have --name; elsewhere a name stands by itself",
    "--name": "apply, capture and import have it; elsewhere a name stands by itself",
    "--width": "`graph` has it; elsewhere a terminal's width counts, or COLUMNS=N on one",
    "--pid": "name the process in its place, as in pid:1234",
}
_OPTIONS_OF = {
    ("rm", "-f"): "names go without one, whatever is in them",
    ("run", "--pid"): "it makes a namespace of its own; `nsenter --mount --target PID` goes into that of a process",
    ("rm", "-r"): "names go without one, whatever is in them",
    ("rm", "--force"): "names go without one, whatever is in them",
    ("show", "--mount"): "`mountplan explain NAME --mount PATH` tells what a mount there would do",
    ("simulate", "-c"): "hand commands over on standard input: mountplan simulate -",
    ("import", ""): "if it is one of bubblewrap's, its command line comes after --: mountplan import bwrap -- ...",
}
_ONE_TOO_MANY = {
    "apply": "; what --live changes is said by --name NAME or --pid N",
    "ls": "; `mountplan show NAME` tells of one",
    "explain": "; ask about a path by --mount, --unmount or --why",
}
_FOR_SET = ("--param", "--parameter", "--parameters", "--var", "--variable", "--define", "-D", "-p")
# What argparse says -> what is said here. {} stands for the groups of the expression.
_IN_OUR_WORDS = (
    (r"argument (\S+): invalid int value: (.*)", "{}: {} is no whole number"),
    (r"argument (\S+): invalid (number of seconds) value: (.*)", "{0}: {2} is no {1}"),
    (r"argument (\S+): expected one argument", "{}: say which value, as in `{}`"),
    (r"the following arguments are required: (.*, .*)", "{} are missing"),
    (r"the following arguments are required: (.*)", "{} is missing"),
    (r"argument (\S+): not allowed with argument (\S+)", "{} and {} ask for two different things: leave one out"),
    (r"argument (-\S+): (.*)", "{}: {}"),
)
_PRINTS_THE_PARSER = ("completion",)  # and so it needs the parsers of all


class _Help(argparse.RawDescriptionHelpFormatter):
    """argparse makes a formatter for each argument, and imports shutil to find out how wide the terminal is."""

    def __init__(self, prog: str, **options: Any) -> None:
        options.setdefault("width", _columns())
        super().__init__(prog, **options)


@cache
def _columns() -> int:
    try:
        columns = int(os.environ.get("COLUMNS", "")) or os.get_terminal_size().columns
    except (OSError, ValueError):
        columns = 80
    return max(40, min(columns, 100) - 2)


class Parser(argparse.ArgumentParser):
    """Raises UsageError instead of printing and exiting, and finds out what was meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Help, allow_abbrev=False, **options)
        self._words: list[str] = []

    def error(self, message: str) -> NoReturn:
        import re

        if message.startswith("the following arguments are required"):
            options = (word.partition("=")[0] for word in self._words if re.match(r"--|-[^-]$", word))
            unknown = next((one for one in options if one not in self._option_string_actions), None)
            if unknown is not None:  # of the two mistakes the one that is there to be seen
                message = self._about_unknown(unknown)
        raise UsageError(self._in_our_words(message), self.prog.removeprefix("mountplan").strip())

    def _in_our_words(self, message: str) -> str:
        import re

        for pattern, words in _IN_OUR_WORDS:
            found = re.fullmatch(pattern, message)
            if found is not None and "as in" in words:
                return words.format(found[1], self._example_of(found[1]))
            if found is not None:
                return words.format(*found.groups())
        return message

    def _example_of(self, options: str) -> str:
        action = self._option_string_actions.get(options.rpartition("/")[2])
        return f"{options.rpartition('/')[2]} {action.metavar or 'VALUE'}" if action is not None else options

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse's, but a reader that has gone is not passed over in silence."""
        (file or sys.stderr).write(message)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but nothing is left over: what is not known is told by the parser that knows what is.

        Except words of a command before which the "--" is missing (inner_command.py): options among them are its own.
        """
        self._words = list(args)
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            extra = getattr(found, "extra", None)
            # Since Python 3.13 what comes after an option that is not known may be the first of the command's words.
            option_first = not extra or extra[0] not in self._words[1 : self._words.index(unknown[0])]
            if extra is None or (option_first and unknown[0].startswith("-")):
                self.error(self._about_unknown(unknown[0]))
            found.extra = [*extra, *unknown]
        return found, []

    def _about_unknown(self, word: str) -> str:
        if not word.startswith("-"):
            own = self.prog.removeprefix("mountplan ")
            last = [one.metavar for one in self._get_positional_actions() if one.nargs not in ("*", "+")]
            takes = f"{own} takes one {last[-1]}: " if last else f"{own} takes no arguments: "
            return f"{takes}{word!r} is one too many{_ONE_TOO_MANY.get(own, '')}"
        option = word.partition("=")[0]
        own = self.prog.removeprefix("mountplan ")
        hint = _OPTIONS_OF.get((own, option)) or _OPTIONS_ELSEWHERE.get(option)
        known = self._option_string_actions
        near = None if hint else _nearest(option, [*known, *(_FOR_SET if "--set" in known else ())])
        if near in _FOR_SET and near not in known:
            hint = "a value for one of the spec's [parameters] is given with --set NAME=VALUE"
        hint = hint or (f"did you mean {near}?" if near else _OPTIONS_OF.get((own, "")))
        return f"unknown option {option}" + (f"; {hint}" if hint else "")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        option = "/".join(action.option_strings)
        what = f"value of {option}:" if option else action.dest
        near = _OTHER_NAMES.get(value) if action.dest == "command" else None
        near = near or _nearest(str(value), map(str, action.choices))
        known = ", ".join(map(str, action.choices))
        hint = f"did you mean {near}?" if near else f"there are: {known}"
        if action.dest == "command" and (value.endswith((".toml", ".json")) or os.path.isfile(value)):
            self.error(f"say what to do with {value}: mountplan check|plan|run|apply {typed(value)}")
        if not option and os.path.isfile(value):
            line = f"{self.prog} {next(iter(map(str, action.choices)))} {typed(value)}"
            self.error(f"say first as what, and then the file: {line}; there are: {known}")
        self.error(f"unknown {what} {value!r}; {hint}")


def _nearest(word: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    bare = {one.lstrip("-"): one for one in known}  # dashes, which all options have, make none alike
    return next((bare[one] for one in get_close_matches(word.lstrip("-"), list(bare), n=1)), None)


def parse(words: list[str]) -> argparse.Namespace:
    """The arguments of a command line. Raises UsageError; SystemExit after --help or --version.

    A line that begins with a command builds that command's parser only, as the others would never be asked.
    """
    command = words[0] if words else ""
    alone = command in COMMANDS and command not in _PRINTS_THE_PARSER
    parser = make_parser((command,) if alone else COMMANDS)
    args = parser.parse_args(words)
    args.parser = parser
    return args


def make_parser(commands: Sequence[str] = COMMANDS) -> Parser:
    """A parser for command lines of some commands; without any named, of all that exist."""
    parser = Parser(prog="mountplan", description=DESCRIPTION, epilog=EPILOG, usage="mountplan COMMAND ...")
    add_output(parser)
    parser.add_argument("-V", "--version", action="version", version=f"mountplan {__version__}")
    parser._positionals.title = "commands"  # there are no other positional arguments, and they shall come first
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", prog="mountplan", required=True)
    for name in commands:

        def command(short: str, description: str, examples: str, name: str = name) -> Parser:
            own = subparsers.add_parser(name, help=short, description=description, epilog=f"examples:\n{examples}")
            add_output(own)
            return own

        module_of(name).add(command)
    return parser
