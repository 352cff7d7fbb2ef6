"""Mount tables as they are seen inside of namespaces, which this process stays out of."""

from __future__ import annotations

import _socket
import errno
import fcntl
import os

from mountplan.applier.observe.observe import open_proc, read_still
from mountplan.applier.sys import abi, channel, syscalls
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.inside import answer_of, die_with, enter, result_in
from mountplan.applier.sys.refusal import KernelRefusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


class TableReader:
    """Reads them by a child process that goes from namespace to namespace, as long as these have one owner: most of
    what a look at many took was a fork for each. Use it in a `with` block, and by one thread.
    """

    def __init__(self) -> None:
        self._socket: _socket.socket | None = None
        self._child = 0
        self._owner: object = None

    def read(self, namespace: int, root: int = -1) -> bytes | None:
        """The text of mountinfo, as read_still() has it, from the directory behind the descriptor `root`; if that is
        -1, as setns(2) sees it. Raises OSError or TableError, and ChildFailed or ChildKilled as in_child() does.
        """
        owner = _owner_of(namespace)
        if self._socket is None or owner != self._owner:
            self.close()
            self._owner, self._socket = owner, self._start()
        fds = memoryview(bytearray(8)).cast("i")
        fds[0], fds[1] = namespace, root
        try:
            lent = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds if root >= 0 else fds[:1])]
            self._socket.sendmsg([b"?"], lent, _socket.MSG_NOSIGNAL)
            answer = channel.receive(self._socket.fileno())[1]
        except ConnectionError:
            answer = b""
        try:
            text: bytes | None = result_in(answer)
        except BaseException:
            self.close()  # it may be anywhere now
            raise
        return text

    def _start(self) -> _socket.socket:
        parent = os.getpid()
        with closing_fd(open_proc()) as proc:
            try:
                ours, theirs = _socket.socketpair()
            except OSError as error:
                raise KernelRefusal(error.errno or 0, "socketpair") from None
            try:
                self._child = syscalls.fork()
                if self._child == 0:
                    _serve(theirs, ours, proc, parent)
            except BaseException:
                ours.close()
                raise
            finally:
                theirs.close()
        return ours

    def close(self) -> None:
        """Let the child go. The reader may be used again."""
        if self._socket is not None:
            self._socket.close()
            os.waitpid(self._child, 0)
            self._socket = None

    def __enter__(self) -> TableReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _owner_of(namespace: int) -> tuple[int, int] | None:
    """Which user namespace it takes to enter a mount namespace; None if it is not ours to ask."""
    try:
        with closing_fd(fcntl.ioctl(namespace, abi.NS_GET_USERNS)) as owner:
            found = os.fstat(owner)
            return found.st_dev, found.st_ino
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise
        return None


def _serve(asked: _socket.socket, other: _socket.socket, proc: int, parent: int) -> NoReturn:
    """The child: read what is asked for until the other end is closed. Only the first time takes the owner's rights."""

    def begin() -> None:
        die_with(parent)
        channel.close_all_but(asked.fileno(), proc)  # at the limit of descriptors, none would be received

    try:
        other.close()
        begun = answer_of(begin)
        inside = False
        while True:
            _, lent, *_ = asked.recvmsg(1, 64)
            if not lent:
                os._exit(0)
            fds = memoryview(lent[0][2]).cast("i")

            def look(fds: Sequence[int] = fds, first: bool = not inside) -> bytes | None:
                if first:
                    result_in(begun)
                    enter(fds[0])
                else:
                    syscalls.setns(fds[0], abi.CLONE_NEWNS)
                for root in fds[1:]:
                    os.fchdir(root)
                    os.chroot(".")
                fd = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
                with open(fd, "rb", buffering=0) as file:
                    return read_still(file)

            asked.sendall(channel.packed(b"t", answer_of(look)))
            inside = True
            for fd in fds:
                os.close(fd)
    finally:
        os._exit(1)
