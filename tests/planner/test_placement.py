"""Where mounts get their place, whatever the order of the file. tests/second_reader.py has found each wrong once."""

from __future__ import annotations

import itertools

import pytest

from mountplan import api
from mountplan.planner.errors import SpecError
from mountplan.planner.language.spec_reading import build_spec
from mountplan.planner.plan.plan import Plan
from tests.fakes import NoHost
from tests.second_reader import Table

ROOT = {"id": "root", "target": "/", "type": "tmpfs", "file": [{"path": "link", "symlink": "/c/b"}]}


def mount(key: str, target: str, **more: str) -> Table:
    return {"id": key, "target": target, "type": "tmpfs", **more}


def plan_of(*mounts: Table) -> Plan:
    return api.plan(build_spec({"format": 1, "name": "x", "mount": list(mounts)}), NoHost())


def places(*mounts: Table) -> dict[str, tuple[str, str]]:
    """id -> (parent, place in it)"""
    return {one.name: (one.parent, one.place) for one in plan_of(*mounts).expected.namespaces[0].mounts}


def test_what_a_symlink_leads_to_is_looked_up_when_all_less_deep_mounts_stand() -> None:
    """The link itself is not deep, but it leads below /c, which another mount covers: that one comes first."""
    for order in itertools.permutations((ROOT, mount("c", "/c"), mount("b", "/link", on_symlink="follow"))):
        assert ("c", "/b") == places(*order)["b"]


def test_a_walk_that_is_tried_again_sees_what_has_come_to_stand_on_the_way() -> None:
    """`deep` is walked to before all others, and waits; what that walk found on its way holds no more by then."""
    deep = mount("deep", "/a/b/c", on_symlink="follow")
    for order in itertools.permutations((ROOT, deep, mount("a", "/a"))):
        assert ("a", "/b/c") == places(*order)["deep"]


def test_a_mount_that_names_its_parent_does_not_bring_it_below_earlier_ones() -> None:
    """On one target a later one goes on top of an earlier one; `x` must not pull `second` below `first`."""
    found = places(ROOT, mount("x", "/d/e", parent="second"), mount("first", "/d"), mount("second", "/d"))
    assert {"first": ("root", "/d"), "second": ("first", ""), "x": ("second", "/e")} == {
        key: found[key] for key in ("first", "second", "x")
    }


def test_on_the_place_that_a_symlink_leads_to_a_later_mount_goes_on_top_of_an_earlier_one() -> None:
    first, second = mount("first", "/link", on_symlink="follow"), mount("second", "/c/b")
    assert ("first", "") == places(ROOT, first, second)["second"]
    assert ("second", "") == places(ROOT, second, first)["first"]


def test_a_way_that_another_symlink_covers_is_an_error_that_names_both() -> None:
    """`deep` leads to /c, and covers the way to /c/b: whichever came first, a walk would find something else."""
    root = {**ROOT, "file": [{"path": "x/y/z/link", "symlink": "/c"}]}
    with pytest.raises(SpecError) as caught:
        plan_of(root, mount("b", "/c/b"), mount("deep", "/x/y/z/link", on_symlink="follow"))
    (mistake,) = caught.value.mistakes
    assert "mount[1].target" == mistake.ref.key
    assert 'the way to "/c/b" is covered by deep, to which a symlink leads' in mistake.what
    assert "write the targets as the paths that the symlinks lead to" in mistake.remedy


def test_mounts_that_stand_on_each_other_are_told_once_and_what_stands_on_them_is_not() -> None:
    with pytest.raises(SpecError) as caught:
        plan_of(
            ROOT,
            mount("c", "/a", parent="b"),
            mount("b", "/a", parent="a"),
            mount("a", "/a", parent="b"),
        )
    assert ["mount[3].parent"] == [one.ref.key for one in caught.value.mistakes]


def test_a_target_below_a_covered_mountpoint_lands_on_what_covers_it() -> None:
    """Not on the mount below the cover, though that stands on the longer part of the path."""
    mounts = (mount("low", "/d/e", parent="root"), mount("cover", "/d"), mount("x", "/d/e/f"))
    for order in itertools.permutations(mounts):
        found = places(ROOT, *order)
        assert {"low": ("root", "/d/e"), "cover": ("root", "/d"), "x": ("cover", "/e/f")} == {
            key: found[key] for key in ("low", "cover", "x")
        }
