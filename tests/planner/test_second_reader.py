"""resolve and predict against a reader of specs that shares nothing with them (tests/second_reader.py)."""

from __future__ import annotations

import os

import pytest

from mountplan import api
from mountplan.planner.errors import PlanRefused, SpecError
from mountplan.planner.host import HostPath, NotThere
from mountplan.planner.language.spec_reading import build_spec
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.tables.namespace_file import file_row
from mountplan.planner.tables.table import MountTable
from tests.fakes import NoHost, host_mount
from tests.second_reader import Reading, Table, differences, mounted_in_order
from tests.valid_specs import IMAGE, LONG_IMAGE, valid_spec


class BareHost(NoHost):
    """One that has two images, and nothing else."""

    def look(self, path: str) -> HostPath:
        if path in (IMAGE, LONG_IMAGE):
            return HostPath(path, "file", host_mount(1, 0, "/"))
        raise NotThere("no such file or directory")

    def namespace_file(self, path: str) -> HostPath:
        identity = f"0:4 {path.rpartition('/')[2]}:[{len(path)}]"
        return HostPath(path, "file", file_row(identity), identity)


SPECS = int(os.environ.get("MOUNTPLAN_EXAMPLES", "0")) or 500
NOTHING = MountTable(())


def plan_of(value: Table) -> Plan | None:
    try:
        return api.plan(build_spec(value), BareHost())
    except (SpecError, PlanRefused):
        return None


def test_a_plan_predicts_what_a_naive_reader_finds_in_the_spec() -> None:
    """The specs are right by construction, so nearly all must be planned: a test that sees none proves nothing."""
    planned = 0
    for seed in range(SPECS):
        value = valid_spec(seed)
        plan = plan_of(value)
        if plan is None:
            continue
        planned += 1
        roots = Reading(value).roots
        known: Table = {}
        found = [differences(roots[one.namespace], one.table, known) for one in predict(plan, NOTHING)]
        assert [[]] * len(roots) == found, f"valid_spec({seed})"
    assert planned >= 0.99 * SPECS


def test_a_plan_predicts_what_mount_commands_in_the_order_of_the_file_make() -> None:
    """Where nothing is shared, and the file has an order that mount(8) can follow."""
    planned = 0
    for seed in range(SPECS):
        value = valid_spec(seed, plain=True)
        plan = plan_of(value)
        if plan is None:
            continue
        planned += 1
        (root,) = Reading(value).roots.values()
        assert [] == differences(root, mounted_in_order(value), {}), f"valid_spec({seed}, plain=True)"
        (prediction,) = predict(plan, NOTHING)
        assert [] == differences(root, prediction.table, {}), f"valid_spec({seed}, plain=True)"
    assert planned >= 0.99 * SPECS


@pytest.mark.parametrize(("seed", "images"), [(587, True), (663, False), (1471, False)])
def test_a_symlink_leads_no_mount_of_a_valid_spec_to_a_read_only_path(seed: int, images: bool) -> None:
    """Both would stand on one place, in no order that the spec says."""
    assert Reading(valid_spec(seed, images=images)).roots


def test_the_naive_reader_tells_tables_apart() -> None:
    """It would agree with anything if it compared nothing: each kind of difference, told once."""
    mounts = [
        {"id": "root", "target": "/", "type": "tmpfs", "source": "r", "peer_group": "g"},
        {"id": "a", "target": "/a", "type": "tmpfs", "source": "s", "attributes": ["ro"]},
        {"id": "b", "target": "/b", "bind": {"mount": "root", "path": "/a"}, "peer_group": "g", "unbindable": False},
    ]
    value: Table = {"format": 1, "name": "x", "peer_group": {"g": {}}, "mount": mounts}
    value["mount"][2]["bind"]["hidden"] = True
    plan = plan_of(value)
    assert plan is not None
    (prediction,) = predict(plan, NOTHING)
    root = Reading(value).roots[""]
    assert [] == differences(root, prediction.table, {})
    changes: dict[str, Table] = {
        "filesystem": {"source": "other"},
        "root": {"root": "/other"},
        "attributes": {"attributes": "rw,nodev,relatime"},
        "unbindable": {"unbindable": True},
        "device": {"device": "=other"},
        "group": {"peer_group": 77},
        "master": {"master": 77},
        "/b is missing": {"mountpoint": "/c"},
    }
    for what, change in changes.items():
        rows = list(prediction.table.rows)
        rows[2] = rows[2]._replace(**change)
        assert any(what in one for one in differences(root, MountTable(tuple(rows)), {})), what
