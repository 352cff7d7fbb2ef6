"""What is swapped before or while a plan is carried out: paths for symlinks, files for what only looks like them.

What is outside is never reached, and nothing is opened that was no file when it was planned.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from mmap import mmap
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.sys import syscalls
from mountplan.planner.errors import MountplanError, StepRefused
from tests.applier.test_limits import meanwhile
from tests.faulthost import furnish
from tests.hosts import InHost, mount
from tests.trees import ROOT, plan_of, tree

pytestmark = pytest.mark.needs_kernel("root")
ROUNDS = 10_000


def everything() -> list[str]:
    """All paths that can be found. What is swapped away between two looks is passed over."""
    return [os.path.join(top, name) for top, directories, files in os.walk("/") for name in (*directories, *files)]


def swapped(spec: str) -> tuple[int, int]:
    """Build `spec` until /mnt/data/dir and /mnt/data/link, which leads to /mnt/outside, have changed places so often.

    How often it came out, and how often it was refused. Whenever it came out, it shows nothing from outside.
    """
    furnish()
    os.mkdir("/mnt/outside")
    os.mkdir("/mnt/outside/sub")
    Path("/mnt/outside/sub/canary").write_text("canary")
    Path("/mnt/data/dir/sub/inside").write_text("inside")
    os.symlink("/mnt/outside", "/mnt/data/link")
    plan = plan_of(spec)
    directory = os.open("/mnt/data", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    count = memoryview(mmap(-1, 8)).cast("Q")

    def swap(number: int) -> None:
        syscalls.exchange(directory, b"dir", b"link")
        count[0] = number

    outcomes = [0, 0]
    with meanwhile(swap):
        while count[0] < ROUNDS or min(outcomes) == 0:
            if sum(outcomes) > 2000:
                break
            try:
                with tree(plan) as built:
                    found = built.inside(everything)
                assert not any("canary" in path for path in found), found
                outcomes[0] += 1
            except (MountplanError, LookupError):
                outcomes[1] += 1
    assert ["/mnt/outside/sub", "/mnt/outside/sub/canary"] == [
        str(one) for one in sorted(Path("/mnt/outside").rglob("*"))
    ]
    return outcomes[0], outcomes[1]


def test_a_source_that_is_swapped_for_a_symlink_is_never_followed_elsewhere(in_host: InHost) -> None:
    """What the plan names is bound, or the build is refused: nothing from where the link leads."""
    spec = f'{ROOT}[[mount]]\ntarget = "/bound"\nbind = "/mnt/data/dir/sub"\n'
    came_out, was_refused = in_host(lambda: swapped(spec), identity="root", timeout=120)
    assert came_out > 0
    assert was_refused > 0


def test_a_target_that_is_swapped_for_a_symlink_never_escapes(in_host: InHost) -> None:
    """Neither is anything mounted outside, nor a mountpoint made there."""
    spec = f"""{ROOT}
    [[mount]]
    target = "/data"
    bind = "/mnt/data"
    [[mount]]
    target = "/data/dir/sub/new"
    type = "tmpfs"
    create = true
    """
    came_out, was_refused = in_host(lambda: swapped(spec), identity="root", timeout=120)
    assert came_out > 0
    assert was_refused > 0


def device(path: str) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


PRETENDERS: dict[str, tuple[Callable[[str], None], str]] = {
    "fifo": (os.mkfifo, "EMEDIUMTYPE"),
    "device": (device, "EMEDIUMTYPE"),
    "directory": (os.mkdir, "EMEDIUMTYPE"),
    "link": (lambda path: os.symlink("/proc/self/environ", path), "ELOOP"),
}
SOURCES = {
    "file": '[[mount.file]]\npath = "copy"\nsource = "/mnt/thing"\n',
    "image": '[[mount]]\ntarget = "/x"\ntype = "ext4"\nimage = "/mnt/thing"\noptions = { ro = true }\n',
}


@pytest.mark.parametrize("kind", PRETENDERS)
@pytest.mark.parametrize("source", SOURCES)
def test_what_was_a_file_when_it_was_planned_is_not_opened_as_anything_else(
    source: str, kind: str, in_host: InHost
) -> None:
    """A fifo would block, a device may do something when it is opened, and a link leads elsewhere."""
    pretend, number = PRETENDERS[kind]

    def script() -> tuple[str, str]:
        mount("none", "/mnt", "tmpfs")
        Path("/mnt/thing").write_text("a file")
        plan = plan_of(ROOT + SOURCES[source])
        os.unlink("/mnt/thing")
        pretend("/mnt/thing")
        with pytest.raises(StepRefused) as caught:
            api.build_and_forget(plan, timeout=10)
        return errno.errorcode[caught.value.errno], caught.value.remedy

    found, remedy = in_host(script, identity="root")
    assert number == found
    assert "plan again" in remedy


def test_a_bind_whose_source_has_become_a_link_into_proc_is_refused(in_host: InHost) -> None:
    """As a /dev/null that is a link to /proc/sysrq-trigger by the time it is bound."""

    def script() -> str:
        mount("none", "/mnt", "tmpfs")
        os.mknod("/mnt/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        plan = plan_of(f'{ROOT}[[mount]]\ntarget = "/null"\nbind = "/mnt/null"\n')
        os.unlink("/mnt/null")
        os.symlink("/proc/sysrq-trigger", "/mnt/null")
        with pytest.raises(StepRefused) as caught:
            api.build_and_forget(plan)
        return errno.errorcode[caught.value.errno]

    assert "ELOOP" == in_host(script, identity="root")


def test_what_masks_a_path_is_not_taken_from_the_host(in_host: InHost) -> None:
    """Whatever stands there for /dev/null: a file and a directory are hidden by empty ones of the build's own."""

    def script() -> tuple[str, list[str], set[str]]:
        mount("none", "/dev", "tmpfs")
        os.symlink("/proc/version", "/dev/null")
        mount("none", "/mnt", "tmpfs")
        Path("/mnt/secret").write_text("secret")
        Path("/mnt/keys/one").mkdir(parents=True)
        with tree(f'{ROOT}[[mount]]\ntarget = "/x"\nbind = "/mnt"\nmask = ["secret", "keys"]\n') as built:
            seen = built.inside(lambda: (Path("/x/secret").read_text(), os.listdir("/x/keys")))
            return *seen, {built.at(path).fstype for path in ("/x/secret", "/x/keys")}

    assert ("", [], {"tmpfs"}) == in_host(script, identity="root")


