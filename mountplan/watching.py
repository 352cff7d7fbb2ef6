"""Watching trees that stand: each change of their mounts, as it happens."""

from __future__ import annotations

import os
import select
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from mountplan.applier.observe.observe import read_still, why_not
from mountplan.applier.observe.subjects import ENDED, enter, open_proc
from mountplan.applier.sys.inside import in_child
from mountplan.planner.errors import TableError
from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountRow, MountTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    """What was seen at one look; `drift` is how it then differs from the spec, None without one. `end` says why this
    was the last look, if not because the time is over.
    """

    events: tuple[MountEvent, ...]
    drift: Drift | None
    end: str = ""


def watch(operand: Operand, plan: Plan | None, seconds: float | None) -> Iterator[Seen]:
    """What changes in the namespaces of a kept name, or of a process, until `seconds` are over (None: for ever).

    Ends with the process, and when something else has the name, or nothing. Raises NotKept, KeepRefused or TableError.
    """
    deadline = None if seconds is None else monotonic() + seconds
    with ExitStack() as stack:
        files = {}
        found, has_ended = _mountinfos(operand, stack)
        for name, fd in found:
            files[name] = stack.enter_context(open(fd, "rb", buffering=0))
        before = {name: _read(file) for name, file in files.items()}
        poll = select.poll()
        for file in files.values():
            poll.register(file, select.POLLPRI)
        if plan is not None:
            yield Seen((), _drift(plan, operand))
        while deadline is None or monotonic() < deadline:
            left = _PAUSE if deadline is None else max(0.0, min(_PAUSE, deadline - monotonic()))
            poll.poll(left * 1000)
            if end := has_ended():
                yield Seen((), None, end)
                return
            now = {name: _read(file) for name, file in files.items()}
            events = tuple(event for name in now for event in events_between(name, before[name], now[name]))
            if events:
                yield Seen(events, None if plan is None else _drift(plan, operand))
            before = now


def _mountinfos(operand: Operand, stack: ExitStack) -> tuple[list[tuple[str, int]], Callable[[], str]]:
    """For each namespace a descriptor of its mountinfo, which shows it whenever it is read; and what to ask whether it
    still is that of `operand`: "", or why it is not.
    """
    if operand.kind == "pid":
        return _of_process(int(operand.value), stack)
    from mountplan.applier.keep import kept

    with kept.opened(operand.value) as found:
        was = found.kept.id
        files = [(one.name, _opened_inside(found.open(one))) for one in found.kept.mounts]

    def has_gone() -> str:
        now = kept.find(operand.value)
        if now is None:
            return f"{operand.value} is no longer kept"
        return "" if now.id == was else f"something else was put in the place of {operand.value}"

    return files, has_gone


def _of_process(pid: int, stack: ExitStack) -> tuple[list[tuple[str, int]], Callable[[], str]]:
    try:
        directory = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # never that of another process
        stack.callback(os.close, directory)
        fd = os.open("mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        was = os.stat("ns/mnt", dir_fd=directory)
    except OSError as error:
        raise TableError(why_not(error, pid)) from None

    def has_gone() -> str:
        try:
            now = os.stat("ns/mnt", dir_fd=directory)
        except OSError as error:
            if error.errno in ENDED:
                return f"process {pid} has ended"
            raise TableError(why_not(error, pid)) from None
        return "" if os.path.samestat(was, now) else f"process {pid} has gone to another mount namespace"

    return [("", fd)], has_gone


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
            _, (fd,), _, _ = socket.recv_fds(ours, 1, 1, socket.MSG_CMSG_CLOEXEC)
        finally:
            os.close(proc)
            os.close(namespace)
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


def _drift(plan: Plan, operand: Operand) -> Drift:
    """As `verify` finds it."""
    from mountplan.comparing import held_against

    return held_against(plan.file, plan, operand, operand.value).drift
