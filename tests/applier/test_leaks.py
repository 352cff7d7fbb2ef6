"""What must not reach a command, nor be reached by it: descriptors, directories and processes of the outside.

A command that has one directory of the host has all of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

from mountplan import api, keeping
from mountplan.applier.build import holder
from mountplan.applier.keep import kept as names
from mountplan.applier.observe.table_reader import TableReader
from mountplan.applier.process import init
from mountplan.applier.sys import channel, syscalls
from mountplan.applier.sys.closing import closing_fd
from tests.commands import PROC, How, outcome, programs
from tests.hosts import CHECKOUT, InHost
from tests.keptnames import enter, in_runtime_directory, on_run
from tests.trees import plan_of

pytestmark = pytest.mark.needs_kernel("set-group", "nobody", "userns")

PID = programs('unshare = ["pid"]', PROC)
LINKS = ("root", "cwd", "exe", "fd/0", "ns/mnt")


@pytest.fixture
def as_nobody(in_host: InHost) -> Callable[..., Any]:
    return lambda function, **options: in_host(in_runtime_directory(function), identity="nobody", **options)


class Resident:
    """A process in kept namespaces, as their root: looks at what there is of all other processes in /proc."""

    def __init__(self, name: str) -> None:
        start, self._start = os.pipe()
        self._answer, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._start)
                with names.opened(name) as found, found.entrances(found.namespace()) as fds:
                    for fd in fds:
                        syscalls.setns(fd, 0)
                if os.fork() == 0:
                    os.read(start, 1)
                    os.write(answer, json.dumps(within_reach()).encode())
                    os._exit(0)
                os.wait()
            finally:
                os._exit(0)
        os.close(start)
        os.close(answer)

    def look(self) -> dict[str, list[str]]:
        """By pid, what can be had of it."""
        os.write(self._start, b".")
        with open(self._answer) as file:
            found: dict[str, list[str]] = json.loads(file.read())
        os.close(self._start)
        os.waitpid(self.pid, 0)
        return found


def within_reach() -> dict[str, list[str]]:
    others = [name for name in os.listdir("/proc") if name.isdigit() and name != str(os.getpid())]
    return {pid: [link for link in LINKS if os.path.exists(f"/proc/{pid}/{link}")] for pid in others}


class Paused:
    """Stands in for a function: the first process that calls it tells its pid, and goes on when it is told to."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._begun, self._begin = os.pipe()
        self._go, self._tell = os.pipe()

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        os.write(self._begin, b"%d" % os.getpid())
        os.read(self._go, 1)
        return self.function(*arguments, **options)

    def wait(self) -> str:
        return os.read(self._begun, 20).decode()

    def go_on(self) -> None:
        os.write(self._tell, b".")


