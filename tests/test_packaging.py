"""What holds the layout together: two links in the checkout, one table in pyproject.toml, and a light start."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mountplan.cli.command_modules import COMMANDS
from tests.hosts import CHECKOUT

HALVES = ("planner", "applier")
LINKED = (*HALVES, "specs")
# All that `mountplan apply plan.json` needs. Each of these modules may load none of the heavy ones.
LIGHT = (
    "attributes", "compare.compare", "errors", "paths", "plan.plan", "plan.planfile", "plan.predict", "plan.steps",
    "tables.mountinfo", "tables.table",
)  # fmt: skip
HEAVY = {"dataclasses", "networkx", "pydantic", "rich", "shtab", "tomli", "tomli_w"}


@pytest.mark.parametrize("half", LINKED)
def test_each_link_leads_to_its_folder(half: str) -> None:
    """As a plain directory it would be a second copy; without it, tools see half a package."""
    link = CHECKOUT / "mountplan" / half
    assert Path("..", half) == link.readlink()
    assert (CHECKOUT / half).samefile(link)


def test_the_table_in_pyproject_names_every_package() -> None:
    """setuptools is told each package by name: a new folder that is not listed would be missing in the wheel only."""
    with open(CHECKOUT / "pyproject.toml", "rb") as file:
        table = tomllib.load(file)["tool"]["setuptools"]
    found = {
        ".".join(("mountplan", *init.parent.relative_to(CHECKOUT).parts)).replace("mountplan.mountplan", "mountplan")
        for half in ("mountplan", *HALVES)
        for init in (CHECKOUT / half).rglob("__init__.py")
        if not init.is_relative_to(CHECKOUT / "mountplan/planner")
        and not init.is_relative_to(CHECKOUT / "mountplan/applier")
    }
    specs = {
        f"mountplan.{path.parent.relative_to(CHECKOUT)}".replace("/", ".") for path in CHECKOUT.glob("specs/**/*.toml")
    }
    assert found | specs == set(table["packages"])
    assert specs == table["package-data"].keys() - {"mountplan"}
    assert {"mountplan": "mountplan", **{f"mountplan.{half}": half for half in LINKED}} == table["package-dir"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(built_wheel(tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


def built_wheel(folder: Path, **environment: str) -> Path:
    """A wheel built from a copy of the checkout, so that no build/ of an earlier day gets into it."""
    pytest.importorskip("setuptools", "77", "needs setuptools, to build a wheel without the network")
    pytest.importorskip("argparse_manpage", reason="needs argparse-manpage, which makes the manual pages")
    copy = folder / "checkout"
    copy.mkdir()
    for name in ("mountplan", "bin", *LINKED):
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(CHECKOUT / name, copy / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "LICENSE", "README.md"):
        if (CHECKOUT / name).exists():
            shutil.copy(CHECKOUT / name, copy)
    build = "from setuptools.build_meta import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    command = [sys.executable, "-c", build, str(copy)]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return copy / done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("environment", "tag"), [({"CC": "false"}, "-abi3-linux_"), ({"MOUNTPLAN_PURE": "1"}, "-none-any")]
)
def test_a_wheel_is_built_without_a_compiler(environment: dict[str, str], tag: str, tmp_path: Path) -> None:
    """What is written in C is a help where it can be had, and no more: one build of it does for all versions."""
    file = built_wheel(tmp_path, **environment)
    assert tag in file.name
    with zipfile.ZipFile(file) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]


@pytest.mark.skipif(
    not shutil.which("cc") or not Path(sysconfig.get_path("include"), "Python.h").exists(), reason="no cc"
)
def test_the_wheel_has_what_is_built_from_c_for_all_versions_of_python(wheel: zipfile.ZipFile) -> None:
    built = {"mountplan/applier/sys/_loop.abi3.so", "mountplan/planner/tables/_columns.abi3.so"}
    assert built == {name for name in wheel.namelist() if name.endswith(".so")}
    assert "-cp311-abi3-linux_" in str(wheel.filename)


def test_the_wheel_has_one_top_level_name(wheel: zipfile.ZipFile) -> None:
    """`planner` and `applier` are names that anybody might use; in site-packages they would collide."""
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {"mountplan"} == {top for top in tops if not top.endswith((".dist-info", ".data"))}


def test_the_wheel_has_every_module_of_the_checkout(wheel: zipfile.ZipFile) -> None:
    copy = Path(str(wheel.filename)).parent  # not the checkout itself, which a developer may be working in
    for top in ("mountplan", *HALVES):
        prefix = "" if top == "mountplan" else "mountplan/"
        expected = {prefix + str(module.relative_to(copy)) for module in _modules(copy / top)}
        assert set() == expected - set(wheel.namelist())
    assert "mountplan/py.typed" in wheel.namelist()
    specs = {f"mountplan/{spec.relative_to(CHECKOUT)}" for spec in CHECKOUT.glob("specs/**/*.toml")}
    assert specs == {name for name in wheel.namelist() if name.startswith("mountplan/specs/")}


def _modules(folder: Path) -> Iterator[Path]:
    """The modules of packages, which have an __init__.py; os.walk does not follow the links."""
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not os.path.islink(os.path.join(where, name))]
        if "__init__.py" in files:
            yield from (Path(where, name) for name in files if name.endswith(".py"))


def test_the_wheel_has_the_command(wheel: zipfile.ZipFile) -> None:
    (script,) = (name for name in wheel.namelist() if name.endswith(".data/scripts/mountplan"))
    assert wheel.read(script).startswith(b"#!python\n")  # for which pip writes the interpreter's path


def test_an_interrupt_while_the_program_loads_ends_it_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "mountplan").mkdir()
    (tmp_path / "mountplan/__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, CHECKOUT / "bin/mountplan"], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert (-signal.SIGINT, "") == (done.returncode, done.stderr)


def test_the_wheel_has_a_manual_page_for_each_command_and_what_shells_complete_with(wheel: zipfile.ZipFile) -> None:
    found = {name.partition(".data/data/share/")[2] for name in wheel.namelist()}
    assert {"man/man1/mountplan.1", *(f"man/man1/mountplan-{name}.1" for name in COMMANDS)} <= found
    assert {
        "bash-completion/completions/mountplan", "fish/vendor_completions.d/mountplan.fish",
        "zsh/site-functions/_mountplan",
    } <= found  # fmt: skip


@pytest.mark.skipif(not shutil.which("man"), reason="needs man, which reads the pages")
@pytest.mark.parametrize("page", ["mountplan", "mountplan-plan"])
def test_a_manual_page_reads_as_the_help_does(wheel: zipfile.ZipFile, tmp_path: Path, page: str) -> None:
    (name,) = (one for one in wheel.namelist() if one.endswith(f"/{page}.1"))
    file = tmp_path / f"{page}.1"
    file.write_bytes(wheel.read(name))
    command = ["man", "--warnings", "-l", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C"})
    assert (0, "") == (done.returncode, done.stderr)
    titles = {line for line in done.stdout.splitlines() if line.isupper()}
    assert {"NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"} <= titles


def _light_modules() -> list[str]:
    below = (path.relative_to(CHECKOUT).with_suffix("") for path in sorted((CHECKOUT / "applier").rglob("[!_]*.py")))
    return [f"mountplan.planner.{name}" for name in LIGHT] + [".".join(("mountplan", *path.parts)) for path in below]


@pytest.mark.parametrize("name", _light_modules())
def test_what_applies_a_plan_file_starts_light(name: str) -> None:
    """pydantic, networkx and rich each take longer to load than most plans take to apply; dataclasses 20 ms."""
    script = f"import json, sys; import {name}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); {script}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert set() == HEAVY & set(json.loads(done.stdout))


def test_a_typed_program_is_checked_against_what_is_installed(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    """`mypy --strict` of what users write: all names are typed, and values go in as people have them."""
    pytest.importorskip("mypy")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    wheel.extractall(site)
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "slip.py").write_text("import mountplan\n\nmountplan.Mount(target=3)\nmountplan.biuld\n")
    words = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path / "cache")]
    words += ["--python-executable", str(tmp_path / "venv/bin/python"), "program.py", "slip.py"]
    environment = {name: value for name, value in os.environ.items() if name not in ("MYPYPATH", "PYTHONPATH")}
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment)
    lines = [line.partition(": error: ") for line in done.stdout.splitlines() if ": error: " in line]
    assert ["slip.py:3", "slip.py:4"] == [line[0] for line in lines], done.stdout + done.stderr
    assert "[arg-type]" in lines[0][2]
    assert "[attr-defined]" in lines[1][2]


PROGRAM = """
from __future__ import annotations

