"""A descriptor whose owner is a `with` statement."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class closing_fd:
    """`with closing_fd(os.open(...)) as fd`: closed on the way out, as contextlib.closing does it with objects."""

    __slots__ = ("_close", "_fd")

    def __init__(self, fd: int, close: Callable[[int], None] = os.close) -> None:
        self._fd, self._close = fd, close

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        self._close(self._fd)
