"""apply: what it prints, and how it ends."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from mountplan.planner.errors import (
    CommandNotStarted,
    MountplanError,
    NamespaceRefused,
    PlanRefused,
    SpecRef,
    StepRefused,
)
from mountplan.planner.plan.plan import Plan
from tests.cli.command_line import Command, Ended, refuse
from tests.planner.plans import shop


def test_apply_shows_what_stood_there_with_the_names_of_the_spec(
    run: Command, saved: Path, applying: list[Plan]
) -> None:
    ended = run("apply", "--forget", saved)
    assert (0, "") == (ended.status, ended.err)
    assert [shop()] == applying
    assert ended.out.startswith('Built "shop": 2 mounts, 56 steps, 0.25 s\n')
    assert re.search(r"^└─srv/data +tmpfs +tmpfs +rw,relatime +shared:data$", ended.out, re.M)
    assert "Verified: it was read back from the kernel and compared" in ended.out
    assert f"mountplan run {saved} -- COMMAND" in ended.out


def test_apply_quietly_prints_nothing(run: Command, saved: Path, applying: list[Plan]) -> None:
    assert Ended(0, "", "") == run("apply", "--forget", "-q", saved)
    assert [shop()] == applying


def test_apply_as_json(run: Command, saved: Path, applying: list[Plan]) -> None:
    document = run("apply", "--forget", "--json", saved).json()
    assert {
        "name": "shop",
        "file": "shop.toml",
        "verified": True,
        "steps": 56,
        "seconds": 0.25,
    }.items() <= document.items()
    ((_, data),) = [namespace["mounts"] for namespace in document["namespaces"]]
    assert ("/srv/data", 77, "shared:data") == (data["mountpoint"], data["peer_group"], data["sharing"])


REFUSALS: list[tuple[MountplanError, int, str]] = [
    (PlanRefused(("x must precede itself",)), 1, "cannot be built as it is written: x must precede itself"),
    (
        StepRefused(
            number=3, step="make the yard", origin=SpecRef("shop.toml", "mount[0]", 10), syscall="fsopen",
            errno=errno.EPERM, meaning="not permitted", remedy="become root",
        ),
        3,
        "shop.toml:10: mount[0]: step 3, make the yard: fsopen: not permitted\n  remedy: become root",
    ),
    (NamespaceRefused("unshare", "not permitted", "become root"), 3, "unshare: not permitted\n  remedy: become root"),
    (CommandNotStarted("no such command: x", exit_status=127), 127, "no such command: x"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "status", "message"), REFUSALS, ids=lambda value: type(value).__name__)
def test_a_refusal_is_told_on_standard_error_and_by_the_exit_status(
    run: Command, saved: Path, monkeypatch: pytest.MonkeyPatch, error: MountplanError, status: int, message: str
) -> None:
    refuse(monkeypatch, "build_and_forget", error)
    ended = run("apply", "--forget", saved)
    assert (status, "") == (ended.status, ended.out)
    assert ended.err.startswith(f"mountplan: {message}")
    as_json = run("apply", "--forget", "--json", saved)
    assert (status, "") == (as_json.status, as_json.err)
    assert {"code": error.code, "exit_status": status}.items() <= as_json.json()["error"].items()
