"""Every row of planner/fstypes.py against the kernel at hand. Types that it does not have are passed over."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.kernel import LinuxKernel
from mountplan.applier.sys.refusal import KernelRefusal
from mountplan.planner.fstypes import OF_EACH, ROWS, FilesystemType, is_ignored, not_taken, of, where
from tests.hosts import InHost, mount, run_in_child, umount, unshare
from tests.privileges import FSCONFIG, FSOPEN, syscall

KINDS = {"pid": 0x20000000, "net": 0x40000000, "ipc": 0x08000000, "cgroup": 0x02000000}
CREATE = 6
LEAST = 9  # each kernel that mountplan runs on has so many that can be mounted without a device
PLACE = "/mnt"

Answer = TypeVar("Answer")


def context(fstype: str) -> int:
    return syscall(FSOPEN, f"fsopen of {fstype}", fstype.encode(), ctypes.c_uint(1))


def is_known(fstype: str) -> bool:
    try:
        os.close(context(fstype))
    except OSError as error:
        return error.errno != errno.ENODEV
    return True


def of_each(ask: Callable[[FilesystemType], Answer], *, in_memory: bool = True) -> dict[str, Answer]:
    """What is answered for each row of a type that this kernel has; if `in_memory`, those that need no device."""
    rows = [one for one in ROWS if is_known(one.name) and (one.in_memory or not in_memory)]
    return {one.name: ask(one) for one in rows}


def in_new(kind: str, function: Callable[[], int]) -> int:
    """In a child with another namespace of this kind; of a pid namespace, its first process."""

    def inside() -> int:
        unshare(KINDS[kind])
        answer, say = os.pipe()
        if os.fork() == 0:
            try:
                os.write(say, function().to_bytes(8, "little"))
            finally:
                os._exit(0)
        os.close(say)
        with os.fdopen(answer, "rb") as file:
            said = file.read()
        assert os.wait()[1] == 0 and said
        return int.from_bytes(said, "little")

    return run_in_child(inside)


def shown(fstype: str, data: str = "") -> list[str]:
    """The source and the options that mountinfo has of a new mount of source "given"."""
    mount("given", PLACE, fstype, data=data)
    (line,) = (one for one in Path("/proc/self/mountinfo").read_text().splitlines() if f" {PLACE} " in one)
    umount(PLACE)
    return line.partition(" - ")[2].split()[1:]


def number_of(attempt: Callable[[], object]) -> int:
    try:
        attempt()
    except OSError as error:
        return error.errno or -1
    return 0


@pytest.mark.needs_kernel("root")
def test_this_kernel_has_what_every_kernel_is_said_to_have() -> None:
    said = where(everywhere=True)
    assert "tmpfs" in said
    assert said == {name for name in said if is_known(name)}


@pytest.mark.needs_kernel("root")
def test_what_shares_a_superblock_cannot_be_mounted_on_one_place_twice(in_host: InHost) -> None:
    """The kernel says EBUSY only of the very superblock whose root is mounted there."""

    def twice(row: FilesystemType) -> int:
        mount("x", PLACE, row.name)
        number = number_of(lambda: mount("x", PLACE, row.name))
        for _ in range(2 if not number else 1):
            umount(PLACE)
        return number

    answers = in_host(lambda: of_each(twice), identity="root")
    assert {name: errno.EBUSY if of(name).is_shared else 0 for name in answers} == answers
    assert len(answers) >= LEAST


@pytest.mark.needs_kernel("root")
def test_only_a_namespace_of_the_kind_in_the_row_has_another_instance(in_host: InHost) -> None:
    def instances(row: FilesystemType) -> str:
        def device(where: str) -> int:
            os.mkdir(where)
            mount("x", where, row.name)
            return os.stat(where).st_dev

        first = device(f"/tmp/{row.name}")  # it stays: the number of a device that is gone is given again
        new = [kind for kind in KINDS if in_new(kind, lambda kind=kind: device(f"/tmp/{row.name}-{kind}")) != first]  # type: ignore[misc]
        return "mount" if len(new) == len(KINDS) else ",".join(new) or "machine"

    def with_room() -> dict[str, str]:
        mount("none", "/tmp", "tmpfs")
        return of_each(instances)

    found = in_host(with_room, identity="root")
    # That of a user namespace is seen in one only.
    assert {name: of(name).instances.replace("user", "machine") for name in found} == found
    assert len(found) >= LEAST


@pytest.mark.needs_kernel("root")
def test_what_is_in_a_new_one_is_what_the_row_says(in_host: InHost) -> None:
    """In what the kernel fills nobody makes a directory to mount on; of what begins empty, some take files."""

    of_all = ("cgroup2", "devtmpfs")  # root makes cgroups and nodes there: the machine's, and so not in a test

    def begins(row: FilesystemType) -> tuple[bool, bool, bool, bool]:
        mount("x", PLACE, row.name)
        try:
            empty, flat = not os.listdir(PLACE), not any(entry.is_dir() for entry in os.scandir(PLACE))
            makes = row.name in of_all or not number_of(lambda: os.mkdir(f"{PLACE}/directory"))
            writes = row.begins != "filled" and not number_of(lambda: Path(f"{PLACE}/file").write_text("x"))
            return empty, flat and not makes, makes, writes
        finally:
            umount(PLACE)

    found = in_host(lambda: of_each(begins), identity="root")
    for name, (empty, flat, makes, writes) in found.items():
        row = of(name)
        assert flat or not row.flat, name
        assert row.takes_files == writes, name
        if row.begins == "empty":
            assert empty and makes, name
        elif row.begins == "filled":
            assert not makes or "directory" in row.made_in, name
    assert len(found) >= LEAST


@pytest.mark.needs_kernel("root")
def test_what_is_shown_of_a_new_one_is_a_default_of_the_row(in_host: InHost) -> None:
    """An option that is absent has the default, so asking for that changes nothing but that it may be shown."""

    def defaults(row: FilesystemType) -> tuple[str, str, str]:
        words = ",".join(f"{name}={value}" for name, value in row.defaults.items() if value)
        source, options = shown(row.name)
        return source, options, options if row.is_shared else shown(row.name, words)[1]

    def others(options: str, row: FilesystemType) -> set[str]:
        return set(options.split(",")) - {f"{name}={value}" for name, value in row.defaults.items()}

    found = in_host(lambda: of_each(defaults), identity="root")
    for name, (source, options, with_defaults) in found.items():
        row = of(name)
        assert source in ("given", row.source), name
        assert others(options, row) == others(with_defaults, row), name
        if not row.is_shared:  # of what others have as well, they have chosen the options
            assert not row.defaults.keys() & {option.partition("=")[0] for option in others(options, row)}, name
    assert len(found) >= LEAST


@pytest.mark.needs_kernel("root", "idmap-tmpfs")
def test_an_id_mapping_is_refused_of_the_types_in_whose_row_it_is(in_host: InHost) -> None:
    """Of tmpfs it is taken since Linux 6.3, of hugetlbfs since 6.9: for those the kernel is asked."""
    kernel = LinuxKernel()

    def takes(fstype: str, data: str = "") -> bool:
        mount("x", PLACE, fstype, data=data)
        place = os.open(PLACE, os.O_PATH | os.O_CLOEXEC)
        clone = kernel.clone(place, "")
        mapping = kernel.id_mapping(((0, 1000, 1),), ((0, 1000, 1),))
        number = number_of(lambda: kernel.set_attributes(clone, set=abi.MOUNT_ATTR_IDMAP, userns=mapping))
        for fd in (clone, place, mapping):
            os.close(fd)
        umount(PLACE)
        assert number in (0, errno.EINVAL), fstype
        return not number

    def script() -> dict[str, bool]:
        found = of_each(lambda row: takes(row.name))
        return found | {"overlay": takes("overlay", "lowerdir=/usr:/etc")}

    found = in_host(script, identity="root")
    since = {"tmpfs", "hugetlbfs"}
    assert {name: not of(name).unmappable for name in found if name not in since} == {
        name: answer for name, answer in found.items() if name not in since
    }
    assert not any(of(name).unmappable for name in since)
    assert len(found) >= LEAST


@pytest.mark.needs_kernel("root", "userns")
def test_a_user_namespace_may_mount_what_the_row_says_with_the_namespace_that_it_shows(in_host: InHost) -> None:
    """The kernel asks who may before it looks for a device, so every type can be asked; EPERM is its only no."""

    def may(row: FilesystemType) -> bool:
        def create() -> int:
            call = (ctypes.c_uint(CREATE), None, None, ctypes.c_int(0))
            return number_of(lambda: syscall(FSCONFIG, "fsconfig", ctypes.c_int(context(row.name)), *call))

        alone = run_in_child(create) != errno.EPERM
        if row.shows in KINDS:
            assert not alone, row.name
            return in_new(row.shows, create) != errno.EPERM
        return alone

    found = in_host(lambda: of_each(may, in_memory=False), identity="userns")
    found.pop("binfmt_misc", None)  # since Linux 6.7
    found.pop("cpuset", None)  # where the machine has that hierarchy
    assert {name: of(name).in_userns for name in found} == found
    assert len(found) >= LEAST


@pytest.mark.needs_kernel("root")
def test_the_options_that_a_type_is_said_to_take_are_those_that_the_kernel_takes() -> None:
    """For scripts these lists are asked, and for specs the kernel."""
    built_in = {"casefold", "strict_encoding", "quota", "usrquota", "grpquota"}  # or not, as it was configured
    others = {name for row in ROWS for name in (*row.defaults, *row.changeable)} | {
        "nosuid", "nodev", "noatime", "relatime", "defaults", "loop", "offset", "nofail", "bind", "remount", "sizes"
    }  # fmt: skip
    asked = 0
    for row in ROWS:
        for name in (row.takes | OF_EACH | others) if row.takes and not row.ignores else ():
            try:
                syscalls.try_option(row.name, name, True)
                takes = True
            except KernelRefusal as refusal:
                takes = "Unknown parameter" not in "".join(refusal.log)
            asked += 1
            if not takes and (name in built_in or "quota" in name):
                continue
            assert takes == (not not_taken(row.name, name)), (row.name, name)
    assert asked > 30


@pytest.mark.needs_kernel("root")
def test_a_type_is_said_to_ignore_just_the_options_of_which_the_kernel_reads_no_value() -> None:
    """What it knows has to be a number, or a word that it knows."""
    asked = 0
    others = {"foo", "size", *(name for row in ROWS for name in row.takes)} - OF_EACH
    for row in ROWS:
        if not (row.in_memory and is_known(row.name)) or row.name == "pstore":  # it reads them later
            continue
        for name in others:
            try:
                syscalls.try_option(row.name, name, "-nonsense-")
                ignored = True
            except KernelRefusal:
                ignored = False
            asked += 1
            assert ignored == is_ignored(row.name, name), (row.name, name)
    assert asked > 100
