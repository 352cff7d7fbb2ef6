"""The fixtures that mountplan gives to other people's tests, used as they would use them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mountplan.applier.probe.probe import Finding
from mountplan.pytest_plugin import Mountplan
from tests.hosts import CHECKOUT, InHost

pytest_plugins = ["pytester"]

HELLO = """
format = 1
[[mount]]
target = "/"
type = "tmpfs"
[[mount]]
target = "/data"
type = "tmpfs"
[[mount.file]]
path = "greeting"
content = "hello"
"""
TWO = """
format = 1
[peer_group.shared]
[[namespace]]
name = "one"
[[namespace.mount]]
id = "top"
target = "/"
type = "tmpfs"
peer_group = "shared"
[[namespace]]
name = "two"
[[namespace.mount]]
target = "/"
bind = { mount = "top" }
peer_group = "shared"
"""


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


@pytest.mark.needs_kernel("mountns")
def test_a_function_called_in_a_tree_sees_the_tree(mountplan: Mountplan) -> None:
    """Its result comes back by pickle."""
    assert "hello" == mountplan(HELLO).call(_read, "/data/greeting")


@pytest.mark.needs_kernel("mountns")
def test_an_exception_comes_back_with_the_traceback_from_inside(mountplan: Mountplan) -> None:
    """A failed assertion in there must be readable out here."""
    with pytest.raises(FileNotFoundError) as caught:
        mountplan(HELLO).call(_read, "/nosuch")
    assert "in _read" in str(caught.value.__cause__)


@pytest.mark.needs_kernel("mountns")
def test_a_command_runs_in_the_tree(mountplan: Mountplan) -> None:
    """The inherited tree has the machine's programs; what the spec adds is seen by them."""
    tree = mountplan('format = 1\nroot = "inherit"\n[[mount]]\ntarget = "/mnt"\ntype = "tmpfs"\n')
    assert "tmpfs\n" == tree.run(["stat", "-f", "-c", "%T", "/mnt"], check=True).stdout


@pytest.mark.needs_kernel("mountns")
def test_the_root_can_be_looked_at_from_outside(mountplan: Mountplan) -> None:
    """Through /proc/PID/root, as long as the tree is open."""
    assert "hello" == (mountplan(HELLO).root / "data/greeting").read_text()


@pytest.mark.needs_kernel("mountns")
@pytest.mark.mountplan(HELLO)
def test_the_mark_names_the_spec(mountplan: Mountplan) -> None:
    """A fixture of the user's own can then build what its test is marked with."""
    assert ("/", "/data") == tuple(row.mountpoint for row in mountplan().observe().rows)


@pytest.mark.needs_kernel("mountns")
@pytest.mark.mountplan(
    f'{HELLO}[parameters]\nx = "/there"\n[[mount]]\ntarget = "${{x}}"\nbind = "./{Path(__file__).name}"\n'
)
def test_a_spec_takes_values_and_the_files_beside_its_test(mountplan: Mountplan) -> None:
    """Text and dict are in no file; their paths count from where the test is."""
    assert "pytester" in mountplan().call(_read, "/there")
    assert "pytester" in mountplan(parameters={"x": "/here"}).call(_read, "/here")
    made = {"format": 1, "parameters": {"x": "/y"}, "mount": [{"target": "/", "type": "tmpfs"}], "include": []}
    made["mount"].append({"target": "${x}", "bind": "./"})  # type: ignore[attr-defined]
    assert "pytester" in mountplan(made, parameters={"x": "/z"}).call(_read, f"/z/{Path(__file__).name}")


@pytest.mark.needs_kernel("mountns")
def test_a_change_inside_is_drift(mountplan: Mountplan) -> None:
    """drift() looks at what stands there now, not at what stood there once."""
    tree = mountplan(HELLO)
    assert () == tree.drift()
    tree.call(_unmount, b"/data")
    assert ["/data"] == [difference.mount for difference in tree.drift()]


def _unmount(path: bytes) -> None:
    from mountplan.applier.sys import syscalls

    syscalls.umount2(path, 2)


@pytest.mark.needs_kernel("mountns")
def test_each_namespace_can_be_entered(mountplan: Mountplan) -> None:
    """By name, in its order, with a namespace file of its own."""
    tree = mountplan(TWO)
    assert ("one", "two") == tree.names
    assert 2 == len({os.stat(tree.namespace(name)).st_ino for name in tree.names})
    assert [1, 1] == [len(tree.observe(name).rows) for name in tree.names]
    assert () == tree.drift()


@pytest.mark.needs_kernel("mountns")
def test_the_same_spec_gives_the_same_topology_again(mountplan: Mountplan) -> None:
    """Two trees at once, from one text: neither differs from the other's plan."""
    first, second = mountplan(TWO), mountplan(TWO)
    assert first.plan == second.plan
    assert () == first.drift() == second.drift()


def test_what_is_missing_skips_with_its_name_and_fails_if_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A skip without a reason hides a machine on which nothing is tested."""
    pytester.makepyfile(
        """
        def test_it(mountplan):
            mountplan('format = 1\\n[[mount]]\\ntarget = "/"\\ntype = "tmpfs"\\n')
        """
    )
    finding = Finding("filesystem:tmpfs", False, "fsopen: refused", "mounting a new tmpfs", "none")
    monkeypatch.setattr("mountplan.applier.probe.probe.missing", lambda features: (finding,))
    pytester.runpytest_inprocess("-rs").stdout.fnmatch_lines(["*mounting a new tmpfs does not work here*"])
    assert 1 == pytester.runpytest_inprocess("--mountplan-require").ret


@pytest.mark.needs_kernel("mountns")
def test_a_changed_host_fails_the_test_and_names_the_mount(in_host: InHost, tmp_path: Path) -> None:
    """The watch is of no use if it cannot bark: at a mount, and at an option of a superblock."""
    (tmp_path / "test_it.py").write_text(
        """
import pytest
from tests.hosts import mount
from tests.mountflags import MS_REMOUNT

pytestmark = pytest.mark.usefixtures("mountplan_host_unchanged")

def test_a_mount():
    mount("added", "/mnt", "tmpfs", data="size=4k")

def test_an_option():
    mount("", "/mnt", flags=MS_REMOUNT, data="size=8k")

def test_nothing():
    pass
"""
    )

    def script() -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-q", "-rN", "-p", "no:cacheprovider", str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(CHECKOUT)})
        return ended.returncode, ended.stdout

    status, out = in_host(script, reach=(tmp_path,))
    assert 1 == status
    assert "3 passed, 2 errors" in out
    changes = [line[0] + line.rpartition(" ")[2] for line in out.splitlines() if line.startswith(("- ", "+ "))]
    assert ["+rw,size=4k", "-rw,size=4k", "+rw,size=8k"] == changes


def test_an_unused_plugin_imports_nothing_of_weight() -> None:
    """pytest loads it wherever mountplan is installed."""
    code = (
        "import sys, mountplan.pytest_plugin as p; print(sorted(m for m in sys.modules if m.startswith('mountplan')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "['mountplan', 'mountplan.pytest_plugin', 'mountplan.version']\n" == out
