"""The floor: the system calls that a plan takes, written on a tape, and replayed by a program in C (bench/floor.c)."""

from __future__ import annotations

import heapq
import os
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from mountplan.applier.build.execute import execute
from mountplan.applier.sys import abi
from mountplan.applier.sys.kernel_port import Kernel, Options
from mountplan.applier.sys.report import Reporter

if TYPE_CHECKING:
    from mountplan.planner.plan.plan import Plan

_CALL = struct.Struct("=4iI2H4Q")  # struct call of floor.c
_OPS = ("unshare", "umask", "mount", "open", "open_tree", "fsopen", "fsconfig", "fsmount", "setattr", "move_mount",
        "mkdir", "close", "pivot", "setns", "chroot", "openat2", "fstat")  # enum op of floor.c  # fmt: skip
_OP = {name: number for number, name in enumerate(_OPS)}
_NOTHING = (0, 0, 0, 0)
_CLONE = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_EMPTY_PATH | abi.AT_SYMLINK_NOFOLLOW
_JOIN = abi.MOVE_MOUNT_SET_GROUP | abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH
_CAREFUL = abi.RESOLVE_BENEATH | abi.RESOLVE_NO_SYMLINKS | abi.RESOLVE_NO_MAGICLINKS
_O_PATH = os.O_PATH | os.O_CLOEXEC


