"""What config.json and bubblewrap say of a spec, or why they cannot: of each of SPECS, in tests/golden/exports.txt.

tests/kernel/test_exports.py has runc and bwrap build what is written here.
"""

from __future__ import annotations

import json
import shlex

import pytest

from mountplan import api
from mountplan.planner.capture.writing import write_spec
from mountplan.planner.errors import SpecError
from mountplan.planner.foreign.criu_images import import_criu
from mountplan.planner.foreign.to_bubblewrap import to_bubblewrap
from mountplan.planner.foreign.to_oci import to_oci
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.plan import Plan
from tests.fakes import FakeHost, host_mount
from tests.planner.test_render import golden

HOST = FakeHost(
    {"/usr/bin": "directory", "/usr/lib": "directory", "/file": "file", "/img": "file", "/files/x": "file"}
    | {f"/srv/root/{one}": "directory" for one in ("proc", "dev", "usr", "plain", "big", "feed")}
    | {"/srv/root/one": "file"},
    (host_mount(2, 1, "/srv", shared=5), host_mount(3, 1, "/usr"), host_mount(4, 3, "/usr/bin", master=5)),
)
BUNDLE = '[[mount]]\ntarget = "/"\nbind = "/srv/root"\n'
TMPFS = '[[mount]]\nid = "root"\ntarget = "/"\ntype = "tmpfs"\n'
FEED = '[peer_group.feed]\nhost = "/srv"\n'


def mount(target: str, *lines: str) -> str:
    return "\n".join((f'[[mount]]\ntarget = "{target}"', *lines)) + "\n"


SPECS = {
    "all that a bundle has": BUNDLE.replace("\nbind", '\nattributes = ["ro"]\nbind')
    + mount("/proc", 'type = "proc"')
    + mount("/dev", 'type = "tmpfs"', 'options = { size = "64k", mode = "0755" }', 'attributes = ["nosuid", "noexec"]')
    + mount("/dev/mqueue", 'type = "mqueue"', 'attributes = ["nosuid", "nodev", "ro"]')
    + mount("/usr", 'bind = "/usr"', "recursive = true", 'attributes = ["ro", "nodev", "noatime"]', 'mask = ["lib"]')
    + mount("/feed", 'bind = "/srv/root"', 'master = "feed"')
    + mount("/plain", 'bind = "/usr/bin"', "recursive = true", "recursive_attributes = false", 'attributes = ["ro"]')
    + mount("/one", 'bind = "/file"', "peer_group = 'own'")
    + mount("/big", 'type = "tmpfs"', "options = { size = '1m', nr_inodes = 4 }", "unbindable = true")
    + "[run]\ncommand = ['echo', 'a b']\nunshare = ['pid', 'net', 'uts']\nhostname = 'box'\ncwd = '/usr'\n"
    "environment = { A = '1', B = 'x y' }\nclear_environment = true\ncapabilities = ['CAP_CHOWN']\n"
    "no_new_privs = false\n[peer_group.own]\n" + FEED,
    "all that bubblewrap has": TMPFS
    + '[[mount.file]]\npath = "bin"\nsymlink = "usr/bin"\n'
    + '[[mount.file]]\npath = "d/e"\ndirectory = true\nmode = "0700"\n'
    + mount("/usr", 'bind = "/usr"', "recursive = true", 'attributes = ["ro", "nosuid", "nodev"]')
    + mount("/dev-bind", 'bind = "/srv"', "recursive = true")
    + mount("/bind", 'bind = "/srv"', 'attributes = ["nosuid", "nodev"]')
    + mount("/ro", 'bind = "/srv"', 'attributes = ["ro"]')
    + mount("/proc", 'type = "proc"')
    + mount("/q", 'type = "mqueue"')
    + mount("/tmp", 'type = "tmpfs"', "options = { size = '3k', mode = '0700' }", 'attributes = ["ro", "nosuid"]')
    + "[run]\nunshare = ['user', 'uts', 'pid']\n"
    "hostname = 'box'\nclear_environment = true\nenvironment = { A = '1' }\n",
    "what neither has": TMPFS
    + '[[mount.file]]\npath = "etc/motd"\ncontent = "hello"\n'
    + mount("/a", 'id = "a"', 'type = "tmpfs"', "peer_group = 'g'", "options = { size = '50%', huge = 'always' }")
    + mount("/b", 'bind = { mount = "a" }', "peer_group = 'g'")
    + mount("/c", 'bind = { mount = "a" }', "master = 'g'")
    + mount("/d", 'type = "overlay"', 'layers = ["/usr", "/srv"]')
    + mount("/e", 'type = "squashfs"', 'image = "/img"')
    + mount("/f", 'bind = "/usr"', "idmap = { uids = [[0, 1000, 1]], gids = [[0, 1000, 1]] }")
    + mount("/g", 'type = "sysfs"')
    + mount("/h", 'bind = "/usr"', "unbindable = true")
    + mount("/i", 'bind = "/srv"', "peer_group = 'feed'")
    + mount("/j", 'type = "tmpfs"', "contents = '/files'")
    + "[run]\nunshare = ['time']\n[peer_group.g]\n"
    + FEED,
    "what is cleared": BUNDLE
    + mount("/usr", 'bind = "/usr"', 'attributes = ["relatime", "exec", "suid"]')
    + mount("/feed", 'bind = "/srv"', "recursive = true", 'attributes = ["rw", "dev", "diratime", "symfollow"]')
    + mount("/proc", 'type = "proc"', 'attributes = ["strictatime", "exec"]'),
    "several namespaces": "[[namespace]]\nname = 'a'\n[[namespace.mount]]\ntarget = '/'\ntype = 'tmpfs'\n"
    "[[namespace]]\nname = 'b'\n[[namespace.mount]]\ntarget = '/'\ntype = 'tmpfs'\n",
    "a root that is inherited": "root = 'inherit'\npropagation = 'slave'\n" + mount("/srv", 'type = "tmpfs"'),
    "a root that is changed": "root = 'inherit'\n[[change]]\ntarget = '/usr'\nrecursive = true\nattributes = ['ro']\n"
    "[[remove]]\ntarget = '/srv'\n",
    "a new proc, and the pids of the host": TMPFS + mount("/proc", 'type = "proc"'),
    "a root that is shared": BUNDLE + "peer_group = 'own'\n[peer_group.own]\n",
}


