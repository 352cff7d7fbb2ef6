"""Making very many values at once, without Python looking for garbage meanwhile."""

from __future__ import annotations

import gc

from mountplan.planner.light import ParamSpec, TypeVar, contextmanager, like

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@contextmanager
def no_collector() -> Iterator[None]:
    """Hundreds of thousands of small values are made in here, none in a cycle; looking for cycles doubles the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def without_collector(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`function` with the collector at rest, for functions that make a great many objects and let none of them go."""

    def resting(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with no_collector():
            return function(*args, **kwargs)

    return like(resting, function)  # type: ignore[no-any-return]
