"""example: what it lists, prints and saves, and that every example is told in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import Command
from tests.hosts import CHECKOUT

NAMES = {str(path.relative_to(CHECKOUT / "specs").with_suffix("")) for path in CHECKOUT.glob("specs/**/*.toml")}


def test_every_example_is_listed_with_what_it_is_about(run: Command) -> None:
    found = {one["name"]: one["about"] for one in run("example", "--json").json()}
    assert found.keys() == NAMES
    assert [] == [name for name, about in found.items() if not 10 < len(about) < 240]
    listed = run("example").out.splitlines()
    assert [line.split()[0] for line in listed] == list(found)


def test_an_example_is_printed_as_it_is_written(run: Command) -> None:
    text = (CHECKOUT / "specs/hello.toml").read_text()
    for name in ("hello", "hello.toml", "specs/hello.toml"):
        assert (0, text, "") == run("example", name)


def test_an_example_is_saved_to_begin_with(run: Command, tmp_path: Path) -> None:
    ended = run("example", "hello", "-o", tmp_path / "mine.toml")
    assert (0, "") == (ended.status, ended.out)
    assert ended.err.endswith(f"look at it with: mountplan plan {tmp_path}/mine.toml\n")
    assert 0 == run("check", tmp_path / "mine.toml").status
    assert str(tmp_path / "x.toml") == run("example", "hello", "--json", "-o", tmp_path / "x.toml").json()["saved"]
    named = run("example", "hello", "-o", tmp_path / "my spec.toml")
    assert f"Saved to {tmp_path}/my spec.toml; look at it with: mountplan plan '{tmp_path}/my spec.toml'\n" == named.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["helo"], "there is no example 'helo'; did you mean hello?"),
        (["../pyproject"], "there is no example '../pyproject'; `mountplan example` lists them"),
        (["-o", "x"], "name the example that is to be saved;"),
    ],
)
def test_what_is_no_example(run: Command, words: list[str], message: str) -> None:
    ended = run("example", *words)
    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith(f"mountplan: {message}")
