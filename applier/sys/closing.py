"""A descriptor whose owner is a `with` statement."""

from __future__ import annotations

import os


class closing_fd:
    """`with closing_fd(os.open(...)) as fd`: closed on the way out, as contextlib.closing does it with objects."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
