"""Tree: built and verified namespaces in the hands of a program, for as long as a `with` block lasts."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from mountplan.applier.process.command import Found, Report, execute
from mountplan.applier.process.trampoline import File
from mountplan.applier.sys import abi, syscalls
from mountplan.applier.sys.channel import pipe
from mountplan.applier.sys.report import TIMEOUT
from mountplan.planner.errors import CommandNotStarted

if TYPE_CHECKING:
    from mountplan.applier.build.build import Built
    from mountplan.applier.sys.report import Reporter
    from mountplan.applier.sys.userns import Rootless
    from mountplan.planner.compare.difference import Drift
    from mountplan.planner.compare.view import View
    from mountplan.planner.plan.plan import Plan
    from mountplan.planner.tables.table import MountTable

Result = TypeVar("Result")


def build(
    plan: Plan, reporter: Reporter | None = None, *, rootless: Rootless = "auto", timeout: float | None = TIMEOUT
) -> Tree:
    """Build and verify `plan`, for a program to use: a Tree, which vanishes when its `with` block is left."""
    from mountplan.pipeline import build_verified

    built, _ = build_verified(plan, reporter, rootless, timeout)
    try:
        built.hide()
    except BaseException:
        built.close()
        raise
    return Tree(plan, built)


class RemoteTraceback(Exception):
    """The traceback of an exception that a function raised inside a tree: the cause of what `call` raises."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0])


class Tree:
    """Namespaces that stand as their plan says. They vanish when the tree is closed and no process is left in them."""

    def __init__(self, plan: Plan, built: Built) -> None:
        self.plan = plan
        self._built = built

    @property
    def names(self) -> tuple[str, ...]:
        """The namespaces' names, in the order of the spec; ("",) for a spec with one that has no name."""
        return tuple(held.name for held in self._built.namespaces)

    @property
    def root(self) -> Path:
        """The root of the (last) namespace, as a path from outside. Symlinks in it lead where they lead out here."""
        return Path(self._built.path_of_root())

    def namespace(self, name: str = "") -> Path:
        """The namespace file of a namespace (the first without a name), for setns(2), nsenter(1) and the like."""
        return Path(self._built.path_of(name))

    def run(
        self, command: Sequence[str], *, namespace: str = "", check: bool = False, input: bytes | str | None = None,
        text: bool = True, timeout: float | None = None, env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[Any]:  # fmt: skip
        """Run a command in a namespace, from its "/", and return what subprocess.run does, with its output captured."""
        enter = self._entrance(namespace)
        failed, say = pipe()
        words = [command] if isinstance(command, (str, bytes, os.PathLike)) else command
        environment = {
            os.fsdecode(name): os.fsdecode(value) for name, value in (os.environ if env is None else env).items()
        }
        start = partial(_become, enter, tuple(map(os.fsdecode, words)), environment, Report(say, _number))
        try:
            done = subprocess.run(
                words, preexec_fn=start, capture_output=True, input=input, text=text, timeout=timeout, env=env,
            )  # fmt: skip
            os.close(say)
            say = -1
            with open(failed, "rb", closefd=False) as file:
                refusal = file.read()
        finally:
            enter.close()
            for fd in {failed, say} - {-1}:
                os.close(fd)
        if refusal:
            raise _refused(refusal, os.fsdecode(words[0]))
        if check:
            done.check_returncode()
        return done

    def call(self, function: Callable[..., Result], *arguments: Any, namespace: str = "") -> Result:
        """Call a function in a namespace, in a forked child; return its result, or raise its exception, by pickle.

        What the function needs must be imported beforehand: Python's files need not exist in there. So that no
        process in there gets hold of that child, it is undumpable (prctl(2)): what belongs to it in /proc is root's.
        """
        enter = self._entrance(namespace)
        answer, say = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            try:
                os.close(answer)
                payload = _outcome(enter, function, arguments)
                with os.fdopen(say, "wb") as file:
                    file.write(payload)
            finally:
                os._exit(0)
        os.close(say)
        enter.close()
        try:
            with os.fdopen(answer, "rb") as file:
                payload = file.read()
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            _, status = os.waitpid(child, 0)
        if not payload:
            raise RuntimeError(f"the process in which {function} was called ended without a word (status {status})")
        good, value, trace = pickle.loads(payload)
        if good:
            return value  # type: ignore[no-any-return]
        raise value from RemoteTraceback(trace)

    def observe(self, namespace: str = "") -> MountTable:
        """What stands in a namespace now. Of what covers "/" there, only the topmost is seen (setns(2) leads there)."""
        if self._built.held(namespace) is self._built.namespaces[-1]:
            return self._built.read_table(self._built.mountinfo())
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return self._built.read_table(self.call(_mountinfo, proc, namespace=namespace))
        finally:
            os.close(proc)

    def drift(self) -> Drift:
        """How what stands there now differs from the plan; empty if it does not."""
        from mountplan.planner.compare.compare import group_names, judge_built
        from mountplan.planner.plan.predict import predict
        from mountplan.surroundings import surroundings

        host = self._built.host
        tables = tuple(self.observe(name) for name in self.names)
        before = tuple(held.table for held in self._built.namespaces)
        predictions, names = predict(self.plan, host), group_names(self.plan)
        return judge_built(predictions, tables, host, names, before=before, surroundings=surroundings).drift

    def diff(self, other: Tree) -> Drift:
        """How what stands in `other` differs from what stands here: all mounts of all namespaces, as they are now."""
        from mountplan.planner.compare.compare import differences, machine_of

        return differences(self._views(), other._views(), machine_of(self._built.host))

    def _views(self) -> tuple[View, ...]:
        from mountplan.applier.build.build_subjects import of_built
        from mountplan.operands import view_of

        with ExitStack() as stack:
            subjects = [stack.enter_context(subject) for subject in of_built(self._built)]
            return tuple(view_of(subject.name, subject.read()) for subject in subjects)

    def close(self) -> None:
        self._built.close()

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _entrance(self, namespace: str) -> _Entrance:
        return _Entrance(self._built, namespace)


class _Entrance:
    """Descriptors of the namespaces that a child has to enter; the user namespace first, if it is not ours."""

    def __init__(self, built: Built, namespace: str) -> None:
        from mountplan.applier.build.build import VISITED

        kinds = [kind for kind in VISITED if built.has_own(kind)]
        self._fds = [built.open_namespace(kind) for kind in kinds]
        self._fds.append(built.open_mounts(namespace))

    def enter(self) -> None:
        syscalls.hide()
        for fd in self._fds:
            syscalls.setns(fd, 0)
        os.chdir("/")

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)


