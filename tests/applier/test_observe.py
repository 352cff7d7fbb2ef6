"""Reading a live namespace's mount table."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mountplan.applier import observe as module
from mountplan.applier.observe import observe
from mountplan.planner.errors import TableError
from tests.hosts import InHost, mount, umount

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
    with pytest.raises(TableError, match="changed during each of 20 readings"):
        in_host(observe)


def test_a_process_that_is_not_there_is_named() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(TableError, match=f"/proc/{child}/mountinfo: cannot read the mount table: No such file"):
        observe(child)
