"""The fixtures that watch over every other test: each must bark when it should.

One inner test run, in a host of its own to spoil, has a test for each bad habit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts import CHECKOUT, Identity, run_in_host
from tests.privileges import require

BAD_HABITS = """
import os
import time
import pytest
from hypothesis import given, strategies
from tests.hosts import mount

fd = os.open("/etc/passwd", os.O_RDONLY)

def test_good(in_host):
    assert in_host(lambda: mount("", "/tmp", "tmpfs") or os.geteuid()) == 0

def test_mounts(tmp_path):
    mount("none", str(tmp_path), "tmpfs")

def test_opens():
    os.open("/etc/hostname", os.O_RDONLY)

def test_closes():
    os.close(fd)

def test_fails():
    with open("/etc/hostname") as file:
        assert file is None

@pytest.mark.needs_kernel("mkfs.none")
def test_needs():
    assert False

def test_forks():
    os.fork() or os._exit(0)

@given(strategies.none())
def test_generated(_):
    time.sleep(0.3)
"""


def inner_run(folder: Path, identity: Identity, only: str = "") -> str:
    """What pytest says about the tests above, run with our conftest in a throw-away host."""
    folder.chmod(0o777)
    (folder / "test_inner.py").write_text(BAD_HABITS)
    (folder / "conftest.py").write_text('pytest_plugins = ["tests.conftest"]\n')
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  needs_kernel\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-rA", "--tb=short"]
    command += ["--basetemp", str(folder / "temporary")]
    command += ["-k", only] if only else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"HOME": str(folder), "PYTHONPATH": str(CHECKOUT), "MOUNTPLAN_REQUIRE_KERNEL": "0", "COLUMNS": "200"}

    def run() -> str:
        done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        return done.stdout.decode() + done.stderr.decode()

    return run_in_host(run, identity=identity, reach=[folder])


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> str:
    require("mountns")
    return inner_run(tmp_path_factory.mktemp("inner"), "best")


def outcomes(said: str, test: str) -> list[str]:
    """How a test ended, and whether its clean-up was in error, from the summary at the end."""
    return [line.split()[0] for line in said.splitlines() if f"::{test}" in line and line.split()[0].isupper()]


def test_a_well_behaved_test_passes(said: str) -> None:
    assert ["PASSED"] == outcomes(said, "test_good")


def test_a_change_of_the_hosts_mount_table_is_an_error_that_names_it(said: str) -> None:
    assert ["PASSED", "ERROR"] == outcomes(said, "test_mounts")
    assert "the host's mount table has changed" in said
    assert [line for line in said.splitlines() if line.startswith("+") and "test_mounts0 " in line]


def test_a_descriptor_that_is_left_open_is_an_error_that_names_it(said: str) -> None:
    assert ["PASSED", "ERROR"] == outcomes(said, "test_opens")
    assert "is left open: /etc/hostname" in said


def test_a_descriptor_that_was_not_the_tests_to_close_is_an_error(said: str) -> None:
    assert ["PASSED", "ERROR"] == outcomes(said, "test_closes")
    assert "was closed: /etc/passwd" in said


def test_what_a_failed_test_had_open_is_not_told_as_a_second_fault(said: str) -> None:
    assert ["FAILED"] == outcomes(said, "test_fails")


def test_a_child_that_nobody_waited_for_is_an_error(said: str) -> None:
    assert ["PASSED", "ERROR"] == outcomes(said, "test_forks")
    assert "a child process is still running, or was never waited for" in said


def test_a_generated_test_may_take_its_time(said: str) -> None:
    """How long an example takes depends on what else the machine does."""
    assert "PASSED test_inner.py::test_generated" in said


def test_a_skip_names_its_reason(said: str) -> None:
    assert "needs mkfs.none: there is no program mkfs.none here" in said
    assert "1 skipped" in said


@pytest.mark.needs_kernel("nobody")
def test_without_root_a_user_namespace_does(tmp_path: Path) -> None:
    """An ordinary user is not asked to become root for the tests to mean something."""
    assert ["PASSED"] == outcomes(inner_run(tmp_path, "nobody", "test_good"), "test_good")
