"""Whatever happens, it is told in one way, without a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mountplan.planner.errors import (
    Mistake,
    SpecError,
    SpecRef,
)
from tests.cli.command_line import Command, Ended, refuse


def test_an_exception_that_python_had_no_memory_for_is_want_of_memory(
    run: Command, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "build_and_forget", SystemError("error return without exception set"))
    ended = run("apply", "--forget", saved)
    assert (3, "") == (ended.status, ended.out)
    assert "ENOMEM" in ended.err


def test_a_bug_is_told_without_a_traceback(run: Command, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "build_and_forget", ZeroDivisionError("by \x1b nought"))
    ended = run("apply", "--forget", saved)
    assert (70, "") == (ended.status, ended.out)
    assert r"this is a bug in mountplan: ZeroDivisionError: by \x1b nought (command_line.py:" in ended.err
    assert "Traceback" not in ended.err
    assert "bug" == run("apply", "--forget", "--json", saved).json()["error"]["code"]
    monkeypatch.setenv("MOUNTPLAN_DEBUG", "1")
    ended = run("apply", "--forget", saved)
    assert (70, "") == (ended.status, ended.out)
    assert "Traceback" in ended.err


def test_an_interrupt_says_so_and_no_more(run: Command, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "build_and_forget", KeyboardInterrupt())
    assert Ended(130, "", "mountplan: interrupted\n") == run("apply", "--forget", saved)


def test_no_error_text_reaches_the_terminal_as_it_is(run: Command, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    what = "a\x1b[2Jb" + os.fsdecode(b"\xff")
    refuse(monkeypatch, "load", SpecError((Mistake(SpecRef("x\x07", "k", 1), what, "r\r"),)))
    ended = run("plan", spec)
    assert 2 == ended.status
    assert r"x\x07:1: k: a\x1b[2Jb\xff" in ended.err
