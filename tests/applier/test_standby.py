"""The process that builds one plan after another: as a child of the caller would, whatever has become of the caller."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mountplan.applier.build import build as building
from mountplan.applier.build.standby import Standby
from mountplan.applier.sys import abi, syscalls
from mountplan.planner.errors import NamespaceRefused, StepRefused
from mountplan.planner.plan.plan import Plan
from mountplan.tree import Tree, build
from tests.hosts import InHost, moments
from tests.trees import TWO_NAMESPACES, plan_of

pytestmark = pytest.mark.needs_kernel("mountns", "root")

INHERITED = 'root = "inherit"\n[[mount]]\ntarget = "/mnt"\nbind = "/mnt"\n'


def _read(path: str) -> str:
    return Path(path).read_text()


class Usual:
    """Counts the builds that take a fork."""

    def __init__(self) -> None:
        self.count = 0
        self._fork = building._fork
        building._fork = self

    def __call__(self, *values: object, **named: object) -> building.Built:
        self.count += 1
        return self._fork(*values, **named)  # type: ignore[arg-type]


def _with(standby: Standby, plan: Plan) -> Tree:
    return build(plan, standby=standby)


def _gone(*pids: int) -> bool:
    return any(not [pid for pid in pids if os.path.exists(f"/proc/{pid}")] for _ in moments())


def test_a_tree_is_built_without_a_fork_and_can_do_what_any_can(in_host: InHost) -> None:
    """The holder has nothing but the namespaces, and ends with the tree."""

    def do() -> None:
        usual, standby = Usual(), Standby()
        standby.start()
        for _ in range(3):
            with _with(standby, plan_of(TWO_NAMESPACES)) as tree, _with(standby, plan_of(TWO_NAMESPACES)) as other:
                assert () == tree.drift()
                assert "hello" == tree.call(_read, "/greeting", namespace="two")
                tree.mount("/sub", create=True, namespace="one")
                assert {"/", "/sub"} == set(tree.mounts("two"))
                assert {"/"} == set(other.mounts("two"))
                holders = tree.pid, other.pid
                found = {os.readlink(f"/proc/{tree.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{tree.pid}/fd")}
                assert {"/dev/null", "/", "pipe", "mnt"} == {one.partition(":")[0] for one in found}
            assert _gone(*holders)
        assert 0 == usual.count
        pid = standby.pid
        standby.close()
        assert _gone(pid)

    in_host(do)


def test_it_is_built_where_the_caller_is_by_now(in_host: InHost, tmp_path: Path) -> None:
    """Another mount namespace, root or capability than the process has: it is of no use any more."""

    def enter_namespace() -> None:
        syscalls.unshare(abi.CLONE_NEWNS)
        syscalls.mount(b"/", abi.MS_PRIVATE | abi.MS_REC)
        syscalls.mount_classic(b"tmpfs", b"/mnt", b"tmpfs", 0, None)
        Path("/mnt/greeting").write_text("hello")

    def change_root() -> None:
        enter_namespace()
        os.chroot("/")
        syscalls.mount_classic(b"/", str(tmp_path).encode(), None, abi.MS_BIND | abi.MS_REC, None)
        os.chroot(tmp_path)

    def lose_capability() -> None:
        enter_namespace()
        effective, permitted, inheritable = syscalls.capget()
        syscalls.capset(effective & ~(1 << 0), permitted & ~(1 << 0), inheritable)

    for change in (enter_namespace, change_root, lose_capability):
        in_host(partial(_built_after, change), reach=[tmp_path])


def _built_after(change: Callable[[], None]) -> None:
    usual, standby = Usual(), Standby()
    standby.start()
    _with(standby, plan_of(TWO_NAMESPACES)).close()
    assert 0 == usual.count
    before = standby.pid
    change()
    for _ in range(2):
        with _with(standby, plan_of(INHERITED)) as tree:
            assert "hello" == tree.call(_read, "/mnt/greeting")
    assert 1 == usual.count
    assert standby.pid != before
    assert _gone(before)


def test_it_keeps_no_directory_of_the_callers_busy_and_does_not_need_it(in_host: InHost) -> None:
    def do() -> None:
        syscalls.mount_classic(b"tmpfs", b"/mnt", b"tmpfs", 0, None)
        os.chdir("/mnt")
        standby = Standby()
        standby.start()
        with _with(standby, plan_of(TWO_NAMESPACES)):
            os.chdir("/")
            syscalls.umount2(b"/mnt", 0)
            _with(standby, plan_of(TWO_NAMESPACES)).close()

    in_host(do)


def test_a_refused_step_is_told_as_ever_and_the_next_tree_is_built(in_host: InHost) -> None:
    """The process has got stuck on its way: it ends, and another is started."""

    def do() -> None:
        standby = Standby()
        standby.start()
        syscalls.mount_classic(b"tmpfs", b"/mnt", b"tmpfs", 0, None)
        os.mkdir("/mnt/gone")
        plan = plan_of(INHERITED.replace('bind = "/mnt"', 'bind = "/mnt/gone"'))
        os.rmdir("/mnt/gone")
        said = []
        for one in (standby, None, standby):
            with pytest.raises(StepRefused) as caught:
                build(plan, standby=one)
            said.append(str(caught.value))
        assert 1 == len(set(said))
        for _ in range(2):
            assert () == _with(standby, plan_of(TWO_NAMESPACES)).drift()

    in_host(do)


def test_a_build_that_hangs_is_given_up_and_the_next_tree_is_built(in_host: InHost) -> None:
    def do() -> None:
        standby = Standby()
        standby.start()
        _with(standby, plan_of(TWO_NAMESPACES)).close()
        stopped = standby.pid
        os.kill(stopped, signal.SIGSTOP)
        counted = Path(f"/proc/{stopped}/fd/{standby._memory}")
        counted.write_bytes((1).to_bytes(8, "little"))  # as if it had been stopped before it forgot the last build
        with pytest.raises(NamespaceRefused, match=r"not done 0\.2 seconds after the start"):
            build(plan_of(TWO_NAMESPACES), standby=standby, timeout=0.2)
        assert _gone(stopped)
        for _ in range(2):
            _with(standby, plan_of(TWO_NAMESPACES)).close()

    in_host(do)


def test_a_forked_child_builds_by_itself(in_host: InHost) -> None:
    """Its answers would go to the one process, and its trees be those of the other."""

    def do() -> None:
        usual, standby = Usual(), Standby()
        standby.start()
        child = os.fork()
        if not child:
            with _with(standby, plan_of(TWO_NAMESPACES)):
                os._exit(usual.count)
        assert 1 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with _with(standby, plan_of(TWO_NAMESPACES)):
            assert 0 == usual.count

    in_host(do)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_it_when_its_owner_ends(how: signal.Signals, in_host: InHost) -> None:
    def do() -> None:
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            standby = Standby()
            standby.start()
            tree = _with(standby, plan_of(TWO_NAMESPACES))
            os.write(tell, f"{standby.pid} {tree.pid}".encode())
            time.sleep(60)
        pids = [int(word) for word in os.read(told, 100).split()]
        os.kill(child, how)
        os.waitpid(child, 0)
        assert _gone(*pids)

    in_host(do)
