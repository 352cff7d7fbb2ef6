"""Trees that stand: build a spec on the real kernel, look at it from outside, and go inside."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from mountplan import api, pipeline
from mountplan.applier.build.build import Built
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.steps import MakeFilesystem
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.options import Pairs
from mountplan.planner.tables.table import MountRow, MountTable
from tests.hosts import run_in_child

Result = TypeVar("Result")


ROOT = """
[[mount]]
target = "/"
type = "tmpfs"
id = "root"
options = { mode = "0755" }
"""
# That show one filesystem, each at its root, as peers.
TWO_NAMESPACES = """
[peer_group.shared]
[[namespace]]
name = "one"
[[namespace.mount]]
id = "top"
target = "/"
type = "tmpfs"
peer_group = "shared"
[[namespace.mount.file]]
path = "greeting"
content = "hello"
[[namespace]]
name = "two"
[[namespace.mount]]
target = "/"
bind = { mount = "top" }
peer_group = "shared"
"""


def plan_of(text: str) -> Plan:
    """The plan for a spec's text, on this machine; the line `format = 1` goes without saying."""
    return api.plan(parse_spec(b"format = 1\n" + text.encode(), "test.toml"))


def with_type(plan: Plan, fstype: str, other: str, options: Pairs) -> Plan:
    """`plan` with what was of the type `fstype` as another one with these options: what no spec comes to, perhaps."""
    steps = tuple(
        step._replace(fstype=other, options=options)
        if isinstance(step, MakeFilesystem) and step.fstype == fstype
        else step
        for step in plan.steps
    )
    filesystems = tuple(
        one._replace(fstype=other, options=options) if one.fstype == fstype else one
        for one in plan.expected.filesystems
    )
    return plan._replace(steps=steps, expected=plan.expected._replace(filesystems=filesystems))


class Tree:
    """A tree that was built and verified; of several namespaces, the one named."""

    def __init__(self, built: Built, namespace: str = "") -> None:
        self.built = built
        self.namespace = namespace

    @property
    def table(self) -> MountTable:
        """The mount table as it is now, of one namespace counted from its lowest root.

        The tree may have no /proc, so the machine's is brought along.
        """
        if len(self.built.namespaces) == 1:
            with open(f"/proc/{self.built.pid}/mountinfo", "rb") as file:
                return parse_mountinfo(file.read())
        proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
        try:
            return parse_mountinfo(self.inside(lambda: _read(proc, "self/mountinfo")))
        finally:
            os.close(proc)

    def all_at(self, mountpoint: str) -> list[MountRow]:
        """The mounts at a mountpoint, the lowest first; all must be of one stack."""
        rows = [row for row in self.table.rows if row.mountpoint == mountpoint]
        ids = {row.mount_id for row in rows}
        stack = [row for row in rows if row.parent_id not in ids]
        assert len(stack) <= 1, stack
        while len(stack) < len(rows):
            (above,) = (row for row in rows if row.parent_id == stack[-1].mount_id)
            stack.append(above)
        return stack

    def at(self, mountpoint: str) -> MountRow:
        """The one mount at a mountpoint."""
        (row,) = self.all_at(mountpoint)
        return row

    def mountpoints(self) -> list[str]:
        return sorted(row.mountpoint for row in self.table.rows)

    def inside(self, function: Callable[[], Result]) -> Result:
        """What `function` returns when a child runs it in the tree, with "/" as its root and working directory."""

        def entered() -> Result:
            if os.stat("/proc/self/ns/user").st_ino != os.stat(f"/proc/{self.built.pid}/ns/user").st_ino:
                _setns(self.built.open_namespace("user"))
            _setns(self.built.open_mounts(self.namespace))
            return function()

        return run_in_child(entered)


def _read(directory: int, path: str) -> bytes:
    with open(os.open(path, os.O_RDONLY, dir_fd=directory), "rb") as file:
        return file.read()


def _setns(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(ctypes.c_int(namespace), ctypes.c_int(0)) < 0:
        raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")


@contextmanager
def tree(spec: str | Plan) -> Iterator[Tree]:
    """Build a spec, verify it, and lend the tree."""
    built, _ = pipeline.build_verified(plan_of(spec) if isinstance(spec, str) else spec, None)
    with built:
        yield Tree(built)
