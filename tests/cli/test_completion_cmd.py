"""completion: what the script knows."""

from __future__ import annotations

import pytest

from tests.cli.command_line import Command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh"])
def test_completion_knows_the_commands(run: Command, shell: str) -> None:
    ended = run("completion", shell)
    assert (0, "") == (ended.status, ended.err)
    assert all(word in ended.out for word in ("check", "apply", "--format", "mermaid"))
    assert ended.out == run("completion", "--json", shell).json()["script"].rstrip("\n") + "\n"


def test_kept_names_and_files_are_completed_where_they_are_wanted(run: Command) -> None:
    """In fish, as its script has a line for each argument."""
    lines = run("completion", "fish").out.splitlines()
    assert any("ls --names" in line and "enter" in line for line in lines)
    assert not any("ls --names" in line and "example" in line for line in lines)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_command_is_described_in_one_line_as_by_help(run: Command, shell: str) -> None:
    """It was the first line of its own help, which ends within a sentence."""
    assert "'preview what would be built, in which order, and why'" in run("completion", shell).out
