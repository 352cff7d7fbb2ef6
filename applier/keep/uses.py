"""What others have at this moment: the port of planner/plan/attachments.py, with real look-ups."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import cached_property

from mountplan.applier.observe.asked import unless_refused
from mountplan.applier.observe.observe import observe
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.devices import is_block_device
from mountplan.applier.sys.lingering import settled
from mountplan.applier.sys.loop import attached_to, beside
from mountplan.applier.sys.overlay import is_in_use
from mountplan.planner.plan.attachments import Attachment, Decision, decide, decide_below, mount_of, seen, with_places
from mountplan.planner.tables.mountinfo import unescape
from mountplan.planner.tables.table import MountRow, MountTable


class LiveUses:
    """The machine that this process runs on. What this user may not know is taken for free."""

    @property
    def _here(self) -> MountTable:
        return observe()

    @cached_property
    def _elsewhere(self) -> tuple[tuple[str, MountTable], ...]:
        """All other mount namespaces: who lives there, and what is mounted there."""
        from mountplan.applier.keep.inhabited import everyone_else

        own = os.stat("/proc/self/ns/mnt").st_ino
        return tuple((_words(one.name), one.table) for one in everyone_else({own}))

    def image(self, path: str, part: tuple[int, int], *, read_only: bool) -> Decision:
        found = _status(path)
        if found is None:
            return Decision()
        return settled(lambda: self._decision(path, found, part, read_only), lambda one: not one.problem)

    def _decision(self, path: str, found: os.stat_result, part: tuple[int, int], read_only: bool) -> Decision:
        attached = attached_to(found, part)
        if not attached and (one := self.device(path)) is not None:
            return decide_below(one, read_only=read_only)
        return decide(self._placed(attached), read_only=read_only)

    def device(self, path: str) -> Attachment | None:
        found = _status(path)
        return self._mounted(path, found.st_rdev) if found is not None and stat.S_ISBLK(found.st_mode) else None

    def beside(self, path: str) -> tuple[Attachment, ...]:
        return settled(lambda: self._placed(beside(path)), lambda one: not one) if is_block_device(path) else ()

    def _mounted(self, path: str, device: int) -> Attachment | None:
        (one,) = self._placed((Attachment(path, f"{os.major(device)}:{os.minor(device)}", writable=True, whole=True),))
        return one if one.state else None

    def _placed(self, attached: tuple[Attachment, ...]) -> tuple[Attachment, ...]:
        if not attached:
            return ()
        return tuple(one if one.state else self._found_elsewhere(one) for one in with_places(attached, self._here))

    def _found_elsewhere(self, one: Attachment) -> Attachment:
        who, row = self._first(lambda table: mount_of(one, table))
        return one if row is None else seen(one, row, f'{who} has it at "{row.mountpoint}"')

    def _first(self, look: Callable[[MountTable], MountRow | None]) -> tuple[str, MountRow | None]:
        for who, table in self._elsewhere:
            row = look(table)
            if row is not None:
                return who, row
        return "", None

    def layer(self, path: str) -> str | None:
        fd = -1
        with unless_refused():
            fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if fd < 0:
            return None
        with closing_fd(fd):
            if not settled(lambda: is_in_use(fd), lambda used: not used):
                return None

        def names_it(table: MountTable) -> MountRow | None:
            """An overlay that was made of a directory of this name: very likely this one, as one is in use."""
            wanted = {f"upperdir={path}", f"workdir={path}"}
            overlays = (row for row in table.rows if row.fstype == "overlay")
            return next((row for row in overlays if wanted & set(map(unescape, row.options.split(",")))), None)

        row = names_it(self._here)
        if row is not None:
            return f'the one at "{row.mountpoint}"'
        who, row = self._first(names_it)
        return f'that of {who} at "{row.mountpoint}"' if row is not None else ""


def _status(path: str) -> os.stat_result | None:
    with unless_refused():
        return os.stat(path)
    return None


def _words(name: str) -> str:
    return name if name == "host" or name.startswith("process ") else f'the kept name "{name}"'
