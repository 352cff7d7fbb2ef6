"""Directories and files that their owner alone can look into, and can, whatever the umask is."""

from __future__ import annotations

import os
import stat

from mountplan.applier.sys.closing import closing_fd

_ALL = 0o700
_TRIES = 20


def new_directory(path: str, dir_fd: int | None = None) -> None:
    """Raises OSError as mkdir(2)."""
    # Not by its path, in the place of which another may have put a symlink; nor can it be read as long as it is closed.
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    for left in reversed(range(_TRIES)):
        os.mkdir(path, _ALL, dir_fd=dir_fd)
        try:
            fd = os.open(path, flags, dir_fd=dir_fd)
        except FileNotFoundError:  # it was empty, and just what a cleaner looks for
            if not left:
                raise
            continue
        with closing_fd(fd):
            if stat.S_IMODE(os.fstat(fd).st_mode) & _ALL != _ALL:
                os.chmod(f"/proc/self/fd/{fd}", _ALL)
        return


def opened_file(path: str, dir_fd: int | None = None, flags: int = os.O_EXCL) -> int:
    """A descriptor for writing; the file is made if it is not there. Raises OSError as open(2)."""
    flags |= os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600, dir_fd=dir_fd)
    os.fchmod(fd, 0o600)
    return fd
