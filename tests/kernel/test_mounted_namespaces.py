"""Files of namespaces that a spec names by a process, or by their path: built, read back, captured."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.sys import abi, syscalls
from mountplan.planner.errors import StepRefused
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.plan import Plan
from tests.hosts import InHost, mount
from tests.mountflags import MS_BIND

pytestmark = pytest.mark.needs_kernel("mountns")

SPEC = """
format = 1
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
target = "/run/blue"
bind = { namespace = "%s" }
"""


@contextmanager
def process(*kinds: str, act: str = "") -> Iterator[int]:
    """Lend the pid of a process in new namespaces of these kinds, in which its file `act` is mounted on /mnt/ns."""
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for kind in kinds:
                syscalls.unshare(abi.CLONE_NEWNS if kind == "mnt" else abi.NAMESPACE_FLAGS[kind])
            if act:
                mount(f"/proc/self/ns/{act}", "/mnt/ns", flags=MS_BIND)
            os.write(told, b"x")
            signal.pause()
        finally:
            os._exit(1)
    try:
        assert b"x" == os.read(ready, 1)
        yield pid
    finally:
        os.close(ready)
        os.close(told)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def plan_of(name: str) -> Plan:
    return api.plan(parse_spec((SPEC % name).encode()))


def shown(plan: Plan) -> list[str]:
    """The roots of all that is of nsfs in what the plan builds."""
    ((_, table),) = api.build_and_forget(plan).tables
    return [row.root for row in table.rows if row.fstype == "nsfs"]


@pytest.mark.needs_kernel("root")
def test_the_file_of_another_process_is_mounted(in_host: InHost) -> None:
    def host() -> tuple[str, list[str], list[str]]:
        with process("net") as pid:
            there = os.readlink(f"/proc/{pid}/ns/net")
            return there, shown(plan_of(f"net:{pid}")), shown(plan_of(f"/proc/{pid}/ns/net"))

    there, by_process, by_path = in_host(host, identity="root")
    assert [there] == by_process == by_path
    assert there != os.readlink("/proc/self/ns/net")


def test_an_ordinary_user_mounts_those_of_what_runs_outside_the_user_namespace(in_host: InHost) -> None:
    """Inside of it, no process of the outside may be looked at, and /proc/self/ns/user is another one."""

    def host() -> tuple[list[str], list[str], list[str]]:
        with process() as pid:
            wanted = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "user")]
            return wanted, shown(plan_of(f"net:{pid}")), shown(plan_of("user:self"))

    (net, user), found, own = in_host(host, identity="nobody")
    assert ([net], [user]) == (found, own)


@pytest.mark.needs_kernel("root")
def test_a_plan_refuses_the_file_of_another_namespace_than_it_was_made_for(in_host: InHost, tmp_path: Path) -> None:
    link = tmp_path / "link"

    def host() -> tuple[int | None, str]:
        with process("net") as one, process("net") as other:
            link.symlink_to(f"/proc/{one}/ns/net")
            plan = plan_of(f"net:{link}")
            link.unlink()
            link.symlink_to(f"/proc/{other}/ns/net")
            with pytest.raises(StepRefused) as caught:
                api.build_and_forget(plan)
            return caught.value.errno, str(caught.value)

    number, said = in_host(host, identity="root")
    assert errno.ESTALE == number
    assert "another namespace there than when this was planned" in said


@pytest.mark.needs_kernel("root")
def test_more_files_than_are_held_open_at_once_are_mounted(in_host: InHost) -> None:
    def host() -> int:
        from mountplan.applier.sys import held_namespaces

        held_namespaces._MOST_HELD = 2
        text = SPEC % f"net:{os.getpid()}"
        for kind in ("uts", "ipc", "pid", "cgroup"):
            text += f'[[mount]]\ntarget = "/{kind}"\nbind = {{ namespace = "{kind}:{os.getpid()}" }}\n'
        return len(shown(api.plan(parse_spec(text.encode()))))

    assert 5 == in_host(host, identity="root")


@pytest.mark.needs_kernel("root")
def test_a_captured_file_is_named_by_the_process_that_is_captured(in_host: InHost) -> None:
    def host() -> tuple[str, int, list[str], str]:
        mount("t", "/mnt", "tmpfs")
        open("/mnt/ns", "x").close()
        with process("mnt", "uts", act="uts") as pid:
            captured = api.capture(pid)
            plan = api.plan(parse_spec(captured.text.encode()))
            return captured.text, pid, shown(plan), os.readlink(f"/proc/{pid}/ns/uts")

    text, pid, found, there = in_host(host, identity="root")
    assert f'bind = {{ namespace = "uts:{pid}" }}' in text
    assert [there] == found
