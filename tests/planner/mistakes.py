"""What tests of mistakes share: a host, pieces of specs, and what is said of a spec on that host."""

from __future__ import annotations

import pytest

from mountplan import api
from tests.fakes import FakeHost, host_mount

ROOT = """
[[mount]]
target = "/"
type = "tmpfs"
id = "root"
"""

HOST = FakeHost(
    {
        "/data/dir/sub": "directory",
        "/data/file": "file",
        "/data/link": "-> dir",
        "/data/fifo": "fifo",
        "/data/w": "directory",
        **{f"/data/l{number}": "directory" for number in range(501)},
        "/other": "directory",
        "/ro/img": "file",
        "/ro/up": "directory",
        "/ro/work": "directory",
        "/img": "file",
        "/dev/vdb": "block",
    },
    (
        host_mount(2, 1, "/srv/shared", shared=7),
        host_mount(3, 1, "/srv/slave", device="8:2", master=7),
        host_mount(4, 1, "/srv/part", device="8:9", root="/deep/a", shared=8),
        host_mount(5, 1, "/srv/part2", device="8:9", root="/deep/b"),
        host_mount(6, 1, "/proc", device="0:7", fstype="proc"),
        host_mount(7, 1, "/ro", attributes="ro,relatime"),
    ),
)


def mistakes(text: str) -> list[tuple[str, str, str]]:
    """(key path, what is wrong, remedy) of every mistake; each is in the file, on some line."""
    found = api.check(f"format = 1\n{text}".encode(), "test.toml", HOST)
    for mistake in found:
        assert "test.toml" == mistake.ref.file
        assert mistake.ref.line > 0, mistake
    return [(mistake.ref.key, mistake.what, mistake.remedy) for mistake in found]


def tmpfs(target: str, words: str = "") -> str:
    return f'[[mount]]\ntarget = "{target}"\ntype = "tmpfs"\n{words}\n'


def image(target: str, words: str = "") -> str:
    return f'[[mount]]\ntarget = "{target}"\ntype = "ext4"\nimage = "/img"\n{words}\n'


def bind(target: str, source: str, words: str = "") -> str:
    return f'[[mount]]\ntarget = "{target}"\nbind = {source}\n{words}\n'


def one(name: str, text: str, key: str, what: str, remedy: str) -> object:
    return pytest.param(text, key, what, remedy, id=name)
