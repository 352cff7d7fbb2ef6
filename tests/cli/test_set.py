"""--set, wherever a spec is named, and what the preview says of parameters."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from mountplan.cli.parser import make_parser
from mountplan.planner.plan.plan import Plan
from tests.cli.command_line import Command

TEXT = """
format = 1
name = "it"
[parameters]
home = { env = "MOUNTPLAN_TEST_HOME", default = "/root" }
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
target = "${home}"
type = "tmpfs"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "it.toml").write_text(TEXT)
    return tmp_path / "it.toml"


def test_the_preview_says_what_each_came_to_and_where_from(
    run: Command, file: Path, foreseen: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 'Parameters\n  home = "/root"  by default\n' in run("plan", file).out
    monkeypatch.setenv("MOUNTPLAN_TEST_HOME", "/e")
    assert 'home = "/e"  from the environment: MOUNTPLAN_TEST_HOME\n' in run("plan", file).out
    given = run("plan", file, "--set", "home=/other", "--set", "home=/x=y").out
    assert 'home = "/x=y"  as given\n' in given
    assert "└─x=y" in given


def test_a_saved_plan_has_none_of_it_left(run: Command, file: Path, foreseen: None, tmp_path: Path) -> None:
    run("plan", file, "--set", "home=/x", "-o", tmp_path / "plan.json")
    text = (tmp_path / "plan.json").read_text()
    assert "home" not in text
    assert "Parameters" not in run("plan", tmp_path / "plan.json").out
    for command in ("check", "plan", "apply", "run", "graph", "verify"):
        ended = run(command, tmp_path / "plan.json", "--set", "home=/x")
        assert 2 == ended.status, command
        assert "parameters" in ended.err


def test_every_command_that_builds_takes_it(
    run: Command, file: Path, applying: list[Plan], running: list[tuple[str, ...]]
) -> None:
    assert 0 == run("check", file, "--set", "home=/x").status
    assert 0 == run("apply", file, "--forget", "--no-cache", "--set", "home=/x").status
    assert "/x" == applying[0].expected.namespaces[0].mounts[1].place
    run("run", file, "--no-cache", "--set", "home=/x", "--", "true")
    assert [("true",)] == running


def test_every_command_that_asks_takes_it(run: Command, file: Path, tmp_path: Path) -> None:
    assert "─x " in run("graph", file, "--set", "home=/x").out
    assert 0 == run("diff", file, file, "--set", "home=/x").status
    assert "/x" in run("export", "sh", file, "--set", "home=/x").out
    assert 0 == run("explain", file, "--set", "home=/x", "--mount", "/x").status
    (tmp_path / "s.sh").write_text("umount /x\n")
    assert "umount" not in run("simulate", tmp_path / "s.sh", "--from", file, "--set", "home=/x").out


def test_no_command_that_takes_a_spec_has_been_forgotten() -> None:
    parser = make_parser()
    (subparsers,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    for name, command in subparsers.choices.items():
        arguments = {one.dest for one in command._actions}
        if arguments & {"spec", "specs", "first", "what", "start"}:
            assert "settings" in arguments, name


def test_a_value_that_nothing_takes_is_refused(run: Command, file: Path, tmp_path: Path) -> None:
    ended = run("check", file, "--set", "hmoe=/x")
    assert (2, True) == (ended.status, "did you mean home?" in ended.err)
    (tmp_path / "s.sh").write_text("true\n")
    (tmp_path / "mountinfo").write_text("1 0 8:1 / / rw - ext4 /dev/x rw\n")
    for words in (
        ("explain", "1"),
        ("simulate", tmp_path / "s.sh"),
        ("graph", tmp_path / "s.sh"),
        ("graph", f"mountinfo:{tmp_path}/mountinfo"),
        ("diff", f"mountinfo:{tmp_path}/mountinfo", f"mountinfo:{tmp_path}/mountinfo"),
        ("check", file, "--set", "home"),
    ):
        ended = run(*words, "--set", "home=/x")
        assert 2 == ended.status, words
        assert "spec" in ended.err or "NAME=VALUE" in ended.err


def test_mistakes_in_included_files_are_told_as_json_too(run: Command, file: Path) -> None:
    file.with_name("main.toml").write_text('format = 1\ninclude = ["it.toml"]\n[[mount]]\ntarget = "x"\n')
    ended = run("check", "--json", file.with_name("main.toml"))
    (spec,) = json.loads(ended.out)["specs"]
    assert [("mount[0].target", 4)] == [(one["key"], one["line"]) for one in spec["mistakes"]]