def _become(enter: _Entrance, command: tuple[str, ...], environment: dict[str, str], report: Report) -> None:
    """In the child of subprocess: enter and turn into `command`, as that would do."""
    enter.enter()
    file = File()
    syscalls.close_range(3, abi.LAST_FD, abi.CLOSE_RANGE_CLOEXEC)
    try:
        execute(file, command, environment, report)
    except CommandNotStarted as error:
        os.write(report.fd, f"{error.number}\0{error.what}\0{error.remedy}".encode("utf-8", "surrogateescape"))
        os._exit(error.exit_status)


def _number(_: Found, number: int) -> bytes:
    return b"%d\0the kernel refuses the command\0" % number


def _refused(text: bytes, program: str) -> OSError | CommandNotStarted:
    """What subprocess would raise for the program, or what else has gone wrong."""
    number, what, remedy = text.decode("utf-8", "surrogateescape").split("\0")
    if int(number):
        return OSError(int(number), os.strerror(int(number)), program)
    return CommandNotStarted(what, remedy)


def _mountinfo(proc: int) -> bytes:
    fd = os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    with open(fd, "rb") as file:
        return file.read()


def _outcome(enter: _Entrance, function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    try:
        syscalls.prctl(abi.PR_SET_PDEATHSIG, signal.SIGKILL)
        enter.enter()
        return pickle.dumps((True, function(*arguments), ""))
    except BaseException as error:
        trace = traceback.format_exc()
        try:
            return pickle.dumps((False, error, trace))
        except Exception:  # an exception that cannot be pickled still tells what it is
            return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}"), trace))
