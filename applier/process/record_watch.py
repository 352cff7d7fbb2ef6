"""Tells a process that holds namespaces when the record of their name is gone: removed, moved, or with its filesystem.

It is an inotify(7) descriptor, made before the process and shared with it, that becomes readable then. The watch keeps
neither the file, nor its mount, nor the mount namespace of that alive.
"""

from __future__ import annotations

import errno
import os

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.refusal import explain
from mountplan.planner.errors import KeepRefused

_GONE = abi.IN_DELETE_SELF | abi.IN_MOVE_SELF | abi.IN_UNMOUNT


def new_watch() -> int:
    """A descriptor that tells nothing yet; the caller owns it. Raises KeepRefused."""
    try:
        return syscalls.inotify_init()
    except OSError as error:
        meaning, remedy = explain("keep", error.errno or 0, "inotify_init1")
        if error.errno == errno.EMFILE:
            meaning = "this user, or this process, has too many of its kind open"
            remedy = "raise sysctl fs.inotify.max_user_instances (or ulimit -n), or remove names: mountplan rm"
        what = "cannot watch over the record of the name, with which the process that holds its namespaces shall end"
        raise KeepRefused(f"{what}: inotify_init1: {meaning}", remedy) from None


def watch_record(watch: int, directory: int, file: str) -> None:
    """From now on, have `watch` tell when a file is gone. Raises OSError, also if it is gone already."""
    # inotify takes paths only, and nothing on this one can be replaced but the file itself.
    path = os.fsencode(f"/proc/self/fd/{directory}/{file}")
    syscalls.inotify_add_watch(watch, path, _GONE | abi.IN_DONT_FOLLOW)
