"""An id-mapping keeps its users apart from its groups, wherever it is passed on.

Most mappings have the same lines for both, so that nobody would see them swapped: here they differ.
"""

from __future__ import annotations

from typing import Any

import pytest

from mountplan import api
from mountplan.planner.capture.captured import CapturedUser
from mountplan.planner.capture.writing import write_spec
from mountplan.planner.compare.compare import differences, views_of
from mountplan.planner.foreign.oci import import_oci
from mountplan.planner.language.spec_reading import build_spec, parse_spec
from mountplan.planner.names import IdMapping
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.plan.steps import MakeIdMap, MakeOverlay, MakeUserNamespace, Step
from mountplan.planner.tables.options import with_ids_inside
from mountplan.planner.tables.table import MountTable
from tests.fakes import NoHost
from tests.planner.test_capture_writing import NOTHING, captured
from tests.planner.test_foreign import Machine

USERS, GROUPS = ((0, 1000, 5),), ((0, 2000, 6), (7, 8, 9))
WRITTEN = {"uids": [list(line) for line in USERS], "gids": [list(line) for line in GROUPS]}
ROOT = {"id": "root", "target": "/", "type": "tmpfs"}


def plan_of(**spec: object) -> Plan:
    return api.plan(build_spec({"format": 1, "name": "x", **spec}), NoHost())


def maps(plan: Plan, kind: type[Step]) -> list[IdMapping]:
    return [(step.uids, step.gids) for step in plan.steps if isinstance(step, kind)]  # type: ignore[union-attr]


def mapped(**idmap: Any) -> Plan:
    return plan_of(mount=[ROOT, {"target": "/m", "type": "tmpfs", "idmap": idmap}])


def test_of_a_mount() -> None:
    assert [(USERS, GROUPS)] == maps(mapped(**WRITTEN), MakeIdMap)


def test_of_a_layer() -> None:
    """It has that of the mount from which it is taken."""
    lower = {"id": "low", "type": "tmpfs", "file": [{"path": name, "directory": True} for name in ("d", "e")]}
    through = {"id": "seen", "bind": {"mount": "low"}, "target": "/seen", "idmap": WRITTEN}
    layers = [{"mount": "seen", "path": "/d"}, {"mount": "low", "path": "/e"}]
    plan = plan_of(mount=[ROOT, lower, through, {"target": "/o", "type": "overlay", "layers": layers}])
    (made,) = (step for step in plan.steps if isinstance(step, MakeOverlay))
    assert [bool(layer.id_map) for layer in made.layers] == [True, False]
    assert [(USERS, GROUPS)] == maps(plan, MakeIdMap)


def test_of_a_user_namespace() -> None:
    plan = plan_of(namespace=[{"name": "one", "user": WRITTEN, "mount": [ROOT]}])
    assert [(USERS, GROUPS)] == maps(plan, MakeUserNamespace)


def test_in_a_captured_spec() -> None:
    state = captured(NOTHING._replace(type="tmpfs"))
    (namespace,) = state.namespaces
    state = state._replace(
        namespaces=(
            namespace._replace(name="one", user=CapturedUser("", "", USERS, GROUPS)),
            namespace._replace(name="two", user=CapturedUser("one", "", (), ())),
        )
    )
    one, two = parse_spec(write_spec(state).encode()).namespace
    assert one.user
    assert two.user
    assert (list(USERS), list(GROUPS), None) == (one.user.uids, one.user.gids, one.user.of)
    assert ([], [], "one") == (two.user.uids, two.user.gids, two.user.of)


def test_in_an_imported_configuration() -> None:
    ids = {
        f"{name}Mappings": [dict(zip(("containerID", "hostID", "size"), line, strict=True)) for line in lines]
        for name, lines in (("uid", USERS), ("gid", GROUPS))
    }
    mounts = [{"destination": "/a", "source": "/usr", "type": "bind", "options": ["bind"], **ids}]
    draft = import_oci({"root": {"path": "/image"}, "mounts": mounts}, "c", "/", Machine())
    assert WRITTEN == draft.mounts[-1].keys["idmap"]
    mounts = [{"destination": "/a", "source": "/usr", "type": "bind", "options": ["bind", "idmap"]}]
    draft = import_oci({"root": {"path": "/image"}, "mounts": mounts, "linux": ids}, "c", "/", Machine())
    assert WRITTEN == draft.mounts[-1].keys["idmap"]


def test_in_a_difference() -> None:
    wanted, swapped = (
        views_of(plan, predict(plan, MountTable(())))
        for plan in (mapped(**WRITTEN), mapped(uids=WRITTEN["gids"], gids=WRITTEN["uids"]))
    )
    assert () == differences(wanted, wanted, None)
    (difference,) = differences(wanted, swapped, None)
    lines = "0:1000:5", "0:2000:6 7:8:9"
    assert ("/m", "uids {} gids {}".format(*lines), "uids {1} gids {0}".format(*lines)) == (
        difference.mount,
        difference.wanted,
        difference.found,
    )


@pytest.mark.parametrize(
    ("machine", "inside"),
    [
        ("uid=1000,gid=2005", "uid=0,gid=5"),
        ("rw,gid=8,mode=700", "rw,gid=7,mode=700"),
        ("uid=1004,gid=16", "uid=4,gid=15"),
        ("uid=1005,gid=17,uid=999", "uid=1005,gid=17,uid=999"),  # which it does not have
    ],
)
def test_in_options_as_a_user_namespace_has_them(machine: str, inside: str) -> None:
    assert inside == with_ids_inside(machine, USERS, GROUPS)
