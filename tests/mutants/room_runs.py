"""The tests of one half: run once to see which test reaches which statement, then once for each mutant.

All tests are collected once. A mutant of a function is tried in a fork of the process that has them: it gives the
functions that are loaded the code of the mutant, and their children have it too. What runs when a module is imported
needs a process in which nothing of mountplan is loaded yet.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import json
import mmap
import os
import pickle
import pkgutil
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from tests.hosttable import HostTable
from tests.mutants.own_machine import on_its_own
from tests.mutants.sites import Mutant, marked, mutated, statements

SLOW_TO_LOAD = ("hypothesis", "jsonschema", "networkx", "pydantic", "rich.console", "rich.table", "tomli", "tomli_w")
MEMORY = 4 << 30  # some mutants collect without an end
LONGEST = 60.0  # seconds for a test, and ten times what it took without a mutant: some mutants wait without an end
FOLDERS = {"planner": ("tests/planner",), "applier": ("tests/applier", "tests/kernel")}  # whose tests try which half
FIRST = 20  # tests whose files are collected before those of all others are
LIMIT = struct.Struct("d")


class Tests(NamedTuple):
    """`seconds`: of processor, `clock`: of the clock, by test. `reached`: by test, a byte for each statement, in the
    order of `numbers`; `at_import`: the same for what runs before any test does.
    """

    half: str
    seconds: dict[str, float]
    clock: dict[str, float]
    numbers: dict[tuple[str, int], int]
    reached: dict[str, bytes]
    at_import: bytes

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that run the mutant, the quickest first."""
        number = self.numbers.get((str(mutant.path), mutant.lines.start))
        chosen = [] if number is None else [test for test, reached in self.reached.items() if reached[number]]
        return sorted(chosen, key=self.seconds.__getitem__)

    def of_all(self, mutant: Mutant) -> list[str]:
        """All tests, for what the first one imports for all; first those of the same module, which may see it first."""
        near = {number for (path, _), number in self.numbers.items() if path == str(mutant.path)}
        chosen = {test for test, reached in self.reached.items() if any(reached[one] for one in near)}
        return sorted(self.seconds, key=lambda test: (test not in chosen, self.seconds[test]))

    def runs_at_import(self, mutant: Mutant) -> bool:
        number = self.numbers.get((str(mutant.path), mutant.lines.start))
        return mutant.at_import or (number is not None and bool(self.at_import[number]))


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


def measure(half: str) -> Tests:
    """Run all tests of a half and see what each reaches. One that fails could tell no mutant: of the planner's none
    may; of the applier's, some do not find what they want on a machine of their own, and are named and left out.

    The statements tell it themselves, into memory that all children share; no file can be written below every root.
    """
    numbers: dict[tuple[str, int], int] = {}
    for path in sorted(Path(half).rglob("*.py")):
        for line in statements(path):
            numbers[str(path), line] = len(numbers)
    shared = mmap.mmap(-1, len(numbers) + 1)

    def marks(path: Path) -> Any:
        return marked(path, {line: number for (name, line), number in numbers.items() if name == str(path)})

    with tempfile.TemporaryDirectory() as place:
        result = tempfile.TemporaryFile(dir=place)  # noqa: SIM115 - its name may be hidden where it is written

        def work() -> int:
            import builtins

            builtins.mountplan_reached = shared  # type: ignore[attr-defined]
            sys.meta_path.insert(0, _Finder(half, marks))
            watcher = _Watcher(shared, half)
            status = pytest.main([*FOLDERS[half], *QUIET], [_Choice(half, None), watcher])
            for test in watcher.failed if half == "applier" else ():
                del watcher.seconds[test], watcher.reached[test]
            seen = Tests(half, watcher.seconds, watcher.clock, numbers, watcher.reached, watcher.first)
            result.write(pickle.dumps(seen))
            result.flush()
            return int(status)

        log = Path(place, "log")
        status = _wait(_fork(lambda: on_its_own(half, work), log))
        if status == pytest.ExitCode.TESTS_FAILED and half == "applier":
            print(*re.findall("^FAILED .*", log.read_text(), re.MULTILINE), sep="\n", flush=True)  # noqa: T201
        elif status != 0:
            raise SystemExit(f"the tests fail without any mutant:\n{log.read_text()[-8000:]}")
        result.seek(0)
        if not (told := result.read()):
            raise SystemExit(f"the tests came to no end:\n{log.read_text()[-8000:]}")
        tests: Tests = pickle.loads(told)
    return tests


