"""What the process that starts the tests hands to them decides nothing."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest

from tests.hosts import CHECKOUT, run_in_child
from tests.inherited import settle

ODD = """
import os, resource, signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD, signal.SIGTSTP):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1, signal.SIGTERM})
os.umask(0o077)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
os.chdir("/")
os.environ |= {"NO_COLOR": "1", "COLUMNS": "20", "LC_ALL": "tr_TR", "XDG_RUNTIME_DIR": "/none"}
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
SHOW = """
import os, subprocess, sys
sys.path.insert(0, %r)
from tests.inherited import settle
if sys.argv[1:] == ["settle"]:
    settle()
subprocess.run(["sh", "-c", "umask; ulimit -Sn; pwd; grep -E 'Sig(Blk|Ign)' /proc/self/status; env | sort"], check=True)
"""


def what_a_program_gets(*words: str, odd: bool) -> list[str]:
    command = ["-c", SHOW % str(CHECKOUT), *words]
    whole = [sys.executable, "-c", ODD, *command] if odd else [sys.executable, *command]
    lines = subprocess.run(whole, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if not line.startswith(("_=", "OLDPWD=", "PWD="))]


def test_programs_get_the_same_from_a_background_job_and_from_a_login() -> None:
    assert what_a_program_gets(odd=False) != what_a_program_gets(odd=True)
    assert what_a_program_gets("settle", odd=False) == what_a_program_gets("settle", odd=True)


def test_what_was_to_be_ignored_does_not_end_the_tests() -> None:
    """Ctrl-C is not for a job in the background."""

    def script() -> bool:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        settle()
        os.kill(os.getpid(), signal.SIGINT)
        return signal.getsignal(signal.SIGINT) != signal.SIG_IGN

    assert run_in_child(script)


def test_a_throw_away_host_ignores_and_handles_nothing() -> None:
    def script() -> set[signal.Signals]:
        odd = (number for number in signal.valid_signals() if signal.getsignal(number) not in (signal.SIG_DFL, None))
        return {signal.Signals(number) for number in odd}

    before = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    try:
        assert {signal.SIGPIPE, signal.SIGXFSZ} == run_in_child(script)
    finally:
        signal.signal(signal.SIGQUIT, before)


def test_a_hard_limit_of_few_descriptors_is_kept() -> None:
    def script() -> tuple[int, int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 256))
        settle()
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    assert (256, 256) == run_in_child(script)


@pytest.mark.parametrize("name", ["NO_COLOR", "COLUMNS", "XDG_RUNTIME_DIR", "LC_ALL"])
def test_this_run_has_none_of_what_decides_how_output_looks(name: str) -> None:
    assert name not in os.environ
