"""A library that is loaded before a program's others (--preload): what makes real programs usable in any root.

The dynamic loader finds a program's libraries by paths, and where a script has gone there are none. So the program is
started in the directory that has them, and its first act, before main, is to go to the directory where the script is:
descriptor DIRECTORY, which it closes. And a program that is to execute another (unshare, chroot, nsenter) has come to
the end of its own work there: it writes a byte to descriptor HELD, waits for one, and ends. A
program that mounts the files of namespaces finds these from descriptor PROC on, in the place of /proc.
"""

from __future__ import annotations

import struct

DIRECTORY, HELD, PROC = 10, 11, 12
_FROM_PROC = ("mount", "stat")
_REPLACED = ("execv", "execve", "execvp", "execvpe", "execl", "execlp", "execle")
# At the beginning: fchdir(10); close(10). Instead of execve(2): write(11, ..., 1); read(11, ..., 1); exit_group(0).
# mount(2) of what begins with /pro: dup2(open(".", O_PATH), 14); dup2(open(target, O_PATH), 13); fchdir(12);
# mount(source + 6, "self/fd/13", ...); fchdir(14). stat(2) of it: newfstatat(12, path + 6, ..., 0). Both return 0 or
# -1, and do not set errno.
_CODE = {
    "x86_64": (
        "b851000000bf0a0000000f05b803000000bf0a0000000f05c3",
        "b801000000bf0b000000488d35d6ffffffba010000000f0531c0bf0b000000488d7424c0ba010000000f05b8e700000031ff0f05",
        (
            "4989ca4885ff0f8487000000813f2f70726f757f57524989f1488d3d84000000be00002800b8020000000f0589c7be0e0000"
            "00b8210000000f054c89cfbe00002800b8020000000f0585c0784289c7be0d000000b8210000000f05bf0c000000b8510000"
            "000f055a5f4883c706488d3532000000b8a50000000f054989c1bf0e000000b8510000000f054c89c8eb0b5a5feb07b8a500"
            "00000f054885c079044883c8ffc32e0073656c662f66642f313300"
        ),
        "813f2f70726f75184889f2488d7706bf0c0000004531d2b8060100000f05eb07b8040000000f054885c079044883c8ffc3",
    )
}
_MACHINES = {"x86_64": 62}
_PAGE = 0x1000
_HEADERS = 64 + 3 * 56


def library(machine: str) -> tuple[bytes, bytes] | None:
    """The ELF file, without and with what looks into PROC; None where there is no code for the machine."""
    if machine not in _CODE:
        return None
    return _library(machine, from_proc=False), _library(machine, from_proc=True)


def _library(machine: str, *, from_proc: bool) -> bytes:
    begin, held, *own = map(bytes.fromhex, _CODE[machine])
    code = _HEADERS
    functions = {name: (code + len(begin), len(held)) for name in _REPLACED}
    body = begin + held
    for name, function in zip(_FROM_PROC, own, strict=True) if from_proc else ():
        functions[name] = code + len(body), len(function)
        body += function
    names = b"\0" + b"".join(name.encode() + b"\0" for name in functions)
    symbols = _aligned(code + len(body))
    count = 1 + len(functions)
    strings = symbols + 24 * count
    table = _aligned(strings + len(names))
    entries = [bytes(24)]
    at = 1
    for name, (place, size) in functions.items():
        entries.append(struct.pack("<IBBHQQ", at, 0x12, 0, 1, place, size))  # a global function
        at += len(name) + 1
    chain = [0, *range(2, count), 0]  # all in one bucket, one after the other
    hashes = struct.pack(f"<{3 + count}I", 1, count, 1, *chain)
    # INIT, HASH, STRTAB, SYMTAB, STRSZ, SYMENT
    dynamic = struct.pack("<14Q", 12, code, 4, table, 5, strings, 6, symbols, 10, len(names), 11, 24, 0, 0)
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
    for start, data in ((code, body), (symbols, b"".join(entries)), (strings, names), (table, hashes)):
        first[start : start + len(data)] = data
    return bytes(first).ljust(_PAGE, b"\0") + dynamic


def _aligned(offset: int) -> int:
    return (offset + 15) & ~15
