"""An argument that is to be a kept name: with or without its prefix, and what is said where it is something else."""

from __future__ import annotations

import os
from collections.abc import Iterator

from mountplan.cli.usage import UsageError
from mountplan.planner.characters import typed
from mountplan.planner.errors import KeepRefused, NotKept
from mountplan.planner.light import contextmanager

_PREFIX = "name:"


def kept_name(argument: str) -> str:
    """The name behind `name:NAME`, as `diff` and `verify` have it; every other argument is one as it stands."""
    return argument.removeprefix(_PREFIX)


def process_in(argument: str) -> int | None:
    """The number of a process, written `1234`, `pid:1234` or `pid:self`; None if the argument is something else.

    A bare number under which something is kept is that name.
    """
    if argument == "pid:self":
        from mountplan.applier.observe.observe import own_number

        return own_number()
    number = argument.removeprefix("pid:")
    if number != argument and not (number.isascii() and number.isdecimal()):
        raise UsageError(f"{argument}: is no number of a process: name one such as pid:1, or pid:self")
    if not (number.isascii() and number.isdecimal()):
        return None
    from mountplan.operands import is_kept

    return None if argument == number and is_kept(number) else int(number)


@contextmanager
def told_for_what_it_is(argument: str, command: str) -> Iterator[None]:
    """If nothing is kept under `argument`, and it is a spec or a process, have the error say so."""
    try:
        yield
    except (NotKept, KeepRefused) as error:  # the second, where it cannot even be a name
        raise _better(argument, command) or error from None


def _better(argument: str, command: str) -> NotKept | None:
    """What to say instead; None if the argument can only be a name."""
    if argument == "self" and command == "show":
        return NotKept("nothing is kept under the name 'self'", "this process is pid:self")
    if process_in(argument) is not None:
        what = f"{argument}: is the number of a process, and {command} takes a kept name"
        return NotKept(what, _FOR_PROCESSES.get(command, "") + "`mountplan ls` lists the names")
    if argument.endswith((".toml", ".json")) or os.path.isfile(argument):
        kind = "a saved plan" if argument.endswith(".json") else "a spec"
        if not os.path.exists(argument):
            return NotKept(f"{argument}: is no file, and no kept name either", "`mountplan ls` lists the names")
        what = f"{argument}: is {kind}, and {command} takes the name under which one is kept"
        return NotKept(what, _FOR_SPECS.get(command, "`mountplan ls` lists the names").format(file=typed(argument)))
    if os.path.isdir(argument) or argument.startswith(("/", "./", "../")):
        return NotKept(f"{argument}: is a path, and {command} takes a kept name", "`mountplan ls` lists the names")
    return None


_FOR_PROCESSES = {"enter": "`nsenter --target PID --mount` enters the namespace of a process; "}
_FOR_SPECS = {
    "enter": "keep it first: `mountplan apply {file}`; or use it once: `mountplan run {file} -- COMMAND`",
    "show": "keep it first: `mountplan apply {file}`; or see what it would build: `mountplan plan {file}`",
}
