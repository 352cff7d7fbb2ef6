"""Scripts of mount commands that come to a plan, and why there is none."""

from __future__ import annotations

import pytest

from mountplan import api
from mountplan.planner.ask.mount_commands import MountScript, mount_script
from mountplan.planner.plan.predict import predict
from mountplan.planner.tables.table import MountTable
from tests.planner.test_render import row

HOST = MountTable((row(1, 0, "/"),))
ROOT = 'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
PEERS = """\
[peer_group.data]
[[mount]]
id = "data"
target = "/a"
type = "tmpfs"
peer_group = "data"
[[mount]]
target = "/b"
bind = { mount = "data" }
peer_group = "data"
"""


def script(text: str) -> MountScript:
    plan = api.plan(api.load("spec.toml", text.encode()))
    return mount_script(plan, predict(plan, HOST), HOST)


def commands(text: str) -> list[str]:
    found = script(text)
    assert () == found.reasons
    return [line for line in found.text.splitlines() if "/mnt/root/" in line and line.startswith("mount")]


def test_a_member_is_shared_before_the_others_are_bound_from_it() -> None:
    assert [
        "mount --bind /mnt/fs-0 /mnt/root/a",
        "mount --make-shared /mnt/root/a",
        "mount --bind /mnt/root/a /mnt/root/b",
    ] == commands(ROOT + PEERS)


def test_what_stands_on_one_peer_alone_is_mounted_before_it_is_shared() -> None:
    alone = '[[mount]]\ntarget = "/b/x"\ntype = "tmpfs"\n'
    found = commands(ROOT + PEERS + alone)
    assert ["/mnt/root/b", "/mnt/root/b/x"] == [line.split()[-1] for line in found[:2]]
    assert ["mount --make-shared /mnt/root/b", "mount --bind /mnt/root/b /mnt/root/a"] == found[2:]


def test_two_peers_with_mounts_of_their_own_have_no_order_and_the_reason_is_told() -> None:
    both = "".join(f'[[mount]]\ntarget = "/{one}/{one}"\ntype = "tmpfs"\n' for one in "ab")
    found = script(ROOT + PEERS + both)
    assert "" == found.text
    assert "are peers (group data)" in found.reasons[0] and "appears on its peers" in found.reasons[0]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("idmap = { uids = [[0, 9, 1]], gids = [[0, 9, 1]] }", "is id-mapped"),
        ('mask = ["x"]\n[[mount.file]]\npath = "x"', "hides something"),
    ],
)
def test_what_mount_has_no_words_for_is_told(more: str, reason: str) -> None:
    found = script(f'{ROOT}[[mount]]\ntarget = "/a"\ntype = "tmpfs"\n{more}\n')
    assert "" == found.text
    assert any(reason in one for one in found.reasons)


def test_several_namespaces_have_no_script() -> None:
    space = '[[namespace]]\nname = "{0}"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    assert "several namespaces" in script("format = 1\n" + space.format("a") + space.format("b")).reasons[0]
