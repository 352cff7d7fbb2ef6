"""Superblocks of block devices: each device has one, which all mounts of it share."""

from __future__ import annotations

import errno
import os
import stat
from itertools import count

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.lingering import settled
from mountplan.applier.sys.refusal import OF_THE_SYSTEM, KernelRefusal, Occupied
from mountplan.planner.plan.attachments import Attachment, other_options, seen
from mountplan.planner.tables.mountinfo import parse_mountinfo

__all__ = ["create_alone", "is_block_device", "settled", "why_not_alike"]

_numbers = count()


def is_block_device(path: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError as error:
        if error.errno in OF_THE_SYSTEM:
            raise
        return False


def create_alone(context: int, device: str) -> bool:
    """Make the superblock of a context that is configured for a block device, if it is surely a new one.

    False if there is one already, or something else has the device. The context is of no use then.
    """
    try:
        if syscalls.create_exclusively(context):
            return True
    except KernelRefusal as refusal:
        if refusal.errno == errno.EBUSY:
            return False
        raise
    if _is_claimed(device):
        return False
    syscalls.fsconfig(context, abi.FSCONFIG_CMD_CREATE, None, None, 0)
    return True


def _is_claimed(device: str) -> bool:
    """True if a superblock, or another device, has the device for itself; asked of kernels before 6.6."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno in OF_THE_SYSTEM:
            raise
        return error.errno == errno.EBUSY
    return False


def why_not_alike(mount: int, options: tuple[tuple[str, str | bool], ...], proc: int) -> Occupied | None:
    """What stands against sharing the superblock of a detached mount; None if it has all these options, as far as it
    shows them, and our namespace does not have it mounted. `proc` is /proc.

    The kernel tells the options of mounts that stand somewhere, so this one stands in the yard for a moment.
    """
    place = f"/../shared{next(_numbers)}"  # "/.." is the yard
    os.mkdir(place)
    syscalls.move_mount(mount, abi.AT_FDCWD, place.encode(), abi.MOVE_MOUNT_F_EMPTY_PATH)
    try:
        rows = parse_mountinfo(syscalls.own_mountinfo(proc)).by_id()
        own = rows.pop(syscalls.mount_id(mount, b""))
    finally:
        syscalls.umount2(place.encode(), abi.MNT_DETACH)
        os.rmdir(place)
    here = next((row.mountpoint for row in rows.values() if row.device == own.device), "")
    if here:
        return Occupied(f'it is mounted already, at "{here}"', "bind from there, or unmount it there")
    device = Attachment(own.source, own.device, writable=True, whole=True)
    problem, remedy = other_options(seen(device, own, "elsewhere"), own.fstype, options)
    return Occupied(problem, remedy) if problem else None
