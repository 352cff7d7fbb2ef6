"""Which bytes of which file are behind a loop device."""

from __future__ import annotations

import fcntl
import os
import re
import struct

from mountplan.applier.sys import abi
from mountplan.planner.record import NamedTuple

_PARTITION = re.compile(r"(?<=\d)p\d+$")  # of a loop device: loop0p1


class LoopFile(NamedTuple):
    """The path in sysfs, maybe out of date; the file's device and inode; `size` bytes from `offset` on, or all (0)."""

    shown: str
    device: int
    inode: int
    offset: int
    size: int


def loop_file(device: str) -> LoopFile | None:
    """What is behind /dev/loopN, or a partition of it, /dev/loopNpM; None if there is none, or it cannot be told."""
    buffer = bytearray(abi.LOOP_INFO64_SIZE)
    name = os.path.basename(device)
    whole = _PARTITION.sub("", name)
    try:
        begin, length = _partition(f"/sys/block/{whole}/{name}") if name != whole else (0, 0)
        with open(f"/sys/block/{whole}/loop/backing_file", "rb") as file:
            shown = os.fsdecode(file.read().removesuffix(b"\n"))
        with open(f"/dev/{whole}", "rb") as loop:
            fcntl.ioctl(loop, abi.LOOP_GET_STATUS64, buffer)
    except OSError:
        return None
    of_device, inode, _, offset, size = struct.unpack_from("=5Q", buffer)
    return LoopFile(shown, of_device, inode, offset + begin, length or size)


def is_behind(device: str, image: str, offset: int, size: int) -> bool:
    """Whether a filesystem, by its device, is in these bytes of a file on the host."""
    try:
        name = os.path.basename(os.readlink(f"/sys/dev/block/{device}"))
        file = os.stat(image)
    except OSError:
        return False
    return (found := loop_file(name)) is not None and found[1:] == (file.st_dev, file.st_ino, offset, size)


def _partition(directory: str) -> tuple[int, int]:
    """The offset and the size of a partition in bytes. sysfs counts in 512 of them, whatever the disk does."""
    numbers = []
    for name in ("start", "size"):
        with open(f"{directory}/{name}", "rb") as file:
            numbers.append(int(file.read()) * 512)
    return numbers[0], numbers[1]
