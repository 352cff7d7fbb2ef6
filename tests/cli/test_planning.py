"""What a plan comes to, as a user asks for it: after a step, the classic way, and with too many mounts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mountplan import api
from mountplan.applier.observe.facts import LiveHost
from mountplan.cli import main
from mountplan.planner.plan.planfile import dump_plan

SPEC = """\
format = 1
name = "shop"
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
id = "data"
target = "/srv/data"
type = "tmpfs"
"""


class Ended(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Run:
    """Carries out one command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: str | Path) -> Ended:
        status = main([str(word) for word in words])
        captured = self.capsys.readouterr()
        return Ended(status, captured.out, captured.err)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.toml"
    path.write_text(SPEC)
    return path


def test_plan_shows_what_stands_there_after_a_step(run: Run, shop: Path) -> None:
    first = run("plan", shop, "--after", "0")
    assert first.out.startswith("Before step 1 of ")
    steps = api.plan(api.load(str(shop))).steps
    attach = next(at for at, step in enumerate(steps, 1) if step.describe().startswith("attach data"))
    before, after = (run("plan", shop, "--after", str(at)).out for at in (attach - 1, attach))
    assert "Made, and not attached yet: data\n" in before
    assert re.search(r"^ +└─srv/data +tmpfs", after, re.M)
    last = run("plan", shop, "--json", "--after", str(len(steps))).json()
    assert last["namespaces"][0]["mounts"] == last["mounts"]
    assert len(steps) == last["step"] == last["of"]
    assert 2 == run("plan", shop, "--after", "99999").status
    assert 2 == run("plan", shop, "--after", "1", "-o", "x.json").status


def test_plan_tells_what_the_classic_way_would_make(run: Run, shop: Path) -> None:
    text = run("plan", shop, "--classic").out
    assert text.startswith("Mounted the classic way, in the order of the file (mount, mount --bind, mount --make-...)")
    data = run("plan", shop, "--classic", "--json").json()
    assert {"wanted", "added", "places", "on_host", "wrong", "endless"} == set(data)


@pytest.mark.parametrize("command", [["plan"], ["apply", "--forget"], ["apply"], ["run"]], ids=" ".join)
def test_a_plan_with_too_many_mounts_is_refused_before_anything_is_done(
    run: Run, shop: Path, command: list[str]
) -> None:
    ended = run(*command, "--max-mounts", "3", shop)
    assert (1, "") == (ended.status, ended.out)
    assert "mountplan: cannot be built as it is written: at step " in ended.err
    assert "--max-mounts allows 3" in ended.err


def test_check_refuses_what_would_not_come_out(
    run: Run, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with every plan that is refused the status is 1: the spec is well written."""
    monkeypatch.setattr(LiveHost, "mount_max", 5)
    saved = tmp_path / "saved.json"
    saved.write_text(dump_plan(api.plan(api.load(str(shop)))))
    for file in (shop, saved):
        ended = run("check", file)
        assert 1 == ended.status
        assert "fs.mount-max allows 5" in ended.err
