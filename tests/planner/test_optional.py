"""Optional mounts and masks: left out where the host has no such path, and what that means for the rest."""

from __future__ import annotations

import pytest

from mountplan import api
from mountplan.planner.host import HostPath, NotThere
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.names import LeftOut
from mountplan.planner.plan.plan import Plan
from mountplan.planner.render.left_out_text import left_out_text, left_out_words
from tests.fakes import FakeHost
from tests.planner.mistakes import HOST, ROOT, bind, mistakes, tmpfs

GONE = bind("/a", '"/no/such"', 'id = "a"\noptional = true')
WHY = 'host path "/no/such": no such file or directory'


def plan_of(text: str) -> Plan:
    return api.plan(parse_spec(f"format = 1\n{text}".encode(), "test.toml"), HOST)


def built(text: str) -> list[str]:
    return [one.name for space in plan_of(text).expected.namespaces for one in space.mounts]


def left_out(text: str) -> list[tuple[str, str, str]]:
    return [(one.target, one.reason, one.upon) for one in plan_of(text).expected.left_out]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param('bind = "/no/such"', WHY, id="a bind"),
        pytest.param('type = "ext4"\nimage = "/no/such"', WHY, id="an image"),
        pytest.param('type = "ext4"\nsource = "/no/such"', WHY, id="a device"),
        pytest.param('type = "tmpfs"\ncontents = "/no/such"', WHY, id="contents"),
        pytest.param('type = "overlay"\nlayers = ["/data/l1", "/no/such"]', WHY, id="a layer"),
        pytest.param('type = "overlay"\nlayers = ["/other"]\nupper = "/no/such"\nwork = "/data/w"', WHY, id="an upper"),
    ],
)  # fmt: skip
def test_what_the_host_does_not_have_is_left_out_if_it_is_optional(text: str, why: str) -> None:
    mount = f'[[mount]]\ntarget = "/a"\n{text}\n'
    assert [("/a", why, "")] == left_out(f"{ROOT}{mount}optional = true\n")
    assert ["root"] == built(f"{ROOT}{mount}optional = true\n")
    assert [what for _, what, _ in mistakes(ROOT + mount)] == [why]


def test_what_is_there_is_built() -> None:
    text = ROOT + bind("/a", '"/data/dir"', "optional = true") + tmpfs("/b", "optional = true")
    assert ["root", "/a", "/b"] == built(text)
    assert [] == left_out(text)


def test_a_missing_mountpoint_on_the_host_leaves_out_too_unless_it_is_made() -> None:
    text = 'root = "inherit"\n' + tmpfs("/no/such", "optional = true")
    assert [("/no/such", 'mountpoint "/no/such" on the host: no such file or directory', "")] == left_out(text)
    assert ["@host", "/data/new"] == built('root = "inherit"\n' + tmpfs("/data/new", "optional = true\ncreate = true"))


def test_what_has_its_target_below_stands_on_what_is_there_then() -> None:
    text = ROOT + GONE + tmpfs("/a/b") + tmpfs("/a/b/c")
    assert ["root", "/a/b", "/a/b/c"] == built(text)
    assert [("/a", f"{WHY}; without it /a/b stands on /", "")] == left_out(text)


def test_what_names_it_is_left_out_with_it_if_it_is_optional_too() -> None:
    others = (
        tmpfs("/a/on", 'parent = "a"\noptional = true')
        + bind("/of", '{ mount = "a" }', 'id = "of"\noptional = true')
        + bind("/of-of", '{ mount = "of", path = "/x" }', "optional = true")
    )
    expected = {
        ("/a", WHY, ""),
        ("/a/on", WHY, "/a"),
        ("/of", f"is made from a, which is left out: {WHY}", ""),
        ("/of-of", f"is made from of, which is left out: {WHY}", ""),
    }
    assert expected == set(left_out(ROOT + GONE + others))
    assert expected == set(left_out(ROOT + others + GONE))
    assert ["root"] == built(ROOT + GONE + others)


