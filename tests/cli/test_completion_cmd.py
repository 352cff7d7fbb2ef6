"""completion: what the script knows."""

from __future__ import annotations

import pytest

from tests.cli.command_line import Command


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_the_commands(run: Command, shell: str) -> None:
    ended = run("completion", shell)
    assert (0, "") == (ended.status, ended.err)
    assert all(word in ended.out for word in ("check", "apply", "--format", "mermaid"))
    assert ended.out == run("completion", "--json", shell).json()["script"].rstrip("\n") + "\n"
