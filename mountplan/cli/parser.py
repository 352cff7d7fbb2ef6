"""The arguments of every command, and their help."""

from __future__ import annotations

import argparse
import os
import re
import sys
from functools import cache
from typing import Any, NoReturn

import mountplan
from mountplan.applier.sys.report import TIMEOUT
from mountplan.cli.capture_parser import add_capture
from mountplan.cli.comparing_parser import add_comparing
from mountplan.cli.living_parser import add_living
from mountplan.cli.usage import UsageError as UsageError

SPEC_OR_PLAN = "a spec (TOML), a saved plan (NAME.json), or - for standard input"

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
  0 done; 1 a difference, or a plan was refused; 2 wrong usage or a wrong spec;
  3 the kernel said no. `run` and `enter` end with the status of their command.

With --json, standard output has one JSON document: the result, or an object
with the one key "error". Only `run` and `enter`, whose standard output is their
command's, tell errors on standard error. Without --json, all errors go there.
"""


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

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, self.prog.removeprefix("mountplan").strip())

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse's, but a reader that has gone is not passed over in silence."""
        (file or sys.stderr).write(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        from difflib import get_close_matches

        near = get_close_matches(str(value), [str(choice) for choice in action.choices], n=1)
        option = "/".join(action.option_strings)
        what = f"value of {option}:" if option else action.dest
        known = ", ".join(map(str, action.choices))
        hint = f"did you mean {near[0]}?" if near else f"there are: {known}"
        self.error(f"unknown {what} {value!r}; {hint}")


def make_parser() -> Parser:
    """The whole command line. Only commands that exist are in it."""
    parser = Parser(
        prog="mountplan", description=DESCRIPTION, epilog=EPILOG, parents=[_common()], usage="mountplan COMMAND ..."
    )
    parser.add_argument("-V", "--version", action="version", version=f"mountplan {mountplan.__version__}")
    parser._positionals.title = "commands"  # there are no other positional arguments, and they shall come first
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", prog="mountplan", required=True)
    for add in (_check, _plan, _apply, _run, _living, _capture, _comparing):
        add(commands)
    for add in (_explain, _simulate, _doctor, _schema, _completion):
        add(commands)
    return parser


def _common() -> argparse.ArgumentParser:
    """What every command takes. A default would undo what was said before the command, so there is none."""
    common = argparse.ArgumentParser(add_help=False)
    group = common.add_argument_group("output")
    group.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
    group.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default=argparse.SUPPRESS,
        help="when to use colours (auto: on a terminal, unless NO_COLOR is set)",
    )
    group.add_argument(
        "-q", "--quiet", action="store_true", default=argparse.SUPPRESS, help="print nothing but results and errors"
    )
    return common


def _rootless(parser: argparse.ArgumentParser) -> None:
    """For every command that builds, enters or tries something."""
    parser.add_argument(
        "--rootless",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether to use a user namespace (auto: unless it works without one)",
    )


def _kernel(parser: argparse.ArgumentParser) -> None:
    """For every command that asks the model of propagation what would happen."""
    parser.add_argument(
        "--kernel",
        type=_version,
        metavar="VERSION",
        help="what another kernel would do, as in 6.1: before 6.17 some things were otherwise (docs/kernels.md)",
    )


