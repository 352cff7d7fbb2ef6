"""A library that is loaded before a program's others (--preload): what makes real programs usable in any root.

The dynamic loader finds a program's libraries by paths, and where a script has gone there are none. So the program is
started in the directory that has them, and its first act, before main, is to go to the directory where the script is:
descriptor DIRECTORY, which it closes. And a program that is to execute another (unshare, chroot, nsenter) has come to
the end of its own work there: it writes a byte to descriptor HELD, waits for one, and ends.
"""

from __future__ import annotations

import struct

DIRECTORY, HELD = 10, 11
_REPLACED = ("execv", "execve", "execvp", "execvpe", "execl", "execlp", "execle")
# fchdir(10); close(10); return -- then: write(11, ..., 1); read(11, ..., 1); exit_group(0)
_CODE = {
    "x86_64": (
        "b851000000bf0a0000000f05b803000000bf0a0000000f05c3",
        "b801000000bf0b000000488d35d6ffffffba010000000f0531c0bf0b000000488d7424c0ba010000000f05b8e700000031ff0f05",
    ),
}
_MACHINES = {"x86_64": 62}
_PAGE = 0x1000
_HEADERS = 64 + 3 * 56


def library(machine: str) -> bytes | None:
    """The ELF file; None where there is no code for the machine."""
    if machine not in _CODE:
        return None
    begin, held = map(bytes.fromhex, _CODE[machine])
    names = b"\0" + b"".join(name.encode() + b"\0" for name in _REPLACED)
    code = _HEADERS
    symbols = _aligned(code + len(begin) + len(held))
    strings = symbols + 24 * (1 + len(_REPLACED))
    table = _aligned(strings + len(names))
    count = 1 + len(_REPLACED)
    entries = [bytes(24)]
    at = 1
    for name in _REPLACED:
        entries.append(struct.pack("<IBBHQQ", at, 0x12, 0, 1, code + len(begin), len(held)))  # a global function
        at += len(name) + 1
    chain = [0, *range(2, count), 0]  # all in one bucket, one after the other
    hashes = struct.pack(f"<{3 + count}I", 1, count, 1, *chain)
    dynamic = struct.pack(
        "<14Q", 12, code, 4, table, 5, strings, 6, symbols, 10, len(names), 11, 24, 0, 0
    )  # INIT, HASH, STRTAB, SYMTAB, STRSZ, SYMENT
    first = bytearray(table + len(hashes))
    first[:64] = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, _MACHINES[machine], 1, 0, 64, 0, 0, 64, 56, 3, 64, 0, 0
    )
    headers = (
        (1, 5, 0, 0, len(first), _PAGE),  # loaded, to be read and executed
        (1, 6, _PAGE, _PAGE, len(dynamic), _PAGE),  # loaded, to be read and written: the loader does so
        (2, 6, _PAGE, _PAGE, len(dynamic), 8),  # that is the dynamic section
    )
    for number, (kind, flags, offset, address, size, align) in enumerate(headers):
        header = struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, align)
        first[64 + 56 * number : 120 + 56 * number] = header
    for start, data in ((code, begin + held), (symbols, b"".join(entries)), (strings, names), (table, hashes)):
        first[start : start + len(data)] = data
    return bytes(first).ljust(_PAGE, b"\0") + dynamic


def _aligned(offset: int) -> int:
    return (offset + 15) & ~15
