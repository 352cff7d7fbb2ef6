"""What is said where a kept name is wanted and something else is named; and processes, named as everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command_line import Command
from tests.hosts import CHECKOUT, InHost


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a spec in it, and nothing kept anywhere."""
    (tmp_path / "shop.toml").write_text('format = 1\n[[mount]]\ntarget = "/"\ntype = "tmpfs"\n')
    (tmp_path / "my shop.toml").write_bytes((tmp_path / "shop.toml").read_bytes())
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message", "remedy"),
    [
        (
            ("enter", "./shop.toml"),
            "./shop.toml: is a spec, and enter takes the name under which one is kept",
            "keep it first: `mountplan apply ./shop.toml`",
        ),
        (("show", "shop.toml"), "shop.toml: is a spec", "`mountplan plan shop.toml`"),
        (("enter", "my shop.toml"), "my shop.toml: is a spec", "`mountplan run 'my shop.toml' -- COMMAND`"),
        (("rm", "./shop.toml"), "./shop.toml: is a spec", "`mountplan ls` lists the names"),
        (("show", "none.toml"), "none.toml: is no file, and no kept name either", "`mountplan ls`"),
        (("enter", "runtime"), "runtime: is a path, and enter takes a kept name", "`mountplan ls`"),
        (("show", "./none"), "./none: is a path", "`mountplan ls`"),
        (("enter", "1"), "1: is the number of a process", "`nsenter --target PID --mount`"),
        (("rm", "pid:1"), "pid:1: is the number of a process", "`mountplan ls`"),
        (("show", "pid:x"), "pid:x: is no number of a process", "mountplan show --help"),
        (("show", "self"), "nothing is kept under the name 'self'", "this process is pid:self"),
        (("show", "name:nonesuch"), "nothing is kept under the name 'nonesuch'", "`mountplan ls`"),
        (
            ("capture", "shop.toml"),
            "shop.toml: is a spec, and capture takes the name",
            "`mountplan ls` lists the names",
        ),
        (("watch", "shop.toml"), "shop.toml: is not a tree that stands", "`mountplan ls` lists it"),
        (("simulate", "shop.toml"), "shop.toml: is no shell script", "`mountplan plan shop.toml`"),
        (("capture", "pid:x"), "pid:x: is no number of a process", "mountplan capture --help"),
    ],
)
def test_what_is_no_kept_name_is_told_for_what_it_is(
    run: Command, here: Path, words: tuple[str, ...], message: str, remedy: str
) -> None:
    ended = run(*words)
    said, _, helps = ended.err.partition("\n  remedy: ")
    assert (2, "") == (ended.status, ended.out)
    assert said.startswith(f"mountplan: {message}")
    assert remedy in helps


@pytest.mark.parametrize("name", ["{}", "pid:{}", "pid:self"])
def test_show_takes_a_process(run: Command, here: Path, name: str) -> None:
    ended = run("show", name.format(os.getpid()))
    assert (0, "") == (ended.status, ended.err)
    assert ended.out.startswith("TARGET ")
    assert [""] == [table["name"] for table in run("--json", "show", name.format(os.getpid())).json()["tables"]]


def test_capture_takes_a_bare_number_for_a_process(run: Command, here: Path) -> None:
    assert run("capture", "--pid", str(os.getpid())).out == run("capture", str(os.getpid())).out != ""


@pytest.mark.needs_kernel("root")
def test_without_proc_that_is_what_is_said(in_host: InHost) -> None:
    def script() -> list[str]:
        subprocess.run(["umount", "-l", "/proc"], check=True)
        said = []
        for words in (["apply", "--forget", f"{CHECKOUT}/specs/hello.toml"], ["doctor"]):
            done = subprocess.run(
                [sys.executable, "-m", "mountplan", *words],
                capture_output=True,
                text=True,
                env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
            )
            said.append(done.stdout + done.stderr)
        return said

    apply, doctor = in_host(script)
    assert apply.count("\n") == 2
    assert apply.endswith("  remedy: mount it: mount -t proc proc /proc\n")
    missing = [line for line in doctor.splitlines() if line.startswith("  missing ") and "/proc/self" in line]
    assert len(missing) > 3
    assert len(missing) <= doctor.count("remedy: mount it: mount -t proc proc /proc\n")
