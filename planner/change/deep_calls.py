"""Recursion without a limit of depth: trees of mounts may be deeper than Python's stack."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

Result = TypeVar("Result")
Steps: TypeAlias = Generator["Steps[Any]", Any, Result]


def run_through(first: Steps[Result]) -> Result:
    """What a generator returns that yields the generators it calls, and is sent what these return."""
    stack: list[Steps[Any]] = [first]
    value: Any = None
    while True:
        try:
            stack.append(stack[-1].send(value))
            value = None
        except StopIteration as end:
            stack.pop()
            value = end.value
            if not stack:
                result: Result = value
                return result
