"""`include`: several files that are one spec, each of whose mistakes has its place in the file where it was made."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mountplan import api
from mountplan.planner.errors import SpecError, SpecRef
from mountplan.planner.language.path_models import NamespaceFile
from mountplan.planner.language.spec import Spec
from mountplan.planner.language.spec_reading import parse_spec, parse_spec_leniently
from mountplan.planner.plan.planfile import digest_of, dump_plan, load_plan
from mountplan.planner.render.preview import plan_text
from tests.fakes import FakeHost, FakeOutside

ROOT = 'format = 1\n[[mount]]\nid = "root"\ntarget = "/"\ntype = "tmpfs"\n'


def outside(files: Mapping[str, str]) -> FakeOutside:
    return FakeOutside({f"/cwd/{name}": text for name, text in files.items()})


def read(**files: str) -> Spec:
    """The spec in main.toml; the others are beside it."""
    named = {f"{name}.toml": text for name, text in files.items()}
    return parse_spec(named["main.toml"].encode(), "main.toml", outside(named))


def wrong(**files: str) -> list[tuple[str, str]]:
    """(place, what is wrong) of each mistake, those in its meaning too."""
    named = {f"{name}.toml": text for name, text in files.items()}
    spec, mistakes = parse_spec_leniently(named["main.toml"].encode(), "main.toml", outside(named))
    if spec is not None and not mistakes:
        try:
            api.plan(spec, FakeHost({"/srv": "directory"}))
        except SpecError as error:
            mistakes = error.mistakes
    return [(str(one.ref), one.what) for one in mistakes]


def test_what_is_included_comes_first_and_depth_first() -> None:
    spec = read(
        main='format = 1\ninclude = ["a.toml", "b.toml"]\n[[mount]]\ntarget = "/main"\ntype = "tmpfs"\n',
        a='format = 1\ninclude = ["c.toml"]\n[[mount]]\ntarget = "/a"\ntype = "tmpfs"\n',
        b='format = 1\n[[mount]]\ntarget = "/b"\ntype = "tmpfs"\n',
        c=ROOT,
    )
    assert ["/", "/a", "/b", "/main"] == [mount.target for mount in spec.mount]
    assert [] == spec.include
    assert "a.toml:4: mount[0].target" == str(spec.ref("mount[1].target"))


def test_ids_groups_and_parameters_are_shared() -> None:
    spec = read(
        main='format = 1\ninclude = ["a.toml"]\n[parameters]\nx = "/mine"\n'
        '[[mount]]\ntarget = "${x}"\nbind = { mount = "root", path = "${y}" }\nmaster = "g"\n',
        a=f'{ROOT}peer_group = "g"\n[peer_group.g]\nhost = "${{x}}"\n[parameters]\nx = "/x"\ny = "/y"\n',
    )
    assert ("/mine", "/y") == (spec.mount[1].target, spec.mount[1].bind.path)  # type: ignore[union-attr]
    assert "/mine" == spec.peer_group["g"].host, "the file that includes has the last word"


def test_the_run_of_the_file_that_includes_wins_key_by_key() -> None:
    said = 'hostname = "a"\nunshare = ["uts"]\nenvironment = { A = "a", B = "a", C = "a" }\n'
    run = read(
        main='format = 1\ninclude = ["a.toml", "b.toml"]\n[run]\ncwd = "/main"\nenvironment = { A = "main" }\n',
        a=f'{ROOT}[run]\ncwd = "/a"\n{said}',
        b='format = 1\n[run]\nhostname = "b"\nenvironment = { C = "b" }\n',
    ).run
    assert ("/main", "b", ["uts"]) == (run.cwd, run.hostname, run.unshare)
    assert {"A": "main", "B": "a", "C": "b"} == run.environment


def test_what_a_file_does_not_say_one_that_it_includes_says() -> None:
    spec = read(main='format = 1\nname = "m"\ninclude = ["a.toml"]\n', a='format = 1\nname = "a"\nroot = "inherit"\n')
    assert ("m", "inherit") == (spec.name, spec.root)


def test_presets_are_added_up() -> None:
    spec = read(
        main='format = 1\ninclude = ["a.toml"]\npreset = "dev"\n', a=f"{ROOT}".replace("\n", '\npreset = "oci"\n', 1)
    )
    assert ("oci", "dev") == spec.preset


def test_namespaces_of_one_name_are_one() -> None:
    spec = read(
        main='format = 1\ninclude = ["a.toml"]\n[[namespace]]\nname = "two"\nroot = "inherit"\n'
        '[[namespace]]\nname = "one"\n[[namespace.mount]]\ntarget = "/more"\ntype = "tmpfs"\n',
        a='format = 1\n[[namespace]]\nname = "one"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"\n',
    )
    assert [("one", ["/", "/more"]), ("two", [])] == [
        (one.name, [mount.target for mount in one.mount]) for one in spec.namespace
    ]
    assert "main.toml:9: namespace[1].mount[0].target" == str(spec.ref("namespace[0].mount[1].target"))


def test_what_the_files_say_of_one_namespace_is_added_up() -> None:
    """As it is of a spec without namespaces: the one that includes wins where a thing can be said once only."""
    head, remove = '[[namespace]]\nname = "one"\n', '[[namespace.remove]]\ntarget = "/{}"\n'
    change = '[[namespace.change]]\ntarget = "/{}"\nattributes = ["ro"]\n'
    spec = read(
        main=f'format = 1\ninclude = ["a.toml"]\n{head}preset = "oci"\npropagation = "slave"\n'
        f"{remove.format('m')}{change.format('m')}",
        a=f'format = 1\n{head}preset = "dev"\nroot = "inherit"\npropagation = "private"\n'
        f"{remove.format('a')}{change.format('a')}",
    )
    (one,) = spec.namespace
    assert (["/a", "/m"], ["/a", "/m"]) == tuple([at.target for at in what] for what in (one.remove, one.change))
    assert (("dev", "oci"), "inherit", "slave") == (one.preset, one.root, one.propagation)
    assert [
        "a.toml:7: namespace[0].remove[0]",
        "main.toml:7: namespace[0].remove[0]",
        "a.toml:5: namespace[0].root",
    ] == [str(spec.ref(f"namespace[0].{key}")) for key in ("remove[0]", "remove[1]", "root")]


def test_a_file_is_read_once_however_many_roads_lead_to_it() -> None:
    files = {
        "main.toml": 'format = 1\ninclude = ["a.toml", "./b.toml", "c.toml"]\n',
        "a.toml": 'format = 1\ninclude = ["base.toml"]\n',
        "b.toml": 'format = 1\ninclude = ["link.toml", "base.toml"]\n',
        "c.toml": "format = 1\n",
        "base.toml": ROOT,
        "link.toml": "-> /cwd/base.toml",
    }
    known = outside(files)
    assert 1 == len(parse_spec(files["main.toml"].encode(), "main.toml", known).mount)
    assert ["a.toml", "base.toml", "b.toml", "c.toml"] == known.read


def test_a_file_is_relative_to_the_one_that_includes_it_and_so_are_its_paths() -> None:
    known = outside(
        {
            "main.toml": "",
            "sub/a.toml": 'format = 1\ninclude = ["../b.toml"]\n[[mount]]\ntarget = "/x"\nbind = "./x"\n',
            "b.toml": f'{ROOT}contents = "data"\n',
        }
    )
    spec = parse_spec(b'format = 1\ninclude = ["sub/a.toml"]\n', "main.toml", known)
    assert ("/cwd/data", "/cwd/sub/x") == (spec.mount[0].contents, spec.mount[1].bind)
    assert ["sub/a.toml", "sub/../b.toml"] == known.read


@pytest.mark.parametrize("name", ["main", "a"])
def test_a_cycle_is_refused_with_the_way_round(name: str) -> None:
    found = wrong(main='format = 1\ninclude = ["a.toml"]\n', a=f'format = 1\ninclude = ["{name}.toml"]\n')
    way = "main.toml -> a.toml -> main.toml" if name == "main" else "a.toml -> a.toml"
    assert [("a.toml:2: include[0]", f'"{name}.toml" includes itself: {way}')] == found


def test_each_mistake_has_its_place_in_its_own_file() -> None:
    found = wrong(
        main='format = 1\ncolour = 1\ninclude = ["a.toml", "none.toml"]\n[[mount]]\ntarget = "x"\ntype = "tmpfs"\n',
        a='[[mount]]\ntarget = "/"\ntpye = "tmpfs"\n',
    )
    assert [
        ("main.toml:2: colour", "unknown key"),
        ("main.toml:3: include[1]", '"none.toml" cannot be read: no such file or directory'),
        ("main.toml:5: mount[0].target", '"x" is not absolute'),
        ("a.toml:1: format", "is missing"),
        ("a.toml:3: mount[0].tpye", "unknown key"),
    ] == found


def test_so_has_each_that_is_in_the_meaning_of_the_whole() -> None:
    found = wrong(
        main='format = 1\ninclude = ["a.toml"]\n[[mount]]\nid = "root"\ntarget = "/srv"\nbind = "/missing"\n',
        a=f'{ROOT}\n[[mount]]\ntarget = "/a"\ntype = "tmpfs"\n[[mount.file]]\npath = "x"\n[[mount.file]]\npath = "x"\n',
    )
    assert [
        ("main.toml:4: mount[0].id", 'id "root" is taken by mount[0] of a.toml'),
        ("main.toml:6: mount[0].bind", 'host path "/missing": there is nothing'),
        ("a.toml:13: mount[1].file[1].path", "/x is declared twice (also at mount[1].file[0])"),
    ] == [(place, what.replace("no such file or directory", "there is nothing")) for place, what in found]


def test_what_is_no_toml_is_told_with_its_file() -> None:
    ((place, what),) = wrong(main='format = 1\ninclude = ["a.toml"]\n', a="format = 1\n[[mount]\n")
    assert "a.toml:2" == place
    assert "is not TOML" in what


def test_what_contradicts_in_sharing_is_told() -> None:
    said = '[peer_group.g]\nhost = "/srv"\n'
    other = '[peer_group.g]\nmaster = "h"\n[peer_group.h]\nhost = "/srv"\n'
    found = wrong(
        main=f'format = 1\ninclude = ["a.toml", "b.toml"]\n{said}', a=f"{ROOT}{said}", b=f"format = 1\n{other}"
    )
    assert [("b.toml:2: peer_group.g", "says something else here than in a.toml, line 6")] == found


def test_files_without_a_mount_may_be_included_but_something_must_have_one() -> None:
    found = wrong(main='format = 1\ninclude = ["a.toml"]\n', a="format = 1\n")
    assert [("main.toml:2: include", "the spec has no mount, nor has what it includes")] == found


@pytest.mark.parametrize(
    ("include", "what"),
    [
        ('"a.toml"', 'is the string "a.toml", not a list'),
        ("[3]", "is the number 3"),
        ('["${x}.toml"]', '"${x}.toml" cannot be read: no such file or directory'),
    ],
)
def test_what_is_no_list_of_files_is_told(include: str, what: str) -> None:
    assert [what] == [found for _, found in wrong(main=f"format = 1\ninclude = {include}\n", a=ROOT)]


def test_depth_has_an_end() -> None:
    chain = {f"f{number}": f'format = 1\ninclude = ["f{number + 1}.toml"]\n' for number in range(200)}
    ((place, what),) = wrong(main='format = 1\ninclude = ["f0.toml"]\n', **chain)
    assert ("f48.toml:2: include[0]", '"f49.toml" is included 50 deep') == (place, what)


def test_a_plan_knows_the_files_of_its_parts_and_the_saved_plan_too() -> None:
    spec = read(
        main='format = 1\ninclude = ["a.toml"]\n[parameters]\nx = "/srv"\n[[mount]]\ntarget = "${x}"\nbind = "/srv"\n',
        a=f'{ROOT}[[mount.file]]\npath = "x"\n',
    )
    plan = api.plan(spec, FakeHost({"/srv": "directory"}))
    assert SpecRef("a.toml", "mount[0].file[0]", 6) == plan.ref("mount[0].file[0]")
    assert SpecRef("main.toml", "mount[0].bind", 5) == plan.ref("mount[1].bind")
    assert "declared: mount[0].file[0] of a.toml" in plan_text(plan, steps=True)
    text = dump_plan(plan)
    assert plan == load_plan(text, "plan.json")
    assert "${" not in text
    plain = parse_spec(
        f'{ROOT}[[mount.file]]\npath = "x"\n[[mount]]\ntarget = "/srv"\nbind = "/srv"\n'.encode(), "main.toml"
    )
    assert digest_of(plan) == digest_of(api.plan(plain, FakeHost({"/srv": "directory"}))), "the same is built"


def test_the_same_files_give_the_same_plan() -> None:
    files = {
        "main": 'format = 1\ninclude = ["a.toml"]\n[run]\ncwd = "/x"\nhostname = "h"\nunshare = ["uts"]\n',
        "a": f'{ROOT}[run]\nclear_environment = true\nno_new_privs = false\ncommand = ["x"]\n',
    }
    assert dump_plan(api.plan(read(**files), FakeHost())) == dump_plan(api.plan(read(**files), FakeHost()))


def test_the_file_of_a_namespace_counts_from_the_directory_with_its_kind_or_without() -> None:
    binds = "".join(
        f'[[mount]]\ntarget = "/{n}"\nbind = {{ namespace = "{one}" }}\n'
        for n, one in enumerate(("./red", "net:./red", "net:self", "net:/red"))
    )
    spec = read(main='format = 1\ninclude = ["a/b.toml"]\n', **{"a/b": f"format = 1\n{binds}"})
    names = [one.bind.namespace for one in spec.mount if isinstance(one.bind, NamespaceFile)]
    assert ["/cwd/a/red", "net:/cwd/a/red", "net:self", "net:/red"] == names