def try_all(mutants: Sequence[Mutant], tests: Tests, jobs: int) -> Iterator[tuple[Mutant, str]]:
    """What became of each mutant: "killed", "survived" or "not reached"; in the order in which they end.

    First one test of each file runs as it would for a mutant, without any: if that failed, each would count as killed.
    """
    chosen = {mutant: tests.of(mutant) for mutant in mutants}
    yield from ((one, "not reached") for one in mutants if not chosen[one] and not tests.runs_at_import(one))
    first = list({test.partition("::")[0]: test for test in tests.seconds}.values())
    quick: list[tuple[Mutant | None, list[str]]] = [(None, first)]
    quick += [(one, chosen[one]) for one in mutants if chosen[one] and not one.at_import]
    rest = [one for one in mutants if one.at_import or (not chosen[one] and tests.runs_at_import(one))]
    with tempfile.TemporaryDirectory() as place:
        reader, writer = os.pipe()
        server = _fork(lambda: _serve(quick, tests, jobs, writer, Path(place)), Path(place, "server"))
        os.close(writer)
        with os.fdopen(reader) as answers:
            for line in answers:
                number, fate = json.loads(line)
                mutant = quick[number][0]
                if mutant is not None and (fate == "afresh" or (fate == "survived" and tests.runs_at_import(mutant))):
                    rest.append(mutant)
                elif mutant is not None:
                    yield mutant, fate
                elif fate != "survived":
                    raise SystemExit(f"the tests fail without any mutant:\n{Path(place, 'log-0').read_text()[-8000:]}")
        if _wait(server) != 0:
            raise SystemExit(Path(place, "server").read_text()[-8000:])

        def begin(number: int, deadline: mmap.mmap) -> int:
            return _fork(lambda: _afresh(rest[number], tests.of_all(rest[number]), tests, deadline), Path(place, "log"))

        for number, status in _in_turn(range(len(rest)), jobs, begin):
            if status == pytest.ExitCode.NO_TESTS_COLLECTED:
                raise SystemExit(f"{rest[number].name}: no test was run")
            yield rest[number], "killed" if status else "survived"


