"""A change of a tree that stands, killed or refused at a call: it is told, and can be finished and taken back.

The suite takes a sample: each call in each kind of step. `make faults` tries every call.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from mountplan import api, changing, live_target
from mountplan.applier.change.live_execute import LiveExecution
from mountplan.applier.keep import kept
from mountplan.applier.observe import file_looks, mount_users
from mountplan.applier.sys.inside import in_child
from mountplan.cli import main
from mountplan.planner.change.standing import Allowed
from tests.faulthost import ERRNOS, State, StepsMarked, furnish, quietly
from tests.faults import Call, Experiment, Fault, mark, missing
from tests.hosts import InHost, moments, reap, setns, with_own_processes

ALL = os.environ.get("MOUNTPLAN_FAULTS") == "all"
SHARES = range(16 if ALL else 3)
# Which of the sample's faults are tried: there are many more calls to refuse than steps to be killed in.
EVERY = {"kill": 1, "refuse": 1} if ALL else {"kill": 2, "refuse": 3}

pytestmark = [
    pytest.mark.needs_kernel("root", "set-group", "foreign-mounts", "new-proc"),
    pytest.mark.skipif(bool(missing()), reason=missing()),
]

# A swap with something on it, or beneath another, files, options, sharing, attributes, what comes (at once) or goes.
BEFORE = """format = 1
name = "live"
[peer_group.g]
[[mount]]
id = "root"
target = "/"
type = "tmpfs"
[[mount]]
target = "/data"
type = "tmpfs"
source = "old"
[[mount.file]]
path = "version"
content = "1"
[[mount]]
target = "/data/kid"
type = "tmpfs"
[[mount]]
target = "/stack"
type = "tmpfs"
source = "old"
[[mount]]
target = "/stack"
type = "tmpfs"
source = "top"
[[mount]]
id = "keeps"
target = "/keeps"
type = "tmpfs"
options = { size = "1m" }
peer_group = "g"
[[mount.file]]
path = "version"
content = "1"
[[mount.file]]
path = "link"
symlink = "old"
[[mount.file]]
path = "folder"
directory = true
mode = "0700"
[[mount]]
target = "/gone"
type = "tmpfs"
[[mount]]
target = "/low/deep"
type = "tmpfs"
"""
AFTER = (
    BEFORE.replace('"old"', '"new"')
    .replace('content = "1"', 'content = "2"')
    .replace('"1m"', '"2m"')
    .replace("0700", "0750")
)
AFTER = AFTER.replace('"/gone"', '"/come"').replace('id = "root"', 'id = "root"\nattributes = ["nodev"]')
# What the interrupted change has made is no file of another process's when it is finished.
AFTER = AFTER.replace('peer_group = "g"\n', 'peer_group = "g"\n[[mount.file]]\npath = "fresh"\ncontent = "3"\n')
AFTER += '[[mount]]\ntarget = "/keeps/come"\nbind = { mount = "keeps" }\nmaster = "g"\n'
AFTER = AFTER.replace(
    'target = "/low/deep"\n', 'target = "/low"\ntype = "tmpfs"\n[[mount]]\ntarget = "/low/deep"\nunbindable = true\n'
)
FIRST, SECOND = "/mnt/a.toml", "/mnt/b.toml"

LOOK = 10_000  # the step of looks_marked()


@contextmanager
def looks_marked() -> Iterator[None]:
    """Children that look at declared files are of a step LOOK: what they would say is no condition of a change."""
    find_different = file_looks.find_different

    def marked(*arguments: Any) -> list[str]:
        mark(LOOK)
        found = find_different(*arguments)
        mark(-1)
        return found

    file_looks.find_different = marked  # type: ignore[assignment]
    yield
    file_looks.find_different = find_different


class LiveLab:
    """A host where BEFORE is kept as `live`; `calls` are all that it takes to make AFTER of it.

    A preview looks at each process that /proc shows, so a call has the same number each time only with_own_processes().
    """

    def __init__(self) -> None:
        # These are all that there are: they are looked at twice.
        mount_users._INITIAL_PID_NAMESPACE = os.stat("/proc/self/ns/pid").st_ino
        os.environ["LANGUAGE"] = "C"
        Path(FIRST).write_text(BEFORE)
        Path(SECOND).write_text(AFTER)
        self.run("apply", FIRST)
        self.run("apply", SECOND, "--live")  # imports all, which is nothing to test
        self.run("rm", "live")
        self.before = State.take()
        self.run("apply", FIRST)
        plan, operand = api.plan(api.load(SECOND)), live_target.target_of("live")
        self.steps = changing.preview(plan, live_target.look(operand), Allowed()).steps
        with StepsMarked(LiveExecution, "all_handlers"), looks_marked():
            experiment = self.change(Fault())
        assert 0 == experiment.result.status, experiment.result.err
        self.looking = {call.process for call in experiment.result.calls if call.step == LOOK}
        self.calls = [call._replace(step=-1) if call.step == LOOK else call for call in experiment.result.calls]
        self.build()

    def build(self) -> None:
        """Anew, so that the calls are the same each time."""
        self.run("rm", "live")
        self.run("apply", FIRST)

    def run(self, *arguments: str) -> None:
        status, told = self.ask(*arguments)
        assert 0 == status, (arguments, told)

    def ask(self, *arguments: str) -> tuple[int, str]:
        """The exit status and what was told of it."""
        told = StringIO()
        with redirect_stderr(told):
            return quietly(lambda: main(list(arguments))), told.getvalue()

    def version(self) -> str:
        """What is in a file that is changed in place."""
        with kept.opened("live") as found:
            namespace = found.open(found.kept.mounts[0])

        def read() -> str:
            setns(namespace)
            return Path("/keeps/version").read_text()

        try:
            return in_child(read)
        finally:
            os.close(namespace)

    def change(self, fault: Fault) -> Experiment:
        experiment = Experiment(lambda: main(["apply", SECOND, "--live"]), fault)
        experiment.wait()
        reap()
        return experiment

    def attempt(self, fault: Fault, *, undo: bool) -> str:
        """What came of it: "changed", "as before", or "interrupted" and then taken back or finished."""
        result = self.change(fault).result
        assert result.met, "no such call was made"
        assert "Traceback" not in result.err
        assert "bug" not in result.err
        killed = result.status == -signal.SIGKILL
        assert killed or result.status in (0, 3) or "remedy: " in result.err, result.status
        outcome, stands = "changed", SECOND
        for _ in moments():  # until the visitor has died, too
            words = ["apply", "--live", "--undo" if undo else "--continue", "--name", "live"]
            status, told = self.ask(*words)
            if undo and "--allow-gap lets it be so" in told:  # by the way back; to finish leaves none
                status, told = self.ask(*words, "--allow-gap")
            if "at this moment" not in told:
                break
        if status == 0:
            outcome, stands = "interrupted", FIRST if undo else SECOND
            assert result.status != 0, "it has said that all was done"
        else:
            assert "no change of live was interrupted" in told, told
            if result.status != 0:
                stands = FIRST
                if self.ask("verify", SECOND, "live")[0] == 0:  # it was refused, or killed, when all was done
                    assert fault.kill or "cannot write the output" in result.err
                    stands = SECOND
                outcome = "as before"
            elif fault.kill == "caller" and fault.at and fault.at.process in self.looking:
                outcome = "changed, without a look at files"
        self.run("verify", stands, "live")
        told = self.version()
        assert told == ("1" if stands == FIRST else "2"), f"{stands}: the file has {told}"
        self.run("apply", SECOND, "--live")  # what it has left is in nobody's way
        self.build()
        return outcome


def sample(lab: LiveLab, *, kill: bool) -> list[Call]:
    """The first of each kind of call, in each kind of step, or, to be killed at, of each kind of step."""
    if ALL:
        return list(lab.calls)
    first: dict[object, Call] = {}
    for call in lab.calls:
        if call.step >= 0:
            kind = lab.steps[call.step].kind
            first.setdefault(kind if kill else (kind, call.name), call)
        elif not kill:
            first.setdefault(call.name, call)
    return list(first.values())


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kill", [True, False])
def test_a_change_may_be_killed_and_refused_at_any_call(kill: bool, share: int, in_host: InHost) -> None:
    """The command or its visitor. In the end what stands is the one or the other, as was told."""

    def script() -> dict[str, int]:
        furnish()
        lab = LiveLab()
        found: dict[str, int] = {}
        faults = [
            Fault(at, kill=("main", "caller")[count // len(SHARES) % 2])
            if kill
            else Fault(at, errno=ERRNOS[count % len(ERRNOS)])
            for count, at in enumerate(sample(lab, kill=kill))
        ]
        for count, fault in enumerate(faults[share :: EVERY["kill" if kill else "refuse"] * len(SHARES)]):
            try:
                outcome = lab.attempt(fault, undo=count % 2 == 0)
            except Exception as error:
                step = lab.steps[fault.at.step].describe() if fault.at and fault.at.step >= 0 else ""
                raise AssertionError(f"{fault}: {step}: {error!r}") from error
            found[outcome] = found.get(outcome, 0) + 1
        lab.run("rm", "live")
        left = lab.before.compared_with(State.take())
        assert not left, left
        return found

    found = in_host(with_own_processes(script, timeout=3000), identity="root", timeout=3000)
    if kill:
        assert found.get("changed", 0) <= 1  # at its last calls, all is done
        assert found["interrupted"] > 0
    else:
        assert sum(found.values()) > 4, found