class Tape:
    """A Kernel that does nothing but write down which system calls LinuxKernel would make, in bench/floor.c's form.

    Descriptors are numbers of its own, the lowest free one first, as the kernel hands them out. Verbs that no measured
    plan needs are not known here.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.calls = 0
        self._free: list[int] = []
        self._next = 0
        self._proc = -1

    def _write(
        self,
        op: str,
        fd: int = -1,
        text: bytes = b"",
        flags: int = 0,
        *,
        to: int = -1,
        makes: bool = False,
        value: bytes | None = None,
        attributes: tuple[int, int, int, int] = _NOTHING,
    ) -> int:
        made = -1
        if makes:
            made = heapq.heappop(self._free) if self._free else self._next
            self._next = max(self._next, made + 1)
        begin = len(text) + 1 if value is not None else 0
        text += b"\0" + (value + b"\0" if value is not None else b"")
        text += bytes(-len(text) % 8)
        self.data += _CALL.pack(_OP[op], made, fd, to, flags, begin, len(text), *attributes) + text
        self.calls += 1
        return made

    def makes_rows(self) -> bool:
        return False

    def unshare_mounts(self) -> None:
        self._write("umask")
        self._proc = self._write("open", abi.AT_FDCWD, b"/proc", _O_PATH | os.O_DIRECTORY, makes=True)
        self._write("unshare", flags=abi.CLONE_NEWNS)

    def make_private(self) -> None:
        self._write("mount", text=b"/", flags=abi.MS_PRIVATE | abi.MS_REC)

    def host_root(self) -> int:
        return self._write("open", abi.AT_FDCWD, b"/", _O_PATH | os.O_DIRECTORY, makes=True)

    def clone(self, dirfd: int, path: str) -> int:
        return self._write("open_tree", dirfd, os.fsencode(path), _CLONE, makes=True)

    def clone_entry(self, dirfd: int, name: str) -> tuple[int, bool]:
        flags = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_SYMLINK_NOFOLLOW | abi.AT_NO_AUTOMOUNT
        fd = self._write("open_tree", dirfd, os.fsencode(name), flags, makes=True)
        self._write("fstat", fd)
        return fd, True

    def clone_tree(self, dirfd: int) -> int:
        return self._write("open_tree", dirfd, flags=_CLONE | abi.AT_RECURSIVE, makes=True)

    def open(self, dirfd: int, path: str, *, careful: bool = True, tree: bool = False) -> int:
        if careful:
            resolve = _CAREFUL if tree else _CAREFUL | abi.RESOLVE_NO_XDEV
            how = (os.O_PATH | os.O_CLOEXEC, 0, resolve, 0)
            return self._write("openat2", dirfd, os.fsencode(path) or b".", attributes=how, makes=True)
        return self._write("open", dirfd, os.fsencode(path) or b".", _O_PATH | os.O_NOFOLLOW, makes=True)

    present = False

    def new_filesystem(self, fstype: str, source: str, options: Options) -> int:
        context = self._write("fsopen", text=fstype.encode(), flags=abi.FSOPEN_CLOEXEC, makes=True)
        for key, value in (("source", source), *options):
            if value is True:
                self._write("fsconfig", context, key.encode(), abi.FSCONFIG_SET_FLAG)
            else:
                self._write("fsconfig", context, key.encode(), abi.FSCONFIG_SET_STRING, value=str(value).encode())
        self._write("fsconfig", context, flags=abi.FSCONFIG_CMD_CREATE)
        mount = self._write("fsmount", context, flags=abi.FSMOUNT_CLOEXEC, makes=True)
        self.close(context)
        return mount

    def set_attributes(
        self,
        mount: int,
        *,
        set: int = 0,
        clear: int = 0,
        propagation: int = 0,
        userns: int = 0,
        recursive: bool = False,
    ) -> None:
        flags = abi.AT_EMPTY_PATH | (abi.AT_RECURSIVE if recursive else 0)
        self._write("setattr", mount, flags=flags, attributes=(set, clear, propagation, userns))

    def attach(self, mount: int, dirfd: int, path: str) -> None:
        flags = abi.MOVE_MOUNT_F_EMPTY_PATH | (0 if path else abi.MOVE_MOUNT_T_EMPTY_PATH)
        self._write("move_mount", mount, os.fsencode(path), flags, to=dirfd)

    def join(self, seed: int, mount: int) -> None:
        self._write("move_mount", seed, b"", _JOIN, to=mount)

    def is_directory(self, fd: int) -> bool:
        return True  # LinuxKernel's fstat(2) is not on the tape: the floor is a little lower for it

    def device(self, fd: int) -> int:
        return fd  # another fstat(2), once for each workbench

    def make_directory(self, dirfd: int, path: str) -> None:
        self._write("mkdir", dirfd, os.fsencode(path))

    def enter_root(self, base: int, root: int, top: int) -> None:
        assert root == base
        self._write("pivot", root, to=top)

    def hold_namespace(self) -> int:
        return self._write("open", self._proc, b"self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, makes=True)

    def return_to(self, namespace: int, root: int) -> None:
        self._write("setns", namespace, flags=abi.CLONE_NEWNS)
        self._write("chroot", root)

    def copy_namespace(self) -> None:
        self._write("unshare", flags=abi.CLONE_NEWNS)

    def open_yard(self) -> int:
        return self._write("open", abi.AT_FDCWD, b"/..", _O_PATH | os.O_DIRECTORY, makes=True)

    def finish_namespace(self, name: str) -> None:
        for path in (b"self/mountinfo", b"self/ns/mnt"):
            self._write("open", self._proc, path, os.O_RDONLY | os.O_CLOEXEC, makes=True)

    def close(self, fd: int) -> None:
        self._write("close", fd)
        heapq.heappush(self._free, fd)

    def __getattr__(self, verb: str) -> NoReturn:
        raise NotImplementedError(f"bench/floor.c knows no calls for {verb}, so a plan that needs it has no floor")


def compile_floor(folder: Path) -> Path:
    """floor.c as a program in `folder`. Raises SystemExit if there is no C compiler."""
    source = Path(__file__).with_name("floor.c")
    program = folder / "floor"
    command = [os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)]
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"cannot compile bench/floor.c, against which execute is measured: {error}") from None
    return program


def write_tape(plan: Plan, path: Path) -> int:
    """Write the system calls of `plan` to `path`; returns how many there are."""
    tape = Tape()
    execute(plan.steps, cast(Kernel, tape), Reporter())
    path.write_bytes(tape.data)
    return tape.calls


def run_floor(program: Path, tape: Path) -> tuple[int, int]:
    """Nanoseconds, by the clock and of CPU time, that the calls on the tape take in a process of their own.

    Raises SystemExit if one fails.
    """
    done = subprocess.run([program, tape], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the floor could not be measured (run the benchmark as root): {done.stderr.strip()}")
    wall, cpu, _ = map(int, done.stdout.split())
    return wall, cpu
