"""Images: parts of a file, files in mounts of the spec, partitions, subvolumes of btrfs, clones of xfs."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mountplan import api
from mountplan.planner.errors import MountplanError, SpecError, StepRefused, VerificationFailed
from mountplan.planner.render.problems import error_text
from tests.faults import CALLS
from tests.hosts import InHost, mount, umount
from tests.trees import ROOT, Tree, plan_of, tree
from tests.without import filter_calls

pytestmark = pytest.mark.needs_kernel("root", "loop")
MIB = 1 << 20
Result = TypeVar("Result")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def squashfs(path: str, *names: str) -> None:
    """An image with an empty file of each name in it."""
    os.makedirs(f"{path}.d", exist_ok=True)
    for name in names:
        Path(f"{path}.d/{name}").parent.mkdir(parents=True, exist_ok=True)
        Path(f"{path}.d/{name}").touch()
    run("mksquashfs", f"{path}.d", path, "-quiet", "-no-progress")


def disk(path: str, table: str, parts: tuple[tuple[str, str], ...]) -> None:
    """A disk image with each (label, file) as a partition, one MiB apart from its neighbours."""
    begins = [MIB * 4 * (number + 1) for number in range(len(parts))]
    entries, mbr = b"", b""
    with open(path, "wb") as file:
        for begin, (label, content) in zip(begins, parts, strict=True):
            data = Path(content).read_bytes()
            sectors = -(-len(data) // 512)
            file.seek(begin)
            file.write(data.ljust(sectors * 512, b"\0"))
            first, last = begin // 512, begin // 512 + sectors - 1
            name = label.encode("utf-16-le")
            entries += struct.pack("<16s16sQQQ72s", b"\1" * 16, b"\2" * 16, first, last, 0, name)
            mbr += struct.pack("<B3sB3sII", 0, b"", 0x83, b"", first, sectors)
        file.truncate(begins[-1] + 4 * MIB)
        if table == "gpt":
            file.seek(512)
            file.write(
                struct.pack(
                    "<8sIIIIQQQQ16sQIII", b"EFI PART", 1 << 16, 92, 0, 0, 1, 0, 0, 0, b"", 2, len(parts), 128, 0
                )
            )
            file.seek(1024)
            file.write(entries)
            mbr = struct.pack("<B3sB3sII", 0, b"", 0xEE, b"", 1, 1)
        file.seek(446)
        file.write(mbr.ljust(64, b"\0") + b"\x55\xaa")


def image_mount(words: str, fstype: str = "squashfs", target: str = "/in", more: str = "") -> str:
    return f'[[mount]]\ntarget = "{target}"\ntype = "{fstype}"\nimage = {words}\n{more}\n'


def names(built: Tree, path: str) -> list[str]:
    return sorted(built.inside(lambda: os.listdir(path)))


def told(spec: str) -> list[str]:
    try:
        plan_of(spec)
    except SpecError as error:
        return [f"{one.ref.key}: {one.what}; {one.remedy}" for one in error.mistakes]
    return []


@pytest.mark.needs_kernel("mksquashfs", "fs:squashfs")
def test_a_part_of_a_file_is_mounted_by_its_offset(in_host: InHost) -> None:
    def script() -> list[list[str]]:
        mount("mnt", "/mnt", "tmpfs")
        squashfs("/mnt/one", "first")
        squashfs("/mnt/two", "second")
        disk("/mnt/disk", "mbr", (("", "/mnt/one"), ("", "/mnt/two")))
        spec = (
            ROOT
            + image_mount('{ path = "/mnt/disk", offset = 4194304, size = 4194304 }', target="/a")
            + image_mount('{ path = "/mnt/disk", offset = 8388608 }', target="/b")
        )
        with tree(spec) as built:
            return [names(built, "/a"), names(built, "/b")]

    assert [["first"], ["second"]] == in_host(script, identity="root")


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ("offset = 8192", 'offset: "FILE" ends before it, with 8192 bytes'),
        ("offset = 4096, size = 4608", 'size: "FILE" has 4096 bytes from 4096 on'),
        ("size = 8704", 'size: "FILE" has 8192 bytes from 0 on'),
        ("size = 1000", "size: 1000 bytes are no whole sectors, and a loop device leaves the rest out"),
        ("offset = 4097, size = 3584", ""),
    ],
)
def test_bytes_that_a_file_does_not_have_are_told(part: str, what: str, tmp_path: Path) -> None:
    """The kernel's loop device ends with the file, and at a whole sector, without a word."""
    file = tmp_path / "file"
    file.write_bytes(bytes(8192))
    said = told(ROOT + image_mount(f'{{ path = "{file}", {part} }}'))
    assert ([f"mount[1].image.{what}".replace("FILE", str(file))] if what else []) == [
        one.split(";")[0] for one in said
    ]