def _in_turn(numbers: range, jobs: int, begin: Callable[[int, mmap.mmap], int]) -> Iterator[tuple[int, int]]:
    """Children that `begin` forks for each of these numbers, so many at a time: (number, exit status), as they end.

    A child that has passed the time that it wrote into its `deadline` is killed.
    """
    waiting = list(numbers)[::-1]
    running: dict[int, tuple[int, mmap.mmap]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            number, deadline = waiting.pop(), mmap.mmap(-1, LIMIT.size)
            running[begin(number, deadline)] = number, deadline
        pid, waited = os.waitpid(-1, os.WNOHANG)
        if pid:
            number, deadline = running.pop(pid)
            deadline.close()
            yield number, os.waitstatus_to_exitcode(waited)
            continue
        for pid, (_, deadline) in running.items():
            if 0 < LIMIT.unpack_from(deadline)[0] < time.monotonic():
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _serve(works: Sequence[tuple[Mutant | None, list[str]]], tests: Tests, jobs: int, answers: int, place: Path) -> int:
    """Collect all tests, and try mutants in forks: a line for each, with its number and what became of it."""

    class Server:
        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            items = {item.nodeid: item for item in session.items}
            functions = _functions(tests.half)

            def begin(number: int, deadline: mmap.mmap) -> int:
                mutant, chosen = works[number]

                def work() -> int:
                    _limit(tests, chosen)
                    if mutant is not None and not _patch(mutant, functions):
                        return AFRESH
                    return _run([items[name] for name in chosen], tests, deadline)

                return _fork(lambda: on_its_own(tests.half, work), place / f"log-{number}")

            gc.freeze()
            fates = {0: "survived", AFRESH: "afresh"}
            for numbers in (range(1), range(1, len(works))):  # the one without a mutant alone, before the rest
                for number, status in _in_turn(numbers, jobs, begin):
                    os.write(answers, f"{json.dumps([number, fates.get(status, 'killed')])}\n".encode())
                    if number == 0 and status != 0:
                        return True
            return True

    return int(pytest.main([*FOLDERS[tests.half], *QUIET], [_Choice(tests.half, list(tests.seconds)), Server()]))


AFRESH = 77  # the exit status of a child that could not take the mutant in


def _run(items: list[pytest.Item], tests: Tests, deadline: mmap.mmap) -> int:
    for item, following in zip(items, [*items[1:], None], strict=True):
        LIMIT.pack_into(deadline, 0, time.monotonic() + LONGEST + 10 * tests.clock[item.nodeid])
        for report in runtestprotocol(item, log=False, nextitem=following):
            if report.failed:
                print(item.nodeid, report.longreprtext)  # noqa: T201
                return 1
    return 0


def _afresh(mutant: Mutant, chosen: list[str], tests: Tests, deadline: mmap.mmap) -> int:
    _limit(tests, chosen)

    class Reporter:
        def pytest_runtest_logstart(self, nodeid: str) -> None:
            LIMIT.pack_into(deadline, 0, time.monotonic() + LONGEST + 10 * tests.clock[nodeid])

    def run(part: list[str]) -> int:
        files = dict.fromkeys(test.partition("::")[0] for test in part)
        return int(pytest.main([*files, "--exitfirst", *QUIET], [_Choice(tests.half, part), Reporter()]))

    def work() -> int:
        sys.meta_path.insert(0, _Finder(tests.half, lambda path: mutated(mutant) if path == mutant.path else None))
        # In two parts: to collect all tests takes longer than most mutants live.
        files = {test.partition("::")[0] for test in chosen[:FIRST]}
        part = [test for test in chosen if test.partition("::")[0] in files]
        rest = [test for test in chosen if test.partition("::")[0] not in files]
        return _wait(_fork(lambda: run(part), None)) or (run(rest) if rest else 0)

    return on_its_own(tests.half, work)


def _limit(tests: Tests, chosen: list[str]) -> None:
    # Of the processor, not of the clock: the machine may have other work.
    limit = 20 + int(5 * sum(tests.seconds[test] for test in chosen))
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _functions(half: str) -> dict[tuple[str, str, int], list[FunctionType]]:
    """Those of the half that are loaded, by file, qualified name and line."""
    gc.unfreeze()  # what is frozen is not found
    found: dict[tuple[str, str, int], list[FunctionType]] = {}
    root = f"{Path.cwd()}/"
    for one in gc.get_objects():
        if type(one) is FunctionType and (code := one.__code__).co_filename.startswith(root):
            name = code.co_filename.removeprefix(root).removeprefix("mountplan/")
            if name.startswith(f"{half}/"):
                found.setdefault((name, code.co_qualname, code.co_firstlineno), []).append(one)
    return found


def _patch(mutant: Mutant, functions: dict[tuple[str, str, int], list[FunctionType]]) -> bool:
    """Give the function that has the mutant, or the outermost around it, the mutant's code. False if that cannot be."""
    before = compile(mutant.path.read_bytes(), "", "exec", dont_inherit=True)
    after = compile(mutated(mutant), "", "exec", dont_inherit=True)
    for old, new in zip(_codes(before), _codes(after), strict=True):
        if old == new:
            continue
        found = functions.get((str(mutant.path), new.co_qualname, new.co_firstlineno), [])
        if not found or old.co_freevars != new.co_freevars:
            return False
        for function in found:
            function.__code__ = _of_file(new, function.__code__.co_filename)
    return True


def _codes(outer: CodeType) -> Iterator[CodeType]:
    """The functions of a module and of its classes, but none in another function."""
    for code in outer.co_consts:
        if isinstance(code, CodeType):
            if code.co_flags & inspect.CO_OPTIMIZED:
                yield code
            else:
                yield from _codes(code)


def _of_file(code: CodeType, name: str) -> CodeType:
    inner = tuple(_of_file(one, name) if isinstance(one, CodeType) else one for one in code.co_consts)
    return code.replace(co_filename=name, co_consts=inner)


# Plain assertions: pytest takes mountplan for its plugin, and would load its modules itself, before our finder does.
QUIET = ("-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=line", "--assert=plain")


class _Choice:
    """pytest plugin: only these tests, in this order; without a list, all that can be run beside others' work, and in
    the planner's half need no privileges.
    """

    def __init__(self, half: str, chosen: list[str] | None) -> None:
        self.left_out = "needs_kernel" if half == "planner" else "alone"
        self.places = None if chosen is None else {test: place for place, test in enumerate(chosen)}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        HostTable.changes = lambda *_, **__: ""  # type: ignore[method-assign]  # what others mount kills no mutant
        if self.places is None:
            items[:] = [item for item in items if item.get_closest_marker(self.left_out) is None]
        else:
            places = self.places
            items[:] = sorted((item for item in items if item.nodeid in places), key=lambda item: places[item.nodeid])


class _Watcher:
    """pytest plugin: what each test reaches, and how long it takes."""

    def __init__(self, shared: mmap.mmap, half: str) -> None:
        self.shared = shared
        self.half = half
        self.first = b""
        self.failed: set[str] = set()
        self.seconds: dict[str, float] = {}
        self.clock: dict[str, float] = {}
        self.reached: dict[str, bytes] = {}

    def pytest_collection_finish(self) -> None:
        for module in pkgutil.walk_packages([self.half], f"mountplan.{self.half}."):
            importlib.import_module(module.name)
        self.first = self._taken()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        begin, moment = os.times(), time.monotonic()
        result = yield
        end = os.times()
        self.clock[item.nodeid] = time.monotonic() - moment
        self.seconds[item.nodeid] = sum(end[:4]) - sum(begin[:4])
        self.reached[item.nodeid] = self._taken()
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)

    def _taken(self) -> bytes:
        taken = self.shared[:]
        self.shared[:] = bytes(len(taken))
        return taken


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules of a half for which `change` gives other code than their file has."""

    def __init__(self, half: str, change: Callable[[Path], ast.Module | None]) -> None:
        self.begins = f"mountplan.{half}"
        self.change = change

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
        if fullname != self.begins and not fullname.startswith(f"{self.begins}."):
            return None
        file = Path(*fullname.split(".")[1:])
        file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        # What is compiled from C, as applier/sys/_loop.c, has no such file.
        tree = self.change(file) if file.exists() else None
        if tree is None:
            return None
        place = str(Path.cwd() / file)
        code = compile(tree, place, "exec", dont_inherit=True)
        return importlib.util.spec_from_file_location(fullname, place, loader=_Loader(code, fullname, place))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, code: CodeType, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self.mutated = code

    def get_code(self, fullname: str) -> CodeType:
        return self.mutated


def _fork(work: Callable[[], int], log: Path | None) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        if log is not None:
            nothing = os.open(os.devnull, os.O_RDONLY)
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for old, new in ((nothing, 0), (output, 1), (output, 2)):
                os.dup2(old, new)
            os.close(nothing)
            os.close(output)
        status = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
