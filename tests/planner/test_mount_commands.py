"""Scripts of mount commands that come to a plan, and why there is none."""

from __future__ import annotations

import subprocess

import pytest

from mountplan import api
from mountplan.planner.ask.mount_commands import MountScript, mount_script
from mountplan.planner.characters import is_plain
from mountplan.planner.plan.predict import predict
from mountplan.planner.tables.table import MountTable
from tests.fakes import FakeHost
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
    plan = api.plan(api.load("spec.toml", text.encode()), FakeHost())
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


def test_what_another_mount_covers_at_its_place_has_its_attributes_before_that() -> None:
    low = '[[mount]]\nid = "low"\ntarget = "/a"\ntype = "tmpfs"\nattributes = ["ro"]\n'
    high = '[[mount]]\ntarget = "/a"\nparent = "low"\ntype = "tmpfs"\n'
    found = commands(ROOT + low + high)
    assert ["mount --bind", "mount -o remount,bind,ro,relatime", "mount --bind"] == [
        " ".join(line.split()[: 2 if "--bind" in line else 3]) for line in found
    ]


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
        ('options = { mpol = "bind:0,2" }', "option mpol of /a has a comma or a quote in it"),
        ('source = "--bind"', "mount(8) takes the source of /a for something else: --bind"),
        ('source = "LABEL=x"', "mount(8) takes the source"),
        ('[[mount.file]]\npath = "x"\ncontent = "a\\u0000b"', "x has a byte 0 in it"),
    ],
)
def test_what_mount_has_no_words_for_is_told(more: str, reason: str) -> None:
    found = script(f'{ROOT}[[mount]]\ntarget = "/a"\ntype = "tmpfs"\n{more}\n')
    assert "" == found.text
    assert any(reason in one for one in found.reasons)


def test_several_namespaces_have_no_script() -> None:
    space = '[[namespace]]\nname = "{0}"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    assert "several namespaces" in script("format = 1\n" + space.format("a") + space.format("b")).reasons[0]


def test_a_filesystem_is_made_read_only_once_everything_is_in_it() -> None:
    """It alone: the mount that it is bound from stays as it is."""
    sealed = 'target = "/a"\ntype = "tmpfs"\noptions = { ro = true }\nfile = [{ path = "x" }]\n'
    lines = script(f"{ROOT}[[mount]]\n{sealed}").text.splitlines()
    at = lines.index("touch /mnt/fs-2/x")
    assert ["mount -o remount,ro /mnt/fs-2", "mount -o remount,bind,rw /mnt/fs-2"] == lines[at + 1 : at + 3]


def test_no_line_of_a_script_is_what_a_name_makes_of_it() -> None:
    """Neither on a terminal nor to the shell: of a spec's file, its name, its paths and contents."""
    text = ROOT + '[[mount]]\ntarget = "/a\\u001b[31m\\u202e\\u009b"\ntype = "tmpfs"\n'
    plan = api.plan(api.load("x\nrm -r y\u202e.toml", text.encode()))
    found = mount_script(plan, predict(plan, HOST), HOST).text
    assert is_plain(found.replace("\n", "")), found
    assert [] == [line for line in found.splitlines() if line.startswith("rm")]
    made = next(line for line in found.splitlines() if line.startswith("mkdir -p '/mnt/fs-0/a"))
    word = made.removeprefix("mkdir -p ")
    said = subprocess.run(["sh", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
    assert "/mnt/fs-0/a\x1b[31m\u202e\x9b" == said.decode()


def test_each_kind_of_file_has_its_command_then_its_owner_and_its_mode() -> None:
    files = (
        'path = "d"\ndirectory = true\nmode = "0750"', 'path = "n"\ndevice = "c:1:3"\nmode = "0666"',
        'path = "b"\ndevice = "b:8:1"', 'path = "f"\nfifo = true\nuid = 3', 'path = "l"\nsymlink = "d"\ngid = 4',
        'path = "t"\ncontent = "text"\nuid = 5\ngid = 6', 'path = "e"',
    )  # fmt: skip
    found = script(ROOT + "".join(f"[[mount.file]]\n{one}\n" for one in files))
    lines = found.text.splitlines()
    begin = lines.index("mkdir -p /mnt/fs-0/d")
    assert [
        "mkdir -p /mnt/fs-0/d", "chmod 0750 /mnt/fs-0/d", "mknod /mnt/fs-0/n c 1 3", "chmod 0666 /mnt/fs-0/n",
        "mknod /mnt/fs-0/b b 8 1", "mkfifo /mnt/fs-0/f", "chown -h 3 /mnt/fs-0/f", "ln -s -- d /mnt/fs-0/l",
        "chown -h :4 /mnt/fs-0/l", "printf %s text >/mnt/fs-0/t", "chown -h 5:6 /mnt/fs-0/t", "touch /mnt/fs-0/e",
    ] == lines[begin : begin + 12]  # fmt: skip


def test_what_has_been_removed_cannot_be_bound_by_a_script() -> None:
    root = ROOT + 'id = "root"\n'
    found = script(f'{root}[[mount]]\ntarget = "/x"\nbind = {{ mount = "root", path = "/gone", deleted = true }}\n')
    assert "/x shows what has been removed" in found.reasons
