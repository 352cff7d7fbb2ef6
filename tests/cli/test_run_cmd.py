"""run: ends as its command does, and tells errors where they do not mix with its output."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from mountplan.planner.errors import SpecRef, StepRefused
from mountplan.planner.plan.planfile import dump_plan
from tests.cli.command_line import Command, Ended, refuse
from tests.planner.plans import shop, wide


def test_errors_of_run_as_json_go_to_standard_error(run: Command, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is the command's."""
    origin = SpecRef("shop.toml", "mount[0]", 10)
    error = StepRefused(
        number=3, step="x", origin=origin, syscall="fsopen", errno=errno.EPERM, meaning="not permitted", remedy="root"
    )
    refuse(monkeypatch, "execute", error)
    ended = run("run", "--json", saved, "--", "ls")
    assert (3, "") == (ended.status, ended.out)
    assert "EPERM" == json.loads(ended.err)["error"]["errno_name"]


def test_run_ends_as_its_command_does(run: Command, saved: Path, running: list[tuple[str, ...]]) -> None:
    assert Ended(7, "", "") == run("run", saved, "--", "ls", "-l", "--", "--json")
    assert [("ls", "-l", "--", "--json")] == running


def test_a_namespace_that_the_spec_does_not_have_is_a_usage_error(run: Command, saved: Path) -> None:
    """Told before anything is built."""
    ended = run("run", "--namespace", "nosuch", saved, "--", "ls")
    assert (2, "") == (ended.status, ended.out)
    assert "no namespace is called 'nosuch'" in ended.err


def test_without_a_command_run_takes_the_one_of_the_spec_or_a_shell(
    run: Command, tmp_path: Path, running: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/bin/xsh")
    for name, plan in (("a.json", shop()), ("b.json", wide(1))):
        (tmp_path / name).write_text(dump_plan(plan))
        run("run", tmp_path / name)
    assert [("sh",), ("/bin/xsh",)] == running
