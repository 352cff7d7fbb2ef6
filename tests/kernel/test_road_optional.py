"""What is optional, on a real machine: what counts as not there, and that a plan is made anew when it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mountplan import api
from mountplan.planner.errors import SpecError
from tests.hosts import CHECKOUT, InHost
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("mountns")


def optional(source: object, words: str = "") -> str:
    return f'{ROOT}[[mount]]\ntarget = "/a"\nbind = "{source}"\noptional = true\n{words}\n'


def test_a_missing_path_is_left_out_and_what_is_below_it_stands_lower(tmp_path: Path) -> None:
    below = '[[mount]]\ntarget = "/a/b"\ntype = "tmpfs"\n'
    with tree(optional(tmp_path / "missing", below)) as built:
        assert ["/", "/a/b"] == built.mountpoints()
    (tmp_path / "missing/b").mkdir(parents=True)
    with tree(optional(tmp_path / "missing", below)) as built:
        assert ["/", "/a", "/a/b"] == built.mountpoints()


def test_a_dangling_symlink_and_a_path_below_a_file_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("dangling", "file/below"):
        (one,) = plan_of(optional(tmp_path / name)).expected.left_out
        assert "/a" == one.target, name


@pytest.mark.needs_kernel("root")
def test_a_path_that_may_not_be_looked_at_is_a_mistake_and_not_left_out(tmp_path: Path, in_host: InHost) -> None:
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(SpecError, match="too many levels of symbolic links"):
        plan_of(optional(tmp_path / "round"))
    (tmp_path / "closed/dir").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)

    def look() -> list[str]:
        said = []
        mask = f'{ROOT}[[mount]]\ntarget = "/a"\nbind = "{tmp_path}"\nmask = [{{ path = "closed/x", optional = true }}]'
        for text in (optional(tmp_path / "closed/dir"), optional(tmp_path / "closed/no-such"), mask):
            try:
                plan_of(text)
                said.append("planned")
            except SpecError as error:
                said.append(error.mistakes[0].what)
        return said

    try:
        said = in_host(look, identity="nobody")
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert 3 == sum(one.endswith(": permission denied") for one in said), said


def test_a_kept_plan_is_made_anew_when_what_was_missing_is_there(tmp_path: Path) -> None:
    spec, source = tmp_path / "spec.toml", tmp_path / "source"
    spec.write_text("format = 1\n" + optional(source))
    command = [sys.executable, "-m", "mountplan", "apply", "--forget", "--json", str(spec)]

    def left_out() -> list[str]:
        done = subprocess.run(
            command, cwd=CHECKOUT, env={"XDG_CACHE_HOME": str(tmp_path)}, capture_output=True, check=True
        )
        answer = json.loads(done.stdout)
        assert answer["verified"] is not bool(answer["left_out"])
        return [one["target"] for one in answer["left_out"]]

    assert [["/a"], ["/a"]] == [left_out(), left_out()]
    source.mkdir()
    assert [[], []] == [left_out(), left_out()]
    source.rmdir()
    assert ["/a"] == left_out()


def test_the_plan_file_and_its_check_name_what_is_left_out(tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text("format = 1\n" + optional(tmp_path / "missing"))
    plan, mistakes = api.check_and_plan(spec.read_bytes(), str(spec))
    assert () == mistakes
    assert plan is not None
    assert ["/a"] == [one.target for one in plan.expected.left_out]


@pytest.mark.parametrize(
    "made",
    [
        'type = "ext4"\nimage = "/no/such"',
        'type = "ext4"\nsource = "/no/such"',
        'type = "overlay"\nlayers = ["/usr", "/no/such"]',
        'type = "tmpfs"\ncontents = "/no/such"',
        'bind = "/no/such"',
    ],
)
def test_what_stands_nowhere_is_left_out_with_what_is_made_from_it(made: str) -> None:
    """Nothing of it is made: a filesystem without its image cannot be."""
    holder = f'{ROOT}[[mount]]\nid = "x"\noptional = true\n{made}\n'
    for rest in (
        "",
        'bind = { mount = "x" }\n',
        'type = "squashfs"\nimage = { mount = "x", path = "/y" }\n',
        'type = "overlay"\nlayers = ["/usr"]\ndata_layers = [{ mount = "x" }]\n',
    ):
        with tree(holder + (f'[[mount]]\ntarget = "/a"\noptional = true\n{rest}' if rest else "")) as built:
            assert ["/"] == built.mountpoints()
