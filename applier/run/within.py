"""A program of the shelf, run by a process of a script. Where it would execute another, the process goes there."""

from __future__ import annotations

import errno
import marshal
import os
import re
import socket
import struct

from mountplan.applier.run.lent import MAPS, CannotLend, lent, written
from mountplan.applier.run.programs import Shelf
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.refusal import OF_THE_SYSTEM, KernelRefusal, Place, call_of, place_of
from mountplan.planner.commands.util_linux import read_nsenter, read_umount, read_unshare

_READERS = frozenset({"mount", "umount", "unshare"})  # of what is in /proc
_CREDENTIALS = struct.Struct("3i")
_LONGEST = 4000  # bytes of what it says
_CANNOT_EXECUTE = 127
_FAILED = b"\0"  # no program says that first


class NotExecuted(KernelRefusal):
    """A call on the way to a program has failed; `place` is where in the source that was made, if it has no name."""

    def __init__(self, number: int, call: str, place: Place | None) -> None:
        super().__init__(number, call)
        self.place = place


def run_program(shelf: Shelf, words: tuple[str, ...], proc: int) -> tuple[int, str] | None:
    """Its status and what it wrote to standard error; None if it cannot be run here. Raises OSError."""
    if words[0] == "nsenter" and (entered := read_nsenter(list(words[1:]))).files and entered.target:
        return None  # processes it finds in the anteroom, files where the script has gone
    if words[0] == "mount" and any(re.match("-[a-zA-Z]*N|--nam", word) for word in words[1:]):
        return None  # the namespace it looks for in /proc
    if words[0] not in _READERS:
        return _run(shelf, words, proc)
    table = syscalls.own_mountinfo(proc)
    if words[0] == "umount":
        read = read_umount(list(words[1:]))
        again = b" shared:" in table or (read.all_targets and read.recursive) or len(read.targets) > 1
        is_there = again and any(
            one[:1] != "/" or b" %s " % os.fsencode(one.rstrip("/") or one) in table for one in read.targets
        )
        if (read.all_targets or read.recursive) and is_there:
            return None  # it looks again for what went with another, and what is lent stays as it was
    try:
        with lent(table):
            return _run(shelf, words, proc)
    except CannotLend:
        return None


def _run(shelf: Shelf, words: tuple[str, ...], proc: int) -> tuple[int, str] | None:
    in_anteroom = words[0] == "nsenter" and not read_nsenter(list(words[1:])).files
    binds_files = words[0] == "unshare" and bool(read_unshare(list(words[1:])).files)
    ours, theirs = socket.socketpair()
    with closing_fd(os.memfd_create("told", os.MFD_CLOEXEC)) as told:
        with ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            child = os.fork()
            if child == 0:
                try:
                    if in_anteroom:
                        syscalls.setns(shelf.anteroom, abi.CLONE_NEWNS)
                    shelf.execute(words, theirs.fileno(), told, proc, from_proc=binds_files)
                except OSError as error:
                    _tell((error.errno or errno.EIO, call_of(error), place_of(error)), told)
                finally:
                    os._exit(_CANNOT_EXECUTE)
            theirs.close()
            held = _wait_for_held(ours)
            if held:
                _go_where(held, proc)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = os.pread(told, _LONGEST, 0)
    if status == _CANNOT_EXECUTE and said[:1] in (b"", _FAILED):
        failed: tuple[int, str, Place | None] = marshal.loads(said[1:]) if said else (0, "", None)
        if failed[0] in OF_THE_SYSTEM:
            raise NotExecuted(*failed)
        return None
    return status, said.decode("utf-8", "replace").strip()


def _tell(failed: tuple[int, str, Place | None], told: int) -> None:
    """By then its number may be something else's, and standard error is it."""
    for fd in (told, 2):
        try:
            os.pwrite(fd, _FAILED + marshal.dumps(failed), 0)
            return
        except OSError:
            continue


def _wait_for_held(connection: socket.socket) -> int:
    """The process that is about to execute a command; 0 if the program ended without that."""
    data, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(_CREDENTIALS.size))
    for level, kind, content in ancillary:
        if data and level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(_CREDENTIALS.unpack(content[: _CREDENTIALS.size])[0])
    return 0


def _go_where(pid: int, proc: int) -> None:
    """Enter the namespaces, the root and the directory of a process. If it has asked for maps of ids, it gets them."""
    for name in MAPS:
        if text := written(name):
            _write(f"{pid}/{name}", text, proc)
    places = [os.open(f"{pid}/{name}", os.O_PATH | os.O_CLOEXEC, dir_fd=proc) for name in ("root", "cwd")]
    pidfd = os.pidfd_open(pid)
    try:
        for name, kind in (("user", abi.CLONE_NEWUSER), ("mnt", abi.CLONE_NEWNS)):
            theirs, ours = (os.stat(f"{one}/ns/{name}", dir_fd=proc) for one in (pid, "self"))
            if not os.path.samestat(theirs, ours):
                syscalls.setns(pidfd, kind)
        os.fchdir(places[0])
        os.chroot(".")
        os.fchdir(places[1])
    finally:
        for fd in (pidfd, *places):
            os.close(fd)


def _write(path: str, text: bytes, proc: int) -> None:
    with closing_fd(os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)) as fd:
        os.write(fd, text)