@pytest.mark.needs_kernel("mksquashfs", "fs:squashfs")
@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_a_partition_is_mounted_by_its_number_or_its_label(table: str, in_host: InHost) -> None:
    def script() -> list[list[str]]:
        mount("mnt", "/mnt", "tmpfs")
        squashfs("/mnt/one", "first")
        squashfs("/mnt/two", "second")
        disk("/mnt/disk", table, (("boot", "/mnt/one"), ("root", "/mnt/two")))
        which = '"root"' if table == "gpt" else "2"
        spec = (
            ROOT
            + image_mount('{ path = "/mnt/disk", partition = 1 }', target="/a")
            + image_mount(f'{{ path = "/mnt/disk", partition = {which} }}', target="/b")
        )
        with tree(spec) as built:
            found = [names(built, "/a"), names(built, "/b")]
        missing = told(ROOT + image_mount('{ path = "/mnt/disk", partition = "home" }'))
        without = told(ROOT + image_mount('{ path = "/mnt/one", partition = 1 }'))
        return [*found, missing, without]

    otherwise = "write offset and size, or leave out partition"
    there = 'there are: 1 "boot", 2 "root"' if table == "gpt" else "there are: 1, 2"
    assert [
        ["first"],
        ["second"],
        [f'mount[1].image.partition: there is no partition "home"; {there}'],
        [f'mount[1].image.partition: "/mnt/one": there is no partition table in it; {otherwise}'],
    ] == in_host(script, identity="root")


@pytest.mark.needs_kernel("mksquashfs", "fs:squashfs")
def test_an_image_is_a_file_in_a_mount_of_the_spec(in_host: InHost) -> None:
    """As on live systems, where a squashfs lies on the medium; here one that lies in another, and one in a tmpfs."""

    def script() -> tuple[list[str], list[str]]:
        mount("mnt", "/mnt", "tmpfs")
        squashfs("/mnt/inner", "deep")
        os.makedirs("/mnt/outer.d/live")
        os.rename("/mnt/inner", "/mnt/outer.d/live/root.squashfs")
        squashfs("/mnt/outer")
        spec = f"""{ROOT}
        {image_mount('{ mount = "iso", path = "/live/root.squashfs" }')}
        [[mount]]
        id = "iso"
        type = "squashfs"
        image = "/mnt/outer"
        [[mount]]
        id = "pool"
        target = "/pool"
        type = "tmpfs"
        [[mount.file]]
        path = "image"
        source = "/mnt/outer"
        {image_mount('{ mount = "pool", path = "image" }', target="/copied")}
        """
        with tree(spec) as built:
            return names(built, "/in"), names(built, "/copied")

    assert (["deep"], ["live"]) == in_host(script, identity="root")


@pytest.mark.needs_kernel("mkfs.ext4", "fs:ext4", "fs:squashfs")
def test_what_is_in_an_image_was_not_looked_at_before_and_is_told_for_what_it_is(in_host: InHost) -> None:
    def script() -> list[str]:
        mount("mnt", "/mnt", "tmpfs")
        os.makedirs("/mnt/tree/dir")
        Path("/mnt/tree/file").touch()
        os.symlink("file", "/mnt/tree/link")
        run("mkfs.ext4", "-q", "-d", "/mnt/tree", "/mnt/ext4", "4M")
        holder = ROOT + image_mount('"/mnt/ext4"', "ext4", "/x", 'id = "x"')
        said = []
        for rest in (
            *(image_mount(f'{{ mount = "x", path = "/{name}" }}') for name in ("gone", "dir", "link", "file/y")),
            '[[mount]]\ntarget = "/x/file"\ntype = "tmpfs"\n',
            '[[mount]]\ntarget = "/x/dir"\nbind = "/etc/passwd"\n',
            f'{OVERLAY}layers = [{{ mount = "x", path = "/gone" }}, "/usr"]\n',
            f'{OVERLAY}layers = [{{ mount = "x", path = "/file/y" }}, {{ mount = "x", path = "/dir" }}]\n',
        ):
            with pytest.raises(StepRefused) as error:
                api.build_and_forget(plan_of(holder + rest))
            said.append(error.value.meaning)
        return said

    assert [
        "/gone in fs:x is not there",
        "/dir in fs:x is no file",
        "/link in fs:x is a symlink, or behind one",
        "/file/y in fs:x is below a file",
        "what is there already is no directory",
        "what is there already is no file",
        "its layer is not there: /gone in fs:x",
        "one of its layers is below a file: /file/y in fs:x, /dir in fs:x",
    ] == in_host(script, identity="root")


