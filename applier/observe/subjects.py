"""Live mount namespaces that something is asked about: by a process in them, or by a namespace file."""

from __future__ import annotations

import errno
import fcntl
import os

from mountplan.applier.observe.inspect import Whole, read_below, read_whole
from mountplan.applier.observe.observe import NEVER_STILL, not_ours, not_read, read_still, refused_table
from mountplan.applier.observe.table_reader import TableReader
from mountplan.applier.sys import abi
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.refusal import call_of, in_words
from mountplan.applier.sys.userns import ids_of
from mountplan.planner.errors import TableError
from mountplan.planner.fstypes import SHOWN_KINDS
from mountplan.planner.names import IdMapping

# What /proc answers about a process that has ended.
ENDED = (errno.ENOENT, errno.ESRCH)

# What files of other kinds answer to an ioctl(2) of namespace files: regular ones, directories, terminals, sockets.
_NO_NAMESPACE_FILE = (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.ENXIO)


class Subject:
    """One mount namespace, held by a descriptor. Use it in a `with` block.

    `pid` is a process in it, from whose root it is seen; 0 if it is known by its file only. Then it is seen from the
    directory behind the descriptor `root`, or, if that is -1, from the topmost mount on its root, as setns(2) does.
    `kinds` are the kinds of other namespaces in which its processes are not in ours.
    """

    def __init__(
        self, name: str, label: str, fd: int, pid: int = 0, root: int = -1, kinds: tuple[str, ...] = ()
    ) -> None:
        self.kinds = kinds
        self.name = name
        self.label = label  # what the user called it, for errors
        self.fd = fd
        self.pid = pid
        self._root = root

    def root(self) -> int:
        """A descriptor of its own of the root that it is seen from, -1 if there is none."""
        if self._root >= 0:
            return os.dup(self._root)
        try:
            if self.pid:
                return os.open(f"/proc/{self.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno not in ENDED:
                raise not_read(error, self.pid) from None
        return -1  # the process has ended: then from the topmost mount

    def read(self, reader: TableReader | None = None) -> Whole:
        """All of its mounts; by `reader`, if what else it is to read is read in turn. Raises TableError."""
        try:
            if reader is not None:
                return self._whole(reader)
            with TableReader() as own:
                return self._whole(own)
        except TableError as error:
            raise error.about(self.label) from None

    def _whole(self, reader: TableReader) -> Whole:
        return read_whole(self.fd, lambda: self._mountinfo(reader))

    def _mountinfo(self, reader: TableReader) -> bytes:
        """The text of mountinfo. Raises TableError if the process has ended, or is in another namespace by now."""
        if not self.pid:
            return self._from_inside(reader)
        try:
            with open(f"/proc/{self.pid}/mountinfo", "rb", buffering=0) as file:
                text = read_still(file)
            same = os.path.samestat(os.stat(f"/proc/{self.pid}/ns/mnt"), os.fstat(self.fd))
        except OSError as error:
            raise not_read(error, self.pid) from None
        if not same:
            raise TableError(f"process {self.pid} went to another mount namespace while it was read")
        return _still(text)

    def _from_inside(self, reader: TableReader) -> bytes:
        try:
            return _still(reader.read(self.fd, self._root))
        except OSError as error:
            raise refused_table("cannot enter the namespace", error) from None

    def close(self) -> None:
        for fd in {self.fd, self._root} - {-1}:
            os.close(fd)
        self.fd = self._root = -1

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def of_process(pid: int, name: str = "") -> Subject:
    """The mount namespace that a process is in. Raises TableError if there is none, or it is not ours to see."""
    label = f"process {pid}"
    try:
        fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        kinds = tuple(kind for kind in SHOWN_KINDS if _differs(pid, kind))
    except OSError as error:
        raise not_read(error, pid) from None
    return Subject(name or command_of(pid), label, fd, pid, kinds=kinds)


class SubjectBelow(Subject):
    """A mount namespace as it will be seen once a directory in it is the root: what is not below that is left out."""

    def _whole(self, reader: TableReader) -> Whole:
        return read_below(self.fd, self._from_inside(reader))


def below(pid: int | None, path: str) -> SubjectBelow:
    """The mount namespace that a process is in, or, for None, our own, from the directory `path` in it on.

    For what a container runtime has built, and not yet made the root. Raises TableError if there is none.
    """
    where = "self" if pid is None else str(pid)
    label = f"{path} in process {pid}" if pid is not None else path
    try:
        fd = os.open(f"/proc/{where}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise not_read(error, pid or os.getpid()) from None
    try:
        root = os.open(f"/proc/{where}/root{path}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        os.close(fd)
        raise TableError(f"{label}: cannot open it: {in_words(error)}") from None
    kinds = () if pid is None else tuple(kind for kind in SHOWN_KINDS if _differs(pid, kind))
    return SubjectBelow("container", label, fd, 0, root, kinds)


def _differs(pid: int, kind: str) -> bool:
    try:
        return not os.path.samestat(os.stat(f"/proc/{pid}/ns/{kind}"), os.stat(f"/proc/self/ns/{kind}"))
    except FileNotFoundError:
        return False  # it has ended, or the kernel has no such kind


def of_tree(pid: int) -> list[Subject]:
    """The mount namespaces that a process and its descendants are in, each once; the caller closes them.

    Raises TableError if the process itself cannot be looked at; descendants that end meanwhile are left out.
    """
    found = [of_process(pid)]
    children: dict[int, list[int]] = {}
    for number in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        children.setdefault(_parent_of(number), []).append(number)
    known = {os.fstat(found[0].fd).st_ino}
    waiting = children.get(pid, [])
    while waiting:
        number = waiting.pop(0)
        waiting += children.get(number, ())
        try:
            one = of_process(number)
        except TableError:
            if os.path.exists(f"/proc/{number}"):
                for subject in found:
                    subject.close()
                raise
            continue
        inode = os.fstat(one.fd).st_ino
        if inode in known:
            one.close()
            continue
        known.add(inode)
        found.append(one)
    return found


def _parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except IndexError:
        return 0
    except OSError as error:
        if error.errno not in (*ENDED, errno.EACCES, errno.EPERM):  # hidepid=1 of /proc hides other users' that way
            raise not_read(error, pid) from None
        return 0


def command_of(pid: int) -> str:
    """The name of the program that a process runs, "" if it cannot be told."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""


def of_file(path: str, name: str = "") -> Subject:
    """The mount namespace behind a namespace file (/proc/PID/ns/mnt, or where one is kept). Raises TableError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EACCES:
            what, remedy = not_ours(error, 0)
            raise TableError(f"{path}: {what}\n  remedy: {remedy}", 3) from None
        why = (error.strerror or "").lower()
        raise TableError(f"{path}: cannot open it: {why}; name a file such as /proc/PID/ns/mnt") from None
    try:
        kind = _namespace_kind(fd, f"{path}: cannot tell whose it is")
        if not kind:
            raise TableError(f"{path}: is no namespace file; name one such as /proc/PID/ns/mnt")
        if kind != abi.CLONE_NEWNS:
            raise TableError(f"{path}: is the file of another kind of namespace; name that of a mount namespace")
    except TableError:
        os.close(fd)
        raise
    return Subject(name or os.path.basename(path), path, fd)


def is_namespace_file(path: str) -> bool:
    """Is it the file of a namespace, of whatever kind?"""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # whatever it is, who reads it tells why that cannot be
    with closing_fd(fd):
        return _namespace_kind(fd, f"{path}: cannot tell whether it is a namespace file") != 0


def _namespace_kind(fd: int, what: str) -> int:
    """The kind of namespace whose file it is, as a flag of clone(2); 0 for any other. Raises TableError, of `what`."""
    try:
        return fcntl.ioctl(fd, abi.NS_GET_NSTYPE)
    except OSError as error:
        if error.errno not in _NO_NAMESPACE_FILE:
            raise refused_table(what, error) from None
        return 0


def _still(text: bytes | None) -> bytes:
    if text is None:
        raise TableError(NEVER_STILL)
    return text


def ids_inside(namespace: int) -> IdMapping | None:
    """The ids of the user namespace that owns a mount namespace (View.ids); None also if it is not ours to ask."""
    try:
        owner = fcntl.ioctl(namespace, abi.NS_GET_USERNS)
    except PermissionError:
        return None
    try:
        return ids_of(owner)
    except OSError as error:
        if error.errno == errno.EACCES or (error.errno == errno.EPERM and call_of(error) == "setns"):
            return None
        raise
    finally:
        os.close(owner)
