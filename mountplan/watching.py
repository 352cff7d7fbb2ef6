"""Watching trees that stand: each change of their mounts, as it happens."""

from __future__ import annotations

import os
import select
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING

from mountplan.applier.observe.mount_events import watching
from mountplan.applier.observe.observe import not_read, open_proc, read_still, refused_table
from mountplan.applier.observe.subjects import ENDED
from mountplan.applier.sys.inside import enter, in_child
from mountplan.planner.errors import TableError
from mountplan.planner.plan.seedbase import without_base
from mountplan.planner.record import NamedTuple
from mountplan.planner.render.table_text import sharing_of
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountRow, MountTable, row_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mountplan.operands import Operand
    from mountplan.planner.compare.difference import Drift
    from mountplan.spec_digest import Planned

_SHARING = ("peer_group", "master", "propagate_from", "unbindable")
_PAUSE = 1.0  # seconds: the kernel tells of mounts that come and go, but not of attributes and sharing


class MountEvent(NamedTuple):
    """A mount that has come (+), gone (-), changed (~), or come and gone within one look (?): `mount` is "" then."""

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


def watch(operand: Operand, planned: Planned | None, seconds: float | None) -> Iterator[Seen]:
    """What changes in the namespaces of a kept name, or of a process, until `seconds` are over (None: for ever).

    Ends with the process, and when something else has the name, or nothing. Raises NotKept, KeepRefused or TableError.
    """
    deadline = None if seconds is None else monotonic() + seconds
    with ExitStack() as stack:
        files, told = {}, {}
        found, has_ended = _mountinfos(operand, stack)
        poll = select.poll()
        for name, fd, namespace in found:
            files[name] = stack.enter_context(open(fd, "rb", buffering=0))
            poll.register(fd, select.POLLPRI)
            events_of = watching(namespace)
            if events_of is not None:
                told[name] = events_of
                stack.callback(events_of.close)
                poll.register(events_of.fd, select.POLLIN)
        before = {name: _read(file) for name, file in files.items()}
        if planned is not None:
            yield Seen((), _drift(planned, operand))
        while deadline is None or monotonic() < deadline:
            left = _PAUSE if deadline is None else max(0.0, min(_PAUSE, deadline - monotonic()))
            poll.poll(left * 1000)
            if end := has_ended():
                yield Seen((), None, end)
                return
            now = {name: _read(file) for name, file in files.items()}
            events = tuple(event for name in now for event in events_between(name, before[name], now[name]))
            for name, source in told.items():
                if number := source.passing():
                    events += (MountEvent("?", name, "", _passed(number)),)
            if events:
                yield Seen(events, None if planned is None else _drift(planned, operand))
            before = now


def _passed(number: int) -> str:
    return "a mount has come and gone" if number == 1 else f"{number} mounts have come and gone"


def _mountinfos(operand: Operand, stack: ExitStack) -> tuple[list[tuple[str, int, int]], Callable[[], str]]:
    """For each namespace a descriptor of its mountinfo, which shows it whenever it is read, and one of its file.

    And what to ask whether it still is that of `operand`: "", or why it is not.
    """
    if operand.kind == "pid":
        return _of_process(int(operand.value), stack)
    from mountplan.applier.keep import kept

    with kept.opened(operand.value) as found:
        was = found.kept.id
        files = [(one.name, _opened_inside(found.open(one)), found.open(one)) for one in found.kept.mounts]

    def has_gone() -> str:
        now = kept.find(operand.value)
        if now is None:
            return f"{operand.value} is no longer kept"
        return "" if now.id == was else f"something else was put in the place of {operand.value}"

    return files, has_gone


def _of_process(pid: int, stack: ExitStack) -> tuple[list[tuple[str, int, int]], Callable[[], str]]:
    try:
        directory = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # never that of another process
        stack.callback(os.close, directory)
        fd = os.open("mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        namespace = os.open("ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        was = os.fstat(namespace)
    except OSError as error:
        raise not_read(error, pid) from None

    def has_gone() -> str:
        try:
            now = os.stat("ns/mnt", dir_fd=directory)
        except OSError as error:
            if error.errno in ENDED:
                return f"process {pid} has ended"
            raise refused_table(f"process {pid}: cannot tell whether it is still there", error) from None
        return "" if os.path.samestat(was, now) else f"process {pid} has gone to another mount namespace"

    return [("", fd, namespace)], has_gone


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
        MountEvent("-", namespace, row.mountpoint, row_in_words(row, row.source))
        for number, row in earlier.items()
        if number not in later
    ]
    for number, row in later.items():
        old = earlier.get(number)
        if old is None:
            events.append(MountEvent("+", namespace, row.mountpoint, row_in_words(row, row.source)))
        elif old != row:
            what = _changed(old, row, _place(old, earlier), _place(row, later))
            events.append(MountEvent("~", namespace, row.mountpoint, what))
    return events


def _changed(old: MountRow, row: MountRow, before: str, place: str) -> str:
    """What is another, in the words of mountinfo; `before` and `place` say what it stood and stands on."""
    changed = [
        f"{field} {one or 'none'} -> {two or 'none'}"
        for field, one, two in zip(MountRow._fields, old, row, strict=True)
        if one != two and field not in (*_SHARING, "mount_id", "parent_id")
    ]
    if old.parent_id != row.parent_id:
        changed.insert(0, f"stands on {place} instead of {before}")
    if any(getattr(old, field) != getattr(row, field) for field in _SHARING):
        changed.append(f"sharing {sharing_of(old, {}) or 'private'} -> {sharing_of(row, {}) or 'private'}")
    return ", ".join(changed)


def _place(row: MountRow, table: dict[int, MountRow]) -> str:
    """The mount that one stands on; of one that is out of reach of the reader's root no place can be told."""
    parent = table.get(row.parent_id)
    return f"{parent.fstype} at {parent.mountpoint}" if parent is not None else "a mount that is not seen from here"


def _drift(planned: Planned, operand: Operand) -> Drift:
    """As `verify` finds it."""
    from mountplan.comparing import held_against

    return held_against(planned.plan.file, planned, operand, operand.value).drift
