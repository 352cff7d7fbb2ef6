"""Processes of ours that are in a tree, or hold one, give those who live in there nothing that is the host's."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from mountplan import api, keeping
from mountplan.applier.sys import syscalls
from tests.commands import PROC, Outcome, outcome, programs
from tests.hosts import CHECKOUT, Identity, InHost
from tests.keptnames import in_runtime_directory, on_run
from tests.trees import plan_of

pytestmark = pytest.mark.needs_kernel("root", "nobody", "set-group")

PR_GET_DUMPABLE = 3
LOOK = "cd /proc/{0}; readlink -v exe root fd/*; head -c 1 maps; head -c 1 environ; head -c 1 mem; exit 0"


def assert_all_denied(errors: str) -> None:
    """Each of what LOOK tries."""
    assert errors.count("Permission denied") == len(errors.splitlines()) >= 6, errors


@pytest.mark.parametrize(
    ("who", "run"),
    [("nobody", ""), ("root", 'unshare = ["pid", "user"]'), ("root", 'capabilities = []\nunshare = ["pid"]')],
)
def test_process_1_of_a_command_cannot_be_looked_into(who: Identity, run: str, in_host: InHost) -> None:
    """Not even by root of a user namespace that maps all ids: its memory is of a process from outside of that."""
    spec = programs(run or 'unshare = ["pid"]', PROC)
    ended = in_host(partial(outcome, spec, "sh", "-c", LOOK.format(1)), identity=who)
    assert (0, "") == ended[:2]
    assert_all_denied(ended.err)


def test_only_who_may_trace_the_hosts_processes_can_look_into_it(in_host: InHost) -> None:
    """Root without a user namespace, and with CAP_SYS_PTRACE: docs/security.md says so."""
    spec = programs('unshare = ["pid"]', PROC)
    assert 0 == in_host(partial(outcome, spec, "readlink", "/proc/1/exe"), identity="root").status


@pytest.mark.parametrize("who", ["root", "nobody"])
def test_process_1_of_what_is_kept_is_nothing_of_the_hosts(who: Identity, in_host: InHost) -> None:
    def work() -> Outcome:
        keeping.keep(plan_of(programs('unshare = ["pid"]', PROC)))
        command = [
            sys.executable,
            "-m",
            "mountplan",
            "enter",
            "programs",
            "--",
            "sh",
            "-c",
            "readlink /proc/1/exe; cat /proc/1/maps",
        ]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
        return Outcome(done.returncode, done.stdout, done.stderr)

    ended = in_host(on_run(work) if who == "root" else in_runtime_directory(work), identity=who)
    assert 0 == ended.status, ended.err
    exe, *maps = ended.out.splitlines()
    assert "/memfd:command (deleted)" == exe
    paths = {words[5] for line in maps if len(words := line.split(maxsplit=5)) > 5}
    assert {"/memfd:command (deleted)"} == {path for path in paths if not path.startswith("[")}


@pytest.mark.parametrize(("who", "run"), [("nobody", ""), ("root", 'unshare = ["user"]')])
def test_the_holder_of_a_tree_cannot_be_looked_into(who: Identity, run: str, in_host: InHost) -> None:
    def work() -> tuple[str, str, str, int]:
        with api.build(plan_of(programs(run))) as tree:
            holder = tree.pid
            done = tree.run(["sh", "-c", LOOK.format(holder)])
            assert {"tmp", "usr"} <= {path.name for path in tree.root.iterdir()}
            return done.stdout, done.stderr, tree.observe().rows[0].mountpoint, tree.call(_dumpable)

    out, err, root, dumpable = in_host(work, identity=who)
    assert ("", "/", 0) == (out, root, dumpable)
    assert_all_denied(err)


def _dumpable() -> int:
    return syscalls.prctl(PR_GET_DUMPABLE, 0)


@pytest.mark.needs_kernel("strace")
@pytest.mark.parametrize("words", ["run {spec} -- true", "enter programs -- true"])
def test_a_process_hides_before_it_enters_a_tree(words: str, in_host: InHost, tmp_path: Path) -> None:
    def work() -> str:
        spec, log = tmp_path / "spec.toml", tmp_path / "log"
        spec.write_text("format = 1\n" + programs())
        if words.startswith("enter"):
            keeping.keep(plan_of(programs()))
        trace = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=prctl,setns,execve,execveat,unshare,pivot_root"]
        command = [sys.executable, "-m", "mountplan", *words.format(spec=spec).split()]
        subprocess.run([*trace, *command], cwd=CHECKOUT, check=True, capture_output=True)
        return log.read_text()

    hidden: set[str] = set()
    own: set[str] = set()  # processes in a mount namespace that they have just made, in which no tree stands yet
    entered = 0
    for line in in_host(on_run(work), identity="root").splitlines():
        pid, _, call = line.partition(" ")
        if "PR_SET_DUMPABLE, SUID_DUMP_DISABLE" in call:
            hidden.add(pid)
        elif re.match(r" *unshare\(.*CLONE_NEWNS", call):
            own.add(pid)
        elif "pivot_root(" in call:
            own.discard(pid)
        elif re.match(r" *setns\(.*= 0", call) and pid not in own:
            entered += 1
            assert pid in hidden, line
    assert entered
