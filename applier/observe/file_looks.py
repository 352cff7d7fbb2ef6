"""Files in filesystems that stand, held against what was declared of them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.inside import ChildKilled, in_child
from mountplan.applier.sys.owned import enter_as_its_user
from mountplan.planner.plan.steps import MakeNode
from mountplan.planner.record import NamedTuple

_KINDS = {"directory": stat.S_ISDIR, "symlink": stat.S_ISLNK, "file": stat.S_ISREG, "fifo": stat.S_ISFIFO}
_GONE = "is not there any more"
_RESOLVE = abi.RESOLVE_IN_ROOT | abi.RESOLVE_NO_SYMLINKS | abi.RESOLVE_NO_MAGICLINKS


class SeenAt(NamedTuple):
    """Where a walk may come to a file: `path` on the mount `mount` (an id), at `mountpoint` in this namespace."""

    namespace: int
    mount: int
    mountpoint: str
    path: str


class DeclaredFile(NamedTuple):
    node: MakeNode
    places: tuple[SeenAt, ...]


def find_different(namespaces: Sequence[int], user: int, declared: Sequence[DeclaredFile]) -> list[str]:
    """Of each: "" if it is as it was declared, and what it is otherwise, in words. Nothing is opened but plain files.

    `namespaces` are descriptors of mount namespaces, `user` one of the user namespace that has them, -1 if it is ours.
    """

    def look() -> list[str | None]:
        syscalls.hide()
        found: list[str | None] = [None] * len(declared)
        with ExitStack() as stack:
            process = os.open("/proc/self/fd", os.O_PATH | os.O_CLOEXEC)
            stack.callback(os.close, process)
            sources = {}
            for one in declared:
                if one.node.source and one.node.source not in sources:
                    sources[one.node.source] = _opened(one.node.source, process)
            if user >= 0:
                enter_as_its_user(user)
            for number, namespace in enumerate(namespaces):
                syscalls.setns(namespace, abi.CLONE_NEWNS)
                for at, one in enumerate(declared):
                    for place in one.places:
                        if place.namespace == number and found[at] is None:
                            found[at] = _difference(one.node, place, process, sources.get(one.node.source, -1))
        return found

    try:
        looks = in_child(look)
    except (OSError, ChildKilled):
        looks = []
    unseen = "was not looked at, as something is mounted over it"
    words = [
        one if one is not None else "" if each.node.node == "directory" else unseen
        for one, each in zip(looks, declared, strict=False)
    ]
    return words or ["was not looked at"] * len(declared)


def is_other(words: str) -> bool:
    """Whether these words of find_different() are of something that is there, and not as declared."""
    return words not in ("", _GONE) and not words.startswith("was not ")


def _opened(path: str, process: int) -> int:
    """A file of the host to read, -1 if it is none, or cannot be had. It is open as long as the child lives."""
    with suppress(OSError), closing_fd(os.open(path, os.O_PATH | os.O_CLOEXEC)) as fd:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return os.open(str(fd), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=process)
    return -1


def _difference(node: MakeNode, place: SeenAt, process: int, source: int) -> str | None:
    """None if something else is seen there."""
    try:
        with closing_fd(os.open("/", os.O_PATH | os.O_CLOEXEC)) as root:
            flags, inside = os.O_PATH | os.O_NOFOLLOW, _RESOLVE | abi.RESOLVE_NO_XDEV
            try:
                mount = syscalls.openat2(root, os.fsencode(place.mountpoint), flags, _RESOLVE)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):  # what is mounted over it has no such directory
                    return None
                raise
            with closing_fd(mount):
                if syscalls.mount_id(mount, b"") != place.mount:
                    return None
                with closing_fd(syscalls.openat2(mount, os.fsencode(place.path) or b".", flags, inside)) as fd:
                    return unlike(node, fd, process, source)
    except OSError as error:
        if error.errno == errno.EXDEV:
            return None
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return _GONE
        return f"was not looked at: {os.strerror(error.errno or 0)}"


def unlike(node: MakeNode, fd: int, process: int, source: int) -> str:
    """How what an O_PATH descriptor stands for is not as declared, "" if it is. `process` is /proc/self/fd, `source` an
    open file to compare with, -1 if there is none.
    """
    status = os.fstat(fd)
    if node.node in _KINDS and not _KINDS[node.node](status.st_mode):
        return f"is no {node.node} any more"
    if node.node == "symlink":
        if os.readlink(b"", dir_fd=fd) != os.fsencode(node.link):
            return "points elsewhere than was declared"
    elif node.mode >= 0 and stat.S_IMODE(status.st_mode) != node.mode:
        return f"has the mode {stat.S_IMODE(status.st_mode):04o}, and not {node.mode:04o} as was declared"
    for what, asked, there in (("user", node.uid, status.st_uid), ("group", node.gid, status.st_gid)):
        if asked >= 0 and asked != there:
            return f"belongs to {what} {there}, and not {asked} as was declared"
    if node.node != "file":
        return ""
    if node.source and source < 0:
        return f"was not compared with {node.source}, which cannot be read"
    there = os.open(str(fd), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=process)
    with open(there, "rb", buffering=0) as file:
        if node.source:
            return "" if _same(file.fileno(), source) else f"has other contents than {node.source} now"
        content = node.content.encode("utf-8", "surrogateescape")
        if status.st_size == len(content) and _begins(file.fileno(), content):
            return ""
    return "has other contents than were declared"


def _begins(fd: int, content: bytes) -> bool:
    at = 0
    while at < len(content):
        part = os.pread(fd, min(1 << 20, len(content) - at), at)
        if not part or content[at : at + len(part)] != part:
            return False
        at += len(part)
    return True


def _same(one: int, two: int) -> bool:
    if os.fstat(one).st_size != os.fstat(two).st_size:
        return False
    at = 0
    while True:
        parts = [os.pread(fd, 1 << 20, at) for fd in (one, two)]
        if parts[0] != parts[1]:
            return False
        if not parts[0]:
            return True
        at += len(parts[0])
