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
