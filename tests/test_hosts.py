"""The throw-away hosts that the kernel tests stand on."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hosts import (
    CHECKOUT,
    PATIENCE,
    ChildTraceback,
    HostDied,
    HostTimeout,
    Identity,
    InHost,
    moments,
    mount,
    run_in_child,
)
from tests.mountflags import MS_REC, MS_SHARED


def test_a_result_comes_back_from_the_child() -> None:
    pid, text = run_in_child(lambda: (os.getpid(), "x" * 200_000))
    assert pid != os.getpid()
    assert len(text) == 200_000, "more than a pipe holds"


def test_a_mount_in_a_throw_away_host_is_not_seen_outside(in_host: InHost, tmp_path: Path) -> None:
    """Not even when the script makes everything shared: the host was cut off before."""

    def script() -> list[str]:
        mount("", "/", flags=MS_REC | MS_SHARED)
        mount("none", str(tmp_path), "tmpfs")
        (tmp_path / "inside").touch()
        return os.listdir(tmp_path)

    assert ["inside"] == in_host(script)
    assert [] == os.listdir(tmp_path)


def test_a_throw_away_host_begins_with_private_mounts(in_host: InHost) -> None:
    def fields() -> list[str]:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line for line in lines if " shared:" in line]

    assert [] == in_host(fields)


@pytest.mark.needs_kernel("root")
def test_root_stays_root_where_it_is_asked_for(in_host: InHost) -> None:
    assert (0, os.stat("/proc/self/ns/user").st_ino) == in_host(
        lambda: (os.geteuid(), os.stat("/proc/self/ns/user").st_ino), identity="root"
    )


@pytest.mark.needs_kernel("userns")
def test_an_ordinary_user_is_root_in_a_user_namespace(in_host: InHost, tmp_path: Path) -> None:
    """And has no more than that: a device node is beyond it."""

    def script() -> tuple[int, bool]:
        mount("none", "/tmp", "tmpfs")
        with pytest.raises(PermissionError):
            os.mknod("/tmp/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        return os.geteuid(), os.stat("/proc/self/ns/user").st_ino != outer

    outer = os.stat("/proc/self/ns/user").st_ino
    assert (0, True) == in_host(script, identity="userns")


@pytest.mark.needs_kernel("nobody")
def test_nobody_may_not_mount(in_host: InHost) -> None:
    """An ordinary user without a user namespace, in a host that root has prepared."""
    with pytest.raises(PermissionError):
        in_host(lambda: mount("none", "/tmp", "tmpfs"), identity="nobody")


@pytest.mark.parametrize("identity", ["userns", "nobody"])
def test_an_ordinary_user_gets_to_python_the_tests_and_what_is_asked_for(
    in_host: InHost, tmp_path: Path, identity: Identity
) -> None:
    """They may lie in a directory that only root can enter; a test that imports something late would fail there."""
    tmp_path.chmod(0o755)
    (tmp_path / "words").write_text("hello")
    (tmp_path / "words").chmod(0o644)

    def script() -> list[str]:
        command = [sys.executable, "-c", "import json, tests.hosts; print(open('words').read())"]
        done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(CHECKOUT)}, capture_output=True)
        return [done.stdout.decode(), done.stderr.decode()]

    assert ["hello\n", ""] == in_host(script, identity=identity, reach=[tmp_path])


def test_an_exception_keeps_its_type_and_its_errno_and_brings_the_childs_traceback() -> None:
    def where_it_happens() -> None:
        raise FileNotFoundError(errno.ENOENT, "no such thing", "/some/path")

    with pytest.raises(FileNotFoundError, match=r"^\[Errno 2\] no such thing: '/some/path'$") as caught:
        run_in_child(where_it_happens)
    assert errno.ENOENT == caught.value.errno
    assert isinstance(caught.value.__cause__, ChildTraceback)
    assert "in where_it_happens" in str(caught.value.__cause__)


class Refused(Exception):
    """An exception as ours are: its constructor does not take what `args` holds."""

    def __init__(self, *, number: int, handle: object = None) -> None:
        self.number = number
        self.handle = handle
        super().__init__(f"step {number}")


def test_an_exception_with_a_constructor_of_its_own_comes_through() -> None:
    def script() -> None:
        raise Refused(number=7, handle=lambda: None)

    with pytest.raises(Refused, match=r"^step 7$") as caught:
        run_in_child(script)
    assert 7 == caught.value.number
    assert not hasattr(caught.value, "handle"), "what cannot be pickled stays behind"


def test_an_exception_that_cannot_be_pickled_is_told_by_name() -> None:
    def script() -> None:
        class Local(Exception):
            pass

        raise Local("lost")

    with pytest.raises(RuntimeError, match=r"Local: lost$"):
        run_in_child(script)


def test_a_skip_inside_skips_the_test_outside() -> None:
    with pytest.raises(pytest.skip.Exception, match="not today"):
        run_in_child(lambda: pytest.skip("not today"))


def test_a_result_that_cannot_be_pickled_is_an_error() -> None:
    with pytest.raises(Exception, match="pickle"):
        run_in_child(lambda: lambda: None)


def test_a_child_that_takes_too_long_is_killed_with_its_own_children() -> None:
    read_end, write_end = os.pipe()

    def script() -> None:
        with subprocess.Popen(["sleep", "1000"], pass_fds=[write_end]):
            time.sleep(1000)

    try:
        with pytest.raises(HostTimeout, match=r"not done after 0\.3 seconds"):
            run_in_child(script, timeout=0.3)
    finally:
        os.close(write_end)
    assert b"" == os.read(read_end, 1), "another process still holds the pipe"
    os.close(read_end)


def test_what_the_child_leaves_running_is_killed() -> None:
    """The pipe of the result is inherited by a fork; waiting for its end would wait for the grandchild."""

    def script() -> int:
        grandchild = os.fork()
        if grandchild == 0:
            time.sleep(1000)
            os._exit(0)
        return grandchild

    begin = time.monotonic()
    grandchild = run_in_child(script, timeout=30)
    assert time.monotonic() - begin < 10 * PATIENCE
    for _ in moments():  # killed at once, but reaped by init whenever that gets to it
        state = _state(grandchild)
        if state in ("", "Z"):
            break
    assert state in ("", "Z")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by SIGKILL"),
        (lambda: os._exit(7), "ended with status 7"),
        (lambda: os.execv(sys.executable, [sys.executable, "-S", "-c", "raise SystemExit(9)"]), "ended with status 9"),
    ],
    ids=["signal", "exit", "exec"],
)
def test_a_child_that_ends_without_a_word_is_an_error(end: object, words: str) -> None:
    with pytest.raises(HostDied, match=words):
        run_in_child(end)  # type: ignore[arg-type]
