"""The tests of one half, run in forked children: once to see which test reaches which line, then once a mutant.

The process that forks has loaded what is slow to load and is not ours, and nothing of mountplan: so a child starts in
no time, and imports the mutated module like any other.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import coverage
import hypothesis
import pytest

from tests.hosttable import HostTable
from tests.mutants.sites import Mutant, mutated

SLOW_TO_LOAD = ("hypothesis", "jsonschema", "networkx", "pydantic", "rich.console", "rich.table", "tomli", "tomli_w")
FIRST = 2.0  # seconds of tests that are tried before all others are
MEMORY = 4 << 30  # some mutants collect without an end


class Tests(NamedTuple):
    """`seconds`: of processor, by test. `reaching`: what reaches each line, by file of the checkout: tests, or whole
    files of tests whose import does.
    """

    seconds: dict[str, float]
    reaching: dict[str, dict[int, set[str]]]

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that may notice a mutant, the quickest first. None reaches it if there are none."""
        lines = self.reaching.get(str(mutant.path), {})
        names = set().union(*(lines.get(line, ()) for line in mutant.lines))
        if names and mutant.at_import:  # the first test imports it for all
            names = set(self.seconds)
        chosen = {test for test in self.seconds if test in names or test.partition("::")[0] in names}
        return sorted(chosen, key=lambda test: self.seconds[test])

    def batches(self, mutant: Mutant) -> list[list[str]]:
        """The same in two parts, each of whole files: to collect all of them takes longer than most mutants live."""
        files: dict[str, list[str]] = {}
        for test in self.of(mutant):
            files.setdefault(test.partition("::")[0], []).append(test)
        parts: list[list[str]] = [[], []]
        cost = 0.0
        for tests in sorted(files.values(), key=lambda tests: sum(self.seconds[test] for test in tests)):
            cost += sum(self.seconds[test] for test in tests)
            parts[bool(parts[0]) and cost > FIRST].extend(tests)
        return [sorted(part, key=lambda test: self.seconds[test]) for part in parts if part]


def load_what_is_slow() -> None:
    for name in SLOW_TO_LOAD:
        importlib.import_module(name)
    # What hypothesis chooses is the same for each mutant, and for who runs this again.
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile(
        "mutants", derandomize=True, database=None, deadline=None, suppress_health_check=slow
    )
    hypothesis.settings.load_profile("mutants")
    ours = [name for name in sys.modules if name.partition(".")[0] == "mountplan"]
    assert not ours, ours


def measure(half: str, folder: Path) -> Tests:
    """Run all tests of a half and see what each reaches. Raises if one fails: then no mutant could be told by it."""
    with tempfile.TemporaryDirectory() as place:
        result = Path(place, "result.json")

        def work() -> int:
            watch = coverage.Coverage(data_file=f"{place}/data", source=[half], config_file=False)
            watcher = _Watcher(watch)
            watch.start()
            status = pytest.main([str(folder), *QUIET], [_Choice(None), watcher])
            watch.stop()
            data = watch.get_data()
            root = Path.cwd()
            found = {
                str(Path(file).relative_to(root)): {
                    line: sorted(set(names) - {""}) for line, names in data.contexts_by_lineno(file).items()
                }
                for file in data.measured_files()
            }
            result.write_text(json.dumps([watcher.seconds, found]))
            return int(status)

        log = Path(place, "log")
        status = _wait(_fork(work, log))
        if status != 0:
            raise SystemExit(f"the tests fail without any mutant:\n{log.read_text()[-4000:]}")
        seconds, found = json.loads(result.read_text())
    reaching = {file: {int(line): set(names) for line, names in lines.items()} for file, lines in found.items()}
    return Tests(seconds, reaching)


def try_all(mutants: Sequence[Mutant], tests: Tests, jobs: int) -> Iterator[tuple[Mutant, str]]:
    """What became of each mutant: "killed", "survived" or "not reached"; in the order in which they end.

    First one test of each file runs as it would for a mutant, without any: if that failed, each would count as killed.
    """
    waiting = list(mutants)[::-1]
    running: dict[int, tuple[Mutant, Path, list[list[str]]]] = {}
    with tempfile.TemporaryDirectory() as place:
        log = Path(place, "log")
        first = {test.partition("::")[0]: test for test in tests.seconds}
        if _wait(_start(None, list(first.values()), tests, log)) != 0:
            raise SystemExit(f"the tests fail without any mutant:\n{log.read_text()[-4000:]}")
        while waiting or running:
            while waiting and len(running) < jobs:
                mutant = waiting.pop()
                batches = tests.batches(mutant)
                if not batches:
                    yield mutant, "not reached"
                    continue
                log = Path(place, f"log-{len(waiting)}")
                running[_start(mutant, batches[0], tests, log)] = mutant, log, batches[1:]
            if running:
                pid, waited = os.wait()
                mutant, log, batches = running.pop(pid)
                status = os.waitstatus_to_exitcode(waited)
                if status == pytest.ExitCode.NO_TESTS_COLLECTED:
                    raise SystemExit(f"{mutant.name}: no test was run:\n{log.read_text()}")
                if status == 0 and batches:
                    running[_start(mutant, batches[0], tests, log)] = mutant, log, batches[1:]
                else:
                    yield mutant, "survived" if status == 0 else "killed"


def _start(mutant: Mutant | None, chosen: list[str], tests: Tests, log: Path) -> int:
    def work() -> int:
        # Of the processor, not of the clock: the machine may have other work.
        limit = 20 + int(5 * sum(tests.seconds[test] for test in chosen))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        if mutant is not None:
            sys.meta_path.insert(0, _Finder(mutant))
        files = list(dict.fromkeys(test.partition("::")[0] for test in chosen))
        return int(pytest.main([*files, "--exitfirst", *QUIET], [_Choice(chosen)]))

    return _fork(work, log)


# Plain assertions: pytest takes mountplan for its plugin, and would load its modules itself, before our finder does.
QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=line", "--assert=plain")


class _Choice:
    """pytest plugin: only these tests, in this order; without a list, all that need no privileges."""

    def __init__(self, chosen: list[str] | None) -> None:
        self.places = None if chosen is None else {test: place for place, test in enumerate(chosen)}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        HostTable.changes = lambda *_, **__: ""  # type: ignore[method-assign]  # what others mount kills no mutant
        if self.places is None:
            items[:] = [item for item in items if item.get_closest_marker("needs_kernel") is None]
        else:
            places = self.places
            items[:] = sorted((item for item in items if item.nodeid in places), key=lambda item: places[item.nodeid])


class _Watcher:
    """pytest plugin: whose work it is that coverage sees, and how long a test takes."""

    def __init__(self, watch: coverage.Coverage) -> None:
        self.watch = watch
        self.seconds: dict[str, float] = {}

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        self.watch.switch_context(collector.nodeid.partition("::")[0])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.watch.switch_context(item.nodeid)
        begin = os.times()
        result = yield
        end = os.times()
        self.seconds[item.nodeid] = sum(end[:4]) - sum(begin[:4])
        return result


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the mutated module only."""

    def __init__(self, mutant: Mutant) -> None:
        parts = ("mountplan", *mutant.path.with_suffix("").parts)
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.file = str(Path.cwd() / mutant.path)
        self.code = compile(mutated(mutant), self.file, "exec", dont_inherit=True)

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(
            fullname, self.file, loader=_Loader(self.code, fullname, self.file)
        )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, code: CodeType, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self.mutated = code

    def get_code(self, fullname: str) -> CodeType:
        return self.mutated


def _fork(work: Callable[[], int], log: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
