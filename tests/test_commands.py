"""A command line that is carried out by a fork is what a program that was started for it is."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Outcome, command_line, programs
from tests.hosts import CHECKOUT, InHost

SEEN = "; ".join(
    (
        "grep -E 'Sig(Blk|Ign|Cgt)|Cap|NoNewPrivs|Seccomp|Groups|Uid|Gid|Umask' /proc/self/status",
        "ls /proc/$$/fd",
        "env",
        "pwd",
        "ulimit -a",
        "cat",
        "echo last >&2",
    )
)


@pytest.fixture
def odd() -> Iterator[None]:
    """What a process leaves to those that it starts, and what it does not."""
    umask = os.umask(0o37)
    handler = signal.signal(signal.SIGUSR1, lambda *_: None)
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, limit[1]))
    open_one = os.open("/", os.O_RDONLY)
    os.set_inheritable(open_one, True)
    yield
    os.close(open_one)
    resource.setrlimit(resource.RLIMIT_CORE, limit)
    signal.signal(signal.SIGUSR1, handler)
    os.umask(umask)


def started(*words: str, cwd: str, environment: dict[str, str]) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "mountplan", *words],
        input="said",
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def told(ended: Outcome) -> tuple[int, str, list[str]]:
    """Without the numbers of processes, two of which tell their calls at once."""
    lines = re.sub(r"(fork\(\) = |/proc/)[1-9]\d*", r"\1N", ended.err).splitlines()
    return ended.status, ended.out, sorted(lines)


ENVIRONMENT = {"PATH": "/usr/bin:/bin", "ONE": "two", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(CHECKOUT)}


@pytest.mark.needs_kernel("mountns")
@pytest.mark.usefixtures("all_imported", "odd")
def test_it_makes_the_same_calls_and_leaves_its_command_the_same_surroundings(in_host: InHost, tmp_path: Path) -> None:
    """Descriptors have their numbers from what is open. What is read of the environment is not the test's."""
    spec = tmp_path / "programs.toml"
    spec.write_text("format = 1\n" + programs())
    words = ("run", "-v", str(spec), "--", "/bin/sh", "-c", SEEN)
    forked = in_host(lambda: command_line(*words, stdin="said", cwd="/usr", environment=ENVIRONMENT))
    assert 0 == forked.status, forked
    assert "fsopen(" in forked.err
    assert told(in_host(lambda: started(*words, cwd="/usr", environment=ENVIRONMENT))) == told(forked)


@pytest.mark.usefixtures("all_imported")
@pytest.mark.parametrize("words", [(), ("check", "nonesuch"), ("plan", "--nonesuch"), ("plan", "--help")])
def test_it_prints_and_ends_the_same(words: tuple[str, ...]) -> None:
    assert started(*words, cwd="/", environment=ENVIRONMENT) == command_line(*words, environment=ENVIRONMENT)
