"""Names in the model's filesystems: what mkdir, rmdir, unlink and rename refuse, and what goes with a name."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from mountplan.planner.attributes import RDONLY
from mountplan.planner.model import Process, World, WouldRefuse
from mountplan.planner.tables.table import MountTable


def fill(superblock: object) -> None:
    for path, directory in (("/d/e/f", True), ("/d/file", False), ("/file", False), ("/empty", True), ("/ro", True)):
        superblock.make(path, directory=directory)  # type: ignore[attr-defined]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def process(world: World) -> Process:
    """A tmpfs at / with names, and read-only one at /ro; /d is a mountpoint of itself in another namespace."""
    root = world.superblock("tmpfs")
    fill(root)
    process = world.boot("one", root)
    world.mount_new(process, "tmpfs", "ro", "/ro", attributes=RDONLY, fill=fill)
    return process


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(WouldRefuse) as refusal:
        call()
    return errno.errorcode[refusal.value.errno]


def mountpoints(table: MountTable) -> list[str]:
    return [row.mountpoint for row in table.rows]


@pytest.mark.parametrize(
    ("path", "words", "name"),
    [
        ("/d", {}, "EEXIST"),
        ("/file", {}, "EEXIST"),
        ("/file", {"parents": True}, "EEXIST"),
        ("/x/y", {}, "ENOENT"),
        ("/file/x", {}, "ENOTDIR"),
        ("/file/x/y", {"parents": True}, "ENOTDIR"),
        ("/ro/x", {}, "EROFS"),
        ("/ro/x", {"directory": False}, "EROFS"),
        ("/", {}, "EEXIST"),
        (f"/{'x' * 256}", {}, "ENAMETOOLONG"),
    ],
)
def test_making_a_name_that_cannot_be_is_refused(
    world: World, process: Process, path: str, words: dict[str, bool], name: str
) -> None:
    assert name == refused(lambda: world.mkdir(process, path, **words))


def test_what_is_there_is_no_mistake_for_a_file_or_for_mkdir_with_parents(world: World, process: Process) -> None:
    world.mkdir(process, "/file", directory=False)
    world.mkdir(process, "/file", directory=False)
    world.mkdir(process, "/d/e", parents=True)
    world.mkdir(process, "/", parents=True)
    world.mkdir(process, "/new/below/", parents=True)
    assert "EEXIST" == refused(lambda: world.mkdir(process, "/new/below"))
    assert "EISDIR" == refused(lambda: world.mkdir(process, "/d", directory=False))


@pytest.mark.parametrize(
    ("path", "directory", "name"),
    [
        ("/", True, "EBUSY"),
        ("/d/.", True, "EINVAL"),
        ("/d/..", True, "ENOTEMPTY"),
        ("/d/.", False, "EISDIR"),
        ("/none", True, "ENOENT"),
        ("/d", True, "ENOTEMPTY"),
        ("/d", False, "EISDIR"),
        ("/file", True, "ENOTDIR"),
        ("/ro", True, "EBUSY"),
        ("/ro/empty", True, "EROFS"),
        ("/ro/none", False, "EROFS"),
    ],
)
def test_removing_what_cannot_go_is_refused(
    world: World, process: Process, path: str, directory: bool, name: str
) -> None:
    assert name == refused(lambda: world.remove(process, path, directory=directory))


def test_what_is_removed_is_gone(world: World, process: Process) -> None:
    world.remove(process, "/empty")
    world.remove(process, "/file", directory=False)
    assert "ENOENT" == refused(lambda: world.remove(process, "/empty"))
    assert "ENOENT" == refused(lambda: world.remove(process, "/file", directory=False))


def test_a_mountpoint_of_other_namespaces_goes_with_all_that_is_mounted_there(world: World, process: Process) -> None:
    """Linux 3.18: only a mountpoint in the caller's own namespace keeps a name."""
    other = world.fork(process, "two")
    world.unshare(other, "two")
    world.mount_new(other, "tmpfs", "x", "/empty", fill=fill)
    world.mount_new(other, "tmpfs", "y", "/empty/d")
    assert ["/", "/ro", "/empty", "/empty/d"] == mountpoints(world.table(other))
    assert "EBUSY" == refused(lambda: world.remove(other, "/empty"))
    world.remove(process, "/empty")
    assert ["/", "/ro"] == mountpoints(world.table(other))


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("/none", "/x", "ENOENT"),
        ("/file", "/ro/x", "EXDEV"),
        ("/d/.", "/x", "EBUSY"),
        ("/file", "/d/..", "EBUSY"),
        ("/ro/file", "/ro/x", "EROFS"),
        ("/d", "/d/e/x", "EINVAL"),
        ("/d/e/f", "/d", "ENOTEMPTY"),
        ("/file", "/empty", "EISDIR"),
        ("/empty", "/file", "ENOTDIR"),
        ("/empty", "/d", "ENOTEMPTY"),
        ("/ro", "/x", "EBUSY"),
        ("/empty", "/ro", "EBUSY"),
    ],
)
def test_renaming_what_cannot_be_is_refused(world: World, process: Process, old: str, new: str, name: str) -> None:
    assert name == refused(lambda: world.rename(process, old, new))


def test_what_is_renamed_takes_what_is_mounted_on_it_along_and_the_place_of_what_was_there(
    world: World, process: Process
) -> None:
    other = world.fork(process, "two")
    world.unshare(other, "two")
    world.mount_new(other, "tmpfs", "moves", "/d/e")
    world.mount_new(other, "tmpfs", "goes", "/empty")
    world.rename(process, "/d/e", "/empty")
    assert ["/", "/ro", "/empty"] == mountpoints(world.table(other))
    assert "moves" == world.table(other).rows[-1].source
    assert "ENOENT" == refused(lambda: world.remove(process, "/d/e"))
    world.rename(process, "/file", "/file")
    world.rename(process, "/d/file", "/file")
    assert "ENOENT" == refused(lambda: world.remove(process, "/d/file", directory=False))
    world.remove(process, "/file", directory=False)
