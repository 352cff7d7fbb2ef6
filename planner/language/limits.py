"""How long the texts may be that a spec hands to the kernel. In bytes, and without the NUL that ends each of them."""

from __future__ import annotations

NAME = 255  # of a file (NAME_MAX)
PATH = 4095  # PATH_MAX
SYMLINK = 4095  # what symlink(2) takes
OPTION = 255  # key or value of fsconfig(2)
HOSTNAME = 64  # __NEW_UTS_LEN
ARGUMENTS = 6 << 20  # all arguments and variables of a program, with a pointer for each (three quarters of _STK_LIM)


def size(text: str) -> int:
    """The bytes of a text."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def path_too_long(path: str) -> tuple[str, str] | None:
    """Why the kernel would not walk to `path`, as it goes on after the path itself, and what to do; None if it would.
    The cost is linear.
    """
    if len(path) <= NAME // 4:
        return None
    whole = size(path)
    if whole > PATH:
        return f"is {whole:,} bytes long", f"shorten it: the kernel takes no path of more than {PATH} bytes"
    if whole <= NAME:
        return None
    longest = max(map(len if path.isascii() else size, path.split("/")))
    if longest > NAME:
        return f"has a name of {longest} bytes in it", f"shorten it: the kernel takes no name of more than {NAME} bytes"
    return None
