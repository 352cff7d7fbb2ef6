"""docs/howto-editor.md: what Taplo says of specs, by the schema that mountplan prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command_line import Command
from tests.hosts import CHECKOUT

TAPLO = Path(sys.executable).with_name("taplo")
pytestmark = pytest.mark.skipif(not TAPLO.exists(), reason="needs taplo, which is on PyPI")


def checked(directory: Path, *files: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TAPLO, "check", *files], cwd=directory, capture_output=True, text=True)


def test_taplo_takes_every_example_and_tells_of_a_key_that_there_is_not(run: Command, tmp_path: Path) -> None:
    page = (CHECKOUT / "docs/howto-editor.md").read_text()
    (rules,) = re.findall(r"^```\n(\[\[rule\]\]\n.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / ".taplo.toml").write_text(rules)
    (tmp_path / "mountplan.schema.json").write_text(run("schema").out)
    examples = sorted(CHECKOUT.glob("specs/**/*.toml"))
    for number, path in enumerate(examples):
        (tmp_path / f"{number}.toml").write_text(path.read_text())
    done = checked(tmp_path, *(f"{number}.toml" for number in range(len(examples))))
    assert 0 == done.returncode, done.stderr
    (tmp_path / "wrong.toml").write_text('format = 1\n[[mount]]\ntarget = "/"\ntyp = "tmpfs"\n')
    done = checked(tmp_path, "wrong.toml")
    assert 0 != done.returncode
    assert "'typ' was unexpected" in done.stderr
