"""Fixtures for tests of single commands: command lines in this process, specs, and stand-ins for the kernel."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from mountplan import api
from mountplan.applier.sys.report import Reporter
from mountplan.cli import main
from mountplan.planner.ask.foresight import Foresight
from mountplan.planner.plan.mountcount import Peak
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan
from tests.cli.command_line import SPEC, WRONG, Command, Ended, applied
from tests.planner.plans import shop


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Carry out one command line in this process."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*words: str | Path, stdin: bytes | None = None) -> Ended:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    return command


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.toml"
    path.write_text(WRONG)
    return path


@pytest.fixture
def foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans made by hand are neither carried out in the model nor tried: this host is not the one that they are for."""
    monkeypatch.setattr(api, "try_out", lambda plan, **_: None)  # for a user without root it looks at the host's paths
    monkeypatch.setattr(api, "foresee", lambda plan, **_: Foresight(api.predict(plan), Peak(1, 1)))
    monkeypatch.setattr(api, "check_mount_count", lambda plan, most: None)


@pytest.fixture
def saved(tmp_path: Path, foreseen: None) -> Path:
    path = tmp_path / "shop.json"
    path.write_text(dump_plan(shop()))
    return path


@pytest.fixture
def applying(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Stands in for the kernel; holds the plans that were applied."""
    seen: list[Plan] = []

    def apply(plan: Plan, reporter: Reporter | None = None, **_: object) -> api.Applied:
        seen.append(plan)
        return applied(plan)

    monkeypatch.setattr(api, "build_and_forget", apply)
    return seen


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Stands in for the kernel; holds the commands that were run. Every one of them ends with status 7."""
    seen: list[tuple[str, ...]] = []

    def execute(plan: Plan, command: tuple[str, ...], reporter: Reporter | None = None, **_: object) -> NoReturn:
        seen.append(command)
        raise SystemExit(7)

    monkeypatch.setattr(api, "execute", execute)
    return seen
