"""The archive of the sources, the wheel and the Debian package, each installed as a user would.

`make test-packages` asks for these: pip fetches what mountplan imports.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.hosts import CHECKOUT, InHost, mount

pytestmark = pytest.mark.skipif(
    not os.environ.get("MOUNTPLAN_PACKAGES"), reason="takes minutes and the network: make test-packages"
)


def ran(*words: str | Path, cwd: Path = CHECKOUT, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}  # pip wants one
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, env={**inherited, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the sources, made from what git tracks."""
    place = tmp_path_factory.mktemp("sources")
    ran("git", "clone", "--quiet", CHECKOUT, place / "clone")
    ran(sys.executable, "-m", "build", "--sdist", "--outdir", place, place / "clone")
    (archive,) = place.glob("*.tar.gz")
    return archive


def test_the_archive_has_all_that_is_tracked_but_the_links(sources: Path) -> None:
    with tarfile.open(sources) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tracked = set(ran("git", "ls-files").splitlines())
    assert {f"mountplan/{name}" for name in ("planner", "applier", "specs")} == tracked - held


def test_an_unpacked_archive_runs_its_tests(sources: Path, tmp_path: Path) -> None:
    with tarfile.open(sources) as archive:
        archive.extractall(tmp_path, filter="data")
    (top,) = tmp_path.iterdir()
    ran("make", "test", "TESTS=-q tests/test_packaging.py tests/planner/test_actions.py", cwd=top)


def test_pipx_installs_the_command_with_its_pages(sources: Path, tmp_path: Path) -> None:
    ran(
        sys.executable, "-m", "pipx", "install", sources,
        PIPX_HOME=f"{tmp_path}/home", PIPX_BIN_DIR=f"{tmp_path}/bin", PIPX_MAN_DIR=f"{tmp_path}/man",
    )  # fmt: skip
    command = tmp_path / "bin/mountplan"
    assert "no mistakes" in ran(command, "check", "specs/hello.toml")
    assert (tmp_path / "man/man1/mountplan-apply.1").exists()


@pytest.mark.needs_kernel("root")
def test_the_debian_package_works_where_it_is_unpacked(sources: Path, tmp_path: Path, in_host: InHost) -> None:
    ran("contrib/debian/build", sources, tmp_path, PYTHON=str(Path(sys.executable).resolve()))
    (package,) = tmp_path.glob("*.deb")
    ran("dpkg-deb", "--extract", package, tmp_path / "tree")

    def script() -> tuple[str, str]:
        mount("usr", "/usr", "overlay", data=f"lowerdir={tmp_path}/tree/usr:/usr")
        checked = ran("/usr/bin/mountplan", "check", "specs/hello.toml", cwd=CHECKOUT)
        return checked, ran("/usr/bin/mountplan", "run", "specs/sandbox.toml", "--", "true", cwd=CHECKOUT)

    checked, _ = in_host(script)
    assert "no mistakes" in checked
    assert not list(Path(tmp_path, "tree").rglob("__pycache__"))
