"""How a command line is read: help, and what is told about a wrong one."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import mountplan
from mountplan.cli import INTERRUPTED, NO_READER, without_argparse
from mountplan.cli.command_modules import COMMANDS
from mountplan.cli.exit_status import BUG, TABLE
from mountplan.cli.parser import EPILOG, make_parser, parse
from mountplan.planner import errors
from tests.cli.command_line import Command, Ended
from tests.hosts import CHECKOUT


def test_mountplan_alone_names_three_commands_to_begin_with(run: Command) -> None:
    ended = run()
    assert (0, "") == (ended.status, ended.err)
    assert ["check", "plan", "run"] == re.findall(r"^  mountplan (\w+)", ended.out, re.M)


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(run: Command, option: str) -> None:
    assert Ended(0, f"mountplan {mountplan.__version__}\n", "") == run(option)
    assert Ended(0, f"mountplan {mountplan.__version__}\n", "") == run("--quiet", option)


def test_help_lists_the_commands_that_exist(run: Command) -> None:
    listed = re.findall(r"^    (\w+) ", run("--help").out, re.M)
    assert list(COMMANDS) == listed


@pytest.mark.parametrize(
    "command",
    COMMANDS,
)
def test_every_command_has_help_with_examples_and_fits_80_columns(run: Command, command: str) -> None:
    ended = run(command, "--help")
    assert (0, "") == (ended.status, ended.err)
    assert f"usage: mountplan {command} " in ended.out
    assert "examples:\n" in ended.out
    assert f"mountplan {command}" in ended.out.partition("examples:")[2]
    texts = ended.out + run("--help").out + run().out
    assert [] == [line for line in texts.splitlines() if len(line) > 80]
    assert ended == run("help", command)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plna", "x"], "unknown command 'plna'; did you mean plan?"),
        (["frobnicate"], "unknown command 'frobnicate'; there are: check, plan,"),
        (["show", "x", "--mount", "/a"], "unknown option --mount; `mountplan explain NAME --mount PATH` tells"),
        (["graph", "x", "--mount"], "unknown option --mount\n"),
        (["dry-run", "x"], "unknown command 'dry-run'; did you mean plan?"),
        (["destroy", "x"], "unknown command 'destroy'; did you mean rm?"),
        (["exec", "x"], "unknown command 'exec'; did you mean enter?"),
        (["init"], "unknown command 'init'; did you mean example?"),
        (["version"], "unknown command 'version'; did you mean --version?"),
        (["apply", "--dry-run", "x"], "unknown option --dry-run; `mountplan plan SPEC` tells what would be built"),
        (["shop.toml"], "say what to do with shop.toml: mountplan check|plan|run|apply shop.toml\n"),
        (["--dry-run", "shop.toml"], "say what to do with shop.toml:"),
        (["plan", "x", "-o", "x.svg"], "-o x.svg: a plan is not saved as .svg, but as JSON (.json), or drawn ("),
        (["plan", "x.toml", "-o", "x.toml"], "-o x.toml: a plan is not saved as .toml,"),
        (["--nonesuch", "plan", "x"], "unknown option --nonesuch\n"),
        (["--versoin"], "unknown option --versoin; did you mean --version?\n"),
        (["plan", "--josn"], "unknown option --josn; did you mean --json?\n"),
        (["export"], "FORMAT, SPEC are missing\n"),
        (["completion"], "SHELL is missing\n"),
        (
            ["plan", "x", "--paramter", "a=b"],
            "unknown option --paramter; a value for one of the spec's [parameters] is",
        ),
        (
            ["run", "x", "-p", "a=b"],
            "unknown option -p; a value for one of the spec's [parameters] is given with --set",
        ),
        (["rm", "-p", "x"], "unknown option -p\n"),
        (
            ["apply", "x", "y"],
            "apply takes one SPEC: 'y' is one too many; what --live changes is said by --name NAME or",
        ),
        (["ls", "x"], "ls takes no arguments: 'x' is one too many; `mountplan show NAME` tells of one\n"),
        (["rm", "--name", "x"], "unknown option --name; apply, capture and import have it; elsewhere a name stands by"),
        (["findmnt"], "unknown command 'findmnt'; did you mean show?\n"),
        (["explain", "1", "/y"], "explain takes one SPEC|NAME|PID: '/y' is one too many; ask about a path by --mount,"),
        (["check", "x", "-q", "-x"], "unknown option -x\n"),
        (["-q"], "COMMAND is missing"),
        (["plan", "--after", "abc", "x"], "--after: 'abc' is no whole number\n"),
        (["apply", "x", "--timeout", "soon"], "--timeout: 'soon' is no number of seconds\n"),
        (["plan", "x", "-o"], "-o/--output: say which value, as in `--output FILE`\n"),
        (["plan", "--why", "1", "--after", "1", "x"], "--after and --why ask for two different things: leave one out"),
        (["apply", "-f", "x"], "unknown option -f; name the spec without an option;"),
        (["check", "-v", "x"], "unknown option -v; apply, run, rm and capture have it"),
        (["plan", "--set", "ab", "x"], "--set: 'ab' is no NAME=VALUE\n"),
        (["export", "pyproject.toml"], "say first as what, and then the file: mountplan export sh pyproject.toml;"),
        (
            ["graph", "specs/hello.toml", "-o", "x.png"],
            "-o x.png: a picture is saved as one of .txt, .svg, .html, .htm\n",
        ),
        (["doctor", "x"], "doctor takes no arguments: 'x' is one too many\n"),
        (["plan"], "SPEC is missing"),
        (["check"], "SPEC is missing"),
        (["enter"], "NAME is missing\n"),
        (["run"], "SPEC is missing\n"),
        (["plan", "x", "--fromat=json"], "unknown option --fromat; did you mean --format?"),
        (["plan", "x", "--format", "jsno"], "unknown value of --format: 'jsno'; did you mean json?"),
        (["--color", "blue", "plan", "x"], "unknown value of --color: 'blue'; there are: auto, always, never"),
        (["completion", "ksh"], "unknown shell 'ksh'; did you mean zsh?"),
        (["apply", "x", "--", "sh"], "apply takes no command after --"),
        (["run", "x", "ls", "y"], "write -- before the command: mountplan run x -- ls y"),
        (["run", "x", "sh", "-c", "a b"], "write -- before the command: mountplan run x -- sh -c 'a b'\n"),
        (["run", "x", "ls", "-l"], "write -- before the command: mountplan run x -- ls -l"),
        (["run", "x", "--"], "there is no command after --"),
        (["up", "x"], "unknown command 'up'; did you mean apply?"),
        (["rm", "-f", "x"], "unknown option -f; names go without one, whatever is in them\n"),
        (["run", "--pid", "1", "x"], "unknown option --pid; it makes a namespace of its own; `nsenter"),
        (
            ["apply", "x", "-n", "y"],
            "unknown option -n; apply, capture and import have --name; elsewhere a name stands by itself\n",
        ),
        (["plan", "x", "--width", "9"], "unknown option --width; `graph` has it; elsewhere a terminal's width counts"),
        (
            ["simulate", "-c", "mount x"],
            "unknown option -c; hand commands over on standard input: mountplan simulate -",
        ),
        (["import", "bwrap", "--ro-bind", "/", "/"], "unknown option --ro-bind; if it is one of bubblewrap's, its"),
        (["capture", "--pid", "x"], "--pid takes the number of a process, not 'x'\n"),
    ],
)
def test_wrong_usage_is_told_with_a_way_out(
    run: Command, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CHECKOUT)
    ended = run(*words)
    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith(f"mountplan: {message}")
    assert re.search(r"\n  remedy: see `mountplan (\w+ )?--help`\n$", ended.err)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["check", ""], "an argument is empty\n  remedy: see whether a variable of the shell has no value\n"),
        (
            ["run", "--", "x.toml", "sh", "-c", "a b"],
            "it comes before the --, as in `mountplan run x.toml -- sh -c 'a b'`\n",
        ),
        (["run", "--", "x.toml", "ls"], "it comes before the --, as in `mountplan run x.toml -- ls`\n"),
        (["run", "--", "ls", "-l"], "it comes before the --, as in `mountplan run SPEC -- ls -l`\n"),
        (["import", "bwrap", "bwrap --bind / /"], "write the command line after --: mountplan import bwrap -- bwrap"),
        (["enter", "--", "ls", "-l"], "it comes before the --, as in `mountplan enter NAME -- COMMAND`\n"),
        (["example", "hello", "-o", "no/x"], "cannot write no/x: No such file or directory\n  remedy: make the dir"),
        (["example", "hello", "-o", "/"], "cannot write /: Is a directory\n  remedy: name a file that can be written"),
        (
            ["plan", "hello"],
            "remedy: `mountplan example hello -o hello.toml` saves the example of this name; or name a spec",
        ),
    ],
)
def test_what_no_help_would_tell_has_a_remedy_of_its_own(
    run: Command, words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run(*words)
    assert (2, "") == (ended.status, ended.out)
    assert told in ended.err


def test_wrong_usage_as_json(run: Command) -> None:
    ended = run("plna", "--json")
    assert (2, "") == (ended.status, ended.err)
    assert {"code": "usage", "exit_status": 2}.items() <= ended.json()["error"].items()


@pytest.mark.parametrize(
    "words",
    [
        *("run x.toml", "run -", "run ./plan.json", "check x.toml", "check - y.toml"),
        *("ls", "show x", "verify x.toml", "verify - pid:1", "diff x y"),
    ],
)
def test_the_quick_way_gives_the_arguments_that_the_parser_gives(words: str) -> None:
    """Two ways to read one command line must not come to differ."""
    assert vars(make_parser().parse_args(words.split())) == vars(without_argparse.parse(words.split()) or object())


LINES = {
    "check": ["x", "--all", "--json"],
    "plan": ["x", "--why", "3", "-o", "y"],
    "apply": ["x", "--name", "n", "--timeout", "3"],
    "run": ["x", "--namespace", "n", "ls"],
    "enter": ["x/y", "--rootless", "never"],
    "ls": ["-q"],
    "show": ["x", "--all"],
    "rm": ["x", "y"],
    "capture": ["--pid", "1", "x"],
    "import": ["oci", "x", "--name", "n"],
    "export": ["sh", "x", "-o", "y"],
    "diff": ["x", "y", "--color=never"],
    "verify": ["x"],
    "watch": ["x", "--for", "1"],
    "hook": ["poststart", "--config", "--log", "x"],
    "explain": ["x", "--kernel", "6.1"],
    "graph": ["x", "--shared", "--width", "80"],
    "simulate": ["x", "--from", "1"],
    "doctor": [],
    "schema": [],
    "example": ["hello"],
    "completion": ["bash"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_its_own_is_read_as_among_all(command: str) -> None:
    """The parsers of the others are left out for the time that they take, and for nothing else."""
    words = [command, *LINES[command]]
    alone = vars(parse(words))
    alone.pop("parser")
    assert vars(make_parser().parse_args(words)) == alone


@pytest.mark.parametrize(
    "words",
    [
        *("run", "run --json", "run x y", "apply x", "run -q x", "check", "ls x", "ls --names", "show", "show x y"),
        *("verify", "verify x y z", "diff x", "diff x y --all"),
    ],
)
def test_whatever_is_not_plain_is_left_to_the_parser(words: str) -> None:
    assert without_argparse.parse(words.split()) is None


def test_the_table_of_exit_statuses_is_one() -> None:
    """In the help and in README; what errors end with, and what the command line ends with by itself, is in it."""
    help_rows = re.findall(r"^  (\d+) +(.*)$", EPILOG, re.MULTILINE)
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert list(TABLE) == help_rows == re.findall(r"^\| (\d+) \| (.*) \|$", readme, re.MULTILINE)
    known = {int(status) for status, _ in TABLE}
    family = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, errors.MountplanError)]
    used = {getattr(one, "exit_status", 3) for one in family} | {BUG, INTERRUPTED, NO_READER}
    assert set() == used - known
