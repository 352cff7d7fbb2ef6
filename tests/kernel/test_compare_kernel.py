"""`simulate --compare-kernel` carries a script out for real, and nothing of that reaches the machine."""

from __future__ import annotations

import contextlib
import io
import os
import resource
from pathlib import Path

import pytest

from mountplan.applier.sys import syscalls
from mountplan.cli import main
from tests.hosts import InHost, mount, umount
from tests.mountflags import MS_BIND, MS_REC, MS_SHARED
from tests.propagation import in_the_model, on_the_kernel, require_rules


@pytest.fixture(autouse=True)
def a_kernel_whose_rules_the_model_has() -> None:
    require_rules()


def compared(script: str, directory: Path) -> tuple[int, str]:
    """Exit status and all output of the comparison of a script, which is put into a file called `script`."""
    (directory / "script").write_text(script)
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        status = main(["simulate", "--compare-kernel", str(directory / "script")])
    return status, text.getvalue().replace(f"{directory}/", "")


def go_to_a_root_of_tmpfs() -> None:
    """Make a tmpfs, with what the machine's root has in it, the root of this namespace: it stands for the machine's."""
    mount("machine", "/mnt", "tmpfs", data="mode=755")
    for entry in os.scandir("/"):
        if entry.is_symlink():
            os.symlink(os.readlink(entry), f"/mnt/{entry.name}")
        elif entry.is_dir() and entry.name != "mnt":
            os.mkdir(f"/mnt/{entry.name}")
            mount(entry.path, f"/mnt/{entry.name}", flags=MS_BIND | MS_REC)
    os.chdir("/mnt")
    syscalls.pivot_root(b".", b".")
    umount(".", 2)
    os.chdir("/")


BELOW_THE_ROOT = """\
umount -l /
nsenter -t $$ -m mount -o remount,ro /
nsenter -t $$ -m umount /
nsenter -t $$ -m umount -l /
"""


@pytest.mark.needs_kernel("userns")
def test_below_the_root_of_a_script_lies_nothing_of_the_machine(in_host: InHost, tmp_path: Path) -> None:
    """Options of superblocks are machine-wide, so the one below the root is of the script's own too.

    In a user namespace, where a mistake here could not harm more than the tmpfs that stands for the machine's root.
    """

    def look() -> tuple[int, str, bytes, bytes]:
        go_to_a_root_of_tmpfs()
        before = Path("/proc/self/mountinfo").read_bytes()
        status, told = compared(BELOW_THE_ROOT, tmp_path)
        return status, told, before, Path("/proc/self/mountinfo").read_bytes()

    tmp_path.chmod(0o777)
    status, told, before, after = in_host(look, identity="userns", reach=[tmp_path])
    assert (0, before) == (status, after)
    assert "line 4: cannot unmount /: EINVAL" in told
    assert "The kernel did the same, call by call" in told


@pytest.mark.needs_kernel("root")
def test_a_script_can_live_on_below_its_root() -> None:
    script = """\
umount -l /
nsenter -t $$ -m mkdir -p /new
nsenter -t $$ -m mount -t tmpfs n /new
nsenter -t $$ -m mkdir /new/old
nsenter -t $$ -m pivot_root /new /new/old
nsenter -t $$ -m umount /old
nsenter -t $$ -m umount -l /
nsenter -t $$ -m findmnt
"""
    assert in_the_model(script) == on_the_kernel(script)
    assert ["7: EINVAL"] == in_the_model(script).refused


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize(
    "command",
    [
        "mount -t debugfs d /a",
        "mount -t cgroup2 c /a",
        "mount -t proc p /a",
        "mount -t ext4 /dev/loop0 /a",
    ],
)
def test_a_filesystem_that_would_be_the_machines_is_refused_with_its_line(command: str, tmp_path: Path) -> None:
    """A new mount of these shows what the machine has already; options would be set there.

    Without options, since a mistake here must do no harm.
    """
    status, told = compared(f"mkdir /a\n{command}\n", tmp_path)
    fstype = command.split()[2]
    assert 2 == status
    assert told.startswith(f"script:2: {fstype} is not mounted to compare: a user namespace may not, ")


