"""What another process may have to answer: a filesystem that is looked at may be one of those that never do."""

from __future__ import annotations

from mountplan.applier.sys.refusal import OF_THE_SYSTEM
from mountplan.planner.light import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_asked: list[str] = []


@contextmanager
def asking(what: str) -> Iterator[None]:
    """In this block, waited_for() is `what`: another process may have to answer before it is left."""
    _asked.append(what)
    try:
        yield
    finally:
        _asked.pop()


@contextmanager
def unless_refused() -> Iterator[None]:
    """In this block a look at a path may come to nothing. What the system refuses whatever is there tells nothing of
    that, and is raised.
    """
    try:
        yield
    except OSError as error:
        if error.errno in OF_THE_SYSTEM:
            raise


def waited_for() -> str:
    """What planning is waiting for at this moment, in words; "" if it only waits for the machine to do its work."""
    return _asked[-1] if _asked else ""
