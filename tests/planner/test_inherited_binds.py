"""What a recursive bind of the host's brings along, in every way of sharing: the model builds what is predicted."""

from __future__ import annotations

import itertools

import pytest

from mountplan import api
from mountplan.planner.ask.trial import Trial
from mountplan.planner.compare.compare import compare
from mountplan.planner.language.spec_reading import parse_spec
from mountplan.planner.plan.predict import predict
from mountplan.planner.tables.table import MountTable
from tests.fakes import FakeHost, host_mount

PATHS = {"/srv/shared/in/d": "directory", "/usr/x": "directory"}
MOUNTS = (
    host_mount(2, 1, "/srv/shared", shared=5),
    host_mount(3, 2, "/srv/shared/in", shared=6),
    host_mount(4, 2, "/srv/shared/slave", master=7),
    host_mount(5, 2, "/srv/shared/private"),
    host_mount(6, 1, "/usr", shared=8),
    host_mount(7, 6, "/usr/x", shared=9, master=7),
)
HOSTS = FakeHost(PATHS, MOUNTS), FakeHost(PATHS, MOUNTS, shared=10, master=11)  # whose root is private, or shared
GROUP = '[peer_group.feed]\nhost = "/srv/shared"\n'
ROOT = '[[mount]]\ntarget = "/"\ntype = "tmpfs"\n'
ABOVE = {"": "", "peer": 'peer_group = "feed"\n', "slave": 'master = "feed"\n'}
BELOW = {"": "", "private": 'recursive_sharing = "private"\n', "peer": 'recursive_sharing = "peer"\n',
         "slave": 'recursive_sharing = "slave"\n'}  # fmt: skip
WORDS = ("", 'attributes = ["ro", "noexec"]\n', 'attributes = ["ro"]\nrecursive_attributes = false\n')


def built(text: str) -> list[MountTable]:
    """What stands on each host when the model has carried the plan out, which is what is predicted."""
    tables: list[MountTable] = []
    for host in HOSTS:
        plan = api.plan(parse_spec(b"format = 1\n" + text.encode(), "s.toml"), host)
        trial = Trial(plan.steps, host.table)
        trial.run()
        assert (None, []) == (trial.refusal, trial.events)
        assert () == compare(predict(plan, host.table), trial.tables())
        tables += trial.tables()
    return tables


def sharing(table: MountTable) -> list[str]:
    return [
        f"{row.mountpoint} {'s' * bool(row.peer_group)}{'r' * bool(row.master)} {row.attributes}" for row in table.rows
    ]


SHARING = [
    ("", ""), ("", "private"), ("peer", "peer"), ("slave", "slave"), ("peer", ""), ("slave", ""), ("slave", "private"),
    ("peer", "slave"),
]  # fmt: skip


@pytest.mark.parametrize(("above", "below"), SHARING)
def test_the_model_builds_what_a_recursive_bind_is_predicted_to_bring(above: str, below: str) -> None:
    for words in WORDS:
        group = GROUP if above else ""
        bind = f'[[mount]]\ntarget = "/b"\nbind = "/srv/shared"\nrecursive = true\n{ABOVE[above]}{BELOW[below]}{words}'
        table, _ = built(group + ROOT + bind)
        (at,) = (row for row in table.rows if row.mountpoint == "/b")
        (inner,) = (row for row in table.rows if row.mountpoint == "/b/in")
        assert (above == "peer", above == "slave") == (bool(at.peer_group), bool(at.master))
        assert (below == "peer", below == "slave") == (bool(inner.peer_group), bool(inner.master))
        assert ("recursive_attributes" not in words and "ro" in words) == inner.attributes.startswith("ro")


PROPAGATION = ("private", "slave", "slave-shared")
CHANGES = (
    "",
    '[[change]]\ntarget = "/"\nsharing = "shared"\n',
    '[[change]]\ntarget = "/"\nrecursive = true\nsharing = "shared"\n',
    '[[change]]\ntarget = "/srv/shared"\nrecursive = true\nsharing = "private"\n',
    '[[change]]\ntarget = "/usr"\nrecursive = true\nattributes = ["ro"]\nexcept = ["/usr/x"]\n',
    '[[change]]\ntarget = "/srv/shared/in/d"\nattributes = ["noexec"]\nsharing = "shared"\n',
    '[[remove]]\ntarget = "/usr"\nrecursive = true\n',
)


@pytest.mark.parametrize(("propagation", "change"), list(itertools.product(PROPAGATION, CHANGES)))
def test_the_model_builds_what_an_inherited_tree_is_predicted_to_become(propagation: str, change: str) -> None:
    table, _ = built(f'root = "inherit"\npropagation = "{propagation}"\n{change}')
    if not change:
        wanted = {"private": "", "slave": "r", "slave-shared": "sr"}[propagation]
        assert [f"/srv/shared {wanted} rw,relatime"] == [
            one for one in sharing(table) if one.startswith("/srv/shared ")
        ]
