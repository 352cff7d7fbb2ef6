"""Whether mounts can be taken away: those that a more privileged user has mounted are locked in a copy of theirs."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.inside import ChildFailed, in_child


def first_locked(paths: Sequence[str]) -> int | None:
    """The index of the first of `paths` at which a mount is locked, unmounting each; None if none is, or if that cannot
    be found out. It is tried in a copy of the mount namespace, by a process that ends.
    """
    try:
        return in_child(lambda: _tried(paths))
    except ChildFailed:
        return None


def _tried(paths: Sequence[str]) -> int | None:
    try:
        syscalls.unshare(abi.CLONE_NEWNS)
        syscalls.mount(b"/", abi.MS_PRIVATE | abi.MS_REC)
    except OSError:
        return None
    for number, path in enumerate(paths):
        try:
            syscalls.umount2(os.fsencode(path), abi.MNT_DETACH | abi.UMOUNT_NOFOLLOW)
        except OSError as error:
            return number if error.errno == errno.EINVAL else None
    return None
