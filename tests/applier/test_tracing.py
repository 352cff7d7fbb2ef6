"""--trace: each step, and each call below it, on standard error; also of the processes that build."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mountplan.applier.build.build import build
from mountplan.applier.sys import tracing
from tests.hosts import InHost
from tests.trees import ROOT, plan_of

pytestmark = pytest.mark.needs_kernel("root", "set-group")


def test_each_step_is_told_before_the_calls_that_it_makes(in_host: InHost, tmp_path: Path) -> None:
    plan = plan_of(f'name = "shop"\n{ROOT}[[mount]]\ntarget = "/a"\ntype = "tmpfs"\nsource = "mine"\n')

    def host() -> None:
        os.dup2(os.open(tmp_path / "told", os.O_WRONLY | os.O_CREAT), 2)
        tracing.begin()
        tracing.begin()  # told once all the same
        with build(plan):
            pass

    in_host(host, identity="root")
    lines = (tmp_path / "told").read_text().splitlines()
    steps = [line for line in lines if line.startswith("step ")]
    assert [f"step {number}: {step.describe()}" for number, step in enumerate(plan.steps, 1)] == steps
    mine = next(number for number, line in enumerate(lines) if "mine" in line and line.startswith("fsconfig("))
    assert lines.index(next(one for one in steps if "tmpfs" in one and "/a" in one)) < mine
    assert 1 == sum('"mine"' in line or "'mine'" in line for line in lines if line.startswith("fsconfig("))
