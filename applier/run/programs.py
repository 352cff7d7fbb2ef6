"""The real mount(8) and its like, to be run where a script has gone: copies of the programs and of all that they load.

They lie in a tmpfs that is mounted nowhere, so that no mount table shows it, and are started through the dynamic loader
by descriptor: for that no path has to lead there, whatever the script has made its root (applier/run/preload.py).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
import subprocess

from mountplan.applier.process.trampoline import new_tmpfs
from mountplan.applier.run.preload import DIRECTORY, HELD, PROC, library
from mountplan.applier.sys.refusal import KernelRefusal, function_of
from mountplan.planner.record import NamedTuple

NAMES = ("chroot", "cp", "ln", "mkdir", "mount", "mv", "nsenter", "pivot_root", "rm", "rmdir", "touch", "umount",
         "unshare")  # fmt: skip
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "LC_ALL": "C"}
_LIBRARIES, _LOADER = "lib", "loader"
_PRELOAD, _PRELOAD_PROC = "before.so", "before-proc.so"
_INTERPRETER = 3  # PT_INTERP


class Programs(NamedTuple):
    """What is copied: for each name in the directory, the file of the machine's. `missing` are programs not found."""

    files: tuple[tuple[str, str], ...]
    before: tuple[bytes, bytes]  # what is loaded before them: without and with what looks into PROC
    glibc: bool
    missing: tuple[str, ...]
    version: str


def gather(names: tuple[str, ...] = NAMES) -> Programs | str:
    """Find the programs and their libraries; or why they cannot be run here, in words."""
    machine = os.uname().machine
    before = library(machine)
    if before is None:
        return f"they are not run on {machine}"
    found = {name: path for name in names if (path := shutil.which(name, path=_PATH))}
    loader = _loader_of(found["mount"]) if "mount" in found else ""
    if not loader:
        return "no mount(8) is found that a dynamic loader starts"
    libraries: dict[str, str] = {}
    for name, path in tuple(found.items()):
        if _loader_of(path) != loader:
            del found[name]
            continue
        for library_path in re.findall(r"(/\S+) \(0x", _printed_by(loader, "--list", path)):
            libraries[f"{_LIBRARIES}/{os.path.basename(library_path)}"] = library_path
    version = re.search(r"util-linux ([0-9][0-9.]*)", _printed_by(found["mount"], "--version"))
    missing = tuple(name for name in names if name not in found)
    files = ((_LOADER, loader), *found.items(), *libraries.items())
    return Programs(files, before, "ld-linux" in loader, missing, version[1] if version else "")


def util_linux_at_hand() -> tuple[int, int] | None:
    """Of which version mount(8) is; None if that cannot be told."""
    path = shutil.which("mount", path=_PATH)
    if path is None:
        return None
    try:
        told = _printed_by(path, "--version")
    except OSError:
        return None
    found = re.search(r"util-linux ([0-9]+)\.([0-9]+)", told)
    return (int(found[1]), int(found[2])) if found is not None else None


def _printed_by(*command: str) -> str:
    """What a program prints. Raises OSError, with the name of the call that kept the program from being started."""
    try:
        return subprocess.run(command, capture_output=True, text=True, env=_ENVIRONMENT).stdout
    except OSError as error:
        # Python tells of its child's execve(2) with the file, and of the dup2(2) before that with nothing.
        if error.filename or not function_of(error):
            raise KernelRefusal(error.errno or 0, "execve" if error.filename else "dup2") from None
        raise


def _loader_of(path: str) -> str:
    """PT_INTERP of a 64-bit ELF file of this machine's byte order; "" if there is none."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":
            return ""
        start, size, count = *struct.unpack_from("<Q", head, 32), *struct.unpack_from("<HH", head, 54)
        for number in range(count):
            file.seek(start + number * size)
            kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", file.read(size))
            if kind == _INTERPRETER:
                file.seek(offset)
                return os.fsdecode(file.read(length).rstrip(b"\0"))
    return ""


class Shelf:
    """The directory of copies, by descriptor, in a process of the throw-away namespace and in all forked from it."""

    def __init__(self, programs: Programs) -> None:
        """Raises OSError."""
        self.directory = new_tmpfs()
        self.anteroom = -1  # the mount namespace in which nsenter(1) finds the processes it is told of
        self.programs = programs
        os.mkdir(_LIBRARIES, dir_fd=self.directory)
        for name, path in programs.files:
            with open(path, "rb") as file:
                self._put(name, file.read())
        for name, data in zip((_PRELOAD, _PRELOAD_PROC), programs.before, strict=True):
            self._put(name, data)
        self.loader = os.open(_LOADER, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.directory)
        self.nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def _put(self, name: str, data: bytes) -> None:
        fd = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o755, dir_fd=self.directory)
        with os.fdopen(fd, "wb") as file:
            file.write(data)

    def has(self, name: str) -> bool:
        return name not in self.programs.missing and any(name == found for found, _ in self.programs.files)

    def execute(self, words: tuple[str, ...], held: int, told: int, proc: int, *, from_proc: bool) -> None:
        """Become the program. It starts in the present directory, and its errors go to `told`; `held` is HELD to it.

        With `from_proc` it finds what it mounts from /proc in `proc`.
        """
        here = os.open(".", os.O_PATH | os.O_CLOEXEC)
        # Away from the numbers that are meant for something.
        here, held, told, proc, nothing, loader = (
            fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in (here, held, told, proc, self.nothing, self.loader)
        )
        os.fchdir(self.directory)
        for fd, number in ((here, DIRECTORY), (held, HELD), (proc, PROC), (nothing, 0), (nothing, 1), (told, 2)):
            os.dup2(fd, number)
        before = _PRELOAD_PROC if from_proc else _PRELOAD
        options = ["--inhibit-cache"] if self.programs.glibc else []
        options += ["--library-path", _LIBRARIES, "--preload", f"./{before}", "--argv0", words[0]]
        os.execve(loader, [words[0], *options, f"./{words[0]}", *words[1:]], _ENVIRONMENT)
