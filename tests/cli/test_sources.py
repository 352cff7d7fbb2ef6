"""What a command line may name: a spec, a saved plan, standard input."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mountplan.planner.plan.planfile import dump_plan
from tests.cli.command_line import SPEC, Command, Ended
from tests.planner.plans import shop


@pytest.mark.parametrize("command", ["check", "plan", "apply", "run"])
def test_a_missing_file_is_told_with_a_reason(run: Command, tmp_path: Path, command: str) -> None:
    for name in ("nope.toml", "nope.json"):
        ended = run(command, tmp_path / name)
        assert (2, "") == (ended.status, ended.out)
        assert f"{name}: cannot read it: No such file or directory" in ended.err
    assert "cannot read it: Is a directory" in run(command, tmp_path).err


def test_a_name_with_a_nul_is_an_error_like_any_other(run: Command) -> None:
    ended = run("plan", "a\0b")
    assert 2 == ended.status
    assert r"a\x00b: cannot read it: embedded null byte" in ended.err


def test_standard_input_may_be_a_spec_or_a_plan(run: Command, foreseen: None) -> None:
    from_spec = run("plan", "-", stdin=SPEC.encode())
    assert 0 == from_spec.status
    assert from_spec.out.startswith('Plan "small" of <stdin>: 3 mounts')
    from_plan = run("plan", "-", "--format", "json", stdin=dump_plan(shop()).encode())
    assert Ended(0, dump_plan(shop()), "") == from_plan
    assert 2 == run("check", "-", stdin=b"\xff\xfe").status


def test_a_wrong_spec_tells_all_mistakes_and_how_many(run: Command, wrong: Path) -> None:
    for command in ("plan", "apply", "run"):
        ended = run(command, wrong)
        assert (2, "") == (ended.status, ended.out)
        assert "mount[0].target" in ended.err
        assert "mount[1].bind" in ended.err
        assert re.search(r"^mountplan: \d+ mistakes; nothing was built$", ended.err, re.M)


def test_a_damaged_plan_file_is_told_with_a_remedy(run: Command, saved: Path) -> None:
    saved.write_text(saved.read_text()[:500])
    for command in ("plan", "apply", "run"):
        ended = run(command, saved)
        assert (2, "") == (ended.status, ended.out)
        assert ended.err.startswith(f"mountplan: {saved}:")
        assert "remedy: make it again with `mountplan plan SPEC -o FILE`" in ended.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("check shop", "did you mean shop.toml? or name a spec"),
        ("plan shpo.toml", "did you mean shop.toml? or name a spec"),
        ("plan ps.toml", "remedy: name a spec"),  # it has no more of shop.toml than the ending
        ("plan .", "name a file in it, such as ./shop.toml; or name a spec"),
        ("check /proc/self/mem", "make it readable, or name a spec"),
        ("run elsewhere -- ls", "remedy: name a spec, a saved plan, or - for stdin"),
        ("simulate build.hs", "did you mean build.sh? or name a shell script"),
    ],
)
def test_a_file_that_is_not_there_is_told_with_the_one_that_was_meant(
    words: str, told: str, run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a name without its ending, with a slip in it, or of the directory that it is in."""
    (tmp_path / "shop.toml").write_text(SPEC)
    (tmp_path / "build.sh").write_text("")
    monkeypatch.chdir(tmp_path)
    ended = run(*words.split())
    assert 2 == ended.status
    assert told in ended.err
