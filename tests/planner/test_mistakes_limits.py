"""What is longer than the kernel takes is told by check, at a cost that is linear in its length; and much of one kind
is told once.
"""

from __future__ import annotations

from time import process_time

import pytest

from mountplan import api
from mountplan.planner.errors import Mistake, SpecRef
from mountplan.planner.render.problems import mistakes_text
from tests.planner.mistakes import HOST, ROOT, bind, mistakes, one, tmpfs

NAME, LONG = "n" * 256, "/" + "d/" * 2047 + "xx"  # of 256 bytes; of 4097
SHORT_NAME = "shorten it: the kernel takes no name of more than 255 bytes"
SHORT_PATH = "shorten it: the kernel takes no path of more than 4095 bytes"
TOO_MUCH = "hand it over in a file: no program is given more than 131071"


def file(words: str) -> str:
    return f"{ROOT}[[mount.file]]\n{words}\n"


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"),
    [
        one("a target's name", ROOT + tmpfs(f"/a/{NAME}"), "mount[1].target", "has a name of 256 bytes", SHORT_NAME),
        one("bytes count", ROOT + tmpfs("/" + "é" * 128), "mount[1].target", "has a name of 256 bytes", SHORT_NAME),
        one("a target", ROOT + tmpfs(LONG), "mount[1].target", "is 4,097 bytes long", SHORT_PATH),
        one("a bind", ROOT + bind("/a", f'"{LONG}"'), "mount[1].bind", "is 4,097 bytes long", SHORT_PATH),
        one(
            "a path in a mount",
            ROOT + bind("/a", f'{{ mount = "root", path = "{LONG}" }}'),
            "mount[1].bind.path",
            "is 4,097 bytes long",
            SHORT_PATH,
        ),
        one(
            "a layer",
            f'{ROOT}[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = ["/data/dir", "/{NAME}"]\n',
            "mount[1].layers[1]",
            "has a name of 256 bytes",
            SHORT_NAME,
        ),
        one("a mask", ROOT.rstrip() + f'\nmask = ["{NAME}"]\n', "mount[0].mask[0]", "has a name", SHORT_NAME),
        one("contents", ROOT + tmpfs("/a", f'contents = "{NAME}"'), "mount[1].contents", "has a name", SHORT_NAME),
        one(
            "an image",
            f'{ROOT}[[mount]]\ntarget = "/o"\ntype = "xfs"\nimage = "{LONG}"\n',
            "mount[1].image",
            "is 4,097 bytes long",
            SHORT_PATH,
        ),
        one("a group's host", f'{ROOT}[peer_group.x]\nhost = "{LONG}"\n', "peer_group.x.host", "is 4,097", SHORT_PATH),
        one("a cwd", f'{ROOT}[run]\ncwd = "/{NAME}"\n', "run.cwd", "has a name of 256 bytes", SHORT_NAME),
        one("a file", file(f'path = "{NAME}"'), "mount[0].file[0].path", "has a name of 256 bytes", SHORT_NAME),
        one("a source", file(f'path = "a"\nsource = "{LONG}"'), "mount[0].file[0].source", "is 4,097", SHORT_PATH),
        one(
            "a symlink's text",
            file(f'path = "a"\nsymlink = "{"x" * 4096}"'),
            "mount[0].file[0].symlink",
            "is 4,096 bytes long",
            "shorten it: symlink(2) takes no more than 4095 bytes",
        ),
        one(
            "an option's number",
            ROOT + tmpfs("/a", f"options = {{ size = 1{'0' * 255} }}"),
            "mount[1].options.size",
            "is longer than 255 bytes",
            "shorten it: fsconfig(2) takes no more for an option",
        ),
        one("a command", f'{ROOT}[run]\ncommand = ["{NAME}"]\n', "run.command[0]", "has a name", SHORT_NAME),
        one(
            "an argument",
            f'{ROOT}[run]\ncommand = ["a", "{"x" * 131072}"]\n',
            "run.command[1]",
            "is 131,072 bytes long",
            TOO_MUCH,
        ),
        one(
            "a variable",
            f'{ROOT}[run.environment]\nA = "{"x" * 131070}"\n',
            "run.environment.A",
            "is 131,072 bytes long",
            TOO_MUCH,
        ),
        one(
            "a file in a path of a mount",
            file('path = "' + "abc/" * 600 + 'x"\ndirectory = true')
            + bind("/b", '{ mount = "root", path = "/' + "abc/" * 600 + 'x" }')
            + '[[mount.file]]\npath = "'
            + "abc/" * 600
            + '"\n',
            "mount[1].file[0]",
            "bytes long",
            SHORT_PATH,
        ),
        one(
            "a work directory of its own making",
            ROOT
            + '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = ["/data/dir"]\n'
            + f'upper = {{ mount = "root", path = "/{"u" * 253}" }}\n',
            "mount[1].work",
            "has a name of 258 bytes",
            SHORT_NAME,
        ),
    ],
)
def test_what_is_too_long_is_told_with_its_place(text: str, key: str, what: str, remedy: str) -> None:
    """Otherwise the build would end in the middle, with ENAMETOOLONG or E2BIG."""
    ((place, told, advice),) = mistakes(text)
    assert (key, True, remedy) == (place, what in told, advice)


def test_what_is_just_short_enough_is_no_mistake() -> None:
    path = "d/" * 2046 + "xx"
    assert 4095 == len(f"/{path}")
    text = file(f'path = "{path}"') + f'[[mount.file]]\npath = "{NAME[1:]}"\n'
    text += f'[[mount.file]]\npath = "l"\nsymlink = "{"x" * 4095}"\n[run]\ncommand = ["a", "{"x" * 131071}"]\n'
    assert [] == mistakes(text)


def test_arguments_that_are_too_many_are_told() -> None:
    command = ", ".join([f'"{"x" * 100_000}"'] * 63)
    assert ["run"] == [key for key, _, _ in mistakes(f'{ROOT}[run]\ncommand = ["a", {command}]\n')]


def test_a_path_costs_what_its_length_is() -> None:
    """Sixteen thousand names in one path took 17 seconds and 825 MB: each directory above it has a path of its own."""
    deep = 'path = "' + "a/" * 16_000 + 'b"'
    text = f"format = 1\n{file(deep)}" + tmpfs("/" + "a/" * 16_000 + "b")
    begun = process_time()
    assert 2 == len(api.check(text.encode(), "deep.toml", HOST))
    assert process_time() - begun < 2


def many(kinds: int, each: int) -> list[Mistake]:
    found = []
    for number in range(each * kinds):
        ref = SpecRef("s.toml", f"mount[{number}].bind", 10 + number)
        found.append(Mistake(ref, f'{"ab"[number % kinds]} "x{number}" is not', "r"))
    return found


def test_of_many_mistakes_of_one_kind_the_first_are_told_and_where_the_others_are() -> None:
    text = mistakes_text(many(2, 5000))
    assert 2 * (3 + 1) * 2 == len(text.splitlines())
    assert 's.toml:14: mount[4].bind: a "x4" is not\n  remedy: r\n' in text
    assert (
        "s.toml: mount[*].bind: 4,997 more of this kind, on lines 16, 18, 20, 22, 24, 26, 28, 30 and 4,989 more\n"
        "  remedy: as above; `mountplan check --all` tells each" in text
    )
    assert 20_000 == len(mistakes_text(many(2, 5000), everything=True).splitlines())


def test_a_few_mistakes_of_one_kind_are_all_told() -> None:
    assert 24 == len(mistakes_text(many(1, 12)).splitlines())