def _version(text: str) -> str:
    if not re.match(r"\d+\.\d+([-.+_~]|$)", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no version of Linux; write it as in 6.1 or 6.12.48-1-amd64")
    from mountplan.planner.model.rules import KNOWN, is_known

    if not is_known(text):
        raise argparse.ArgumentTypeError(f"it is not known what Linux {text} would do; known are {KNOWN}")
    return text


def _no_cache(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-cache", action="store_true", help="plan anew, and do not keep the plan ($XDG_CACHE_HOME/mountplan)"
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e9:
        raise ValueError
    return value


_seconds.__name__ = "number of seconds"  # what argparse says was wanted


def _timeout(parser: argparse.ArgumentParser) -> None:
    """For every command that builds."""
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        default=TIMEOUT,
        help=f"give up if it is not built by then; 0 waits for ever ({TIMEOUT:g})",
    )


def _command(commands: Any, name: str, short: str, description: str, examples: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=short, description=description, epilog=f"examples:\n{examples}", parents=[_common()]
    )
    return parser


def _check(commands: Any) -> None:
    parser = _command(
        commands,
        "check",
        "tell all mistakes of a spec at once",
        "Tell all mistakes of one or several specs at once, each with file, line, key\n"
        "and remedy. The host paths that a spec names are looked up; nothing is built.\n"
        "Exit status 2 if there is a mistake.",
        "  mountplan check shop.toml\n  mountplan check --json specs/*.toml",
    )
    parser.add_argument("specs", nargs="+", metavar="SPEC", help=SPEC_OR_PLAN)
    parser.add_argument("--all", action="store_true", help="fold nothing: tell each of many mistakes of one kind")
    _rootless(parser)


def _plan(commands: Any) -> None:
    parser = _command(
        commands,
        "plan",
        "preview what would be built, in which order, and why",
        "Show the tree with its sharing, the steps and why they are in this order, the\n"
        "mount table to come, and what kernel and privileges it needs. Nothing is built:\n"
        "the steps are carried out in a model of the kernel. Exit status 1 if the tree\n"
        "would not come out as it is written, and why.",
        "  mountplan plan shop.toml\n"
        "  mountplan plan shop.toml --why 12         why step 12 is where it is\n"
        "  mountplan plan shop.toml --why /srv/data  the same for all steps of a mount\n"
        "  mountplan plan shop.toml --after 12       what stands there after step 12\n"
        "  mountplan plan shop.toml --classic        what mount commands would make of it\n"
        "  mountplan plan shop.toml -o plan.json     save it, for `mountplan apply`\n"
        "  mountplan plan shop.toml --format dot | dot -Tsvg > shop.svg",
    )
    parser.add_argument("spec", metavar="SPEC", help=SPEC_OR_PLAN)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="save the plan (- for standard output); as JSON, unless --format or the name (.txt, .dot, .mmd) says so",
    )
    parser.add_argument("--format", choices=("text", "json", "dot", "mermaid"), help="what to print (text)")
    question = parser.add_mutually_exclusive_group()
    question.add_argument("--why", metavar="STEP", help="explain one step: its number, or a mountpoint, id or key path")
    question.add_argument(
        "--after", dest="after_step", metavar="N", type=int, help="what stands there after step N (0: before the first)"
    )
    question.add_argument(
        "--classic", action="store_true", help="what would come of it, mounted in the order of the file with mount(8)"
    )
    _max_mounts(parser)
    parser.add_argument("--all", action="store_true", help="fold nothing: every mount and every step")
    _rootless(parser)


def _max_mounts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-mounts",
        metavar="N",
        type=int,
        help="refuse a plan that takes more mounts than N at once, the copy of the host's tree included (fs.mount-max)",
    )


def _apply(commands: Any) -> None:
    parser = _command(
        commands,
        "apply",
        "build it, verify what stands there, and keep it under its name",
        "Build the mount tree in a namespace of its own, read it back from the kernel,\n"
        "compare it with the spec, and keep it: `mountplan enter NAME` goes there, `ls`\n"
        "lists what is kept, `rm` lets it go. If the name stands already, that is\n"
        "verified, and nothing is built. Exit status 1 if it is no longer what it was\n"
        "made to be, or if the spec has changed.",
        "  mountplan apply shop.toml\n"
        "  mountplan apply shop.toml --replace    build anew, verify, and then swap\n"
        "  mountplan apply shop.toml --forget     build, verify, and let it go again\n"
        "  mountplan apply --json plan.json | jq .namespaces",
    )
    parser.add_argument("spec", metavar="SPEC", help=SPEC_OR_PLAN)
    parser.add_argument("--name", metavar="NAME", help="the name to keep it under (the spec's)")
    parser.add_argument("--replace", action="store_true", help="swap a new, verified build in for what has the name")
    parser.add_argument("--forget", action="store_true", help="keep nothing")
    _no_cache(parser)
    _timeout(parser)
    _rootless(parser)
    _max_mounts(parser)
    parser.add_argument("--all", action="store_true", help="fold nothing: show every mount")


def _run(commands: Any) -> None:
    parser = _command(
        commands,
        "run",
        "build it for one command, and forget it",
        "Build and verify the mount tree, run a command in it, and let it go again. The\n"
        "exit status is the command's (128 + n if signal n ended it). Without a command:\n"
        "the spec's [run] command, or your shell.",
        "  mountplan run shop.toml -- ls -l /srv\n  mountplan run plan.json -- env\n  mountplan run shop.toml",
    )
    parser.usage = "mountplan run [options] SPEC [-- COMMAND...]"
    parser.add_argument("spec", metavar="SPEC", help=SPEC_OR_PLAN)
    _no_cache(parser)
    parser.add_argument("--namespace", metavar="NAME", default="", help="which of several namespaces (the first)")
    _timeout(parser)
    _rootless(parser)
    _max_mounts(parser)
    parser.add_argument(
        "--json-status-fd",
        metavar="FD",
        type=int,
        help="write a line of JSON there when the command runs (child-pid) and when it has ended (exit-code)",
    )
    parser.add_argument("extra", nargs="*", default=[], help=argparse.SUPPRESS)  # to say that a "--" is missing