@pytest.mark.needs_kernel("mkfs.ext4", "fs:ext4", "fs:squashfs")
def test_that_no_filesystem_of_the_type_is_in_an_image_is_told_beforehand(tmp_path: Path) -> None:
    """As a warning: it may be made there until it is mounted. The kernel finds none either."""
    run("mkfs.ext4", "-q", f"{tmp_path}/ext4", "1M")
    (tmp_path / "words").write_text("no filesystem\n")
    (tmp_path / "disk").write_bytes(b"\0" * 510 + b"\x55\xaa" + bytes(MIB))

    def warned(name: str, fstype: str) -> list[str]:
        plan = plan_of(ROOT + image_mount(f'"{tmp_path}/{name}"', fstype))
        if name != "ext4" or fstype != name:
            with pytest.raises(StepRefused), tree(plan):
                pass
        return [f"{one.what}: {one.remedy}".replace(f"{tmp_path}/", "") for one in api.warnings(plan)]

    assert [] == warned("ext4", "ext4")
    assert ['there is no squashfs in "ext4", but ext4: write type = "ext4", or name another image'] == warned(
        "ext4", "squashfs"
    )
    assert ["make it there before it is mounted (mkfs.ext4), or name another image"] == [
        one.partition(": ")[2] for one in warned("words", "ext4")
    ]
    assert "of which partition" in warned("disk", "ext4")[0]


@pytest.mark.needs_kernel("fs:ext4")
def test_an_offset_behind_the_end_that_the_image_has_since_is_told(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(MIB * 9))
    plan = plan_of(ROOT + image_mount(f'{{ path = "{tmp_path}/image", offset = {MIB * 8} }}', "ext4"))
    os.truncate(tmp_path / "image", MIB)
    with pytest.raises(StepRefused, match="the image ends before it"), tree(plan):
        pass


@pytest.mark.needs_kernel("fs:ext4")
def test_an_image_that_ends_before_its_filesystem_begins_is_told_as_that(tmp_path: Path) -> None:
    """The kernel's answer is that it has no memory."""
    (tmp_path / "image").write_bytes(bytes(1536))
    with pytest.raises(StepRefused) as caught, tree(ROOT + image_mount(f'"{tmp_path}/image"', "ext4")):
        pass
    assert errno.ENOMEM == caught.value.errno
    assert "the image ends before its filesystem begins, or the kernel has no memory" in caught.value.meaning
    assert "check the image" in caught.value.remedy and "free memory" in caught.value.remedy


@pytest.mark.needs_kernel("mksquashfs", "fs:squashfs")
@pytest.mark.parametrize("call", ["fsopen", "fsconfig", "fsmount", "ioctl", "openat2"])
def test_want_of_memory_at_an_image_is_told_with_its_call_and_what_to_do(
    call: str, tmp_path: Path, in_host: InHost
) -> None:
    """What lacks memory is no image that is wrong, nor a loop device that is missing."""
    squashfs(str(tmp_path / "image"), "file")

    def script() -> tuple[str, int]:
        plan = plan_of(ROOT + image_mount(f'"{tmp_path}/image"'))
        filter_calls({CALLS[call]: errno.ENOMEM})
        with pytest.raises(MountplanError) as caught:
            api.build_and_forget(plan)
        return str(caught.value), caught.value.exit_status

    said, status = in_host(script, identity="root", reach=[tmp_path])
    assert 3 == status
    assert re.search(rf"\b{call}\b", said) and "Cannot allocate memory (ENOMEM)" in said, said
    assert "free memory" in said, said


