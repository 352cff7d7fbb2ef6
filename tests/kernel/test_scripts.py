"""Scripts mean in the model what they mean to the shell, mount(8), umount(8) and unshare(1): the same mounts come.

The words are run by the real programs, below a directory; `simulate --compare-kernel` only repeats what was understood.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mountplan.planner.shell.simulate import empty_world, simulate
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.rehearsing import compare_with_kernel
from tests.hosts import PATIENCE, InHost, mount
from tests.kernel.script_fuzz import search
from tests.propagation import require_rules
from tests.shell_scripts import BASH, LINES, script_of, shown

pytestmark = pytest.mark.needs_kernel("root", "unshare")


@pytest.mark.parametrize("line", LINES)
def test_a_script_comes_to_the_same_mounts_as_the_real_programs(line: str, in_host: InHost) -> None:
    require_rules()

    def run() -> list[str]:
        mount("none", "/run", "tmpfs", data="mode=755")  # mount(8) keeps notes there, of `user` for one
        mount("base", "/mnt", "tmpfs", data="mode=755")
        script = script_of(line, "/mnt")
        shell = "bash" if line in BASH else "sh"
        subprocess.run([shell, "-c", script], capture_output=True, timeout=60 * PATIENCE)
        return shown(parse_mountinfo(Path("/proc/self/mountinfo").read_bytes()).rows, "base")

    modelled = simulate(script_of(line, "")).final[0].table.rows
    assert in_host(run, identity="root") == shown(modelled, "none")


@pytest.mark.needs_kernel("nsenter")
def test_random_scripts_come_to_the_same_by_the_real_programs() -> None:
    """A sample; `make fuzz-scripts` tries as many as wanted."""
    require_rules()
    result = search(range(1, 16))
    assert () == result.differences
    assert 100 < result.lines


@pytest.mark.parametrize(
    "script",
    [
        "mkdir /a; mount -t tmpfs one /a; umount -R a",
        "mkdir /a /c; mount -t tmpfs one /a; mount --bind /c /a; cd /c; umount one; umount -R /a",
        "mkdir /a; rmdir /a/; mkdir /a/; rmdir /a//",
        "mkdir -p /a/x /b; mount -t tmpfs one /b; open_tree --clone /a/x @q; rmdir /a/x; move_mount --beneath /b @q",
        "mkdir -p /a/x /b; cd /a; mount -t tmpfs one /a; mkdir x; mount -t tmpfs two x; mount --bind . /b; umount x",
        "mkdir /a; mount -t tmpfs one /a; touch /a/f; mount -o remount,ro /a; touch /a/f; echo > /a/f; touch /a; > /a",
        "mkdir -p /a/b /b; mount -t tmpfs one /b; cd /a; mount -t tmpfs two .; umount -l .; mount -o remount,ro b",
        "mkdir /a /etc; echo 'one /a tmpfs ro,nosuid' > /etc/fstab; mount /a; mount -o remount,rw,noexec /a",
        "mkdir /a /b; ln -s a /l; mount -t tmpfs one /l; umount l; mv /b /c; rm /l; rm -r /a; mount -t tmpfs one /c",
        (
            "mkdir /a; mount -t tmpfs one /a; mount --make-shared /a; open_tree --clone /a @p; fsmount tmpfs @q;"
            " fsmount tmpfs @r; move_mount @q @p; move_mount --beneath @r @p"
        ),
        (
            "mkdir /a; mount -t tmpfs one /a; mkdir /a/x; cd /a/x; rmdir /a/x; mount -o remount,ro /a; cd /;"
            " mount -o remount,ro /a"
        ),
        (
            "mkdir -p /a/x /b; mount --bind /a/x /b; rmdir /a/x; mount -o remount,ro /; umount /b;"
            " mount -o remount,ro /; mkdir /c"
        ),
        "mkdir -p /a /b/c; mount -t tmpfs one /b; umount /gone/../b; cd /a; umount ../a/../b; umount ../gone/../a",
    ],
)
def test_what_random_scripts_have_shown(script: str) -> None:
    require_rules()
    assert () == compare_with_kernel(simulate(script), empty_world(), "SCRIPT").differences
