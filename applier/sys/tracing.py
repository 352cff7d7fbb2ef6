"""Every system call that mounts, makes, changes or opens something, as it happens: a line each on standard error, with
the errno where it is refused.

Begun before a process is forked to build, it goes on in that one. What is wrapped are functions of syscalls.py, and of
the os module, which all of mountplan calls by their modules.
"""

from __future__ import annotations

import errno
import functools
import json
import os
from collections.abc import Callable
from typing import Any

from mountplan.applier.sys import abi, syscalls
from mountplan.planner.characters import is_plain, visible

# The calls that are told, with the arguments that are flags, by their position: what their names begin with in abi.py.
_TOLD: dict[str, dict[int, tuple[str, ...]]] = {
    "open_tree": {2: ("OPEN_TREE_", "AT_EMPTY", "AT_RECURSIVE", "AT_SYMLINK")}, "move_mount": {3: ("MOVE_MOUNT_",)},
    "fsopen": {}, "fsconfig": {1: ("FSCONFIG_",)}, "create_exclusively": {}, "fsmount": {}, "fspick": {},
    "mount_setattr": {1: ("AT_EMPTY", "AT_RECURSIVE")}, "mount": {1: ("MS_",)}, "mount_classic": {3: ("MS_",)},
    "umount2": {1: ("MNT_",)}, "pivot_root": {}, "unshare": {0: ("CLONE_NEW",)}, "setns": {1: ("CLONE_NEW",)},
    "statmount": {}, "listmount": {}, "openat2": {2: ("O_",)}, "exchange": {}, "sethostname": {}, "capset": {},
}  # fmt: skip
_MODE = ("mode",)
_TOLD_OF_OS: dict[str, dict[int, tuple[str, ...]]] = {
    "chdir": {}, "chmod": {1: _MODE}, "chown": {}, "chroot": {}, "fchdir": {}, "fchmod": {1: _MODE}, "fchown": {},
    "fork": {}, "ftruncate": {}, "link": {}, "mkdir": {1: _MODE}, "mknod": {1: _MODE}, "open": {1: ("O_",), 2: _MODE},
    "rename": {}, "rmdir": {}, "setgid": {}, "setgroups": {}, "setuid": {}, "symlink": {}, "unlink": {},
}  # fmt: skip
_DESCRIPTORS = {abi.AT_FDCWD: "AT_FDCWD"}


def begin() -> None:
    """Tell all calls of this process from now on, and of those that it forks."""
    if syscalls.told:
        return
    syscalls.told = True
    for name, flags in _TOLD.items():
        setattr(syscalls, name, _telling(getattr(syscalls, name), flags))
    for name, flags in _TOLD_OF_OS.items():
        setattr(os, name, _telling(getattr(os, name), flags))


def say(text: str) -> None:
    """A line, in one write: other processes write there as well. One that cannot be written is nothing to fail of."""
    try:
        os.write(2, (visible(text) + "\n").encode())
    except OSError:
        pass


def _telling(function: Callable[..., Any], flags: dict[int, tuple[str, ...]]) -> Callable[..., Any]:
    @functools.wraps(function)
    def told(*arguments: Any, **keywords: Any) -> Any:
        said = [_word(one, flags.get(place)) for place, one in enumerate(arguments)]
        words = ", ".join([*said, *(f"{name}={_word(one, None)}" for name, one in keywords.items())])
        try:
            result = function(*arguments, **keywords)
        except OSError as error:
            number = error.errno or 0
            say(f"{function.__name__}({words}) = -1 {errno.errorcode.get(number, number)} ({os.strerror(number)})")
            raise
        say(f"{function.__name__}({words})" + (f" = {result}" if isinstance(result, int) else ""))
        return result

    return told


def _word(value: Any, prefixes: tuple[str, ...] | None) -> str:
    if prefixes == _MODE:
        return f"0{value:o}"
    if prefixes is not None and isinstance(value, int):
        return _flags(value, prefixes)
    if isinstance(value, bytes):
        text = value.decode("utf-8", "backslashreplace")
        return f'"{text}"' if is_plain(text) else f"{len(value)} bytes"
    if isinstance(value, (str, os.PathLike)):
        return json.dumps(os.fspath(value))
    if isinstance(value, bytearray):
        return f"{len(value)} bytes"
    return _DESCRIPTORS.get(value, str(value)) if isinstance(value, int) else str(value)


@functools.cache
def _flags(value: int, prefixes: tuple[str, ...]) -> str:
    """Names for the bits, as the headers have them, or for the value of an enumeration; a number for what is left."""
    if prefixes == ("FSCONFIG_",):
        return next((name for name, one in vars(abi).items() if name.startswith(prefixes) and one == value), str(value))
    names = []
    for name, bit in vars(os if prefixes == ("O_",) else abi).items():
        if name.startswith(prefixes) and isinstance(bit, int) and bit and value & bit == bit:
            names.append(name)
            value &= ~bit
    return "|".join([*names, *([hex(value)] if value else [])]) or "0"
