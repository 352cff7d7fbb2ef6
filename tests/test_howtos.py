"""The how-tos of docs/ whose commands name a process or a mount of the host's: run, with these put there for them.

Not run: docs/howto-boot.md, which takes systemd as process 1 (tests/test_contrib.py has its unit read by systemd).
docs/howto-sandbox.md is run by tests/test_docs.py, docs/howto-editor.md by tests/cli/test_editor.py.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mountplan import api
from tests.hosts import CHECKOUT, InHost, mount
from tests.keptnames import on_run
from tests.mountflags import MS_SHARED

pytestmark = pytest.mark.needs_kernel("root", "set-group")


def page(name: str) -> str:
    return (CHECKOUT / f"docs/{name}.md").read_text()


def spec_of(text: str) -> str:
    (spec,) = re.findall(r"^```toml\n(.*?)^```", text, re.M | re.S)
    return str(spec)


def lines_of(text: str) -> list[str]:
    """The commands for a shell, in their order: in lines of their own, or between words."""
    return [one or other for one, other in re.findall(r"^mountplan ([^\n]+)$|`mountplan ([^`]+)`", text, re.M)]


def said(line: str) -> str:
    words = [sys.executable, "-m", "mountplan", *shlex.split(line, comments=True)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(CHECKOUT)})
    assert (0, "") == (done.returncode, done.stderr if done.returncode else ""), line
    return done.stdout


def test_a_process_is_captured_built_again_and_compared(in_host: InHost, tmp_path: Path) -> None:
    lines = lines_of(page("howto-container"))
    assert 7 == len(lines)

    def script() -> list[str]:
        os.chdir(tmp_path)
        with api.build(
            api.Spec(mount=[api.Mount(target="/", type="tmpfs"), api.Mount(target="/a", type="tmpfs")])
        ) as tree:
            return [said(line.replace("4711", str(tree.pid))) for line in lines]

    shown, explained, _, plan, copy, same, live = in_host(on_run(script), identity="root")
    assert "\n└─a " in shown
    assert explained.startswith("Nothing in process ")
    assert "2 mounts" in plan
    assert 'kept "web"' in copy
    assert same.startswith("The same: web and process ")
    assert "nothing" in live.lower()


def test_a_view_follows_the_host_and_says_so_before(in_host: InHost, tmp_path: Path) -> None:
    text = page("howto-slave-view")
    (tmp_path / "viewer.toml").write_text(spec_of(text))
    lines = [line.replace("\n", " ") for line in lines_of(text) if "viewer.toml" in line]
    assert 2 == len(lines)

    def script() -> tuple[list[str], bool, bool]:
        os.chdir(tmp_path)
        mount("media", "/media", "tmpfs")
        mount("", "/media", flags=MS_SHARED)
        os.mkdir("/media/usb")
        told = [said(line) for line in lines]
        with api.build("viewer.toml") as tree:
            mount("usb", "/media/usb", "tmpfs")
            arrived = "/media/usb" in tree.mounts()
            tree.mount("/media/usb/x", create=True)
        return told, arrived, "/media/usb/x" in Path("/proc/self/mountinfo").read_text()

    told, arrived, left = in_host(script, identity="root")
    groups, answer = told
    assert "Out of viewer: nothing" in groups
    assert "/media/usb appears" in answer
    assert (True, False) == (arrived, left)


def test_what_a_driver_mounts_is_on_the_host_and_the_preview_says_so(in_host: InHost, tmp_path: Path) -> None:
    (tmp_path / "csi.toml").write_text(spec_of(page("howto-csi-node")))

    def script() -> tuple[str, bool]:
        os.chdir(tmp_path)
        mount("lib", "/var/lib", "tmpfs")
        os.mkdir("/var/lib/kubelet")
        mount("kubelet", "/var/lib/kubelet", "tmpfs")
        mount("", "/var/lib/kubelet", flags=MS_SHARED)
        told = said("plan csi.toml")
        with api.build("csi.toml") as tree:
            tree.mount("/var/lib/kubelet/volume", create=True)
        return told, "/var/lib/kubelet/volume" in Path("/proc/self/mountinfo").read_text()

    plan, there = in_host(script, identity="root")
    assert "the host" in plan.partition("Sharing")[2]
    assert "Nothing crosses the border" not in plan
    assert there
