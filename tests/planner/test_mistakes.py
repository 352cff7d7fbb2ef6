"""All mistakes of a spec are told at once. The files test_mistakes_* have them by kind."""

from __future__ import annotations

import pytest

from mountplan import api
from tests.planner.mistakes import HOST, ROOT, bind, mistakes, one, tmpfs


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one(
            "an unknown key",
            ROOT + tmpfs("/a", "read_only = true"),
            "mount[1].read_only",
            "unknown key",
            'write attributes = ["ro"]',
        ),
        one(
            "a wrong type",
            ROOT + tmpfs("/a", 'recursive = "yes"'),
            "mount[1].recursive",
            'is the string "yes", not true or false',
            "write recursive = true",
        ),
        one(
            "a target outside of the tree",
            ROOT + tmpfs("/a/../../b"),
            "mount[1].target",
            "\"/a/../../b\" contains '..', which depends on symlinks",
            'write the path that is meant: "/b"?',
        ),
        one(
            "a path with NUL",
            ROOT + tmpfs("/a\\u0000b"),
            "mount[1].target",
            '"/a\\x00b" contains a NUL character',
            'write an absolute path, such as "/srv/data"; there can be none in it',
        ),
        one(
            "a path with a newline",
            ROOT + tmpfs("/a\\nb"),
            "mount[1].target",
            '"/a\\nb" contains a newline',
            "write an absolute path, such as \"/srv/data\"; or { escaped = '...' }, with \\012 for the newline",
        ),
    ],
)
def test_a_wrong_word_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    """tests/planner/test_spec.py has all of them."""
    assert [(key, what, remedy)] == mistakes(text)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        "[peer_group.nobody]\n"
        + ROOT
        + tmpfs("/a", 'attributes = ["ro", "rw"]')
        + tmpfs("/a2", "bogus = 1")
        + bind("/b", '"/missing"')
        + bind("/c", '{ mount = "x" }', 'peer_group = "y"')
    )
    assert [
        "peer_group.nobody",
        "mount[1].attributes",
        "mount[2].bogus",
        "mount[3].bind",
        "mount[4].bind",
        "mount[4].peer_group",
    ] == [key for key, _, _ in mistakes(text)]


@pytest.mark.parametrize("data", [b"", b"format = 1", b"\xff\xfe", b"[[mount", b"format = 1\nmount = 3"])
def test_a_file_that_is_no_spec_is_one_mistake(data: bytes) -> None:
    (mistake,) = api.check(data, "test.toml", HOST)
    assert mistake.what
    assert mistake.remedy
    assert "test.toml" in str(mistake)
