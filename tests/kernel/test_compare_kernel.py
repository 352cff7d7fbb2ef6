"""`simulate --compare-kernel` carries a script out for real, and nothing of that reaches the machine."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import resource
from pathlib import Path

import pytest

from mountplan.applier.sys import syscalls
from mountplan.cli import main
from tests.faults import CALLS
from tests.hosts import InHost, mount, umount
from tests.mountflags import MS_BIND, MS_REC, MS_SHARED
from tests.propagation import in_the_model, on_the_kernel, require_rules
from tests.without import filter_calls


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
    assert (0, before) == (status, after), told
    assert "line 4: cannot unmount /: EINVAL" in told
    assert "The kernel did the same, command by command" in told


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


@pytest.mark.needs_kernel("root")
@pytest.mark.parametrize("call", ["fsopen", "fsconfig"])
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.ENOMEM])
def test_a_refused_call_is_no_mistake_of_the_script(call: str, number: int, in_host: InHost, tmp_path: Path) -> None:
    def look() -> tuple[int, str]:
        filter_calls({CALLS[call]: number})
        return compared("mkdir /a\nmount -t tmpfs x /a\n", tmp_path)

    status, told = in_host(look, identity="root")
    assert (3, True) == (status, f" {call}: {os.strerror(number)}" in told and "user namespace" not in told), told


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
        assert "The kernel did the same, command by command" in told

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


def same(programs: int) -> str:
    return f"The kernel did the same, command by command ({programs} programs run with the words of the script).\n"


@pytest.mark.needs_kernel("root", "unshare")
def test_a_command_that_is_misread_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are run by mount(8) itself: a comparison of the calls that were understood would find nothing."""
    from mountplan.planner.commands.mount_arguments import read_mount as read

    monkeypatch.setattr(
        "mountplan.planner.commands.mount_actions.read_mount", lambda words, _: read(words)._replace(words=("noexec",))
    )
    status, told = compared("mkdir /a\nmount -t tmpfs x /a\nmount -t tmpfs y /a\n", tmp_path)
    told = told.partition("The kernel does otherwise:\n")[2]
    what = "attributes is rw,relatime instead of rw,noexec,relatime"
    assert (1, f"  line 2: mount -t tmpfs x /a: process 1: /a: {what}\n") == (status, told)


@pytest.mark.needs_kernel("root", "unshare")
def test_a_command_that_ends_otherwise_is_told_with_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mountplan.planner.commands.util_linux import read_umount as read

    monkeypatch.setattr(
        "mountplan.planner.commands.script_commands.read_umount", lambda words: read(words)._replace(recursive=True)
    )
    status, told = compared(
        "mkdir -p /a\nmount -t tmpfs x /a\nmkdir /a/b\nmount -t tmpfs y /a/b\numount /a\n", tmp_path
    )
    told = told.partition("The kernel does otherwise:\n")[2]
    assert (1, "  line 5: umount /a: status 0 in the model, 32 (umount: /a: target is busy.) in fact\n") == (
        status,
        told,
    )


WHERE_NO_PROGRAM_IS = """\
mkdir /n /c
mount -t tmpfs n /n
mkdir /n/old /n/q /n/r
pivot_root /n /n/old
mount -t tmpfs -o noexec k /q
cd /q
mkdir s
mount --bind s ../r
umount -l /old
chroot /q mkdir /inside
unshare --mount --fork --root /q mkdir /u
mount -o remount,bind,ro /q
mount -o remount,ro k
umount -R /r
"""

IN_OTHER_NAMESPACES = """\
mkdir /a /b
mount -t tmpfs x /a
mount --make-shared /a
mkdir /a/x
(unshare -m --propagation slave sleep 9) & P=$!
nsenter -t $P -m mount -t tmpfs inside /b
mount -t tmpfs y /a/x
nsenter --target=$P --mount umount /a/x
(unshare -Urm sleep 9) & Q=$!
nsenter -t $Q -m -U --preserve-credentials mount -t tmpfs u /b
nsenter -t $Q -m -U mount -t tmpfs u3 /b
nsenter -t $$ -m umount /a/x
kill $P $Q
"""

