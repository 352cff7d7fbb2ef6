"""The garbage collector, and when it should rest."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def without_collector(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`function` with the collector at rest, for functions that make a great many objects and let none of them go.

    While those grow more, the collector looks through all of them time and again. That takes as long as making them,
    and finds nothing.
    """

    @functools.wraps(function)
    def resting(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if not gc.isenabled():
            return function(*args, **kwargs)
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            gc.enable()

    return resting
