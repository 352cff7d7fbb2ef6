"""What the tests of single commands share: how one is carried out in this process, and what it is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from mountplan import api
from mountplan.planner.plan.plan import Plan
from mountplan.planner.tables.table import MountRow, MountTable

SPEC = """\
format = 1
name = "small"

[peer_group.data]

[[mount]]
target = "/"
type = "tmpfs"

[[mount]]
id = "data"
target = "/srv/data"
type = "tmpfs"
peer_group = "data"

[[mount]]
target = "/srv/copy"
bind = { mount = "data" }
peer_group = "data"
attributes = ["ro"]
"""

WRONG = (
    'format = 1\n[[mount]]\ntarget = "relative"\ntype = "tmpfs"\n[[mount]]\ntarget = "/a"\ntype = "tmpfs"\nbind = 3\n'
)


class Ended(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ended]


def applied(plan: Plan) -> api.Applied:
    root = MountRow(20, 1, "0:5", "/", "/", "rw,relatime", 0, 0, 0, False, "tmpfs", "tmpfs", "rw")
    data = root._replace(mount_id=21, parent_id=20, mountpoint="/srv/data", peer_group=77)
    return api.Applied((("", MountTable((root, data))),), len(plan.steps), 0.25)


def refuse(monkeypatch: pytest.MonkeyPatch, verb: str, error: BaseException) -> None:
    def raising(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(api, verb, raising)
