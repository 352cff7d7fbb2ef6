"""What holds for every test: the host stays as it was, nothing is left over, and a test that cannot run says why."""

from __future__ import annotations

import difflib
import fcntl
import gc
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import mountplan.planner.language.spec  # noqa: F401  pydantic: once here, not again in the forked child of each test
from tests.hosts import Identity, InHost, Result, run_in_host
from tests.privileges import require
from tests.without import calls_of, do_without

os.environ["XDG_CACHE_HOME"] = "/proc/none"  # no plan is kept from one test to the next, nor in the user's cache

NEEDED_FOR: dict[Identity, str] = {"best": "mountns", "root": "root", "userns": "userns", "nobody": "nobody"}


def pytest_configure() -> None:
    """Run all tests as on a host that lacks some system calls: MOUNTPLAN_WITHOUT=statmount,listmount=EPERM."""
    do_without(calls_of(os.environ.get("MOUNTPLAN_WITHOUT", "")))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs_kernel"):
        require(*marker.args)


@pytest.fixture
def needs_kernel() -> Callable[..., None]:
    """The mark of the same name, for needs that show only while a test runs: `needs_kernel("mkfs.xfs")`."""
    return require


@pytest.fixture
def in_host() -> InHost:
    """tests.hosts.run_in_host, but where the machine allows no such host, the test is skipped."""

    def run(
        function: Callable[[], Result],
        *,
        identity: Identity = "best",
        timeout: float = 60.0,
        reach: Iterable[Path] = (),
    ) -> Result:
        require(NEEDED_FOR[identity])
        return run_in_host(function, identity=identity, timeout=timeout, reach=reach)

    return run


@pytest.fixture(autouse=True)
def host_untouched(request: pytest.FixtureRequest) -> Iterator[None]:
    """The host's mount table is the same after a test as before, byte for byte.

    Another program that mounts something in this moment fails the test as well; the difference tells. A test that is
    marked `alone` gives the machine other options for a while, so no other test of this user runs beside it.
    """
    alone = request.node.get_closest_marker("alone") is not None
    with open(Path(tempfile.gettempdir(), f"mountplan-tests-{os.getuid()}"), "wb") as turns:
        fcntl.flock(turns, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        before = _mount_table()
        yield
        after = _mount_table()
    if before != after:
        difference = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", "", "", 0, "")
        pytest.fail("the host's mount table has changed:\n" + "\n".join(difference), pytrace=False)


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    """A test leaves no descriptor and no child behind.

    What a fixture of a wider scope holds open is not the test's, unless a test asks for it by getfixturevalue.
    """
    before = _descriptors()
    had_children = _has_children()
    yield
    if _descriptors() != before:
        gc.collect()  # a failed test's traceback, or a cycle, may hold what a finalizer would close
    after = _descriptors()
    complaints = [f"descriptor {fd} is left open: {after[fd]}" for fd in sorted(after.keys() - before.keys())]
    complaints += [f"descriptor {fd} was closed: {before[fd]}" for fd in sorted(before.keys() - after.keys())]
    complaints += [
        f"descriptor {fd} was {before[fd]} and is {after[fd]}"
        for fd in sorted(before.keys() & after.keys())
        if before[fd] != after[fd]
    ]
    if _has_children() and not had_children:
        complaints.append("a child process is still running, or was never waited for")
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def _mount_table() -> str:
    return Path("/proc/self/mountinfo").read_bytes().decode("utf-8", "backslashreplace")


def _descriptors() -> dict[int, str]:
    """Descriptor -> what it is open on."""
    table = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            table[int(name)] = os.readlink(f"/proc/self/fd/{name}").removesuffix(" (deleted)")
        except FileNotFoundError:
            pass  # the one that listed the directory
    return table


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
