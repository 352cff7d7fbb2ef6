"""A recursive [[change]] with exceptions warns of what it leaves as it is because others cover it."""

from __future__ import annotations

import pytest

from mountplan import api
from mountplan.planner.language.spec_reading import parse_spec
from tests.fakes import FakeHost, host_mount

HOST = FakeHost(
    dict.fromkeys(("/a", "/b/c", "/d/e"), "directory"),
    (
        host_mount(2, 1, "/a"),
        host_mount(3, 2, "/a"),
        host_mount(4, 1, "/b/c"),
        host_mount(5, 1, "/b"),
        host_mount(6, 1, "/d"),
        host_mount(7, 6, "/d/e"),
        host_mount(8, 7, "/d/e"),
    ),
)


@pytest.mark.parametrize(
    ("target", "spared", "left"),
    [
        ("/", '["/d"]', "/a, /b/c"),  # the lower of a stack, and what a mount higher up covers
        ("/", '["/a"]', "/a, /b/c"),  # all of /d is changed in one call
        ("/d", '["/d/e"]', "/d/e"),
        ("/d", "[]", ""),
        ("/", "[]", ""),
    ],
)
def test_what_is_covered_beside_an_exception_is_told(target: str, spared: str, left: str) -> None:
    change = f'[[change]]\ntarget = "{target}"\nrecursive = true\nexcept = {spared}\nattributes = ["ro"]\n'
    text = f'format = 1\nname = "x"\nroot = "inherit"\n{change}'
    found = api.warnings(api.plan(parse_spec(text.encode(), "x.toml"), HOST), HOST)
    what = f"what other mounts cover is left as it is, beside an exception: {left}"
    assert ([("change[0]", what)] if left else []) == [(one.ref.key, one.what) for one in found]
