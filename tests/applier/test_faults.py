"""Faults, each by the real kernel: killed at any call, any call refused. Nothing is left, and all is told.

The suite takes a sample: every step, each kind of call in each kind of step, every errno. `make faults` tries them all.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import pytest

from mountplan.planner.plan import steps
from tests.applier.test_execute import EVERYTHING
from tests.faulthost import ERRNOS, IMAGE, PLAN, REPEATED, SPEC, Lab, built_twice, furnish, on_one_cpu
from tests.faults import Call, Fault, Victim, missing
from tests.hosts import NOBODY, InHost, become_nobody

ALL = os.environ.get("MOUNTPLAN_FAULTS") == "all"
SHARES = range(8 if ALL else 2)  # each a test of its own, so that they run side by side
EVERY = 1 if ALL else 2  # which of the sample's faults are tried

pytestmark = [
    pytest.mark.needs_kernel("root", "set-group", "nobody"),
    pytest.mark.skipif(bool(missing()), reason=missing()),
]

Command = Literal["apply", "apply twice", "run", "forget"]
COMMANDS: dict[Command, tuple[str, ...]] = {
    "apply": ("apply", PLAN),
    "apply twice": ("apply", PLAN),
    "run": ("run", PLAN, "--", "true"),
    "forget": ("apply", "--forget", PLAN),
}


def everything() -> str:
    """tests/applier/test_execute.py's spec with every kind of step, for the host that furnish() makes."""
    text = EVERYTHING.replace("format = 1", 'name = "everything"')
    text = text.replace('"/srv/', '"/mnt/').replace('"/data', '"/mnt/data').replace('"/img"', f'"{IMAGE}"')
    gone = '[[namespace.mount.file]]\npath = "gone/x"\n'
    return text.replace('id = "work"\ntype = "tmpfs"\n', f'id = "work"\ntype = "tmpfs"\n{gone}')


def sample(lab: Lab, key: Callable[[Call], object]) -> list[Call]:
    """The calls to try: the first of each key, or all of them."""
    if ALL:
        return list(lab.calls)
    first: dict[object, Call] = {}
    for call in lab.calls:
        first.setdefault(key(call), call)
    return list(first.values())


def each_step(call: Call) -> object:
    """Every step of the plan, and each call of each process outside of the steps."""
    return call.step if call.step >= 0 else (call.process, call.name)


def each_kind(lab: Lab, call: Call) -> object:
    """Each call in each kind of step, and each call of each process outside of the steps."""
    return (lab.plan.steps[call.step].kind, call.name) if call.step >= 0 else (call.process, call.name)


def attempt_all(lab: Lab, faults: Iterable[Fault], share: int) -> int:
    chosen = list(faults)[share :: EVERY * len(SHARES)]
    for fault in chosen:
        lab.attempt(fault)
    return len(chosen)


def as_root(text: str, command: Command, work: Callable[[Lab], int], *, image: bool = False) -> Callable[[], int]:
    def script() -> int:
        furnish(image)
        if command == "apply twice":
            built_twice()
        return work(Lab(text, *COMMANDS[command]))

    return on_one_cpu(script)


def as_nobody(text: str, command: Command, work: Callable[[Lab], int]) -> Callable[[], int]:
    """The same for an ordinary user, whose namespaces are kept by a process."""

    def script() -> int:
        furnish()
        os.chown("/mnt/run", NOBODY, NOBODY)
        os.chmod("/mnt/run", 0o700)
        os.environ["XDG_RUNTIME_DIR"] = "/mnt/run"
        become_nobody()
        return work(Lab(text, *COMMANDS[command]))

    return on_one_cpu(script)


KILLED: list[tuple[Callable[..., Callable[[], int]], Command, Victim]] = [
    (as_root, "apply", "caller"), (as_root, "apply", "main"), (as_root, "run", "main"),
]  # fmt: skip
REFUSED: list[tuple[Callable[..., Callable[[], int]], Command]] = [
    (as_root, "apply"), (as_root, "apply twice"), (as_nobody, "run"),
]  # fmt: skip
if ALL:
    KILLED += [
        (as_root, "apply twice", "caller"),
        (as_root, "run", "caller"),
        (as_nobody, "apply", "caller"),
        (as_nobody, "apply", "main"),
    ]
    REFUSED += [(as_root, "run"), (as_nobody, "apply")]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("who", "command", "victim"), KILLED)
def test_sigkill_at_any_step_leaves_nothing(
    who: Callable[..., Callable[[], int]],
    command: Command,
    victim: Victim,
    share: int,
    in_host: InHost,
) -> None:
    """Of the process that makes the call, be it the builder, or of the one that was started."""

    def work(lab: Lab) -> int:
        assert len(lab.plan.steps) >= 30
        return attempt_all(lab, (Fault(at, kill=victim) for at in sample(lab, each_step)), share)

    assert in_host(who(SPEC, command, work), identity="root", timeout=3000) > 10


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("who", "command"), REFUSED)
def test_any_call_may_be_refused(
    who: Callable[..., Callable[[], int]], command: Command, share: int, in_host: InHost
) -> None:
    """It is told with the step, the place in the spec and a remedy, and nothing is left; EINTR means: once more."""

    def work(lab: Lab) -> int:
        faults = [
            Fault(at, errno=number)
            for count, at in enumerate(sample(lab, partial(each_kind, lab)))
            for number in (ERRNOS if ALL else (ERRNOS[count % len(ERRNOS)],))
        ]
        return attempt_all(lab, faults, share)

    assert in_host(who(SPEC, command, work), identity="root", timeout=3000) > 10


@pytest.mark.needs_kernel("loop", "mkfs.ext4", "fs:ext4", "fs:overlay")
@pytest.mark.parametrize("share", SHARES)
def test_every_kind_of_step_may_be_killed_and_refused(share: int, in_host: InHost) -> None:
    """Loop devices, id-mappings, overlays, several namespaces and all the rest."""

    def work(lab: Lab) -> int:
        kinds = {lab.plan.steps[call.step].kind for call in lab.calls if call.step >= 0}
        assert set(steps.STEP_KINDS) == kinds
        calls = [at for at in sample(lab, partial(each_kind, lab)) if ALL or at.step >= 0]
        faults = []
        for count, at in enumerate(calls):
            every = [*(Fault(at, errno=number) for number in ERRNOS), Fault(at, kill="caller")]
            faults += every if ALL else [every[count % len(every)]]
        return attempt_all(lab, faults, share)

    assert in_host(as_root(everything(), "forget", work, image=True), identity="root", timeout=3000) > 10


def test_a_call_that_a_signal_interrupts_is_made_again(in_host: InHost) -> None:
    """Where it has done nothing so far: a stopped and continued build goes on."""

    def work(lab: Lab) -> int:
        faults = [
            Fault(at, errno=errno.EINTR)
            for at in sample(lab, lambda call: (call.name, call.step >= 0))
            if at.name in REPEATED
        ]
        for fault in faults:
            lab.attempt(fault)
        return len(faults)

    assert in_host(as_root(SPEC, "apply", work), identity="root", timeout=600) >= 8
