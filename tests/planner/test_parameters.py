"""[parameters]: what they come to, where they are replaced, and what is said of what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mountplan.planner.language.parameters import Setting
from mountplan.planner.language.spec import Spec
from mountplan.planner.language.spec_reading import build_spec, parse_spec, parse_spec_leniently
from mountplan.planner.paths import TargetPath
from tests.fakes import FakeOutside

HOME = '[parameters]\nhome = { env = "HOME", default = "/root" }\n'


def read(text: str, variables: Mapping[str, str] | None = None, **settings: str) -> Spec:
    return parse_spec(f"format = 1\n{text}".encode(), "s.toml", FakeOutside(variables=variables), settings)


def wrong(text: str, variables: Mapping[str, str] | None = None, **settings: str) -> list[tuple[str, str, str]]:
    """(key path, what is wrong, remedy) of every mistake."""
    outside = FakeOutside(variables=variables)
    _, found = parse_spec_leniently(f"format = 1\n{text}".encode(), "s.toml", outside, settings)
    return [(one.ref.key, one.what, one.remedy) for one in found]


def bound(path: str) -> str:
    return f'[[mount]]\ntarget = "/x"\nbind = {path}\n'


@pytest.mark.parametrize(
    ("variables", "settings", "value", "setting"),
    [
        ({}, {}, "/root", Setting("home", "/root")),
        ({"HOME": "/home/x"}, {}, "/home/x", Setting("home", "/home/x", "HOME")),
        ({"HOME": ""}, {}, "/root", Setting("home", "/root")),
        ({"HOME": "/home/x"}, {"home": "/given"}, "/given", Setting("home", "/given", given=True)),
    ],
)
def test_what_is_given_goes_before_the_environment_and_that_before_the_default(
    variables: dict[str, str], settings: dict[str, str], value: str, setting: Setting
) -> None:
    """A variable that is empty is as good as none: "${home}/data" would become "/data"."""
    spec = read(HOME + bound('"${home}/data"'), variables, **settings)
    assert f"{value}/data" == spec.mount[0].bind
    assert (setting,) == spec.settings


def test_they_are_replaced_in_paths_sources_options_and_names() -> None:
    spec = read(
        'name = "${n}"\n[parameters]\nn = "it"\np = "/p"\n'
        '[peer_group."${n}"]\nhost = "${p}"\n'
        '[[mount]]\nid = "${n}"\ntarget = "${p}/t"\ntype = "tmpfs"\nsource = "s-${n}"\n'
        'options = { size = "${n}m", "x-${n}" = ["${p}"] }\nmask = ["${n}/*"]\npeer_group = "${n}"\n'
        '[[mount.file]]\npath = "${n}"\nsymlink = "${p}"\n'
        '[[mount]]\ntarget = "/b"\nbind = { mount = "${n}", path = "/${n}" }\n'
        '[run]\ncwd = "${p}"\nhostname = "${n}"\n'
    )
    mount, bind = spec.mount
    assert ("it", {"it"}, "/p") == (spec.name, set(spec.peer_group), spec.peer_group["it"].host)
    assert ("it", "/p/t", "s-it", ["/it/*"], "it") == (
        mount.id, mount.target, mount.source, mount.mask, mount.peer_group,
    )  # fmt: skip
    assert {"size": "itm", "x-it": ["/p"]} == mount.options
    assert ("/it", "/p") == (mount.file[0].path, mount.file[0].symlink)
    assert ("it", "/it") == (bind.bind.mount, bind.bind.path)  # type: ignore[union-attr]
    assert ("/p", "it") == (spec.run.cwd, spec.run.hostname)


def test_what_is_handed_on_stays_as_it_is_unless_that_is_asked_for() -> None:
    text = (
        '[[mount]]\ntarget = "/a"\ntype = "tmpfs"\n'
        '[[mount.file]]\npath = "a"\ncontent = "${home} $$ ${other}"\n'
        '[[mount.file]]\npath = "b"\nparameters = true\ncontent = "${home} $$ $x"\n'
        '[run]\ncommand = ["sh", "-c", "echo ${home} $$"]\nenvironment = { A = "${home}" }\n'
    )
    spec = read(HOME + text)
    assert ["${home} $$ ${other}", "/root $ $x"] == [one.content for one in spec.mount[0].file]
    assert ["sh", "-c", "echo ${home} $$"] == spec.run.command
    assert {"A": "${home}"} == spec.run.environment
    asked = read(f"{HOME}{text}parameters = true\n").run
    assert (["sh", "-c", "echo /root $"], {"A": "/root"}) == (asked.command, asked.environment)


def test_where_a_number_is_wanted_digits_are_one() -> None:
    text = (
        '[parameters]\nid = "1000"\n[[mount]]\ntarget = "/t"\ntype = "tmpfs"\noptions = { uid = "${id}" }\n'
        'idmap = { uids = [[0, "${id}", 1]], gids = [["${id}", 0, 1]] }\n'
        '[[mount.file]]\npath = "x"\nuid = "${id}"\ngid = "${id}"\n'
    )
    (mount,) = read(text).mount
    assert (1000, 1000) == (mount.file[0].uid, mount.file[0].gid)
    assert mount.idmap
    assert ([(0, 1000, 1)], [(1000, 0, 1)]) == (mount.idmap.uids, mount.idmap.gids)
    assert "1000" == mount.options["uid"]
    assert ["mount[0].idmap.uids[0]", "mount[0].idmap.gids[0]", "mount[0].file[0].uid", "mount[0].file[0].gid"] == [
        key for key, _, _ in wrong(text, id="x")
    ]
    assert 5 == len(wrong(text, id="9" * 5000))


def test_a_dollar_is_an_ordinary_character_where_no_parameter_is_declared() -> None:
    """So what was written before there were any, and what is captured, means what it meant."""
    assert "/a/${home}/$$" == read(bound('"/a/${home}/$$"')).mount[0].bind
    assert "/$a/${home}/$b$" == read(HOME + bound('"/$a/$${home}/$b$"')).mount[0].bind


def test_a_default_may_name_other_parameters() -> None:
    text = '[parameters]\ncache = "${home}/.cache"\nhome = "/h"\n'
    assert "/h/.cache/x" == read(text + bound('"${cache}/x"')).mount[0].bind
    assert "/${home}/x" == read(text + bound('"${cache}/x"'), cache="/${home}").mount[0].bind, "what is given does not"


def test_a_value_is_put_into_an_escaped_text_as_it_is_written_there() -> None:
    spec = read(HOME + bound("{ escaped = '${home}/\\351' }"), {"HOME": "/a\\b\udcff"})
    assert "/a\\b\udcff/\udce9" == spec.mount[0].bind
    assert "/a\\b\udcff" == read(HOME + bound('"${home}"'), {"HOME": "/a\\b\udcff"}).mount[0].bind


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        (HOME + bound('"${hmoe}/x"'), "mount[0].bind", 'there is no parameter "hmoe"', "did you mean ${home}?"),
        (
            HOME + bound('"/${}"'),
            "mount[0].bind",
            'there is no parameter ""',
            'declare it: [parameters] name = "..."; or write $$ for a dollar',
        ),
        (
            HOME + bound('"${home:-/x}"'),
            "mount[0].bind",
            'there is no parameter "home:-/x"',
            "write ${name} alone: a default belongs in [parameters], name = { default = ... }",
        ),
        (
            HOME + bound('"/${home"'),
            "mount[0].bind",
            "\"/${home\" has a '${' that is not closed",
            "write ${name}, or $$ for a dollar",
        ),
        (
            "[parameters]\nhome = {}\n" + bound('"${home}"'),
            "parameters.home",
            "has no value",
            "give it one: --set home=VALUE; or write a default",
        ),
        (
            '[parameters]\nhome = { env = "NOTHOME" }\n' + bound('"${home}"'),
            "parameters.home",
            "has no value: the environment variable NOTHOME is not set",
            "set it, or give a value: --set home=VALUE; or write a default",
        ),
        (
            '[parameters]\na = "${b}"\nb = "${a}"\n' + bound('"${a}"'),
            "parameters.b",
            "is made of itself: a -> b -> a",
            "give one of them a value of its own",
        ),
        (
            "[parameters]\nhome = 5\n" + bound('"${home}"'),
            "parameters.home",
            "is the number 5",
            'write a text, such as "/srv", or { env = "HOME", default = "/root" }; a number in quotes',
        ),
        (
            '[parameters]\nhome = { defualt = "/x" }\n' + bound('"${home}"'),
            "parameters.home.defualt",
            "unknown key",
            'did you mean "default"?',
        ),
        (
            '[parameters]\nhome = { env = "A=B" }\n' + bound('"/${home}"'),
            "parameters.home.env",
            '"A=B" cannot name an environment variable',
            "a name is not empty and has no '=' in it",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_once_with_its_place_and_a_remedy(text: str, key: str, what: str, remedy: str) -> None:
    assert [(key, what, remedy)] == wrong(text)


def test_a_value_is_judged_like_the_same_text_written_there() -> None:
    names = '[parameters]\nx = { env = "X" }\n[[mount]]\ntarget = "/t"\nid = "${x}"\ntype = "tmpfs"\n'
    for value in ("a/b", "a\nb", "\x01", "-x"):
        (found,) = wrong(names, {"X": value})
        plainly = names.replace("${x}", value.replace("\n", "\\n").replace("\x01", "\\u0001"))
        assert [found] == wrong(plainly, {"X": value})
        assert "mount[0].id" == found[0]
    (found,) = wrong('[parameters]\nx = ""\n' + bound('"/${x}"'), x="a\0b")
    assert "contains a NUL character" in found[1]
    (found,) = wrong('[parameters]\nx = ""\n' + bound('"/${x}"'), x="a\nb")
    assert "contains a newline" in found[1]
    (found,) = wrong('[parameters]\nx = ""\n' + bound('"/${x}"'), x="../b")
    assert "contains '..'" in found[1]


def test_two_names_that_become_one_are_a_mistake() -> None:
    text = '[parameters]\nx = "a"\n[peer_group.a]\n[peer_group."${x}"]\n[[mount]]\ntarget = "/"\n'
    text += 'type = "tmpfs"\npeer_group = "a"\n'
    ((key, what, _),) = wrong(text)
    assert ("peer_group.a", 'is what "${x}" comes to as well') == (key, what)


def test_a_value_for_what_is_no_parameter_is_a_mistake() -> None:
    mount = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
    assert [("parameters", 'a value is given for "hmoe", which is no parameter', "did you mean home?")] == wrong(
        HOME + mount, hmoe="/x"
    )
    assert [
        ("parameters", 'a value is given for "x", which is no parameter', 'declare it: [parameters] x = "..."')
    ] == wrong(mount, x="1")


def test_all_other_mistakes_are_told_beside_that_of_a_parameter() -> None:
    one = bound('"${home}"')
    found = wrong(f'[parameters]\nhome = {{}}\n{one}[[mount]]\ntarget = "x"\ntype = "tmpfs"\n')
    assert ["parameters.home", "mount[1].target"] == [key for key, _, _ in found]


@pytest.mark.parametrize("backwards", [False, True])
def test_the_order_in_which_they_are_declared_does_not_matter_and_depth_has_an_end(backwards: bool) -> None:
    def chain(length: int) -> str:
        lines = [f'p{number} = "${{p{number + 1}}}"\n' for number in range(length)]
        return f"[parameters]\np{length} = '/x'\n{''.join(lines[:: -1 if backwards else 1])}{bound(repr('${p0}'))}"

    assert "/x" == read(chain(90)).mount[0].bind
    assert {"is made of more than 100 others"} == {what for _, what, _ in wrong(chain(5000))}


def test_a_spec_made_in_python_has_parameters_as_well() -> None:
    made = {
        "format": 1,
        "parameters": {"x": {"default": "/a"}},
        "mount": [{"target": "${x}", "type": "tmpfs"}],
    }
    assert TargetPath("/a") == build_spec(made).mount[0].target
    assert "/b" == build_spec(made, settings={"x": "/b"}).mount[0].target
    assert "${x}" == made["mount"][0]["target"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (bound('"./data"'), ["/cwd/specs/data"]),
        (bound('"."'), ["/cwd/specs"]),
        (bound('"./../data/./x"'), ["/cwd/data/x"]),
        (bound("{ escaped = './a\\351' }"), ["/cwd/specs/a\udce9"]),
        (HOME + bound('"${home}"'), ["/cwd/specs/home"]),
        ('[[mount]]\ntarget = "/x"\ntype = "ext4"\nimage = "./i"\n', ["/cwd/specs/i"]),
        (
            '[[mount]]\ntarget = "/x"\ntype = "overlay"\nlayers = ["./a", "/b"]\nupper = "./u"\nwork = "./w"\n',
            ["/cwd/specs/a", "/b", "/cwd/specs/u", "/cwd/specs/w"],
        ),
        ('[[mount]]\ntarget = "/"\ntype = "tmpfs"\n[[mount.file]]\npath = "./a"\nsource = "./f"\n', ["/cwd/specs/f"]),
        ('[peer_group.a]\nhost = "./h"\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n', ["/cwd/specs/h"]),
    ],
)
def test_what_begins_with_a_dot_counts_from_the_directory_of_the_spec_everywhere(text: str, found: list[str]) -> None:
    outside = FakeOutside({"/cwd/specs/s.toml": ""}, {"HOME": "./home"})
    spec = parse_spec(f"format = 1\n{text}".encode(), "specs/s.toml", outside)
    mount = spec.mount[0]
    paths = [mount.bind, mount.image, *mount.layers, mount.upper, mount.work, *(one.source for one in mount.file)]
    paths += [one.host for one in spec.peer_group.values()]
    assert found == [path for path in paths if path is not None]


@pytest.mark.parametrize("words", ['target = "./x"\ntype = "tmpfs"', 'target = "/x"\ntype = "tmpfs"\nsource = "./s"'])
def test_a_target_and_a_name_are_not_relative_to_anything(words: str) -> None:
    outside = FakeOutside({"/cwd/s.toml": ""})
    spec, mistakes = parse_spec_leniently(f"format = 1\n[[mount]]\n{words}\n".encode(), "s.toml", outside)
    if mistakes:
        assert ['"./x" is not absolute'] == [one.what for one in mistakes]
    else:
        assert spec is not None
        assert "./s" == spec.mount[0].source


def test_where_there_is_no_directory_a_relative_path_is_a_mistake() -> None:
    outside = FakeOutside()
    _, (mistake,) = parse_spec_leniently(f"format = 1\n{bound(repr('./x'))}".encode(), "s.toml", outside)
    assert '"./x" counts from the directory of the spec, and there is none: no such file or directory' == mistake.what
    assert 4 == mistake.ref.line
