"""Containers of other engines are changed while they run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mountplan import api, changing, live_target
from mountplan.applier.observe.subjects import of_process
from mountplan.capturing import capture_subjects
from mountplan.planner.change.standing import Allowed
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.plan import Plan
from tests.hosts import InHost, mount
from tests.kernel.test_containers import container
from tests.kernel.test_user_namespaces import host, of_its_own, upon_what_was_there, user

pytestmark = pytest.mark.needs_kernel("set-group", "root", "foreign-mounts", "crun", "device-nodes")


def test_a_running_container_of_crun_gets_a_mount_more(tmp_path: Path, in_host: InHost) -> None:
    """Nothing else in it is touched: what was captured is what stands."""

    def script() -> tuple[list[str], list[str], list[str]]:
        with container("crun", tmp_path) as pid:
            with of_process(pid) as subject:
                text = capture_subjects([subject], "container").text
            (tmp_path / "c.toml").write_text(text)
            (tmp_path / "d.toml").write_text(
                f'{text}\n[[mount]]\ntarget = "/tmp/more"\ntype = "tmpfs"\ncreate = true\n'
            )
            operand = live_target.target_of(f"pid:{pid}")
            same, more = (api.plan(api.load(str(tmp_path / name))) for name in ("c.toml", "d.toml"))
            nothing = changing.preview(same, live_target.look(operand), Allowed())
            mount("run", "/run", "tmpfs", data="mode=0755")
            done = changing.change(more, operand, Allowed())
            lines = [f"{one.sign} {one.mount}" for one in done.change.changes]
            return [one.mount for one in nothing.changes], lines, os.listdir(f"/proc/{pid}/root/tmp")

    nothing, lines, there = in_host(script, identity="root")
    assert [] == nothing
    assert ["+ /tmp/more"] == lines
    assert ["more"] == there


@pytest.mark.needs_kernel("root", "set-group", "foreign-mounts")
def test_what_a_more_privileged_user_has_locked_is_refused_when_it_is_planned(in_host: InHost) -> None:
    def script() -> list[str]:
        host()
        with user(upon_what_was_there) as pid:
            text = 'format = 1\nname = "less"\n[[mount]]\ntarget = "/"\nbind = "/"\n'
            target = live_target.look(live_target.target_of(f"pid:{pid}"))
            found = changing.preview(api.plan(parse_spec(text.encode(), "less.toml")), target, Allowed(move=True))
            return [one.what for one in found.obstacles if one.kind == "locked"]

    told = in_host(script, identity="root")
    assert "/srv is locked: it came with a more privileged user's tree" in told
    assert not [what for what in told if "/srv/other " in what]


@pytest.mark.needs_kernel("root", "set-group", "foreign-mounts")
def test_ids_of_a_spec_are_those_of_who_writes_it_and_not_of_the_process(tmp_path: Path, in_host: InHost) -> None:
    """The user namespace of the process has others for the same users, and none for most."""
    more = """
[[mount]]
target = "/more"
type = "tmpfs"
create = true
options = {{ uid = "{uid}", gid = "1008", mode = "0700" }}
[[mount.file]]
path = "file"
uid = 1009
[[mount]]
target = "/mapped"
bind = "/srv"
create = true
{idmap}
"""

    def script() -> tuple[list[str], str, list[tuple[int, int]]]:
        mount("srv", "/srv", "tmpfs", data="mode=0755")  # the machine's own root may be an overlay, which takes no ids
        with user(of_its_own) as pid:
            with of_process(pid) as subject:
                text = capture_subjects([subject], "container").text
            operand = live_target.target_of(f"pid:{pid}")

            def wanted(uid: int, idmap: str = "") -> Plan:
                return api.plan(parse_spec(f"{text}\n{more.format(uid=uid, idmap=idmap)}".encode(), "more.toml"))

            mapped = wanted(7, "idmap = { uids = [[0, 5, 1]], gids = [[0, 5, 1]] }")
            refused = changing.preview(mapped, live_target.look(operand), Allowed()).obstacles
            mount("run", "/run", "tmpfs", data="mode=0755")
            done = changing.change(wanted(1007), operand, Allowed())
            root = f"/proc/{pid}/root"
            owners = [os.stat(f"{root}{path}") for path in ("/more", "/more/file")]
            return [one.what for one in refused], done.outcome, [(one.st_uid, one.st_gid) for one in owners]

    refused, outcome, owners = in_host(script, identity="root")
    nobody = "option uid: 7 is nobody in the user namespace in which it would be made"
    mapping = "an id-mapping counts by the ids of another user namespace than that in which it would be made"
    assert ([mapping, nobody], "changed", [(1007, 1008), (1009, 1000)]) == (refused, outcome, owners)
