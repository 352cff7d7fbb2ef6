"""A test is blamed for what it changes of the host's mount table, and for nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.hosts import InHost, mount, run_in_child, umount
from tests.hosttable import HostTable, difference, table

ROOT = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw"
CGROUP = "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"


def changes(action: Callable[[], object], *, alone: bool = False) -> str:
    watch = HostTable()
    watch._settling = 0.1
    before = watch.take()
    action()
    return watch.changes(before, alone=alone)


def come_and_go() -> None:
    mount("none", "/mnt", "tmpfs")
    umount("/mnt")


@pytest.mark.needs_kernel("root")
def test_what_a_child_mounts_beside_us_is_ours(in_host: InHost) -> None:
    """Also of a child, which is in the same namespace."""
    assert "/mnt" in in_host(lambda: changes(lambda: run_in_child(lambda: mount("none", "/mnt", "tmpfs"))))
    assert "-" in in_host(lambda: changes(lambda: mount("", "/", flags=1 << 20)))
    assert "" == in_host(lambda: changes(come_and_go))


@pytest.mark.needs_kernel("root")
def test_what_another_process_mounts_on_the_machine_is_not_ours(in_host: InHost) -> None:
    def script() -> tuple[str, bool]:
        mount("", "/", flags=1 << 20)
        ready, go = os.pipe(), os.pipe()
        other = os.fork()
        if other == 0:  # it stays in the machine's namespace, as a service manager does
            os.read(go[0], 1)
            mount("theirs", "/mnt", "tmpfs")
            os.write(ready[1], b".")
            os._exit(0)

        def act() -> None:
            os.write(go[1], b".")
            os.read(ready[0], 1)

        found = changes(act)
        os.waitpid(other, 0)
        return found, any(" shared:" in line for line in table())

    assert ("", True) == in_host(script, identity="root")


@pytest.mark.needs_kernel("nobody")
def test_an_ordinary_user_is_blamed_for_nothing(in_host: InHost) -> None:
    assert () == in_host(lambda: HostTable().take(), identity="nobody")


def test_options_that_any_mount_takes_away_count_only_for_a_test_that_is_alone() -> None:
    other = CGROUP + ",nsdelegate"
    assert not difference((ROOT, CGROUP), (ROOT, other))
    assert difference((ROOT, CGROUP), (ROOT, other), alone=True)
    assert difference((ROOT, CGROUP), (ROOT.replace("root rw", "root ro"), CGROUP))
    assert difference((ROOT, CGROUP), (ROOT, CGROUP.replace("cgroup rw -", "cgroup ro -")))
