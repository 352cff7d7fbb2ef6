"""What holds for every test: the host stays as it was, nothing is left over, and a test that cannot run says why."""

from __future__ import annotations

import fcntl
import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests import inherited
from tests.hosts import Identity, InHost, Result, run_in_host
from tests.hosttable import HostTable
from tests.privileges import require
from tests.without import calls_of, do_without

NEEDED_FOR: dict[Identity, str] = {"best": "mountns", "root": "root", "userns": "userns", "nobody": "nobody"}


@pytest.hookimpl(trylast=True)  # the terminal's reporter has looked at the user's environment by then
def pytest_configure() -> None:
    """Run all tests as on a host that lacks some system calls: MOUNTPLAN_WITHOUT=statmount,listmount=EPERM."""
    inherited.settle()
    do_without(calls_of(os.environ.get("MOUNTPLAN_WITHOUT", "")))


def pytest_pycollect_makemodule(module_path: Path) -> None:
    """One profile for all generated tests: how long one example takes depends on what else the machine does.

    A test takes its settings from the profile as it is defined, so it is there before a module that has such tests is
    imported; and hypothesis is imported for those alone, as it takes longer than most tests.
    """
    if b"hypothesis" not in module_path.read_bytes():
        return
    import hypothesis

    if hypothesis.settings.get_current_profile_name() in ("default", "ci"):  # mutants have a profile of their own
        hypothesis.settings.register_profile(
            "mountplan",
            hypothesis.settings(),  # with CI=true the examples are the same every time
            max_examples=50,
            deadline=None,
            suppress_health_check=[hypothesis.HealthCheck.too_slow],
        )
        hypothesis.settings.load_profile("mountplan")


def pytest_collection_finish() -> None:
    """What is there when the first test begins stays to the end: no collector need look through it again and again."""
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hypothesis's plugin would import it for the summary, which takes longer than a test that does not need it."""
    plugins = session.config.pluginmanager
    if "hypothesis" not in sys.modules and not plugins.hasplugin("dsession"):  # where xdist hands out, others import
        plugins.unregister(name="hypothesispytest")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs_kernel"):
        require(*marker.args)


@pytest.fixture
def needs_kernel() -> Callable[..., None]:
    """The mark of the same name, for needs that show only while a test runs: `needs_kernel("mkfs.xfs")`."""
    return require


@pytest.fixture(scope="session")
def planner_imported(request: pytest.FixtureRequest) -> None:
    """What plans is imported once here, not in the forked child of each test; a few tests need not wait for all of it.

    What builds is not: it must have been imported before the child has another root, where there is no mountplan.
    """
    if request.session.testscollected < 20:
        import mountplan.planner.language.spec  # noqa: F401  pydantic
    else:
        from tests.commands import import_all

        import_all("mountplan.planner.")


@pytest.fixture
def in_host(planner_imported: None) -> InHost:
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


@pytest.fixture(scope="session")
def all_imported() -> None:
    """For tests.commands.command_line: what this process has imported, the processes that it forks need not."""
    from tests.commands import import_all

    import_all()


@pytest.fixture(scope="session")
def host_table() -> HostTable:
    return HostTable()


@pytest.fixture(autouse=True)
def host_untouched(request: pytest.FixtureRequest, host_table: HostTable) -> Iterator[None]:
    """The host's mount table is the same after a test as before, but for what other processes change of it.

    A test that is marked `alone` gives the machine other options for a while, so no other test runs beside it,
    for every user and from any checkout.
    """
    alone = request.node.get_closest_marker("alone") is not None
    with open(_turns()) as turns:
        fcntl.flock(turns, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        before = host_table.take()
        yield
        changes = host_table.changes(before, alone=alone)
    if changes:
        pytest.fail(f"the host's mount table has changed:\n{changes}", pytrace=False)


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


def _turns() -> Path:
    """The file that is locked: one for all users, who need only read it. Not in TMPDIR, which is each run's own."""
    path = Path("/tmp/mountplan-tests-turns")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    except FileExistsError:
        pass
    return path


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