@pytest.mark.needs_kernel("mksquashfs", "fs:squashfs", "mkfs.ext4", "fs:ext4")
def test_what_cannot_be_an_image_is_told(in_host: InHost) -> None:
    def script() -> list[list[str]]:
        mount("mnt", "/mnt", "tmpfs")
        squashfs("/mnt/one", "ext4")
        run("mkfs.ext4", "-q", "/mnt/ext4", "4M")
        loop = subprocess.run(["losetup", "-f", "--show", "-r", "/mnt/one"], capture_output=True, text=True, check=True)
        device = loop.stdout.strip()
        pool = '[[mount]]\nid = "pool"\ntarget = "/pool"\ntype = "tmpfs"\n'
        iso = '[[mount]]\nid = "iso"\ntype = "squashfs"\nimage = "/mnt/one"\n'
        try:
            return [
                told(ROOT + image_mount(f'"{device}"')),
                told(ROOT + pool + image_mount('{ mount = "pool", path = "/none" }')),
                told(ROOT + iso + image_mount('{ mount = "iso", path = "/ext4" }', "ext4")),
                told(ROOT + image_mount('{ path = "/mnt/one", offset = 512, partition = 1 }')),
                told(ROOT + image_mount('{ path = "/mnt/ext4", offset = 0 }', "ext4", "/a")
                     + image_mount('{ path = "/mnt/ext4", offset = 1024 }', "ext4", "/b")),
                told(ROOT + image_mount('{ mount = "self", path = "/x" }', more='id = "self"')),
            ]  # fmt: skip
        finally:
            run("losetup", "-d", device)

    found = [" ".join(one) for one in in_host(script, identity="root")]
    for what, said in zip(
        (
            "is a loop device: an image behind it would be behind two; write source = ",
            'nothing provides "/none" in pool; declare it there: [[mount.file]] with path = "/none" and source',
            "iso is read-only, and this mount would write to an image in it; write options = { ro = true }",
            "a partition is looked up when it is planned, and goes with no offset",
            "what is written to can be mounted once only",
            "mounts are made from each other in a circle",
        ),
        found,
        strict=True,
    ):
        assert what in said


OVERLAY = '[[mount]]\ntarget = "/o"\ntype = "overlay"\n'


def btrfs(function: Callable[[], Result]) -> Callable[[], Result]:
    def script() -> Result:
        mount("mnt", "/mnt", "tmpfs")
        with open("/mnt/image", "wb") as file:
            file.truncate(120 * MIB)
        os.mkdir("/mnt/d")
        run("mkfs.btrfs", "-q", "/mnt/image")
        run("mount", "-o", "loop", "/mnt/image", "/mnt/d")
        for name, inside in (("@home", "user"), ("@", "etc")):
            run("btrfs", "subvolume", "create", f"/mnt/d/{name}")
            os.mkdir(f"/mnt/d/{name}/{inside}")
        umount("/mnt/d")
        return function()

    return script


@pytest.mark.needs_kernel("mkfs.btrfs", "fs:btrfs")
def test_what_is_no_subvolume_is_not_mounted_as_one(in_host: InHost) -> None:
    """As the kernel has it; a directory of that name is a path for a bind."""

    def script() -> str:
        with pytest.raises(StepRefused) as error:
            api.build_and_forget(
                plan_of(ROOT + image_mount('"/mnt/image"', "btrfs", more='options = { subvol = "/@home/user" }'))
            )
        return error_text(error.value)

    said = in_host(btrfs(script), identity="root")
    assert "mount[1]" in said and "/@home/user in it is a directory, and no subvolume" in said
    assert 'bind it: { mount = "ID", path = "/@home/user" }' in said


@pytest.mark.needs_kernel("mkfs.btrfs", "fs:btrfs")
def test_subvolumes_are_mounted_each_by_its_path(in_host: InHost) -> None:
    def script() -> tuple[list[str], list[str], list[str], list[str]]:
        home, root = 'options = { subvol = "@home" }', 'options = { subvol = "/@" }'
        spec = (
            ROOT
            + image_mount('"/mnt/image"', "btrfs", "/home", f'id = "home"\n{home}')
            + image_mount('"/mnt/image"', "btrfs", "/root", root)
            + '[[mount]]\ntarget = "/user"\nbind = { mount = "home", path = "/user" }'
        )
        with tree(spec) as built:
            rows = [f"{row.mountpoint} {row.root}" for row in built.table.rows if row.fstype == "btrfs"]
            found = names(built, "/home"), names(built, "/root")
        missing = ROOT + image_mount('"/mnt/image"', "btrfs", more='options = { subvol = "@nowhere" }')
        try:
            api.build_and_forget(plan_of(missing))
        except StepRefused as error:
            rows.append(str(error))
        by_number = told(ROOT + image_mount('"/mnt/image"', "btrfs", more='options = { subvolid = "256" }'))
        return *found, rows, by_number

    home, root, rows, by_number = in_host(btrfs(script), identity="root")
    assert (["user"], ["etc"]) == (home, root)
    assert ["/home /@home", "/root /@", "/user /@home/user"] == sorted(rows[:3])
    assert "there is no /@nowhere in it" in rows[3]
    assert ["mount[1].options.subvolid: which path subvolume 256 has"] == [one[:55] for one in by_number]


