"""A throw-away host for experiments with faults, and what must hold after each of them: nothing is left.

A Lab is such a host with a plan and a command line that carries it out. Its attempt() does so with one fault, and fails
unless the fault was told as it should be, no process is left, the next apply works, and mount table, files and loop
devices are as before.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from mountplan import keeping
from mountplan.applier.build import execute, rows
from mountplan.applier.keep import kept as names
from mountplan.applier.keep import kept_changes
from mountplan.applier.observe import namespace_age
from mountplan.cli import main
from mountplan.planner.errors import NotKept
from mountplan.planner.plan.plan import Plan
from mountplan.planner.plan.planfile import dump_plan
from mountplan.planner.plan.step_runs import StepRun
from tests.commands import programs
from tests.faults import Call, Experiment, Fault, Result, mark
from tests.hosts import CHECKOUT, CLONE_NEWNS, mount, unshare
from tests.mountflags import MS_SHARED
from tests.trees import plan_of

PLAN = "/mnt/plan.json"
IMAGE = f"/mnt/img-{os.getpid()}"  # loop devices are the whole machine's: other tests have other images
ERRNOS = (errno.EPERM, errno.ENOMEM, errno.ENOSPC, errno.EINTR, errno.EMFILE)

# Calls that have done nothing if they answer EINTR: they are made again. Those of Python's own are (PEP 475).
REPEATED = frozenset(
    ("open_tree", "move_mount", "fsopen", "fsmount", "fspick", "openat2", "mount_setattr", "openat", "read", "write",
     "wait4", "poll", "flock")
)  # fmt: skip

# A little of all, in somewhat more than thirty steps.
SPEC = programs(
    mounts="""
