"""The same text in colours."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from mountplan.cli.output import Output
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan
from tests.cli.command_line import Command
from tests.planner.plans import shop

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize(
    "words", [["plan"], ["plan", "--all"], ["plan", "--why", "30"], ["apply", "--forget"]], ids=" ".join
)
def test_colours_change_no_character(run: Command, saved: Path, applying: list[Plan], words: list[str]) -> None:
    plain = run(*words, saved)
    colored = run("--color", "always", *words, saved)
    assert "\x1b" not in plain.out
    assert "\x1b[" in colored.out
    assert plain.out == ESCAPES.sub("", colored.out)


def test_colours_of_errors_change_no_character(run: Command, wrong: Path) -> None:
    plain, colored = run("plan", wrong), run("plan", wrong, "--color=always")
    assert "\x1b[" in colored.err
    assert plain.err == ESCAPES.sub("", colored.err)


def test_what_programs_read_has_no_colours(run: Command, saved: Path) -> None:
    for form in ("json", "dot", "mermaid"):
        assert "\x1b" not in run("plan", saved, "--color=always", "--format", form).out


def test_a_name_that_looks_like_markup_is_no_markup(run: Command, tmp_path: Path, foreseen: None) -> None:
    path = tmp_path / "m.json"
    path.write_text(dump_plan(shop()._replace(file="[bold]x[/bold] :smile: [link=http://a]")))
    assert "[bold]x[/bold] :smile: [link=http://a]" in ESCAPES.sub("", run("plan", path, "--color=always").out)


@pytest.mark.parametrize(
    ("environment", "terminal", "colored"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"CLICOLOR": "0"}, True, False),
        ({"CLICOLOR": "1"}, False, False),
        ({"CLICOLOR_FORCE": "1"}, False, True),
        ({"CLICOLOR_FORCE": "0"}, False, False),
        ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_the_environment_says_whether_there_are_colours(
    environment: dict[str, str], terminal: bool, colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """no-color.org and bixense.com/clicolors; --color has the last word."""
    for name in ("NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    said = [Output(color=color).wants_color(stream) for color in ("auto", "always", "never")]
    assert [colored, True, False] == said