import subprocess
from pathlib import Path

import mountplan
from mountplan import FileEntry, Mount, MountPath, MountsByPath, PeerGroup, Spec, Tree


def spec(where: Path) -> Spec:
    return Spec(
        name="typed",
        peer_group={"data": PeerGroup()},
        mount=[
            Mount(target="/", type="tmpfs", options={"size": "1m"}, file=[FileEntry(path="x", content="y")]),
            Mount(target=where, bind=MountPath(mount="root", path="/x"), attributes=["ro"]),
        ],
    )


def names(tree: Tree) -> list[str]:
    done: subprocess.CompletedProcess[str] = tree.run(["ls", "/"], cwd="/", user=0, check=True)
    raw: bytes = tree.run(["ls"], text=False).stdout
    assert raw
    return done.stdout.split()


def main() -> None:
    text: str = mountplan.to_toml(spec(Path("/srv")))
    mistakes: tuple[mountplan.Mistake, ...] = mountplan.check(text)
    print(mistakes)
    try:
        with mountplan.build(text) as tree:
            mounts: MountsByPath = tree.mounts()
            number: int = mounts["/"].peer_group
            size: int = tree.call(len, "abc")
            print(names(tree), number, size)
        kept = mountplan.apply(spec(Path("/srv")), "typed", replace=True)
        print(kept.outcome, kept.kept.name)
        with mountplan.attach("typed") as again, mountplan.attach(pid=1) as host:
            for difference in mountplan.diff(again, host).drift:
                print(difference.mount)
    except mountplan.MountplanError as error:
        raise SystemExit(error.exit_status) from None
"""