[peer_group.feed]
host = "/mnt/shared"
[peer_group.data]
[[mount]]
id = "data"
target = "/data"
type = "tmpfs"
peer_group = "data"
[[mount.file]]
path = "in/README"
content = "hello"
[[mount]]
target = "/replica"
bind = { mount = "data", path = "/in" }
attributes = ["ro"]
master = "data"
[[mount]]
target = "/feed"
bind = "/mnt/shared"
master = "feed"
"""
)


class State(NamedTuple):
    """What must be as before: the mount table, the files, loop devices over images of ours."""

    table: str
    files: tuple[str, ...]
    loops: tuple[str, ...]

    @classmethod
    def take(cls) -> State:
        files = tuple(sorted(line for top in ("/mnt", "/run", "/tmp") for line in _files(top)))
        return cls(Path("/proc/self/mountinfo").read_text(), files, tuple(sorted(_loops())))

    def compared_with(self, now: State) -> str:
        """What is other than it was; "" if nothing is."""
        old = [*self.table.splitlines(), *self.files, *self.loops]
        new = [*now.table.splitlines(), *now.files, *now.loops]
        lines = [f"- {line}" for line in old if line not in new] + [f"+ {line}" for line in new if line not in old]
        return "\n".join(lines)


def _files(top: str) -> Iterator[str]:
    for directory, subdirectories, files in os.walk(top):
        subdirectories[:] = [name for name in subdirectories if not CHECKOUT.is_relative_to(Path(directory, name))]
        for name in (*subdirectories, *files):
            path = os.path.join(directory, name)
            found = os.lstat(path)
            size = "" if stat.S_ISDIR(found.st_mode) else f" {found.st_size}"
            yield f"{path} {found.st_mode:o}{size}"


def _loops() -> Iterator[str]:
    for device in Path("/sys/block").glob("loop*"):
        try:
            image = (device / "loop/backing_file").read_text().strip()
        except OSError:
            continue
        if image == IMAGE:
            yield image


def on_one_cpu(function: Callable[[], int]) -> Callable[[], int]:
    """`function`, for in_host, where a call has the same number each time: no namespace that is made there counts as
    older than its own one, by chance, so that it had to be built once more (see applier/observe/namespace_age.py).
    """

    def script() -> int:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        unshare(CLONE_NEWNS)
        return function()

    return script


def built_twice() -> None:
    """From now on, the first namespaces that a process builds and wants to keep count as older than its own."""
    is_younger, asked = namespace_age.is_younger, set[int]()

    def second(namespace: int) -> bool:
        again = os.getpid() in asked
        asked.add(os.getpid())
        return again and is_younger(namespace)

    namespace_age.is_younger = second


def furnish(image: bool = False) -> None:
    """A host of one's own: fresh /mnt, /run and /tmp, and in /mnt what specs here bind and are peers of."""
    os.environ.pop("XDG_RUNTIME_DIR", None)  # it is in /run, which is another one now
    mount("tmp", "/tmp", "tmpfs", data="mode=1777")
    mount("run", "/run", "tmpfs", data="mode=0755")
    mount("mnt", "/mnt", "tmpfs", data="mode=0755")
    for name in ("shared", "one", "data", "data/dir", "data/dir/sub", "run"):
        os.mkdir(f"/mnt/{name}")
    Path("/mnt/data/file").write_text("file")
    for name in ("shared", "one"):
        mount(name, f"/mnt/{name}", "tmpfs")
        mount("", f"/mnt/{name}", flags=MS_SHARED)
    os.mkdir("/mnt/gone")
    mount("gone", "/mnt/gone", "tmpfs")
    if image:
        os.makedirs("/mnt/content/unknown")
        with open(IMAGE, "wb") as file:
            file.truncate(1 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-d", "/mnt/content", IMAGE], check=True, stderr=subprocess.DEVNULL)


class Lab:
    """See the module. `arguments` are those of the command line, with PLAN for the plan."""

    def __init__(self, text: str, *arguments: str) -> None:
        os.environ["LANGUAGE"] = "C"  # or argparse looks for translations whenever it is used
        self.plan: Plan = plan_of(text)
        self.arguments = arguments
        path = os.environ.get("XDG_RUNTIME_DIR", "/mnt")
        self.file = f"{path}/plan.json"
        Path(self.file).write_text(dump_plan(self.plan))
        quietly(lambda: self._main("apply", "--forget", self.file))  # imports all, which is nothing to test
        quietly(self._apply_and_remove)
        self.before = State.take()
        self.calls = self._record()

    def _main(self, *arguments: str) -> int:
        return main([self.file if one == PLAN else one for one in arguments])

    def _apply_and_remove(self) -> int:
        status = self._main("apply", self.file)
        return status or self._main("rm", self.plan.name)

    def _action(self) -> int:
        with StepsMarked():
            return self._main(*self.arguments)

    def _record(self) -> tuple[Call, ...]:
        """All calls that are made if nothing goes wrong, each with the step that it belongs to."""
        seen: set[frozenset[tuple[int, int, str]]] = set()
        while True:  # until they are the same twice: of those that are made once only, a fault would not be met
            experiment = Experiment(self._action, Fault())
            result = experiment.result
            assert 0 == result.status, result.err
            self._remove()
            experiment.wait()
            calls = frozenset(call[:3] for call in result.calls)  # in which order, differs between processes
            if calls in seen:
                return result.calls
            seen.add(calls)
            assert len(seen) < 10, "each time other calls are made"

    def _remove(self) -> None:
        # As every command does first: a keeper may have been released a moment before its name was there.
        kept_changes.tidy()
        keeping.remove(names.names())

    def attempt(self, fault: Fault) -> None:
        """Carry the command line out with a fault; AssertionError, with what was done, unless all is as it must be."""
        fault, experiment = self._try(fault)
        result = experiment.result
        try:
            assert result.met, "no such call was made"
            self._judge(fault, result)
            self._remove()
            experiment.wait()
            assert 0 == quietly(self._apply_and_remove), "the next apply does not work"
            left = self.before.compared_with(State.take())
            assert not left, left
        except Exception as error:
            raise AssertionError(f"{fault}: {error!r}\n{result.status}: {result.err}") from error

    def _try(self, fault: Fault) -> tuple[Fault, Experiment]:
        """Up to four times, until its call is made: more of them are while other processes have loop devices."""
        wanted = fault.at
        for _ in range(3):
            experiment = Experiment(self._action, fault)
            if experiment.result.met or wanted is None:
                return fault, experiment
            self._remove()
            experiment.wait()
            at = _counterpart(wanted, self.calls, self._record())
            fault = fault._replace(at=at)
        return fault, Experiment(self._action, fault)

    def _judge(self, fault: Fault, result: Result) -> None:
        call, kept = fault.at, names.names()
        if result.status == 0 or (fault.kill and result.status == -signal.SIGKILL):
            if not fault.kill and self.arguments == ("apply", PLAN):
                assert kept
            try:
                assert not kept or "healthy" == self._health(1 if fault.kill else 100)
            except NotKept:
                assert fault.kill, "its keeper has gone"
            return
        assert "Traceback" not in result.err
        assert "bug" not in result.err
        assert "remedy: " in result.err
        if result.status == 2:
            assert "cannot read" in result.err  # the plan, or a file that it is told by
            return
        assert result.status in ((3, 126, 127) if "run" in self.arguments else (3,))
        assert not kept or "cannot write the output" in result.err or "does not let mountplan go on" in result.err
        if call is None or fault.kill:
            return
        assert not (fault.errno == errno.EINTR and call.name in REPEATED), "it was not made again"
        tried = result.err.startswith("test.toml:")  # what is tried before the first step is told by its place alone
        if call.step >= 0 and not tried:
            step = self.plan.steps[call.step]
            assert f"{self.plan.ref(step.origin)}: step {call.step + 1}, " in result.err

    def _health(self, patience: int) -> str:
        """A keeper that has just begun cannot be looked at by an ordinary user, for a moment."""
        for _ in range(patience):
            try:
                return keeping.look_up(self.plan.name).health
            except NotKept:
                time.sleep(0.05)
        return keeping.look_up(self.plan.name).health


class StepsMarked:
    """In this block, the supervisor is told which step begins, and which is the last to have ended.

    Not so of those that are made many at once: test_rows.py has faults of those.
    """

    def __init__(self, execution: type[execute.Execution] = execute.Execution, method: str = "handlers") -> None:
        self._execution = execution
        self._method = method

    def __enter__(self) -> None:
        self._handlers = handlers = getattr(self._execution, self._method)
        self._carry_out, self._init = carry_out, init = rows.Rows.carry_out, rows.Rows.__init__
        number = [0]

        def marking(execution: execute.Execution) -> dict[type[Any], Callable[[object], None]]:
            number[0] = 0

            def marked(handler: Callable[[object], None]) -> Callable[[object], None]:
                def handle(step: object) -> None:
                    mark(number[0])
                    number[0] += 1
                    handler(step)
                    mark(-1)

                return handle

            return {kind: marked(handler) for kind, handler in handlers(execution).items()}

        def made_of(self: rows.Rows, *values: Any) -> None:
            init(self, *values)
            one_by_one = self.one_by_one

            def counted(begin: int, end: int) -> None:
                number[0] = begin
                one_by_one(begin, end)

            self.one_by_one = counted

        def carried_out(self: rows.Rows, run: StepRun) -> None:
            carry_out(self, run)
            number[0] = run.end

        setattr(self._execution, self._method, marking)
        rows.Rows.__init__ = made_of  # type: ignore[assignment,method-assign]
        rows.Rows.carry_out = carried_out  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        setattr(self._execution, self._method, self._handlers)
        rows.Rows.__init__ = self._init  # type: ignore[method-assign]
        rows.Rows.carry_out = self._carry_out  # type: ignore[method-assign]


def _counterpart(wanted: Call, calls: Sequence[Call], others: Sequence[Call]) -> Call:
    """Of `others`, the call of the same name, process and step that is the same one among those of its like."""
    alike, there = (
        [one for one in some if (one.process, one.name, one.step) == (wanted.process, wanted.name, wanted.step)]
        for some in (calls, others)
    )
    return there[min(alike.index(wanted), len(there) - 1)]


def quietly(action: Callable[[], int]) -> int:
    """The exit status of an action that prints nothing."""
    with redirect_stdout(io.StringIO()):
        return action()
