"""Whether mounts can be taken away: those that a more privileged user has mounted are locked in a copy of theirs."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from mountplan.applier.sys import abi, syscalls

_NONE = 255


def first_locked(paths: Sequence[str]) -> int | None:
    """The index of the first of `paths` at which a mount is locked, unmounting each; None if none is, or if that cannot
    be found out. It is tried in a copy of the mount namespace, by a process that ends.
    """
    child = syscalls.fork()
    if child == 0:
        answer = _NONE
        try:
            answer = _tried(paths)
        finally:
            os._exit(answer)
    _, status = os.waitpid(child, 0)
    found = os.waitstatus_to_exitcode(status)
    return None if found in (_NONE, -1) or found < 0 else found


def _tried(paths: Sequence[str]) -> int:
    try:
        syscalls.unshare(abi.CLONE_NEWNS)
        syscalls.mount(b"/", abi.MS_PRIVATE | abi.MS_REC)
    except OSError:
        return _NONE
    for number, path in enumerate(paths[:_NONE]):
        try:
            syscalls.umount2(os.fsencode(path), abi.MNT_DETACH | abi.UMOUNT_NOFOLLOW)
        except OSError as error:
            return number if error.errno == errno.EINVAL else _NONE
    return _NONE