@pytest.mark.parametrize("kind", ["directory", "file"])
@pytest.mark.parametrize("where", ["source", "target"])
@pytest.mark.parametrize("becomes", ["symlink", "nothing"])
def test_of_many_in_one_directory_one_that_is_swapped_is_refused(
    becomes: str, where: str, kind: str, in_host: InHost
) -> None:
    """Such a directory is walked to once. What is refused is told as of a walk to each."""

    def script() -> tuple[str, str]:
        mount("none", "/mnt", "tmpfs")
        spec = 'name = "many"\nroot = "inherit"\n'
        for name in ("source", "target"):
            os.mkdir(f"/mnt/{name}")
        for number in range(6):
            for name in ("source", "target"):
                path = Path(f"/mnt/{name}/{number}")
                path.mkdir() if kind == "directory" else path.touch()
            spec += f'[[mount]]\ntarget = "/mnt/target/{number}"\nbind = "/mnt/source/{number}"\n'
        plan = plan_of(spec)
        with tree(plan) as built:
            rows = built.built.held().table.rows
            assert 6 == sum(row.mountpoint.startswith("/mnt/target/") for row in rows)
        os.rename(f"/mnt/{where}/4", "/mnt/away")
        if becomes == "symlink":
            os.symlink("/mnt/away", f"/mnt/{where}/4")
        with pytest.raises(StepRefused) as refused, tree(plan):
            pass
        return errno.errorcode[refused.value.errno], refused.value.syscall

    assert ("ELOOP" if becomes == "symlink" else "ENOENT", "openat2") == in_host(script, identity="root")


@pytest.mark.parametrize(("last", "source"), [(5, "source"), (2, "elsewhere")], ids=["beside them", "elsewhere"])
def test_a_file_bound_after_directories_is_not_mounted_on_what_has_become_a_symlink(
    last: int, source: str, in_host: InHost
) -> None:
    """Its descriptor has the number that a directory's had before; a directory alone may be attached without a walk."""

    def script() -> str:
        mount("none", "/mnt", "tmpfs")
        spec = 'name = "many"\nroot = "inherit"\n'
        for name in ("source", "elsewhere", "target"):
            os.mkdir(f"/mnt/{name}")
        for number in range(last + 1):
            below = source if number == last else "source"
            for name in (below, "target"):
                path = Path(f"/mnt/{name}/{number}")
                path.touch() if number == last else path.mkdir()
            spec += f'[[mount]]\ntarget = "/mnt/target/{number}"\nbind = "/mnt/{below}/{number}"\n'
        plan = plan_of(spec)
        os.rename(f"/mnt/target/{last}", "/mnt/away")
        os.symlink("/mnt/away", f"/mnt/target/{last}")
        with pytest.raises(StepRefused) as refused, tree(plan):
            pass
        return errno.errorcode[refused.value.errno]

    assert "ELOOP" == in_host(script, identity="root")
