"""pytest fixtures: any mount topology in one line, and a watch over the host's mount table.

    def test_events_reach_the_peer(mountplan):
        tree = mountplan("specs/disjoint-group.toml")
        assert tree.run(["ls", "/peers"]).stdout == "a\\nbb\\nc\\n"

docs/pytest.md has all of it. Loaded by pytest wherever mountplan is installed, so nothing else is imported until a
fixture is used.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakSet

import pytest

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from mountplan.applier.build.standby import Standby
    from mountplan.planner.language.spec import Spec
    from mountplan.planner.plan.plan import Plan
    from mountplan.tree import Tree


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mountplan", "mount trees (mountplan)")
    group.addoption(
        "--mountplan-require",
        action="store_true",
        help="fail, do not skip, a test whose mount tree this kernel or user cannot build",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "mountplan(spec, parameters={}): the spec that mountplan() builds in this test, a file or TOML text"
    )


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, None]:
    """Tracebacks end in the test, not in mountplan, unless what was raised is a bug of ours."""
    if call.excinfo is not None:
        if isinstance(call.excinfo.value, AssertionError):
            _tell_answer(call.excinfo.value)
        if not item.config.getoption("fulltrace", False):
            _hide_own_frames(call.excinfo.value)
    yield


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """What a failed `assert` on mounts and drifts says."""
    if "mountplan.tree" not in sys.modules:
        return None
    from mountplan import assertion_text

    return assertion_text.explain_comparison(op, left, right)


@pytest.fixture(scope="session")
def _mountplan_standby() -> Iterator[Standby]:
    """What spares trees a fork of all that pytest has loaded. Tests that look for what is open find it before."""
    from mountplan.applier.build.standby import Standby

    standby = Standby()
    standby.start()
    yield standby
    standby.close()


@pytest.fixture
def mountplan(request: pytest.FixtureRequest, _mountplan_standby: Standby) -> Iterator[Mountplan]:
    """A function that builds a spec and returns a Tree: run commands or functions in it, look at it, compare it."""
    builder = Mountplan(request.config, _mountplan_standby, request.node)
    try:
        yield builder
    finally:
        builder.close()


@pytest.fixture(scope="session")
def mountplan_factory(request: pytest.FixtureRequest, _mountplan_standby: Standby) -> Iterator[Mountplan]:
    """The same for fixtures of a wider scope: `with mountplan_factory(spec) as tree: yield tree`.

    A tree that is not closed by then goes when the session ends.
    """
    builder = Mountplan(request.config, _mountplan_standby)
    try:
        yield builder
    finally:
        builder.close()


@pytest.fixture
def mountplan_host_unchanged() -> Iterator[None]:
    """Fails a test after which the mount table of this process's namespace is not what it was, byte for byte.

    The table has the options of the superblocks that are mounted there as well, which are the whole machine's.
    """
    before = _mount_table()
    yield
    after = _mount_table()
    if before != after:
        gone = [f"- {line}" for line in before if line not in set(after)]
        new = [f"+ {line}" for line in after if line not in set(before)]
        lines = gone + new or ["the same mounts, in another order"]
        what = "the host's mount table has changed, by this test or by another process meanwhile"
        pytest.fail("\n".join((f"{what}:", *lines)), pytrace=False)


def _mount_table() -> list[str]:
    from mountplan.applier.observe.observe import NEVER_STILL, read_still

    with open("/proc/self/mountinfo", "rb", buffering=0) as file:
        text = read_still(file)
    if text is None:
        pytest.fail(f"the host cannot be compared: {NEVER_STILL}", pytrace=False)
    return text.decode(errors="backslashreplace").splitlines()


_TREES: WeakSet[Tree] = WeakSet()  # of all tests, for _tell_answer()


class Mountplan:
    """Builds specs for a test (`node`), or for a session, and takes all down after it."""

    def __init__(self, config: pytest.Config, standby: Standby, node: pytest.Item | None = None) -> None:
        self._config = config
        self._standby = standby
        self._node = node
        self._trees: list[Tree] = []

    def __call__(
        self, spec: str | Path | dict[str, Any] | Spec | None = None, *, parameters: Mapping[str, str] | None = None
    ) -> Tree:
        """Build `spec`: a file (relative to the test's own, or to pytest's root), TOML text, a dict, or a Spec.

        Without one, the spec of the test's mark `mountplan` is built. `parameters` are values for the spec's; relative
        paths in a text or dict count from the directory of the test. Skips the test, with the reason, if this kernel
        or user lacks what the spec needs; fails it under --mountplan-require.
        """
        from mountplan import pipeline
        from mountplan.applier.observe.facts import LiveHost
        from mountplan.planner.errors import NamespaceRefused, NotAllowed, StepRefused
        from mountplan.tree import build

        caller = sys._getframe(1)
        made = pipeline.plan(self._spec(spec, parameters or {}, caller), LiveHost())
        try:
            tree = build(made, standby=self._standby)
        except NotAllowed as error:
            self._unavailable(str(error))
        except (NamespaceRefused, StepRefused):
            self._skip_if_missing(made)
            raise
        self._trees.append(tree)
        _TREES.add(tree)
        return tree

    def close(self) -> None:
        """Close all trees, the last one first, whatever becomes of the others."""
        while self._trees:
            tree = self._trees.pop()
            try:
                tree.close()
            except BaseException:
                self.close()
                raise

    def _spec(
        self, spec: str | Path | dict[str, Any] | Spec | None, parameters: Mapping[str, str], caller: FrameType
    ) -> Spec:
        from mountplan.forms import spec_of
        from mountplan.live_outside import LiveOutside

        if spec is None:
            mark = self._node.get_closest_marker("mountplan") if self._node is not None else None
            if mark is None or len(mark.args) != 1:
                raise pytest.UsageError('name a spec: mountplan("x.toml"), or @pytest.mark.mountplan("x.toml")')
            return self._spec(mark.args[0], {**mark.kwargs.get("parameters", {}), **parameters}, caller)
        here = self._node.path.parent if self._node is not None else Path(caller.f_code.co_filename).parent
        if isinstance(spec, str) and "\n" in spec:
            name, padding = self._place_of(spec, caller)
            outside = LiveOutside(name, str(here))
            return spec_of(name, (padding + spec).encode(), parameters=parameters, outside=outside)
        if isinstance(spec, (str, Path)):
            path = here / spec if (here / spec).exists() else self._config.rootpath / spec
            return spec_of(path, parameters=parameters)
        if isinstance(spec, Mapping):
            from mountplan.planner.language.spec_reading import build_spec

            name = f"dict in {self._shown(caller.f_code.co_filename)}{self._test()}"
            return build_spec(spec, name, LiveOutside(name, str(here)), parameters)
        return spec_of(spec, parameters=parameters)

    def _place_of(self, text: str, caller: FrameType) -> tuple[str, str]:
        """What errors call a text, and lines to put before it, so that they have the line of the test's file.

        Where that cannot be known, as it was put together, lines are counted in the text.
        """
        files = [caller.f_code.co_filename]
        if self._node is not None and str(self._node.path) not in files:
            files.append(str(self._node.path))  # of a mark, or of a constant that a fixture has been given
        for file in files:
            source = "".join(linecache.getlines(file))
            at = source.find(text)
            if at >= 0 and source.find(text, at + 1) < 0:
                return self._shown(file), "\n" * source.count("\n", 0, at)
        return f"TOML text in {self._shown(files[0])}{self._test()}", ""

    def _test(self) -> str:
        return f", {self._node.name}" if self._node is not None else ""

    def _shown(self, file: str) -> str:
        inside = os.path.relpath(file, self._config.rootpath)
        return file if inside.startswith("..") else inside

    def _skip_if_missing(self, plan: Plan) -> None:
        from mountplan.applier.probe.probe import missing

        lacking = missing(requirement.feature for requirement in plan.requirements)
        if lacking:
            self._unavailable(
                "; ".join(f"{one.what} does not work here: {one.said} (remedy: {one.remedy})" for one in lacking)
            )

    def _unavailable(self, reason: str) -> NoReturn:
        if self._config.getoption("--mountplan-require"):
            pytest.fail(f"mountplan: {reason}", pytrace=False)
        pytest.skip(f"mountplan: {reason}")


def _tell_answer(error: AssertionError) -> None:
    """Have `assert tree.reaches(...)` and `assert not tree.drift()` say in words what the tree has answered."""
    if not _TREES or not error.args or not isinstance(error.args[0], str):
        return
    from mountplan.assertion_text import explain_question

    try:
        told = explain_question(error.args[0], _TREES)
    except (OSError, ValueError):
        return  # the tree has been closed, or cannot be looked at any more
    if told is not None:
        error.args = (told, *error.args[1:])


_BELOW_US = ("mountplan", "subprocess", "contextlib")  # the last two: what we call, and what calls us


def _hide_own_frames(error: BaseException) -> None:
    """Cut the traceback behind the last frame that is not ours, of what we raise on purpose."""
    errors = sys.modules.get("mountplan.planner.errors")
    subprocess = sys.modules.get("subprocess")
    kinds = getattr(errors, "MountplanError", None), getattr(subprocess, "SubprocessError", None)
    ours = tuple(kind for kind in kinds if kind is not None)
    told = isinstance(error, (*ours, OSError, AssertionError, LookupError)) or _is_of_a_call(error)
    last, innermost, trace, seen = None, None, error.__traceback__, False
    while trace is not None:
        innermost = trace
        module = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if module not in _BELOW_US:
            last, seen = trace, False
        seen = seen or module == "mountplan"
        trace = trace.tb_next
    if last is not None and seen and (told or (innermost is not None and _is_raised(innermost))):
        last.tb_next = None


def _is_of_a_call(error: BaseException) -> bool:
    """Whether a function has raised it that was called in a tree."""
    calls = sys.modules.get("mountplan.calls_inside")
    return calls is not None and isinstance(error.__cause__, calls.RemoteTraceback)


def _is_raised(frame: TracebackType) -> bool:
    """Whether it is a statement that raises it, as what is wrong with arguments is told, and not a slip of ours."""
    return linecache.getline(frame.tb_frame.f_code.co_filename, frame.tb_lineno).lstrip().startswith("raise ")
