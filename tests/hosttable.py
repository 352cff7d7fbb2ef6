"""The host's mount table, which no test may change: a copy of it that nobody else changes, and the comparison.

Other processes mount, too: a service manager, another test run. So root's tests run in a copy of the machine's mount
namespace in which no one else mounts. An ordinary user can change no namespace but those that are his own.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable
from pathlib import Path

from tests.hosts import CLONE_NEWNS, ONE_A_MACHINE, PATIENCE, mount, unshare
from tests.mountflags import MS_PRIVATE, MS_REC, MS_SHARED


class HostTable:
    """Of this process's namespace. Tests may run in another thread than the first, so it is that of the thread."""

    FILE = Path("/proc/thread-self/mountinfo")
    _settling = 10.0  # seconds for options that another process gives back

    def __init__(self) -> None:
        self._ours = _leave_the_machines_namespace()

    def take(self) -> tuple[str, ...]:
        """The lines of mountinfo; none if a change cannot be ours."""
        return table() if self._ours else ()

    def changes(self, before: tuple[str, ...], *, alone: bool) -> str:
        """What is otherwise than `before`, as lines of a diff; see `difference` for `alone`."""
        deadline = time.monotonic() + self._settling * PATIENCE
        while (found := difference(before, self.take(), alone=alone)) and time.monotonic() < deadline:
            if difference(_without_options(before), _without_options(self.take()), alone=alone):
                break  # a mount came or went
            time.sleep(0.05)
        return found


def table() -> tuple[str, ...]:
    return tuple(HostTable.FILE.read_bytes().decode("utf-8", "backslashreplace").splitlines())


def difference(before: tuple[str, ...], after: tuple[str, ...], *, alone: bool = False) -> str:
    """Lines of a diff; "" if there is none.

    Options of superblocks are the machine's in every namespace. Those of a type that the machine has one of change when
    any process mounts it, so they count only for a test that no other runs beside: one that is `alone`.
    """
    if not alone:
        before, after = _without_options(before, ONE_A_MACHINE), _without_options(after, ONE_A_MACHINE)
    return "\n".join(difflib.unified_diff(before, after, "before", "after", "", "", 0, ""))


def _without_options(lines: Iterable[str], fstypes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Without the options of the superblocks of these types, or of all if none is named."""
    return tuple(
        line.rpartition(" ")[0] if not fstypes or line.partition(" - ")[2].split(" ")[0] in fstypes else line
        for line in lines
    )


def _leave_the_machines_namespace() -> bool:
    """For a copy whose mounts are shared where those are. False for a user who may not; that one cannot mount here."""
    before = table()
    try:
        unshare(CLONE_NEWNS)
    except PermissionError:
        return False
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    for line in before:
        if " shared:" in line.partition(" - ")[0]:
            place = line.split(" ")[4].encode("latin-1", "backslashreplace").decode("unicode_escape")
            try:
                mount("", place, flags=MS_SHARED)
            except OSError:
                continue  # it is covered, or in a place that a path does not lead to
    return True
