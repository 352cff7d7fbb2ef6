"""run: signals, being told of the start and the end, and bad conditions to start in."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mountplan import api
from mountplan.planner.errors import CommandNotStarted
from tests.commands import PROC, How, Outcome, Running, outcome, programs
from tests.hosts import PATIENCE, InHost, mount
from tests.trees import plan_of

pytestmark = pytest.mark.needs_kernel("set-group")

WAYS: list[tuple[How, str]] = [("execute", ""), ("run", ""), ("execute", "pid"), ("run", "pid")]
every_way = pytest.mark.parametrize(("how", "kind"), WAYS, ids=[f"{how}-{kind}".rstrip("-") for how, kind in WAYS])


def spec_for(kind: str, run: str = "") -> str:
    return programs(f'{run}\nunshare = ["pid"]', PROC) if kind else programs(run)


# Not `sleep 100`: a shell hears a signal only when the program that it waits for has ended.
PATIENT = "echo ready; while :; do sleep 0.02; done"


@every_way
@pytest.mark.parametrize("name", ["TERM", "HUP", "USR1", "INT", "WINCH"])
def test_a_signal_to_us_is_passed_on_to_the_command_once(name: str, how: How, kind: str, in_host: InHost) -> None:
    def script() -> tuple[int, str]:
        shell = f'n=0; trap "n=\\$((n+1)); [ \\$n = 2 ] && exit 9; echo got" {name}; {PATIENT}'
        running = Running(spec_for(kind), "sh", "-c", shell, how=how)
        running.read_until("ready\n")
        number = getattr(signal, f"SIG{name}")
        os.kill(running.pid, number)
        running.read_until("got\n")
        time.sleep(0.2)  # for a second one to come in, which it should not
        os.kill(running.pid, number)
        return running.end()

    if how == "run" and name in ("INT", "WINCH"):
        pytest.skip("a program that calls run() keeps what it handles itself, and what does not end it")
    assert (9, "ready\ngot\n") == in_host(script)


@every_way
def test_a_command_that_a_signal_ends_is_told_as_128_and_its_number(how: How, kind: str, in_host: InHost) -> None:
    def script() -> tuple[int, str]:
        running = Running(spec_for(kind), "sh", "-c", PATIENT, how=how)
        running.read_until("ready\n")
        os.kill(running.pid, signal.SIGTERM)
        return running.end()

    status, _ = in_host(script)
    assert status in ((-signal.SIGTERM,) if (how, kind) == ("execute", "") else (128 + signal.SIGTERM,))


@every_way
def test_a_sigkill_to_us_leaves_nothing_running(how: How, kind: str, in_host: InHost) -> None:
    def script() -> tuple[int, str]:
        running = Running(spec_for(kind), "sh", "-c", PATIENT, how=how)
        running.read_until("ready\n")
        os.kill(running.pid, signal.SIGKILL)
        return running.end()  # the pipe ends when nobody is left who could write

    assert (-signal.SIGKILL, "ready\n") == in_host(script)


@every_way
def test_a_sigkill_while_building_leaves_nothing_running(how: How, kind: str, in_host: InHost) -> None:
    def script() -> list[int]:
        ends = []
        for delay in range(0, 40, 4):
            running = Running(spec_for(kind), "sh", "-c", PATIENT, how=how)
            time.sleep(delay / 1000)
            os.kill(running.pid, signal.SIGKILL)
            ends.append(running.end()[0])
        return ends

    assert [-signal.SIGKILL] * 10 == in_host(script)


def test_process_1_killed_by_another_process_is_137(in_host: InHost) -> None:
    def script() -> int:
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        running = Running(spec_for("pid"), "sh", "-c", PATIENT, how="run", status_fd=writer)
        os.close(writer)
        running.read_until("ready\n")
        with open(reader) as file:
            os.kill(json.loads(file.readline())["child-pid"], signal.SIGKILL)
        return running.end()[0]

    assert 137 == in_host(script)


@pytest.mark.parametrize("kind", ["", "pid"])
def test_an_exception_in_a_handler_ends_the_command_and_comes_through(kind: str, in_host: InHost) -> None:
    """As Ctrl-C does in a program that calls run(): KeyboardInterrupt."""

    def script() -> tuple[str, float]:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, 0.7)
        started = time.monotonic()
        try:
            api.run(plan_of(spec_for(kind)), ("sleep", "100"))
        except KeyboardInterrupt:
            with pytest.raises(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
            return "interrupted", time.monotonic() - started
        return "not", 0.0

    what, seconds = in_host(script)
    assert "interrupted" == what
    assert seconds < 20 * PATIENCE


def test_a_program_that_calls_run_gets_its_signal_mask_back(in_host: InHost) -> None:
    def script() -> tuple[set[int], int]:
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR2})
        before = len(os.listdir("/proc/self/fd"))
        api.run(plan_of(spec_for("")), ("true",))
        leaked = len(os.listdir("/proc/self/fd")) - before
        return set(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))), leaked

    assert ({int(signal.SIGUSR2)}, 0) == in_host(script)


@pytest.mark.parametrize("kind", ["", "pid"])
def test_a_command_that_does_not_start_raises_and_leaves_nothing(kind: str, in_host: InHost) -> None:
    def script() -> tuple[int, int]:
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(CommandNotStarted) as caught:
            api.run(plan_of(spec_for(kind)), ("nonesuch",))
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        return caught.value.exit_status, len(os.listdir("/proc/self/fd")) - before

    assert (127, 0) == in_host(script)


@every_way
@pytest.mark.parametrize("name", ["", "first", "second"])
def test_the_command_runs_in_the_mount_namespace_that_is_named(name: str, how: How, kind: str, in_host: InHost) -> None:
    """Or in the first."""
    text = '[run]\nunshare = ["pid"]\n' if kind else ""
    for space in ("first", "second"):
        text += f'[[namespace]]\nname = "{space}"\n'
        for tree in programs(mounts=PROC if kind else "").split("[[mount]]")[1:]:
            text += "[[namespace.mount]]" + tree.replace("[[mount.file]]", "[[namespace.mount.file]]")
        text += f'[[namespace.mount]]\ntarget = "/{space}"\ntype = "tmpfs"\n'

    ended = in_host(partial(outcome, text, "ls", "/", how=how, namespace=name))
    assert {name or "first"} == {"first", "second"} & set(ended.out.split()), ended.err


def told(how: How, kind: str, *command: str) -> tuple[Outcome, list[dict[str, int]]]:
    fd = os.memfd_create("status")
    ended = outcome(spec_for(kind), *command, how=how, status_fd=fd)
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd) as file:
        return ended, [json.loads(line) for line in file]


@every_way
def test_status_fd_tells_of_the_start_and_the_end(how: How, kind: str, in_host: InHost) -> None:
    ended, lines = in_host(partial(told, how, kind, "sh", "-c", "echo $$; readlink /proc/self/ns/mnt; kill -KILL $$"))
    pid, namespace = ended.out.split()
    assert 137 == ended.status
    started, last = lines
    assert {"exit-code": 137} == last
    assert f"mnt:[{started['mnt-namespace']}]" == namespace
    assert started["child-pid"] == int(pid) or kind
    assert ({"pid-namespace"} if kind else set()) == started.keys() - {"child-pid", "mnt-namespace"}


@every_way
def test_status_fd_says_nothing_of_a_command_that_did_not_start(how: How, kind: str, in_host: InHost) -> None:
    ended, lines = in_host(partial(told, how, kind, "nonesuch"))
    assert (127, []) == (ended.status, lines)


@every_way
def test_a_status_descriptor_that_is_not_open_is_an_error(how: How, kind: str, in_host: InHost) -> None:
    ended = in_host(partial(outcome, spec_for(kind), "true", how=how, status_fd=77))
    assert 2 == ended.status
    assert "descriptor 77" in ended.err


def close(*numbers: int) -> Callable[[], None]:
    def prepare() -> None:
        for number in numbers:
            os.close(number)

    return prepare


@every_way
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_what_is_closed_stays_closed(closed: tuple[int, ...], how: How, kind: str, in_host: InHost) -> None:
    """The pipes and namespace files of ours must not end up as the command's stdin, stdout or stderr."""

    def script() -> tuple[int, list[str]]:
        mount("none", "/tmp", "tmpfs")
        Path("/tmp/list").write_text("")
        mounts = '[[mount]]\ntarget = "/list"\nbind = "/tmp/list"\n'
        spec = programs('unshare = ["pid"]' if kind else "", mounts + (PROC if kind else ""))
        look = 'for n in $(seq 0 99); do [ -e /proc/self/fd/$n ] && found="$found $n"; done; echo $found >/list; exit 5'
        ended = outcome(spec, "sh", "-c", look, how=how, prepare=close(*closed))
        return ended.status, Path("/tmp/list").read_text().split()

    status, numbers = in_host(script)
    assert 5 == status
    assert {0, 1, 2} - set(closed) == set(map(int, numbers))