@pytest.mark.needs_kernel("mkfs.btrfs", "fs:btrfs")
@pytest.mark.parametrize(
    ("options", "what"),
    [
        ('subvol = "@home/../@"', 'options.subvol: "@home/../@" contains'),
        ("subvol = true", "options.subvol: names no subvolume"),
        ('subvol = ["/@", "/@home"]', "options.subvol: a mount shows one subvolume"),
        ('subvol = "/@home", subvolid = 258', "options.subvolid: which number a subvolume has"),
    ],
)
def test_a_subvolume_that_cannot_be_known_is_a_mistake(options: str, what: str, in_host: InHost) -> None:
    """The kernel refuses the last one if the number is not that of the path."""
    text = ROOT + image_mount('"/mnt/image"', "btrfs", more=f"options = {{ {options} }}")
    (said,) = in_host(btrfs(lambda: told(text)), identity="root")
    assert said.startswith(f"mount[1].{what}")


@pytest.mark.needs_kernel("mkfs.btrfs", "fs:btrfs")
def test_subvolumes_with_other_options_and_default_ones_are_told_for_what_they_are(in_host: InHost) -> None:
    def script() -> tuple[list[str], str]:
        root, home = 'subvol = "/@", ', 'subvol = "/@home", '
        said = [
            told(
                ROOT
                + "".join(
                    image_mount('"/mnt/image"', "btrfs", f"/{at}", f"options = {{ {one} }}")
                    for at, one in enumerate(pair)
                )
            )
            for pair in (
                (f"{root}compress = 'lzo'", f"{home}compress = 'zstd'"),
                ("compress = 'lzo'", "compress = 'lzo'"),
            )
        ]
        run("mount", "-o", "loop", "/mnt/image", "/mnt/d")
        run("btrfs", "subvolume", "set-default", "/mnt/d/@home")
        umount("/mnt/d")
        with pytest.raises(VerificationFailed) as error:
            api.build_and_forget(plan_of(ROOT + image_mount('"/mnt/image"', "btrfs")))
        return [one for (one,) in said], error_text(error.value)

    (options, default), remedy = in_host(btrfs(script), identity="root")
    assert "ask for other options: compress" in options
    assert "its default subvolume is what mount[1] mounts already" in default
    assert 'write options = { subvol = "/@home" }' in remedy


@pytest.mark.needs_kernel("mkfs.xfs", "fs:xfs")
def test_the_refusal_of_a_clone_of_an_xfs_names_nouuid(in_host: InHost, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"

    def script() -> tuple[str, int]:
        with open(one, "wb") as file:
            file.truncate(300 * MIB)
        run("mkfs.xfs", "-q", str(one))
        run("cp", "--sparse=always", str(one), str(other))
        first = image_mount(f'"{one}"', "xfs", "/a")
        try:
            api.build_and_forget(plan_of(ROOT + first + image_mount(f'"{other}"', "xfs", "/b")))
            said = ""
        except StepRefused as error:
            said = str(error)
        both = api.build_and_forget(
            plan_of(ROOT + first + image_mount(f'"{other}"', "xfs", "/b", "options = { nouuid = true }"))
        )
        return said, len(both.tables[0][1].rows)

    said, mounts = in_host(script, identity="root")
    assert "nouuid = true" in said
    assert 3 == mounts


def test_dm_verity_is_named_as_not_supported() -> None:
    spec = ROOT + image_mount('"/etc/hostname"', "ext4", more='options = { "verity.roothash" = "ab" }')
    assert ["dm-verity is not supported: open it with veritysetup(8)"] == [
        one.rpartition("; ")[2].partition(",")[0] for one in told(spec)
    ]
