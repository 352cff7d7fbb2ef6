"""Scripts mean in the model what they mean to the shell, mount(8), umount(8) and unshare(1): the same mounts come.

The words are run by the real programs, below a directory; `simulate --compare-kernel` only repeats what was understood.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mountplan.applier.run.programs import util_linux_at_hand
from mountplan.planner.commands.mount_arguments import BY_DESCRIPTOR
from mountplan.planner.commands.util_linux import OLDEST
from mountplan.planner.errors import SpecError
from mountplan.planner.shell.simulate import empty_world
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.rehearsing import compare_with_kernel
from tests.hosts import PATIENCE, InHost, mount
from tests.kernel.script_fuzz import search, search_shells
from tests.propagation import require_rules
from tests.shell_scripts import BASH, LINES, script_of, shown, simulated

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

    modelled = simulated(script_of(line, "")).final[0].table.rows
    assert in_host(run, identity="root") == shown(modelled, "none")


@pytest.mark.needs_kernel("nsenter")
def test_random_scripts_come_to_the_same_by_the_real_programs() -> None:
    """A sample; `make fuzz-scripts` tries as many as wanted."""
    require_rules()
    result = search(range(1, 16))
    assert () == result.differences
    assert 100 < result.lines


def test_random_scripts_come_to_the_same_by_the_real_shells() -> None:
    """A sample; `make fuzz-shells` tries as many as wanted."""
    require_rules()
    result = search_shells(range(1, 31))
    assert () == result.differences
    assert 100 < result.lines


FILES = [
    "touch /f; unshare --mount=/f mkdir /d; nsenter --mount=/f mount -t tmpfs x /d; umount /f; nsenter -m/f true",
    (
        "mkdir /r; touch /r/f; mount --make-shared /; unshare --mount=/r/f true; mount --bind /r /r;"
        " mount --make-private /r; unshare --mount=/r/f true; nsenter -m/r/f mount --bind /r/f /r/f"
    ),
    # One that is of an older namespace, or of the caller's own, is not mounted, nor is it moved there.
    (
        "touch /f /g; unshare --mount=/f true; unshare --mount=/g true; nsenter --mount=/f mount --bind /g /g;"
        " nsenter --mount=/f umount /g; nsenter --mount=/f mount --bind /f /g; nsenter --mount=/f umount /f;"
        " open_tree --clone /f @f; unshare -m move_mount @f /f; move_mount @f /f"
    ),
    # Its namespace lives as long as that of the last mount of it, in whichever namespace that is.
    (
        "mkdir /a; mount -t tmpfs s /a; mount --make-shared /a; touch /f /g; unshare --mount=/f --propagation slave"
        " unshare --mount=/g --propagation slave mount --make-slave /; umount /f; mount --make-slave /a"
    ),
    "touch /f; unshare -Ur --mount=/f mount -t tmpfs x /; nsenter --mount=/f umount /; unshare -Ur nsenter -m/f true",
    "touch /f; unshare --mount=/f true; mkdir /b; touch /b/f; mount --rbind / /b; unshare -m sh -c 'rm /f'; umount /f",
    "touch /f /g; unshare --mount=/f --net=/g true; touch /f; > /g; nsenter -n/g true; nsenter -n/f true; umount -A /f",
    "mkdir /d; cd /d; touch f; unshare --mount=f true; cd /; mount -N d/f --bind /d /d; mount -N $$ --make-shared /",
    "mkdir /d; mount --make-shared /; unshare -m --propagation slave unshare -m -R /none true; mount --make-private /",
    "touch /f; unshare --mount=/none true; unshare --mount=/d true; mount -N /none -t tmpfs x /; mount -N /f -a",
]


@pytest.mark.parametrize("script", FILES)
def test_files_of_namespaces_do_as_the_real_programs_do(script: str) -> None:
    require_rules()
    assert () == compare_with_kernel(simulated(script), empty_world(), "SCRIPT").differences


@pytest.mark.parametrize("way", ["mount --bind $R/p/self/ns/{0} $R/f", "mount -N $$ --bind $R/p/self/ns/{0} $R/f"])
@pytest.mark.parametrize("kind", ["net", "mnt"])
def test_the_file_of_a_namespace_in_a_proc_is_no_file_of_that(kind: str, way: str, in_host: InHost) -> None:
    """It is one of nsfs, and that of one's own mount namespace is not mounted at all."""
    require_rules()
    line = f"mkdir $R/p; mount -t proc p $R/p; touch $R/f; {way.format(kind)}; umount $R/p"

    def run() -> list[str]:
        mount("base", "/mnt", "tmpfs", data="mode=755")
        subprocess.run(["sh", "-c", script_of(line, "/mnt")], capture_output=True, timeout=60 * PATIENCE)
        rows = parse_mountinfo(Path("/proc/self/mountinfo").read_bytes()).rows
        return [f"{row.mountpoint[4:]} {row.root.partition(':')[0]}" for row in rows if row.fstype == "nsfs"]

    rows = simulated(script_of(line, "")).final[0].table.rows
    modelled = [f"{row.mountpoint} {row.root.partition(':')[0]}" for row in rows if row.fstype == "nsfs"]
    assert in_host(run, identity="root") == modelled == (["/f net"] if kind == "net" else [])


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
        "mkdir /a /b; mount -t tmpfs one /a; mount -l -t tmpfs; mount | grep -q ' on /a ' && umount /a",
        # Whether a bind of the table is there already, mount(8) tells by the source's name and not by its device.
        (
            "mkdir /a /b /etc; printf 'one /a tmpfs ro\\n/a /b none bind\\n' > /etc/fstab; mount -a; mount /a;"
            " mount -a -t none"
        ),
        "mkdir -p /a /b/c; mount -t tmpfs one /b; umount /gone/../b; cd /a; umount ../a/../b; umount ../gone/../a",
    ],
)
def test_what_random_scripts_have_shown(script: str) -> None:
    require_rules()
    assert () == compare_with_kernel(simulated(script), empty_world(), "SCRIPT").differences


def test_a_remount_takes_what_the_table_has_as_util_linux_2_38_does_or_says_that_it_is_another() -> None:
    """Of a line that has `bind`, it changes the filesystem; of one with `rbind`, the mount."""
    require_rules()
    script = (
        "mkdir /a /b /etc; mount -t tmpfs one /a; mount --bind /a /b; echo '/a /b none bind,nosuid' > /etc/fstab;"
        " mount -o remount,ro /b; mount -o remount,rw /b; echo '/a /b none rbind,nodev' > /etc/fstab;"
        " mount -o remount,ro /b; mount -o remount,bind,rw /b"
    )
    if (util_linux_at_hand() or OLDEST) >= BY_DESCRIPTOR:
        with pytest.raises(SpecError, match=r"known of util-linux 2\.38 only"):
            simulated(script)
    else:
        assert () == compare_with_kernel(simulated(script), empty_world(), "SCRIPT").differences