@every_way
def test_a_low_limit_of_descriptors_is_enough(how: How, kind: str, in_host: InHost) -> None:
    """And descriptors above the limit, which were open before it was set, do not reach the command either."""

    def prepare() -> None:
        os.dup2(0, 200, inheritable=True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    ended = in_host(partial(outcome, spec_for(kind), "ls", "/proc/self/fd", how=how, prepare=prepare))
    assert (0, ["0", "1", "2", "3"]) == (ended.status, sorted(ended.out.split())), ended.err


@every_way
def test_a_limit_that_is_too_low_is_told_in_words(how: How, kind: str, in_host: InHost) -> None:
    def leave(room: int) -> None:
        opened = {int(name) for name in os.listdir("/proc/self/fd")}
        for fd in set(range(max(opened))) - opened:
            os.dup2(0, fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(opened) + room, max(opened) + room))

    def script() -> list[Outcome]:
        return [outcome(spec_for(kind), "true", how=how, prepare=partial(leave, room)) for room in range(1, 14)]

    ends = in_host(script)
    assert 3 == ends[0].status
    for ended in ends:
        if ended.status:
            assert 3 == ended.status, ended.err
            assert "Too many open files" in ended.err
            assert "ulimit -n" in ended.err


@pytest.mark.needs_kernel("nobody", "userns")
@every_way
def test_a_limit_of_processes_is_told_in_words(how: How, kind: str, in_host: InHost) -> None:
    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))

    ended = in_host(partial(outcome, spec_for(kind), "true", how=how, prepare=prepare), identity="nobody")
    assert 3 == ended.status
    assert "no more processes are allowed" in ended.err
