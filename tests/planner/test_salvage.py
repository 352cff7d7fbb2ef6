"""All mistakes of a spec at once: none hides another, and what is left of it can be checked further."""

from __future__ import annotations

from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from mountplan import api
from mountplan.live_outside import LiveOutside
from mountplan.planner.errors import Mistake, PlanRefused, SpecError, SpecRef
from mountplan.planner.language.path_models import MountPath
from mountplan.planner.language.spec_reading import all_mistakes, build_spec, parse_spec_leniently
from tests.fakes import NoHost
from tests.planner.spoilt import spoilt_specs
from tests.share import Share

FAULTY = """\
name = "my shop"
mounts = 1

[[mount]]
bnid = "/usr"
attributes = ["rw", "ron"]
target = "usr"
[[mount.file]]
uid = "root"

[[mount]]
target = "/b"
bind = { mount = "nobody" }
recursive = 1

[peer_group.feed]
host = "x"

[[mount]]
target = "/c"
type = "tmpfs"
[[mount.file]]
path = "a"
content = "x"
symlink = "y"
mode = 1
"""


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    """Also what shows only when something else is out of the way: `file` is several things, whatever its mode is."""
    assert [
        "1: format: is missing",
        '1: name: "my shop" is no name',
        "2: mounts: unknown key",
        "5: mount[0].bnid: unknown key",
        '6: mount[0].attributes[1]: "ron" is no attribute of a mount',
        '7: mount[0].target: "usr" is not absolute',
        "8: mount[0].file[0].path: is missing",
        '9: mount[0].file[0].uid: is the string "root"',
        "14: mount[1].recursive: is the number 1, not true or false",
        '17: peer_group.feed.host: "x" is not absolute',
        "22: mount[2].file[0]: is said to be several things at once: content, symlink",
        "26: mount[2].file[0].mode: is the number 1",
    ] == [
        f"{mistake.ref.line}: {mistake.ref.key}: {mistake.what}" for mistake in parse_spec_leniently(FAULTY.encode())[1]
    ]


def test_mistakes_of_a_spec_made_in_python_come_in_its_own_order() -> None:
    """There are no lines to sort by; the models' order of fields would be nobody's."""
    with pytest.raises(SpecError) as caught:
        build_spec({"mount": [{"zzz": 1, "type": 3, "target": 1}, {"target": "x"}], "name": 1, "format": 1})
    assert ["mount[0].zzz", "mount[0].type", "mount[0].target", "mount[1].target", "name"] == [
        mistake.ref.key for mistake in caught.value.mistakes
    ]


def test_keys_that_are_no_strings_are_told_where_they_are() -> None:
    with pytest.raises(SpecError, match=r"spec: mount\[0\]: has a key that is the number 3"):
        build_spec({"format": 1, "mount": [{"target": "/", 3: 4}]})


def test_what_is_left_of_a_faulty_spec_keeps_indices_and_what_was_right() -> None:
    spec, mistakes = parse_spec_leniently(FAULTY.encode())
    assert spec is not None
    assert 12 == len(mistakes)
    assert ["/usr", "/b", "/c"] == [mount.target for mount in spec.mount]
    assert MountPath(mount="nobody") == spec.mount[1].bind
    assert "/a" == spec.mount[2].file[0].path
    assert 19 == spec.ref("mount[2]").line


def test_a_mount_without_a_usable_target_stays_in_its_place() -> None:
    """Mistakes of later mounts must name them by the index that they have in the text."""
    text = 'format = 1\nmount = [1, { target = 2, id = "x" }, { target = "/" }, { target = "a\\nb" }]'
    spec, _ = parse_spec_leniently(text.encode())
    assert spec is not None
    assert "/" == spec.mount[2].target
    assert "x" == spec.mount[1].id
    assert 4 == len({mount.target for mount in spec.mount})


def test_a_first_mount_that_lost_its_target_stands_for_the_root() -> None:
    """Without a root all other mounts would seem to be wrong: a mountpoint of theirs is looked for on the host."""
    spec, _ = parse_spec_leniently(b'format = 1\nmount = [{ target = 1, type = "tmpfs" }, { target = "/a" }]')
    assert spec is not None
    assert ["/", "/a"] == [mount.target for mount in spec.mount]


def test_mistakes_in_meaning_are_told_together_with_those_in_words() -> None:
    text = (
        b'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
        b'[[mount]]\ntarget = "/a"\nbind = { mount = "no" }\n[runn]\n'
    )
    assert [("mount[1].bind", 7), ("runn", 8)] == [
        (mistake.ref.key, mistake.ref.line) for mistake in api.check(text, "s.toml", NoHost())
    ]


def test_a_mount_that_could_not_be_read_is_not_blamed_a_second_time() -> None:
    """Without its misspelt bind a mount seems to have nothing to mount; that is no mistake of the author's."""
    text = b'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n[[mount]]\ntarget = "/a"\nbnid = "/usr"\n'
    assert ["mount[1].bnid"] == [mistake.ref.key for mistake in api.check(text, "s.toml", NoHost())]


