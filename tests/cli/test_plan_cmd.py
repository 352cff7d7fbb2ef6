"""plan: the preview in its formats, and the plan as a file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mountplan import api
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.render.preview import plan_text
from tests.cli.command_line import Command, Ended
from tests.planner.plans import shop


def test_a_saved_plan_is_planned_to_itself(run: Command, saved: Path) -> None:
    assert dump_plan(shop()) == run("plan", saved, "--format", "json").out


def test_plain_text_is_exactly_what_rendering_gives(run: Command, spec: Path) -> None:
    plan = api.plan(api.load(str(spec)))
    for words, steps, everything in (([], False, False), (["--steps"], True, False), (["--all"], True, True)):
        text = plan_text(plan, api.predict(plan), api.classic(plan), steps=steps, everything=everything)
        assert Ended(0, text, "") == run("plan", *words, spec)


def test_the_preview_has_all_its_parts(run: Command, spec: Path) -> None:
    def headings(*words: str) -> list[str]:
        return re.findall(r"^(\w[^(\n]*?)(?: \(.*)?$", run("plan", *words, spec).out, re.M)[1:]

    table, classic = "Mount table to come", "Mounted the classic way, in the order of the file"
    assert ["Tree", "Sharing", "Steps, and why each is where it is", table, classic, "Needs"] == headings("--steps")
    assert ["Tree", "Sharing", "Order", classic, "Needs"] == headings()


def test_json_is_the_plan_file(run: Command, spec: Path) -> None:
    for words in (["--json"], ["--format", "json"]):
        ended = run("plan", spec, *words)
        assert api.plan(api.load(str(spec))) == load_plan(ended.out, "x")


@pytest.mark.parametrize(("form", "start"), [("dot", 'digraph "small" {'), ("mermaid", "flowchart LR")])
def test_pictures(run: Command, spec: Path, form: str, start: str) -> None:
    ended = run("plan", spec, "--format", form)
    assert (0, "") == (ended.status, ended.err)
    assert ended.out.startswith(start)


def test_saving_a_plan_shows_it_and_says_how_to_go_on(run: Command, spec: Path, tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    ended = run("plan", spec, "-o", target)
    assert 0 == ended.status
    assert ended.out.startswith('Plan "small"')
    assert f"Saved to {target}; carry it out with: mountplan apply {target}\n" == ended.err
    assert api.plan(api.load(str(spec))) == load_plan(target.read_bytes(), "x")
    first = target.read_bytes()
    assert Ended(0, "", "") == run("plan", spec, "-q", "-o", target)
    assert first == target.read_bytes()


@pytest.mark.parametrize(
    ("name", "start"),
    [("p.dot", "digraph"), ("p.mmd", "flowchart"), ("p.txt", 'Plan "small"'), ("p.json", "{"), ("p", "{")],
)
def test_the_name_of_the_file_tells_its_format(run: Command, spec: Path, tmp_path: Path, name: str, start: str) -> None:
    run("plan", spec, "-o", tmp_path / name)
    assert (tmp_path / name).read_text().startswith(start)


def test_json_and_another_format_contradict_each_other(run: Command, spec: Path) -> None:
    """The format won, and who asked for JSON got a text."""
    ended = run("plan", "--json", "--format", "text", spec)
    assert (2, "usage") == (ended.status, ended.json()["error"]["code"])


def test_format_goes_before_the_name_and_prints_no_preview(run: Command, spec: Path, tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    assert Ended(0, "", f"Saved to {target}\n") == run("plan", spec, "--format=dot", "-o", target)
    assert target.read_text().startswith("digraph")
    ended = run("plan", spec, "--json", "-o", target)
    assert {"saved": str(target), "format": "json"}.items() <= ended.json().items()


def test_a_file_that_cannot_be_written_is_told(run: Command, spec: Path, tmp_path: Path) -> None:
    ended = run("plan", spec, "-o", tmp_path / "no" / "plan.json")
    assert 2 == ended.status
    assert "plan.json: No such file or directory" in ended.err


def test_why_explains_a_step(run: Command, saved: Path) -> None:
    ended = run("plan", saved, "--why", "39")
    assert (0, "") == (ended.status, ended.err)
    assert ended.out.startswith("Step 39 of 56: attach /srv/peer -> /:/srv/peer\n  written at shop.toml:25: mount[3]\n")
    (answer,) = run("plan", saved, "--json", "--why", "39").json()["steps"]
    assert 39 == answer["number"]


def test_why_of_what_is_not_there_is_wrong_usage(run: Command, saved: Path) -> None:
    ended = run("plan", saved, "--why", "/srv/pier")
    assert (2, "") == (ended.status, ended.out)
    assert "mountplan: --why: no step is about '/srv/pier'; did you mean '/srv/peer'" in ended.err


@pytest.mark.usefixtures("all_imported")
def test_mistakes_are_told_in_the_order_of_the_file_as_check_tells_them(run: Command, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(
        'format = 1\n[[mount]]\ntarget = "/mnt"\ntype = "overlay"\nlayers = ["/usr"]\noptions = { upperdir = "/u" }\n'
    )
    told, planned = (re.findall(r"spec\.toml:(\d+): ", run(command, spec).err) for command in ("check", "plan"))
    assert ["5", "6"] == told == planned


@pytest.mark.needs_kernel("userns")
@pytest.mark.usefixtures("all_imported")
def test_what_is_not_allowed_is_told_with_the_line_of_its_key_as_check_tells_it(run: Command, tmp_path: Path) -> None:
    """A plan knows the line of the mount."""
    spec = tmp_path / "spec.toml"
    spec.write_text(
        'format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n[[mount.file]]\npath = "f"\ndevice = "c:1:3"\n'
    )
    for words in (("check",), ("plan",), ("apply", "--forget")):
        ended = run(*words, "--rootless", "always", spec)
        assert (3, f"{spec}:7: mount[0].file[0].device") == (ended.status, ended.err.partition(": device nodes")[0])