@pytest.mark.parametrize(
    ("other", "key", "how"),
    [
        (tmpfs("/a/on", 'parent = "a"'), "mount[2].parent", "/a/on stands on"),
        (bind("/of", '{ mount = "a" }'), "mount[2].bind", "/of is made from"),
        (
            '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = ["/data/l1", { mount = "a" }]\n',
            "mount[2].layers[1]",
            "/o is made from",
        ),
    ],
)
def test_what_names_it_and_is_not_optional_is_a_mistake(other: str, key: str, how: str) -> None:
    (found,) = mistakes(ROOT + GONE + other)
    assert (key, f"{how} a (mount[1]), which is left out here: {WHY}") == found[:2]
    assert "optional = true" in found[2]


def test_a_store_that_only_what_is_left_out_needs_is_no_mistake() -> None:
    store = '[[mount]]\nid = "store"\ntype = "tmpfs"\n'
    overlay = (
        '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = ["/no/such"]\n'
        'upper = { mount = "store", path = "/upper" }\noptional = true\n'
    )
    group = "[peer_group.g]\nhost = '/no/such'\n"
    member = bind("/m", '"/no/such"', 'peer_group = "g"\noptional = true')
    assert ["root"] == built(group + ROOT + store + overlay + member)


def test_a_root_is_not_left_out() -> None:
    (found,) = mistakes(bind("/", '"/no/such"', "optional = true"))
    assert ("mount[0].optional", f"it is the new root, and left out here: {WHY}") == found[:2]


class RefusingHost(FakeHost):
    """One whose paths may not be looked at, or that has none there."""

    def __init__(self, error: LookupError) -> None:
        super().__init__({"/data": "directory"})
        self._error = error

    def look(self, path: str) -> HostPath:
        if path.startswith("/data/"):
            raise self._error
        return super().look(path)


@pytest.mark.parametrize("mount", [bind("/a", '"/data/x"', "optional = true"),
                                   bind("/a", '"/data"', 'mask = [{ path = "x", optional = true }]')])  # fmt: skip
def test_only_what_is_not_there_is_left_out(mount: str) -> None:
    """A look that was refused says nothing of what is there: what shall be hidden might be."""
    data = f"format = 1\n{ROOT}{mount}".encode()
    (found,) = api.check(data, "test.toml", RefusingHost(LookupError("permission denied")))
    assert 'host path "/data/x": permission denied' == found.what
    assert () == api.check(data, "test.toml", RefusingHost(NotThere("no such file or directory")))


def test_mounts_on_one_target_may_have_masks_on_one_path() -> None:
    words = 'mask = ["file", { path = "x", optional = true }]'
    text = ROOT + bind("/a", '"/data"', words) + bind("/a", '"/data"', words)
    assert 2 == sum(name.startswith("mask:") for name in built(text))
    assert ["/a/x", "/a/x"] == [target for target, _, _ in left_out(text)]


@pytest.mark.parametrize("field", ["mask", "readonly"])
def test_a_glob_that_matches_nothing_is_left_out(field: str) -> None:
    text = ROOT + bind("/a", '"/data"', f'{field} = ["nosuch*", "fil?"]')
    assert [("/a/nosuch*", "nothing that is there matches it", "")] == left_out(text)
    assert f"{field}:/a/file" in built(text)


def test_masks_of_what_is_not_there_are_told_in_one_line() -> None:
    masks = 'mask = ["file", { path = "x", optional = true }, { path = "y", optional = true }]'
    text = ROOT + bind("/a", '"/data"', masks)
    assert ["/a/x", "/a/y"] == [target for target, _, _ in left_out(text)]
    assert "  /a/x, /a/y: nothing is there to hide\n" in left_out_text(plan_of(text).expected.left_out)


def test_what_is_left_out_is_counted_as_what_it_is() -> None:
    """A [[remove]] or [[change]] of what is not there is no mount."""
    origins = ("mount[0]", "mount[1].mask[0]", "remove[0]", "namespace[1].change[3]", "namespace[1].remove[0]")
    gone = [LeftOut("x", "", "/x", "gone", "", origin) for origin in origins]
    assert ", 2 mounts, 2 removals, 1 change left out" == left_out_words(gone)
    assert ", 1 mount left out" == left_out_words(gone[:1])
