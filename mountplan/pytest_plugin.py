"""pytest fixtures: any mount topology in one line, and a watch over the host's mount table.

    def test_events_reach_the_peer(mountplan):
        tree = mountplan("specs/disjoint-group.toml")
        assert tree.run(["ls", "/peers"]).stdout == "a\\nbb\\nc\\n"

Loaded by pytest wherever mountplan is installed, so nothing else is imported until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
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


@pytest.fixture
def mountplan(request: pytest.FixtureRequest) -> Iterator[Mountplan]:
    """A function that builds a spec and returns a Tree: run commands or functions in it, look at it, compare it."""
    builder = Mountplan(request)
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


class Mountplan:
    """Builds specs for one test, and takes all down after it."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._trees: list[Tree] = []

    def __call__(
        self, spec: str | Path | dict[str, Any] | Spec | None = None, *, parameters: Mapping[str, str] | None = None
    ) -> Tree:
        """Build `spec`: a file (relative to the test's own, or to pytest's root), TOML text, a dict, or a Spec.

        Without one, the spec of the test's mark `mountplan` is built. `parameters` are values for the spec's; relative
        paths in a text or dict count from the directory of the test. Skips the test, with the reason, if this kernel
        or user lacks what the spec needs; fails it under --mountplan-require.
        """
        from mountplan import api

        plan = api.plan(self._spec(spec, parameters or {}))
        self._require(plan)
        tree = api.build(plan)
        self._trees.append(tree)
        return tree

    def close(self) -> None:
        while self._trees:
            self._trees.pop().close()

    def _spec(self, spec: str | Path | dict[str, Any] | Spec | None, parameters: Mapping[str, str]) -> Spec:
        from mountplan import api
        from mountplan.live_outside import LiveOutside
        from mountplan.planner.language.spec_reading import build_spec

        if spec is None:
            mark = self._request.node.get_closest_marker("mountplan")
            if mark is None or len(mark.args) != 1:
                raise pytest.UsageError('name a spec: mountplan("x.toml"), or @pytest.mark.mountplan("x.toml")')
            return self._spec(mark.args[0], {**mark.kwargs.get("parameters", {}), **parameters})
        here = self._request.path.parent
        name = str(here / self._request.node.name.replace("/", "-"))
        outside = LiveOutside(name)
        if isinstance(spec, dict):
            return build_spec(spec, name, outside, parameters)
        if isinstance(spec, str) and "\n" in spec:
            return api.load(name, spec.encode(), parameters=parameters, outside=outside)
        if not isinstance(spec, (str, Path)):
            if parameters:
                raise pytest.UsageError("a Spec has no parameters any more: give them when it is loaded")
            return spec
        path = here / spec if (here / spec).exists() else self._request.config.rootpath / spec
        return api.load(str(path), parameters=parameters)

    def _require(self, plan: Plan) -> None:
        from mountplan import api
        from mountplan.applier.probe.probe import missing
        from mountplan.planner.errors import NotAllowed

        lacking = missing(requirement.feature for requirement in plan.requirements)
        if lacking:
            self._unavailable(
                "; ".join(f"{one.what} does not work here: {one.said} (remedy: {one.remedy})" for one in lacking)
            )
        try:
            api.try_out(plan)
        except NotAllowed as error:
            self._unavailable(str(error))

    def _unavailable(self, reason: str) -> NoReturn:
        if self._request.config.getoption("--mountplan-require"):
            pytest.fail(f"mountplan: {reason}", pytrace=False)
        pytest.skip(f"mountplan: {reason}")
