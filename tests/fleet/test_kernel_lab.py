"""What contrib/ has for kernel labs: the example tests under xdist, the guest's script, and the action."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.fleet_hosts import FLEET, fleet_of
from tests.hosts import CHECKOUT, PATIENCE, InHost

LAB = CHECKOUT / "contrib" / "kernel-lab"
GITHUB = CHECKOUT / "contrib" / "github"


@pytest.mark.needs_kernel("mountns", "set-group")
def test_the_example_passes_under_xdist(tmp_path: Path, in_host: InHost) -> None:
    """The plugin comes with mountplan; several workers build at once, each test a tree of its own."""
    (tmp_path / "test_sharing.py").write_text((LAB / "test_sharing.py").read_text())
    words = ["-n", "2", "-p", "no:cacheprovider", "--mountplan-require", f"--basetemp={tmp_path}/base", "-v"]

    def script() -> tuple[int, str]:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *words], cwd=tmp_path, capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)}, timeout=100 * PATIENCE,
        )  # fmt: skip
        return ended.returncode, ended.stdout

    status, out = in_host(script, timeout=120)
    assert 0 == status, out
    assert "6 passed" in out
    assert {"gw0", "gw1"} == set(re.findall(r"^\[(gw\d)\]", out, re.M))


def vng(tmp_path: Path, body: str) -> dict[str, str]:
    """A `vng` that does what a guest would, here."""
    program = tmp_path / "bin" / "vng"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    return os.environ | {
        "PATH": path,
        "PYTHON": sys.executable,
        "PYTHONPATH": str(CHECKOUT),
        "OUT": str(tmp_path / "o"),
    }


@pytest.mark.parametrize(("test", "status"), [("assert True", 0), ("assert False", 1)])
def test_the_lab_ends_as_pytest_does_in_the_guest(tmp_path: Path, test: str, status: int) -> None:
    """The guest's own exit status may get lost on the way, so it is written down."""
    (tmp_path / "test_it.py").write_text(f"def test_it() -> None:\n    {test}\n")
    environment = vng(tmp_path, 'echo "$@" >"$OUT/../words"\nfor last; do :; done\nsh -c "$last"\nexit 3')
    line: list[str | Path] = [LAB / "lab", "v6.12", "-q", "-k", "it and not other"]
    ended = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60 * PATIENCE)
    assert status == ended.returncode, ended.stderr
    assert f"Linux {os.uname().release}\n" in ended.stdout
    assert f"1 {'failed' if status else 'passed'}" in ended.stdout
    assert "--run v6.12" in (tmp_path / "words").read_text()


def test_a_kernel_that_does_not_boot_is_told(tmp_path: Path) -> None:
    environment = vng(tmp_path, "echo no such kernel; exit 1")
    line: list[str | Path] = [LAB / "lab", "v0.1"]
    ended = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert 125 == ended.returncode
    assert "no such kernel\nlab: v0.1 did not boot" in ended.stderr


@pytest.mark.skipif(bool(fleet_of()), reason=fleet_of() or "there is one")
@pytest.mark.parametrize(("schema", "file"), [("workflows", "kernels.yml"), ("actions", "action.yml")])
def test_the_workflow_and_the_action_are_of_githubs_schema(schema: str, file: str) -> None:
    program = FLEET / "bin" / "check-jsonschema"
    line: list[str | Path] = [program, "--builtin-schema", f"vendor.github-{schema}", GITHUB / file]
    ended = subprocess.run(line, capture_output=True, text=True)
    assert 0 == ended.returncode, ended.stdout + ended.stderr


def test_the_workflow_uses_what_lies_beside_it() -> None:
    action = (GITHUB / "action.yml").read_text()
    assert "../kernel-lab/lab" in action
    assert LAB.joinpath("lab").exists()
    used = set(re.findall(r"^ +(kernel|arguments|python|cpus): ", (GITHUB / "kernels.yml").read_text(), re.M))
    assert used <= set(re.findall(r"^  (\w+):$", action, re.M))
