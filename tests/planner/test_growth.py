"""Every phase costs as much as there are mounts, whatever the shape of the tree.

What is counted is lines of Python, which are the same each time; seconds are measured by bench/growth.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from mountplan.applier.build.execute import execute
from mountplan.applier.sys.report import Reporter
from mountplan.planner.ask.foresight import foresee
from mountplan.planner.capture.mounts import Live, capture
from mountplan.planner.capture.writing import write_spec
from mountplan.planner.compare.compare import compare, group_names
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.graph import find_order
from mountplan.planner.plan.planfile import dump_plan, parse_plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.plan.proof import prove
from mountplan.planner.plan.schedule import make_plan
from mountplan.planner.resolve.resolve import resolve
from mountplan.planner.tables.mountinfo import parse_mountinfo
from mountplan.planner.tables.table import MountTable
from tests.fakes import FakeHost, FakeKernel
from tests.planner.test_capture_tables import Facts

ROOT = '[[mount]]\nid = "root"\ntarget = "/"\ntype = "tmpfs"\n[[mount.file]]\npath = "src"\ndirectory = true\n'
BIND = '[[mount]]\ntarget = "/m/{0}"\nbind = {{ mount = "root", path = "/src" }}\n'


def many(text: str, count: int) -> str:
    return "".join(text.format(number, number - 1) for number in range(count))


SHAPES: dict[str, Callable[[int], str]] = {
    "one below the other": lambda count: "".join(
        f'[[mount]]\ntarget = "{"/d" * one or "/"}"\ntype = "tmpfs"\n' for one in range(count)
    ),
    "beside each other": lambda count: ROOT + many(BIND, count),
    "on one point": lambda count: ROOT + '[[mount]]\ntarget = "/s"\ntype = "tmpfs"\n' * count,
    "in one group": lambda count: ROOT + many(BIND + 'peer_group = "g"\n', count) + "[peer_group.g]\n",
    "a chain of masters": lambda count: (
        ROOT
        + many(BIND + 'peer_group = "g{0}"\n', count)
        + "[peer_group.g0]\n"
        + many('[peer_group.g{0}]\nmaster = "g{1}"\n', count).partition('master = "g-1"\n')[2]
    ),
    "namespaces": lambda count: many(
        '[[namespace]]\nname = "n{0}"\n[[namespace.mount]]\ntarget = "/"\ntype = "tmpfs"\n'
        '[[namespace.mount]]\ntarget = "/m"\ntype = "tmpfs"\n',
        count,
    ),
    "layers": lambda count: (
        f'{ROOT}[[mount]]\nid = "store"\ntype = "tmpfs"\n'
        + many('[[mount.file]]\npath = "l{0}"\ndirectory = true\n', count)
        + '[[mount]]\ntarget = "/o"\ntype = "overlay"\nlayers = ['
        + many('{{ mount = "store", path = "/l{0}" }}, ', count)
        + "]\n"
    ),
}


def steps_of_python(text: str) -> dict[str, int]:
    """How many lines are carried out in each phase, functions of Python's own not counted."""
    host, kernel = FakeHost(), FakeKernel()
    found: dict[str, int] = {}

    def counted(phase: str, function: Callable[..., Any], *arguments: object) -> Any:
        found[phase] = 0

        def count(*_: object) -> Any:
            found[phase] += 1
            return count

        sys.settrace(count)
        try:
            return function(*arguments)
        finally:
            sys.settrace(None)

    spec = counted("load", parse_spec, f"format = 1\n{text}".encode(), "x.toml")
    topology = counted("resolve", resolve, spec, host)
    order = counted("order", find_order, topology)
    plan = counted("plan", make_plan, topology, order)
    saved = counted("read", parse_plan, counted("write", dump_plan, plan), "x.json")
    counted("prove", prove, saved, "x.json")
    predictions = counted("predict", predict, saved, host.table)
    counted("foresee", foresee, saved, host.table, host.mount_max)
    counted("execute", execute, saved.steps, kernel, Reporter())
    tables = tuple(counted("observe", parse_mountinfo, mountinfo(one.table)) for one in predictions)
    assert not counted("compare", compare, predictions, tables, host.table, group_names(saved))
    lives = [Live(f"n{number}", one, {}) for number, one in enumerate(tables)]
    counted("capture", lambda: write_spec(capture(lives, host.table, Facts())))
    return found


def mountinfo(table: MountTable) -> bytes:
    lines = []
    for row in table.rows:
        sharing = (f"shared:{row.peer_group} " if row.peer_group else "") + (
            f"master:{row.master} " if row.master else ""
        )
        numbers = f"{row.mount_id} {row.parent_id} {row.device} {row.root} {row.mountpoint} {row.attributes}"
        lines.append(f"{numbers} {sharing}- {row.fstype} {row.source} {row.options}\n")
    return "".join(lines).encode()


@pytest.mark.parametrize("shape", SHAPES)
def test_four_times_as_many_take_four_times_as_many_steps_in_each_phase(shape: str) -> None:
    """What is quadratic takes 16 times as many; so does reading paths of mounts one below the other, which are as much
    longer. A bit more than 4 is where many are read in another way than few.
    """
    make = SHAPES[shape]
    steps_of_python(make(10))  # what is remembered from the first time
    few, many_more = steps_of_python(make(100)), steps_of_python(make(400))
    reading = ("load", "observe") if shape == "one below the other" else ()
    limits = {phase: few[phase] * (20 if phase in reading else 5) for phase in few}
    assert {} == {phase: (few[phase], taken) for phase, taken in many_more.items() if taken > limits[phase]}
