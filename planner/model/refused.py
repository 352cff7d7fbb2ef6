"""WouldRefuse: what an operation of the model raises where the kernel would answer with an errno."""

from __future__ import annotations

import errno
import os


class WouldRefuse(Exception):
    """The kernel would refuse. `errno` is the number it would give, `why` the rule behind it, in words.

    Nothing has changed in the model by then, except where the kernel itself leaves something changed.
    """

    def __init__(self, number: int, why: str) -> None:
        self.errno = number
        self.why = why
        super().__init__(number, why)

    def __str__(self) -> str:
        return f"{errno.errorcode.get(self.errno, str(self.errno))} ({os.strerror(self.errno)}): {self.why}"


def invalid(why: str) -> WouldRefuse:
    """EINVAL, the kernel's answer to nearly everything that does not fit."""
    return WouldRefuse(errno.EINVAL, why)
