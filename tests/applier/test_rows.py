"""Rows of steps made by one program of calls: what stands, is told and is left is as of steps by themselves."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from mountplan import api
from mountplan.applier.build.execute import StepFailed, execute
from mountplan.applier.sys import syscalls
from mountplan.applier.sys.call_program import EACH, CallProgram, StoppedRow, given, name_in, text_in
from mountplan.applier.sys.closing import closing_fd
from mountplan.applier.sys.kernel import LinuxKernel
from mountplan.applier.sys.report import Reporter
from mountplan.planner.errors import StepRefused
from mountplan.planner.plan.steps import MakeFilesystem
from tests.faults import Experiment, Fault, missing
from tests.hosts import InHost, mount
from tests.trees import ROOT, plan_of

syscalls.load_loop()
pytestmark = [
    pytest.mark.needs_kernel("root", "set-group"),
    pytest.mark.skipif(not syscalls.loop, reason="applier/sys/_loop.c was not built: no compiler, or no Python.h"),
]
COUNT = 12
FILES = (5, 9)  # among directories


def of_the_host(more: str = "") -> str:
    """Binds in an inherited root, some of files, in peer groups of four."""
    text = 'name = "rows"\nroot = "inherit"\n' + "".join(f"[peer_group.g{number}]\n" for number in range(COUNT // 4))
    for number in range(COUNT):
        text += f'[[mount]]\ntarget = "/mnt/target/{number}"\nbind = "/mnt/source/{number}"\n{more}'
        text += f'peer_group = "g{number // 4}"\n'
    return text


def of_its_own() -> str:
    """Mountpoints, seeds, binds and new filesystems."""
    text = f'name = "rows"\n{ROOT}[[mount]]\nid = "data"\ntarget = "/data"\ntype = "tmpfs"\n'
    for number in range(8):
        text += f'[[mount.file]]\npath = "/d{number}"\ndirectory = true\n'
    text += "".join(f"[peer_group.g{number}]\n" for number in range(8))
    for number in range(32):
        text += f'[[mount]]\ntarget = "/b/{number}"\nbind = {{ mount = "data", path = "/d{number % 8}" }}\n'
        text += f'attributes = ["ro", "nosuid"]\npeer_group = "g{number // 4}"\n'
    for number in range(8):
        text += f'[[mount]]\ntarget = "/t/{number}"\ntype = "tmpfs"\noptions = {{ size = "1m", mode = "0755" }}\n'
    return text


SPECS = {"host": of_the_host(), "host, read-only": of_the_host('attributes = ["ro"]\n'), "own": of_its_own()}


def furnish() -> None:
    mount("none", "/mnt", "tmpfs")
    for place in ("source", "target"):
        os.mkdir(f"/mnt/{place}")
        for number in range(COUNT):
            path = Path(f"/mnt/{place}/{number}")
            path.touch() if number in FILES else path.mkdir()


class Counting(Reporter):
    def __init__(self) -> None:
        self.counter = memoryview(bytearray(8)).cast("Q")
        self.told: list[int] = []

    def foreign(self) -> None:
        assert self.counter is not None
        self.counter[0] += 1

    def step(self, done: int) -> None:
        self.told.append(done)


def open_descriptors() -> int:
    """Without /proc, which is gone by then."""
    count = 0
    for fd in range(512):
        with suppress(OSError):
            os.fstat(fd)
            count += 1
    return count


def both_ways(action: Callable[[], object], in_host: InHost) -> tuple[object, object]:
    """What comes of it with programs of calls, and without."""

    def without() -> object:
        syscalls.loop = False
        return action()

    return in_host(action, identity="root"), in_host(without, identity="root")


@pytest.mark.parametrize("name", SPECS)
def test_rows_are_built_and_verified_and_leave_no_descriptor(name: str, in_host: InHost) -> None:
    def script() -> tuple[int, int, list[int], int]:
        furnish()
        plan = plan_of(SPECS[name])
        api.build_and_forget(plan)
        kernel, reporter, before = LinuxKernel(), Counting(), open_descriptors()
        execute(plan.steps, kernel, reporter)
        held = 1 + 3 * len(kernel.finished)  # /proc, and what stays of each namespace
        assert reporter.counter is not None
        return open_descriptors() - held - before, reporter.counter[0], reporter.told, len(plan.steps)

    with_rows, without = both_ways(script, in_host)
    assert without == with_rows
    assert isinstance(with_rows, tuple) and with_rows[0] == 0


@pytest.mark.parametrize("name", SPECS)
def test_most_steps_are_made_in_rows(name: str, in_host: InHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise these tests would hold nothing."""

    def script() -> tuple[int, int]:
        furnish()
        plan, made, run = plan_of(SPECS[name]), [0], CallProgram.run

        def counted(self: CallProgram, *arguments: object) -> StoppedRow | None:
            stopped = run(self, *arguments)  # type: ignore[arg-type]
            rows = arguments[4] if stopped is None else stopped.row
            assert isinstance(rows, int)
            made[0] += rows * (1 + max(self._steps))
            return stopped

        monkeypatch.setattr(CallProgram, "run", counted)
        execute(plan.steps, LinuxKernel(), Reporter())
        return made[0], len(plan.steps)

    made, steps = in_host(script, identity="root")
    assert made > steps / 2


