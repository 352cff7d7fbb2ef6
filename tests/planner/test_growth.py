"""Planning, proving and predicting cost as much as there are mounts, whatever the shape of the tree.

What is counted is calls, of Python's functions and of its own, which are the same each time; seconds are measured by
bench/growth.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.graph import find_order
from mountplan.planner.plan.planfile import dump_plan, load_plan
from mountplan.planner.plan.predict import predict
from mountplan.planner.plan.schedule import make_plan
from mountplan.planner.resolve.resolve import resolve
from tests.fakes import FakeHost

ROOT = '[[mount]]\nid = "root"\ntarget = "/"\ntype = "tmpfs"\n[[mount.file]]\npath = "src"\ndirectory = true\n'
BIND = '[[mount]]\ntarget = "/m/{0}"\nbind = {{ mount = "root", path = "/src" }}\n'


def many(text: str, count: int) -> str:
    return "".join(text.format(number, number - 1) for number in range(count))


SHAPES: dict[str, Callable[[int], str]] = {
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


def calls(text: str) -> int:
    """How many functions are called from the text of a spec to its predicted tables."""
    host = FakeHost()
    found = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        topology = resolve(parse_spec(f"format = 1\n{text}".encode(), "x.toml"), host)
        plan = make_plan(topology, find_order(topology))
        assert predict(load_plan(dump_plan(plan), "x.json"), host.table)
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_four_times_as_many_take_four_times_as_many_calls(shape: str) -> None:
    make = SHAPES[shape]
    calls(make(10))  # what is remembered from the first time
    few, many_more = calls(make(40)), calls(make(160))
    assert many_more < 4.4 * few