@pytest.mark.needs_kernel("root")
def test_a_filesystem_that_the_kernel_does_not_know_is_refused_with_its_line(tmp_path: Path) -> None:
    status, told = compared("mkdir /a\nmount -t frobfs x /a\n", tmp_path)
    assert (2, "script:2: frobfs cannot be mounted to compare: No such device") == (status, told.split("\n")[0])


@pytest.mark.parametrize("whose", ["the first", "ours"])
def test_processes_that_are_not_the_scripts_cannot_be_entered(whose: str, tmp_path: Path) -> None:
    """The first shell is process 1 of the model; a 1 in the script is the machine's first process all the same."""
    pid = 1 if whose == "the first" else os.getpid()
    status, told = compared(f"nsenter -t {pid} -m mount -o remount,ro /\n", tmp_path)
    assert (2, f"script:1: nsenter: {pid} is no process of this script") == (status, told.split("\n")[0])


REACHING_OUT = """\
mount --make-rshared /
mkdir -p {here} /tmp /new/old
touch {here}/file
rmdir {there}
mount -t tmpfs t /tmp
mount --bind / /tmp
mount --rbind /tmp /new
mount --make-rslave /
mount -o remount,ro /
mount -o remount,bind,noexec /tmp
pivot_root /new /new/old
umount -l {there}
umount -R /tmp
cd ../..
mount --move /tmp ../../..
chroot ../.. mkdir {here}/deeper
umount -l /
"""


@pytest.mark.needs_kernel("root")
def test_a_script_changes_nothing_on_the_host(in_host: InHost, tmp_path: Path) -> None:
    """Neither mounts, however shared, nor files at the paths that the script names, nor processes or descriptors."""
    here, there = tmp_path / "here", tmp_path / "there"
    there.mkdir()

    def state() -> tuple[bytes, list[str], list[str], str]:
        descriptors = sorted(os.listdir("/proc/self/fd"))
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        return Path("/proc/self/mountinfo").read_bytes(), sorted(os.listdir(tmp_path)), descriptors, children

    def look() -> None:
        mount("", "/", flags=MS_SHARED | MS_REC)
        script = REACHING_OUT.format(here=here, there=there)
        compared(script, tmp_path)
        before = state()
        _, told = compared(script, tmp_path)
        assert before == state()
        assert "The kernel did the same, call by call" in told

    in_host(look, identity="root")


@pytest.mark.needs_kernel("root")
def test_a_process_that_has_ended_keeps_nothing_busy() -> None:
    """Its root and its directory are free once the kernel has let go of them, which is later than its last word."""
    script = "mkdir -p /c/1\nmount --bind /c /c\n" + "chroot /c mkdir /2\numount /c\nmount --bind /c /c\n" * 200
    assert [f"{line}: EEXIST" for line in range(6, 603, 3)] == on_the_kernel(script).refused


@pytest.mark.needs_kernel("root")
def test_a_script_may_start_more_processes_than_descriptors_may_be_open(in_host: InHost) -> None:
    def look() -> list[str]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        return on_the_kernel("mkdir /a\n" + "chroot / mkdir /a\n" * 100).refused

    assert 100 == len(in_host(look, identity="root"))


@pytest.mark.needs_kernel("root")
def test_who_is_in_a_chroot_can_compare_as_well(in_host: InHost, tmp_path: Path) -> None:
    """A user namespace cannot be made from a chroot, but root can leave it first."""

    def look() -> list[str]:
        mount("/", "/mnt", flags=MS_BIND | MS_REC)
        os.chroot("/mnt")
        os.chdir("/")
        return on_the_kernel("mkdir /a\nmount -t tmpfs x /a\n").mounts

    assert ["/a x"] == in_host(look, identity="root")