WITHOUT_CAPABILITIES = """\
mkdir /a /b
mount -t tmpfs x /a
mount --make-shared /a
(unshare -U -m mount -t tmpfs y /b) || mkdir /b/no
(unshare -U umount /a) || mkdir /b/nor
unshare -Um umount /a
unshare -U unshare -m true
unshare -U unshare -U true
unshare -U chroot /a true
unshare -Um mount -o remount,ro /a
unshare -Um --map-root-user mount -o remount,bind,ro /a
unshare -Um --map-current-user mount -o remount,bind,ro /a
unshare -Uc umount /b
unshare -U mkdir /a/dd
chroot /nowhere true
umount -R /nowhere
umount -R /b /nowhere
umount /b /nowhere
"""


@pytest.mark.needs_kernel("root", "unshare")
@pytest.mark.parametrize(
    ("script", "programs"), [(WHERE_NO_PROGRAM_IS, 15), (IN_OTHER_NAMESPACES, 16), (WITHOUT_CAPABILITIES, 31)]
)
def test_the_real_programs_run_wherever_a_script_has_gone(script: str, programs: int, tmp_path: Path) -> None:
    """In roots without a file, in namespaces of other users, and where nothing is allowed."""
    status, told = compared(script, tmp_path)
    assert (0, same(programs)) == (status, told.split("\n\n")[-1])


@pytest.mark.needs_kernel("root", "unshare")
def test_where_no_file_can_be_lent_the_calls_are_made_and_that_is_said(tmp_path: Path) -> None:
    """mount(8) reads /proc/self/mountinfo, and what the script has made its root is read-only and has no /proc."""
    script = "mkdir /n\nmount -t tmpfs n /n\nmkdir /n/old /n/q\nmount -o remount,ro /n\npivot_root /n /n/old\n"
    status, told = compared(f"{script}mount -t tmpfs k /q\n", tmp_path)
    note = "Not run, in one place at least: mount; the calls that stand for it were made instead.\n"
    assert (0, same(5) + note) == (status, told.split("\n\n")[-1])


@pytest.mark.needs_kernel("root", "unshare")
def test_a_program_that_reads_the_table_again_does_not_read_an_old_one(tmp_path: Path) -> None:
    """umount -A passes over what an unmount before has taken along."""
    script = "mkdir /a /b\nmount -t tmpfs A /a --make-shared\nmkdir /a/x /a/y\nmount --bind /a /b\n"
    status, told = compared(f"{script}mount -t tmpfs C /a/x\nmount --bind /a/x /a/y\numount -A /a/x\n", tmp_path)
    assert (0, True) == (status, "The kernel did the same" in told)


@pytest.mark.needs_kernel("root", "unshare")
@pytest.mark.alone  # the kernel gives ids of mounts anew, and umount(8) takes them for ages
def test_a_recursive_unmount_goes_by_the_age_of_what_is_mounted(tmp_path: Path) -> None:
    """Which end it begins with hangs on the version at hand, and whether it meets a cover hangs on that."""
    script = "mkdir /a\nmount -t tmpfs a /a\nmkdir -p /a/b/c\nmount -t tmpfs c /a/b/c\nmount -t tmpfs b /a/b\n"
    status, told = compared(f"{script}umount -R /a\n", tmp_path)
    assert (0, same(6)) == (status, told.split("\n\n")[-1])


@pytest.mark.needs_kernel("root", "unshare")
@pytest.mark.parametrize("last", ["umount -A -R /a", "umount -R /a/b /a/b\numount -R /a /a/b"])
def test_a_recursive_unmount_takes_covers_first_and_passes_over_what_is_gone(last: str, tmp_path: Path) -> None:
    script = "mkdir /a\nmount -t tmpfs a /a\nmkdir /a/b\nmount -t tmpfs b /a/b\nmkdir /a/b/c\nmount -t tmpfs c /a/b/c\n"
    status, told = compared(f"{script}mount -t tmpfs cover /a/b\nmount --bind /a /a/b\n{last}\n", tmp_path)
    assert (0, True) == (status, "The kernel did the same" in told)


@pytest.mark.needs_kernel("root")
def test_on_machines_without_code_for_it_no_program_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mountplan.applier.run import programs

    monkeypatch.setattr(programs, "library", lambda machine: None)
    status, told = compared("mkdir /a\nmount -t tmpfs x /a\n", tmp_path)
    said = "The programs themselves were not run: they are not run on "
    assert (0, 1) == (status, told.count(said))
