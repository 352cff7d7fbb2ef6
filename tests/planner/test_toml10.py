"""A spec is TOML 1.0, whichever version the parser that is installed reads."""

from __future__ import annotations

import random
import tomllib

import pytest
import tomli

from mountplan.planner.language import reading
from mountplan.planner.language.reading import read_toml
from mountplan.planner.language.toml10 import find_newer
from tests.planner.spoilt import SPECS

NEWER = [
    ("a = { b = 1,\n c = 2 }", 1, "a line end in an inline table, column 13", "in one line"),
    ("\na = { b = [{}],\n c = 2 }", 2, "a line end in an inline table, column 16", "in one line"),
    ("a = { b = '}'\n}", 1, "a line end in an inline table, column 14", "in one line"),
    ("a = { # {\n}", 1, "a comment in an inline table, column 7", "in one line"),
    ("a = [{ b = { c = 1 }, }]", 1, "a comma at the end of an inline table, column 21", "leave out the comma"),
    (r'a = "\\\e[0m"', 1, r"the escape \e, column 8", r"write \u001b"),
    ('a = """\n\n\\x41"""', 3, r"the escape \x, column 1", r"write \u0041"),
    (r'"\x41" = 1', 1, r"the escape \x, column 2", r"write \u0041"),
]


@pytest.mark.parametrize("parser", [tomli, tomllib], ids=["tomli", "tomllib"])
@pytest.mark.parametrize(("text", "line", "what", "remedy"), NEWER)
def test_what_only_toml_1_1_has_is_told_alike_by_every_parser(
    monkeypatch: pytest.MonkeyPatch, parser: object, text: str, line: int, what: str, remedy: str
) -> None:
    """tomllib of Python 3.11 reads 1.0, tomli reads 1.1 from 2.4 on; editors go by their own."""
    monkeypatch.setattr(reading, "tomli", parser)
    mistake = read_toml(text.encode(), "s.toml")[2]
    assert mistake is not None
    assert (line, True, True) == (mistake.ref.line, what in mistake.what, remedy in mistake.remedy)
    with pytest.raises(ValueError, match=r"."):
        tomllib.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = { b = [1,\n 2, # two\n], c = { d = '''\n{''' } }",
        "a = [\n { b = 1 },\n { c = 2 }, # c\n]",
        "a = '\\x41 { \\e'",
        r'a = "\\x41 { \\e \" {"',
        'a = """\n{,}\\\n  x""""',
        "a = '''' { '''''",
        "a = {}\n[b] # { \n'{' = \"}\"\n",
    ],
)
def test_what_toml_1_0_has_is_no_mistake(text: str) -> None:
    assert tomllib.loads(text) == read_toml(text.encode(), "s.toml")[0]
    assert None is find_newer(text)


def test_spoilt_specs_are_taken_just_where_a_parser_of_toml_1_0_takes_them() -> None:
    bits = [
        "{",
        "}",
        ",",
        "\n",
        '"',
        "'",
        "\\e",
        "\\x41",
        "#",
        "[",
        "]",
        '"""',
        "'''",
        "\\",
        "{a=1}",
        "{a=[1,\n2]}",
        "",
    ]
    texts = [path.read_text() for path in SPECS]
    chance = random.Random(10)
    taken = newer = 0
    for _ in range(3000):
        text = chance.choice(texts)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(bits) + text[at + chance.choice((0, 0, 0, 1, 1, 2)) :]
        good = _loads(tomllib, text)
        assert good == (read_toml(text.encode(), "s.toml")[2] is None), text
        taken += good
        newer += not good and _loads(tomli, text)
    assert taken > 300
    assert newer > 20 or not _loads(tomli, "a = {\n}")  # an old tomli takes nothing of it


def _loads(parser: object, text: str) -> bool:
    try:
        parser.loads(text)  # type: ignore[attr-defined]
    except (ValueError, RecursionError):
        return False
    return True


def test_looking_for_newer_things_is_linear() -> None:
    """Also where a match has to give up: each of these would take hours if it began anew at every character."""
    for text in ("{a = [{b = 1}, ", '{a = "', "{a, ", "'''' ", '"\\n', "[{}] # {\n"):
        assert _seconds(text * 50_000) < 3


def _seconds(text: str) -> float:
    from time import process_time

    begun = process_time()
    find_newer(text)
    return process_time() - begun
