"""What a namespace had mounted is let go a moment after its last process has ended: waits for that moment."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import TypeVar

Answer = TypeVar("Answer")
_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # seconds


def settled(ask: Callable[[], Answer], is_free: Callable[[Answer], bool]) -> Answer:
    """What `ask` answers: the first answer that is free, or the last one, after less than a second."""
    for pause in _PAUSES:
        answer = ask()
        if is_free(answer):
            return answer
        sleep(pause)
    return ask()
