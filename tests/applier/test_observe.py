"""Reading live namespaces' mount tables, while another process mounts and unmounts in them."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mountplan.applier.observe import inspect
from mountplan.applier.observe import observe as module
from mountplan.applier.observe.observe import observe
from mountplan.applier.observe.subjects import Subject, of_file, of_process
from mountplan.planner.errors import TableError
from mountplan.planner.tables.table import MountTable
from tests.applier.test_limits import meanwhile
from tests.hosts import InHost, mount, umount
from tests.mountflags import MS_BIND, MS_REC

pytestmark = pytest.mark.needs_kernel("mountns")


class Meddled(io.FileIO):
    """A file between whose readings something happens: after each, `meddle` is called with how many there were."""

    meddle: Callable[[int], None]
    readings = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.readings += 1
        Meddled.meddle(self.readings)
        return data


def meddled_open(path: str, mode: str, **_: Any) -> Meddled:
    return Meddled(path, mode)


def test_a_table_that_changes_while_it_is_read_is_read_again(
    in_host: InHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel hands it out in pieces: with a mount gone meanwhile, two of them need not fit together."""
    monkeypatch.setattr(module, "open", meddled_open, raising=False)

    def script() -> tuple[bool, bool]:
        def mount_once(readings: int) -> None:
            if readings == 1:
                mount("none", str(tmp_path), "tmpfs")

        before = str(tmp_path) in [row.mountpoint for row in observe().rows]
        monkeypatch.setattr(Meddled, "meddle", staticmethod(mount_once))
        return before, str(tmp_path) in [row.mountpoint for row in observe().rows]

    monkeypatch.setattr(Meddled, "meddle", staticmethod(lambda readings: None), raising=False)
    assert (False, True) == in_host(script)


def test_a_table_that_never_keeps_still_is_an_error(
    in_host: InHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a table is worse than none."""

    def come_and_go(readings: int) -> None:
        if readings % 2:
            mount("none", str(tmp_path), "tmpfs")
        else:
            umount(str(tmp_path))

    monkeypatch.setattr(module, "open", meddled_open, raising=False)
    monkeypatch.setattr(Meddled, "meddle", staticmethod(come_and_go), raising=False)
    with pytest.raises(TableError, match="changed during each reading"):
        in_host(observe)


def test_a_process_that_is_not_there_is_named() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(TableError, match=f"process {child}: there is no such process"):
        observe(child)


MNT_DETACH = 2
MANY = 100  # mounts that come at once, and go at once: the table comes in several pieces


def come_and_go(_: int) -> None:
    """Mount a copy of the tree at /mnt/tree, and unmount it; pause for as long as some readings take."""
    mount("/mnt/tree", "/mnt/busy", flags=MS_BIND | MS_REC)
    umount("/mnt/busy", MNT_DETACH)
    for _ in range(3):
        Path("/proc/self/mountinfo").read_bytes()


# How often each reads: what comes from inside takes a process.
READERS: dict[str, tuple[Callable[[], MountTable], int]] = {
    "observe": (observe, 300),
    "capture": (lambda: _whole(of_process(os.getpid())), 300),
    "from inside": (lambda: _whole(of_file("/proc/self/ns/mnt")), 10),
}


def _whole(subject: Subject) -> MountTable:
    with subject:
        return subject.read().table


@pytest.mark.parametrize("reader", READERS)
def test_what_is_read_while_another_process_mounts_has_stood_there_at_one_moment(reader: str, in_host: InHost) -> None:
    """Or it is told that the table does not keep still; but never is it one half of this and one half of that."""

    def script() -> set[int]:
        mount("none", "/mnt", "tmpfs")
        for name in ("tree", "busy"):
            os.mkdir(f"/mnt/{name}")
        mount("none", "/mnt/tree", "tmpfs")
        for number in range(1, MANY):
            os.mkdir(f"/mnt/tree/{number}")
            mount("none", f"/mnt/tree/{number}", "tmpfs")
        read, enough = READERS[reader]
        found: list[int] = []
        with meanwhile(come_and_go):
            while len(found) < enough:
                try:
                    rows = read().rows
                except TableError as error:
                    assert "changed during each reading" in str(error)
                    continue
                found.append(sum(row.mountpoint.startswith("/mnt/busy") for row in rows))
        return set(found)

    assert in_host(script) <= {0, MANY}


@pytest.mark.needs_kernel("root", "foreign-mounts")
def test_mounts_that_are_asked_for_one_by_one_have_stood_there_together(
    in_host: InHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is done where a process does not see all of them, as in a chroot. One comes and one goes meanwhile."""
    ask = inspect.Mounts.table

    def script() -> list[str]:
        mount("none", "/mnt", "tmpfs")
        for name in ("old", "new"):
            os.mkdir(f"/mnt/{name}")
        mount("none", "/mnt/old", "tmpfs")
        jailed = os.fork()
        if jailed == 0:
            os.chroot("/mnt/old")
            os.kill(os.getpid(), signal.SIGSTOP)
        os.waitid(os.P_PID, jailed, os.WSTOPPED)
        changes = [partial(mount, "none", "/mnt/new", "tmpfs"), partial(umount, "/mnt/old", MNT_DETACH)]

        def ask_and_change(mounts: inspect.Mounts, *arguments: Any) -> MountTable:
            while changes:
                changes.pop(0)()
            return ask(mounts, *arguments)

        monkeypatch.setattr(inspect.Mounts, "table", ask_and_change)
        rows = _whole(of_process(jailed)).rows
        return [row.mountpoint for row in rows if row.mountpoint in ("/mnt/old", "/mnt/new")]

    assert ["/mnt/new"] == in_host(script, identity="root")
