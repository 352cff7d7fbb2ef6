"""[[remove]] and [[change]]: what is wrong with them, what they come to, and what a saved plan may say of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mountplan import api
from mountplan.planner.attributes import Change
from mountplan.planner.errors import PlanRefused, SpecError
from mountplan.planner.host import HostEntry, NotThere
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.plan.proof import prove
from mountplan.planner.plan.steps import ChangeMounts, Isolate, RemoveMount, ShareRoot, Step
from mountplan.planner.tables.inherited_tree import InheritedTree
from mountplan.planner.tables.table import MountTable
from tests.fakes import FakeHost, host_mount
from tests.planner.mistakes import ROOT, mistakes, one

HOST = FakeHost(
    {"/a/dir/deep": "directory", "/a/file": "file", "/link": "-> a/dir"},
    (
        host_mount(2, 1, "/a", shared=5),
        host_mount(3, 2, "/a/b"),
        host_mount(4, 3, "/a/b/c"),
        host_mount(5, 1, "/s"),
        host_mount(6, 5, "/s"),
        host_mount(7, 2, "/a/dir/x"),
    ),
)
INHERIT = 'root = "inherit"\n'


def plan_of(text: str) -> Plan:
    return api.plan(parse_spec(f"format = 1\n{INHERIT}{text}".encode(), "test.toml"), HOST)


def stands(text: str) -> list[tuple[str, str, str]]:
    """(mountpoint, root, attributes that are not the usual ones) of all that comes out."""
    (found,) = predict(plan_of(text), HOST.table)
    return sorted((row.mountpoint, row.root, row.attributes.removesuffix(",relatime")) for row in found.table.rows)


def test_exceptions_are_spared_with_what_is_below_them() -> None:
    text = '[[change]]\ntarget = "/"\nrecursive = true\nexcept = ["/a/b"]\nattributes = ["ro"]\n'
    kept = {place for place, _, words in stands(text) if words == "rw"}
    assert {"/a/b", "/a/b/c", "/s"} == kept  # of the stack at /s the lower one, which is covered
    assert ("/s", "/", "ro") in stands(text)


class _Bare(FakeHost):
    """Nothing is in its mounts but what is mounted there."""

    def under(self, base: str, place: str) -> HostEntry | None:
        raise NotThere("no such file or directory")


def test_a_mountpoint_under_what_is_removed_is_looked_for_in_what_that_covers() -> None:
    """On the host something is there: in the mount that goes."""
    host = _Bare({"/a/dir": "directory"}, (host_mount(2, 1, "/a"),))
    mount = '[[mount]]\ntarget = "/a/dir"\ntype = "tmpfs"\n'

    def planned(text: str) -> Plan:
        return api.plan(parse_spec(f"format = 1\n{INHERIT}{text}".encode(), "test.toml"), host)

    assert planned(mount).steps and planned(mount + '[[remove]]\ntarget = "/b"\noptional = true\n').steps
    with pytest.raises(SpecError, match="no such file or directory"):
        planned(mount + '[[remove]]\ntarget = "/a"\n')


def test_without_exceptions_what_is_covered_is_changed_as_well() -> None:
    assert {"ro"} == {
        words for _, _, words in stands('[[change]]\ntarget = "/"\nrecursive = true\nattributes = ["ro"]\n')
    }


def test_a_path_within_a_mount_becomes_one_with_what_is_mounted_below_it() -> None:
    text = '[[change]]\ntarget = "/link"\nattributes = ["noexec"]\n'
    found = stands(text)
    assert ("/a/dir", "/dir", "rw,noexec") in found
    assert 2 == found.count(("/a/dir/x", "/", "rw"))  # the host's is covered by the bind's


def test_a_removal_takes_along_what_stands_on_it_only_if_that_is_said() -> None:
    assert ["/", "/s", "/s"] == [place for place, _, _ in stands('[[remove]]\ntarget = "/a"\nrecursive = true\n')]
    assert 1 == sum(place == "/s" for place, _, _ in stands('[[remove]]\ntarget = "/s"\n'))


def test_the_rule_and_the_model_come_to_the_same() -> None:
    """foresee() carries the steps out in the model, and compares with what is predicted."""
    text = """
    propagation = "slave-shared"
    [[remove]]
    target = "/s"
    [[change]]
    target = "/a"
    recursive = true
    except = ["/a/b/c", "/a/dir/deep"]
    attributes = ["ro", "nosuid"]
    [[change]]
    target = "/a/b"
    recursive = true
    sharing = "private"
    [[mount]]
    target = "/a/dir"
    bind = "/s"
    recursive = true
    """
    foreseen = api.foresee(plan_of(text), HOST)
    assert foreseen.tables


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one("a new root", ROOT + '[[change]]\ntarget = "/x"\nattributes = ["ro"]', "change[0]",
            "the root is a new one, so nothing is inherited that could be changed",
            'write root = "inherit", or write it on the mounts themselves'),
        one("nothing there", INHERIT + '[[change]]\ntarget = "/no/such"\nattributes = ["ro"]', "change[0].target",
            'host path "/no/such": no such file or directory', "name a path that exists, or make it optional"),
        one("no change", INHERIT + '[[change]]\ntarget = "/data"', "change[0]", "it changes nothing",
            'add attributes = ["ro"], or sharing = "private" or "shared"'),
        one("contradiction", INHERIT + '[[change]]\ntarget = "/data"\nattributes = ["ro", "rw"]',
            "change[0].attributes", "ro and rw contradict each other", "keep one of ro, rw"),
        one("exceptions of one mount", INHERIT + '[[change]]\ntarget = "/"\nexcept = ["/data"]\nattributes = ["ro"]',
            "change[0].except", "there are exceptions, and one mount is changed only",
            "write recursive = true, or leave them out"),
        one("an exception elsewhere",
            INHERIT + '[[change]]\ntarget = "/data"\nrecursive = true\nexcept = ["/other"]\nattributes = ["ro"]',
            "change[0].except[0]", '"/other" is not below "/data"', "leave it out, or change what it is below"),
        one("no mountpoint", INHERIT + '[[remove]]\ntarget = "/data"', "remove[0].target",
            'nothing is mounted on "/data"', "name a mountpoint of the host, or write optional = true"),
        one("the root", INHERIT + '[[remove]]\ntarget = "/"', "remove[0].target", "the root itself cannot be removed",
            'name a mount below it, or write root = "new"'),
        one("what goes along", INHERIT + '[[remove]]\ntarget = "/srv/shared"\n[[change]]\ntarget = "/srv/shared/x"\n'
            'attributes = ["ro"]', "change[0].target", 'host path "/srv/shared/x": no such file or directory',
            "name a path that exists, or make it optional"),
        one("except without a list", INHERIT + '[[change]]\ntarget = "/"\nrecursive = true\nexcept = "/data"\n'
            'attributes = ["ro"]', "change[0].except", 'is the string "/data", not a list', 'write except = ["/data"]'),
        one("an unknown key", INHERIT + '[[change]]\ntarget = "/"\nexclude = ["/data"]\nattributes = ["ro"]',
            "change[0].exclude", "unknown key", 'write except = ["/path"]'),
        one("the field's own name", INHERIT + '[[change]]\ntarget = "/"\nspared = ["/data"]\nattributes = ["ro"]',
            "change[0].spared", "unknown key",
            "leave it out; [[change]] may have target, recursive, except, attributes, sharing, optional"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == mistakes(text)


def test_what_is_optional_and_not_there_is_left_out_and_told() -> None:
    text = """
    [[remove]]
    target = "/a/dir"
    optional = true
    [[change]]
    target = "/no/such"
    optional = true
    attributes = ["ro"]
    [[change]]
    target = "/a"
    recursive = true
    except = [{ path = "/a/no", optional = true }]
    attributes = ["ro"]
    """
    assert [
        ("/a/dir", 'nothing is mounted on "/a/dir"'),
        ("/no/such", 'host path "/no/such": no such file or directory'),
        ("/a/no", 'host path "/a/no": no such file or directory'),
    ] == [(one.target, one.reason) for one in plan_of(text).expected.left_out]


def test_a_removed_mount_uncovers_the_one_below_and_all_below_a_copy_is_a_copy() -> None:
    tree = InheritedTree(HOST.table)
    tree.remove("/s")
    assert 5 == tree.end_of("/s").mount_id
    tree.bind_over("/a/dir")
    reached = tree.reach("/a", ["/a/dir"], recursive=True)
    tree.change(reached, Change(1, 0))
    assert "rw,relatime" == tree.end_of("/a/dir/x").attributes
    assert isinstance(tree.table(), MountTable)


ALTERED = 'propagation = "slave-shared"\n[[remove]]\ntarget = "/s"\n[[mount]]\ntarget = "/a/b"\ntype = "tmpfs"\n'


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda step: step._replace(path="/a") if isinstance(step, RemoveMount) else step, "are not the same"),
        (lambda step: None if isinstance(step, ShareRoot) else step, "put off until then"),
        (lambda step: step._replace(path="/a/../b") if isinstance(step, ChangeMounts) else step, "is no plain"),
        (lambda step: step._replace(words="ro") if isinstance(step, ChangeMounts) else step, "not what it does"),
        (lambda step: step._replace(recursive=True) if isinstance(step, Isolate) else step, "brought something along"),
    ],
)
def test_a_plan_that_alters_otherwise_than_it_says_is_refused(
    change: Callable[[Step], Step | None], words: str
) -> None:
    plan = plan_of(ALTERED)
    prove(plan, "plan.json")
    steps = tuple(step for step in map(change, plan.steps) if step is not None)
    assert steps != plan.steps
    with pytest.raises(PlanRefused, match=words):
        prove(plan._replace(steps=steps), "plan.json")
