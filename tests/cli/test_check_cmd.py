"""check: all mistakes of a spec at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mountplan.planner.errors import (
    PlanRefused,
)
from tests.cli.command_line import Command, Ended, refuse


def test_a_good_spec_has_no_mistakes(run: Command, spec: Path) -> None:
    assert Ended(0, f"{spec}: no mistakes\n", "") == run("check", spec)
    assert Ended(0, "", "") == run("check", "-q", spec)
    assert {
        "ok": True,
        "specs": [{"file": str(spec), "ok": True, "mistakes": [], "warnings": [], "left_out": []}],
    } == run("check", "--json", spec).json()


def test_all_mistakes_of_all_specs_are_told_on_standard_error(run: Command, spec: Path, wrong: Path) -> None:
    ended = run("check", spec, wrong)
    assert (2, f"{spec}: no mistakes\n") == (ended.status, ended.out)
    places = re.findall(rf"^{re.escape(str(wrong))}:(\d+): (\S+):", ended.err, re.M)
    assert {("3", "mount[0].target"), ("8", "mount[1].bind")} <= set(places)
    assert ended.err.count("  remedy: ") == len(places)
    assert ended.err.endswith(f"mountplan: {len(places)} mistakes in 1 of 2 files\n")


def test_check_as_json_tells_every_mistake_with_its_place(run: Command, spec: Path, wrong: Path) -> None:
    ended = run("check", "--json", spec, wrong)
    assert (2, "") == (ended.status, ended.err)
    good, bad = ended.json()["specs"]
    assert (True, False) == (good["ok"], bad["ok"])
    assert all(set(one) == {"file", "line", "key", "what", "remedy"} for one in bad["mistakes"])


def test_check_takes_saved_plans_too(run: Command, saved: Path) -> None:
    assert 0 == run("check", saved).status
    saved.write_text(saved.read_text().replace("16m", "17m"))
    ended = run("check", saved)
    assert 2 == ended.status
    assert f"{saved}: cannot use this plan: it was altered" in ended.err
    assert "remedy: make it again" in ended.err


def test_a_well_written_spec_that_cannot_be_planned_is_a_refusal(
    run: Command, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "check_and_plan", PlanRefused(("a must precede itself",)))
    ended = run("check", spec)
    assert (1, "") == (ended.status, ended.out)
    assert f"{spec}: a must precede itself" in ended.err


@pytest.mark.parametrize(
    ("name", "text", "command"),
    [
        ("tree", "#!/bin/bash\nset -e\n", "simulate tree"),
        ("tree.sh", "mount /dev/sda /mnt\n", "simulate tree.sh"),
        ("fstab", "/dev/sda / ext4 defaults 0 0\n", "import fstab fstab"),
        ("a.service", "[Service]\nExecStart=/bin/true\n", "import systemd a.service"),
        ("a b.yaml", "services: {}\n", "import compose 'a b.yaml'` or `mountplan import k8s 'a b.yaml'"),
        ("config.json", '{"ociVersion": "1.0"}', "import oci config.json"),
    ],
)
def test_a_file_of_another_program_is_told_with_the_command_that_takes_it(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    for ended in (run("check", name), run("plan", name)):
        assert 2 == ended.status
        assert f"  remedy: `mountplan {command}` " in ended.err
