"""Copies of directory trees: what cannot be copied is told, and what is swapped meanwhile leads nowhere."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mountplan.applier.sys import syscalls
from mountplan.applier.sys.copytree import Refused, copy_tree, refuse
from tests.hosts import NOBODY, InHost, become
from tests.portrait import portrait


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def copy(source: Path, target: Path, refused: Refused = refuse) -> None:
    opened = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in (source, target)]
    try:
        copy_tree(opened[0], opened[1], refused)
    finally:
        for fd in opened:
            os.close(fd)


def test_a_tree_may_be_deeper_than_a_path_can_tell_and_a_process_has_files_open(source: Path, target: Path) -> None:
    """A directory takes two descriptors while it is copied, and a hard link needs the way back to its first name."""
    deepest = deep_tree(source, 600)
    (source / "first").write_text("x")
    os.link(source / "first", "last", dst_dir_fd=deepest)
    os.link("last", "another", src_dir_fd=deepest, dst_dir_fd=deepest)
    fd = os.open("own", os.O_CREAT | os.O_WRONLY, dir_fd=deepest)
    os.link("own", "twin", src_dir_fd=deepest, dst_dir_fd=deepest)
    os.close(fd)
    os.close(deepest)
    copy(source, target)
    here = os.open(target, os.O_PATH)
    for _ in range(600):
        here = below(here)
    assert 3 == os.stat("last", dir_fd=here).st_nlink
    assert os.stat(target / "first").st_ino == os.stat("another", dir_fd=here).st_ino
    assert os.stat("own", dir_fd=here).st_ino == os.stat("twin", dir_fd=here).st_ino
    os.close(here)


NAME = "a-rather-long-name"


def deep_tree(top: Path, levels: int) -> int:
    """A descriptor of the deepest of `levels` directories, one in the other."""
    here = os.open(top, os.O_PATH)
    for _ in range(levels):
        os.mkdir(NAME, dir_fd=here)
        here = below(here)
    return here


def below(here: int) -> int:
    fd = os.open(NAME, os.O_PATH, dir_fd=here)
    os.close(here)
    return fd


@pytest.mark.needs_kernel("nobody")
def test_who_may_not_give_files_away_gets_the_rest_and_no_rights_of_another_owner(
    source: Path, target: Path, in_host: InHost
) -> None:
    """A program that runs as its owner would, once it is the user's own, run as the user for everybody."""
    (source / "program").write_text("x")
    os.chown(source / "program", 12, 34)
    os.chmod(source / "program", 0o6755)
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (source / "secret").write_text("y")
    os.chmod(source / "secret", 0o600)
    os.chown(target, NOBODY, NOBODY)
    os.chown(source, NOBODY, NOBODY)
    os.chmod(source.parent, 0o755)

    def script() -> tuple[list[str], dict[str, int]]:
        if os.geteuid() == 0:
            become(NOBODY)
        told: list[str] = []
        copy(source, target, lambda path, what, error: told.append(f"{path}: {what}: {error.strerror}"))
        return told, {path: stat.S_IMODE(one.mode) for path, one in portrait(target).items() if path != "."}

    told, modes = in_host(script, identity="nobody", reach=(source.parent,))
    assert {"program": 0o755} == modes
    assert [
        "null: cannot copy the device node: Operation not permitted",
        "program: cannot give it to user 12 and group 34: Operation not permitted",
        "secret: cannot copy the file: Permission denied",
    ] == told


@contextmanager
def swapping(directory: Path, first: str, second: str) -> Iterator[None]:
    """Another process exchanges two names all the time."""
    child = os.fork()
    if child == 0:
        fd = os.open(directory, os.O_PATH)
        while True:
            syscalls.exchange(fd, first.encode(), second.encode())
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_name_that_turns_into_a_symlink_is_never_followed(source: Path, target: Path) -> None:
    canary = source.parent / "canary"
    canary.mkdir()
    (canary / "secret").touch()
    (source / "dir").mkdir()
    (source / "link").symlink_to(canary)
    with swapping(source, "dir", "link"):
        for number in range(300):
            into = target / str(number)
            into.mkdir()
            copy(source, into, lambda path, what, error: None)
    assert [] == list(target.rglob("secret"))
    assert set(map(str, range(300))) == set(os.listdir(target))