def plan_of(text: str) -> Plan:
    head = [one for one in text.splitlines() if one.startswith(("root =", "propagation ="))]
    rest = [one for one in text.splitlines() if one not in head]
    return api.plan(parse_spec("\n".join(["format = 1", *head, *rest]).encode(), "test.toml"), HOST)


def test_what_is_written_of_each_spec_is_what_it_was() -> None:
    lines = []
    for name, text in SPECS.items():
        plan = plan_of(text)
        oci, bubblewrap = to_oci(plan, HOST.table), to_bubblewrap(plan)
        lines += [f"# --- {name}", *([json.dumps(oci.value, indent=1)] if oci.value else [])]
        lines += [f"config.json: {one}" for one in (*oci.reasons, *oci.notes)]
        lines += [f"bwrap {shlex.join(bubblewrap.value)}"] if bubblewrap.value else []
        lines += [f"bwrap: {one}" for one in (*bubblewrap.reasons, *bubblewrap.notes)]
    golden("exports.txt", "\n".join([*lines, ""]))


def test_what_bubblewrap_leaves_set_of_a_bind_is_told() -> None:
    plan = plan_of(BUNDLE + mount("/plain", "bind = '/usr'", "attributes = ['rw', 'exec']"))
    assert "/plain: bubblewrap clears no attribute of the source's: rw, exec" in to_bubblewrap(plan).notes


DUMP = [
    {"mnt_id": 1, "parent_mnt_id": 0, "root_dev": "0x800001", "fstype": "auto", "fsname": "ext4", "root": "/r",
     "mountpoint": "./", "flags": "0x200000", "sb_flags": 1, "source": "/dev/sda1", "options": ",errors=x,"},
    {"mnt_id": 2, "parent_mnt_id": 1, "root_dev": "0x32", "fstype": 5, "mountpoint": "./tmp", "flags": 2 | 4 | 8 | 1024,
     "source": "t", "options": "size=4k", "shared_id": 7},
    {"mnt_id": 3, "parent_mnt_id": 1, "root_dev": "0x32", "fstype": 5, "root": "/in", "mountpoint": "./b",
     "flags": 1 | 2048, "source": "t", "options": "size=4k", "master_id": "0x7"},
    {"mnt_id": 4, "parent_mnt_id": 1, "root_dev": "0x33", "fstype": 1, "mountpoint": "./proc", "flags": 1 << 17},
    {"mnt_id": 5, "parent_mnt_id": 1, "root_dev": "0x800001", "fsname": "ext4", "root": "/r/gone", "mountpoint": "./g",
     "flags": 0, "deleted": True},
    {"mnt_id": 6, "parent_mnt_id": 1, "root_dev": "0x34", "fstype": 99, "mountpoint": "./odd", "flags": ""},
]  # fmt: skip


def test_a_dump_of_criu_is_a_table_with_the_flags_of_mount() -> None:
    found = import_criu([("a", {"magic": "MNTS", "entries": DUMP})], "dump", root="/copy", name="shop")
    golden("imports/criu.toml", write_spec(found) + "".join(f"# {one.where}: {one.what}\n" for one in found.cautions))
    assert "unsupported" in write_spec(import_criu([("a", {"entries": DUMP[:1]})], "dump"))


@pytest.mark.parametrize("image", [{}, {"entries": []}, {"magic": "INVENTORY", "entries": DUMP}, 3])
def test_what_is_no_mount_image_is_told(image: object) -> None:
    for images in ([("a", image)], []):
        with pytest.raises(SpecError, match="no mount image"):
            import_criu(images, "dump")
