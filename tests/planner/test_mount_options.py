"""mount_options: one text, as people paste it, becomes attributes of the mount and options of the filesystem."""

from __future__ import annotations

import pytest

from mountplan import api
from mountplan.planner.errors import SpecError
from mountplan.planner.language.mount_models import Mount
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.language.spec_text import spec_text
from tests.planner.mistakes import HOST, ROOT, bind, mistakes, tmpfs


def mount_of(words: str) -> Mount:
    return parse_spec(f'format = 1\n[[mount]]\ntarget = "/x"\n{words}\n'.encode()).mount[0]


@pytest.mark.parametrize(
    ("words", "attributes", "options"),
    [
        ('type = "tmpfs"\nmount_options = "nosuid,size=1m, mode=0700,noswap"', ["nosuid"],
         {"size": "1m", "mode": "0700", "noswap": True}),
        ('type = "tmpfs"\nmount_options = "ro"', ["ro"], {"ro": True}),
        ('type = "sysfs"\nmount_options = "ro,nosuid"', ["ro", "nosuid"], {}),  # there is one: it is not made read-only
        ('bind = "/usr"\nmount_options = "ro"', ["ro"], {}),
        ("type = \"tmpfs\"\nmount_options = 'context=\"a,b\",size=1m'", [], {"context": "a,b", "size": "1m"}),
        ('type = "tmpfs"\nmount_options = "noexec"\nattributes = ["noexec", "nodev"]\noptions = { size = "1m" }',
         ["noexec", "nodev"], {"size": "1m"}),
    ],
)  # fmt: skip
def test_a_text_is_taken_apart(words: str, attributes: list[str], options: dict[str, object]) -> None:
    mount = mount_of(words)
    assert (attributes, options, None) == (mount.attributes, mount.options, mount.mount_options)


def test_written_out_it_is_attributes_and_options() -> None:
    spec = parse_spec(b'format = 1\n[[mount]]\ntarget = "/x"\ntype = "tmpfs"\nmount_options = "nodev,size=1m"\n')
    assert 'options = { size = "1m" }\nattributes = ["nodev"]\n' in spec_text(spec)


def case(name: str, text: str, key: str, what: str) -> object:
    return pytest.param(text, key, what, id=name)


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        case("a word of mount(8) alone", ROOT + tmpfs("/a", 'mount_options = "nofail"'), "mount[1].mount_options",
             "nofail is no option of a filesystem"),
        case("several of them", ROOT + tmpfs("/a", 'mount_options = "noauto,size=1m,x-gvfs-show"'),
             "mount[1].mount_options", "noauto, x-gvfs-show are no options of a filesystem"),
        case("no name", ROOT + tmpfs("/a", 'mount_options = "=1m"'), "mount[1].mount_options",
             '"=1m" is an option without a name'),
        case("twice", ROOT + tmpfs("/a", 'mount_options = "size=1,size=2"'), "mount[1].mount_options",
             "gives size twice"),
        case("an open quote", ROOT + tmpfs("/a", "mount_options = 'a=\"b'"), "mount[1].mount_options",
             '"a=\\"b" has a quote that is not closed'),
        case("a list", ROOT + tmpfs("/a", 'mount_options = ["ro"]'), "mount[1].mount_options", 'is the list ["ro"]'),
        case("in both", ROOT + tmpfs("/a", 'mount_options = "size=1"\noptions = { size = "2" }'), "mount[1]",
             "size is in mount_options and in options"),
        case("a contradiction", ROOT + tmpfs("/a", 'mount_options = "ro,rw"'), "mount[1].attributes",
             "ro and rw contradict each other"),
        case("an option of a bind", ROOT + bind("/a", '"/data"', 'mount_options = "ro,size=1m"'), "mount[1].options",
             "a bind has no options: it shows a filesystem that is mounted already"),
    ],
)  # fmt: skip
def test_a_wrong_text_is_told_with_its_place(text: str, key: str, what: str) -> None:
    assert [(key, what)] == [found[:2] for found in mistakes(text)]


def test_what_the_text_came_to_is_told_in_its_line() -> None:
    text = 'format = 1\n[[mount]]\ntarget = "/data"\nbind = "/data"\n\nmount_options = "ro,rw,size=1m"\n'
    with pytest.raises(SpecError) as error:
        api.plan(parse_spec(text.encode(), "x.toml"), HOST)
    assert {6} == {one.ref.line for one in error.value.mistakes}
