"""From mount tables to a spec, without a kernel: what is written of each tree is in tests/golden/captures.txt.

tests/kernel/test_capture_live.py captures real trees, builds what it says and compares.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mountplan.planner.capture.mounts import Live, capture
from mountplan.planner.capture.user_namespaces import Owner
from mountplan.planner.capture.writing import write_spec
from mountplan.planner.language.spec_reading import parse_spec_leniently
from mountplan.planner.tables.mount_facts import FoundLayer, LiveImage, LiveOverlay, MountRoot, OverlayLayer
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountTable
from tests.planner.test_render import golden

HOST = """\
1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
2 1 8:2 / /srv ro,nosuid,relatime shared:2 - xfs /dev/sda2 rw
3 1 8:3 /sub /data rw,relatime shared:3 master:2 - btrfs /dev/sda3 rw,subvolid=256,subvol=/sub
4 1 0:20 / /run rw,nosuid shared:4 - tmpfs run rw,size=1024k,mode=755
5 1 0:21 / /sys/kernel/debug rw,relatime - debugfs debugfs rw
6 4 0:22 / /run/lock rw,nosuid - tmpfs lock rw
7 1 0:23 / /proc rw,relatime - proc proc rw
8 7 0:24 / /proc/bus rw,relatime - autofs systemd-1 rw,fd=5
9 1 8:9 / /mapped rw,idmapped - ext4 /dev/sdb rw
10 9 8:9 / /mapped rw - ext4 /dev/sdb rw
11 1 8:11 / /covered rw - ext4 /dev/sdc rw
12 11 8:12 / /covered rw - ext4 /dev/sdd rw
"""
ROOT = "1 0 0:50 / / rw,relatime - tmpfs root rw,size=64k,mode=755\n"


class Facts:
    """`kinds` are those of roots that are no directories, by mount id; `layers`, where a path of an overlay leads."""

    def __init__(
        self,
        kinds: dict[int, MountRoot | None] | None = None,
        images: dict[str, LiveImage] | None = None,
        layers: dict[str, FoundLayer] | None = None,
        differing: tuple[int, ...] = (),
    ) -> None:
        self._kinds, self._images, self._layers = kinds or {}, images or {}, layers or {}
        self._differing = differing

    def roots(self, wanted: Sequence[tuple[int, int]]) -> list[MountRoot | None]:
        return [self._kinds.get(number, MountRoot("directory")) for _, number in wanted]

    def differing(self, wanted: Sequence[tuple[int, int, str]]) -> list[bool]:
        return [number in self._differing for _, number, _ in wanted]

    def image(self, device: str) -> LiveImage | None:
        return self._images.get(device)

    def layers(self, wanted: Sequence[LiveOverlay]) -> list[tuple[FoundLayer, ...]]:
        gone = FoundLayer(None, "gone")
        return [tuple(self._layers.get(path, gone) for path in one.paths) for one in wanted]

    def namespace(self, device: str, root: str) -> str:
        return "net:4026531840" if root == "net:[4026531840]" else ""


def on(device: str, path: str, proof: str = "handle") -> FoundLayer:
    return FoundLayer(OverlayLayer(device, path), proof)  # type: ignore[arg-type]


Case = tuple[list[str], Facts]

CASES: dict[str, Case] = {
    "new filesystems, binds of them, and what is covered or stacked": (
        [
            ("2 1 0:51 / /a rw,nosuid,nodev,noatime - tmpfs a ro,size=4k\n"
            "3 2 0:51 /in/x /a/b ro,relatime - tmpfs a ro,size=4k\n"
            "4 1 0:51 /f /file rw,relatime - tmpfs a ro,size=4k\n"
            "5 1 0:52 / /c rw,relatime - ramfs c rw,mode=700\n"
            "6 5 0:53 / /c rw,relatime unbindable - tmpfs c2 rw\n"
            "7 1 0:54 / /d/e rw,relatime - tmpfs low rw\n"
            "8 1 0:55 / /d rw,relatime - tmpfs cover rw\n"
            "9 8 0:51 /gone//deleted /d/x rw,relatime - tmpfs a ro,size=4k\n"
            "10 1 0:51 /q /p rw,relatime - tmpfs a ro,size=4k\n"
            "11 1 0:51 /dev /null rw,relatime - tmpfs a ro,size=4k\n"
            "12 1 0:51 /ln /link rw,relatime - tmpfs a ro,size=4k\n"
            "13 99 0:56 / /adrift rw - tmpfs lost rw\n")
        ],
        Facts({4: MountRoot("file"), 10: None, 11: MountRoot("char", (1, 3)), 12: MountRoot("symlink", (0, 0), "/to")}),
    ),
    "what a proc shows of a process that has ended, and of one that runs": (
        [
            "2 1 0:23 /17/ns /ended rw,relatime - proc proc rw\n3 1 0:23 /18/ns /runs rw,relatime - proc proc rw\n"
        ],
        Facts(differing=(2,)),
    ),
    "what the host has, with its attributes and sharing": (
        [
            ("2 1 8:2 /www /srv ro,nosuid,noexec,relatime master:2 - xfs /dev/sda2 rw\n"
            "3 1 8:3 /sub/x /data rw,relatime shared:3 master:2 - btrfs /dev/sda3 rw,subvolid=256,subvol=/sub\n"
            "4 1 8:3 /other /other rw,relatime - btrfs /dev/sda3 rw,subvolid=257,subvol=/other\n"
            "5 1 0:22 / /lock rw,relatime - tmpfs lock rw\n"
            "6 1 8:1 /usr//deleted /gone rw,relatime - ext4 /dev/sda1 rw\n"
            "7 1 8:9 / /m rw - ext4 /dev/sdb rw\n"
            "8 1 8:1 /etc/hosts /hosts rw,relatime shared:70 master:1 - ext4 /dev/sda1 rw\n"
            "9 1 0:23 / /proc rw,relatime - proc proc rw\n"
            "10 9 0:24 / /proc/bus rw,relatime - autofs systemd-1 rw,fd=5\n")
        ],
        Facts({8: MountRoot("file")}),
    ),
    "what only the kernel fills, and what cannot be made again": (
        [
            ("2 1 0:60 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw,hidepid=invisible\n"
            "3 2 0:60 /sys /proc/sys ro,relatime - proc proc rw,hidepid=invisible\n"
            "4 2 0:60 /123 /proc/1 ro,relatime - proc proc rw,hidepid=invisible\n"
            "5 1 0:61 / /sys ro,relatime - sysfs sysfs rw\n"
            "6 5 0:62 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
            "7 1 0:63 / /dev/pts rw,nosuid - devpts devpts rw,gid=5,mode=620,ptmxmode=666\n"
            "8 1 0:63 /0 /dev/console rw,nosuid - devpts devpts rw,gid=5,mode=620,ptmxmode=666\n"
            "9 1 0:64 / /dev/mqueue rw - mqueue mqueue rw\n"
            "10 1 0:65 / /fuse rw,nosuid,nodev - fuse.sshfs u@h:/ rw,user_id=0\n"
            "11 1 0:66 net:[4026531840] /net rw - nsfs nsfs rw\n"
            "12 1 0:66 mnt:[4026531841] /mnt rw - nsfs nsfs rw\n"
            "13 1 0:66 uts:[4026531842] /uts rw - nsfs nsfs rw\n"
            "14 1 0:67 / /nfs rw - nfs4 server:/x rw,vers=4.2\n")
        ],
        Facts({8: MountRoot("char", (136, 0)), 11: MountRoot("file"), 12: MountRoot("file"), 13: MountRoot("file")}),
    ),
    "images": (
        [
            ("2 1 7:0 / /img ro,relatime - squashfs /dev/loop0 ro,errors=continue\n"
            "3 1 7:1 / /part rw,relatime - ext4 /dev/loop1p2 rw,errors=remount-ro\n"
            "4 1 7:2 / /lost rw,relatime - ext4 /dev/loop2 rw\n"
            "5 1 0:70 /vol /sub rw,relatime - btrfs /dev/loop3 rw,subvolid=256,subvol=/vol\n"
            "6 2 0:71 / /img/x rw,relatime - tmpfs x rw\n"
            "7 1 7:0 /bin /bin ro,relatime - squashfs /dev/loop0 ro,errors=continue\n")
        ],
        Facts(
            images={
                "/dev/loop0": LiveImage("/srv/root.squashfs", 0, 0),
                "/dev/loop1p2": LiveImage("/srv/disk.img", 1048576, 8388608),
                "/dev/loop3": LiveImage("/srv/pool.img", 512, 0),
            }
        ),
    ),
    "overlays": (
        [
            ("2 1 0:80 / /layers rw,relatime - tmpfs layers rw\n"
            "3 1 0:81 / /o rw,relatime - overlay o rw,lowerdir=/l1:/l2,upperdir=/u,workdir=/w,uuid=on\n"
            "4 1 0:82 / /r ro,relatime - overlay r ro,lowerdir=/l1:/host\n"
            "5 1 0:83 / /lost rw,relatime - overlay x rw,lowerdir=/gone1:/gone2,upperdir=/gone3,workdir=/gone4\n"
            "6 1 0:84 / /on-host rw,relatime - overlay h rw,lowerdir=/named,upperdir=/hu,workdir=/hw\n"
            "7 1 0:85 / /data ro,relatime - overlay d ro,lowerdir=/l1::/l2\n"
            "8 3 0:81 /etc /o/etc ro,relatime - overlay o rw,lowerdir=/l1:/l2,upperdir=/u,workdir=/w,uuid=on\n"
            "9 3 0:86 / /o/mnt rw,relatime - tmpfs t rw\n"
            "10 1 0:87 / /again rw,relatime - overlay a rw,lowerdir=/l2,upperdir=/u,workdir=/w2\n")
        ],
        Facts(
            layers={
                "/l1": on("0:80", "/one"), "/l2": on("0:80", "/two"), "/u": on("0:80", "/up"),
                "/w": on("0:80", "/work"),
                "/host": on("8:2", "/layer"), "/hu": on("8:1", "/var/up", "in use"), "/hw": on("8:1", "/var/work"),
                "/named": on("8:1", "/opt", "name"), "/w2": on("0:80", "/work2"),
            }
        ),
    ),
    "an id-mapping, and groups with masters": (
        [
            ("2 1 0:90 / /a rw,relatime shared:100 - tmpfs a rw\n"
            "3 1 0:90 / /b rw,relatime shared:100 - tmpfs a rw\n"
            "4 1 0:90 /sub /c rw,relatime master:100 - tmpfs a rw\n"
            "5 1 0:90 / /d rw,relatime shared:101 master:100 - tmpfs a rw\n"
            "6 1 0:90 / /e rw,relatime master:102 propagate_from:100 - tmpfs a rw\n"
            "7 1 8:1 /home /home rw,idmapped - ext4 /dev/sda1 rw\n"
            "8 1 8:9 /x /x rw - ext4 /dev/sdb rw\n")
        ],
        Facts(),
    ),
    "what the host has covered comes with a recursive bind, where all of it stands": (
        [
            (
                "2 1 8:1 / /h rw,relatime - ext4 /dev/sda1 rw\n"
                "3 2 8:2 / /h/srv ro,nosuid,relatime - xfs /dev/sda2 rw\n"
                "4 2 8:3 /sub /h/data rw,relatime - btrfs /dev/sda3 rw,subvolid=256,subvol=/sub\n"
                "5 2 0:20 / /h/run rw,nosuid - tmpfs run rw,size=1024k,mode=755\n"
                "6 5 0:22 / /h/run/lock rw,nosuid - tmpfs lock rw\n"
                "7 2 0:21 / /h/sys/kernel/debug rw,relatime - debugfs debugfs rw\n"
                "8 2 0:23 / /h/proc rw,relatime - proc proc rw\n"
                "9 8 0:24 / /h/proc/bus rw,relatime - autofs systemd-1 rw,fd=5\n"
                "10 2 8:9 / /h/mapped rw,idmapped - ext4 /dev/sdb rw\n"
                "11 10 8:9 / /h/mapped rw - ext4 /dev/sdb rw\n"
                "12 2 8:11 / /h/covered rw - ext4 /dev/sdc rw\n"
                "13 12 8:12 / /h/covered rw - ext4 /dev/sdd rw\n"
                "14 13 0:99 / /h/covered/more rw - tmpfs more rw\n"
                "20 1 8:1 / /half rw,relatime - ext4 /dev/sda1 rw\n"
                "21 20 8:11 / /half/covered rw - ext4 /dev/sdc rw\n"
            )
        ],
        Facts(),
    ),
    "sources of what there is one of": (
        [
            (
                "2 1 0:21 / /debug rw,relatime - debugfs other rw\n"
                "3 1 0:62 / /one rw - cgroup2 one rw\n"
                "4 1 0:62 / /two rw - cgroup2 two rw\n"
                "5 1 0:62 /sub /three rw shared:200 - cgroup2 three rw\n"
                "6 1 0:62 / /four rw master:200 - cgroup2 two rw\n"
                "7 1 0:62 / /five rw shared:201 - cgroup2 five rw\n"
                "8 1 0:62 / /six rw shared:201 - cgroup2 five rw\n"
            )
        ],
        Facts(),
    ),
    "two namespaces, one of them of another user": (
        [
            "2 1 0:90 / /a rw,relatime shared:100 - tmpfs a rw\n3 1 0:91 / /own rw,relatime - tmpfs own rw\n",
            ("12 1 0:90 / /b rw,relatime shared:100 - tmpfs a rw\n"
            "13 12 0:92 / /b/c ro,nosuid - tmpfs c rw\n"
            "14 1 0:90 /sub /d rw,relatime master:100 - tmpfs a rw\n"),
        ],
        Facts(),
    ),
}  # fmt: skip


def told(case: Case) -> tuple[str, list[str]]:
    """The text that is written, and the cautions, a line each."""
    tables, facts = case
    lives = []
    for number, text in enumerate(tables):
        root = ROOT if not number else ROOT.replace("0:50", "0:59")
        idmaps = {7: (((0, 1000, 1),), ((0, 2000, 2),))} if "/home rw,idmapped" in text else {}
        owner = Owner(77, (), ((0, 100000, 65536),), ((0, 100000, 65536),)) if number else None
        locks = {13: "locked", 14: "attributes"} if number else {}
        table = MountTable(parse_mountinfo((root + text).encode()).rows)
        lives.append(Live(f"n{number}", table, idmaps, owner=owner, locks=locks))  # type: ignore[arg-type]
    found = capture(lives, parse_mountinfo(HOST.encode()), facts, name="shop", unshare=("pid", "net"))
    return write_spec(found), [f"{one.where}: {one.what}" for one in found.cautions]


def test_what_is_written_of_each_tree_is_what_it_was() -> None:
    texts = []
    for name, case in CASES.items():
        text, cautions = told(case)
        texts.append(f"# --- {name}\n{text}" + "".join(f"# caution: {one}\n" for one in cautions))
    golden("captures.txt", "\n".join(texts))


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_can_be_read(name: str) -> None:
    _, mistakes = parse_spec_leniently(told(CASES[name])[0].encode())
    assert () == mistakes


def test_what_linux_7_has_below_all_roots_is_told_for_what_it_is() -> None:
    """A nullfs is empty and can be made by nobody: a capture that shows one says so, and `check` refuses it."""
    table = parse_mountinfo(f"{ROOT}2 1 0:60 / /below rw,relatime - nullfs nullfs rw\n".encode())
    found = capture([Live("it", table, {})], parse_mountinfo(HOST.encode()), Facts(), name="it")
    (mount,) = [one for space in found.namespaces for one in space.mounts if one.target == "/below"]
    assert "empty directory that Linux 7.0 has below all roots" in mount.unsupported
    assert f'unsupported = "{mount.unsupported}"' in write_spec(found)
