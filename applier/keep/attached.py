"""Namespaces that stand whatever becomes of us, kept or of a process, with what it takes to enter each of them."""

from __future__ import annotations

import os
import socket

from mountplan.applier.keep import kept
from mountplan.applier.observe.observe import own_number, refused_table
from mountplan.applier.observe.subjects import Subject, of_process
from mountplan.applier.sys.abi import VISITED
from mountplan.applier.sys.inside import in_child
from mountplan.planner.record import NamedTuple


class NamespaceEntry:
    """Descriptors of the namespaces that a child has to enter, in this order, and of its root there (-1: theirs)."""

    def __init__(self, fds: list[int], root: int = -1) -> None:
        self._fds = fds
        self._root = root

    def enter(self) -> None:
        """For a child that ends soon, or becomes a command. It stays hidden from those in there. Raises OSError."""
        from mountplan.applier.sys import syscalls

        syscalls.hide()
        for fd in self._fds:
            syscalls.setns(fd, 0)
        if self._root >= 0:
            os.fchdir(self._root)
            os.chroot(".")
        os.chdir("/")

    def close(self) -> None:
        for fd in {*self._fds, self._root} - {-1}:
            os.close(fd)
        self._fds, self._root = [], -1


class AttachedSpace(NamedTuple):
    """One mount namespace: its name, itself to look at, the others that belong to it by kind, in order."""

    name: str
    subject: Subject
    others: tuple[int, ...]


class Attached:
    """Holds descriptors of namespaces until it is closed. `pid` is a process in them, 0 if none is known."""

    def __init__(self, label: str, spaces: tuple[AttachedSpace, ...], pid: int = 0) -> None:
        self.label = label
        self.spaces: tuple[AttachedSpace, ...] = spaces
        self.pid = pid
        self._root = -1

    def space(self, name: str) -> AttachedSpace:
        """The one called `name`, or the first. Raises StopIteration if there is none."""
        return next(one for one in self.spaces if name in ("", one.name))

    def entrance(self, name: str) -> NamespaceEntry:
        """Descriptors of its own."""
        one = self.space(name)
        return NamespaceEntry([*map(os.dup, one.others), os.dup(one.subject.fd)], one.subject.root())

    def path_of_root(self) -> str:
        """The root of the last namespace as a path from outside."""
        if self.pid:
            return f"/proc/{self.pid}/root"
        if self._root < 0:
            self._root = self._fetch_root()
        return f"/proc/{own_number()}/fd/{self._root}"

    def _fetch_root(self) -> int:
        """A child goes there, and sends a descriptor."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            entrance = self.entrance(self.spaces[-1].name)
            try:

                def send() -> None:
                    entrance.enter()
                    fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                    socket.send_fds(theirs, [b"r"], [fd])

                in_child(send)
            except OSError as error:
                raise refused_table(f"{self.label}: cannot enter the namespace", error) from None
            finally:
                entrance.close()
            (fd,) = socket.recv_fds(ours, 1, 1)[1]
        os.set_inheritable(fd, False)
        return fd

    def close(self) -> None:
        for one in self.spaces:
            one.subject.close()
        for fd in {fd for one in self.spaces for fd in one.others} | ({self._root} - {-1}):
            os.close(fd)
        self.spaces, self._root = (), -1


def of_kept(name: str) -> Attached:
    """All that is kept under a name. Raises NotKept or KeepRefused."""
    with kept.opened(name) as found:
        own = [one for kind in VISITED for one in found.kept.namespaces if one.kind == kind]
        opened: list[int] = []
        try:
            for one in own:
                opened.append(found.open(one))
            subjects = kept.subjects(name)
        except BaseException:
            for fd in opened:
                os.close(fd)
            raise
    pairs = zip(found.kept.mounts, subjects, strict=True)
    return Attached(name, tuple(AttachedSpace(one.name, subject, tuple(opened)) for one, subject in pairs))


def of_running(pid: int) -> Attached:
    """The namespaces that a process is in. Raises TableError."""
    subject = of_process(pid)
    opened: list[int] = []
    try:
        for kind in VISITED:
            path = f"/proc/{pid}/ns/{kind}"
            if not os.path.samestat(os.stat(path), os.stat(f"/proc/self/ns/{kind}")):
                opened.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        subject.close()
        for fd in opened:
            os.close(fd)
        raise refused_table(f"process {pid}: cannot open its namespaces", error) from None
    return Attached(f"process {pid}", (AttachedSpace("", subject, tuple(opened)),), pid)
