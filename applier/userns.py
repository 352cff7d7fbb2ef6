"""User namespaces that exist only for their id-mapping (mount_setattr(2), MOUNT_ATTR_IDMAP)."""

from __future__ import annotations

import os
import signal

from mountplan.applier import abi, syscalls


def id_mapping(uids: tuple[tuple[int, int, int], ...], gids: tuple[tuple[int, int, int], ...]) -> int:
    """A descriptor of a user namespace with these maps: lines of (id in the filesystem, id seen, count).

    A namespace needs a process to be made in; it is ended before this returns. Raises OSError.
    """
    ready, is_ready = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
            syscalls.unshare(abi.CLONE_NEWUSER)
            os.write(is_ready, b"\0")
            signal.pause()
        except OSError as error:
            os.write(is_ready, str(error.errno).encode())
        finally:
            os._exit(1)
    try:
        os.close(is_ready)
        answer = os.read(ready, 16)
        if answer != b"\0":
            raise OSError(int(answer or 0), os.strerror(int(answer or 0)))
        for name, lines in (("uid_map", uids), ("gid_map", gids)):
            fd = os.open(f"/proc/{child}/{name}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, "".join(f"{inside} {outside} {count}\n" for inside, outside, count in lines).encode())
            finally:
                os.close(fd)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