@pytest.mark.parametrize("where", ["source", "target"])
@pytest.mark.parametrize("which", [2, 3, 5, 10, 11])
@pytest.mark.parametrize("becomes", ["symlink", "nothing", "other"])
def test_what_is_refused_in_a_row_is_told_as_of_a_step_by_itself(
    becomes: str, which: int, where: str, in_host: InHost
) -> None:
    def script() -> tuple[object, ...]:
        furnish()
        plan, path = plan_of(SPECS["host"]), f"/mnt/{where}/{which}"
        os.rename(path, "/mnt/away")
        if becomes == "symlink":
            os.symlink("/mnt/away", path)
        elif becomes == "other":
            os.mkdir(path) if which in FILES else Path(path).touch()
        with pytest.raises(StepRefused) as refused:
            api.build_and_forget(plan)
        error, reporter = refused.value, Counting()
        with pytest.raises(StepFailed):
            execute(plan.steps, LinuxKernel(), reporter)
        assert reporter.counter is not None
        return str(error), error.number, error.syscall, error.errno, reporter.counter[0]

    with_rows, without = both_ways(script, in_host)
    assert without == with_rows


def test_what_a_filesystem_says_of_an_option_is_told(in_host: InHost) -> None:
    def script() -> tuple[object, ...]:
        steps = tuple(
            step._replace(options=(("size", "nonsense"),))
            if isinstance(step, MakeFilesystem) and step.options
            else step
            for step in plan_of(SPECS["own"]).steps
        )
        with pytest.raises(StepFailed) as failed:
            execute(steps, LinuxKernel(), Reporter())
        return failed.value.index, failed.value.cause.errno, getattr(failed.value.cause, "log", ())

    with_rows, without = both_ways(script, in_host)
    assert without == with_rows
    assert "size" in str(with_rows)


TRIED = ("open_tree", "move_mount", "mount_setattr", "mkdirat", "fsopen", "fsconfig", "fsmount", "openat2", "fstat")


