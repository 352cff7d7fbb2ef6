"""Binds in a row are proven together, and that says neither more nor less than the proof of each step by itself."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from mountplan import api
from mountplan.planner.errors import PlanRefused
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan import proof, proof_runs, step_runs
from mountplan.planner.plan import steps as s
from mountplan.planner.plan.plan import ExpectedMount, Plan
from mountplan.planner.plan.proof_parts import ProvenRun
from tests.fakes import FakeHost, host_mount
from tests.kernel.plan_fuzz import Changer, _replaced

FOLDERS = ("/srv/a", "/srv/b", "/srv/c", "/srv/b/in", "/t/2", "/t/0", "/t/1", "/t/3", "/t/2/deep", "/t/2/wide")
HOST = FakeHost(dict.fromkeys(("/srv", "/t", *FOLDERS), "directory"), (host_mount(2, 1, "/srv", shared=5),))
INHERITED = 'root = "inherit"\npropagation = "private"\n'
FRESH = (
    '[[mount]]\nid = "root"\ntarget = "/"\ntype = "tmpfs"\n'
    + "".join(f'[[mount.file]]\npath = "{folder}"\ndirectory = true\n' for folder in ("/srv", "/t", *FOLDERS))
)  # fmt: skip
PAIRS = (
    ("/srv/a", "/t/0"),
    ("/srv/b", "/t/1"),
    ("/srv/b/in", "/t/2/deep"),
    ("/srv/c", "/t/3"),
    ("/srv/a", "/t/2/wide"),
)


def binds(more: str = "", source: str = '"{}"') -> str:
    return "".join(f'[[mount]]\ntarget = "{at}"\nbind = {source.format(one)}\n{more}' for one, at in PAIRS)


OWN = '{{ mount = "root", path = "{}" }}'
GROUPS = "[peer_group.g]\n"
SPECS = {
    "host binds": INHERITED + binds(),
    "read-only": INHERITED + binds('attributes = ["ro", "noexec"]\n'),
    "groups": INHERITED + GROUPS + binds('peer_group = "g"\n'),
    "read-only groups": INHERITED + GROUPS + binds('peer_group = "g"\nattributes = ["ro"]\n'),
    "in a fresh root": FRESH + binds(),
    "of a fresh root": FRESH + binds(source=OWN),
    "groups of a fresh root": GROUPS + FRESH + binds('peer_group = "g"\n', OWN),
    "slaves": INHERITED + '[peer_group.h]\nhost = "/srv"\n' + binds('master = "h"\nattributes = ["ro"]\n'),
}


def planned(text: str) -> Plan:
    return api.plan(parse_spec(f"format = 1\n{text}".encode(), "s.toml"), HOST)


def outcome(plan: Plan) -> str:
    try:
        proof.prove(plan, "x.json")
    except PlanRefused as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize("name", SPECS)
def test_binds_in_a_row_are_proven_together(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test below would hold nothing."""
    monkeypatch.setattr(step_runs, "LEAST", 2)
    proven: list[bool] = []
    prove_run, come_to = proof_runs.RunProof.prove_run, ProvenRun.come_to

    def seen(self: proof_runs.RunProof, run: step_runs.StepRun) -> bool:
        proven.append(prove_run(self, run))
        return proven[-1]

    def come(self: ProvenRun, promised: tuple[ExpectedMount, ...]) -> bool:
        proven.append(come_to(self, promised))
        return proven[-1]

    monkeypatch.setattr(proof_runs.RunProof, "prove_run", seen)
    monkeypatch.setattr(ProvenRun, "come_to", come)
    assert "" == outcome(planned(SPECS[name]))
    assert proven.count(True) >= 2 and proven[-1]


def test_a_changed_plan_is_refused_for_the_same_reason_however_it_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    changer = Changer({name: planned(text) for name, text in SPECS.items()})
    counts: Counter[bool] = Counter()
    for seed in range(1500):
        changed = changer.change(seed)
        monkeypatch.setattr(step_runs, "LEAST", 1 + random.Random(seed).randrange(3))
        try:
            together = outcome(changed.plan)
        except (AttributeError, LookupError, TypeError, ValueError):
            continue  # by the types of its values: of those, the reading of the file has made sure
        monkeypatch.setattr(step_runs, "LEAST", 1000)
        assert outcome(changed.plan) == together, f"{seed}: {changed.name}: {changed.what}"
        counts[together == ""] += 1
    assert counts[True] > 20 and counts[False] > 700, counts


def changed(name: str, kind: type, at: int, **fields: str) -> Plan:
    """A plan with another value in the step of a kind that is number `at` of them from the end."""
    plan = planned(SPECS[name])
    steps: list[Any] = list(plan.steps)
    number = [number for number, step in enumerate(steps) if type(step) is kind][-at]
    steps[number] = steps[number]._replace(**fields)
    return plan._replace(steps=tuple(steps))


def everywhere(name: str, old: str, new: str) -> Plan:
    plan: Plan = _replaced(planned(SPECS[name]), old, new)
    return plan


def of_the_host() -> Plan:
    plan = planned(SPECS["groups of a fresh root"])
    steps = (
        s.CloneHost(step.mount, "/srv/a", False, "private", "", step.origin)
        if type(step) is s.CloneMount and step.path
        else step
        for step in plan.steps
    )
    return plan._replace(steps=tuple(steps))


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (changed("host binds", s.Attach, 1, path="t/0/x"), "is covered by then"),
        (changed("host binds", s.Attach, 2, path="t/0"), "is covered by then"),
        (changed("host binds", s.Attach, 2, path="t/../x"), "is no plain relative path"),
        (changed("host binds", s.CloneHost, 2, path="/srv/../x"), "is no plain relative path"),
        (everywhere("host binds", "/t/1", "@yard"), "cannot be a name"),
        (everywhere("host binds", "/t/1", "/t/0"), "is the name of a mount already"),
        (of_the_host(), "is of another filesystem"),
    ],
    ids=range(7),
)
def test_what_is_wrong_in_a_row_of_binds_is_told_as_of_one(
    plan: Plan, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_runs, "LEAST", 2)
    assert reason in outcome(plan)