def test_who_enters_cannot_be_looked_into_by_those_inside(
    as_nobody: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is in their pid namespace and their user namespace, it still has the root and files of the outside."""

    def script() -> tuple[dict[str, list[str]], int]:
        keeping.keep(plan_of(PID))
        paused = Paused(holder.await_orders)
        monkeypatch.setattr(holder, "await_orders", paused)
        resident = Resident("programs")
        newcomer = os.fork()
        if newcomer == 0:
            status = 99
            try:
                api.enter("programs", "", ("true",))
            except SystemExit as end:
                status = int(end.code or 0)
            finally:
                os._exit(status)
        paused.wait()
        found = resident.look()
        paused.go_on()
        return found, os.waitstatus_to_exitcode(os.waitpid(newcomer, 0)[1])

    found, status = as_nobody(script)
    assert 0 == status
    first, newcomer = sorted(found, key=int)
    assert "root" in found[first], "nobody inside can look at anything"
    assert [] == found[newcomer]


def test_who_looks_at_mounts_cannot_be_looked_into_by_those_inside(as_nobody: Callable[..., Any]) -> None:
    """`ls` enters as well. Where the host's /proc is bound, those inside see it."""

    def script() -> list[str]:
        keeping.keep(plan_of(programs()))
        resident = Resident("programs")
        with names.opened("programs") as found, TableReader() as reader:
            with closing_fd(found.open(found.namespace())) as fd:
                reader.read(fd)  # and it stays there
            return resident.look()[str(reader._child)]

    assert [] == as_nobody(script)


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("how", ["execute", "run"])
def test_process_1_has_let_go_of_the_callers_files_when_the_command_begins(
    how: How, in_host: InHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that it held open would never end for its reader, and a directory leads out. Here it is slow."""
    close_all_but = channel.close_all_but

    def take_your_time(*kept: int) -> None:
        time.sleep(0.3)
        close_all_but(*kept)

    def leak() -> None:
        os.dup2(os.open("/etc", os.O_RDONLY), 40, inheritable=True)

    monkeypatch.setattr(init, "close_all_but", take_your_time)
    ended = in_host(partial(outcome, PID, "ls", "-l", "/proc/1/fd", how=how, prepare=leak), identity="root")
    numbers = {int(line.split()[8]) for line in ended.out.splitlines()[1:]}
    assert numbers, ended.err
    assert not {0, 1, 2, 40} & numbers, ended.out


def test_process_1_that_stays_has_nothing_of_the_callers_environment(as_nobody: Callable[..., Any]) -> None:
    """Whoever enters by other means needs to look at it, so those inside can as well."""

    def mountplan(*arguments: str, text: str = "") -> str:
        environment = {**os.environ, "SECRET": "hunter2", "PYTHONPATH": str(CHECKOUT)}
        command = [sys.executable, "-m", "mountplan", *arguments]
        return subprocess.run(command, input=text, check=True, env=environment, capture_output=True, text=True).stdout

    def script() -> str:
        mountplan("apply", "-", text="format = 1\n" + PID)
        return mountplan("enter", "programs", "--", "cat", "/proc/1/environ").strip("\0")

    assert "" == as_nobody(script)


@pytest.mark.parametrize("how", ["execute", "run"])
def test_process_1_cannot_be_looked_into_from_a_user_namespace(how: How, in_host: InHost) -> None:
    """Its program is the host's Python, and its environment is the caller's, with whatever secrets are in there."""
    look = "cat /proc/1/environ; for link in root cwd exe fd/0; do readlink /proc/1/$link; done; true"
    spec = programs('unshare = ["pid"]\nclear_environment = true\nenvironment = { PATH = "/usr/bin:/bin" }', PROC)
    assert "" == in_host(partial(outcome, spec, "sh", "-c", look, how=how), identity="nobody").out


LINKS_LEAD = """
for n in $(seq 0 99); do [ -e /proc/$$/fd/$n ] && found="$found $n"; done; echo $found
for path in /proc/self/cwd/ /proc/self/root/ / /proc/self/exe /usr/bin/stat; do stat -L -c %d:%i $path; done
"""


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("pid", [False, True], ids=["", "pid"])
@pytest.mark.parametrize("how", ["execute", "run", "enter"])
def test_whatever_the_caller_has_open_a_command_has_three_files_and_is_inside(
    how: str, pid: bool, in_host: InHost
) -> None:
    """With a directory of the host as its working directory, or among its files, it would be out with one `cd ..`."""

    def leak() -> None:
        os.chdir("/etc")
        for number in {3, 9, 63} - set(map(int, os.listdir("/proc/self/fd"))):  # the result is told by one of these
            os.dup2(os.open("/etc", os.O_RDONLY), number, inheritable=True)

    def script() -> str:
        spec = PID if pid else programs()
        if how != "enter":
            return outcome(spec, "sh", "-c", LINKS_LEAD, how=cast(How, how), prepare=leak).out
        keeping.keep(plan_of(spec))
        leak()
        return enter("programs", "sh", "-c", LINKS_LEAD)[1]

    numbers, cwd, root, there, exe, stat = in_host(on_run(script), identity="root").splitlines()
    assert "0 1 2" == numbers
    assert (there, there) == (cwd, root)
    assert stat == exe