@pytest.mark.skipif(bool(missing()), reason=missing())
@pytest.mark.parametrize("name", ["host, read-only", "own"])
def test_any_call_of_a_row_may_be_refused_or_be_the_last(name: str, in_host: InHost) -> None:
    """It is told with a step, or made once more; and nothing is left."""

    def script() -> list[int]:
        furnish()
        plan = plan_of(SPECS[name])

        def action() -> int:
            try:
                api.build_and_forget(plan)
            except StepRefused as refused:
                os.write(2, f"step {refused.number} {refused.errno}".encode())
                return 3
            return 0

        whole = Experiment(action, Fault())
        whole.wait()
        assert 0 == whole.result.status, whole.result.err
        before = Path("/proc/self/mountinfo").read_bytes()
        calls = [call for call in whole.result.calls if call.process and call.name in TRIED]
        found = []
        for count, call in enumerate(calls[:: max(1, len(calls) // 40)]):
            fault = (
                Fault(call, kill="caller")
                if count % 4 == 3
                else Fault(call, errno=(errno.ENOMEM, errno.EINTR)[count % 2])
            )
            experiment = Experiment(action, fault)
            result = experiment.result
            experiment.wait()
            assert result.met, f"no such call was made: {call}"
            assert before == Path("/proc/self/mountinfo").read_bytes()
            assert "Traceback" not in result.err or fault.kill, result.err
            if result.status == 3:
                assert f" {fault.errno}" in result.err
            found.append(result.status)
        return found

    found = in_host(script, identity="root", timeout=600)
    assert {0, 3} & set(found) and len(found) >= 30


@pytest.mark.parametrize("text", ["a\0b", "\udc80"])
def test_a_text_with_a_zero_byte_or_of_no_characters_is_left_to_a_step_by_itself(text: str) -> None:
    program = CallProgram()
    program.step()
    program.make_directory(given(0), text_in(0))
    assert StoppedRow(0, 0, -1) == program.run((-1,), ([text],), [0], [], 1, None)


def test_what_was_built_from_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscalls, "loop", None)
    monkeypatch.setattr(syscalls.__name__.rpartition(".")[0] + "._loop.VERSION", 1)
    syscalls.load_loop()
    assert syscalls.loop is False


def test_rows_go_on_until_a_name_is_in_another_directory(tmp_path: Path) -> None:
    program = CallProgram()
    program.step()
    program.make_directory(given(0), name_in(0))
    paths = ["/x/y", "a/b", "a/c", "a/d/e", "a/f"]
    with closing_fd(os.open(tmp_path, os.O_PATH)) as fd:
        assert StoppedRow(2) == program.run((fd,), (paths,), [1], [], 4, None)
        assert program.run((fd,), (paths,), [3], [], 1, None) is None
        assert StoppedRow(1, 0, -1) == program.run((fd,), (["a/g", "a/"],), [0], [], 2, None)  # no name at all
    assert {"b", "c", "e", "g"} == set(os.listdir(tmp_path))


@pytest.mark.parametrize(
    "arguments",  # the calls (None: of the program below), numbers, columns, begins, each, rows, counter
    [
        (b"", b"", (), b"", b"", 1, None),
        (b"\1" * 120, b"", (), b"", b"", 1, None),
        (None, b"", (["x"],), bytes(8), bytes(8), 1, None),
        (None, bytes(8), (), b"", bytes(8), 1, None),
        (None, bytes(8), (["x"],), b"", bytes(8), 1, None),
        (None, bytes(8), (("x",),), bytes(8), bytes(8), 1, None),
        (None, bytes(8), (["x"],), b"\1" + bytes(7), bytes(8), 1, None),
        (None, bytes(8), (["x"],), b"\xff" * 8, bytes(8), 1, None),
        (None, bytes(8), (["x"],), bytes(8), bytes(16), 2, None),
        (None, bytes(8), (["x", "y"],), bytes(8), bytes(8), 2, None),
        (None, bytes(8), (["x"],), bytes(8), b"", 1, None),
        (None, bytes(8), (["x"],), bytes(8), bytes(8), 1, bytearray(4)),
    ],
)
def test_what_is_no_program_is_refused(arguments: tuple[object, ...]) -> None:
    program = CallProgram()
    program.step()
    program.make_directory(given(0), text_in(0))
    program.join(EACH, given(0))
    calls = b"".join(program._calls) if arguments[0] is None else arguments[0]
    with pytest.raises(ValueError, match="not a program"):
        syscalls.loop.run(calls, *arguments[1:2], b"", *arguments[2:])
