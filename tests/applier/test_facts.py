"""What planning asks about this machine."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mountplan.applier.observe import facts
from mountplan.applier.observe.facts import LiveHost
from mountplan.applier.sys import syscalls
from mountplan.applier.sys.refusal import KernelRefusal
from tests.hosts import InHost


def test_a_filesystem_that_the_kernel_lists_is_known_and_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "fsopen", None)
    assert [True, True] == [LiveHost().knows_filesystem(name) for name in ("tmpfs", "proc")]


@pytest.mark.needs_kernel("root")
def test_a_filesystem_that_does_not_exist_is_not_known(in_host: InHost) -> None:
    assert False is in_host(lambda: LiveHost().knows_filesystem("nosuchfs"), identity="root")


@pytest.mark.parametrize(
    ("refusal", "known"), [(errno.ENODEV, False), (errno.EPERM, None), (errno.ENOSYS, None), (errno.EMFILE, None)]
)
def test_what_is_not_listed_is_asked_of_the_kernel_and_only_its_no_is_a_no(
    refusal: int, known: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module may be loaded for it. Who may not ask does not know."""

    def fsopen(fstype: bytes) -> int:
        raise KernelRefusal(refusal, "fsopen")

    monkeypatch.setattr(facts, "_loads_modules", lambda: True)
    monkeypatch.setattr(syscalls, "fsopen", fsopen)
    assert known is LiveHost().knows_filesystem("nosuchfs")


def test_a_module_that_could_be_loaded_is_as_good_as_one_that_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To look for it loads nothing."""
    alias = tmp_path / "modules.alias"
    alias.write_text("# Aliases\nalias fs-oddfs oddfs\nalias pci:v1 x\n")
    monkeypatch.setattr(facts, "_modules_alias", lambda: str(alias))
    monkeypatch.setattr(syscalls, "fsopen", None)
    monkeypatch.setattr(facts, "_loads_modules", lambda: True)
    assert True is LiveHost().knows_filesystem("oddfs")


def test_without_modules_the_list_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_loads_modules", lambda: False)
    monkeypatch.setattr(syscalls, "fsopen", None)
    assert False is LiveHost().knows_filesystem("nosuchfs")


def test_an_argument_of_a_program_may_have_32_pages() -> None:
    """One byte less than that, and the NUL; one more is E2BIG."""
    most = LiveHost().argument_max - 1
    assert 0 == os.spawnv(os.P_WAIT, "/bin/true", ["true", "x" * most])
    assert 127 == os.spawnv(os.P_WAIT, "/bin/true", ["true", "x" * (most + 1)])
