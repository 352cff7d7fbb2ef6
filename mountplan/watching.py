"""Watching trees that stand: each change of their mounts, as it happens."""

from __future__ import annotations

import os
import select
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from mountplan.applier.observe.observe import read_still, why_not
from mountplan.applier.observe.subjects import enter, open_proc
from mountplan.applier.sys.inside import in_child
from mountplan.planner.errors import TableError
from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountRow, MountTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mountplan.operands import Operand
    from mountplan.planner.compare.difference import Drift
    from mountplan.planner.plan.plan import Plan

_PAUSE = 1.0  # seconds: the kernel tells of mounts that come and go, but not of attributes and sharing


class MountEvent(NamedTuple):
    """A mount that has come (+), gone (-) or changed (~)."""

    sign: str
    namespace: str
    mount: str
    what: str


class Seen(NamedTuple):
    """What was seen at one look; `drift` is how it then differs from the spec, None without one."""

    events: tuple[MountEvent, ...]
    drift: Drift | None


def watch(operand: Operand, plan: Plan | None, seconds: float | None) -> Iterator[Seen]:
    """What changes in the namespaces of a kept name, or of a process, until `seconds` are over (None: for ever).

    Ends with the process. Raises NotKept, KeepRefused or TableError.
    """
    deadline = None if seconds is None else monotonic() + seconds
    with ExitStack() as stack:
        files = {}
        for name, fd in _mountinfos(operand):
            files[name] = stack.enter_context(open(fd, "rb", buffering=0))
        before = {name: _read(file) for name, file in files.items()}
        poll = select.poll()
        for file in files.values():
            poll.register(file, select.POLLPRI)
        if plan is not None:
            yield Seen((), _drift(plan, before))
        while deadline is None or monotonic() < deadline:
            left = _PAUSE if deadline is None else max(0.0, min(_PAUSE, deadline - monotonic()))
            poll.poll(left * 1000)
            if operand.kind == "pid" and not os.path.exists(f"/proc/{operand.value}"):
                return
            now = {name: _read(file) for name, file in files.items()}
            events = tuple(event for name in now for event in events_between(name, before[name], now[name]))
            if events:
                yield Seen(events, None if plan is None else _drift(plan, now))
            before = now


def _mountinfos(operand: Operand) -> list[tuple[str, int]]:
    """For each namespace a descriptor of its mountinfo, which shows it whenever it is read."""
    if operand.kind == "pid":
        pid = int(operand.value)
        try:
            return [("", os.open(f"/proc/{pid}/mountinfo", os.O_RDONLY | os.O_CLOEXEC))]
        except OSError as error:
            raise TableError(why_not(error, pid)) from None
    from mountplan.applier.keep import kept

    with kept.opened(operand.value) as found:
        return [(one.name, _opened_inside(found.open(one))) for one in found.kept.mounts]


def _opened_inside(namespace: int) -> int:
    """Opened by a child that has entered the namespace: whose mounts it shows is settled when it is opened."""
    import socket

    ours, theirs = socket.socketpair()
    proc = open_proc()

    def send() -> None:
        enter(namespace)
        fd = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        socket.send_fds(theirs, [b"."], [fd])

    with ours, theirs:
        try:
            in_child(send)
            _, (fd,), _, _ = socket.recv_fds(ours, 1, 1)
        finally:
            os.close(proc)
            os.close(namespace)
    os.set_inheritable(fd, False)
    return fd


def _read(file: object) -> MountTable:
    import io

    assert isinstance(file, io.FileIO)
    file.seek(0)
    text = read_still(file)
    if text is None:
        raise TableError("the mount table changed during each reading, for seconds")
    table = parse_mountinfo(text)
    return without_base(table)[0] if table.rows else table


def events_between(namespace: str, before: MountTable, now: MountTable) -> list[MountEvent]:
    """What has changed from one table to the other: mounts go by their ids."""
    earlier, later = before.by_id(), now.by_id()
    events = [
        MountEvent("-", namespace, row.mountpoint, _words(row))
        for number, row in earlier.items()
        if number not in later
    ]
    for number, row in later.items():
        old = earlier.get(number)
        if old is None:
            events.append(MountEvent("+", namespace, row.mountpoint, _words(row)))
        elif old != row:
            changed = [
                f"{field} {one or 'none'} -> {two or 'none'}"
                for field, one, two in zip(MountRow._fields, old, row, strict=True)
                if one != two
            ]
            events.append(MountEvent("~", namespace, row.mountpoint, ", ".join(changed)))
    return events


def _words(row: MountRow) -> str:
    return f"{row.fstype} {row.source} {row.attributes}"


def _drift(plan: Plan, tables: dict[str, MountTable]) -> Drift:
    from mountplan.applier.observe.observe import observe
    from mountplan.planner.compare.compare import differences, machine_of, views_of
    from mountplan.planner.compare.view import View
    from mountplan.planner.plan.predict import predict

    host = observe()
    wanted = views_of(plan, predict(plan, host))
    return differences(wanted, [View(name, table) for name, table in tables.items()], machine_of(host), arrivals=True)