def test_a_needed_key_that_is_misspelt_is_not_told_to_be_missing_as_well() -> None:
    text = b'format = 1\n[[mount]]\ntarget = "/"\nbind = { moutn = "x" }\n[[mount.file]]\npaht = "a"\n'
    assert ["mount[0].bind.moutn", "mount[0].file[0].paht"] == [
        mistake.ref.key for mistake in parse_spec_leniently(text)[1]
    ]


def test_a_wrong_attribute_does_not_hide_what_else_is_wrong_with_the_mount() -> None:
    text = (
        b'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
        b'[[mount]]\ntarget = "/a"\nattributes = ["x"]\nbind = { mount = "no" }\n'
    )
    assert ["mount[1].attributes[0]", "mount[1].bind"] == [
        mistake.ref.key for mistake in api.check(text, "s.toml", NoHost())
    ]


@pytest.mark.parametrize(
    ("mount", "told"),
    [
        ('bind = { mount = "no" }\nfoo = 1', ["bind", "foo"]),
        ('bind = { mount = "no" }\nreadOnly = true', ["bind", "readOnly"]),
        ('bind = "/no/such"\noptonal = true', ["optonal"]),  # it may be what the author has said
        ('bnid = "/usr"\nmaster = "no"', ["bnid", "master"]),
        ('type = 3\nparent = "no"', ["type", "parent"]),
        ('bind = { mount = "no" }\nmaster = 3', ["bind", "master"]),
    ],
)
def test_an_unknown_key_does_not_hide_what_is_wrong_whatever_it_means(mount: str, told: list[str]) -> None:
    text = f'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n[[mount]]\ntarget = "/a"\n{mount}\n'
    keys = [mistake.ref.key.removeprefix("mount[1].") for mistake in api.check(text.encode(), "s.toml", NoHost())]
    assert told == keys


def test_an_unknown_key_of_a_namespace_does_not_hide_what_is_wrong_with_its_mounts() -> None:
    mounts = '[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    mounts += '[[namespace.mount]]\ntarget = "/a"\nbind = { mount = "no" }\n'
    for key, told in (("foo", ["namespace[0].foo", "namespace[0].mount[1].bind"]), ("roott", ["namespace[0].roott"])):
        text = f'format = 1\n[[namespace]]\nname = "one"\n{key} = 1\n{mounts}'
        assert told == [mistake.ref.key for mistake in api.check(text.encode(), "s.toml", NoHost())]


def test_later_mistakes_get_their_lines_and_those_in_damaged_groups_are_left_out() -> None:
    spec, found = parse_spec_leniently(b'format = 1\n[peer_group."a.b"]\nhots = "/x"\n[[mount]]\ntarget = "/"\n', "s")
    assert spec is not None
    later = tuple(Mistake(SpecRef("s", key), "later", "x") for key in ("mount[0].type", "peer_group.a.b.host"))
    assert [('s:3: peer_group."a.b".hots', "unknown key"), ("s:4: mount[0].type", "later")] == [
        (str(mistake.ref), mistake.what) for mistake in all_mistakes(spec, found, later)
    ]


def test_whatever_is_in_a_spec_its_mistakes_have_places_words_and_remedies() -> None:
    """No traceback, nothing of the machinery's own language, no place that is not in the text."""
    salvaged = Share()

    @settings(max_examples=80)
    @given(spoilt_specs)
    def run(raw: dict[str, Any]) -> None:
        data = tomli_w.dumps(raw).encode()
        spec, mistakes = parse_spec_leniently(data, "s.toml", LiveOutside())  # as api.check
        for mistake in mistakes:
            told = str(mistake)
            assert 1 <= mistake.ref.line <= data.count(b"\n") + 1
            assert all((mistake.what, mistake.remedy))
            assert not any(
                word in told for word in ("Input should", "pydantic", "None", "Error", "NoneType", "dict", "bool")
            )
        if salvaged.count(spec is not None and isinstance(raw.get("mount"), list)):
            assert spec is not None
            assert len(raw["mount"]) == len(spec.mount)
        assert [mistake.ref.line for mistake in mistakes] == sorted(mistake.ref.line for mistake in mistakes)
        try:
            together = api.check(data, "s.toml", NoHost())
        except PlanRefused:
            together = mistakes
        assert set(mistakes) <= set(together)

    run()
    salvaged.must_be(0.8)


def test_a_spec_made_in_python_has_the_mistakes_of_its_text() -> None:
    accepted = Share()

    @settings(max_examples=100)  # of which each sixth is right, so that four nearly always are
    @given(spoilt_specs)
    def run(raw: dict[str, Any]) -> None:
        mistakes = parse_spec_leniently(tomli_w.dumps(raw).encode())[1]
        try:
            build_spec(raw)
            found: list[str] = []
        except SpecError as error:
            found = [mistake.ref.key for mistake in error.mistakes]
        accepted.count(not found)
        assert sorted(mistake.ref.key for mistake in mistakes) == sorted(found)

    run()
    accepted.must_be(0.04)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_spec_or_mistakes(data: bytes) -> None:
    spec, mistakes = parse_spec_leniently(b"format = 1\n" + data)
    assert spec is not None or mistakes
