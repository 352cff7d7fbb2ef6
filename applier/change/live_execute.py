"""Carries the steps of a change out: those of a build as ever, and those that visit what stands."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mountplan.applier.build.execute import Execution, StepFailed
from mountplan.applier.change.live_kernel import LiveKernel, OtherMount
from mountplan.applier.sys import abi
from mountplan.applier.sys.report import Reporter
from mountplan.planner.change import change_steps as c
from mountplan.planner.names import Handle
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.steps import MakeNode


def execute_change(
    steps: tuple[c.ChangeStep, ...], kernel: LiveKernel, reporter: Reporter, begin: Callable[[], None]
) -> tuple[Handle, ...]:
    """Carry all steps out; stops at the first that is refused (StepFailed). `begin` is called before the first that
    changes something which stands. Returns the filesystems whose superblocks may have been there before, as execute().
    """
    execution = LiveExecution(kernel, reporter)
    handlers = execution.all_handlers()
    first = first_change(steps)
    reporter.begin(len(steps))
    try:
        kernel.lift_limit()
        for index, step in enumerate(steps):
            if index == first:
                begin()
            try:
                handlers[type(step)](step)
            except OSError as error:
                raise StepFailed(index, error) from error
        reporter.step(len(steps))
        reporter.end()
    finally:
        execution.close()
    return tuple(execution.present)


def first_change(steps: tuple[c.ChangeStep, ...]) -> int:
    """The first step that changes something which stands; the number of steps if none does."""
    inside = False
    for index, step in enumerate(steps):
        inside = type(step) is c.Visit or (inside and type(step) is not c.LeaveCopy)
        if type(step) in _CHANGING or (inside and type(step) in _CHANGING_INSIDE):
            return index
    return len(steps)


_CHANGING = (c.SetSharing, c.AttachBeneath, c.AttachLowest, c.RemoveLowest, c.DetachLive, c.Reconfigure, c.WriteFile)
_CHANGING_INSIDE = (s.Attach, s.SetAttributes, s.JoinGroup)


class LiveExecution(Execution):
    """As Execution, with what is visited."""

    kernel: LiveKernel

    def __init__(self, kernel: LiveKernel, reporter: Reporter) -> None:
        super().__init__(kernel, reporter)
        self.home = -1
        self.visited = ""

    def all_handlers(self) -> dict[type, Callable[[Any], None]]:
        found: dict[type, Callable[[Any], None]] = dict(self.handlers())
        for step, kind in zip(c.LIVE_TYPES, c.LIVE_KINDS, strict=True):
            found[step] = getattr(self, kind)
        return found

    def close(self) -> None:
        super().close()
        if self.home >= 0:
            self.kernel.close(self.home)
            self.home = -1

    def _leave_home(self, namespace: str) -> None:
        if self.home < 0:
            self.home = self.kernel.hold_namespace()
        self.kernel.visit(namespace)

    def visit(self, step: c.Visit) -> None:
        self._leave_home(step.namespace)
        self.visited = step.namespace

    def copy_namespace(self, step: c.CopyNamespace) -> None:
        self._leave_home(step.namespace)
        self.kernel.copy_privately()

    def take_live(self, step: c.TakeLive) -> None:
        for path in step.covers:
            self.kernel.detach(path)
        self.fds[step.filesystem] = self.kernel.take(step.path, step.device)

    def leave_copy(self, step: c.LeaveCopy) -> None:
        self.kernel.return_to(self.home, self.host)
        for name in step.taken:
            self.park(name)

    def open_live(self, step: c.OpenLive) -> None:
        fd, number = self.kernel.open_path(step.path)
        self.fds[step.mount] = fd
        if step.number and number != step.number:
            raise OtherMount(errno.ESTALE, f"at {step.path} another mount is seen than there was when it was planned")

    def seed_live(self, step: c.SeedLive) -> None:
        fd = self.fds[step.seed] = self.kernel.clone(self.fds[step.mount], "")
        if step.slave:
            self.kernel.set_attributes(fd, propagation=abi.MS_SLAVE)

    def set_sharing(self, step: c.SetSharing) -> None:
        kinds = {"private": abi.MS_PRIVATE, "unbindable": abi.MS_UNBINDABLE, "shared": abi.MS_SHARED}
        self.kernel.set_attributes(self.fds[step.mount], propagation=kinds[step.propagation], recursive=step.recursive)

    def carry_live(self, step: c.CarryLive) -> None:
        self.fds[step.mount] = self.kernel.clone_tree(self.fds[step.source])

    def attach(self, step: s.Attach) -> None:
        """In the yard, what comes at once is put together: its lowest mount may be one of a file."""
        if step.parent == s.YARD:
            self._make_place(self.yard, step.path, self.fds[step.mount])
            self.staged.add(step.path)
        super().attach(step)

    def attach_beneath(self, step: c.AttachBeneath) -> None:
        self.kernel.attach_beneath(self.fds[step.mount], self.fds[step.top])

    def attach_lowest(self, step: c.AttachLowest) -> None:
        self._through_peer(self.fds[step.parent], step.path, self.fds[step.mount], step.shared)

    def remove_lowest(self, step: c.RemoveLowest) -> None:
        self._through_peer(self.fds[step.parent], step.path, -1, False)

    def _through_peer(self, parent: int, path: str, mount: int, shared: bool) -> None:
        """Have the mount `parent` receive a mount at `path`, or with -1 an unmount, from a clone of it in our yard."""
        kernel, opened = self.kernel, []
        try:
            peer = kernel.clone(parent, "")
            opened.append(peer)
            kernel.return_to(self.home, self.host)
            self._stage("peer")
            kernel.attach(peer, self.yard, "peer")
            try:
                where = kernel.open(peer, path, tree=True)
                opened.append(where)
                if mount < 0:
                    stand_in = kernel.clone(where, "")
                    opened.append(stand_in)
                    kernel.attach(stand_in, where, "")
                kernel.set_attributes(peer, propagation=abi.MS_SHARED)
                seed = kernel.clone(peer, "")
                opened.append(seed)
                if not shared:
                    kernel.set_attributes(seed, propagation=abi.MS_SLAVE)
                kernel.join(seed, parent)
                try:
                    if mount < 0:
                        kernel.unmount(peer, path, recursive=True)
                    else:
                        kernel.attach(mount, where, "")
                        # Or else what stands on it goes there, too, when it goes here.
                        kernel.set_attributes(mount, propagation=abi.MS_PRIVATE, recursive=True)
                finally:
                    kernel.visit(self.visited)
                    kernel.set_attributes(parent, propagation=abi.MS_PRIVATE)
                    kernel.return_to(self.home, self.host)
            finally:
                kernel.unmount(self.yard, "peer", recursive=True)
        finally:
            for fd in opened:
                kernel.close(fd)
            kernel.visit(self.visited)

    def detach_live(self, step: c.DetachLive) -> None:
        if step.covered:
            self.kernel.detach_covered(self.fds[step.mount])
            return
        if self.kernel.id_at(step.path) != int(step.mount.rpartition(":")[2]):
            raise OtherMount(errno.ESTALE, f"at {step.path} another mount is seen than there was when it was planned")
        self.kernel.detach(step.path)

    def reconfigure(self, step: c.Reconfigure) -> None:
        self.kernel.reconfigure(self.descriptor(step.filesystem), step.options)

    def write_file(self, step: c.WriteFile) -> None:
        within = self.descriptor(step.within)
        node = MakeNode(*step[:10], False, True, step.origin)
        opened: list[int] = []
        source = -1
        try:
            if step.source:
                opened.append(self.kernel.open(self.host, step.source[1:], tree=True))
                opened.append(self.kernel.open_file(opened[-1]))
                source = opened[-1]
            if step.in_place:
                self.kernel.overwrite(within, step.path, node, source)
                return
            above, _, name = step.path.rpartition("/")
            parent = self.kernel.open(within, above)
            opened.append(parent)
            new = f".{name[:200]}.mountplan-new"
            with suppress(FileNotFoundError):
                self.kernel.remove(parent, new)  # of a change that was killed
            try:
                self.kernel.make_node(parent, new, node, source)
                self.kernel.put_upon(parent, new, name)
            except OSError:
                with suppress(OSError):
                    self.kernel.remove(parent, new)
                raise
        finally:
            for fd in opened:
                self.kernel.close(fd)
