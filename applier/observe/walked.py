"""A path as seen from a root, walked component by component: is it there, and what is it without symbolic links?"""

from __future__ import annotations

import errno
import os

_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40  # as the kernel has it (MAXSYMLINKS)


def walked(root: str, path: str) -> str:
    """The same place without links, `.` and `..`, from a root directory on. Nothing is mounted by looking.

    Raises FileNotFoundError, NotADirectoryError, or another OSError if it cannot be known.
    """
    waiting = [name for name in reversed(path.split("/")) if name]
    open_ones = [os.open(root, os.O_PATH | os.O_CLOEXEC)]
    names: list[str] = []
    links = 0
    try:
        while waiting:
            name = waiting.pop()
            if name == ".":
                continue
            if name == "..":
                if names:
                    names.pop()
                    os.close(open_ones.pop())
                continue
            found = os.open(name, _PLACE, dir_fd=open_ones[-1])
            try:
                target = os.readlink("", dir_fd=found)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOENT):
                    os.close(found)
                    raise
                names.append(name)
                open_ones.append(found)
                continue
            os.close(found)
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            waiting += [one for one in reversed(target.split("/")) if one]
            if target.startswith("/"):
                names.clear()
                while len(open_ones) > 1:
                    os.close(open_ones.pop())
        return "/" + "/".join(names)
    finally:
        for fd in open_ones:
            os.close(fd)


def walked_in(namespace: int, path: str) -> str:
    """walked(), in the mount namespace behind a descriptor, as who enters it sees it."""
    from mountplan.applier.sys.inside import enter, in_child

    def look() -> str:
        enter(namespace)
        return walked("/", path)

    return in_child(look)
