"""All mount namespaces that processes are in, as far as this user may see them."""

from __future__ import annotations

import os
from typing import NamedTuple

from mountplan.applier.observe import observe
from mountplan.applier.subjects import command_of
from mountplan.planner.errors import TableError
from mountplan.planner.table import MountTable


class Inhabited(NamedTuple):
    """A namespace, known by the process in it with the lowest pid: its pid, its command, and what it sees."""

    pid: int
    command: str
    table: MountTable


def every_namespace(first: int | None = None) -> tuple[Inhabited, ...]:
    """The namespaces of all processes, each once; that of `first` before all others, and seen as that process sees it.

    What may not be read, and what ends meanwhile, is left out; but TableError if it is `first`.
    """
    found: list[Inhabited] = []
    known: set[str] = set()
    if first is not None:
        table = observe(first)
        known.add(_namespace(first))
        found.append(Inhabited(first, command_of(first), table))
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        namespace = _namespace(pid)
        if not namespace or namespace in known:
            continue
        try:
            found.append(Inhabited(pid, command_of(pid), observe(pid)))
        except TableError:
            continue
        known.add(namespace)
    return tuple(found)


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return ""
