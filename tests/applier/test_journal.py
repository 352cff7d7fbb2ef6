"""The journal of a change under way: two commands that meet it at the same time never both go on."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from mountplan.applier.change.journal import Journal, JournalEntry
from mountplan.planner.errors import KeepRefused
from tests.hosts import InHost, mount


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Callable[[], Journal]]:
    """A command's own view of the same journal."""
    directory = os.open(tmp_path, os.O_RDONLY)
    with ExitStack() as stack:
        stack.callback(os.close, directory)
        yield lambda: stack.enter_context(closing(Journal(directory, "journal")))


def test_what_was_created_and_is_not_locked_yet_may_be_removed_and_is_created_anew(
    journal: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command took it for one that was cut off while it was written, and both went on."""
    first, second = journal(), journal()
    taken: list[JournalEntry | None] = []

    def lock(fd: int, how: int) -> None:
        if not taken and how == fcntl.LOCK_EX:
            taken.append(second.find())
            second.remove()
        flock(fd, how)

    flock: Any = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", lock)
    first.write("before", "after")
    assert [JournalEntry("", "", begun=False)] == taken
    found = journal().find()
    assert found is not None
    assert found.under_way


@pytest.mark.needs_kernel("userns")
@pytest.mark.parametrize(("options", "remedy"), [("size=4k", "make room"), ("ro", "for writing")])
def test_where_no_journal_can_be_written_the_way_out_is_told(options: str, remedy: str, in_host: InHost) -> None:
    """A journal takes no mounts: fs.mount-max has nothing to do with it."""

    def script() -> str:
        mount("small", "/srv", "tmpfs", data=options)
        directory = os.open("/srv", os.O_RDONLY)
        with closing(Journal(directory, "journal")) as full, pytest.raises(KeepRefused) as refused:
            full.write("x" * 8192, "")
        return str(refused.value)

    assert remedy in in_host(script, identity="userns")


def test_what_was_interrupted_is_found_by_one_command_only(journal: Callable[[], Journal]) -> None:
    """Two could finish it, or take it back, at the same time."""
    killed, first, second = journal(), journal(), journal()
    killed.write("before", "after")
    killed.begin()
    killed.close()
    assert JournalEntry("before", "after", begun=True) == first.find()
    found = second.find()
    assert found is not None
    assert found.under_way
    first.write_anew(JournalEntry("before", "other", begun=True))
    first.close()
    assert JournalEntry("before", "other", begun=True) == second.find()


def test_the_journal_of_what_is_done_is_at_no_moment_that_of_an_interrupted_change(
    journal: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = journal(), journal()
    first.write("before", "after")
    first.begin()
    found = []

    def unlink(path: str, *, dir_fd: int) -> None:
        found.append(second.find())
        remove(path, dir_fd=dir_fd)

    remove: Any = os.unlink
    monkeypatch.setattr(os, "unlink", unlink)
    first.remove()
    assert [JournalEntry("", "", begun=True, under_way=True)] == found
    assert second.find() is None


def test_a_journal_that_is_gone_is_gone_whatever_close_says(
    journal: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All was done, and the command ended with an error."""
    first = journal()
    first.write("before", "after")

    def refused(fd: int) -> None:
        close(fd)
        raise OSError(errno.ENOMEM, "no memory")

    close: Any = os.close
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", refused)
        first.remove()
    assert journal().find() is None