def _doctor(commands: Any) -> None:
    parser = _command(
        commands,
        "doctor",
        "tell what this kernel and this user can do",
        "Try each feature that mountplan can use, in a process that is thrown away, and\ntell what is missing and what"
        " to do about it. Exit status 1 if anything is.",
        "  mountplan doctor\n"
        "  mountplan doctor --rootless always    what an ordinary user could do here\n"
        "  mountplan doctor --json | jq '.features[] | select(.works | not)'",
    )
    _rootless(parser)


def _explain(commands: Any) -> None:
    parser = _command(
        commands,
        "explain",
        "tell who receives mounts from whom, and what one would do",
        "Tell who receives mount events from whom: peer groups, masters, chains of them,\n"
        "in the namespace and across its border. Or what a mount or an unmount at a path\n"
        "would do everywhere, with the reasons. Nothing is mounted.",
        "  mountplan explain shop.toml\n"
        "  mountplan explain shop                     what is kept as shop\n"
        "  mountplan explain 1234                     the namespace of process 1234\n"
        "  mountplan explain 1234 --mount /srv/feed   where a mount there would appear\n"
        "  mountplan explain 1234 --unmount /srv      what would vanish with it, and where\n"
        "  mountplan explain 1234 --why /srv/feed     how it can have come there",
    )
    what = f"{SPEC_OR_PLAN}; a kept name, or NAME/NAMESPACE; or the number of a process"
    parser.add_argument("what", metavar="SPEC|NAME|PID", help=what)
    question = parser.add_mutually_exclusive_group()
    question.add_argument("--mount", metavar="PATH", help="where a mount at PATH would appear")
    question.add_argument("--unmount", metavar="PATH", help="what an unmount of PATH would take away")
    question.add_argument("--why", metavar="MOUNT", help="how the mount at this path can have come there")
    parser.add_argument("-l", "--lazy", action="store_true", help="with --unmount: as umount -l")
    parser.add_argument("-R", "--recursive", action="store_true", help="with --unmount: as umount -R")
    _kernel(parser)


def _simulate(commands: Any) -> None:
    parser = _command(
        commands,
        "simulate",
        "run a script of mount commands in a model of the kernel",
        "Carry out the lines of a shell script (mount, umount, unshare -m, nsenter, mkdir,\n"
        "rmdir, pivot_root, ...) in a model of the kernel's rules, and show what stands there\n"
        "then, as findmnt would, with peers and masters. Needs no privileges, touches\n"
        "nothing. A command that fails is told with its errno, and the script goes on.",
        "  mountplan simulate build-root.sh\n"
        "  mountplan simulate build-root.sh --compare-kernel   the same for real, to compare\n"
        "  echo 'mount --rbind / /mnt' | mountplan simulate - --from 1234",
    )
    parser.add_argument("script", metavar="SCRIPT", help="a shell script, or - for standard input")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="SPEC|NAME|PID",
        help="begin with what a spec would build, what is kept, or what a process sees, not with an empty tmpfs",
    )
    parser.add_argument(
        "--compare-kernel", action="store_true", help="carry it out for real in a throw-away namespace as well"
    )
    _kernel(parser)
    parser.add_argument("--all", action="store_true", help="fold nothing: show every mount")


def _living(commands: Any) -> None:
    add_living(commands, _command, _rootless)


def _capture(commands: Any) -> None:
    add_capture(commands, _command)


def _comparing(commands: Any) -> None:
    add_comparing(commands, _command)


def _schema(commands: Any) -> None:
    _command(
        commands,
        "schema",
        "print the JSON Schema of specs, for editors",
        "Print the JSON Schema of the language in which specs are written. Editors\ncomplete and check specs with it.",
        "  mountplan schema > mountplan.schema.json",
    )


def _completion(commands: Any) -> None:
    parser = _command(
        commands,
        "completion",
        "print a completion script for a shell",
        "Print a script that lets a shell complete mountplan's commands and options.",
        '  eval "$(mountplan completion bash)"\n  mountplan completion zsh > ~/.zfunc/_mountplan',
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell")
