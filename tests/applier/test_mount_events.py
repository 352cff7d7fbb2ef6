"""What the kernel tells of mounts that come and go in a namespace."""

from __future__ import annotations

import os

import pytest

from mountplan.applier.observe.mount_events import watching
from tests.hosts import InHost, mount, umount
from tests.mountflags import MS_MOVE

pytestmark = pytest.mark.needs_kernel("root")


def test_only_mounts_that_nobody_can_see_any_more_have_passed(in_host: InHost) -> None:
    """Not one that stays, nor one that was there before and has moved, or gone."""

    def script() -> list[int] | None:
        mount("mnt", "/mnt", "tmpfs")
        for name in ("a", "b", "c"):
            os.mkdir(f"/mnt/{name}")
        mount("old", "/mnt/a", "tmpfs")
        events = watching(os.open("/proc/self/ns/mnt", os.O_RDONLY))
        if events is None:
            return None
        found = []
        mount("stays", "/mnt/b", "tmpfs")
        found.append(events.passing())
        for _ in range(2):
            mount("passes", "/mnt/c", "tmpfs")
            umount("/mnt/c")
        found.append(events.passing())
        mount("/mnt/a", "/mnt/c", flags=MS_MOVE)
        umount("/mnt/c")
        umount("/mnt/b")
        found.append(events.passing())
        events.close()
        return found

    found = in_host(script)
    if found is None:
        pytest.skip("this kernel has no FAN_REPORT_MNT (Linux 6.14)")
    assert [0, 2, 0] == found
