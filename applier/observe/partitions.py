"""The partition table of a disk image, as the kernel reads it from a disk: GPT, or MBR with its four primary ones.

What is read is only what planning asks for; a saved plan has offsets and sizes in it.
"""

from __future__ import annotations

import os
import struct

from mountplan.applier.sys.closing import closing_fd
from mountplan.planner.host import Partition

_SECTORS = (512, 4096)  # bytes
_GPT = b"EFI PART"
_EXTENDED = (0x05, 0x0F, 0x85)  # it holds others
_PROTECTIVE = 0xEE  # there is a GPT
_MOST_ENTRIES, _MOST_BYTES = 1024, 4096


def read_partitions(path: str) -> tuple[Partition, ...]:
    """The partitions that are in use, by number. Raises LookupError if there is no table; OSError."""
    with closing_fd(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)) as fd:
        for sector in _SECTORS:
            header = os.pread(fd, 92, sector)
            if header.startswith(_GPT) and len(header) == 92:
                return _gpt(fd, header, sector)
        return _mbr(os.pread(fd, 512, 0))


def _gpt(fd: int, header: bytes, sector: int) -> tuple[Partition, ...]:
    first, count, each = struct.unpack_from("<QII", header, 72)
    if not (128 <= each <= _MOST_BYTES and count <= _MOST_ENTRIES):
        raise LookupError("its partition table (GPT) is damaged")
    entries = os.pread(fd, count * each, first * sector)
    found = []
    for number in range(len(entries) // each):
        kind, begin, end, name = struct.unpack_from("<16s16xQQ8x72s", entries, number * each)
        if kind != bytes(16) and end >= begin:
            label = name.decode("utf-16-le", "replace").partition("\0")[0]
            found.append(Partition(number + 1, label, begin * sector, (end - begin + 1) * sector))
    return tuple(found)


def _mbr(sector: bytes) -> tuple[Partition, ...]:
    if sector[510:512] != b"\x55\xaa":
        raise LookupError("there is no partition table in it")
    found = []
    for number in range(4):
        kind, begin, count = struct.unpack_from("<4xB3xII", sector, 446 + 16 * number)
        if kind == _PROTECTIVE:
            raise LookupError("its partition table (GPT) is damaged")
        if kind and count and kind not in _EXTENDED:
            found.append(Partition(number + 1, "", begin * 512, count * 512))
    if not found:
        raise LookupError("there is no partition table in it")
    return tuple(found)
