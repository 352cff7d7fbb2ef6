"""Files that a command line names, each read once: what comes through a pipe cannot be read again."""

from __future__ import annotations

import errno
import os
import stat
import sys

from mountplan.planner.errors import SubjectError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import BinaryIO, NoReturn

STDIN = "<stdin>"
MOST = 1 << 28  # bytes that are read of what has no length: a device, or a pipe


def label_of(path: str) -> str:
    """What errors and results call the file `path`; "-" is standard input."""
    return STDIN if path == "-" else path


def read_input(path: str) -> bytes:
    """All that is in a file, or comes from standard input. Raises OSError, or ValueError for what is no path at all."""
    if path == "-":
        if sys.__stdin__ is None:  # what stands in for it is empty, which nobody has said of a spec
            raise OSError(errno.EBADF, "it is closed")
        return _in_parts(sys.stdin.buffer)
    with open(path, "rb") as file:
        return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else _in_parts(file)


def _in_parts(file: BinaryIO) -> bytes:
    parts, size = [], 0
    while part := file.read(1 << 20):
        parts.append(part)
        size += len(part)
        if size > MOST:
            raise OSError(errno.EFBIG, f"it has no end, or more than {MOST >> 20} MB")
    return b"".join(parts)


def reason_of(error: OSError | ValueError) -> str:
    """Why a file could not be read, in words; with the call, if that was refused whatever the file is."""
    if not isinstance(error, OSError):
        return str(error)
    from mountplan.applier.sys.refusal import OF_THE_SYSTEM, function_of

    words = error.strerror or str(error)
    call = function_of(error).partition(" ")[0] if error.errno in OF_THE_SYSTEM else ""
    return f"{call}: {words}" if call else words


def meant_instead(path: str) -> str:
    """The beginning of a remedy where `path` cannot be read: of the file that was probably meant, "" if none."""
    from difflib import get_close_matches

    directory, name = os.path.split(path)
    try:
        if os.path.isdir(path):
            inside = sorted(one for one in os.listdir(path) if one.endswith(".toml"))
            return f"name a file in it, such as {os.path.join(path, inside[0])}; or " if inside else ""
        if os.path.exists(path):  # it is this one that is meant
            return "" if stat.S_ISCHR(os.stat(path).st_mode) else "make it readable, or "
        there = [one for one in os.listdir(directory or ".") if one.endswith((".toml", ".json", ".sh")) and one != name]
    except OSError:
        return ""
    stems = {os.path.splitext(one)[0]: one for one in sorted(there)}  # an ending alone makes no likeness
    near = get_close_matches(os.path.splitext(name)[0], stems, n=1)
    return f"did you mean {os.path.join(directory, stems[near[0]])}? or " if near else ""


def examples() -> dict[str, Path]:
    """Where each is, by name: one idea each first, then those that are like what people have."""
    from pathlib import Path

    folder = Path(__file__).parent / "specs"
    found = (
        Path(above, name) for above, _, names in os.walk(folder, onerror=_raise, followlinks=True) for name in names
    )
    paths = [path for path in found if path.suffix == ".toml"]
    paths.sort(key=lambda path: (len(path.relative_to(folder).parts), path.name))
    return {str(path.relative_to(folder).with_suffix("")): path for path in paths}


def _raise(error: OSError) -> NoReturn:
    raise error


def looks_like_plan(path: str, data: bytes) -> bool:
    """Is it a saved plan? By its name, and where that says nothing, by its first character: no spec begins so."""
    if path.endswith((".json", ".toml")):
        return path.endswith(".json")
    return data.lstrip()[:1] == b"{"


def refuse_one_stream_twice(paths: Iterable[str]) -> None:
    """Raise SubjectError if two of `paths` are one pipe, or standard input: the second would be found empty."""
    streams: dict[object, str] = {}
    for path in paths:
        stream = _stream(path)
        if stream is None:
            continue
        if stream in streams:
            both = f"{streams[stream]} and {path}" if streams[stream] != path else f"{path} and {path}"
            raise SubjectError(
                f"{both} are one stream, which can be read once only", "save it in a file, and name that twice"
            )
        streams[stream] = path


def _stream(path: str) -> object:
    """What sets a stream apart from others; None for a file, which can be read as often as one likes."""
    try:
        found = os.fstat(sys.stdin.fileno()) if path == "-" else os.stat(path)
    except (OSError, ValueError):  # no such file, which is told when it is read; or no descriptor is behind stdin
        return path if path == "-" else None
    if path != "-" and (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        return None
    return found.st_dev, found.st_ino
