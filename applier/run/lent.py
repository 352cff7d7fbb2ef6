"""What a program of util-linux looks for in /proc and /run, lent to it while it runs, as plain files in its root.

A root that a script has just made has no /proc, and a real one would be a mount of its own in every table. In /run
mount(8) keeps notes of what the kernel does not keep (`user`), and complains if it cannot.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

# The kernel shows the machine's ids there. mount(8) would set them with a remount: EINVAL in a user namespace.
_OWNERS = re.compile(rb",[ug]id=[0-9]+")
_HERE, _NOTES = "/proc/self", "/run/mount"
TABLE = "mountinfo"
MAPS = ("setgroups", "uid_map", "gid_map")  # in the order in which the kernel wants them


class CannotLend(Exception):
    """Where the process is, no file can be made."""


@contextmanager
def lent(table: bytes) -> Iterator[None]:
    """Raises CannotLend."""
    if os.path.exists(f"{_HERE}/ns"):
        yield  # the script has mounted a proc
        return
    made: list[str] = []
    try:
        for directory in ("/proc", _HERE, "/run", _NOTES):
            try:
                os.mkdir(directory)
                made.append(directory)
            except FileExistsError:
                pass
        for name in (TABLE, *MAPS):
            with open(f"{_HERE}/{name}", "wb") as file:
                made.append(f"{_HERE}/{name}")
                file.write(_OWNERS.sub(b"", table) if name == TABLE else b"")
    except OSError as error:
        _take_back(made)
        raise CannotLend from error
    try:
        yield
    finally:
        if _NOTES in made:
            made += [f"{_NOTES}/utab", f"{_NOTES}/utab.lock"]
        _take_back(made)


def written(name: str) -> bytes:
    """What a program has written into one of MAPS."""
    try:
        with open(f"{_HERE}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _take_back(paths: list[str]) -> None:
    """What cannot be found any more is covered by what the program has mounted, or has gone."""
    for path in reversed(paths):
        try:
            try:
                os.unlink(path)
            except IsADirectoryError:
                os.rmdir(path)
        except OSError:
            pass
