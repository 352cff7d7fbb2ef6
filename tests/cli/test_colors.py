"""The same text in colours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
