"""Names of several mount namespaces that see one /run: each keeps its own, and none takes another's away."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import pytest

from mountplan import keeping
from mountplan.applier.keep import kept as names
from mountplan.applier.keep import kept_changes
from mountplan.applier.sys import syscalls
from mountplan.operands import is_kept
from mountplan.planner.errors import KeepRefused, NotKept
from tests.hosts import CLONE_NEWNS, InHost, mount, run_in_child, umount, unshare
from tests.keptnames import SPEC, STORE, leave, on_run, table
from tests.mountflags import MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE
from tests.trees import plan_of

pytestmark = pytest.mark.needs_kernel("root")

Result = TypeVar("Result")
MNT_DETACH = 2
HOW = {"private": MS_PRIVATE, "slave": MS_SLAVE, "peer": MS_SHARED}


class Elsewhere:
    """Another mount namespace, made as a copy of this one."""

    def __init__(self, propagation: int) -> None:
        ready, go = os.pipe(), os.pipe()
        self._child = os.fork() or leave(lambda: self._stay(propagation, ready[1], go))
        os.close(ready[1])
        os.close(go[0])
        os.read(ready[0], 1)
        os.close(ready[0])
        self._go = go[1]
        self._namespace = os.open(f"/proc/{self._child}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    @staticmethod
    def _stay(propagation: int, ready: int, go: tuple[int, int]) -> None:
        os.close(go[1])
        unshare(CLONE_NEWNS)
        if propagation != MS_SHARED:
            mount("", "/", flags=MS_REC | propagation)
        os.write(ready, b"x")
        os.read(go[0], 1)

    def do(self, action: Callable[[], Result]) -> Result:
        def inside() -> Result:
            syscalls.setns(self._namespace, CLONE_NEWNS)
            return action()

        return run_in_child(inside)

    def end(self) -> None:
        os.close(self._go)
        os.close(self._namespace)
        assert os.waitpid(self._child, 0)[1] == 0


def keep() -> None:
    keeping.keep(plan_of(SPEC))


def remove() -> None:
    kept_changes.remove("shop")


def health() -> str:
    """Of the name, as every command finds it that cleans up first."""
    kept_changes.tidy()
    try:
        return keeping.look_up("shop").health
    except NotKept:
        return "none"


def here(action: Callable[[], Result]) -> Result:
    return action()


@pytest.mark.parametrize("copied", ["empty", "store"])
@pytest.mark.parametrize("propagation", HOW)
@pytest.mark.parametrize("shared", [False, True])
def test_a_name_that_goes_takes_none_of_another_mount_namespace_with_it(
    shared: bool, propagation: str, copied: str, in_host: InHost
) -> None:
    """Even if it is called the same, in any order in which they came or go. The directory that both see must stay: it
    can be removed where nothing is mounted on it, and then what another namespace has mounted on it is gone.
    """

    def script() -> list[str]:
        if copied == "store":
            keep()
        elsewhere = Elsewhere(HOW[propagation])
        if copied == "store":
            remove()
        before = elsewhere.do(table)
        found = []
        for one, other in ((here, elsewhere.do), (elsewhere.do, here)):
            one(keep)
            other(keep)
            found += [one(health), other(health)]
            one(remove)
            found += [one(health), other(health)]
            one(keep)
            other(remove)
            found += [one(health), other(health)]
            one(remove)
            found += [one(health), other(health)]
        assert before == elsewhere.do(table)
        elsewhere.end()
        return found

    expected = ["healthy", "healthy", "none", "healthy", "healthy", "none", "none", "none"] * 2
    assert expected == in_host(on_run(script, shared=shared), identity="root")


@pytest.mark.parametrize("propagation", ["slave", "peer"])
def test_a_store_that_stands_where_the_host_takes_its_own_away_stays_while_there_is_a_name(
    propagation: str, in_host: InHost
) -> None:
    """The other namespace has unmounted its copy of the host's store, so that its own is in the very place of it. The
    kernel unmounts by place, whatever is there, but nothing that other things are mounted on.
    """

    def script() -> tuple[str, str]:
        keep()
        elsewhere = Elsewhere(HOW[propagation])
        elsewhere.do(lambda: umount(str(STORE), MNT_DETACH))
        if propagation == "peer":
            keep()  # what was unmounted there was unmounted here
        elsewhere.do(keep)
        remove()
        found = elsewhere.do(health), health()
        elsewhere.do(remove)
        elsewhere.end()
        return found

    assert ("healthy", "none") == in_host(on_run(script, shared=True), identity="root")


def test_looking_removes_nothing_either(in_host: InHost) -> None:
    """Nor does what cleans up: without a name of its own, /run/mountplan is an empty directory to it."""

    def script() -> str:
        elsewhere = Elsewhere(MS_PRIVATE)
        elsewhere.do(keep)
        assert ((), (), ()) == (kept_changes.tidy(), names.names(), keeping.kept())
        with pytest.raises(NotKept):
            remove()
        found = elsewhere.do(health)
        elsewhere.do(remove)
        elsewhere.end()
        return found

    assert "healthy" == in_host(on_run(script), identity="root")


def test_without_proc_nobody_says_that_nothing_is_kept(in_host: InHost) -> None:
    """Whose the store is could not be told; that is not to say that it is another's."""

    def script() -> None:
        mount("run", "/run", "tmpfs", data="mode=0755")
        keep()
        umount("/proc", MNT_DETACH)
        names.names()

    with pytest.raises(KeepRefused, match="mount -t proc proc /proc"):
        in_host(script, identity="root")


def test_a_process_needs_no_place_for_names(in_host: InHost) -> None:
    """Whatever is wrong with that place: a bare number is told by it only if something is kept under the number."""

    def script() -> bool:
        mount("run", "/run", "tmpfs", data="mode=0755")
        os.mkdir(STORE)
        os.chmod(STORE, 0o777)
        return is_kept("123")

    assert not in_host(script, identity="root")
