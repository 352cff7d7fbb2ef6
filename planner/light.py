"""What contextlib, functools and typing have, for the modules that every run loads: those three cost it as much time
as Python itself takes to start, since they load `collections`, `enum` and `re`.

A type checker sees the originals. Elsewhere than on that road, use these.
"""

from __future__ import annotations

import gc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import contextmanager as contextmanager
    from functools import cache
    from re import Pattern
    from typing import Any
    from typing import Generic as Generic
    from typing import Literal as Literal
    from typing import ParamSpec as ParamSpec
    from typing import Protocol as Protocol
    from typing import TypeVar as TypeVar

    remember = cache
else:
    Protocol = object

    class Generic:
        def __class_getitem__(cls, parameter):
            return cls

    def TypeVar(name, *constraints, **bound):
        return name

    ParamSpec = TypeVar

    class Literal:
        """typing.Literal, for who reads annotations at run time: its values are in __args__."""

        __slots__ = ("__args__",)

        def __class_getitem__(cls, values):
            one = cls()
            one.__args__ = values if isinstance(values, tuple) else (values,)
            return one

    def remember(function):
        """functools.cache, for positional arguments; it begins anew when it has a thousand results."""
        known = {}

        def call(*arguments):
            try:
                return known[arguments]
            except KeyError:
                if len(known) >= 1024:
                    known.clear()
                result = known[arguments] = function(*arguments)
                return result

        return like(call, function)

    def contextmanager(function):
        """contextlib.contextmanager, for `with` alone."""

        def lend(*arguments, **named):
            return _Lent(function(*arguments, **named))

        return like(lend, function)


def regex(pattern: str) -> Pattern[str]:
    """re.compile(), when the pattern is used for the first time."""
    lazy: Any = _Regex()
    lazy.pattern = pattern
    return lazy  # type: ignore[no-any-return]


class _Regex:
    def __getattr__(self, name: str) -> Any:
        import re

        found = getattr(re.compile(self.__dict__["pattern"]), name)
        setattr(self, name, found)
        return found


def like(wrapper: Any, function: Any) -> Any:
    """`wrapper`, with what functools.wraps gives it of `function`."""
    for name in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__"):
        setattr(wrapper, name, getattr(function, name))
    wrapper.__wrapped__ = function
    return wrapper


class _Lent:
    """A generator that yields once, as what `with` takes."""

    __slots__ = ("_generator",)

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __enter__(self) -> Any:
        return next(self._generator)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if error is None:
            try:
                next(self._generator)
            except StopIteration:
                return False
            raise RuntimeError("a generator for `with` yields twice")
        try:
            self._generator.throw(error)
        except StopIteration as stopped:
            return stopped is not error
        except BaseException as raised:
            if raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error):
                error.__traceback__ = trace
                return False
            raise
        raise RuntimeError("a generator for `with` goes on after it was told of an error")


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


def built_from_c(module: str, version: int) -> Any:
    """What a C file was built as; False if it was not, or in a checkout that was another one then (its VERSION)."""
    try:
        found = __import__(module, fromlist=("VERSION",))
    except ImportError:
        return False
    return found if getattr(found, "VERSION", 0) == version else False
